package rate

import (
	"math"
	"testing"
)

// The limits are those of tables of the exact Poisson interval.
func TestPoisson(t *testing.T) {
	for n, want := range map[int][2]float64{
		0: {0, 3.6889}, 1: {0.0253, 5.5716}, 3: {0.6187, 8.7673}, 10: {4.7954, 18.3904}, 100: {81.3639, 121.6272},
	} {
		low, high := Poisson(n)
		if math.Abs(low-want[0]) > 1e-3 || math.Abs(high-want[1]) > 1e-3 {
			t.Errorf("%d: %.4f to %.4f, want %v", n, low, high, want)
		}
	}
	if low, high := Poisson(5000); low < 4800 || high > 5200 || math.IsNaN(high) {
		t.Error(low, high)
	}
}
