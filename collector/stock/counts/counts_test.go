package counts

import (
	"math/rand/v2"
	"testing"

	"communewatch/collector/stock/view"
)

// However devices are, the three numbers add up, and every way to divide them holds them all.
func TestNumbersAddUp(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	for range 50 {
		c, n, failures := New(), rnd.IntN(40), 0
		for range n {
			r := view.Row{District: pick("a", "b", ""), Site: pick("s1", "s2"), Phase: pick("", "Đợt 1"), Class: pick("pc", ""), Vendor: pick("HP", ""), Model: pick("x", "y", ""),
				Version: pick("1", "2", ""), Standing: view.Standing(pick("outdated", "fine", "unknown", "")), Failures: rnd.IntN(3)}
			failures += r.Failures
			c.Add(&r, rnd.Float64())
		}
		s := c.Summary(func(phase string) int { return len(phase) })
		for name, list := range map[string][]view.Count{"total": {s.Total}, "districts": s.Districts, "sites": s.Sites, "phases": s.Phases, "classes": s.Classes} {
			sum := 0
			for _, x := range list {
				if sum += x.Devices; x.Outdated+x.Fine+x.Unknown != x.Devices {
					t.Errorf("%s: %+v", name, x)
				}
			}
			if sum != n {
				t.Errorf("%s hold %d devices of %d", name, sum, n)
			}
		}
		sum := 0
		for _, f := range s.Failures.ByPhase {
			if sum += f.Failures; f.Thin != (f.Years < view.MinYears) || f.Years > 0 && (f.Low > f.Rate || f.High < f.Rate) {
				t.Errorf("%+v", f)
			}
		}
		if sum != failures {
			t.Errorf("%d failures of %d", sum, failures)
		}
	}
}
