package report

import (
	"html/template"
	"strconv"
	"strings"

	"communewatch/collector/reports"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/report/wording"
)

// A page has some five hundred lines of a dozen cells. A template asks for each by reflection, which took most of the time
// that a page took, so that these cells are written here; all that goes into them is escaped.

// labels name the figures where no heading does, as on a phone.
type labels struct{ availability, down, maintenance, off, noData, loss, p50, p95, jitter string }

func (p *page) label() *labels {
	if p.labels == nil {
		p.labels = &labels{p.W.Say("report.col_availability"), p.T("report.downtime"), p.W.Say("report.share_maintenance"), p.W.Say("report.share_off"),
			p.W.Say("report.share_no_data"), p.T("report.short_loss"), p.T("report.short_p50"), p.T("report.short_p95"), p.T("report.short_jitter")}
	}
	return p.labels
}

// cellsOf are the cells of a line's row that its figures fill; "figure_heads" of the templates heads them.
func (p *page) cellsOf(f *figures) template.HTML {
	var b strings.Builder
	l := p.label()
	b.WriteString(`<td class="bar-cell" title="`)
	b.WriteString(template.HTMLEscapeString(f.Shares))
	b.WriteString(`">`)
	b.WriteString(string(f.Bar))
	b.WriteString(`</td>`)
	cell := func(class, label, value, small string) {
		b.WriteString(`<td class="` + class + `" data-label="`)
		b.WriteString(template.HTMLEscapeString(label))
		b.WriteString(`">`)
		b.WriteString(template.HTMLEscapeString(value))
		if small != "" {
			b.WriteString(` <small>` + template.HTMLEscapeString(small) + `</small>`)
		}
		b.WriteString(`</td>`)
	}
	cell("num strong", l.availability, f.Availability, "")
	cell("num", l.down, f.Down, f.Outages)
	cell("num", l.maintenance, f.Maintenance, "")
	cell("num", l.off, f.Off, "")
	cell("num", l.noData, f.NoData, "")
	cell("num", l.loss, f.Loss, "")
	cell("num", l.p50, f.P50, "")
	cell("num", l.p95, f.P95, "")
	cell("num", l.jitter, f.Jitter, "")
	return template.HTML(b.String())
}

// outcomeLooks are the shapes of outcomes; words stand beside them.
var outcomeLooks = map[wording.Outcome]string{wording.Met: "ok", wording.Missed: "down", wording.Open: "no_data", wording.Unagreed: "none"}

// agreed says what became of a line's limits, with each of them to unfold: what was measured, the limit, and the number of
// the note that says where it is written.
func (p *page) agreed(against []reports.Verdict, notes map[string]int) template.HTML {
	outcome, _ := wording.OutcomeOf(against)
	look := outcomeLooks[outcome]
	sum := `<span class="state" data-state="` + look + `">` + string(frame.Glyph(look)) + template.HTMLEscapeString(p.W.OutcomeName(against)) + `</span>`
	if len(against) == 0 {
		return template.HTML(sum)
	}
	var b strings.Builder
	b.WriteString(`<details class="agreed"><summary>` + sum + `</summary><ul>`)
	for i := range against {
		v := &against[i]
		state, is := "no_data", "report.is_open"
		if v.Met != nil {
			if state, is = "down", "report.is_missed"; *v.Met {
				state, is = "ok", "report.is_met"
			}
		}
		b.WriteString(`<li><span class="state" data-state="` + state + `">` + template.HTMLEscapeString(p.T(is)) + `</span> · `)
		b.WriteString(template.HTMLEscapeString(p.W.What(v.What)) + `: <b>` + template.HTMLEscapeString(p.W.Value(v)) + `</b> (`)
		b.WriteString(template.HTMLEscapeString(p.T("report.limit_short") + " " + p.W.Limit(v) + ", " + strings.ToLower(p.W.HoursName(v.Hours))))
		b.WriteByte(')')
		if why := p.W.Why(v); why != "" {
			b.WriteString(template.HTMLEscapeString(" – " + why))
		}
		n := strconv.Itoa(notes[v.Citation])
		b.WriteString(` <a href="#source-` + n + `" title="` + template.HTMLEscapeString(v.Citation) + `">[` + n + `]</a></li>`)
	}
	b.WriteString(`</ul></details>`)
	return template.HTML(b.String())
}
