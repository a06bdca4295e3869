package poll

import "time"

// counter is a reading of one. The zero counter was not given.
type counter struct {
	bits  uint8 // 64 or 32; 0: not given
	value uint64
}

// verdict says what came of comparing two readings.
type verdict uint8

const (
	unknown verdict = iota // nothing can be said, and nothing is wrong
	counted                // the difference is what was counted
	reset                  // the counter went back and it was no wrap
)

const (
	headroom = 1.1 // of a nominal speed: clocks and caches of devices are not exact

	// absurd is a rate that no interface of an office has; a 64-bit counter that jumps by more was set anew.
	absurdBPS = 1e12

	// An interface without a speed of its own (a tunnel, a dial-up line) is taken for at most so fast when its 32-bit
	// counters are to be believed.
	assumedBPS = 100e6

	// narrowBPS is the speed up to which counters of 32 bits are enough (RFC 2863, 3.1.6). A lower one beside those of 64
	// bits is mostly made up, as virtual interfaces do that know none.
	narrowBPS = 20e6

	// smallestFrame is what a packet takes at least on the wire of an Ethernet, in bits: 64 bytes, and 20 between two.
	smallestFrame = 84 * 8
)

// bound is how far a counter can have got between two readings, at the very most.
type bound struct {
	most float64
	sure bool // by the interface's own speed, not by what is assumed of it
}

// since returns how far a counter got since the reading before.
//
// A 64-bit counter does not wrap in anybody's lifetime: where it went back it was set anew. One of 32 bits may have
// wrapped once, if the way round is possible in the time and going round twice was not. Otherwise it was set anew, or
// nothing can be told. A counter of either width that got farther than the line can carry did not count its way there.
func since(was, is counter, b bound) (uint64, verdict) {
	if was.bits == 0 || was.bits != is.bits {
		return 0, unknown
	}
	if is.bits == 64 {
		if is.value < was.value || float64(is.value-was.value) > b.most {
			return 0, reset
		}
		return is.value - was.value, counted
	}
	if b.most >= 1<<32 {
		return 0, unknown // it may have gone round more often than once
	}
	if is.value >= was.value {
		if n := is.value - was.value; !b.sure || float64(n) <= b.most {
			return n, counted
		}
		return 0, reset
	}
	if round := is.value + 1<<32 - was.value; b.sure && float64(round) <= b.most {
		return round, counted
	}
	return 0, reset
}

// octets bounds a counter of octets.
func octets(bps float64, bits uint8, d time.Duration) bound {
	switch {
	case bits == 64 && bps <= narrowBPS:
		return bound{absurdBPS / 8 * d.Seconds(), true}
	case bps == 0:
		return bound{headroom * assumedBPS / 8 * d.Seconds(), false}
	}
	return bound{headroom * bps / 8 * d.Seconds(), true}
}

// packets bounds a counter of packets.
func packets(bps float64, bits uint8, d time.Duration) bound {
	b := octets(bps, bits, d)
	b.most = b.most * 8 / smallestFrame
	return b
}
