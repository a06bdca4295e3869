package registry

import (
	"encoding/binary"
	"errors"
	"slices"
)

// seqSet is a set of numbers from 1 that is nearly all of them: everything up to through (but for skipped of them),
// and a few ranges above. The zero value is empty.
type seqSet struct {
	through uint64
	skipped uint64 // numbers up to through that never came and were given up
	above   []span // rising; a gap before each
}

type span struct{ lo, hi uint64 } // both inclusive

// maxSpans bounds the ranges. An agent sends from both ends of its spool, which makes two; each batch that it had to
// drop makes one more. When there are more, the oldest gap is given up: it stays missing for good.
const maxSpans = 256

// add puts n into the set and reports whether it was new. A number in a gap that was given up counts as not new.
func (s *seqSet) add(n uint64) bool {
	if n <= s.through {
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
		s.skipped += s.above[0].lo - s.through - 1
		s.through = s.above[0].lo - 1
	}
	if len(s.above) > 0 && s.above[0].lo == s.through+1 {
		s.through = s.above[0].hi
		s.above = slices.Delete(s.above, 0, 1)
	}
	return true
}

func (s *seqSet) highest() uint64 {
	if len(s.above) > 0 {
		return s.above[len(s.above)-1].hi
	}
	return s.through
}

func (s *seqSet) received() uint64 {
	n := s.through - s.skipped
	for _, p := range s.above {
		n += p.hi - p.lo + 1
	}
	return n
}

func (s *seqSet) missing() uint64 { return s.highest() - s.received() }

// encode appends the ranges above through as pairs of varints: length of the gap before, length of the range.
func (s *seqSet) encode(dst []byte) []byte {
	at := s.through
	for _, p := range s.above {
		dst = binary.AppendUvarint(dst, p.lo-at-1)
		dst = binary.AppendUvarint(dst, p.hi-p.lo+1)
		at = p.hi
	}
	return dst
}

var errSpans = errors.New("the ranges of an account make no sense: the database is damaged")

// decode is the inverse of encode; through must be set.
func (s *seqSet) decode(src []byte) error {
	s.above = s.above[:0]
	at := s.through
	if at > maxSeq || s.skipped > at {
		return errSpans
	}
	for len(src) > 0 {
		gap, n := binary.Uvarint(src)
		if n <= 0 {
			return errSpans
		}
		length, m := binary.Uvarint(src[n:])
		if m <= 0 || gap == 0 || length == 0 || gap > maxSeq || length > maxSeq || at+gap+length > maxSeq || len(s.above) > maxSpans {
			return errSpans
		}
		src = src[n+m:]
		s.above = append(s.above, span{at + gap + 1, at + gap + length})
		at += gap + length
	}
	return nil
}
