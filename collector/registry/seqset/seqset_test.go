package seqset

import (
	"math/rand/v2"
	"testing"
)

// The set against a map that has everything in it.
func TestSeqSet(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var s Set
		truth := map[uint64]bool{}
		var highest uint64
		for range 600 {
			n := 1 + rnd.Uint64N(400)
			if got, want := s.Add(n), !truth[n]; got != want {
				t.Fatalf("seed %d: add(%d) = %v with it there: %v", seed, n, got, !want)
			}
			truth[n] = true
			highest = max(highest, n)
			if s.Received() != uint64(len(truth)) || s.Highest() != highest || s.Missing() != highest-uint64(len(truth)) {
				t.Fatalf("seed %d: %d received, highest %d, missing %d; want %d, %d", seed, s.Received(), s.Highest(), s.Missing(), len(truth), highest)
			}
			again := Set{Through: s.Through, Skipped: s.Skipped}
			if err := again.Decode(s.Encode(nil)); err != nil || again.Received() != s.Received() || again.Highest() != s.Highest() {
				t.Fatalf("seed %d: %+v became %+v, %v", seed, s, again, err)
			}
		}
		for n := uint64(1); n <= highest; n++ {
			s.Add(n)
		}
		if s.Missing() != 0 || len(s.above) != 0 || s.Through != highest {
			t.Fatalf("seed %d: full, but %+v", seed, s)
		}
	}
}

// With very many gaps the set stays small, forgets no loss, and does not count what it gave up twice.
func TestSeqSetBound(t *testing.T) {
	var s Set
	const n = 10_000
	for i := uint64(1); i <= n; i++ {
		s.Add(2 * i) // every other one is missing
	}
	if len(s.above) > maxSpans || s.Received() != n || s.Missing() != n || s.Highest() != 2*n {
		t.Errorf("%d spans, received %d, missing %d, highest %d", len(s.above), s.Received(), s.Missing(), s.Highest())
	}
	if s.Add(1) {
		t.Error("a number that was given up was taken as new")
	}
	if !s.Add(2*n-1) || s.Missing() != n-1 {
		t.Error("a number in a recent gap was not taken")
	}
	again := Set{Through: s.Through, Skipped: s.Skipped}
	if err := again.Decode(s.Encode(nil)); err != nil || again.Missing() != s.Missing() {
		t.Error(again.Missing(), err)
	}
}

func FuzzSeqSetDecode(f *testing.F) {
	f.Add(uint64(5), uint64(1), []byte{1, 2, 3, 4})
	f.Add(uint64(0), uint64(0), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1})
	f.Fuzz(func(t *testing.T, through, skipped uint64, src []byte) {
		s := Set{Through: through, Skipped: skipped}
		if s.Decode(src) != nil {
			return
		}
		if s.Received()+s.Missing() != s.Highest() || s.Highest() > Max {
			t.Fatalf("%+v", s)
		}
		s.Add(s.Highest() + 1)
	})
}
