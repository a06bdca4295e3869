package purchases

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/identity"
	"communewatch/inventory/purchases/headings"
	"communewatch/inventory/purchases/places"
)

// Bounds of a list. A province of 136 communes buys some 2,000 units in a phase.
const (
	maxUnits  = 50_000
	titleRows = 20      // rows looked at for the headings
	maxFilled = 500_000 // cells that merged blocks are spread to
	maxCell   = 200     // characters of a description; the rest is cut
	maxAlike  = 10      // warnings of one kind in full, before they are summed up
	maxWrong  = 2_000   // mistakes: more of them is another file
)

// Read reads a list of purchases: an Excel file (.xlsx, all visible sheets) or text separated by commas, semicolons or
// tabs, in UTF-8 or UTF-16. name is used for messages alone. See docs/purchases.md for what is understood.
func (o Options) Read(name string, data []byte) Import {
	r := reader{options: o, places: places.New(o.Sites), names: headings.NewNames(), count: map[string]int{}, serials: map[string][]origin{}, ids: map[string]int{}}
	r.known()
	tables, problem := inventory.ReadTables(data)
	switch {
	case problem != nil:
		r.problems = append(r.problems, *problem)
	case len(tables) == 0:
		r.problems = append(r.problems, inventory.Problem{Text: "is empty; write headings into the first row and one item into each of the others"})
	}
	several := len(tables) > 1
	read := 0
	for i := range tables {
		if several {
			r.sheet = tables[i].Sheet
		}
		if tables[i].Hidden && several {
			r.warn(0, "", "the sheet is hidden and was not read; show it if it belongs to the list")
			continue
		}
		if several && sumsUp(tables[i].Sheet) {
			r.warn(0, "", "the sheet seems to sum up the others and was not read; rename it if it has items of its own")
			continue
		}
		told := len(r.problems)
		if len(r.problems) > maxWrong {
			break
		}
		if r.table(&tables[i], several) {
			read++
		}
		slices.SortStableFunc(r.problems[told:], func(a, b inventory.Problem) int { return a.Row - b.Row })
	}
	r.sheet = ""
	if read == 0 && len(r.problems) == 0 {
		text := "no row with headings was found; write them above the items: " + headings.Written(headings.Item) + ", " + headings.Written(headings.Model) + ", " +
			headings.Written(headings.Serial) + ", " + headings.Written(headings.Quantity) + ", " + headings.Written(headings.Site)
		r.problems = append(r.problems, inventory.Problem{Text: text})
	} else if len(r.units) == 0 && len(r.problems) == 0 {
		r.problems = append(r.problems, inventory.Problem{Text: "has headings but no items; write one item into each row"})
	}
	r.sumUp()
	out := Import{Purchases: r.units, Problems: r.problems, Warnings: r.warnings}
	if len(out.Problems) > 0 {
		out.Purchases = nil
	}
	for _, list := range [][]inventory.Problem{out.Problems, out.Warnings} {
		for i := range list {
			list[i].File = name
		}
	}
	return out
}

// sumsUp reports whether a sheet's name says that it holds what the others do: its items would be counted twice.
func sumsUp(sheet string) bool {
	folded := inventory.Fold(sheet)
	return strings.HasPrefix(folded, "tong hop") || folded == "th" || folded == "summary"
}

// origin is where a serial was read.
type origin struct{ vendor, where string }

// reader is the reading of one file.
type reader struct {
	options Options
	places  *places.Places
	names   headings.Names

	problems, warnings []inventory.Problem
	count              map[string]int // of warnings, by kind
	units              []Purchase
	serials            map[string][]origin // by normalised serial
	ids                map[string]int      // units without a serial that are alike; negative: imported already

	// Of the sheet that is being read:
	sheet   string
	t       *inventory.Table
	l       headings.Layout
	filled  map[[2]int]string // cells of merged blocks behind the first
	columns int               // cells of the row of headings
	noPhase bool              // was told
	full    bool              // there are more units than may be, which was told
	state   state
	pending *entry
}

// state is what holds for the rows below until something else is said.
type state struct {
	phase, contract, decision string
	site                      string
	siteBad                   bool // a section names a site that is unknown, which was told
	class                     string
	unit                      int64 // of prices, said above the headings

	above Purchase // the row before, for rows that leave phase, contract, decision and date empty
}

