// Package inventory shows the equipment to those who decide about it: a table to search and filter, a page per device
// with all its evidence, summaries per district and purchase phase, what loses its support when, what to replace first,
// and what nobody knows yet.
//
// A reviewer has to be able to defend every line, so none is shown without where it comes from: the value read, how and
// when, the catalogue row and its source. What is technically outdated and what may be replaced by law stand side by
// side and are never mixed. Unknown is an answer of its own.
//
// Everything is rendered here and works without script and on paper; files for spreadsheets hold what the screen shows.
package inventory

import (
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/inventory/voice"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The words of these pages. They are apart from those of the map and the sites, which scripts carry along too.
//
//go:embed i18n/*.json
var wordFiles embed.FS

// Words returns the words of these pages, one file per language; they add to those of package web.
func Words() (fs.FS, error) { return fs.Sub(wordFiles, "i18n") }

// Pages serves the inventory.
type Pages struct {
	house     *frame.House
	stock     stock.Reader
	log       *slog.Logger
	templates *template.Template
	stating   bool // there is a form to say what is known of a device
}

// Stating tells that there is a form to say what is known of a device, which devices' pages lead to.
func (p *Pages) Stating() { p.stating = true }

// New prepares the pages. It starts nothing. Without a reader every page says that the inventory is not available.
func New(house *frame.House, reader stock.Reader, log *slog.Logger) (*Pages, error) {
	p := &Pages{house: house, stock: reader, log: log}
	if p.log == nil {
		p.log = slog.Default()
	}
	var err error
	p.templates, err = frame.Templates(templateFiles, "templates/*.html")
	return p, err
}

// Register adds the pages to a server's addresses, all below /inventory.
func (p *Pages) Register(mux *http.ServeMux) {
	for path, serve := range map[string]http.HandlerFunc{
		"/inventory": p.tablePage,
		"/inventory/{$}": func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "/inventory", http.StatusMovedPermanently)
		},
		"/inventory/devices/{id}": p.devicePage,
		"/inventory/summary":      p.summaryPage,
		"/inventory/unsupported":  p.unsupportedPage,
		"/inventory/replace":      p.replacePage,
		"/inventory/verify":       p.verifyPage,
		"/inventory/purchases":    p.purchasesPage,
		"/inventory/catalogue":    p.cataloguePage,
		"/inventory/":             p.nowhere,
	} {
		mux.HandleFunc("GET "+path, p.available(serve))
	}
	for path, fill := range map[string]filler{
		"/inventory":             p.tableSheets,
		"/inventory/summary":     p.summarySheets,
		"/inventory/unsupported": p.unsupportedSheets,
		"/inventory/replace":     p.replaceSheets,
		"/inventory/verify":      p.verifySheets,
		"/inventory/purchases":   p.purchaseSheets,
		"/inventory/catalogue":   p.catalogueSheets,
	} {
		mux.HandleFunc("GET "+path+".csv", p.available(p.csv(path, fill)))
		mux.HandleFunc("GET "+path+".xlsx", p.available(p.xlsx(path, fill)))
	}
}

// available keeps readers of a collector without an inventory from a crash.
func (p *Pages) available(serve http.HandlerFunc) http.HandlerFunc {
	if p.stock != nil {
		return serve
	}
	return func(rw http.ResponseWriter, r *http.Request) {
		p.house.Render(rw, r, http.StatusServiceUnavailable, p.templates, "sorry", p.sorry(rw, r, "inventory.unavailable", "inventory.unavailable_hint"))
	}
}

// page is what every page of the inventory has.
type page struct {
	*voice.Voice
	Heading   string // key of the page's name
	Here      string // its address without a query
	Asked     stock.Query
	AsOf      inventory.Date // that everything is judged on
	Today     bool           // AsOf is today
	BadDate   string         // what was given as a date and is none
	Choices   stock.Choices
	All       bool   // no paging
	Semicolon bool   // between the columns of a CSV file
	Hint      string // key, on pages that only say that something is not there
	Missing   string // what is not there
	Paper     bool   // printed, it is a document of its own, with the heading and signatures of one
}

