package inventory

import (
	"context"
	"html/template"
	"net/http"
	"strings"

	"communewatch/collector/stock"
	"communewatch/collector/web/inventory/columns"
	"communewatch/inventory/sheet"
)

// tablePage is the list of devices.
type tablePage struct {
	page
	Paging
	Columns []Heading
	Rows    []tableRow
	Three   Numbers // of what the filter lets through, whatever its standing
	Any     bool    // there are devices at all
	Custom  bool    // the reader chose the columns
}

// Heading is the head of one column, or one column to choose.
type Heading struct {
	Key, Sort string // Sort: the address that sorts by it, or the other way round
	Order     string // "ascending", "descending", or "" where rows are not sorted by it
	Chosen    bool
	Numeric   bool
}

type tableRow struct {
	*stock.Row
	Cells []template.HTML
}

func (p *Pages) tablePage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "inventory.table")
	if !ok {
		return
	}
	out := tablePage{page: at, Any: len(at.Choices.Sites) > 0}
	rows, count, err := p.rows(r.Context(), &at)
	if err != nil {
		p.fail(rw, r, at, err)
		return
	}
	out.Three = count
	shown, byReader := columns.Chosen(rw, r)
	out.Custom = byReader
	var rowsHere []stock.Row
	rowsHere, out.Paging = cut(&at, rows)
	out.Columns = append(out.Columns, at.heading("device", false))
	for _, c := range shown {
		out.Columns = append(out.Columns, at.heading(c.Key, c.Numeric()))
	}
	for i := range rowsHere {
		row := tableRow{Row: &rowsHere[i]}
		for j := range shown {
			row.Cells = append(row.Cells, shown[j].Cell(at.Voice, row.Row))
		}
		out.Rows = append(out.Rows, row)
	}
	p.render(rw, r, "table", out)
}

// rows reads the rows that a page asks for, in its order, and the three numbers before a standing is asked for: these
// are the way to ask for one.
func (p *Pages) rows(ctx context.Context, at *page) ([]stock.Row, Numbers, error) {
	q := at.Asked
	standing := q.Filter.Standing
	q.Filter.Standing = ""
	rows, err := p.stock.Table(ctx, q)
	if err != nil {
		return nil, Numbers{}, err
	}
	count := NumbersOf(rows)
	rows = within(rows, standing)
	columns.Sort(at.Voice, rows, at.Query().Get("sort"))
	return rows, count, nil
}

func (p page) heading(key string, numeric bool) Heading {
	h := Heading{Key: key, Sort: p.Again("sort", key), Numeric: numeric}
	switch p.Query().Get("sort") {
	case key:
		h.Order, h.Sort = "ascending", p.Again("sort", "-"+key)
	case "-" + key:
		h.Order, h.Sort = "descending", p.Again("sort", "")
	}
	return h
}

// Export is the address of this list as a file, with the reader's columns if there was a choice.
func (p tablePage) Export(extension string) string {
	with := map[string]string{"sort": p.Query().Get("sort")}
	if p.Custom {
		var keys []string
		for _, c := range p.Columns[1:] {
			keys = append(keys, c.Key)
		}
		with["col"] = strings.Join(keys, ".")
	}
	return p.to("/inventory."+extension, with)
}

// Facet is the address that shows one of the three numbers' devices, or all again.
func (p tablePage) Facet(standing string) string {
	if p.Query().Get("standing") == standing {
		standing = ""
	}
	return p.Again("standing", standing)
}

// ColumnAt is the heading above a cell.
func (p tablePage) ColumnAt(i int) Heading { return p.Columns[i+1] }

// Carried are the parameters that a choice of columns keeps.
func (p tablePage) Carried() (out []stock.Choice) {
	for _, name := range append(carried(), "sort") {
		if v := p.Query().Get(name); v != "" {
			out = append(out, stock.Choice{Value: name, Label: v})
		}
	}
	return out
}

// Choosable are all columns, with those that are shown marked.
func (p tablePage) Choosable() (out []Heading) {
	for _, c := range columns.All() {
		h := Heading{Key: c.Key}
		for _, shown := range p.Columns {
			h.Chosen = h.Chosen || shown.Key == c.Key
		}
		out = append(out, h)
	}
	return out
}

// tableSheets is the list of devices as a file: with the columns that the address names, or else all of them, since who
// takes the list along wants to work with it.
func (p *Pages) tableSheets(ctx context.Context, at *page) ([]*sheet.Sheet, error) {
	rows, _, err := p.rows(ctx, at)
	if err != nil {
		return nil, err
	}
	some := columns.Named(strings.Split(strings.Join(at.Query()["col"], "."), "."))
	if len(some) == 0 {
		some = columns.All()
	}
	return []*sheet.Sheet{at.sheetOf(rows, some)}, nil
}

// sheetOf makes a sheet of rows.
func (p *page) sheetOf(rows []stock.Row, list []columns.Column) *sheet.Sheet {
	out := p.sheet(p.Heading, len(rows))
	columns.Sheet(out, p.Voice, rows, list)
	return out
}
