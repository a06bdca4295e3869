// Package sheets turns a report of lines into tables for spreadsheets: a summary, the providers, the two lines of each
// site, the districts, all lines, and notes that say what each figure is and where limits are written. It is a pure
// function of the report: pages and the command line write the same files.
//
// Numbers are numbers and shares are percentages, and what was not measured is an empty cell, never a zero.
package sheets

import (
	"math"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/compare"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/report/wording"
	"communewatch/inventory/sheet"
)

// Options say for whom sheets are made.
type Options struct {
	Lang  string         // "vi" or "en"
	Title string         // whose report it is, such as the province's name; may be empty
	Zone  *time.Location // in which times are shown; nil: that of the report's period
}

// maker makes the sheets of one report.
type maker struct {
	wording.Wording
	o Options
	r *reports.Report
}

// Sheets are the tables of a report, the summary first.
func Sheets(r *reports.Report, o Options) []*sheet.Sheet {
	m := newMaker(r, o)
	return []*sheet.Sheet{
		m.groups("report.sheet_summary", nil, r.Paths),
		m.groups("report.sheet_providers", &groupName{"report.col_provider", m.ProviderName}, r.Providers),
		m.pairs(),
		m.groups("report.sheet_districts", &groupName{"report.col_district", func(s string) string { return s }}, r.Districts),
		m.lines(),
		m.notes(),
	}
}

// Lines is the table of all lines alone, for a format that holds one table.
func Lines(r *reports.Report, o Options) *sheet.Sheet { return newMaker(r, o).lines() }

func newMaker(r *reports.Report, o Options) *maker {
	if o.Zone == nil {
		o.Zone = r.Period.From.Location()
	}
	return &maker{wording.In(o.Lang), o, r}
}

// begin is a sheet that says what it is of.
func (m *maker) begin(name string) *sheet.Sheet {
	title := m.Title(m.r.Period)
	if m.o.Title != "" {
		title += " – " + m.o.Title
	}
	note := m.Say("report.sheet_note", "hours", m.HoursName(m.r.Hours), "to", wording.Moment(m.r.DataTo, m.o.Zone), "made", wording.Moment(m.r.Made, m.o.Zone))
	return &sheet.Sheet{Name: m.Say(name), Title: title, Note: note, Zone: m.o.Zone}
}

func (m *maker) text(key string, width float64) sheet.Column {
	return sheet.Column{Heading: m.Say(key), Width: width}
}

func (m *maker) column(key string, kind sheet.Kind) sheet.Column {
	return sheet.Column{Heading: m.Say(key), Kind: kind, Width: 13}
}

// figureColumns are those that every line and every group has.
func (m *maker) figureColumns() []sheet.Column {
	out := []sheet.Column{m.column("report.col_availability", sheet.Availability), m.column("report.col_known", sheet.Share),
		m.column("report.col_outages", sheet.Whole), m.column("report.col_downtime_minutes", sheet.Decimal)}
	for _, s := range shares() {
		out = append(out, m.column("report.share_"+s.name, sheet.Share))
	}
	return append(out, m.column("report.col_sent", sheet.Whole), m.column("report.col_lost", sheet.Whole), m.column("report.col_loss", sheet.Share),
		m.column("report.col_rtt_p50_ms", sheet.Decimal), m.column("report.col_rtt_p95_ms", sheet.Decimal), m.column("report.col_jitter_p95_ms", sheet.Decimal))
}

// share is one part of a period.
type share struct {
	name string
	of   func(f *reports.Figures) float64
}

// shares are the parts of a period, in the order of the screens.
func shares() []share {
	return []share{
		{"ok", func(f *reports.Figures) float64 { return f.OK }},
		{"degraded", func(f *reports.Figures) float64 { return f.Degraded }},
		{"down", func(f *reports.Figures) float64 { return f.Down }},
		{"maintenance", func(f *reports.Figures) float64 { return f.Maintenance }},
		{"off", func(f *reports.Figures) float64 { return f.Off }},
		{"closed", func(f *reports.Figures) float64 { return f.Closed }},
		{"no_data", func(f *reports.Figures) float64 { return f.NoData }},
	}
}

