// Package contracts reads lists of what was agreed with the providers of lines, as people keep them in Excel or CSV: a
// line a row, Vietnamese or English headings, in any order. Every mistake is told at once with its row, column and fix,
// and a list with a mistake is not imported at all. It is a pure function of the list and of what is known.
package contracts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"communewatch/collector/reports"
	"communewatch/collector/reports/profiles"
	"communewatch/inventory"
	"communewatch/inventory/purchases/cells"
	"communewatch/inventory/purchases/headings"
	"communewatch/inventory/purchases/places"
	"communewatch/probes"
)

// Bounds of a list. A province has some 300 lines, and a few contracts of each in five years.
const (
	maxLines  = 20_000
	titleRows = 20 // rows looked at for the headings
	maxText   = 100
	maxWrong  = 2_000 // mistakes: more of them is another file
)

// Options are what a list is checked against. The zero Options know no site, so that every site named is a mistake.
type Options struct {
	Sites    []inventory.Site    // all rows: a list may use a name that a site had before
	Known    []reports.Agreement // what is agreed already
	Profiles []profiles.Profile  // those of the settings
}

// Import is what a list holds. With Problems it holds no agreements.
type Import struct {
	Agreements []reports.Agreement // in the order of the list
	Problems   []inventory.Problem
	Warnings   []inventory.Problem
}

// column is what a column of a list means.
type column int

const (
	colSiteCode column = iota
	colSite
	colParent
	colLayer
	colProvider
	colNumber
	colSpeed
	colDown
	colUp
	colProfile
	colMonthly
	colFrom
	colTo
	colIgnored
	columnCount
)

// names lists, per column, the heading that the documentation shows and then others that people use: folded, and with
// everything but letters and digits as a space.
func names() [columnCount][]string {
	return [columnCount][]string{
		colSiteCode: {"ma don vi", "ma xa", "ma diem", "ma site", "site id", "site code", "id", "ma dvhc", "ma xa phuong", "ma"},
		colSite:     {"don vi", "xa phuong", "phuong xa", "ten xa", "ten xa phuong", "ten don vi", "dia diem", "diem", "site", "don vi su dung", "dia diem lap dat", "xa phuong thi tran"},
		colParent:   {"huyen", "quan huyen", "ten huyen", "huyen thi xa", "district", "huyen thanh pho"},
		colLayer:    {"loai duong truyen", "duong truyen", "loai kenh", "kenh", "loai", "mang", "dich vu", "layer", "line", "line type", "type"},
		colProvider: {"nha cung cap", "nha mang", "don vi cung cap", "nha cung cap dich vu", "doanh nghiep", "doanh nghiep vien thong", "provider", "isp", "operator"},
		colNumber:   {"so hop dong", "hop dong", "so hd", "hop dong so", "contract", "contract no", "contract number"},
		colSpeed:    {"toc do", "bang thong", "goi cuoc toc do", "speed", "bandwidth"},
		colDown:     {"toc do xuong", "toc do tai xuong", "toc do tai ve", "tai xuong", "tai ve", "bang thong xuong", "down", "download", "down mbps", "down mbit s"},
		colUp:       {"toc do len", "toc do tai len", "tai len", "bang thong len", "up", "upload", "up mbps", "up mbit s"},
		colProfile:  {"muc cam ket", "cam ket", "ho so", "ho so chat luong", "muc chat luong", "profile", "sla"},
		colMonthly:  {"cuoc thang", "cuoc hang thang", "gia cuoc", "cuoc", "gia thang", "gia cuoc thang", "don gia thang", "monthly", "monthly vnd", "price", "monthly price"},
		colFrom:     {"tu ngay", "ngay bat dau", "hieu luc tu", "ngay hieu luc", "bat dau", "from", "valid from", "start"},
		colTo:       {"den ngay", "ngay ket thuc", "het han", "ngay het han", "ket thuc", "hieu luc den", "to", "until", "valid to", "end"},
		colIgnored:  {"stt", "tt", "so tt", "so thu tu", "no", "ghi chu", "note", "notes", "dia chi"},
	}
}

