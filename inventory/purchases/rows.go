package purchases

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"communewatch/inventory"
	"communewatch/inventory/identity"
	"communewatch/inventory/purchases/cells"
	"communewatch/inventory/purchases/headings"
	"communewatch/inventory/purchases/places"
)

// entry is one item of a list: a row, and rows below it that only go on with its serials or sites.
type entry struct {
	row      int
	unit     Purchase // what all its units have
	quantity int      // 0: not said
	amount   int64
	units    []Purchase // one per serial, or per row below
	noSerial int        // rows of the entry that name no serial: each stands for what the quantity leaves
	bad      bool       // a mistake was told, so that counting would tell it twice
}

var (
	roman      = regexp.MustCompile(`^(?:[IVXLC]{1,6}|[A-H])[.)]?$`)
	arabic     = regexp.MustCompile(`^[0-9]{1,3}[.)]$`)
	totalText  = regexp.MustCompile(`^(?:cộng|tổng\s+cộng|tổng\s+số|tổng|cộng\s+dồn)(?:$|[\s:(.,])`)
	totalPlain = regexp.MustCompile(`^(?:cong|tong cong|tong so|tong|total|sub ?total|grand total)(?:$|\s*[:(.]| [ivx]+$)`)
	afterList  = regexp.MustCompile(`^(?:bang chu|so tien bang chu|viet bang chu|nguoi lap|ke toan|thu truong|giam doc|dai dien|ngay .* thang|\(?ky|xac nhan|ghi chu|noi nhan|.*, ngay )`)
)

// row reads one row below the headings.
func (r *reader) row(row inventory.Row) {
	if r.mayBeHeadings(row) && r.headings(row) >= 3 { // again, as on every printed page
		r.close()
		r.l = r.layoutOf(row)
		return
	}
	first, filled := r.texts(row)
	if filled == 0 {
		return
	}
	details := r.own(row, headings.Serial) || r.own(row, headings.Model) || r.own(row, headings.Price)
	folded := inventory.Fold(first)
	lower := strings.ToLower(first)
	switch {
	case !r.own(row, headings.Serial) && !r.own(row, headings.Model) && (totalText.MatchString(lower) && !strings.HasPrefix(lower, "tổng đài") || totalPlain.MatchString(folded)):
		r.close()
		r.warn(row.Number, "", "a total, not an item: %s", inventory.Quote(first))
		return
	case !details && filled <= 2 && !r.own(row, headings.Quantity) && afterList.MatchString(folded):
		r.close()
		r.warn(row.Number, "", "not an item: %s", inventory.Quote(first))
		return
	case !details && r.section(row, first, filled):
		return
	}
	item, model := r.own(row, headings.Item), r.own(row, headings.Model)
	switch {
	case !item && !model && !r.own(row, headings.Quantity) && r.pending != nil && (r.own(row, headings.Serial) || r.own(row, headings.Site) || r.own(row, headings.SiteCode)):
		r.goOn(row)
	case item || model:
		r.close()
		r.begin(row)
	case (r.own(row, headings.Quantity) || r.own(row, headings.Price)) && r.text(row, headings.Item)+r.text(row, headings.Model) != "": // merged with the row above
		r.close()
		r.begin(row)
	case r.pending != nil && r.own(row, headings.Quantity) && (r.own(row, headings.Serial) || r.own(row, headings.Site) || r.own(row, headings.SiteCode)):
		above := r.pending
		r.close()
		r.begin(row)
		u := &r.pending.unit
		u.Item, u.Model, u.Vendor, u.Class, u.Kind = above.unit.Item, above.unit.Model, above.unit.Vendor, above.unit.Class, above.unit.Kind
		if u.Price == 0 {
			u.Price = above.unit.Price
		}
		for i := range r.pending.units {
			p := &r.pending.units[i]
			p.Item, p.Model, p.Vendor, p.Class, p.Kind, p.Price = u.Item, u.Model, u.Vendor, u.Class, u.Kind, u.Price
		}
		r.warn(row.Number, "", "names no item; that of row %d is taken", above.row)
	case r.own(row, headings.Serial):
		r.problem(row.Number, r.l.Name(headings.Item), "is empty beside a serial; write what the item is")
	default:
		r.warn(row.Number, "", "not an item: %s", inventory.Quote(first))
	}
}

