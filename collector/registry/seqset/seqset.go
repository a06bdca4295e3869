// Package seqset is a set of batch numbers that is small however many there are: agents number what they send from 1, and
// nearly all of it arrives. So everything up to a number is one figure, and what came above it a few ranges. What never
// came is the loss that screens show.
package seqset

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Max is the highest number: an agent that sends a batch every second reaches it in 35 million years.
const Max = 1 << 50

// Set is a set of numbers from 1 that is nearly all of them: everything up to Through (but for Skipped of them),
// and a few ranges above. The zero value is empty.
type Set struct {
	Through uint64
	Skipped uint64 // numbers up to Through that never came and were given up
	above   []span // rising; a gap before each
}

type span struct{ lo, hi uint64 } // both inclusive

// maxSpans bounds the ranges. An agent sends from both ends of its spool, which makes two; each batch that it had to
// drop makes one more. When there are more, the oldest gap is given up: it stays missing for good.
const maxSpans = 256

// Add puts n into the set and reports whether it was new. A number in a gap that was given up counts as not new.
func (s *Set) Add(n uint64) bool {
	if n <= s.Through {
		return false
	}
	i, found := slices.BinarySearchFunc(s.above, n, func(p span, n uint64) int {
		switch {
		case p.hi < n:
			return -1
		case p.lo > n:
			return 1
		}
		return 0
	})
	if found {
		return false
	}
	joinsLeft := i > 0 && s.above[i-1].hi+1 == n
	joinsRight := i < len(s.above) && n+1 == s.above[i].lo
	switch {
	case joinsLeft && joinsRight:
		s.above[i-1].hi = s.above[i].hi
		s.above = slices.Delete(s.above, i, i+1)
	case joinsLeft:
		s.above[i-1].hi = n
	case joinsRight:
		s.above[i].lo = n
	default:
		s.above = slices.Insert(s.above, i, span{n, n})
	}
	if len(s.above) > maxSpans {
		s.Skipped += s.above[0].lo - s.Through - 1
		s.Through = s.above[0].lo - 1
	}
	if len(s.above) > 0 && s.above[0].lo == s.Through+1 {
		s.Through = s.above[0].hi
		s.above = slices.Delete(s.above, 0, 1)
	}
	return true
}

// Highest is the highest number in it, 0 for none.
func (s *Set) Highest() uint64 {
	if len(s.above) > 0 {
		return s.above[len(s.above)-1].hi
	}
	return s.Through
}

// Received is how many numbers are in it.
func (s *Set) Received() uint64 {
	n := s.Through - s.Skipped
	for _, p := range s.above {
		n += p.hi - p.lo + 1
	}
	return n
}

// Missing is how many numbers below the highest are not.
func (s *Set) Missing() uint64 { return s.Highest() - s.Received() }

// Encode appends the ranges above Through as pairs of varints: length of the gap before, length of the range.
func (s *Set) Encode(dst []byte) []byte {
	at := s.Through
	for _, p := range s.above {
		dst = binary.AppendUvarint(dst, p.lo-at-1)
		dst = binary.AppendUvarint(dst, p.hi-p.lo+1)
		at = p.hi
	}
	return dst
}

var errSpans = errors.New("the ranges of an account make no sense: the database is damaged")

// Decode is the inverse of Encode; Through and Skipped must be set.
func (s *Set) Decode(src []byte) error {
	s.above = s.above[:0]
	at := s.Through
	if at > Max || s.Skipped > at {
		return errSpans
	}
	for len(src) > 0 {
		gap, n := binary.Uvarint(src)
		if n <= 0 {
			return errSpans
		}
		length, m := binary.Uvarint(src[n:])
		if m <= 0 || gap == 0 || length == 0 || gap > Max || length > Max || at+gap+length > Max || len(s.above) > maxSpans {
			return errSpans
		}
		src = src[n+m:]
		s.above = append(s.above, span{at + gap + 1, at + gap + length})
		at += gap + length
	}
	return nil
}
