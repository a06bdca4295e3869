package inventory

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"communewatch/collector/stock"
	"communewatch/collector/web/inventory/columns"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/sheet"
)

// What will be unsupported.

type unsupportedPage struct {
	page
	Day    inventory.Date
	Years  []yearGroup
	Total  int
	Past   int // of Total, ended before today
	Silent int // devices of which no end is known, so that they cannot be here
	Quick  []stock.Choice
}

type yearGroup struct {
	Year   string // "" where no day is known
	Total  int
	Months []monthGroup
}

type monthGroup struct {
	Month string // 10/2025
	Rows  []stock.Row
	Of    int // Rows may hold fewer
}

// perMonth is how many devices of a month are listed before somebody asks for all.
const perMonth = 50

// ending reads what will be unsupported on the day that is asked for: the end of this year unless somebody says.
func (p *Pages) ending(ctx context.Context, at *page) (rows []stock.Row, day inventory.Date, err error) {
	end := inventory.DateOf(time.Date(at.today().Year(), 12, 31, 0, 0, 0, 0, time.UTC))
	day = at.date("date", at.date("as_of", end))
	q := at.Asked
	q.AsOf, at.AsOf = day, day
	rows, err = p.stock.Unsupported(ctx, q)
	return rows, day, err
}

func (p *Pages) unsupportedPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "inventory.unsupported")
	if !ok {
		return
	}
	rows, day, err := p.ending(r.Context(), &at)
	if err != nil {
		p.fail(rw, r, at, err)
		return
	}
	out := unsupportedPage{page: at, Day: day, Total: len(rows)}
	listed := map[string]bool{}
	for _, row := range rows {
		listed[row.ID] = true
		year, month := "", ""
		if d := row.SupportEnds; !d.IsZero() {
			year, month = d.Format("2006"), d.Format("01/2006")
			if d.Before(at.today().Time) {
				out.Past++
			}
		}
		if n := len(out.Years); n == 0 || out.Years[n-1].Year != year {
			out.Years = append(out.Years, yearGroup{Year: year})
		}
		y := &out.Years[len(out.Years)-1]
		y.Total++
		if n := len(y.Months); n == 0 || y.Months[n-1].Month != month {
			y.Months = append(y.Months, monthGroup{Month: month})
		}
		m := &y.Months[len(y.Months)-1]
		m.Of++
		if at.All || len(m.Rows) < perMonth {
			m.Rows = append(m.Rows, row)
		}
	}
	q := at.Asked
	q.AsOf = day
	all, err := p.stock.Table(r.Context(), q)
	if err != nil {
		p.fail(rw, r, at, err)
		return
	}
	for i := range all {
		if all[i].SupportEnds.IsZero() && !listed[all[i].ID] {
			out.Silent++
		}
	}
	this := at.today().Year()
	for _, y := range []int{this, this + 1, this + 2, this + 3, this + 5} {
		d := inventory.DateOf(time.Date(y, 12, 31, 0, 0, 0, 0, time.UTC))
		out.Quick = append(out.Quick, stock.Choice{Value: d.String(), Label: d.Format("02/01/2006")})
	}
	p.render(rw, r, "unsupported", out)
}

// KeptAll are the parameters that a choice of a day keeps.
func (p unsupportedPage) KeptAll() (out []stock.Choice) {
	for _, name := range carried() {
		if v := p.Query().Get(name); v != "" && name != "as_of" {
			out = append(out, stock.Choice{Value: name, Label: v})
		}
	}
	return out
}

func (p *Pages) unsupportedSheets(ctx context.Context, at *page) ([]*sheet.Sheet, error) {
	rows, _, err := p.ending(ctx, at)
	if err != nil {
		return nil, err
	}
	return []*sheet.Sheet{at.sheetOf(rows, columns.All())}, nil
}

// What to replace.

type replacePage struct {
	page
	Paging
	Allowed, NotYet, Untold, Planned int // of all that match
	Rows                             []stock.Replacement
	Price                            int64
}