// mayBeHeadings looks at the few cells that tell most rows of items from headings.
func (r *reader) mayBeHeadings(row inventory.Row) bool {
	for _, cell := range row.Cells[:min(len(row.Cells), 2)] {
		if cell = strings.TrimSpace(cell); strings.EqualFold(cell, "STT") || strings.EqualFold(cell, "TT") {
			return true
		}
	}
	for _, c := range []headings.Column{headings.Item, headings.Model} {
		if cell := r.raw(row, c); cell != "" && len(cell) < 60 && r.own(row, c) {
			if _, ok := r.names.Exact(cell); ok || strings.EqualFold(strings.TrimSpace(cell), r.l.Headings[c]) {
				return true
			}
		}
	}
	return false
}

// texts returns the first text of a row that is no number, and how many cells hold something besides the row's number.
func (r *reader) texts(row inventory.Row) (first string, filled int) {
	for i, cell := range row.Cells {
		cell = strings.Join(strings.Fields(cell), " ")
		if cell == "" || i == r.l.At[headings.Number] && len(cell) < 12 && !strings.ContainsAny(cell, " :") {
			continue
		}
		filled++
		if first == "" && strings.Trim(cell, "0123456789.,-+eE ") != "" {
			first, _ = inventory.CleanCell(cell[:min(len(cell), 600)])
		}
	}
	if first == "" && filled > 0 {
		first, _ = inventory.CleanCell(strings.Join(row.Cells[:min(len(row.Cells), 20)], " "))
	}
	return first, filled
}

// section takes in a heading between items: of a site, a phase, or a kind of equipment.
func (r *reader) section(row inventory.Row, text string, filled int) bool {
	if strings.IndexFunc(text, unicode.IsLetter) < 0 { // a sum, which may look like a site's code
		return false
	}
	number := ""
	if at := r.l.At[headings.Number]; at >= 0 && at < len(row.Cells) {
		number = strings.TrimSpace(row.Cells[at])
	}
	isHeading := roman.MatchString(number) || number == "" && filled == 1
	name := text
	if before, after, ok := strings.Cut(text, " "); ok && (roman.MatchString(before) || arabic.MatchString(before)) && strings.TrimSpace(after) != "" {
		name = strings.TrimSpace(after)
		isHeading = isHeading || roman.MatchString(before)
	}
	if r.own(row, headings.Vendor) || r.own(row, headings.Site) && r.own(row, headings.Item) {
		return false // an item with its vendor or site, only without a number of units
	}
	counted := r.own(row, headings.Quantity) // a heading may have the sum of what is below it
	if (filled > 2 || counted) && !isHeading && !places.LooksLikeSite(name) {
		return false
	}
	if phase := headings.PhaseIn(name); phase != "" && (isHeading || len(phase) == len(name)) {
		r.close()
		r.state.phase, r.state.contract, r.state.decision, r.state.above = phase, headings.ContractIn(name), headings.DecisionIn(name), Purchase{}
		return true
	}
	site, err := r.places.Find(name, "", inventory.Date{})
	switch {
	case err == nil:
		r.close()
		r.state.site, r.state.siteBad = site, false
		return true
	case places.LooksLikeSite(name) && (isHeading || filled == 1):
		r.close()
		r.problem(row.Number, "", "%v", err)
		r.state.site, r.state.siteBad = "", true
		return true
	case strings.Contains(err.Error(), " may be ") && isHeading:
		r.close()
		r.problem(row.Number, "", "%v", err)
		r.state.site, r.state.siteBad = "", true
		return true
	case counted || !isHeading || !r.l.Has(headings.Quantity) && !r.l.Has(headings.Serial) && number == "" && !roman.MatchString(number):
		return false
	}
	r.close()
	r.state.class = cells.ClassOf(name)
	r.warn(row.Number, "", "taken for a heading, not an item: %s", inventory.Quote(text))
	return true
}

