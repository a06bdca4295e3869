package ask

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/probes"
)

func TestForReport(t *testing.T) {
	zone := time.FixedZone("", 7*3600)
	now := time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)
	read := func(query string) (reports.Query, error) {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		return ForReport(q, now, zone)
	}
	got, err := read("period=2026-Q3&hours=other&layer=dedicated&district=V%C4%A9nh+Y%C3%AAn&provider=A&site=s1")
	if err != nil || period.Name(got.Period) != "2026-Q3" || got.Hours != reports.Other || got.Layer != probes.LayerDedicated ||
		got.District != "Vĩnh Yên" || got.Provider != "A" || got.Site != "s1" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = read("period=&from=&layer="); err != nil || got.Hours != reports.Office || !got.Period.From.IsZero() {
		t.Errorf("an empty form is %+v, %v", got, err)
	}
	if got, err = read("from=2026-11-01&to=2026-11-30"); err != nil || !got.Period.To.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, zone)) {
		t.Errorf("the last day does not count: %+v, %v", got, err)
	}
	for query, says := range map[string]string{
		"period=last":                          "period must be a month",
		"period=2026-10&from=2026-10-01":       "either period, or from and to",
		"from=2026-10-01":                      "to must be a day",
		"period=2026-12":                       "not begun",
		"hours=night":                          "hours must be",
		"layer=wan":                            "layer must be",
		"site=a%00b":                           "site must be",
		"district=" + strings.Repeat("x", 513): "district must be",
		"provider=%ff":                         "provider must be",
		"period=2026-10&period=2026-11":        "period is given twice",
	} {
		if _, err := read(query); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v, want %q", query, err, says)
		}
	}
}

func FuzzForReport(f *testing.F) {
	for _, s := range []string{"period=2026-10", "from=2026-01-01&to=2026-02-01&hours=all", "layer=lan&site=%00"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		q, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		got, err := ForReport(q, now, time.UTC)
		if err != nil {
			return
		}
		if p := got.Period; !p.From.IsZero() && (!p.From.Before(p.To) || p.From.After(now) || p.To.Sub(p.From) > 24*time.Hour*period.MaxDays) {
			t.Errorf("%q asks for %v", s, p)
		}
	})
}
