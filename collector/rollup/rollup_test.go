package rollup

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("no time zones on this machine: %v", err)
	}
	return z
}

func TestLevelNames(t *testing.T) {
	for _, l := range append(Levels(), Raw) {
		if got, err := ParseLevel(l.String()); err != nil || got != l {
			t.Errorf("%v read back as %v, %v", l, got, err)
		}
	}
	for _, bad := range []string{"", "1H", "5min", "1m"} {
		if _, err := ParseLevel(bad); err == nil || !strings.Contains(err.Error(), "1mo") {
			t.Errorf("%q: %v; want an error that names what there is", bad, err)
		}
	}
}

func TestWindowBounds(t *testing.T) {
	for _, c := range []struct{ level, zone, at, start, next string }{
		{"5m", "UTC", "2026-11-26T06:14:59Z", "2026-11-26T06:10:00Z", "2026-11-26T06:15:00Z"},
		{"5m", "UTC", "2026-11-26T06:15:00Z", "2026-11-26T06:15:00Z", "2026-11-26T06:20:00Z"},
		{"5m", "UTC", "1969-12-31T23:59:59Z", "1969-12-31T23:55:00Z", "1970-01-01T00:00:00Z"},
		{"1h", "Asia/Ho_Chi_Minh", "2026-11-26T06:14:59Z", "2026-11-26T06:00:00Z", "2026-11-26T07:00:00Z"},
		{"1h", "UTC", "1931-05-06T07:59:59.999Z", "1931-05-06T07:00:00Z", "1931-05-06T08:00:00Z"},
		{"1d", "Asia/Ho_Chi_Minh", "2026-11-26T06:14:59Z", "2026-11-25T17:00:00Z", "2026-11-26T17:00:00Z"},
		{"1d", "Asia/Ho_Chi_Minh", "2026-11-26T17:00:00Z", "2026-11-26T17:00:00Z", "2026-11-27T17:00:00Z"},
		{"1d", "Asia/Ho_Chi_Minh", "2028-02-28T20:00:00Z", "2028-02-28T17:00:00Z", "2028-02-29T17:00:00Z"}, // 29 February
		{"1d", "Asia/Ho_Chi_Minh", "1960-01-01T00:00:00Z", "1959-12-31T16:00:00Z", "1960-01-01T16:00:00Z"}, // UTC+8 until 1975
		{"1mo", "Asia/Ho_Chi_Minh", "2028-02-29T16:59:59Z", "2028-01-31T17:00:00Z", "2028-02-29T17:00:00Z"},
		{"1mo", "Asia/Ho_Chi_Minh", "2026-12-31T17:00:00Z", "2026-12-31T17:00:00Z", "2027-01-31T17:00:00Z"},
		{"1mo", "UTC", "1969-02-28T23:00:00Z", "1969-02-01T00:00:00Z", "1969-03-01T00:00:00Z"},
		{"1d", "Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},     // 23 hours
		{"1d", "Europe/Berlin", "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},     // 25 hours
		{"1d", "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}, // no midnight
		{"1d", "America/Sao_Paulo", "2018-11-04T02:59:00Z", "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"1d", "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"}, // two of them
		{"1d", "America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		{"1d", "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"}, // the 30th was left out
	} {
		z := zone(t, c.zone)
		level, err := ParseLevel(c.level)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, c.at)
		if err != nil {
			t.Fatal(err)
		}
		start := level.Start(at, z)
		next := level.Next(start, z)
		if s, n := start.UTC().Format(time.RFC3339), next.UTC().Format(time.RFC3339); s != c.start || n != c.next {
			t.Errorf("%s in %s at %s: from %s to %s, want from %s to %s", c.level, c.zone, c.at, s, n, c.start, c.next)
		}
	}
}

// TestWindowsTile: windows of every level follow one another without gap or overlap, each time is in its own, and each
// is made of whole windows of the level before.
func TestWindowsTile(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, name := range []string{"Asia/Ho_Chi_Minh", "UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana"} {
		z := zone(t, name)
		for _, l := range Levels() {
			for range 400 {
				at := time.UnixMilli(r.Int64N(130*365*86_400_000) - 40*365*86_400_000) // 1930 to 2060
				start := l.Start(at, z)
				next := l.Next(start, z)
				if at.Before(start) || !at.Before(next) {
					t.Fatalf("%v in %s: %v is not from %v to %v", l, name, at.UTC(), start, next)
				}
				if again := l.Start(next.Add(-time.Millisecond), z); !again.Equal(start) {
					t.Fatalf("%v in %s: the end of the window of %v is in that of %v", l, name, start, again)
				}
				if again := l.Start(next, z); !again.Equal(next) {
					t.Fatalf("%v in %s: the next window of %v, %v, begins at %v", l, name, start, next, again)
				}
				if l > FiveMinutes && !(l-1).Start(start, z).Equal(start) {
					t.Fatalf("%v in %s: %v is no start of a window of %v", l, name, start, l-1)
				}
				from, to := l.bounds(at.UnixMilli(), z)
				if from != start.UnixMilli() || to != next.UnixMilli() {
					t.Fatalf("%v in %s: bounds of %v differ from Start and Next", l, name, at.UTC())
				}
			}
		}
	}
}

func TestAggregateSumsStayFinite(t *testing.T) {
	var a, b Aggregate
	for range 3 {
		a.Add(math.MaxFloat64)
		b.Add(-math.MaxFloat64)
	}
	a.Add(math.NaN())
	a.Add(math.Inf(-1))
	if a.Count != 3 || a.Sum != math.MaxFloat64 || a.Min != math.MaxFloat64 {
		t.Errorf("three times the largest float: %+v", a)
	}
	a.Merge(&a)
	b.Merge(&b)
	if a.Sum != math.MaxFloat64 || b.Sum != -math.MaxFloat64 {
		t.Errorf("merged: %v and %v", a.Sum, b.Sum)
	}
}

// TestQuantileOfPartsWithoutSketch: a percentile of some of the parts is not passed off as one of all.
func TestQuantileOfPartsWithoutSketch(t *testing.T) {
	with, without := Aggregate{Sketch: new(Sketch)}, Aggregate{}
	with.Add(1)
	without.Add(100)
	for name, parts := range map[string][]*Aggregate{"first": {&without, &with, &with}, "last": {&with, &with, &without}, "between": {&with, &without, &with}} {
		var a Aggregate
		for _, p := range parts {
			a.Merge(p)
		}
		if v, ok := a.Quantile(0.5); ok {
			t.Errorf("part without a sketch %s: median %v", name, v)
		}
		if a.Count != 3 || with.Sketch.Count() != 1 {
			t.Errorf("part without a sketch %s: %d numbers, a part has %d", name, a.Count, with.Sketch.Count())
		}
	}
	var a Aggregate
	a.Merge(new(Aggregate)) // of nothing
	a.Merge(&with)
	if v, ok := a.Quantile(0.95); !ok || v != 1 {
		t.Errorf("after a part of nothing: %v, %v", v, ok)
	}
}

// TestNoNameStandsForTwoThings: the totals of texts are called like no field, and the rollups' own measurement like
// none of the contract.
func TestNoNameStandsForTwoThings(t *testing.T) {
	for _, m := range probes.Schema() {
		if m.Name == "line" {
			t.Error("a measurement of the contract is called line, as what reports account for")
		}
		of := map[string]string{}
		claim := func(name, by string) {
			if other, taken := of[name]; taken {
				t.Errorf("%s: windows call both %s and %s %q", m.Name, by, other, name)
			}
			of[name] = by
		}
		for _, f := range m.Fields {
			if f.Type != probes.TypeString {
				claim(f.Key, "the field "+f.Key)
			}
			for _, v := range f.Enum {
				claim(TotalKey(f.Key, v), "the value "+v+" of "+f.Key)
			}
			if f.Distribution && (f.Type == probes.TypeString || f.Type == probes.TypeBool) {
				t.Errorf("%s.%s: a %v has no percentiles", m.Name, f.Key, f.Type)
			}
		}
	}
}