// only keeps one answer to whether a device may be replaced: what ?may= says. What is merely old is for planning: it is
// on no list of proposals unless it is asked for.
func only(rows []stock.Replacement, may string) []stock.Replacement {
	if may == "" {
		return slices.DeleteFunc(rows, func(r stock.Replacement) bool { return r.Replace == lifecycle.ReplacePlan })
	}
	return slices.DeleteFunc(rows, func(r stock.Replacement) bool { return string(r.Replace) != may })
}

func (p *Pages) replacePage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "inventory.replace")
	if !ok {
		return
	}
	rows, err := p.stock.Replacements(r.Context(), at.Asked)
	if err != nil {
		p.fail(rw, r, at, err)
		return
	}
	at.Paper = true
	out := replacePage{page: at}
	for i := range rows {
		switch rows[i].Replace {
		case lifecycle.ReplaceProposed:
			out.Allowed++
		case lifecycle.ReplaceNotYet:
			out.NotYet++
		case lifecycle.ReplacePlan:
			out.Planned++
		default:
			out.Untold++
		}
	}
	rows = only(rows, at.Query().Get("may"))
	for i := range rows {
		out.Price += rows[i].Price
	}
	out.Rows, out.Paging = cut(&at, rows)
	p.render(rw, r, "replace", out)
}

// May is what of the replacement list is shown: "" is all.
func (p page) May() string { return p.Query().Get("may") }

// Nth numbers the rows of a list (STT).
func (g Paging) Nth(i int) int { return g.First + i }

func (p *Pages) replaceSheets(ctx context.Context, at *page) ([]*sheet.Sheet, error) {
	rows, err := p.stock.Replacements(ctx, at.Asked)
	if err != nil {
		return nil, err
	}
	rows = only(rows, at.Query().Get("may"))
	out := at.sheet("inventory.replace", len(rows))
	head := func(key string, kind sheet.Kind, width float64) {
		out.Columns = append(out.Columns, sheet.Column{Heading: at.T(key), Kind: kind, Width: width})
	}
	head("list.nth", sheet.Number, 6)
	for _, k := range []string{"id", "district", "site", "class", "vendor", "model", "version", "serial"} {
		head("device."+k, sheet.Text, 0)
	}
	head("device.score", sheet.Number, 0)
	head("device.band", sheet.Text, 18)
	head("list.priority", sheet.Text, 40)
	head("device.state", sheet.Text, 14)
	head("list.evidence", sheet.Text, 60)
	head("list.sources", sheet.Text, 50)
	head("device.support_ends", sheet.Date, 0)
	head("device.legal", sheet.Text, 24)
	head("list.grounds", sheet.Text, 60)
	head("device.replacement", sheet.Text, 30)
	head("list.offers", sheet.Text, 30)
	head("device.phase", sheet.Text, 20)
	head("device.in_service", sheet.Date, 0)
	head("device.price", sheet.Money, 0)
	for i := range rows {
		r := &rows[i]
		var parts, evidence, sources, grounds []string
		for _, x := range r.Priority {
			parts = append(parts, at.Signed(x.Points)+" "+x.Text)
		}
		for _, f := range r.Findings {
			evidence = append(evidence, f.Rule+": "+f.Text)
			for _, row := range f.Rows {
				sources = append(sources, f.Rule+": "+row.Source)
			}
		}
		for _, f := range r.LegalChecks {
			grounds = append(grounds, f.Rule+": "+f.Text)
		}
		out.Rows = append(out.Rows, []any{i + 1, r.ID, r.District, r.SiteName, at.Class(r.Class), r.Vendor, r.Model, r.Version, r.Serial, r.Score,
			at.Band(r.Band), strings.Join(parts, "; "), at.StateText(r.State), strings.Join(evidence, "\n"), strings.Join(sources, "\n"), r.SupportEnds,
			at.LegalText(r.Legal), strings.Join(grounds, "\n"), r.ReplaceText, strings.Join(r.Offers, ", "), at.Phase(r.Phase), r.InService, columns.Priced(r.Price)})
	}
	return []*sheet.Sheet{out}, nil
}

