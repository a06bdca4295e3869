package inventory

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"communewatch/collector/stock"
	"communewatch/collector/web/inventory/columns"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/sheet"
)

// What was bought.

type purchasesPage struct {
	page
	Paging
	P     stock.Purchases
	List  []stock.Purchase
	Which string // which units are listed: "matched", "weak", "unmatched", or all
	Total phaseTotal

	Strangers int // devices that no purchase is known of; P.Unmatched may hold fewer
}

type phaseTotal struct {
	Units, Matched, Weak, Unmatched int
	Price                           int64
}

// unitsOf keeps the pieces that are asked for.
func unitsOf(units []stock.Purchase, which string) []stock.Purchase {
	keep := func(u *stock.Purchase) bool {
		switch which {
		case "matched":
			return u.Device != "" && u.Confidence >= stock.WeakLink
		case "weak":
			return u.Device != "" && u.Confidence < stock.WeakLink
		case "unmatched":
			return u.Device == ""
		case "moved":
			return u.Moved
		}
		return true
	}
	return slices.DeleteFunc(units, func(u stock.Purchase) bool { return !keep(&u) })
}

func (p *Pages) purchasesPage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "inventory.purchases")
	if !ok {
		return
	}
	out := purchasesPage{page: at, Which: at.Query().Get("which")}
	var err error
	if out.P, err = p.stock.Purchases(r.Context(), at.Asked); err != nil {
		p.fail(rw, r, at, err)
		return
	}
	for _, ph := range out.P.Phases {
		t := &out.Total
		t.Units, t.Matched, t.Weak, t.Unmatched, t.Price = t.Units+ph.Units, t.Matched+ph.Matched, t.Weak+ph.Weak, t.Unmatched+ph.Unmatched, t.Price+ph.Price
	}
	out.List, out.Paging = cut(&at, unitsOf(out.P.Units, out.Which))
	out.Strangers = len(out.P.Unmatched)
	if !at.All && len(out.P.Unmatched) > perPage {
		out.P.Unmatched = out.P.Unmatched[:perPage:perPage]
	}
	p.render(rw, r, "purchases", out)
}

// FirmTotal is how many pieces of all phases were matched with a good confidence.
func (p purchasesPage) FirmTotal() int { return p.Total.Matched - p.Total.Weak }

// Firmly is how many pieces of a phase were matched with a good confidence.
func (p page) Firmly(ph stock.Phase) int { return ph.Matched - ph.Weak }

func (p *Pages) purchaseSheets(ctx context.Context, at *page) ([]*sheet.Sheet, error) {
	all, err := p.stock.Purchases(ctx, at.Asked)
	if err != nil {
		return nil, err
	}
	units := unitsOf(all.Units, at.Query().Get("which"))
	out := at.sheet("inventory.purchases", len(units))
	head := func(key string, kind sheet.Kind, width float64) {
		out.Columns = append(out.Columns, sheet.Column{Heading: at.T(key), Kind: kind, Width: width})
	}
	head("unit.id", sheet.Text, 14)
	head("device.phase", sheet.Text, 20)
	head("device.contract", sheet.Text, 18)
	head("unit.item", sheet.Text, 30)
	for _, k := range []string{"class", "vendor", "model", "serial", "site"} {
		head("device."+k, sheet.Text, 0)
	}
	head("unit.received", sheet.Date, 0)
	head("device.price", sheet.Money, 0)
	head("device.warranty", sheet.Date, 0)
	head("unit.device", sheet.Text, 10)
	head("unit.link", sheet.Text, 30)
	head("device.link", sheet.Ratio, 0)
	head("unit.moved", sheet.Text, 10)
	for _, u := range units {
		var sure any
		if u.Device != "" {
			sure = u.Confidence
		}
		moved := ""
		if u.Moved {
			moved = at.T("unit.moved")
		}
		link := ""
		if u.Link != "" {
			link = at.Link(string(u.Link))
		}
		out.Rows = append(out.Rows, []any{u.ID, u.Phase, u.Contract, u.Item, at.Class(u.Class), u.Vendor, u.Model, u.Serial, u.SiteName, u.Received,
			columns.Priced(u.Price), u.WarrantyUntil, u.Device, link, sure, moved})
	}
	found := at.sheetOf(all.Unmatched, columns.All())
	found.Name = at.T("unit.strangers")
	return []*sheet.Sheet{out, found}, nil
}

// What devices are judged by.

