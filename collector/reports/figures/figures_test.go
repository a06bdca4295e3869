package figures_test

import (
	"context"
	"math"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/health/rules"
	"communewatch/collector/history"
	"communewatch/collector/reports"
	"communewatch/collector/reports/account"
	"communewatch/collector/reports/figures"
	"communewatch/collector/reports/profiles"
	"communewatch/collector/reports/reportstest/past"
	"communewatch/collector/rollup"
	"communewatch/inventory"
	"communewatch/probes"
)

var zone = time.FixedZone("+07", 7*3600)

// at is a time of a day of March 2026; the 2nd is a Monday.
func at(day, hour, minute, second int) time.Time {
	return time.Date(2026, 3, day, hour, minute, second, 0, zone)
}

// house is what a report is made from.
type house struct {
	t     *testing.T
	past  past.Past
	rules health.Rules
	sites []inventory.Site
	off   *absences
	said  []reports.Agreement
	to    time.Time // how far hours are worked out
	late  int       // hours waiting
	known []profiles.Profile
}

type absences struct {
	gaps map[string][]reports.Span
}

func (a *absences) Ran(_ context.Context, site, _ string, from, to time.Time, gaps []reports.Span) error {
	a.gaps[site] = reports.Union(append(reports.Without(a.gaps[site], []reports.Span{{From: from, To: to}}), gaps...))
	return nil
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, rules: health.DefaultRules(), off: &absences{map[string][]reports.Span{}}}
	h.sites = []inventory.Site{{ID: "s1", Name: "Tam Sơn", Parent: "Sông Lô"}, {ID: "s2", Name: "Đồng Quế", Parent: "Sông Lô"}}
	h.rules.OfficeHours = []rules.OfficeHours{{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "07:30", To: "17:00",
		Breaks: []rules.Break{{From: "11:30", To: "13:00"}}}}
	return h
}

func (h *house) Sites(context.Context, time.Time) ([]inventory.Site, error) { return h.sites, nil }
func (h *house) Agreements(context.Context) ([]reports.Agreement, error)    { return h.said, nil }
func (h *house) Off(context.Context, time.Time, time.Time) (map[string][]reports.Span, error) {
	return h.off.gaps, nil
}

// work works hours out, and what follows from them.
func (h *house) work(from, to time.Time) {
	h.t.Helper()
	a := account.New(account.Options{Store: &h.past, Rules: h.rules, Absences: h.off})
	for start := from; start.Before(to); start = start.Add(time.Hour) {
		for _, s := range h.sites {
			rows, err := a.Hour(h.t.Context(), s.ID, start)
			if err != nil {
				h.t.Fatal(err)
			}
			h.past.Put(rollup.Hour, rows)
		}
	}
	if to.After(h.to) {
		h.to = to
	}
	h.past.Fold(h.to, zone)
}

func (h *house) reporter() *figures.Reporter {
	return figures.New(figures.Options{Windows: &h.past, Sites: h, Lines: h, Rules: h.rules, Profiles: h.known, Zone: zone,
		Progress: func() history.Progress {
			return history.Progress{To: h.to, Pending: h.late, Oldest: h.to.Add(-time.Hour)}
		},
		Now: func() time.Time { return h.to.Add(time.Minute) }})
}

