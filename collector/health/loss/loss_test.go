package loss

import (
	"math"
	"testing"
)

func TestWindow(t *testing.T) {
	for _, tc := range []struct {
		name  string
		runs  [][2]float64 // sent, lost
		ratio float64
		lossy int
	}{
		{"empty", nil, 0, 0},
		{"one of ten", [][2]float64{{10, 1}}, 0.1, 1},
		{"counts are summed, ratios are not averaged", [][2]float64{{10, 1}, {90, 1}}, 0.02, 2},
		{"the oldest leaves", [][2]float64{{10, 9}, {10, 1}, {10, 1}, {10, 1}}, 0.1, 3},
		{"nonsense is left out", [][2]float64{{10, 1}, {0, 0}, {10, 11}, {-1, 0}, {math.NaN(), 0}, {1e9, 0}}, 0.1, 1},
		{"a clean streak that is no luck empties it", [][2]float64{{10, 5}, {10, 0}}, 0, 0},
		{"one that may be luck does not", [][2]float64{{100, 1}, {100, 0}}, 0.005, 1},
		{"everything lost, then nothing", [][2]float64{{10, 10}, {10, 0}}, 0, 0},
	} {
		var w Window
		for _, r := range tc.runs {
			w.Add(3, r[0], r[1])
		}
		if math.Abs(w.Ratio()-tc.ratio) > 1e-9 || w.Lossy() != tc.lossy {
			t.Errorf("%s: ratio %v, lossy %d; want %v, %d", tc.name, w.Ratio(), w.Lossy(), tc.ratio, tc.lossy)
		}
	}
}