// begin starts an entry with a row.
func (r *reader) begin(row inventory.Row) {
	e := &entry{row: row.Number}
	r.pending = e
	u := &e.unit
	u.Sheet, u.Row = r.t.Sheet, row.Number
	u.Item, u.Model, u.Vendor = r.ditto(row, headings.Item), r.ditto(row, headings.Model), r.ditto(row, headings.Vendor)
	u.Kind = r.ditto(row, headings.Class)
	if u.Class = cells.ClassOf(u.Kind); u.Class == "" {
		if slices.Contains([]string{"router", "switch", "firewall", "modem", "phone", "printer", "scanner", "projector", "ups", "pdu", "camera", "nvr", "nas", "storage", "server", "bmc", "pc", "sensor", "network", "other"}, inventory.Fold(u.Kind)) {
			u.Class = inventory.Fold(u.Kind)
		} else if u.Class = cells.ClassOf(u.Item); u.Class == "" {
			u.Class = r.state.class
		}
	}
	r.group(row, u)
	r.perRow(row, u)

	var err error
	if e.quantity, err = cells.Quantity(r.text(row, headings.Quantity)); err != nil {
		r.mistake(row, headings.Quantity, err)
	}
	money := cells.Money{Spreadsheet: r.t.Spreadsheet(), Unit: r.l.Unit}
	if u.Price, err = money.Parse(r.text(row, headings.Price)); err != nil {
		r.mistake(row, headings.Price, err)
	}
	if e.amount, err = money.Parse(r.text(row, headings.Amount)); err != nil {
		r.mistake(row, headings.Amount, err)
	}
	r.warranty(row, u)
	if text := r.text(row, headings.Life); text != "" {
		n, err := cells.Quantity(strings.TrimSuffix(strings.TrimSpace(inventory.Fold(text)), "nam"))
		if err != nil || n > 50 {
			r.mistake(row, headings.Life, fmt.Errorf("%s is not a number of years", inventory.Quote(text)))
		} else {
			u.LifeYears = n
		}
	}
	r.serialsOf(row, *u)
}

// mistake reports a cell of the entry.
func (r *reader) mistake(row inventory.Row, c headings.Column, err error) {
	r.problem(row.Number, r.l.Name(c), "%v", err)
	if r.pending != nil {
		r.pending.bad = true
	}
}

// ditto reads a text that may say "as above".
func (r *reader) ditto(row inventory.Row, c headings.Column) string {
	s := r.text(row, c)
	switch strings.Trim(inventory.Fold(s), "- ") {
	case `"`, `''`, "″", "”", "“", "nt", "nhu tren", "//":
		for i := len(r.units) - 1; i >= 0 && i >= len(r.units)-1; i-- {
			above := r.units[i]
			switch c {
			case headings.Item:
				return above.Item
			case headings.Model:
				return above.Model
			case headings.Vendor:
				return above.Vendor
			case headings.Class:
				return above.Kind
			case headings.Phase:
				return above.Phase
			case headings.Contract:
				return above.Contract
			case headings.Decision:
				return above.Decision
			}
		}
		r.mistake(row, c, fmt.Errorf("%s has nothing above it; write it in full", inventory.Quote(s)))
		return ""
	}
	return s
}

// group reads what is often said once for many rows: phase, contract, decision and date.
func (r *reader) group(row inventory.Row, u *Purchase) {
	s := &r.state
	phase := r.ditto(row, headings.Phase)
	// A row that leaves the phase empty where others have it goes on with the row above: so do cells that were merged
	// before the list became text. Elsewhere an empty cell is unknown, and stays so.
	goesOn := phase == "" && r.l.Has(headings.Phase) && s.above.Phase != ""
	switch {
	case phase != "":
		u.Phase = phase
	case goesOn:
		*u = withGroup(*u, s.above)
		r.warn(row.Number, r.l.Name(headings.Phase), "is empty; what the row above says of phase, contract, decision and date is taken where the row has nothing: %s", inventory.Quote(u.Phase))
	default:
		u.Phase = s.phase
	}
	if u.Phase == "" && !r.noPhase {
		r.noPhase = true // once: it is the same for all rows
		r.mistake(row, headings.Phase, fmt.Errorf("no phase is said; write it into the row, above the list (Đợt 1 năm 2021), or choose it at the import"))
	}
	for _, one := range []struct {
		c    headings.Column
		said string
		into *string
	}{{headings.Contract, s.contract, &u.Contract}, {headings.Decision, s.decision, &u.Decision}} {
		if text := r.ditto(row, one.c); text != "" {
			*one.into = text
		} else if !goesOn {
			*one.into = one.said
		}
	}
	for _, c := range []headings.Column{headings.Received, headings.Year} {
		text := r.text(row, c)
		if text == "" {
			continue
		}
		day, roughly, err := cells.Day(r.t, text)
		switch {
		case err != nil:
			r.mistake(row, c, err)
		case !r.options.Today.IsZero() && day.After(r.options.Today.Time) && !roughly:
			r.mistake(row, c, fmt.Errorf("%s is in the future; correct it", day))
		case c == headings.Year && r.text(row, headings.Received) != "":
			// the day says more than the year beside it
		default:
			u.Received, u.Roughly = day, roughly
			if roughly {
				r.warn(row.Number, r.l.Name(c), "%s is not a day; %s is taken, so that nothing seems older than it is", inventory.Quote(text), day)
			}
		}
	}
	s.above = withGroup(Purchase{}, *u)
}

