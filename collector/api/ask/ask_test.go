package ask

import (
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

func TestSpan(t *testing.T) {
	hour := time.Hour
	for _, tc := range []struct {
		query    string
		from, to time.Time
	}{
		{"", now.Add(-hour), now},
		{"range=90s", now.Add(-90 * time.Second), now},
		{"range=30d", now.Add(-30 * 24 * hour), now},
		{"from=2026-11-22T08:00:00%2B07:00", time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC), now},
		{"from=1700000000.5&to=1700000060", time.UnixMilli(1700000000500), time.Unix(1700000060, 0)},
		{"from=2026-12-01T00:00:00Z&to=2026-12-02T00:00:00Z", time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)},
	} {
		q, _ := url.ParseQuery(tc.query)
		from, to, err := Span(q, now, hour, 31*24*hour)
		if err != nil || !from.Equal(tc.from) || !to.Equal(tc.to) {
			t.Errorf("%s: %v to %v, %v", tc.query, from, to, err)
		}
	}
	for _, query := range []string{"range=0s", "range=-1h", "range=", "range=1", "range=32d", "range=99999d", "range=1h&to=5", "to=5", "from=x",
		"from=NaN", "from=Inf", "from=-1", "from=1e300", "from=2026-11-23", "from=9999-01-01T00:00:00Z", "from=10&to=10", "from=2026-11-24T00:00:00Z",
		"range=1h&range=2h%00&from="} {
		q, _ := url.ParseQuery(query)
		if from, to, err := Span(q, now, hour, 31*24*hour); err == nil {
			t.Errorf("%s was taken as %v to %v", query, from, to)
		}
	}
}

func TestStepsFitTheRange(t *testing.T) {
	for query, want := range map[string]time.Duration{
		"range=1m": time.Second, "range=1h": 15 * time.Second, "range=24h": 5 * time.Minute, "range=7d": time.Hour,
		"range=400d": 48 * time.Hour, "range=1830d": 7 * day, "range=1830d&step=30d": 30 * day, "range=1h&step=1h": time.Hour, "range=1h&step=90.9s": 90 * time.Second,
	} {
		q, _ := url.ParseQuery("measurement=icmp&field=sent&site=a&" + query)
		if s, err := ForSeries(q, Place{Now: now}); err != nil || s.Step != want {
			t.Errorf("%s: %+v %v; want %v", query, s, err, want)
		}
	}
	// A step above the range would stretch what is read far into the past.
	q, _ := url.ParseQuery("measurement=icmp&field=sent&site=a&range=1h&step=9999d")
	if s, err := ForSeries(q, Place{Now: now}); err == nil {
		t.Errorf("reads %v to %v", s.From, s.To)
	}
	q, _ = url.ParseQuery("measurement=icmp&field=sent&site=a&range=1800d&step=31d")
	if s, err := ForSeries(q, Place{Now: now}); err == nil {
		t.Errorf("a step of %v was taken", s.Step)
	}
}

// A day of a chart is a day of the province, and figures that are kept by the hour are asked for by the hour.
func TestStepsOfWholeDaysBeginAtMidnight(t *testing.T) {
	zone := time.FixedZone("ICT", 7*3600)
	finest := func(from time.Time) time.Duration {
		if from.Before(now.Add(-366 * day)) {
			return time.Hour
		}
		return time.Millisecond
	}
	for query, want := range map[string]struct {
		from, to time.Time
		step     time.Duration
	}{
		"range=30d&step=1d":  {time.Date(2026, 10, 24, 0, 0, 0, 0, zone), time.Date(2026, 11, 24, 0, 0, 0, 0, zone), day},
		"range=30d&step=12h": {time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), 12 * time.Hour},
		"from=2025-01-01T00:20:00Z&to=2025-01-01T03:00:00Z":          {time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 1, 3, 0, 0, 0, time.UTC), time.Hour},
		"from=2025-01-01T00:20:00Z&to=2025-01-09T03:00:00Z&step=90m": {time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 9, 4, 0, 0, 0, time.UTC), 2 * time.Hour},
	} {
		q, _ := url.ParseQuery("measurement=icmp&field=sent&site=a&" + query)
		s, err := ForSeries(q, Place{Now: now, Zone: zone, Finest: finest})
		if err != nil || !s.From.Equal(want.from) || !s.To.Equal(want.to) || s.Step != want.step {
			t.Errorf("%s: %+v %v; want %+v", query, s, err, want)
		}
	}
	// Multi-day steps stay the same ones while the clock goes on.
	q, _ := url.ParseQuery("measurement=icmp&field=sent&site=a&range=400d&step=7d")
	first, _ := ForSeries(q, Place{Now: now, Zone: zone})
	later, _ := ForSeries(q, Place{Now: now.Add(3 * day), Zone: zone})
	if later.From.Sub(first.From)%(7*day) != 0 {
		t.Errorf("%v, %v", first.From, later.From)
	}
}

