// Package lists reads what sites have, as people keep it in Excel or CSV: a site a row, a value a column, Vietnamese or
// English headings, in any order. Every mistake is told at once with its row, column and fix, and a list with a mistake is
// not taken at all. It is a pure function of the list, the sites and the plan's values.
package lists

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/assign/values"
	"communewatch/inventory"
	"communewatch/inventory/purchases/headings"
	"communewatch/inventory/purchases/places"
)

// Bounds of a list.
const (
	maxSites  = 20_000
	titleRows = 20 // rows looked at for the headings
	maxWrong  = 2000
	maxCell   = 20_000 // bytes: a hundred addresses have some 1,500
)

// Options are what a list is checked against.
type Options struct {
	Sites  []inventory.Site // all rows: a list may use a name that a site had before
	Values map[string]values.Value
}

// Import is what a list holds. With Problems it holds no values. An empty cell says nothing; "-" takes a value away, and
// so has an empty list in Values.
type Import struct {
	Values   values.Table
	Problems []inventory.Problem
	Warnings []inventory.Problem
}

// Columns that name a site, and those of no interest, folded.
func siteColumns() map[string]string {
	out := map[string]string{}
	for kind, names := range map[string][]string{
		"code":    {"ma don vi", "ma xa", "ma diem", "ma site", "site id", "site code", "id", "ma dvhc", "ma xa phuong", "ma"},
		"site":    {"don vi", "xa phuong", "phuong xa", "ten xa", "ten xa phuong", "ten don vi", "dia diem", "diem", "site", "xa phuong thi tran"},
		"parent":  {"huyen", "quan huyen", "ten huyen", "huyen thi xa", "district", "huyen thanh pho"},
		"ignored": {"stt", "tt", "so tt", "so thu tu", "no", "ghi chu", "note", "notes"},
	} {
		for _, n := range names {
			out[n] = kind
		}
	}
	return out
}

// reader is the reading of one file.
type reader struct {
	o      Options
	places *places.Places
	fixed  map[string]string // what a heading means, beside values
	values map[string]string // the value of a heading
	out    Import
	sheet  string
	rows   map[string]int // of sites
}

// Read reads a list: an Excel file (.xlsx, its visible sheets) or text separated by commas, semicolons or tabs. name is
// used for messages alone.
func (o Options) Read(name string, data []byte) Import {
	r := reader{o: o, places: places.New(o.Sites), fixed: siteColumns(), values: map[string]string{}, out: Import{Values: values.Table{}}, rows: map[string]int{}}
	for _, v := range slices.Sorted(maps.Keys(o.Values)) {
		for _, h := range append([]string{v}, o.Values[v].Headings...) {
			if key := headings.Fold(h); r.values[key] == "" && key != "" {
				r.values[key] = v
			}
		}
	}
	tables, problem := inventory.ReadTables(data)
	if problem != nil {
		r.out.Problems = append(r.out.Problems, *problem)
	}
	for i := range tables {
		if r.sheet = tables[i].Sheet; len(tables) == 1 {
			r.sheet = ""
		}
		if tables[i].Hidden && len(tables) > 1 {
			r.warn(0, "", "the sheet is hidden and was not read; show it if it belongs to the list")
			continue
		}
		r.table(&tables[i], len(tables) > 1)
	}
	r.sheet = ""
	if len(r.rows) == 0 && len(r.out.Problems) == 0 {
		r.problem(0, "", "no site was found; write headings above the rows: Mã đơn vị (or Đơn vị), and one for each value")
	}
	for _, list := range [][]inventory.Problem{r.out.Problems, r.out.Warnings} {
		for i := range list {
			list[i].File = name
		}
	}
	if len(r.out.Problems) > 0 {
		r.out.Values = nil
	}
	return r.out
}