func (r *reader) problem(row int, column, format string, args ...any) {
	r.problems = append(r.problems, inventory.Problem{Sheet: r.sheet, Row: row, Column: column, Text: fmt.Sprintf(format, args...)})
}

func (r *reader) warn(row int, column, format string, args ...any) {
	kind := format + column
	if r.count[kind]++; r.count[kind] <= maxAlike {
		r.warnings = append(r.warnings, inventory.Problem{Sheet: r.sheet, Row: row, Column: column, Text: fmt.Sprintf(format, args...)})
	}
}

// sumUp tells of warnings that were left out.
func (r *reader) sumUp() {
	more := 0
	for _, n := range r.count {
		more += max(0, n-maxAlike)
	}
	if more > 0 {
		r.warnings = append(r.warnings, inventory.Problem{Text: fmt.Sprintf("and %d more warnings like these", more)})
	}
}

// known takes in what was imported before.
func (r *reader) known() {
	for _, p := range r.options.Imported {
		if s := serialKey(p.Serial); s != "" {
			where := "an earlier import (" + cmp.Or(p.Phase, "without a phase") + ")"
			r.serials[s] = append(r.serials[s], origin{identity.VendorKey(p.Vendor), where})
		}
		r.ids[p.ID] = -1
	}
}

// table reads one sheet, and reports whether it is a list.
func (r *reader) table(t *inventory.Table, several bool) bool {
	r.t, r.state, r.pending, r.noPhase = t, state{phase: r.options.Phase, unit: 1}, nil, false
	at := r.findHeader(t.Rows)
	if at < 0 {
		if several {
			r.warn(0, "", "the sheet has no headings of a purchase list and was not read")
		}
		return false
	}
	r.titles(t, at)
	rows := t.Rows[at+1:]
	r.l = r.layoutOf(t.Rows[at])
	r.columns = len(t.Rows[at].Cells)
	if len(rows) > 0 && r.secondHeader(t.Rows[at], rows[0]) {
		r.columns = max(r.columns, len(rows[0].Cells))
		rows = rows[1:]
	}
	if !r.usable(t.Rows[at].Number) {
		return true
	}
	r.unitOrSite(rows)
	r.spread(rows)
	hidden := 0
	for i, row := range rows {
		if r.full {
			return true
		}
		if len(r.problems) > maxWrong {
			r.problem(row.Number, "", "the list has more than %d mistakes up to here; is it the right file?", maxWrong)
			return true
		}
		if len(row.Cells) > r.columns && !t.Spreadsheet() {
			r.problem(row.Number, "", "has %d cells but there are %d headings; put text with commas in quotes, and use semicolons between columns if numbers have commas", len(row.Cells), r.columns)
			continue
		}
		if i == 0 && headings.NumbersColumns(row.Cells) {
			continue
		}
		if row.Hidden {
			hidden++
		}
		r.row(row)
	}
	r.close()
	if hidden > 0 {
		r.warn(0, "", "%d hidden rows were read like the others; delete them in the file if they don't belong to the list", hidden)
	}
	return true
}

// findHeader returns the index of the row with the most known headings; -1: none looks like headings.
func (r *reader) findHeader(rows []inventory.Row) int {
	at, best := -1, 1
	for i, row := range rows[:min(len(rows), titleRows)] {
		if n := r.headings(row); n > best {
			at, best = i, n
		}
	}
	return at
}

// headings counts the columns that a row of headings names; 0 if none says what the item is.
func (r *reader) headings(row inventory.Row) int {
	var seen [headings.Count]bool
	n := 0
	for _, cell := range row.Cells {
		if c, ok := r.names.Find(cell); ok && !seen[c] {
			seen[c] = true
			n++
		}
	}
	if !seen[headings.Item] && !seen[headings.Model] && !seen[headings.Serial] {
		return 0
	}
	return n
}