// FuzzForSeries holds whatever comes through to what the rest of the API relies on.
func FuzzForSeries(f *testing.F) {
	for _, seed := range []string{
		"measurement=icmp&field=loss_ratio&site=s1", "measurement=icmp&field=loss_ratio,sent&field=lost&site=s1&range=30d&step=1h&agg=mean,max,p95&agg=min,count",
		"measurement=icmp&field=loss_ratio&site=s1&from=1700000000&to=2023-11-15T00:00:00Z&target=gw&path=lan", "measurement=own&field=x&site=s1&range=1ns&step=1s",
		"measurement=icmp&field=&site=s1", "measurement=icmp&field=loss_ratio&site=s1&agg=", "measurement=icmp&field=loss_ratio&site=a&site=b",
		"measurement=icmp&field=loss_ratio&site=s1&range=400d&step=17280s", "measurement=icmp&field=loss_ratio&site=s1&from=0&to=0.001&step=9999d",
		"measurement=icmp&field=loss_ratio&site=s1&from=99999999999&to=99999999999.9", "measurement=check&field=outcome&site=s1", "%zz&;&measurement=%00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if len(raw) > 4096 {
			t.Skip()
		}
		q, _ := url.ParseQuery(raw)
		s, err := ForSeries(q, Place{Now: now})
		if err != nil {
			var m *Mistake
			if !errors.As(err, &m) || len(err.Error()) > 600 {
				t.Fatalf("%T %v", err, err)
			}
			for _, c := range []byte(err.Error()) {
				if c < ' ' || c > '~' || c == '<' || c == '"' {
					t.Fatalf("the question is in the answer: %q", err)
				}
			}
			return
		}
		step := s.Step.Milliseconds()
		if s.Step < time.Second || step%1000 != 0 || s.From.UnixMilli()%step != 0 || s.To.UnixMilli()%step != 0 {
			t.Fatalf("%v to %v is not made of whole steps of %v", s.From, s.To, s.Step)
		}
		length := s.To.Sub(s.From)
		if n := length / s.Step; n < 1 || n > maxWindows+2 {
			t.Fatalf("%d windows", n)
		}
		if length > 3*seriesLongest { // the longest range, cut into one step that begins and ends with it
			t.Fatalf("reads %v", length)
		}
		if len(s.Fields) == 0 || len(s.Fields) > maxFields || len(slices.Compact(slices.Sorted(slices.Values(s.Fields)))) != len(s.Fields) {
			t.Fatalf("fields %q", s.Fields)
		}
		if s.Tags["site"] == "" || len(s.Tags) > maxTags || !(s.Mean || s.Min || s.Max || s.P95 || s.Count) {
			t.Fatalf("%+v", s)
		}
		for _, f := range s.Fields {
			if !plain(f) {
				t.Fatalf("field %q", f)
			}
		}
		for k, v := range s.Tags {
			if !plain(k) || !plain(v) || slices.Contains(reserved, k) {
				t.Fatalf("tag %q=%q", k, v)
			}
		}
	})
}