func (h *house) report(q reports.Query) *reports.Report {
	h.t.Helper()
	r, err := h.reporter().Report(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range r.Lines {
		addsUp(h.t, l.Site+" "+string(l.Layer), l.Figures)
	}
	return r
}

func addsUp(t *testing.T, what string, f reports.Figures) {
	t.Helper()
	if sum := f.OK + f.Degraded + f.Down + f.Maintenance + f.Off + f.Closed + f.NoData; math.Abs(sum-f.Period) > 0.001 {
		t.Errorf("%s: %v s of a period of %v s: %+v", what, sum, f.Period, f)
	}
	for _, v := range []float64{f.OK, f.Degraded, f.Down, f.Maintenance, f.Off, f.Closed, f.NoData} {
		if v < 0 {
			t.Errorf("%s: less than nothing: %+v", what, f)
		}
	}
}

func days(from, to time.Time) reports.Period {
	return reports.Period{Kind: reports.Days, From: from, To: to}
}

func line(t *testing.T, r *reports.Report, site string, layer probes.Layer) reports.Line {
	t.Helper()
	for _, l := range r.Lines {
		if l.Site == site && l.Layer == layer {
			return l
		}
	}
	t.Fatalf("no %s line of %s in %+v", layer, site, r.Lines)
	return reports.Line{}
}

var broadband = past.Check{Site: "s1", Agent: "pc", Target: "ping", Path: probes.PathBroadband, Layer: probes.LayerBroadband, Interval: 30 * time.Second}

// run writes a check's runs in [from, to) down.
func (h *house) run(c past.Check, from, to time.Time, lost int, rtt time.Duration) {
	for t := from; t.Before(to); t = t.Add(c.Interval) {
		h.past.Run(c, t, lost, rtt)
	}
}

// on writes down what an agent that started at some time says of itself in [from, to).
func (h *house) on(site string, started, from, to time.Time) {
	for t := from; t.Before(to); t = t.Add(time.Minute) {
		h.past.Report(site, "pc", t, t.Sub(started))
	}
}

// story is two days of an office: an outage over lunch, planned work, an hour of which nothing is known, a night with the
// PC switched off, and an hour whose results come late.
func story(t *testing.T) *house {
	h := newHouse(t)
	h.rules.Maintenance = []rules.Maintenance{{From: at(2, 9, 0, 0), To: at(2, 9, 30, 0), Note: "switch"}}
	ok := func(from, to time.Time) { h.run(broadband, from, to, 0, 20*time.Millisecond) }
	h.on("s1", at(2, 7, 20, 0), at(2, 7, 21, 0), at(2, 17, 30, 0))
	ok(at(2, 7, 20, 30), at(2, 9, 0, 0))
	h.run(broadband, at(2, 9, 0, 0), at(2, 9, 28, 0), 10, 0) // the work: nothing answers, which is nobody's fault
	ok(at(2, 9, 28, 0), at(2, 11, 0, 0))
	h.run(broadband, at(2, 11, 0, 0), at(2, 12, 15, 0), 10, 0)
	ok(at(2, 12, 15, 0), at(2, 14, 0, 0))
	ok(at(2, 15, 0, 0), at(2, 17, 30, 0))
	h.on("s1", at(3, 7, 10, 0), at(3, 7, 11, 0), at(3, 17, 30, 0))
	ok(at(3, 7, 10, 30), at(3, 8, 0, 0))
	ok(at(3, 9, 0, 0), at(3, 17, 30, 0))
	return h
}

func TestADayByHand(t *testing.T) {
	h := story(t)
	h.work(at(2, 0, 0, 0), at(4, 0, 0, 0))
	monday := days(at(2, 0, 0, 0), at(3, 0, 0, 0))

	f := line(t, h.report(reports.Query{Period: monday}), "s1", probes.LayerBroadband).Figures
	// Eight hours without lunch. Two runs in a row make an outage and two end it, 30 s after its first and last run.
	want := reports.Figures{Period: 28800, OK: 28800 - 1800 - 1770 - 3600, Down: 1770, Maintenance: 1800, NoData: 3600,
		Outages: 1, Sent: 7800, Lost: 600}
	check(t, "office hours", want, f)
	if v := *f.Availability; math.Abs(v-21630.0/23400) > 1e-9 {
		t.Errorf("availability %v", v)
	}
	if v := *f.Loss; math.Abs(v-600.0/7800) > 1e-9 {
		t.Errorf("loss %v", v)
	}
	// 96 windows of five minutes, without the twelve of the silent hour and the six of the work; six lost everything.
	if d := f.LossOf; d.Count != 78 || d.P50 != 0 || d.Max != 1 || math.Abs(d.P95-1) > 0.011 {
		t.Errorf("loss windows %+v", d)
	}
	if d := f.RTT; d.Count != 720 || d.Min != 0.02 || math.Abs(d.P95-0.02) > 0.0002 {
		t.Errorf("round trips %+v", d)
	}

	// The rest of the day. From the last report at 17:29 on the PC was off; the last run speaks for the line until 17:31:05.
	f = line(t, h.report(reports.Query{Period: monday, Hours: reports.Other}), "s1", probes.LayerBroadband).Figures
	want = reports.Figures{Period: 57600, OK: 570 + 2670 + 1865, Down: 2730, Off: 23460, Closed: 26305, Lost: 900}
	want.Sent = 10 * (19 + 90 + 90 + 60) // before half past seven, the outage, until one, after five
	check(t, "other hours", want, f)

	all := line(t, h.report(reports.Query{Period: monday, Hours: reports.All}), "s1", probes.LayerBroadband).Figures
	check(t, "all hours", reports.Figures{Period: 86400, OK: 21630 + 5105, Down: 4500, Maintenance: 1800, NoData: 3600, Off: 23460, Closed: 26305,
		Outages: 1, Sent: 7800 + want.Sent, Lost: 1500}, all)
}

func check(t *testing.T, what string, want, got reports.Figures) {
	t.Helper()
	got.Availability, got.Loss, got.LossOf, got.RTT, got.Jitter, got.Known = nil, nil, nil, nil, nil, 0
	if want != got {
		t.Errorf("%s:\nwant %+v\n got %+v", what, want, got)
	}
}

func TestLateRowsChangeWhatTheyTouch(t *testing.T) {
	h := story(t)
	h.work(at(2, 0, 0, 0), at(4, 0, 0, 0))
	tuesday := reports.Query{Period: days(at(3, 0, 0, 0), at(4, 0, 0, 0))}
	before := line(t, h.report(tuesday), "s1", probes.LayerBroadband).Figures
	check(t, "before", reports.Figures{Period: 28800, OK: 25200, NoData: 3600, Sent: 8400}, before)

	h.run(broadband, at(3, 8, 0, 0), at(3, 9, 0, 0), 0, 20*time.Millisecond)
	h.work(at(3, 8, 0, 0), at(3, 10, 0, 0))
	after := line(t, h.report(tuesday), "s1", probes.LayerBroadband).Figures
	check(t, "after", reports.Figures{Period: 28800, OK: 28800, Sent: 9600}, after)
	if *after.Availability != 1 || after.Known != 1 {
		t.Errorf("availability %v of %v", *after.Availability, after.Known)
	}
}

// A PC that was off for two hours of the day is no fault of the line and is not unknown, and what an agent that kept its
// results brings later takes the place of what was thought before.
func TestOff(t *testing.T) {
	h := newHouse(t)
	h.on("s1", at(2, 7, 0, 0), at(2, 7, 1, 0), at(2, 9, 0, 0))
	h.run(broadband, at(2, 7, 0, 30), at(2, 9, 0, 0), 0, time.Millisecond)
	h.on("s1", at(2, 15, 0, 0), at(2, 15, 1, 0), at(2, 18, 0, 0))
	h.run(broadband, at(2, 15, 0, 30), at(2, 18, 0, 0), 0, time.Millisecond)
	h.work(at(2, 0, 0, 0), at(3, 0, 0, 0))
	monday := reports.Query{Period: days(at(2, 0, 0, 0), at(3, 0, 0, 0))}
	// The last report was at 08:59, and by the machine's own account it was started at 15:00.
	f := line(t, h.report(monday), "s1", probes.LayerBroadband).Figures
	check(t, "off", reports.Figures{Period: 28800, OK: 5400 + 7170, Off: 9000 + 7200 + 30, Sent: 10 * (180 + 239)}, f)

	// It had run until ten all the same.
	h.on("s1", at(2, 7, 0, 0), at(2, 9, 0, 0), at(2, 10, 0, 0))
	h.run(broadband, at(2, 9, 0, 0), at(2, 10, 0, 0), 0, time.Millisecond)
	h.work(at(2, 9, 0, 0), at(2, 11, 0, 0))
	g := line(t, h.report(monday), "s1", probes.LayerBroadband).Figures
	check(t, "off later", reports.Figures{Period: 28800, OK: f.OK + 3600, Off: f.Off - 3600, Sent: f.Sent + 1200}, g)
}
