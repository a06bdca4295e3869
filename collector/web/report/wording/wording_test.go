package wording

import (
	"testing"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/compare"
	"communewatch/collector/reports/period"
	"communewatch/collector/web/frame"
	"communewatch/probes"
)

var zone = time.FixedZone("", 7*3600)

func TestTitlesAreThoseOfOfficialReports(t *testing.T) {
	days, err := period.Days("2026-10-01", "2026-10-15", zone)
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) reports.Period {
		p, err := period.Parse(name, zone)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		p      reports.Period
		vi, en string
	}{
		{named("2026-10"), "Báo cáo chất lượng đường truyền tháng 10/2026", "Line quality report, October 2026"},
		{named("2026-Q3"), "Báo cáo chất lượng đường truyền quý III/2026", "Line quality report, Q3 2026"},
		{named("2026"), "Báo cáo chất lượng đường truyền năm 2026", "Line quality report, 2026"},
		{days, "Báo cáo chất lượng đường truyền từ ngày 01/10/2026 đến ngày 15/10/2026", "Line quality report, from 01/10/2026 to 15/10/2026"},
	} {
		if got := In("vi").Title(tc.p); got != tc.vi {
			t.Errorf("got %q, want %q", got, tc.vi)
		}
		if got := In("en").Title(tc.p); got != tc.en {
			t.Errorf("got %q, want %q", got, tc.en)
		}
	}
	if got := In("vi").PeriodName(named("2026-Q1")); got != "Quý I/2026" {
		t.Errorf("got %q", got)
	}
}

func TestNumbersAreNeitherFlatteredNorMadeUp(t *testing.T) {
	w := In("vi")
	of := func(v float64) *float64 { return &v }
	for _, tc := range []struct{ got, want string }{
		{w.Availability(nil), "chưa đo"},
		{w.Availability(of(0)), "0,00\u00a0%"},
		{w.Availability(of(0.98765)), "98,77\u00a0%"},
		{w.Availability(of(0.999996)), "99,99\u00a0%"},
		{w.Availability(of(1)), "100\u00a0%"},
		{In("en").Availability(of(0.5)), "50.00%"},
		{w.Ratio(nil), "—"},
		{w.Ratio(of(0.00041)), "0,04\u00a0%"},
		{w.Millis(nil), "—"},
		{w.Millis(of(0.01234)), "12\u00a0ms"},
		{w.Share(0, 3600), "0\u00a0%"},
		{w.Share(1, 3600), "<\u00a00,1\u00a0%"},
		{w.Share(36, 3600), "1,0\u00a0%"},
		{w.Share(3599.9, 3600), ">\u00a099,9\u00a0%"},
		{w.Share(3600, 3600), "100\u00a0%"},
		{w.Share(1, 0), "—"},
		{w.Speed(&reports.Contract{DownMbps: 150, UpMbps: 150}), "150\u00a0Mbit/s"},
		{w.Speed(&reports.Contract{DownMbps: 100, UpMbps: 2.5}), "100/2,5\u00a0Mbit/s"},
		{w.Speed(&reports.Contract{DownMbps: 100}), "100/—\u00a0Mbit/s"},
		{w.Speed(nil), ""},
		{w.Limit(&reports.Verdict{What: "availability", Limit: 0.9995}), "≥\u00a099,95\u00a0%"},
		{w.Limit(&reports.Verdict{What: "loss", Limit: 0.01}), "≤\u00a01\u00a0%"},
		{w.Limit(&reports.Verdict{What: "rtt_p95", Limit: 0.05}), "≤\u00a050\u00a0ms"},
		{w.Value(&reports.Verdict{What: "rtt_p95"}), "chưa đo"},
		{w.Value(&reports.Verdict{What: "availability", Value: of(0.99501)}), "99,50\u00a0%"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	yes, no := true, false
	for _, tc := range []struct {
		met  []*bool
		want Outcome
		vi   string
	}{
		{nil, Unagreed, "Chưa có cam kết"},
		{[]*bool{&yes, &yes}, Met, "Đạt 2/2"},
		{[]*bool{&yes, nil}, Open, "Chưa kết luận"},
		{[]*bool{&no, nil, &yes}, Missed, "Không đạt 1/3"},
	} {
		var against []reports.Verdict
		for _, m := range tc.met {
			against = append(against, reports.Verdict{Met: m})
		}
		if got, _ := OutcomeOf(against); got != tc.want {
			t.Errorf("%v is %s, want %s", tc.met, got, tc.want)
		}
		if got := In("vi").OutcomeName(against); got != tc.vi {
			t.Errorf("got %q, want %q", got, tc.vi)
		}
	}
}

// TestEverythingHasWords finds what the vocabulary has and nobody words.
func TestEverythingHasWords(t *testing.T) {
	for _, lang := range frame.Languages {
		w := In(lang)
		say := func(key string) {
			if w.Say(key) == key {
				t.Errorf("%s: no words for %s", lang, key)
			}
		}
		for _, l := range probes.Layers() {
			say("report.layer_" + string(l))
		}
		for _, h := range []reports.Hours{reports.Office, reports.Other, reports.All} {
			say("report.hours_" + string(h))
		}
		for _, what := range []string{"availability", "loss", "loss_p95", "rtt_p50", "rtt_p95", "jitter_p95"} {
			say("report.what_" + what)
		}
		for _, why := range []string{reports.WhyNothing, reports.WhyKnown, reports.WhyFew} {
			say("report.why_" + why)
		}
		for _, s := range []compare.Side{compare.Broadband, compare.Dedicated, compare.Alike, compare.Unknown} {
			say("report.worse_" + string(s))
		}
		for _, by := range []compare.By{compare.ByAvailability, compare.ByLoss} {
			say("report.by_" + string(by))
		}
		for _, s := range []string{"ok", "degraded", "down", "maintenance", "off", "closed", "no_data"} {
			say("report.share_" + s)
		}
	}
	if In("xx").Lang != "vi" {
		t.Error("an unknown language is not Vietnamese")
	}
}
