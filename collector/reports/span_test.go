package reports_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"communewatch/collector/reports"
)

// Spans are held against sets of minutes.
func TestSpans(t *testing.T) {
	const length = 60
	t0 := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(5, 6))
	minutes := func(spans []reports.Span) (set [length]bool) {
		for _, s := range spans {
			for i := range set {
				if at := t0.Add(time.Duration(i) * time.Minute); !at.Before(s.From) && at.Before(s.To) {
					set[i] = true
				}
			}
		}
		return set
	}
	some := func() (out []reports.Span) {
		for range random.IntN(6) {
			from := random.IntN(length)
			out = append(out, reports.Span{From: t0.Add(time.Duration(from) * time.Minute), To: t0.Add(time.Duration(from-1+random.IntN(12)) * time.Minute)})
		}
		return out
	}
	for range 3000 {
		a, b := some(), some()
		ua, ub := reports.Union(a), reports.Union(b)
		inA, inB, common, without := minutes(a), minutes(b), minutes(reports.Common(ua, ub)), minutes(reports.Without(ua, ub))
		if minutes(ua) != inA {
			t.Fatalf("union of %v is %v", a, ua)
		}
		for i := 1; i < len(ua); i++ {
			if !ua[i].From.After(ua[i-1].To) {
				t.Fatalf("union of %v is %v, which touches", a, ua)
			}
		}
		seconds := 0.0
		for i := range inA {
			if common[i] != (inA[i] && inB[i]) || without[i] != (inA[i] && !inB[i]) {
				t.Fatalf("%v and %v: in common %v, without %v", ua, ub, reports.Common(ua, ub), reports.Without(ua, ub))
			}
			if inA[i] {
				seconds += 60
			}
		}
		for _, s := range ua { // what lies beyond the minutes looked at
			if end := t0.Add(length * time.Minute); s.To.After(end) {
				seconds += s.To.Sub(end).Seconds()
			}
			if s.From.Before(t0) {
				seconds += t0.Sub(s.From).Seconds()
			}
		}
		if reports.Seconds(ua) != seconds {
			t.Fatalf("%v are %v s, not %v", ua, reports.Seconds(ua), seconds)
		}
	}
}

func TestOverlap(t *testing.T) {
	c := func(from, to string) reports.Contract { return reports.Contract{From: from, To: to} }
	for _, x := range []struct {
		a, b reports.Contract
		want bool
	}{
		{c("", ""), c("2026-01-01", ""), false}, // open ones end when the next begins
		{c("2025-01-01", "2025-12-31"), c("2026-01-01", ""), false},
		{c("2025-01-01", "2026-01-01"), c("2026-01-01", ""), true},
		{c("2026-01-01", ""), c("2026-01-01", "2026-02-01"), true},
	} {
		if got := reports.Overlap(x.a, x.b); got != x.want {
			t.Errorf("%v, %v: %v", x.a, x.b, got)
		}
	}
}
