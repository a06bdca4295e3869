package past

import (
	"math"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/probes/wire"
)

// TestEverySiteHasChartsOfEachLength: hours of pings for a month, and rows up to the moment.
func TestEverySiteHasChartsOfEachLength(t *testing.T) {
	o := options(t, 7, 40)
	o.PingHours, o.Raw, o.RawTo, o.RawEvery = 31*24*time.Hour, 25*time.Hour, o.To.Add(40*time.Minute), 5*time.Minute
	s, f := fill(t, o)
	hours, newest := map[string]int{}, map[string]time.Time{}
	for _, r := range s.rows[rollup.Hour] {
		if r.Measurement == "icmp" && r.Tags.Get("target") == "broadband-anchor" {
			hours[r.Tags.Get("site")]++
		}
	}
	for _, r := range s.raw {
		series, err := wire.ParseKey(r.Key)
		if err != nil {
			t.Fatal(err)
		}
		at, site := time.Unix(0, r.Time), series.Tags.Get("site")
		if !at.Before(o.RawTo) {
			t.Fatalf("a row of %v, which is still to come", at)
		}
		if at.After(newest[site]) {
			newest[site] = at
		}
	}
	for _, site := range o.Sites {
		want := 31 * 24
		for _, off := range f.Off[site] {
			want -= int(off.To.Sub(off.From)/time.Hour) + 1
		}
		if hours[site] < max(want, 150) {
			t.Errorf("%s has %d hours of pings, want %d", site, hours[site], want)
		}
		if o.RawTo.Sub(newest[site]) > o.RawEvery {
			t.Errorf("the newest row of %s is of %v", site, newest[site])
		}
	}
}

// TestAPastEndsCalmly: a judge that looks back from the end finds nothing to announce.
func TestAPastEndsCalmly(t *testing.T) {
	o := options(t, 24, 20)
	o.Raw, o.RawEvery = 80*time.Minute, 5*time.Minute
	s, _ := fill(t, o)
	for _, r := range s.raw {
		for _, f := range r.Fields {
			if string(f.Key) == "up" && f.Num != 1 || string(f.Key) == "lost" && f.Num != 0 {
				t.Fatalf("%s at %v: %s is %v", r.Key, time.Unix(0, r.Time), f.Key, f.Num)
			}
		}
	}
	if len(s.raw) == 0 {
		t.Error("there are no rows")
	}
}

// TestFiguresWander: months, days and hours of one line differ, and by no more than lines do.
func TestFiguresWander(t *testing.T) {
	o := options(t, 1, 400)
	o.PingHours = 31 * 24 * time.Hour
	s, _ := fill(t, o)
	for level, least := range map[rollup.Level]float64{rollup.Hour: 0.15, rollup.Day: 0.1, rollup.Month: 0.02} {
		low, high, ratio := math.Inf(1), 0.0, map[int]bool{}
		for _, r := range s.rows[level] {
			if r.Measurement != "icmp" || r.Tags.Get("target") != "dedicated-anchor" {
				continue
			}
			rtt, ok := r.Field("rtt_median_seconds")
			jitter, jok := r.Field("jitter_seconds")
			if !ok || !jok {
				continue
			}
			p50 := rtt.Sketch.Quantile(0.5)
			low, high = min(low, p50), max(high, p50)
			ratio[int(1000*jitter.Sum/rtt.Sum)] = true
		}
		if low*(1+least) > high || high > 4*low {
			t.Errorf("%v: round trips from %v to %v s", level, low, high)
		}
		if len(ratio) < 5 {
			t.Errorf("%v: jitter is always the same part of them", level)
		}
	}
}
