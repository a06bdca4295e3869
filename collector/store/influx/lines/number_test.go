package lines

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Numbers are written as strconv writes them in their shortest form, and read as the same numbers.
func TestNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := []float64{0.1, 0.3, -0.25, 1e-6, 0.000001001, 9.999999999e-7, 0.1 + 0.2, 1.0 / 3, 999_999.999999999, 999_999.9999999999, 1e6 + 0.1, 0.010101, 0.5e-9, 2.5e-10,
		math.SmallestNonzeroFloat64, math.MaxFloat64, math.Copysign(0, -1), 1 << 52, 1<<52 + 0.5}
	for range 200_000 {
		decimals := math.Pow10(random.IntN(12))
		values = append(values, math.Round(random.Float64()*decimals*10)/decimals, -random.ExpFloat64(), math.Float64frombits(random.Uint64()))
	}
	for _, v := range values {
		if v-v != 0 {
			continue // not finite, and never written
		}
		got := string(appendNumber(nil, v))
		if back, err := strconv.ParseFloat(got, 64); err != nil || math.Float64bits(back) != math.Float64bits(v) {
			t.Fatalf("%v is written as %s and read as %v, %v", v, got, back, err)
		}
		format := byte('f')
		if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e15) {
			format = 'g'
		}
		if want := strconv.FormatFloat(v, format, -1, 64); got != want {
			t.Fatalf("%v is written as %s, want %s", v, got, want)
		}
	}
}
