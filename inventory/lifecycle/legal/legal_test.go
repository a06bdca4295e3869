package legal

import (
	"testing"
	"time"

	"communewatch/inventory"
)

func day(s string) inventory.Date { d, _ := inventory.ParseDate(s); return d }

// On every day there is one life for every kind, and no two.
func TestLivesHaveNoGapsAndDoNotOverlap(t *testing.T) {
	kinds := map[string]bool{}
	for _, l := range Lives() {
		kinds[l.Kind] = true
		if l.Years <= 0 || l.YearsMax < l.Years || l.RatePercent <= 0 || l.Norm == "" || l.Source == "" {
			t.Errorf("%+v is not complete", l)
		}
		if l.Verified {
			t.Errorf("%s %s is called verified: whoever compared it with the gazette changes this test too", l.Norm, l.Kind)
		}
	}
	for kind := range kinds {
		for on := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC); on.Year() < 2031; on = on.AddDate(0, 0, 1) {
			n := 0
			for _, l := range Lives() {
				if l.Kind == kind && within(inventory.DateOf(on), l.from, l.until) {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("%s has %d lives on %s", kind, n, on)
			}
		}
	}
}

func TestLifeOf(t *testing.T) {
	for _, tc := range []struct {
		class, on  string
		years, max int
	}{
		{"pc", "2025-12-31", 5, 5}, {"pc", "2026-01-01", 7, 7}, {"printer", "2026-01-01", 7, 7}, {"scanner", "2025-06-01", 5, 5},
		{"switch", "2025-12-31", 10, 10}, {"switch", "2026-01-01", 5, 7}, {"videoconference", "2026-01-01", 5, 7}, {"ups", "2026-01-01", 5, 5}, {"ups", "2025-01-01", 10, 10},
	} {
		l, ok := LifeOf(tc.class, day(tc.on))
		if !ok || l.Years != tc.years || l.YearsMax != tc.max {
			t.Errorf("%s on %s: %d to %d years, want %d to %d", tc.class, tc.on, l.Years, l.YearsMax, tc.years, tc.max)
		}
	}
	if _, ok := LifeOf("", day("2026-01-01")); ok {
		t.Error("equipment of no known class has a life")
	}
}

func TestMaxima(t *testing.T) {
	for _, tc := range []struct {
		item, post string
		staff      int
		units      int
		price      int64
	}{
		{"desktop", PostStaff, 33, 33, 20_000_000}, {"desktop", "", 1, 1, 20_000_000}, {"laptop", PostLeader, 5, 5, 25_000_000}, {"laptop", PostStaff, 5, 5, 20_000_000},
		{"printer", PostStaff, 9, 3, 13_000_000}, {"printer", PostStaff, 10, 4, 13_000_000}, {"scanner", "", 15, 1, 22_000_000}, {"scanner", "", 16, 2, 22_000_000},
		{"photocopier", "", 31, 3, 110_000_000}, {"shredder", "", 0, 0, 10_000_000},
	} {
		m, _, ok := MaximumOf(tc.item, tc.post, day("2026-09-01"))
		if !ok || m.Units(tc.staff) != tc.units || m.Price != tc.price {
			t.Errorf("%s for %q: %v %+v, want %d units at %d", tc.item, tc.post, ok, m, tc.units, tc.price)
		}
	}
	if _, need, ok := MaximumOf("laptop", "", day("2026-09-01")); ok || !need {
		t.Error("a laptop's maximum does not ask whose it is")
	}
	if _, _, ok := MaximumOf("desktop", "", day("2026-03-08")); ok {
		t.Error("a norm holds before it is in force")
	}
}
