package rehearsal

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/words"
	"communewatch/inventory/sheet"
)

// matrixFile answers with the matrix, the steps and the actions as a spreadsheet: all sites, whatever the page's filter.
func (p *Pages) matrixFile(rw http.ResponseWriter, r *http.Request) {
	id, ok := p.id(rw, r)
	if !ok {
		return
	}
	at := p.open(rw, r, "rehearsal.matrix")
	rep, err := p.o.Service.Get(r.Context(), id)
	if err != nil {
		p.fail(rw, r, err)
		return
	}
	// The whole file before its first byte, so that one that can't be made is not taken for a short one.
	var body bytes.Buffer
	if err := sheet.WriteXLSX(&body, at.sheets(&rep)...); err != nil {
		p.fail(rw, r, err)
		return
	}
	day := rep.Created
	if rep.Began != nil {
		day = *rep.Began
	}
	h := rw.Header()
	h.Set("Content-Type", sheet.XLSXType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s-%s.xlsx"`, at.T("rehearsal.xlsx_file"), id, day.In(at.Zone).Format("2006-01-02")))
	_, _ = rw.Write(body.Bytes()) // the reader has gone; there is nobody to tell
}

func (p *page) sheets(rep *rehearsal.Report) []*sheet.Sheet {
	title := rep.Plan.Meeting
	if p.Title != "" {
		title += " – " + p.Title
	}
	note := p.T("rehearsal.note_tested", "when", p.Moment(&rep.Created), "profile", p.Profile(rep.Plan.Profile), "seconds", rep.Plan.StepSeconds, "now", p.NowText())
	if rep.Began != nil {
		note = p.T("rehearsal.note_tested", "when", p.Moment(rep.Began), "profile", p.Profile(rep.Plan.Profile), "seconds", rep.Plan.StepSeconds, "now", p.NowText())
	}
	begin := func(key string, columns ...sheet.Column) *sheet.Sheet {
		return &sheet.Sheet{Name: p.T(key), Title: title, Note: note, Zone: p.Zone, Columns: columns}
	}
	text := func(key string, width float64) sheet.Column { return sheet.Column{Heading: p.T(key), Width: width} }
	number := func(key string) sheet.Column { return sheet.Column{Heading: p.T(key), Kind: sheet.Number} }

	matrix := begin("rehearsal.matrix", text("col.code", 10), text("col.site", 24), text("rehearsal.district", 18), text("rehearsal.overall", 12))
	for _, c := range rehearsal.Columns() {
		matrix.Columns = append(matrix.Columns, text("column."+string(c), 14))
		if c == rehearsal.ColumnEndpoint {
			matrix.Columns = append(matrix.Columns, text("rehearsal.level", 9))
		}
	}
	for i, n := range rep.Plan.Steps {
		of := fmt.Sprintf(" – %s %d (%d %s)", strings.ToLower(p.T("rehearsal.step")), i+1, n, p.T("rehearsal.sites_word"))
		matrix.Columns = append(matrix.Columns, sheet.Column{Heading: p.T("rehearsal.loss_up") + of, Kind: sheet.Ratio}, sheet.Column{Heading: p.T("rehearsal.loss_down") + of, Kind: sheet.Ratio})
	}
	matrix.Columns = append(matrix.Columns, sheet.Column{Heading: p.T("conference.rtt") + " (ms)", Kind: sheet.Number}, number("conference.mos_audio"), number("conference.mos_video"), text("rehearsal.why", 60))
	for _, row := range rep.Verdict.Rows {
		n := p.names[row.Site]
		cells := []any{n.Code, p.Site(row.Site), row.District, p.MarkName(row.Overall)}
		for _, c := range rehearsal.Columns() {
			cell := p.Cell(row, c)
			cells = append(cells, p.MarkName(cell.Mark))
			if c == rehearsal.ColumnEndpoint {
				cells = append(cells, p.levelText(cell))
			}
		}
		for i := range rep.Plan.Steps {
			var s rehearsal.StepLoss
			if i < len(row.Steps) {
				s = row.Steps[i]
			}
			cells = append(cells, value(s.Up, 1), value(s.Down, 1))
		}
		matrix.Rows = append(matrix.Rows, append(cells, value(row.RTT, 1000), value(row.MOS, 1), value(row.MOSVideo, 1), p.Because(row.Why)))
	}

	steps := begin("rehearsal.steps_title", number("rehearsal.step"), number("rehearsal.sites"), number("rehearsal.results"), number("rehearsal.lossy"),
		sheet.Column{Heading: p.T("rehearsal.median_up"), Kind: sheet.Ratio}, sheet.Column{Heading: p.T("rehearsal.median_down"), Kind: sheet.Ratio})
	besides := asides(&rep.Verdict)
	for _, a := range besides {
		steps.Columns = append(steps.Columns, number(a.Key))
	}
	for i, s := range rep.Verdict.Steps {
		cells := []any{s.Step, s.Sites, s.Results, s.Lossy, s.MedianUp, s.MedianDown}
		if s.Results == 0 {
			cells = []any{s.Step, s.Sites, 0, nil, nil, nil} // nothing was measured, which is no loss of 0 %
		}
		for _, a := range besides {
			cells = append(cells, a.Of[i])
		}
		steps.Rows = append(steps.Rows, cells)
	}

	do := begin("rehearsal.actions", text("rehearsal.actions", 90), text("rehearsal.sites", 60))
	for _, a := range rep.Verdict.Actions {
		do.Rows = append(do.Rows, []any{words.Action(p.Words, a), p.Named(a.Sites)})
	}
	return []*sheet.Sheet{matrix, steps, do}
}

// levelText is an endpoint's level in a cell: "L2", or that it is not known.
func (p page) levelText(c rehearsal.Cell) string {
	switch {
	case c.Level == nil:
		return p.NoLevel(c)
	case *c.Level < 0:
		return p.T("level.none")
	}
	return fmt.Sprintf("L%d", *c.Level)
}

// value is a cell's number times a factor, empty where nothing was measured.
func value(v *float64, factor float64) any {
	if v == nil {
		return nil
	}
	return *v * factor
}

// mostNamed is how many sites a sentence names.
const mostNamed = 12

// Named lists sites by name, the first dozen of them.
func (p page) Named(sites []string) string {
	names := make([]string, 0, mostNamed)
	for i, id := range sites {
		if i == mostNamed {
			names = append(names, "… (+"+p.Count(len(sites)-mostNamed)+")")
			break
		}
		names = append(names, p.Site(id))
	}
	return strings.Join(names, ", ")
}

// changeList is what the template of changes gets.
type changeList struct {
	P    *comparePage
	Key  string
	B    rehearsal.ID
	List []rehearsal.Change
}

// Changes hands a list of changes to its template.
func (p *comparePage) Changes(key string, list []rehearsal.Change) changeList {
	return changeList{p, key, p.B.ID, list}
}

// lossText is what the template of a loss gets.
type lossText struct{ Text, State string }

// Lossy is a loss with the mark that it looks like.
func (p page) Lossy(v *float64) lossText {
	if v == nil {
		return lossText{}
	}
	return lossText{p.Percent(*v), p.LossState(v, nil)}
}

// Length words a number of seconds.
func (p page) Length(seconds int) string { return p.Seconds(float64(seconds)) }