func (r *reader) problem(row int, column, format string, args ...any) {
	r.out.Problems = append(r.out.Problems, inventory.Problem{Sheet: r.sheet, Row: row, Column: column, Text: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(row int, column, format string, args ...any) {
	r.out.Warnings = append(r.out.Warnings, inventory.Problem{Sheet: r.sheet, Row: row, Column: column, Text: fmt.Sprintf(format, args...)})
}

// meaning says what a heading stands for: a kind of site column, or a value.
func (r *reader) meaning(heading string) (kind, value string) {
	if len(heading) > 300 {
		return "", ""
	}
	for _, text := range []string{heading, headings.WithoutBrackets(heading)} {
		key := headings.Fold(text)
		if v := r.values[key]; v != "" {
			return "", v
		}
		if k := r.fixed[key]; k != "" {
			return k, ""
		}
	}
	return "", ""
}

// layout is where the columns of a sheet are.
type layout struct {
	code, site, parent int            // -1: nowhere
	values             map[int]string // by column
	names              map[int]string // headings as they are written
}

// table reads one sheet.
func (r *reader) table(t *inventory.Table, several bool) {
	header, best := -1, 0
	for i, row := range t.Rows[:min(len(t.Rows), titleRows)] {
		known, site := 0, false
		for _, cell := range row.Cells {
			kind, value := r.meaning(cell)
			if kind != "" || value != "" {
				known++
			}
			site = site || kind == "code" || kind == "site"
		}
		if site && known > best {
			header, best = i, known
		}
	}
	if header < 0 {
		if several {
			r.warn(0, "", "the sheet has no headings of a list of sites and was not read")
		}
		return
	}
	l, ok := r.layout(t.Rows[header])
	if !ok {
		return
	}
	wide := len(t.Rows[header].Cells)
	for _, row := range t.Rows[header+1:] {
		switch {
		case len(r.out.Problems) > maxWrong:
			r.problem(row.Number, "", "the list has more than %d mistakes up to here; is it the right file?", maxWrong)
			return
		case len(r.rows) == maxSites:
			r.problem(row.Number, "", "the list has more than %d sites; is it the right file?", maxSites)
			return
		case len(row.Cells) > wide && !t.Spreadsheet():
			r.problem(row.Number, "", "has %d cells but there are %d headings; put text with commas in quotes", len(row.Cells), wide)
		case headings.NumbersColumns(row.Cells):
		default:
			r.row(row, l)
		}
	}
}

func (r *reader) layout(header inventory.Row) (l layout, ok bool) {
	l = layout{code: -1, site: -1, parent: -1, values: map[int]string{}, names: map[int]string{}}
	taken := map[string]string{}
	var ignored []string
	before := len(r.out.Problems)
	for i, cell := range header.Cells {
		heading, _ := inventory.CleanCell(cell)
		if heading == "" {
			continue
		}
		kind, value := r.meaning(cell)
		what := kind + value
		if first := taken[what]; first != "" && what != "" && kind != "ignored" {
			r.problem(header.Number, heading, "two columns mean this: %s and %s; remove or rename one", inventory.Quote(first), inventory.Quote(heading))
			continue
		}
		taken[what], l.names[i] = heading, heading
		switch {
		case value != "":
			l.values[i] = value
		case kind == "code":
			l.code = i
		case kind == "site":
			l.site = i
		case kind == "parent":
			l.parent = i
		case kind == "":
			ignored = append(ignored, inventory.Quote(heading))
		}
	}
	if len(l.values) == 0 {
		r.problem(header.Number, "", "no column is a value of the plan; head one with %s", strings.Join(slices.Sorted(maps.Keys(r.o.Values)), ", "))
	}
	if len(ignored) > 0 {
		r.warn(header.Number, "", "columns not read: %s; the plan declares no such values", strings.Join(ignored, ", "))
	}
	return l, len(r.out.Problems) == before
}

// cell returns a cell's text.
func (r *reader) cell(row inventory.Row, at int, l layout) string {
	if at < 0 || at >= len(row.Cells) {
		return ""
	}
	text, err := inventory.CleanCell(row.Cells[at])
	if err != nil {
		r.problem(row.Number, l.names[at], "%v", err)
	}
	return text
}

func (r *reader) row(row inventory.Row, l layout) {
	parent := r.cell(row, l.parent, l)
	at := l.code
	name := r.cell(row, at, l)
	if name == "" {
		at = l.site
		name = r.cell(row, at, l)
	}
	if name == "" {
		if at = max(l.code, l.site); len(row.Cells) > 0 {
			r.problem(row.Number, l.names[at], "names no site")
		}
		return
	}
	id, err := r.places.Find(name, parent, inventory.Date{})
	if err != nil {
		r.problem(row.Number, l.names[at], "%v", err)
		return
	}
	if first, twice := r.rows[id]; twice {
		r.problem(row.Number, l.names[at], "site %s is in row %d too; keep one", id, first)
		return
	}
	r.rows[id] = row.Number
	found := map[string][]string{}
	for _, i := range slices.Sorted(maps.Keys(l.values)) {
		value := l.values[i]
		if i >= len(row.Cells) {
			continue
		}
		if list, said := r.value(row, i, value, l); said {
			found[value] = list
		}
	}
	if len(found) > 0 {
		r.out.Values[id] = found
	}
}

// value reads a cell of a value, and reports whether it says anything.
func (r *reader) value(row inventory.Row, at int, name string, l layout) ([]string, bool) {
	v, raw := r.o.Values[name], row.Cells[at]
	if len(raw) > maxCell {
		r.problem(row.Number, l.names[at], "is longer than %d bytes", maxCell)
		return nil, false
	}
	pieces := []string{raw}
	if v.List {
		pieces = strings.FieldsFunc(raw, func(c rune) bool { return c == ',' || c == ';' || c == '\n' || c == '\r' })
	}
	var list []string
	for _, piece := range pieces {
		text, err := inventory.CleanCell(piece)
		if err != nil {
			r.problem(row.Number, l.names[at], "%v", err)
			return nil, false
		}
		if text != "" {
			list = append(list, tidy(v.Type, text))
		}
	}
	switch {
	case len(list) == 0:
		return nil, false
	case len(list) == 1 && (list[0] == "-" || list[0] == "–"):
		return []string{}, true
	}
	if err := v.Check(list, nil); err != nil {
		r.problem(row.Number, l.names[at], "%v", err)
		return nil, false
	}
	return list, true
}

// tidy writes a cell as values are written: spreadsheets write 20000 as 2E+04, and people TRUE as they like.
func tidy(t values.Type, text string) string {
	switch t {
	case values.TypeNumber:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
	case values.TypeSwitch, values.TypeName, values.TypeSecret:
		return strings.ToLower(text)
	}
	return text
}
