// Package load is what an end of a call knows of its own load: how long packets stay, what it uses of the processors, what
// the kernel dropped because it was not read in time.
package load

import (
	"math"
	"math/bits"
	"sync"
	"time"

	"communewatch/probes/webrtc/report"
)

// Times counts times in steps of an eighth of an octave, so that a quantile read from it is at most 9 % too high.
// The zero value is empty.
type Times struct {
	n       uint64
	max     time.Duration
	buckets [octaves * 8]uint32
}

const (
	finest  = 10 // bits: what is below 1.024 µs is one bucket
	octaves = 24 // to 16 s, and what is above
)

func bucketOf(d time.Duration) int {
	if d < 1<<finest {
		return 0
	}
	o := bits.Len64(uint64(d)) - 1 // 1<<o <= d
	return min((o-finest)*8+int(uint64(d)>>(o-3)&7)+1, octaves*8-1)
}

// upper is the time below which all of a bucket's are.
func upper(bucket int) time.Duration {
	if bucket == 0 {
		return 1 << finest
	}
	o, eighth := finest+(bucket-1)/8, (bucket-1)%8
	return time.Duration((9 + uint64(eighth)) << (o - 3))
}

// Add counts one time.
func (h *Times) Add(d time.Duration) {
	h.n++
	h.max = max(h.max, d)
	h.buckets[bucketOf(d)]++
}

func (h *Times) merge(from *Times) {
	h.n += from.n
	h.max = max(h.max, from.max)
	for i, n := range from.buckets {
		h.buckets[i] += n
	}
}

// Quantile is 0 if there are none.
func (h *Times) Quantile(q float64) time.Duration {
	rank, sum := uint64(math.Ceil(q*float64(h.n))), uint64(0)
	for i, n := range h.buckets {
		if sum += uint64(n); n > 0 && sum >= rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Spread is nil if there are none.
func (h *Times) Spread() *report.Spread {
	if h.n == 0 {
		return nil
	}
	return &report.Spread{Median: h.Quantile(0.5).Seconds(), P95: h.Quantile(0.95).Seconds(), P99: h.Quantile(0.99).Seconds(), Max: h.max.Seconds()}
}

// Recent is Times of the last WindowSeconds. It is safe for concurrent use.
type Recent struct {
	mu    sync.Mutex
	slots [WindowSeconds]Times
	at    int
}

// WindowSeconds is how many calls of Turn a time is remembered.
const WindowSeconds = 5

// Add counts one time now.
func (r *Recent) Add(d time.Duration) {
	r.mu.Lock()
	r.slots[r.at].Add(d)
	r.mu.Unlock()
}

// Turn begins another second.
func (r *Recent) Turn() {
	r.mu.Lock()
	r.at = (r.at + 1) % len(r.slots)
	r.slots[r.at] = Times{}
	r.mu.Unlock()
}

// Sum adds up the window.
func (r *Recent) Sum() *Times {
	sum := new(Times)
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.slots {
		sum.merge(&r.slots[i])
	}
	return sum
}

// N is how many times were counted.
func (h *Times) N() uint64 { return h.n }
