package report

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/collector/web/report/sheets"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
	"communewatch/probes"
)

// reportPage is a report of lines.
type reportPage struct {
	page
	R         *reports.Report
	Remarks   []Remark
	Cards     []groupView
	Providers []groupView
	Districts []groupView
	Pairs     []pairView
	Counts    []pairCount
	AllPairs  int
	Tables    []layerTable
	Sources   []source
	Notes     []sheets.Note

	providers []string
}

func (p *Pages) reportPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r)
	if !ok {
		return
	}
	rep, err := p.o.Reporter.Report(r.Context(), at.Q)
	if err != nil {
		p.fail(rw, r, err)
		return
	}
	out := reportPage{page: at, R: rep, Remarks: p.remarks(&at, rep)}
	if out.providers, err = p.allProviders(r.Context(), &at.Q, rep); err != nil {
		p.fail(rw, r, err)
		return
	}
	out.Heading = at.W.Title(at.Q.Period)
	out.PageTitle = out.Heading + " – " + out.PageTitle
	out.Cards = at.groups(rep.Paths, func(s string) string { return s })
	out.Providers = at.groups(rep.Providers, at.W.ProviderName)
	out.Districts = at.groups(rep.Districts, func(s string) string { return s })
	out.Pairs, out.Counts = at.pairs(rep)
	if out.AllPairs = len(out.Pairs); out.AllPairs > mostPairs && at.Query().Get("all") != "1" {
		out.Pairs = out.Pairs[:mostPairs]
	}
	var notes map[string]int
	notes, out.Sources = at.sources(rep)
	out.Tables = at.tables(rep, notes)
	out.Notes = sheets.Definitions(at.sheetOptions())
	p.house.Render(rw, r, http.StatusOK, p.templates, "report", &out)
}

func (p *page) sheetOptions() sheets.Options {
	return sheets.Options{Lang: p.Lang, Title: p.Title, Zone: p.Zone}
}

// allProviders are the providers to choose from. A report that is narrowed down does not tell of all, so that those of
// the last whole one are kept.
func (p *Pages) allProviders(ctx context.Context, q *reports.Query, rep *reports.Report) ([]string, error) {
	p.mu.Lock()
	kept := p.providers
	p.mu.Unlock()
	whole := q.Layer == "" && q.Site == "" && q.District == "" && q.Provider == ""
	if !whole && kept != nil {
		return kept, nil
	}
	if !whole {
		var err error
		if rep, err = p.o.Reporter.Report(ctx, reports.Query{Period: q.Period, Hours: q.Hours}); err != nil {
			return nil, err
		}
	}
	kept = []string{}
	for _, g := range rep.Providers {
		if g.Name != "" && !slices.Contains(kept, g.Name) {
			kept = append(kept, g.Name)
		}
	}
	p.mu.Lock()
	p.providers = kept
	p.mu.Unlock()
	return kept, nil
}

// Field is one thing to choose by.
type Field struct {
	Name, Label string
	Any         string // label of no choice; empty: one must be chosen
	Choices     []Choice
}

// Fields are the things that a report is narrowed down by.
func (p *reportPage) Fields() []Field {
	hours := Field{Name: "hours", Label: p.W.Say("report.note_hours")}
	for _, h := range []reports.Hours{reports.Office, reports.Other, reports.All} {
		hours.Choices = append(hours.Choices, Choice{string(h), p.W.HoursName(h), h == p.Q.Hours})
	}
	layer := Field{Name: "layer", Label: p.W.Say("report.col_layer"), Any: p.T("report.any")}
	for _, l := range probes.Layers() {
		layer.Choices = append(layer.Choices, Choice{string(l), p.W.Layer(l), l == p.Q.Layer})
	}
	district := Field{Name: "district", Label: p.W.Say("report.col_district"), Any: p.T("report.any")}
	site := Field{Name: "site", Label: p.W.Say("report.col_site"), Any: p.T("report.any")}
	var districts []string
	for id, n := range p.names {
		if n.District != "" && !slices.Contains(districts, n.District) {
			districts = append(districts, n.District)
		}
		label := n.Name
		if n.District != "" {
			label += " – " + n.District
		}
		site.Choices = append(site.Choices, Choice{id, label, id == p.Q.Site})
	}
	for _, d := range districts {
		district.Choices = append(district.Choices, Choice{d, d, d == p.Q.District})
	}
	provider := Field{Name: "provider", Label: p.W.Say("report.col_provider"), Any: p.T("report.any")}
	for _, name := range p.providers {
		provider.Choices = append(provider.Choices, Choice{name, name, name == p.Q.Provider})
	}
	out := []Field{hours, layer, district, provider, site}
	for i, chosen := range []string{"", string(p.Q.Layer), p.Q.District, p.Q.Provider, p.Q.Site} {
		f := &out[i]
		if f.Any != "" && f.Name != "layer" {
			slices.SortFunc(f.Choices, func(a, b Choice) int {
				return strings.Compare(inventory.Fold(a.Label)+a.Value, inventory.Fold(b.Label)+b.Value)
			})
		}
		if chosen != "" && !slices.ContainsFunc(f.Choices, func(c Choice) bool { return c.Chosen }) {
			f.Choices = append(f.Choices, Choice{chosen, chosen, true}) // what is asked for is shown, known or not
		}
	}
	return out
}