// layoutOf finds the columns.
func (r *reader) layoutOf(header inventory.Row) headings.Layout {
	l := headings.NewLayout()
	var ignored []string
	for i, cell := range header.Cells {
		heading, _ := inventory.CleanCell(cell)
		if heading == "" {
			continue
		}
		c, ok := r.names.Find(cell)
		switch {
		case ok && c == headings.Ignored:
		case !ok:
			ignored = append(ignored, inventory.Quote(heading))
		case c == headings.Site && l.At[headings.Site] >= 0 && l.At[headings.Unit] < 0 && headings.Fold(heading) == "don vi":
			l.At[headings.Unit], l.Headings[headings.Unit] = i, heading
		case c == headings.Site && l.At[headings.Site] >= 0 && l.At[headings.Unit] < 0 && headings.Fold(l.Headings[headings.Site]) == "don vi":
			l.At[headings.Unit], l.Headings[headings.Unit] = l.At[headings.Site], l.Headings[headings.Site]
			l.At[headings.Site], l.Headings[headings.Site] = i, heading
		case l.At[c] >= 0 && (c == headings.Number || c == headings.Note || c == headings.User):
			ignored = append(ignored, inventory.Quote(heading))
		case l.At[c] >= 0:
			r.problem(header.Number, heading, "two columns mean this: %s and %s; remove or rename one", inventory.Quote(l.Headings[c]), inventory.Quote(heading))
		default:
			l.At[c], l.Headings[c] = i, heading
		}
	}
	l.Unit = r.state.unit
	for _, c := range []headings.Column{headings.Price, headings.Amount} {
		if unit := headings.UnitIn(l.Headings[c]); unit > 0 {
			l.Unit = unit
		}
	}
	if len(ignored) > 0 {
		r.warn(header.Number, "", "columns not read: %s", strings.Join(ignored, ", "))
	}
	return l
}

// secondHeader takes in a second row of headings, as "Giá" over "Đơn giá" and "Thành tiền".
func (r *reader) secondHeader(header, second inventory.Row) bool {
	l := r.l
	found := 0
	parent := ""
	for i, cell := range second.Cells {
		if i < len(header.Cells) && strings.TrimSpace(header.Cells[i]) != "" {
			parent = header.Cells[i]
		}
		heading, _ := inventory.CleanCell(cell)
		if heading == "" {
			continue
		}
		c, ok := r.names.Exact(cell)
		if !ok {
			c, ok = r.names.Exact(parent + " " + cell)
		}
		if !ok {
			c, ok = r.names.Exact(headings.WithoutBrackets(cell))
		}
		if !ok {
			return false // a row of items, not of headings
		}
		if c == headings.Ignored {
			continue
		}
		for other := range l.At { // the heading above was that of the group
			if l.At[other] == i {
				l.At[other], l.Headings[other] = -1, ""
			}
		}
		if l.At[c] >= 0 && l.Headings[c] != parent {
			return false
		}
		l.At[c], l.Headings[c] = i, heading
		found++
	}
	if found == 0 {
		return false
	}
	if len(second.Cells) > 0 && l.At[headings.Item] < 0 && l.At[headings.Model] < 0 && l.At[headings.Serial] < 0 {
		return false
	}
	r.l = l
	return true
}

// usable reports whether the columns suffice.
func (r *reader) usable(row int) bool {
	if !r.l.Has(headings.Item) && !r.l.Has(headings.Model) {
		r.problem(row, "", "no column says what was bought; add one headed %s or %s", headings.Written(headings.Item), headings.Written(headings.Model))
		return false
	}
	return true
}

// unitOrSite decides what a column headed "Đơn vị" is: units of measure, or the offices that got the items.
func (r *reader) unitOrSite(rows []inventory.Row) {
	if !r.l.Has(headings.Site) || r.l.Has(headings.Unit) || headings.Fold(r.l.Headings[headings.Site]) != "don vi" {
		return
	}
	for _, row := range rows[:min(len(rows), 200)] {
		if at := r.l.At[headings.Site]; at < len(row.Cells) && slices.Contains([]string{"cai", "bo", "chiec", "may", "thiet bi", "he thong", "goi"}, inventory.Fold(strings.TrimSpace(row.Cells[at]))) {
			r.l.At[headings.Unit], r.l.Headings[headings.Unit] = at, r.l.Headings[headings.Site]
			r.l.At[headings.Site], r.l.Headings[headings.Site] = -1, ""
			return
		}
	}
}