// figures are the cells of figureColumns.
func figures(f *reports.Figures) []any {
	var availability, outages, downtime any
	if f.Availability != nil {
		availability, outages, downtime = *f.Availability, f.Outages, minutes(f.Down)
	}
	out := []any{availability, f.Known, outages, downtime}
	for _, s := range shares() {
		if f.Period > 0 {
			out = append(out, s.of(f)/f.Period)
		} else {
			out = append(out, nil)
		}
	}
	var sent, lost, loss any
	if f.Loss != nil {
		sent, lost, loss = f.Sent, f.Lost, *f.Loss
	}
	return append(out, sent, lost, loss, millis(wording.P50(f.RTT)), millis(wording.P95(f.RTT)), millis(wording.P95(f.Jitter)))
}

func minutes(seconds float64) float64 { return math.Round(seconds/6) / 10 }

// millis is a cell of milliseconds with two digits, empty of what was not measured.
func millis(seconds *float64) any {
	if seconds == nil {
		return nil
	}
	return math.Round(*seconds*1e5) / 100
}

// groupName is how the groups of a sheet are called.
type groupName struct {
	heading string
	word    func(string) string
}

func (m *maker) groups(name string, called *groupName, groups []reports.Group) *sheet.Sheet {
	out := m.begin(name)
	if called != nil {
		out.Columns = append(out.Columns, m.text(called.heading, 26))
	}
	out.Columns = append(out.Columns, m.text("report.col_layer", 28), m.column("report.col_lines", sheet.Whole))
	out.Columns = append(append(out.Columns, m.figureColumns()...), m.column("report.col_met", sheet.Whole), m.column("report.col_missed", sheet.Whole),
		m.column("report.col_open", sheet.Whole))
	for i := range groups {
		g := &groups[i]
		var row []any
		if called != nil {
			row = append(row, called.word(g.Name))
		}
		row = append(append(row, m.Layer(g.Layer), g.Lines), figures(&g.Figures)...)
		out.Rows = append(out.Rows, append(row, g.Met, g.Missed, g.Open))
	}
	return out
}

func (m *maker) lines() *sheet.Sheet {
	out := m.begin("report.sheet_lines")
	out.Columns = append(out.Columns, m.text("report.col_code", 12), m.text("report.col_site", 24), m.text("report.col_district", 18), m.text("report.col_layer", 26),
		m.text("report.col_provider", 22), m.text("report.col_contract", 18), m.column("report.col_down_mbps", sheet.Decimal), m.column("report.col_up_mbps", sheet.Decimal),
		m.text("report.col_profile", 18))
	out.Columns = append(append(out.Columns, m.figureColumns()...), m.text("report.col_agreed", 20))
	for i := range m.r.Lines {
		l := &m.r.Lines[i]
		row := []any{l.Site, l.Name, l.District, m.Layer(l.Layer)}
		if c := l.Contract; c != nil {
			row = append(row, m.ProviderName(c.Provider), c.Number, speed(c.DownMbps), speed(c.UpMbps), c.Profile)
		} else {
			row = append(row, nil, nil, nil, nil, nil)
		}
		row = append(row, figures(&l.Figures)...)
		out.Rows = append(out.Rows, append(row, m.OutcomeName(l.Against)))
	}
	return out
}

func speed(mbps float64) any {
	if mbps == 0 {
		return nil
	}
	return mbps
}

