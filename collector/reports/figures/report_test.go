package figures_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"communewatch/collector/health/rules"
	"communewatch/collector/reports"
	"communewatch/collector/reports/profiles"
	"communewatch/collector/rollup"
	"communewatch/probes"
)

// window is an hour of a line as the account makes it.
func window(site string, layer probes.Layer, hours reports.Hours, start time.Time, seconds map[string]float64, loss, rtt []float64) rollup.Row {
	r := rollup.Row{Measurement: reports.Measurement, Start: start.UnixMilli(),
		Tags: probes.Tags{{Key: "hours", Value: string(hours)}, {Key: "layer", Value: string(layer)}, {Key: "site", Value: site}}}
	dist := func(values []float64) rollup.Aggregate {
		a := rollup.Aggregate{Sketch: new(rollup.Sketch)}
		for _, v := range values {
			a.Add(v)
		}
		return a
	}
	for _, key := range []string{"closed_seconds", "degraded_seconds", "down_seconds", "loss_ratio", "lost", "maintenance_seconds", "no_data_seconds", "ok_seconds", "outages", "rtt_seconds", "sent"} {
		switch key {
		case "loss_ratio":
			r.Fields = append(r.Fields, rollup.Field{Key: key, Value: dist(loss)})
		case "rtt_seconds":
			r.Fields = append(r.Fields, rollup.Field{Key: key, Value: dist(rtt)})
		default:
			r.Fields = append(r.Fields, rollup.Field{Key: key, Value: rollup.Aggregate{Total: true, Sum: seconds[key]}})
		}
	}
	return r
}

// random fills hours of lines with states that add up to an hour at most.
func (h *house) random(random *rand.Rand, from, to time.Time) {
	cal := rules.Compile(h.rules).Calendar("s1")
	for _, s := range h.sites {
		for _, layer := range []probes.Layer{probes.LayerBroadband, probes.LayerDedicated} {
			var rows []rollup.Row
			for at := from; at.Before(to); at = at.Add(time.Hour) {
				if random.IntN(5) == 0 {
					continue // nothing came
				}
				part := map[reports.Hours]float64{}
				for t := at; t.Before(at.Add(time.Hour)); t = t.Add(30 * time.Minute) {
					if cal.Open(t) {
						part[reports.Office] += 1800
					} else {
						part[reports.Other] += 1800
					}
				}
				for hours, left := range part {
					seconds := map[string]float64{}
					for _, key := range []string{"ok_seconds", "down_seconds", "degraded_seconds", "maintenance_seconds", "no_data_seconds"} {
						v := math.Floor(random.Float64()*left*1000) / 1000
						seconds[key], left = v, left-v
					}
					seconds["sent"], seconds["lost"], seconds["outages"] = 600, float64(random.IntN(100)), float64(random.IntN(2))
					rows = append(rows, window(s.ID, layer, hours, at, seconds, []float64{random.Float64()}, []float64{random.Float64() / 10, random.Float64() / 50}))
				}
			}
			h.past.Put(rollup.Hour, rows)
		}
	}
	h.to = to
	h.past.Fold(to, zone)
}