// Narrowed are the choices that narrow the report down, for the line below its title.
func (p *reportPage) Narrowed() (out []Field) {
	for _, f := range p.Fields() {
		for _, c := range f.Choices {
			if c.Chosen && f.Any != "" {
				out = append(out, Field{Name: f.Name, Label: f.Label + ": " + c.Label})
			}
		}
	}
	return out
}

// csvFile answers with all lines as CSV, separated by commas, or by semicolons for a spreadsheet that wants those.
func (p *Pages) csvFile(rw http.ResponseWriter, r *http.Request) {
	p.file(rw, r, ".csv", sheet.CSVType, func(out *bytes.Buffer, at *page, rep *reports.Report) error {
		separator := ','
		// net/url drops a parameter with a bare semicolon, which is just what is written here.
		if at.Query().Get("sep") == ";" || slices.Contains(strings.Split(r.URL.RawQuery, "&"), "sep=;") {
			separator = ';'
		}
		return sheets.Lines(rep, at.sheetOptions()).WriteCSV(out, separator)
	})
}

func (p *Pages) xlsxFile(rw http.ResponseWriter, r *http.Request) {
	p.file(rw, r, ".xlsx", sheet.XLSXType, func(out *bytes.Buffer, at *page, rep *reports.Report) error {
		return sheet.WriteXLSX(out, sheets.Sheets(rep, at.sheetOptions())...)
	})
}

// file makes the whole file before its first byte is sent, so that one that cannot be made is not taken for a short one.
// A question that can't be understood makes no file: its name would promise what is not in it.
func (p *Pages) file(rw http.ResponseWriter, r *http.Request, extension, mime string, write func(*bytes.Buffer, *page, *reports.Report) error) {
	at, ok := p.open(rw, r)
	if !ok {
		return
	}
	if at.BadAsk {
		p.sorry(rw, r, http.StatusBadRequest, "report.nowhere", "report.bad_file")
		return
	}
	rep, err := p.o.Reporter.Report(r.Context(), at.Q)
	if err == nil && len(rep.Unknown) > 0 {
		p.sorry(rw, r, http.StatusBadRequest, "report.nowhere", "report.bad_file")
		return
	}
	var body bytes.Buffer
	if err == nil {
		err = write(&body, &at, rep)
	}
	if err != nil {
		p.fail(rw, r, err)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", mime)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Disposition", `attachment; filename="`+at.W.Say("report.file")+"-"+strings.ReplaceAll(period.Name(at.Q.Period), "..", "_")+extension+`"`)
	_, _ = rw.Write(body.Bytes()) // the reader has gone; there is nobody to tell
}

// cells is what the template "group_cells" needs.
type cells struct {
	P *reportPage
	G groupView
}

// Cells are a group's.
func (p *reportPage) Cells(g groupView) cells { return cells{p, g} }

// Twice is for what both lines of a site have.
func (p *reportPage) Twice() [2]struct{} { return [2]struct{}{} }

// KeptChoices are the choices that the form keeps though it has no field for them.
func (p *reportPage) KeptChoices() map[string]string {
	out := map[string]string{}
	for _, key := range []string{"sort", "pairs", "all"} {
		if v := p.Query().Get(key); v != "" {
			out[key] = v
		}
	}
	return out
}

// Sorts are the orders that lines may have, as links.
func (p *reportPage) Sorts() (out []Choice) {
	for _, key := range []string{"", "availability", "down", "no_data", "loss", "rtt", "jitter"} {
		name := key
		if name == "" {
			name = "place"
		}
		out = append(out, Choice{p.ToWith("/reports", "sort", key) + "#lines", p.T("report.sort_" + name), key == p.Sorted()})
	}
	return out
}