// Tab is one page of the inventory in its navigation.
type Tab struct{ Path, Key string }

// Tabs are the pages of the inventory.
func (p page) Tabs() []Tab {
	return []Tab{{"/inventory", "inventory.table"}, {"/inventory/summary", "inventory.summary"}, {"/inventory/replace", "inventory.replace"},
		{"/inventory/unsupported", "inventory.unsupported"}, {"/inventory/verify", "inventory.verify"},
		{"/inventory/purchases", "inventory.purchases"}, {"/inventory/catalogue", "inventory.catalogue"}}
}

// carried are the parameters that go along from page to page.
func carried() []string {
	return []string{"q", "site", "district", "class", "vendor", "model", "phase", "standing", "state", "band", "action", "legal", "gone", "unmatched", "as_of"}
}

// ask reads what an address asks for. A date that is none is today, and the page says so, since an address may have been
// typed.
func (p *page) ask() {
	v := p.Query()
	for name, values := range v { // forms send along what nobody filled in
		if !slices.ContainsFunc(values, func(s string) bool { return s != "" }) {
			v.Del(name)
		}
	}
	p.Asked = stock.Query{Lang: p.Lang, Filter: stock.Filter{
		Site: v.Get("site"), District: v.Get("district"), Class: v.Get("class"), Vendor: v.Get("vendor"), Model: v.Get("model"),
		Phase: v.Get("phase"), Standing: stock.Standing(v.Get("standing")), State: lifecycle.State(v.Get("state")),
		Band: lifecycle.Band(v.Get("band")), Action: lifecycle.Action(v.Get("action")), Legal: lifecycle.LegalState(v.Get("legal")),
		Search: clip(strings.TrimSpace(v.Get("q"))), WithoutGone: v.Get("gone") == "0", OnlyGone: v.Get("gone") == "1", Unmatched: v.Get("unmatched") == "1",
	}}
	p.All = v.Get("all") == "1"
	p.AsOf = p.today()
	p.Asked.AsOf = p.date("as_of", p.AsOf)
	p.AsOf, p.Today = p.Asked.AsOf, p.Asked.AsOf == p.AsOf
	if p.Today {
		v.Del("as_of") // who looks again tomorrow means tomorrow
	}
}

func (p *page) today() inventory.Date { return inventory.DateOf(p.Now.In(p.Zone)) }

// date reads a parameter that is a day.
func (p *page) date(name string, otherwise inventory.Date) inventory.Date {
	text := strings.TrimSpace(p.Query().Get(name))
	d, err := inventory.ParseDate(text)
	if err != nil {
		p.BadDate = clip(text)
	}
	if err != nil || d.IsZero() {
		return otherwise
	}
	return d
}

// maxSearch bounds what is searched for and shown of it, in bytes.
const maxSearch = 200