type cataloguePage struct {
	page
	Paging
	Rows  []lifecycle.Row
	Kind  string
	Kinds []stock.Choice
	Local int
}

// catalogue reads the rows that a reader looks for.
func (p *Pages) catalogue(ctx context.Context, at *page) (rows []lifecycle.Row, all int, err error) {
	rows, err = p.stock.Catalogue(ctx)
	if err != nil {
		return nil, 0, err
	}
	all = len(rows)
	words := strings.Fields(inventory.Fold(at.Asked.Filter.Search))
	kind := at.Query().Get("kind")
	var out []lifecycle.Row
	for _, r := range rows {
		if kind == "local" && !r.Local() || kind != "" && kind != "local" && r.Kind != kind {
			continue
		}
		if len(words) > 0 {
			text := inventory.Fold(strings.Join([]string{r.ID, r.Vendor, r.Pattern, r.Class, at.Class(r.Class), r.Successor, r.Source, r.Note("alias"), r.Note("cve"), r.Note("platform"),
				strings.Join(r.Remarks, " ")}, " \x00 "))
			if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
				continue
			}
		}
		out = append(out, r)
	}
	return out, all, nil
}

func (p *Pages) cataloguePage(rw http.ResponseWriter, r *http.Request) {
	at, ok := p.open(rw, r, "inventory.catalogue")
	if !ok {
		return
	}
	rows, _, err := p.catalogue(r.Context(), &at)
	if err != nil {
		p.fail(rw, r, at, err)
		return
	}
	out := cataloguePage{page: at, Kind: at.Query().Get("kind")}
	for i := range rows {
		if rows[i].Local() {
			out.Local++
		}
	}
	for _, k := range []string{"", "device", "firmware", "os", "local"} {
		key := "catalogue.kind_" + k
		if k == "" {
			key = "catalogue.kind_all"
		}
		out.Kinds = append(out.Kinds, stock.Choice{Value: k, Label: at.T(key)})
	}
	out.Rows, out.Paging = cut(&at, rows)
	p.render(rw, r, "catalogue", out)
}

// WithKind is the address of the list as a file.
func (p cataloguePage) WithKind(extension string) string {
	return p.to("/inventory/catalogue."+extension, map[string]string{"kind": p.Kind})
}

// KindName names a kind of row.
func (p page) KindName(kind string) string { return p.Or("catalogue.kind_"+kind, kind) }

// Old reports whether a row was last looked at long before the day that everything is judged on.
func (p page) Old(r lifecycle.Row) bool {
	return !r.ReviewedOn.IsZero() && p.AsOf.Sub(r.ReviewedOn.Time).Hours()/24 > lifecycle.StaleDays
}

func (p *Pages) catalogueSheets(ctx context.Context, at *page) ([]*sheet.Sheet, error) {
	rows, _, err := p.catalogue(ctx, at)
	if err != nil {
		return nil, err
	}
	out := at.sheet("inventory.catalogue", len(rows))
	for _, c := range []struct {
		key   string
		kind  sheet.Kind
		width float64
	}{{"catalogue.id", sheet.Text, 10}, {"catalogue.kind", sheet.Text, 14}, {"device.vendor", sheet.Text, 0}, {"catalogue.pattern", sheet.Text, 34},
		{"catalogue.match", sheet.Text, 22}, {"device.class", sheet.Text, 0}, {"catalogue.sale", sheet.Date, 0}, {"catalogue.maint", sheet.Date, 0},
		{"catalogue.support", sheet.Date, 0}, {"catalogue.successor", sheet.Text, 28}, {"catalogue.notes", sheet.Text, 40}, {"catalogue.grade", sheet.Text, 8},
		{"catalogue.reviewed", sheet.Date, 0}, {"catalogue.source", sheet.Text, 70}} {
		out.Columns = append(out.Columns, sheet.Column{Heading: at.T(c.key), Kind: c.kind, Width: c.width})
	}
	for i := range rows {
		r := &rows[i]
		var notes []string
		for _, n := range at.Pairs(*r) {
			notes = append(notes, at.Note(n.Value)+": "+n.Label)
		}
		out.Rows = append(out.Rows, []any{r.ID, at.KindName(r.Kind), r.Vendor, r.Pattern, at.Match(r.Match), at.Class(r.Class), r.Sale, r.Maint, r.Support,
			r.Successor, strings.Join(append(notes, r.Remarks...), "; "), r.Confidence, r.ReviewedOn, r.Source})
	}
	return []*sheet.Sheet{out}, nil
}
