package schedule

import (
	"hash/fnv"
	"time"
)

// Phase is where in its interval a job runs: a hash of who runs it and what it is called. It is the same after every
// restart, so that a daily pattern in the data is the network's and not the restarts', and it differs between agents,
// so that 136 of them that were switched on together don't knock at the same anchor in the same second.
func Phase(owner, name string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(owner))
	h.Write([]byte{0})
	h.Write([]byte(name))
	x := h.Sum64()
	// FNV alone keeps names that differ in their last letter close together; these multiplications (the finalizer of
	// MurmurHash3, public domain) spread every bit over the whole word.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return time.Duration(x % uint64(interval))
}

// nextSlot is the first moment after now that lies phase into a multiple of interval. All three are lengths of time
// since the same origin.
func nextSlot(now, phase, interval time.Duration) time.Duration {
	into := (now - phase) % interval
	if into < 0 {
		into += interval
	}
	return now - into + interval
}
