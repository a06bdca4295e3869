// Package throttle lets so many events pass in a time, for each of many names.
package throttle

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Buckets are token buckets by name: each takes burst events at once and refills by rate per second. How many names
// are remembered is bounded; who is forgotten begins with a full bucket.
type Buckets[K comparable] struct {
	rate, burst float64
	most        int

	mu   sync.Mutex
	byK  map[K]*list.Element
	used list.List // of *bucket[K], the last used first
}

type bucket[K comparable] struct {
	key  K
	left float64
	at   time.Time
}

// New returns buckets that are full.
func New[K comparable](rate, burst float64, most int) *Buckets[K] {
	return &Buckets[K]{rate: rate, burst: burst, most: most, byK: map[K]*list.Element{}}
}

// look refills the bucket of a key and returns it. b.mu is held.
func (b *Buckets[K]) look(k K, now time.Time) *bucket[K] {
	e := b.byK[k]
	if e == nil {
		if len(b.byK) >= b.most {
			oldest := b.used.Back()
			delete(b.byK, oldest.Value.(*bucket[K]).key)
			b.used.Remove(oldest)
		}
		e = b.used.PushFront(&bucket[K]{key: k, left: b.burst, at: now})
		b.byK[k] = e
		return e.Value.(*bucket[K])
	}
	b.used.MoveToFront(e)
	at := e.Value.(*bucket[K])
	at.left = min(b.burst, at.left+max(0, now.Sub(at.at).Seconds())*b.rate)
	at.at = now
	return at
}

// Take takes one event out of the bucket; if it is empty, wait says when there is one again.
func (b *Buckets[K]) Take(k K, now time.Time) (ok bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.look(k, now)
	if at.left < 1 {
		return false, b.wait(at)
	}
	at.left--
	return true, 0
}

// Empty says whether a Take would fail, without one.
func (b *Buckets[K]) Empty(k K, now time.Time) (empty bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.byK[k]; !known {
		return false, 0
	}
	at := b.look(k, now)
	return at.left < 1, b.wait(at)
}

func (b *Buckets[K]) wait(at *bucket[K]) time.Duration {
	return time.Duration(max(0, 1-at.left) / b.rate * float64(time.Second))
}

// Network is what a sender can't easily have many of: an IPv4 address, an IPv6 /64.
func Network(remote string) netip.Prefix {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	a := ap.Addr().Unmap().WithZone("")
	width := 32
	if a.Is6() {
		width = 64
	}
	p, _ := a.Prefix(width) // the width fits
	return p
}

// Len is how many names are remembered.
func (b *Buckets[K]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byK)
}