// A year that is read from months and edges is what all its days say, read one by one from hours: for each line, and for
// groups.
func TestReportsAddUp(t *testing.T) {
	h := newHouse(t)
	h.rules.OfficeHours[0].Breaks = nil
	h.rules.OfficeHours[0].Days = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	h.off.gaps["s2"] = []reports.Span{{From: at(5, 3, 0, 0), To: at(7, 9, 0, 0)}}
	from, to := time.Date(2026, 1, 30, 0, 0, 0, 0, zone), time.Date(2026, 4, 12, 15, 0, 0, 0, zone)
	h.random(rand.New(rand.NewPCG(7, 8)), from, to)
	for _, hours := range []reports.Hours{reports.Office, reports.Other, reports.All} {
		year := h.report(reports.Query{Period: reports.Period{Kind: reports.Year, From: time.Date(2026, 1, 1, 0, 0, 0, 0, zone), To: time.Date(2027, 1, 1, 0, 0, 0, 0, zone)}, Hours: hours})
		if !year.DataTo.Equal(to) || len(year.Lines) != 4 {
			t.Fatalf("figures to %v of %d lines", year.DataTo, len(year.Lines))
		}
		var whole reports.Figures
		byDay := map[string]*reports.Figures{}
		for day := from; day.Before(to); day = day.AddDate(0, 0, 1) {
			r := h.report(reports.Query{Period: days(day, day.AddDate(0, 0, 1)), Hours: hours})
			for _, l := range r.Lines {
				key := l.Site + string(l.Layer)
				if byDay[key] == nil {
					byDay[key] = &reports.Figures{}
				}
				plus(byDay[key], l.Figures)
			}
		}
		for _, l := range year.Lines {
			near(t, fmt.Sprint(hours, " ", l.Site, " ", l.Layer), *byDay[l.Site+string(l.Layer)], l.Figures)
			plus(&whole, l.Figures)
		}
		var groups, districts reports.Figures
		for _, g := range year.Paths {
			plus(&groups, g.Figures)
			if g.Lines != 2 {
				t.Errorf("%d lines in a path", g.Lines)
			}
		}
		for _, g := range year.Districts {
			plus(&districts, g.Figures)
		}
		near(t, "paths", whole, groups)
		near(t, "districts", whole, districts)
	}
}

func plus(f *reports.Figures, o reports.Figures) {
	f.Period, f.OK, f.Degraded, f.Down = f.Period+o.Period, f.OK+o.OK, f.Degraded+o.Degraded, f.Down+o.Down
	f.Maintenance, f.Off, f.Closed, f.NoData = f.Maintenance+o.Maintenance, f.Off+o.Off, f.Closed+o.Closed, f.NoData+o.NoData
	f.Outages, f.Sent, f.Lost = f.Outages+o.Outages, f.Sent+o.Sent, f.Lost+o.Lost
	for _, d := range []struct{ to, from **reports.Distribution }{{&f.LossOf, &o.LossOf}, {&f.RTT, &o.RTT}} {
		if *d.from == nil {
			continue
		}
		if *d.to == nil {
			*d.to = &reports.Distribution{Min: (*d.from).Min}
		}
		(*d.to).Count += (*d.from).Count
		(*d.to).Min, (*d.to).Max = min((*d.to).Min, (*d.from).Min), max((*d.to).Max, (*d.from).Max)
	}
}

func near(t *testing.T, what string, want, got reports.Figures) {
	t.Helper()
	for name, v := range map[string][2]float64{"period": {want.Period, got.Period}, "ok": {want.OK, got.OK}, "degraded": {want.Degraded, got.Degraded},
		"down": {want.Down, got.Down}, "maintenance": {want.Maintenance, got.Maintenance},
		"outages": {float64(want.Outages), float64(got.Outages)}, "sent": {float64(want.Sent), float64(got.Sent)}, "lost": {float64(want.Lost), float64(got.Lost)},
		"values of loss": {float64(want.LossOf.Count), float64(got.LossOf.Count)}, "round trips": {float64(want.RTT.Count), float64(got.RTT.Count)},
		"shortest": {want.RTT.Min, got.RTT.Min}, "longest": {want.RTT.Max, got.RTT.Max},
		// What was off is bounded by what is not known, of a day or of the year; together they are the rest.
		"the rest": {want.Off + want.NoData + want.Closed, got.Off + got.NoData + got.Closed}} {
		if math.Abs(v[0]-v[1]) > 0.5 {
			t.Errorf("%s: %s is %v, its parts %v", what, name, v[1], v[0])
		}
	}
}