// spread keeps what merged blocks hold for the rows behind their first.
func (r *reader) spread(rows []inventory.Row) {
	r.filled = map[[2]int]string{}
	index := map[int]int{}
	for i, row := range rows {
		index[row.Number] = i
	}
	for _, m := range r.t.Merges {
		first, ok := index[m.FirstRow]
		if !ok || m.FirstRow == m.LastRow || m.FirstColumn >= len(rows[first].Cells) {
			continue
		}
		value := rows[first].Cells[m.FirstColumn]
		for _, row := range rows[first:] {
			if row.Number > m.LastRow || len(r.filled) > maxFilled {
				break
			}
			if row.Number > m.FirstRow {
				r.filled[[2]int{row.Number, m.FirstColumn}] = value
			}
		}
	}
}

// titles takes what is said above the headings, and in the sheet's name.
func (r *reader) titles(t *inventory.Table, header int) {
	own := false
	for _, row := range t.Rows[:header] {
		for _, cell := range row.Cells {
			if len(cell) > 2000 {
				continue
			}
			text, err := inventory.CleanCell(cell)
			if err != nil || text == "" {
				continue
			}
			if phase := headings.PhaseIn(text); phase != "" && !own {
				r.state.phase, own = phase, true
			}
			r.state.decision = cmp.Or(r.state.decision, headings.DecisionIn(text))
			r.state.contract = cmp.Or(r.state.contract, headings.ContractIn(text))
			if unit := headings.TitleUnit(text); unit > 0 {
				r.state.unit = unit
			}
		}
	}
	if t.Sheet == "" {
		return
	}
	if phase := headings.PhaseIn(t.Sheet); phase != "" && !own {
		r.state.phase = phase
	}
	if site, err := r.places.Find(t.Sheet, "", inventory.Date{}); err == nil {
		r.state.site = site
		r.warn(0, "", "the sheet's name %s is taken for the site %s where a row names none", inventory.Quote(t.Sheet), site)
	}
}

// text returns a cell cleaned; of a merged block, what the block says.
func (r *reader) text(row inventory.Row, c headings.Column) string {
	raw := r.raw(row, c)
	if raw == "" {
		return ""
	}
	if long := []rune(raw); len(long) > maxCell && (c == headings.Item || c == headings.Note || c == headings.Model) {
		raw = string(long[:maxCell])
		r.warn(row.Number, r.l.Name(c), "is cut after %d characters", maxCell)
	}
	s, err := inventory.CleanCell(raw)
	if err != nil {
		r.problem(row.Number, r.l.Name(c), "%v", err)
		return ""
	}
	return s
}

func (r *reader) raw(row inventory.Row, c headings.Column) string {
	at := r.l.At[c]
	if at < 0 {
		return ""
	}
	if at < len(row.Cells) && strings.TrimSpace(row.Cells[at]) != "" {
		return row.Cells[at]
	}
	if c == headings.Serial || c == headings.Quantity || c == headings.Amount || c == headings.Number { // one for all rows of a block, not one each
		return ""
	}
	return r.filled[[2]int{row.Number, at}]
}

// own reports whether the row itself has something in a column, not a merged block.
func (r *reader) own(row inventory.Row, c headings.Column) bool {
	at := r.l.At[c]
	return at >= 0 && at < len(row.Cells) && strings.TrimSpace(row.Cells[at]) != ""
}

// id makes the id of a unit; see Purchase.ID.
func (r *reader) id(p *Purchase) string {
	var parts []string
	serial := serialKey(p.Serial)
	if serial != "" {
		parts = []string{"serial", inventory.Fold(p.Phase), identity.VendorKey(p.Vendor), serial}
	} else {
		parts = []string{"row", inventory.Fold(p.Phase), inventory.Fold(p.Contract), p.Site, inventory.Fold(p.Item),
			identity.ModelKey(p.Vendor, p.Model), identity.VendorKey(p.Vendor)}
		like := hash(parts)
		r.ids[like]++
		parts = append(parts, strconv.Itoa(r.ids[like]))
	}
	return hash(parts)
}

func hash(parts []string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "p" + hex.EncodeToString(sum[:10])
}
