package counter

import (
	"math"
	"testing"
	"time"
)

// No two readings give a rate above what the line carries, and no wrap is made of a counter of 64 bits.
func TestSinceStaysWithinTheLine(t *testing.T) {
	edges := []uint64{0, 1, 5, 1 << 20, 1<<32 - 1, 1 << 40, 1<<63 - 1, math.MaxUint64}
	for _, bits := range []uint8{32, 64} {
		for _, bps := range []float64{0, 1e6, 10e6, 100e6, 1e9, 10e9} {
			for _, d := range []time.Duration{time.Second, time.Minute, time.Hour} {
				b := Octets(bps, bits, d)
				for _, was := range edges {
					for _, is := range edges {
						if bits == 32 && (was >= 1<<32 || is >= 1<<32) {
							continue
						}
						n, v := Since(Reading{bits, was}, Reading{bits, is}, b)
						if v != Counted && n != 0 {
							t.Errorf("%d bits, %d to %d: %d with verdict %d", bits, was, is, n, v)
						}
						if v == Counted && b.sure && float64(n) > b.most {
							t.Errorf("%d bits at %g bit/s, %d to %d in %s: %d", bits, bps, was, is, d, n)
						}
						if bits == 64 && is < was && v != Reset {
							t.Errorf("64 bits went from %d to %d: verdict %d", was, is, v)
						}
					}
				}
			}
		}
	}
	if _, v := Since(Reading{}, Reading{64, 5}, Octets(1e9, 64, time.Minute)); v != Unknown {
		t.Errorf("a counter that is new: verdict %d", v)
	}
}