// A percentile of a group is that of all its values, not a mean of its lines' percentiles.
func TestGroupsAreMerged(t *testing.T) {
	h := newHouse(t)
	start := at(2, 8, 0, 0)
	fast, slow := make([]float64, 90), make([]float64, 10)
	for i := range fast {
		fast[i] = 0.010
	}
	for i := range slow {
		slow[i] = 0.500
	}
	h.past.Put(rollup.Hour, []rollup.Row{
		window("s1", probes.LayerBroadband, reports.Office, start, map[string]float64{"ok_seconds": 3600, "sent": 900, "lost": 0}, []float64{0}, fast),
		window("s2", probes.LayerBroadband, reports.Office, start, map[string]float64{"ok_seconds": 600, "down_seconds": 600, "sent": 100, "lost": 50}, []float64{0.5}, slow)})
	h.to = at(3, 0, 0, 0)
	h.past.Fold(h.to, zone)
	h.said = []reports.Agreement{{Site: "s2", Layer: probes.LayerBroadband, Contract: reports.Contract{Provider: "VNPT"}}}
	r := h.report(reports.Query{Period: days(at(2, 0, 0, 0), at(3, 0, 0, 0))})
	g := r.Paths[0]
	if len(r.Paths) != 1 || g.Lines != 2 || math.Abs(*g.Figures.Availability-4200.0/4800) > 1e-9 || *g.Figures.Loss != 0.05 {
		t.Errorf("%+v", r.Paths)
	}
	if d := g.Figures.RTT; math.Abs(d.P50-0.010) > 0.0002 || math.Abs(d.P95-0.5) > 0.006 || d.Count != 100 {
		t.Errorf("%+v", d)
	}
	if len(r.Providers) != 2 || r.Providers[0].Name != "VNPT" || r.Providers[1].Name != "" || r.Providers[0].Lines != 1 {
		t.Errorf("those whose provider is not known come last: %+v", r.Providers)
	}
	if r := h.report(reports.Query{Period: r.Period, Provider: "VNPT"}); len(r.Lines) != 1 || r.Lines[0].Site != "s2" {
		t.Errorf("of one provider: %+v", r.Lines)
	}
}