// written is a heading as the documentation shows it.
var written = [columnCount]string{"Mã đơn vị", "Đơn vị", "Huyện", "Loại đường truyền", "Nhà cung cấp", "Số hợp đồng", "Tốc độ (Mbps)",
	"Tốc độ xuống (Mbps)", "Tốc độ lên (Mbps)", "Mức cam kết", "Cước tháng (đồng)", "Từ ngày", "Đến ngày", ""}

// columnOf says what a heading means.
func columnOf(known map[string]column, heading string) (column, bool) {
	if len(heading) > 300 {
		return 0, false
	}
	for _, text := range []string{heading, headings.WithoutBrackets(heading)} {
		if c, ok := known[headings.Fold(text)]; ok {
			return c, true
		}
	}
	return 0, false
}

// Read reads a list: an Excel file (.xlsx, its visible sheets) or text separated by commas, semicolons or tabs. name is
// used for messages alone.
func (o Options) Read(name string, data []byte) Import {
	r := reader{o: o, places: places.New(o.Sites), known: map[string]column{}, taken: map[key]entry{}}
	for c, all := range names() {
		for _, n := range all {
			if _, twice := r.known[n]; !twice {
				r.known[n] = column(c)
			}
		}
	}
	tables, problem := inventory.ReadTables(data)
	if problem != nil {
		r.problems = append(r.problems, *problem)
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
	if len(r.agreements) == 0 && len(r.problems) == 0 {
		r.problem(0, "", "no line was found; write headings above the lines, such as %s, %s, %s, %s, %s", written[colSite], written[colLayer], written[colProvider], written[colDown], written[colFrom])
	}
	r.overlaps()
	out := Import{Agreements: r.agreements, Problems: r.problems, Warnings: r.warnings}
	if len(out.Problems) > 0 {
		out.Agreements = nil
	}
	for _, list := range [][]inventory.Problem{out.Problems, out.Warnings} {
		for i := range list {
			list[i].File = name
		}
	}
	return out
}

// key is what tells a contract from all others.
type key struct {
	site  string
	layer probes.Layer
	from  string
}

// entry is where a contract was read; an empty sheet and row 0 where it was known before.
type entry struct {
	sheet string
	row   int
	c     reports.Contract
}

// reader is the reading of one file.
type reader struct {
	o      Options
	places *places.Places
	known  map[string]column

	problems, warnings []inventory.Problem
	agreements         []reports.Agreement
	taken              map[key]entry

	// Of the sheet that is being read:
	sheet string
	t     *inventory.Table
	at    [columnCount]int // -1: nowhere
	money cells.Money

	monthlyHeading string // as the list has it: its unit decides what a price means
}

func (r *reader) problem(row int, column, format string, args ...any) {
	r.problems = append(r.problems, inventory.Problem{Sheet: r.sheet, Row: row, Column: column, Text: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(row int, column, format string, args ...any) {
	r.warnings = append(r.warnings, inventory.Problem{Sheet: r.sheet, Row: row, Column: column, Text: fmt.Sprintf(format, args...)})
}

// table reads one sheet.
func (r *reader) table(t *inventory.Table, several bool) {
	r.t = t
	header, best := -1, 1
	for i, row := range t.Rows[:min(len(t.Rows), titleRows)] {
		n := 0
		for _, cell := range row.Cells {
			if _, ok := columnOf(r.known, cell); ok {
				n++
			}
		}
		if n > best {
			header, best = i, n
		}
	}
	if header < 0 {
		if several {
			r.warn(0, "", "the sheet has no headings of a list of lines and was not read")
		}
		return
	}
	if !r.layout(t.Rows[header]) {
		return
	}
	wide := len(t.Rows[header].Cells)
	for _, row := range t.Rows[header+1:] {
		switch {
		case len(r.problems) > maxWrong:
			r.problem(row.Number, "", "the list has more than %d mistakes up to here; is it the right file?", maxWrong)
			return
		case len(r.agreements) == maxLines:
			r.problem(row.Number, "", "the list has more than %d lines; is it the right file?", maxLines)
			return
		case len(row.Cells) > wide && !t.Spreadsheet():
			r.problem(row.Number, "", "has %d cells but there are %d headings; put text with commas in quotes, and use semicolons between columns if numbers have commas", len(row.Cells), wide)
		case headings.NumbersColumns(row.Cells):
		default:
			r.row(row)
		}
	}
}

// layout finds the columns, and reports whether they suffice.
func (r *reader) layout(header inventory.Row) bool {
	for c := range r.at {
		r.at[c] = -1
	}
	r.money = cells.Money{Spreadsheet: r.t.Spreadsheet()}
	var ignored []string
	before := len(r.problems)
	for i, cell := range header.Cells {
		heading, _ := inventory.CleanCell(cell)
		if heading == "" {
			continue
		}
		c, ok := columnOf(r.known, cell)
		switch {
		case !ok:
			ignored = append(ignored, inventory.Quote(heading))
		case c == colIgnored:
		case r.at[c] >= 0:
			r.problem(header.Number, heading, "two columns mean this: %s and %s; remove or rename one", inventory.Quote(header.Cells[r.at[c]]), inventory.Quote(heading))
		default:
			r.at[c] = i
			if c == colMonthly {
				r.money.Unit, r.monthlyHeading = headings.UnitIn(heading), heading
			}
		}
	}
	missing := func(c column, what string) {
		r.problem(header.Number, "", "no column says %s; add one headed %s", what, written[c])
	}
	if r.at[colSite] < 0 && r.at[colSiteCode] < 0 {
		missing(colSite, "which office a line is of")
	}
	if r.at[colLayer] < 0 {
		missing(colLayer, "what kind of line it is")
	}
	if r.at[colProvider] < 0 {
		missing(colProvider, "who provides the line")
	}
	if r.at[colSpeed] >= 0 && (r.at[colDown] >= 0 || r.at[colUp] >= 0) {
		r.problem(header.Number, "", "there is a column of speeds, and one of speeds down or up; keep one or the other")
	}
	if len(ignored) > 0 {
		r.warn(header.Number, "", "columns not read: %s", strings.Join(ignored, ", "))
	}
	return len(r.problems) == before
}

// text returns a cell cleaned; "" where there is none, or where what is wrong was told.
func (r *reader) text(row inventory.Row, c column) string {
	at := r.at[c]
	if at < 0 || at >= len(row.Cells) {
		return ""
	}
	s, err := inventory.CleanCell(row.Cells[at])
	if err == nil && len([]rune(s)) > maxText {
		err = fmt.Errorf("is longer than %d characters: %s", maxText, inventory.Quote(s))
	}
	if err != nil {
		r.problem(row.Number, written[c], "%v", err)
		return ""
	}
	if s == "-" || s == "–" {
		return ""
	}
	return s
}

// overlaps tells of contracts of one line that were in force on the same day.
func (r *reader) overlaps() {
	type line struct {
		site  string
		layer probes.Layer
	}
	all := map[line][]entry{}
	for _, a := range r.o.Known {
		if _, again := r.taken[key{a.Site, a.Layer, a.Contract.From}]; !again {
			all[line{a.Site, a.Layer}] = append(all[line{a.Site, a.Layer}], entry{c: a.Contract})
		}
	}
	for k, e := range r.taken {
		all[line{k.site, k.layer}] = append(all[line{k.site, k.layer}], e)
	}
	var found []inventory.Problem
	for _, list := range all {
		slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.c.From, b.c.From) })
		for i := 1; i < len(list); i++ {
			a, b := list[i-1], list[i]
			if !reports.Overlap(a.c, b.c) {
				continue
			}
			where := func(e entry) string {
				if e.row == 0 {
					return "imported before"
				}
				return fmt.Sprintf("row %d", e.row)
			}
			told, other := b, a
			if told.row == 0 {
				told, other = a, b
			}
			if told.row > 0 {
				found = append(found, inventory.Problem{Sheet: told.sheet, Row: told.row, Column: written[colTo], Text: fmt.Sprintf(
					"the contract from %s to %s lasts into the one from %s of the same line (%s); let one end on the day before the other begins",
					cmp.Or(a.c.From, "ever"), a.c.To, b.c.From, where(other))})
			}
		}
	}
	slices.SortFunc(found, func(a, b inventory.Problem) int {
		return cmp.Or(cmp.Compare(a.Sheet, b.Sheet), cmp.Compare(a.Row, b.Row))
	})
	r.problems = append(r.problems, found...)
}