func clip(s string) string {
	if len(s) > maxSearch {
		s = s[:maxSearch]
		for !utf8.ValidString(s) && s != "" {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// open begins a page. It answers by itself, and returns false, where that fails.
func (p *Pages) open(rw http.ResponseWriter, r *http.Request, heading string) (page, bool) {
	out := page{Voice: voice.Of(p.house.Frame(rw, r)), Heading: heading, Here: strings.TrimSuffix(strings.TrimSuffix(r.URL.Path, ".csv"), ".xlsx")}
	out.ask()
	// net/url drops a parameter with a bare semicolon, which is just what is written here.
	out.Semicolon = out.Query().Get("sep") == ";" || slices.Contains(strings.Split(r.URL.RawQuery, "&"), "sep=;")
	out.PageTitle = out.T(heading) + " – " + out.PageTitle
	var err error
	if out.Choices, err = p.stock.Choices(r.Context()); err != nil {
		p.fail(rw, r, out, err)
		return out, false
	}
	return out, true
}

func (p *Pages) render(rw http.ResponseWriter, r *http.Request, name string, data any) {
	p.house.Render(rw, r, http.StatusOK, p.templates, name, data)
}

// sorry makes a page that says that something is not there, and what to do.
func (p *Pages) sorry(rw http.ResponseWriter, r *http.Request, heading, hint string) page {
	out := page{Voice: voice.Of(p.house.Frame(rw, r)), Heading: heading, Hint: hint}
	out.ask()
	out.PageTitle = out.T(heading) + " – " + out.PageTitle
	return out
}

// nowhere answers addresses below /inventory that are none.
func (p *Pages) nowhere(rw http.ResponseWriter, r *http.Request) {
	p.house.Render(rw, r, http.StatusNotFound, p.templates, "sorry", p.sorry(rw, r, "inventory.nowhere", "inventory.nowhere_hint"))
}

// fail answers with what went wrong, in the reader's words; the log has the rest.
func (p *Pages) fail(rw http.ResponseWriter, r *http.Request, at page, err error) {
	switch {
	case r.Context().Err() != nil:
		return // nobody is waiting
	case errors.Is(err, stock.ErrNoDevice):
		out := p.sorry(rw, r, "device.nowhere", "device.nowhere_hint")
		out.Missing = clip(r.PathValue("id"))
		p.house.Render(rw, r, http.StatusNotFound, p.templates, "sorry", out)
		return
	}
	p.log.Error("inventory not read", "path", r.URL.Path, "error", err)
	p.house.Render(rw, r, http.StatusInternalServerError, p.templates, "sorry", p.sorry(rw, r, "inventory.failed", "error.page"))
}

// To is the address of another page or file of the inventory with the same filter and date.
func (p page) To(path string) string { return p.to(path, nil) }

// ToWith is To with one more thing asked; an empty value drops it.
func (p page) ToWith(path, name, value string) string {
	return p.to(path, map[string]string{name: value})
}

// Again is this page with one thing of it changed; an empty value drops it. What page of the list is shown is forgotten.
func (p page) Again(name, value string) string {
	q := url.Values{}
	for k, v := range p.Query() {
		if k != "page" && k != "all" && len(v) > 0 && v[0] != "" {
			q[k] = v
		}
	}
	q.Del(name)
	if value != "" {
		q.Set(name, value)
	}
	return address(p.Here, q)
}

func (p page) to(path string, with map[string]string) string {
	q := url.Values{}
	for _, k := range carried() {
		if v := p.Query().Get(k); v != "" {
			q.Set(k, v)
		}
	}
	for k, v := range with {
		q.Del(k)
		if v != "" {
			q.Set(k, v)
		}
	}
	return address(path, q)
}

func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Field is one thing to filter by.
type Field struct {
	Name, Key string // parameter, and key of its label
	Value     string
	Options   []stock.Choice
}

// Label words the value that is chosen.
func (f Field) Label() string {
	for _, o := range f.Options {
		if o.Value == f.Value {
			return o.Label
		}
	}
	return f.Value
}

// Fields are the things to filter by.
func (p page) Fields() []Field {
	plain := func(values []string, word func(string) string) (out []stock.Choice) {
		for _, v := range values {
			out = append(out, stock.Choice{Value: v, Label: word(v)})
		}
		return out
	}
	same := func(s string) string { return s }
	phases := plain(p.Choices.Phases, same)
	phases = append(phases, stock.Choice{Value: stock.NoPhase, Label: p.T("inventory.no_phase")})
	f := []Field{
		{"district", "device.district", "", plain(p.Choices.Districts, same)},
		{"site", "device.site", "", p.Choices.Sites},
		{"class", "device.class", "", plain(p.Choices.Classes, p.Class)},
		{"vendor", "device.vendor", "", plain(p.Choices.Vendors, same)},
		{"phase", "device.phase", "", phases},
		{"standing", "device.standing", "", p.Standings()},
		{"state", "device.state", "", p.States()},
		{"legal", "device.legal", "", p.Legals()},
		{"action", "device.action", "", p.Actions()},
		{"band", "device.band", "", p.Bands()},
		{"gone", "device.seen", "", []stock.Choice{{Value: "0", Label: p.T("inventory.seen")}, {Value: "1", Label: p.T("inventory.gone")}}},
	}
	for i := range f {
		f[i].Value = p.Query().Get(f[i].Name)
	}
	return f
}

// Chips are the filters that are set, those that no field is for among them.
func (p page) Chips() (out []Field) {
	for _, f := range p.Fields() {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	if v := p.Query().Get("model"); v != "" {
		out = append(out, Field{Name: "model", Key: "device.model", Value: v})
	}
	if p.Asked.Filter.Unmatched {
		out = append(out, Field{Name: "unmatched", Key: "device.phase", Value: p.T("inventory.no_phase")})
	}
	if p.Asked.Filter.Search != "" {
		out = append(out, Field{Name: "q", Key: "inventory.search", Value: p.Asked.Filter.Search})
	}
	return out
}

// Kept are the parameters that a form keeps though it has no field for them.
func (p page) Kept() (out []stock.Choice) {
	for _, name := range []string{"sort", "col", "model", "unmatched", "may", "which"} {
		for _, v := range p.Query()[name] {
			out = append(out, stock.Choice{Value: name, Label: v})
		}
	}
	return out
}

// perPage is how many rows a page has.
const perPage = 100

// Paging says which rows of a list are shown.
type Paging struct {
	Of, First, Last, Page, Pages int
}

// cut returns the rows that the address asks for.
func cut[T any](p *page, rows []T) ([]T, Paging) {
	g := Paging{Of: len(rows), First: min(1, len(rows)), Last: len(rows), Page: 1, Pages: 1}
	if p.All || len(rows) <= perPage {
		return rows, g
	}
	g.Pages = (len(rows) + perPage - 1) / perPage
	n, _ := strconv.Atoi(p.Query().Get("page"))
	g.Page = min(max(n, 1), g.Pages)
	g.First = (g.Page-1)*perPage + 1
	g.Last = min(g.Page*perPage, len(rows))
	return rows[g.First-1 : g.Last], g
}

// Turn is this page with another part of its list.
func (p page) Turn(n int) string {
	q := url.Values{}
	for k, v := range p.Query() {
		q[k] = v
	}
	q.Del("all")
	q.Set("page", strconv.Itoa(n))
	return address(p.Here, q)
}

// Before and After are the pages beside this one.
func (g Paging) Before() int { return g.Page - 1 }
func (g Paging) After() int  { return g.Page + 1 }

// DeviceAt is the address of a device's page, on the day that this page judges on.
func (p page) DeviceAt(id string) string {
	path := "/inventory/devices/" + url.PathEscape(id)
	if p.Today {
		return path
	}
	return path + "?as_of=" + p.AsOf.String()
}

// Numbers are the three numbers of some devices; they add up to Devices.
type Numbers struct{ Devices, Outdated, Fine, Unknown int }

// NumbersOf counts rows by standing.
func NumbersOf(rows []stock.Row) (c Numbers) {
	for i := range rows {
		c.Devices++
		switch rows[i].Standing {
		case stock.Outdated:
			c.Outdated++
		case stock.Fine:
			c.Fine++
		default:
			c.Unknown++
		}
	}
	return c
}

// within keeps the rows of one standing.
func within(rows []stock.Row, standing stock.Standing) []stock.Row {
	if standing == "" {
		return rows
	}
	return slices.DeleteFunc(rows, func(r stock.Row) bool { return r.Standing != standing })
}
