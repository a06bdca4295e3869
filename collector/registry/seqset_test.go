package registry

import (
	"math/rand/v2"
	"testing"
)

// The set against a map that has everything in it.
func TestSeqSet(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var s seqSet
		truth := map[uint64]bool{}
		var highest uint64
		for range 600 {
			n := 1 + rnd.Uint64N(400)
			if got, want := s.add(n), !truth[n]; got != want {
				t.Fatalf("seed %d: add(%d) = %v with it there: %v", seed, n, got, !want)
			}
			truth[n] = true
			highest = max(highest, n)
			if s.received() != uint64(len(truth)) || s.highest() != highest || s.missing() != highest-uint64(len(truth)) {
				t.Fatalf("seed %d: %d received, highest %d, missing %d; want %d, %d", seed, s.received(), s.highest(), s.missing(), len(truth), highest)
			}
			again := seqSet{through: s.through, skipped: s.skipped}
			if err := again.decode(s.encode(nil)); err != nil || again.received() != s.received() || again.highest() != s.highest() {
				t.Fatalf("seed %d: %+v became %+v, %v", seed, s, again, err)
			}
		}
		for n := uint64(1); n <= highest; n++ {
			s.add(n)
		}
		if s.missing() != 0 || len(s.above) != 0 || s.through != highest {
			t.Fatalf("seed %d: full, but %+v", seed, s)
		}
	}
}

// With very many gaps the set stays small, forgets no loss, and does not count what it gave up twice.
func TestSeqSetBound(t *testing.T) {
	var s seqSet
	const n = 10_000
	for i := uint64(1); i <= n; i++ {
		s.add(2 * i) // every other one is missing
	}
	if len(s.above) > maxSpans || s.received() != n || s.missing() != n || s.highest() != 2*n {
		t.Errorf("%d spans, received %d, missing %d, highest %d", len(s.above), s.received(), s.missing(), s.highest())
	}
	if s.add(1) {
		t.Error("a number that was given up was taken as new")
	}
	if !s.add(2*n-1) || s.missing() != n-1 {
		t.Error("a number in a recent gap was not taken")
	}
	again := seqSet{through: s.through, skipped: s.skipped}
	if err := again.decode(s.encode(nil)); err != nil || again.missing() != s.missing() {
		t.Error(again.missing(), err)
	}
}

func FuzzSeqSetDecode(f *testing.F) {
	f.Add(uint64(5), uint64(1), []byte{1, 2, 3, 4})
	f.Add(uint64(0), uint64(0), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1})
	f.Fuzz(func(t *testing.T, through, skipped uint64, src []byte) {
		s := seqSet{through: through, skipped: skipped}
		if s.decode(src) != nil {
			return
		}
		if s.received()+s.missing() != s.highest() || s.highest() > maxSeq {
			t.Fatalf("%+v", s)
		}
		s.add(s.highest() + 1)
	})
}