func TestWhenALineBeginsToCount(t *testing.T) {
	ok := map[string]float64{"ok_seconds": 3600}
	february := time.Date(2026, 2, 1, 0, 0, 0, 0, zone)
	march := reports.Period{Kind: reports.Month, From: at(1, 0, 0, 0), To: at(32, 0, 0, 0)}
	period := func(h *house, q reports.Query) (float64, bool) {
		for _, l := range h.report(q).Lines {
			return l.Figures.Period, true
		}
		return 0, false
	}
	for name, c := range map[string]struct {
		windows []time.Time
		said    reports.Contract
		to      time.Time
		want    float64 // days; 0: not part of the report
	}{
		"seen before":                 {[]time.Time{february, at(20, 8, 0, 0)}, reports.Contract{}, at(32, 0, 0, 0), 31},
		"seen first in a whole month": {[]time.Time{at(12, 8, 0, 0)}, reports.Contract{}, at(32, 0, 0, 0), 20},
		"seen first on a day":         {[]time.Time{at(12, 8, 0, 0)}, reports.Contract{}, at(22, 0, 0, 0), 10},
		"seen first today":            {[]time.Time{at(12, 6, 0, 0)}, reports.Contract{}, at(12, 12, 0, 0), 0.25},
		"agreed before it was seen":   {[]time.Time{at(12, 8, 0, 0)}, reports.Contract{Provider: "V", From: "2026-03-02"}, at(32, 0, 0, 0), 30},
		"agreed, and never seen":      {nil, reports.Contract{Provider: "V", From: "2026-03-22"}, at(32, 0, 0, 0), 10},
		"agreed since ever":           {nil, reports.Contract{Provider: "V"}, at(32, 0, 0, 0), 31},
		"agreed until last year":      {nil, reports.Contract{Provider: "V", From: "2025-01-01", To: "2025-12-31"}, at(32, 0, 0, 0), 0},
		"not yet agreed":              {nil, reports.Contract{Provider: "V", From: "2026-04-01"}, at(32, 0, 0, 0), 0},
		"gone the month before":       {[]time.Time{february}, reports.Contract{}, at(32, 0, 0, 0), 31},
		"gone for long":               {[]time.Time{february.AddDate(0, -1, 0)}, reports.Contract{}, at(32, 0, 0, 0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.rules.OfficeHours, h.to = nil, c.to
			for _, w := range c.windows {
				h.past.Put(rollup.Hour, []rollup.Row{window("s1", probes.LayerBroadband, reports.Office, w, ok, nil, nil)})
			}
			h.past.Fold(h.to, zone)
			if c.said.Provider != "" {
				h.said = []reports.Agreement{{Site: "s1", Layer: probes.LayerBroadband, Contract: c.said}}
			}
			got, part := period(h, reports.Query{Period: march})
			if part != (c.want > 0) || got != c.want*86400 {
				t.Errorf("%v days, part of the report: %v; want %v", got/86400, part, c.want)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	limit := func(what string, v float64, hours reports.Hours) profiles.Profile {
		return profiles.Profile{Name: "p", Citation: "c", Layer: probes.LayerBroadband, Hours: hours, Limits: []profiles.Limit{{What: what, Value: v, Citation: "c"}}}
	}
	many := make([]float64, 100)
	for i := range many {
		many[i] = float64(i) / 1000
	}
	yes, no := true, false
	for name, c := range map[string]struct {
		p       profiles.Profile
		office  map[string]float64 // of nine and a half hours
		rtt     []float64
		met     *bool
		why     string
		nothing bool
	}{
		"kept":                                   {p: limit("availability", 0.99, reports.Office), office: map[string]float64{"ok_seconds": 34000, "down_seconds": 200}, met: &yes},
		"exactly kept":                           {p: limit("availability", 0.75, reports.Office), office: map[string]float64{"ok_seconds": 25650, "down_seconds": 8550}, met: &yes},
		"missed":                                 {p: limit("availability", 0.999, reports.Office), office: map[string]float64{"ok_seconds": 34000, "down_seconds": 200}, met: &no},
		"good as far as known, which is little":  {p: limit("availability", 0.99, reports.Office), office: map[string]float64{"ok_seconds": 10000}, why: reports.WhyKnown},
		"bad as far as known, which is little":   {p: limit("availability", 0.99, reports.Office), office: map[string]float64{"ok_seconds": 1000, "down_seconds": 100}, why: reports.WhyKnown},
		"missed whatever the rest was":           {p: limit("availability", 0.99, reports.Office), office: map[string]float64{"ok_seconds": 1000, "down_seconds": 1000}, met: &no},
		"planned work is no gap":                 {p: limit("availability", 0.99, reports.Office), office: map[string]float64{"ok_seconds": 10000, "maintenance_seconds": 24200}, met: &yes},
		"nothing was measured":                   {p: limit("availability", 0, reports.Office), office: map[string]float64{"no_data_seconds": 100}, why: reports.WhyNothing},
		"nothing was measured of it":             {p: limit("jitter_p95", 1, reports.Office), office: map[string]float64{"ok_seconds": 34200}, why: reports.WhyNothing},
		"of all hours too little is known":       {p: limit("availability", 0.5, reports.All), office: map[string]float64{"ok_seconds": 34200}, why: reports.WhyKnown},
		"a percentile of few values":             {p: limit("rtt_p95", 1, reports.Office), office: map[string]float64{"ok_seconds": 34200}, rtt: many[:19], why: reports.WhyFew},
		"a percentile that is kept":              {p: limit("rtt_p95", 0.096, reports.Office), office: map[string]float64{"ok_seconds": 34200}, rtt: many, met: &yes},
		"a percentile that is not":               {p: limit("rtt_p95", 0.090, reports.Office), office: map[string]float64{"ok_seconds": 34200}, rtt: many, met: &no},
		"loss":                                   {p: limit("loss", 0.01, reports.Office), office: map[string]float64{"ok_seconds": 34200, "sent": 1000, "lost": 11}, met: &no},
		"a profile for lines of another kind":    {p: profiles.Profile{Name: "p", Layer: probes.LayerDedicated, Hours: reports.Office}, office: map[string]float64{"ok_seconds": 34200}, nothing: true},
		"a profile that the settings don't know": {p: profiles.Profile{Name: "q", Layer: probes.LayerBroadband}, office: map[string]float64{"ok_seconds": 34200}, nothing: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.rules.OfficeHours[0].Breaks = nil
			h.known = []profiles.Profile{c.p}
			h.said = []reports.Agreement{{Site: "s1", Layer: probes.LayerBroadband, Contract: reports.Contract{Provider: "V", Profile: "p"}}}
			h.past.Put(rollup.Hour, []rollup.Row{window("s1", probes.LayerBroadband, reports.Office, at(2, 8, 0, 0), c.office, nil, c.rtt)})
			h.to = at(3, 0, 0, 0)
			h.past.Fold(h.to, zone)
			r := h.report(reports.Query{Period: days(at(2, 0, 0, 0), at(3, 0, 0, 0))})
			against := r.Lines[0].Against
			if c.nothing {
				if len(against) != 0 {
					t.Errorf("%+v", against)
				}
				return
			}
			if len(against) != 1 {
				t.Fatalf("%+v", against)
			}
			v := against[0]
			if (v.Met == nil) != (c.met == nil) || v.Met != nil && *v.Met != *c.met || v.Why != c.why || v.Citation != "c" || v.Hours != c.p.Hours {
				t.Errorf("%+v, met %v", v, v.Met)
			}
			if g := r.Paths[0]; (g.Met == 1) != (c.met != nil && *c.met) || (g.Missed == 1) != (c.met != nil && !*c.met) {
				t.Errorf("%d met, %d missed", g.Met, g.Missed)
			} else if g.Met+g.Missed+g.Open != 1 {
				t.Errorf("a line is counted %d times", g.Met+g.Missed+g.Open)
			}
		})
	}
}

// Two lines that are down in the same hour were both down for as long as the shorter one at most; in different hours they
// were not at all.
func TestBothLinesDown(t *testing.T) {
	h := newHouse(t)
	down := func(layer probes.Layer, start time.Time, seconds float64) {
		h.past.Put(rollup.Hour, []rollup.Row{window("s1", layer, reports.Office, start, map[string]float64{"ok_seconds": 3600 - seconds, "down_seconds": seconds}, nil, nil)})
	}
	down(probes.LayerBroadband, at(2, 8, 0, 0), 600)
	down(probes.LayerDedicated, at(2, 8, 0, 0), 1000)
	down(probes.LayerBroadband, at(2, 9, 0, 0), 3000)
	down(probes.LayerDedicated, at(2, 10, 0, 0), 3000)
	down(probes.LayerBroadband, at(3, 8, 0, 0), 900)
	down(probes.LayerDedicated, at(3, 8, 0, 0), 100)
	for _, to := range []time.Time{at(4, 0, 0, 0), at(3, 12, 0, 0)} { // a whole day, and hours of today
		h.to = to
		h.past.Fold(h.to, zone)
		r := h.report(reports.Query{Period: days(at(2, 0, 0, 0), at(4, 0, 0, 0))})
		if len(r.Pairs) != 1 || r.Pairs[0].Both == nil || r.Pairs[0].Both.DownSeconds != 700 ||
			r.Lines[r.Pairs[0].Broadband].Layer != probes.LayerBroadband || r.Lines[r.Pairs[0].Dedicated].Layer != probes.LayerDedicated {
			t.Errorf("%+v", r.Pairs)
		}
	}
}

func TestNamesThatNothingHas(t *testing.T) {
	h := newHouse(t)
	h.said = []reports.Agreement{{Site: "s1", Layer: probes.LayerBroadband, Contract: reports.Contract{Provider: "VNPT Phú Thọ"}}}
	h.to = at(4, 0, 0, 0)
	ask := func(q reports.Query) []reports.Unknown {
		q.Period, q.Hours = days(at(2, 0, 0, 0), at(4, 0, 0, 0)), reports.All
		r, err := h.reporter().Report(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Unknown) > 0 && len(r.Lines) > 0 {
			t.Errorf("%+v has lines", q)
		}
		return r.Unknown
	}
	for _, q := range []reports.Query{{}, {Site: "s2"}, {District: "Sông Lô"}, {Provider: "VNPT Phú Thọ"}, {Site: "s2", Provider: "VNPT Phú Thọ"}} {
		if got := ask(q); got != nil {
			t.Errorf("%+v: %v", q, got)
		}
	}
	for _, c := range []struct {
		q    reports.Query
		want string
	}{
		{reports.Query{Site: "dong que"}, `there is no site "dong que"; there is s2 (Đồng Quế)`},
		{reports.Query{District: "song lo"}, `there is no district "song lo"; there is Sông Lô`},
		{reports.Query{District: "Hà Nội"}, `there is no district "Hà Nội"`},
		{reports.Query{Provider: "VNPT"}, `there is no provider "VNPT"; there is VNPT Phú Thọ`},
	} {
		if got := ask(c.q); len(got) != 1 || got[0].Error() != c.want {
			t.Errorf("%+v: %v, want %s", c.q, got, c.want)
		}
	}
}

func TestPeriods(t *testing.T) {
	h := newHouse(t)
	ok := map[string]float64{"ok_seconds": 3600}
	list := func() (out string) {
		got, err := h.reporter().Periods(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range got {
			out += p.From.Format("2006-01 ")
		}
		return out
	}
	if got := list(); got != "" {
		t.Error("of nothing:", got)
	}
	for _, c := range []struct {
		window, to time.Time
		want       string
	}{
		{at(12, 8, 0, 0), at(12, 10, 0, 0), "2026-03 "},
		{at(12, 8, 0, 0), at(14, 10, 0, 0), "2026-03 "},
		{at(12, 8, 0, 0), time.Date(2026, 5, 2, 0, 0, 0, 0, zone), "2026-05 2026-04 2026-03 "},
	} {
		h.past.Put(rollup.Hour, []rollup.Row{window("s1", probes.LayerBroadband, reports.Office, c.window, ok, nil, nil)})
		h.to = c.to
		h.past.Fold(h.to, zone)
		if got := list(); got != c.want {
			t.Errorf("to %v: %s, want %s", c.to, got, c.want)
		}
	}
}

func TestHowFarFiguresReach(t *testing.T) {
	h := newHouse(t)
	h.to, h.late = at(3, 12, 0, 0), 4
	march := reports.Period{Kind: reports.Month, From: at(1, 0, 0, 0), To: at(32, 0, 0, 0)}
	if r := h.report(reports.Query{Period: march}); !r.DataTo.Equal(h.to) || r.Pending != 4 {
		t.Errorf("to %v, %d pending", r.DataTo, r.Pending)
	}
	h.to = at(45, 0, 0, 0)
	if r := h.report(reports.Query{Period: march}); !r.DataTo.Equal(march.To) || r.Pending != 0 {
		t.Errorf("late rows of April are not of March: to %v, %d pending", r.DataTo, r.Pending)
	}
	h.to = time.Time{}
	if r := h.report(reports.Query{Period: march}); !r.DataTo.Equal(march.From) || len(r.Lines) != 0 {
		t.Errorf("before anything was worked out: to %v, %+v", r.DataTo, r.Lines)
	}
	for _, q := range []reports.Query{{Period: reports.Period{From: march.To, To: march.From}}, {Period: march, Hours: "night"}} {
		if _, err := h.reporter().Report(t.Context(), q); err == nil {
			t.Errorf("%+v is answered", q)
		}
	}
}
