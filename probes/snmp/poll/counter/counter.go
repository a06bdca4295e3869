// Package counter tells from two readings of a counter what was counted in between, or that nobody can know.
//
// A counter of 32 bits wraps: on a gigabit line every 34 seconds when it counts octets (RFC 2863, 3.1.6). A wrap and a
// counter that was set anew look alike, since the second reading is the smaller one in both. What tells them apart is how
// far the line can have got in the time.
package counter

import "time"

// Reading is what a counter was. The zero Reading was not given.
type Reading struct {
	Bits  uint8 // 64 or 32; 0: not given
	Value uint64
}

// Verdict says what came of comparing two readings.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota // nothing can be said, and nothing is wrong
	Counted                // the difference is what was counted
	Reset                  // the counter was set anew in between
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

// Bound is how far a counter can have got between two readings, at the very most.
type Bound struct {
	most float64
	sure bool // by the interface's own speed, not by what is assumed of it
}

// Since returns how far a counter got since the reading before.
//
// A 64-bit counter does not wrap in anybody's lifetime: where it went back it was set anew. One of 32 bits may have
// wrapped once, if the way round is possible in the time and going round twice was not. Otherwise it was set anew, or
// nothing can be told. A counter of either width that got farther than the line can carry did not count its way there.
func Since(was, is Reading, b Bound) (uint64, Verdict) {
	if was.Bits == 0 || was.Bits != is.Bits {
		return 0, Unknown
	}
	if is.Bits == 64 {
		if is.Value < was.Value || float64(is.Value-was.Value) > b.most {
			return 0, Reset
		}
		return is.Value - was.Value, Counted
	}
	if b.most >= 1<<32 {
		return 0, Unknown // it may have gone round more often than once
	}
	if is.Value >= was.Value {
		if n := is.Value - was.Value; !b.sure || float64(n) <= b.most {
			return n, Counted
		}
		return 0, Reset
	}
	if round := is.Value + 1<<32 - was.Value; b.sure && float64(round) <= b.most {
		return round, Counted
	}
	return 0, Reset
}

// Octets bounds a counter of octets on a line of bps bit/s (0: not known) that counts in so many bits, over d.
func Octets(bps float64, bits uint8, d time.Duration) Bound {
	switch {
	case bits == 64 && bps <= narrowBPS:
		return Bound{absurdBPS / 8 * d.Seconds(), true}
	case bps == 0:
		return Bound{headroom * assumedBPS / 8 * d.Seconds(), false}
	}
	return Bound{headroom * bps / 8 * d.Seconds(), true}
}

// Packets bounds a counter of packets, likewise.
func Packets(bps float64, bits uint8, d time.Duration) Bound {
	b := Octets(bps, bits, d)
	b.most = b.most * 8 / smallestFrame
	return b
}