// withGroup returns u with what the rows of a group have in common with from.
func withGroup(u, from Purchase) Purchase {
	u.Phase, u.Contract, u.Decision, u.Received, u.Roughly = from.Phase, from.Contract, from.Decision, from.Received, from.Roughly
	return u
}

// perRow reads what each row says for itself, also where rows go on with an entry.
func (r *reader) perRow(row inventory.Row, u *Purchase) {
	if text := r.text(row, headings.User); text != "" {
		u.User = text
	}
	if text := r.text(row, headings.Note); text != "" {
		u.Note = text
	}
	byCode, byName := r.text(row, headings.SiteCode), r.text(row, headings.Site)
	switch {
	case byCode != "":
		site, err := r.places.Find(byCode, r.text(row, headings.Parent), u.Received)
		if err != nil {
			r.mistake(row, headings.SiteCode, err)
		}
		u.Site = site
	case byName != "":
		site, err := r.places.Find(byName, r.text(row, headings.Parent), u.Received)
		if err != nil {
			r.mistake(row, headings.Site, err)
		}
		u.Site = site
	case u.Site != "": // of the entry above
	case r.state.site != "" || r.state.siteBad:
		u.Site = r.state.site
	default:
		r.warn(row.Number, r.l.Name(headings.Site), "no site is said; the item can be found by its serial alone")
	}
}

func (r *reader) warranty(row inventory.Row, u *Purchase) {
	months, until, err := cells.Warranty(r.t, r.text(row, headings.Warranty))
	if err != nil {
		r.mistake(row, headings.Warranty, err)
	}
	if text := r.text(row, headings.WarrantyUntil); text != "" {
		if until, _, err = cells.Day(r.t, text); err != nil {
			r.mistake(row, headings.WarrantyUntil, err)
		}
	}
	if until.IsZero() && months > 0 && !u.Received.IsZero() {
		until = cells.AddMonths(u.Received, months)
	}
	if !until.IsZero() && !u.Received.IsZero() && until.Before(u.Received.Time) {
		r.mistake(row, headings.Warranty, fmt.Errorf("ends on %s, before the item was received on %s; correct one of them", until, u.Received))
	}
	u.WarrantyMonths, u.WarrantyUntil = months, until
}

// goOn adds a row that only says more serials or sites of the entry above.
func (r *reader) goOn(row inventory.Row) {
	u := r.pending.unit
	u.Row = row.Number
	if r.own(row, headings.Site) || r.own(row, headings.SiteCode) {
		u.Site = ""
	}
	r.perRow(row, &u)
	r.serialsOf(row, u)
}