func (m *maker) pairs() *sheet.Sheet {
	out := m.begin("report.sheet_pairs")
	out.Columns = []sheet.Column{m.text("report.col_code", 12), m.text("report.col_site", 24), m.text("report.col_district", 18)}
	sides := []string{"report.worse_broadband", "report.worse_dedicated"}
	for _, c := range []struct {
		key  string
		kind sheet.Kind
	}{{"report.col_availability", sheet.Availability}, {"report.col_downtime_minutes", sheet.Decimal}, {"report.col_loss", sheet.Share}, {"report.col_rtt_p95_ms", sheet.Decimal}} {
		for _, side := range sides {
			out.Columns = append(out.Columns, sheet.Column{Heading: m.Say(c.key) + " – " + m.Say(side), Kind: c.kind, Width: 15})
		}
	}
	out.Columns = append(out.Columns, m.text("report.col_worse", 16), m.text("report.col_by", 12), m.column("report.col_both_minutes", sheet.Decimal))
	for _, p := range m.r.Pairs {
		a, b := &m.r.Lines[p.Broadband], &m.r.Lines[p.Dedicated]
		row := []any{p.Site, a.Name, a.District}
		fa, fb := pairCells(&a.Figures), pairCells(&b.Figures)
		for i := range fa {
			row = append(row, fa[i], fb[i])
		}
		side, by := compare.Worse(&a.Figures, &b.Figures)
		row = append(row, m.Say("report.worse_"+string(side)), m.By(by))
		if p.Both != nil {
			row = append(row, minutes(p.Both.DownSeconds))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// pairCells are availability, downtime, loss and round trip.
func pairCells(f *reports.Figures) [4]any {
	var out [4]any
	if f.Availability != nil {
		out[0], out[1] = *f.Availability, minutes(f.Down)
	}
	if f.Loss != nil {
		out[2] = *f.Loss
	}
	out[3] = millis(wording.P95(f.RTT))
	return out
}

func (m *maker) notes() *sheet.Sheet {
	out := m.begin("report.sheet_notes")
	out.Columns = []sheet.Column{m.text("report.col_item", 32), m.text("report.col_says", 90), m.text("report.col_source", 50)}
	for _, n := range Notes(m.r, m.o) {
		out.Rows = append(out.Rows, []any{n.Item, n.Text, n.Source})
	}
	return out
}

// Note says what a figure is, or where a limit is written.
type Note struct{ Item, Text, Source string }

// Notes are what a reader has to know of a report: of when and which hours it is, how much was measured, what the
// figures are, and every limit with the place where it is written.
func Notes(r *reports.Report, o Options) []Note {
	m := newMaker(r, o)
	pending := m.Say("report.note_pending_none")
	if r.Pending > 0 {
		pending = m.Say("report.note_pending_text", "n", frame.Number(m.Lang, float64(r.Pending), 0))
	}
	out := []Note{
		{Item: m.Say("report.note_period"), Text: m.PeriodName(r.Period)},
		{Item: m.Say("report.note_hours"), Text: m.HoursName(r.Hours)},
		{Item: m.Say("report.note_made"), Text: wording.Moment(r.Made, m.o.Zone)},
		{Item: m.Say("report.note_data_to"), Text: wording.Moment(r.DataTo, m.o.Zone)},
		{Item: m.Say("report.note_pending"), Text: pending},
	}
	for i := range r.Paths {
		g := &r.Paths[i]
		out = append(out, Note{Item: m.Say("report.note_coverage"), Text: m.Layer(g.Layer) + ": " + m.Share(g.Figures.Known, 1)})
	}
	return append(append(out, Definitions(o)...), m.limits()...)
}

// Definitions say what the figures are.
func Definitions(o Options) []Note {
	m := wording.In(o.Lang)
	points := func(ratio float64) string {
		return m.Say("report.points", "n", frame.Number(m.Lang, 100*ratio, 2))
	}
	out := []Note{}
	for _, d := range [][2]string{{"report.col_availability", "report.def_availability"}, {"report.col_outages", "report.def_outages"},
		{"report.share_maintenance", "report.def_maintenance"}, {"report.share_off", "report.def_off"}, {"report.share_no_data", "report.def_no_data"},
		{"report.col_loss", "report.def_loss"}, {"report.col_rtt_p95", "report.def_rtt"}, {"report.col_jitter_p95", "report.def_jitter"},
		{"report.col_worse", "report.def_worse"}, {"report.col_both", "report.def_both"}, {"report.col_agreed", "report.def_agreed"}} {
		out = append(out, Note{Item: m.Say(d[0]), Text: m.Say(d[1], "a", points(compare.AvailabilityGap), "l", points(compare.LossGap),
			"known", frame.Percent(m.Lang, reports.MinKnown))})
	}
	return out
}

// limits are the limits that lines were held against, each once, with the place where it is written.
func (m *maker) limits() (out []Note) {
	for _, l := range Limits(m.r) {
		item := m.Say("report.note_limit")
		if l.Profile != "" {
			item += " – " + l.Profile
		}
		out = append(out, Note{
			Item:   item,
			Text:   m.Say("report.limit", "what", m.What(l.What), "limit", m.Limit(&l.Verdict), "hours", m.HoursName(l.Hours)),
			Source: l.Citation,
		})
	}
	return out
}

// Limit is a limit of a profile.
type Limit struct {
	Profile string
	reports.Verdict
}

// Limits are the limits that lines of a report were held against, each once, in the order in which they appear.
func Limits(r *reports.Report) (out []Limit) {
	type key struct {
		profile, what, citation string
		limit                   float64
		hours                   reports.Hours
	}
	seen := map[key]bool{}
	for i := range r.Lines {
		l := &r.Lines[i]
		for _, v := range l.Against {
			profile := ""
			if l.Contract != nil {
				profile = l.Contract.Profile
			}
			k := key{profile, v.What, v.Citation, v.Limit, v.Hours}
			if !seen[k] {
				seen[k] = true
				out = append(out, Limit{profile, v})
			}
		}
	}
	return out
}