// What nobody knows yet.

type verifyPage struct {
	page
	Groups  []askGroup
	Devices int
	Total   int
	Letter  *stock.Question
}

// askGroup is what one kind of source can say.
type askGroup struct {
	Who, WhoText string
	Paging
	Questions []asking
	Asked     int // questions, of which one row may hold many
}

// asking is one question, for one device or for all of a model: a maker answers once for all of them.
type asking struct {
	stock.Question
	Devices int
}

func (p *Pages) verifyPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "inventory.verify")
	if !ok {
		return
	}
	questions, err := p.stock.Verify(r.Context(), at.Asked)
	if err != nil {
		p.fail(rw, r, at, err)
		return
	}
	out := verifyPage{page: at, Total: len(questions)}
	if id := at.Query().Get("letter"); id != "" {
		for i := range questions {
			if questions[i].ID == id && questions[i].Letter != "" {
				out.Letter, out.Paper = &questions[i], true
				p.render(rw, r, "letter", out)
				return
			}
		}
		sorry := p.sorry(rw, r, "list.no_letter", "list.no_letter_hint")
		p.house.Render(rw, r, http.StatusNotFound, p.templates, "sorry", sorry)
		return
	}
	seen := map[string]bool{}
	for _, q := range questions {
		seen[q.ID] = true
		i := slices.IndexFunc(out.Groups, func(g askGroup) bool { return g.WhoText == q.WhoText })
		if i < 0 {
			i = len(out.Groups)
			out.Groups = append(out.Groups, askGroup{Who: q.Who, WhoText: q.WhoText})
		}
		out.Groups[i].add(q)
	}
	slices.SortStableFunc(out.Groups, func(a, b askGroup) int { return cmp.Compare(b.Asked, a.Asked) })
	for i := range out.Groups {
		g := &out.Groups[i]
		g.Of = len(g.Questions)
		if !at.All && g.Of > perPage {
			g.Questions = g.Questions[:perPage]
		}
		g.First, g.Last = min(1, len(g.Questions)), len(g.Questions)
	}
	out.Devices = len(seen)
	p.render(rw, r, "verify", out)
}

// add takes a question in.
func (g *askGroup) add(q stock.Question) {
	g.Asked++
	if q.Letter != "" {
		i := slices.IndexFunc(g.Questions, func(a asking) bool {
			return a.Letter != "" && a.Missing == q.Missing && a.Vendor == q.Vendor && a.Model == q.Model
		})
		if i >= 0 {
			g.Questions[i].Devices++
			return
		}
	}
	g.Questions = append(g.Questions, asking{q, 1})
}

// LetterAt is the address of a letter to print.
func (p page) LetterAt(q asking) string {
	return p.to("/inventory/verify", map[string]string{"letter": q.ID, "site": q.Site})
}

func (p *Pages) verifySheets(ctx context.Context, at *page) ([]*sheet.Sheet, error) {
	questions, err := p.stock.Verify(ctx, at.Asked)
	if err != nil {
		return nil, err
	}
	out := at.sheet("inventory.verify", len(questions))
	for _, k := range []string{"id", "district", "site", "class", "vendor", "model", "version", "serial", "address"} {
		out.Columns = append(out.Columns, sheet.Column{Heading: at.T("device." + k)})
	}
	out.Columns = append(out.Columns, sheet.Column{Heading: at.T("list.missing"), Width: 40}, sheet.Column{Heading: at.T("list.who"), Width: 50},
		sheet.Column{Heading: at.T("list.answer"), Width: 30}, sheet.Column{Heading: at.T("list.document"), Width: 30})
	for _, q := range questions {
		out.Rows = append(out.Rows, []any{q.ID, q.District, q.SiteName, at.Class(q.Class), q.Vendor, q.Model, q.Version, q.Serial, q.Address, q.Text, q.WhoText, nil, nil})
	}
	return []*sheet.Sheet{out}, nil
}