// serialsOf adds one unit for each serial of a row, or one for a row without.
func (r *reader) serialsOf(row inventory.Row, u Purchase) {
	e := r.pending
	cell := r.raw(row, headings.Serial)
	if len(cell) > maxUnits*20 {
		r.mistake(row, headings.Serial, fmt.Errorf("is far too long; write the serials into rows of their own"))
		return
	}
	serials, skipped, err := cells.Serials(cell, e.quantity)
	if err != nil {
		r.mistake(row, headings.Serial, err)
		return
	}
	if len(skipped) > 0 {
		r.warn(row.Number, r.l.Name(headings.Serial), "%s is no serial, and is left out", inventory.Quote(strings.Join(skipped, ", ")))
	}
	for _, s := range serials {
		u.Serial = s
		e.units = append(e.units, u)
		if n := identity.NormalSerial(s); !identity.TrustedSerial(n) {
			r.warn(row.Number, r.l.Name(headings.Serial), "%s is kept, but does not look like a serial that identifies a device", inventory.Quote(s))
		}
	}
	if len(serials) == 0 {
		u.Serial = ""
		e.units = append(e.units, u)
		e.noSerial++
	}
}

// close ends the entry that is being read: its serials are counted, its price is checked, its units are kept.
func (r *reader) close() {
	e := r.pending
	if r.pending = nil; e == nil {
		return
	}
	quantity := r.l.Name(headings.Quantity)
	switch n := len(e.units); {
	case e.bad:
		return
	case e.quantity == 0:
		e.quantity = n
		if n == 1 && r.l.Has(headings.Quantity) {
			r.warn(e.row, quantity, "is empty; 1 is taken")
		}
	case e.quantity == n:
	case n == 1 && e.noSerial == 1: // no serials at all: quantity units alike
		for range e.quantity - 1 {
			e.units = append(e.units, e.units[0])
		}
	case e.noSerial == 0:
		r.problem(e.row, quantity, "is %d, but there are %d serials; correct one of them, or write the units without a serial into a row of their own", e.quantity, n)
		return
	default:
		r.problem(e.row, quantity, "is %d, but the rows below it make %d; correct it, or give each row its own quantity", e.quantity, n)
		return
	}
	if !r.price(e) || r.full {
		return
	}
	if r.full = len(r.units)+len(e.units) > maxUnits; r.full {
		r.problem(e.row, "", "the list has more than %d units; is it the right file?", maxUnits)
		return
	}
	for i := range e.units {
		u := &e.units[i]
		u.Price = e.unit.Price
		u.N = 1
		if i > 0 && e.units[i-1].Row == u.Row {
			u.N = e.units[i-1].N + 1
		}
		r.keep(*u)
	}
}

// price checks the amount, or takes the price from it.
func (r *reader) price(e *entry) bool {
	if e.amount == 0 {
		return true
	}
	n := int64(e.quantity)
	if e.unit.Price == 0 {
		e.unit.Price = (e.amount + n/2) / n
		r.warn(e.row, r.l.Name(headings.Price), "is empty; %d is taken, the amount by the quantity", e.unit.Price)
		return true
	}
	want := e.unit.Price * n
	slack := n * max(r.l.Unit/100, 1) // what rounding of each unit makes
	off := e.amount - want
	if off >= -slack && off <= slack {
		return true
	}
	hint := "correct one of them"
	for _, tax := range []int64{8, 10} {
		if d := e.amount - want*(100+tax)/100; d >= -slack && d <= slack {
			hint = fmt.Sprintf("it is %d %% more, as with VAT: write the price with taxes too", tax)
		}
	}
	r.problem(e.row, r.l.Name(headings.Amount), "is %d, but %d x %d is %d; %s", e.amount, n, e.unit.Price, want, hint)
	return false
}

// keep takes a unit into the list, unless it is there already.
func (r *reader) keep(u Purchase) {
	if s := serialKey(u.Serial); s != "" {
		vendor := identity.VendorKey(u.Vendor)
		for _, other := range r.serials[s] {
			if vendor == "" || other.vendor == "" || vendor == other.vendor {
				r.problem(u.Row, r.l.Name(headings.Serial), "%s is in %s too; correct one of them", inventory.Quote(u.Serial), other.where)
				return
			}
		}
		where := fmt.Sprintf("row %d", u.Row)
		if r.sheet != "" {
			where += " of sheet " + inventory.Quote(r.sheet)
		}
		r.serials[s] = append(r.serials[s], origin{vendor, where})
	}
	u.ID = r.id(&u)
	if r.ids[u.ID] < 0 {
		r.problem(u.Row, "", "the same item of the same phase and site was imported before; to correct it, take the earlier import back first")
		return
	}
	r.units = append(r.units, u)
}
