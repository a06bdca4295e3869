package door

import (
	"net/netip"
	"sync"
	"time"
)

// What wrong passwords cost whoever gives them. The pause after a wrong password grows for the account as asked for from
// one address, so that nobody who tries from elsewhere can keep its owner out. Beside that all that come from one address
// share a larger allowance, and all that try one account from addresses that its owner never used a slow one: this is
// what stops those who guess from many addresses, and it can't stop the owner at their own desk.
const (
	freeOfPair    = 5 // typing errors
	firstPause    = 15 * time.Second
	longestPause  = 15 * time.Minute
	freeOfAddress = 30
	freeOfAccount = 50
	slowAccount   = 20 * time.Second // between attempts from strange addresses beyond that
	// One failure is forgotten in so long: an office behind one address mistypes all day.
	forgetPair   = 30 * time.Minute
	forgetShared = time.Minute
	forgetAll    = 24 * time.Hour
	// most bounds what is remembered; beyond it older failures are forgotten.
	most = 20_000
)

// tries is what is remembered of wrong passwords; in memory, because writing each down would give whoever guesses the
// disk too. Who waits for the collector to be started anew gains the free ones.
type tries struct {
	now func() time.Time

	mu    sync.Mutex // guards the fields below
	kept  map[try]failed
	swept time.Time
}

// try is what failures are counted by: an account from an address, or one of the two alone.
type try struct {
	name string
	from netip.Prefix
}

type failed struct {
	n    float64 // as of last
	last time.Time
}

// at is how many failures still count.
func (f failed) at(now time.Time, k try) float64 {
	forget := forgetShared
	if k.name != "" && k.from.IsValid() {
		forget = forgetPair
	}
	return max(f.n-max(float64(now.Sub(f.last)), 0)/float64(forget), 0)
}

func newTries(now func() time.Time) *tries { return &tries{now: now, kept: map[try]failed{}} }

// origin is where a request came from: an address, or the /64 that a host has of IPv6.
func origin(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // all that can't be told apart
	}
	addr, bits := at.Addr().Unmap().WithZone(""), 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // fits both
	return p
}

// wait returns for how long an attempt is not even looked at; 0: now. Known says that the account's owner has signed in
// from there before.
func (t *tries) wait(name string, from netip.Prefix, known bool) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := t.left(try{name, from}, func(n int) time.Duration { return pause(n - freeOfPair) })
	if !from.Addr().IsLoopback() { // a proxy on this machine: everybody comes from there
		wait = max(wait, t.left(try{from: from}, func(n int) time.Duration { return pause(n - freeOfAddress) }))
	}
	if !known {
		wait = max(wait, t.left(try{name: name}, func(n int) time.Duration {
			if n < freeOfAccount {
				return 0
			}
			return slowAccount
		}))
	}
	return wait
}

// pause doubles with every failure beyond the free ones.
func pause(over int) time.Duration {
	if over < 0 {
		return 0
	}
	if over > 10 {
		return longestPause
	}
	return min(firstPause<<over, longestPause)
}

func (t *tries) left(k try, pause func(n int) time.Duration) time.Duration {
	f, now := t.kept[k], t.now()
	if f.last.After(now) { // the clock was set back: the pause begins anew, and ends
		f.last = now
		t.kept[k] = f
	}
	return max(pause(int(f.n))-now.Sub(f.last), 0)
}

// waitFrom is for how long an address that showed wrong keys is not let in.
func (t *tries) waitFrom(from netip.Prefix) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.left(try{from: from}, func(n int) time.Duration { return pause(n - freeOfAddress) })
}

// failed notes a wrong password.
func (t *tries) failed(name string, from netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if len(t.kept)+3 > most && now.Sub(t.swept).Abs() > time.Minute {
		t.swept = now
		for k, f := range t.kept {
			if now.Sub(f.last).Abs() > forgetAll {
				delete(t.kept, k)
			}
		}
	}
	keys := []try{{name, from}, {from: from}, {name: name}}
	if name == "" {
		keys = keys[1:2] // of a key or a link nothing but the address is known
	}
	for _, k := range keys {
		if _, known := t.kept[k]; !known && len(t.kept) >= most {
			t.evict()
		}
		t.kept[k] = failed{t.kept[k].at(now, k) + 1, now}
	}
}

// evict forgets the oldest of a few that are picked by chance, so that who floods the list is forgotten himself and locks
// nobody out.
func (t *tries) evict() {
	const picked = 16
	var oldest try
	n := 0
	for k, f := range t.kept { // in no order
		if n == 0 || f.last.Before(t.kept[oldest].last) {
			oldest = k
		}
		if n++; n == picked {
			break
		}
	}
	delete(t.kept, oldest)
}

// passed notes that the attempt that was just counted was right: its owner's typing errors from there are forgotten,
// what others tried is not.
func (t *tries) passed(name string, from netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.kept, try{name, from})
	for _, k := range []try{{from: from}, {name: name}} {
		if f, known := t.kept[k]; known {
			t.kept[k] = failed{max(f.n-1, 0), f.last}
		}
	}
}

// allowance lets so many through, and then one now and then; it counts those it holds back.
type allowance struct {
	burst float64
	every time.Duration

	mu   sync.Mutex // guards the fields below
	left float64
	last time.Time
	held int
}

// take reports whether one may pass, and how many were held back since one last did.
func (a *allowance) take(now time.Time) (ok bool, held int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last.IsZero() {
		a.left = a.burst
	} else {
		a.left = min(a.burst, a.left+max(float64(now.Sub(a.last))/float64(a.every), 0))
	}
	a.last = now
	if a.left < 1 {
		a.held++
		return false, 0
	}
	a.left--
	held, a.held = a.held, 0
	return true, held
}
