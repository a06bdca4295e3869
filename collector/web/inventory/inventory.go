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
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"embed"

	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Pages serves the inventory.
type Pages struct {
	house     *frame.House
	stock     stock.Reader
	log       *slog.Logger
	templates *template.Template
}

// New prepares the pages. It starts nothing.
func New(house *frame.House, reader stock.Reader, log *slog.Logger) (*Pages, error) {
	p := &Pages{house: house, stock: reader, log: log}
	var err error
	p.templates, err = frame.Templates(templateFiles, "templates/*.html")
	return p, err
}

// Register adds the pages to a server's addresses, all below /inventory.
func (p *Pages) Register(mux *http.ServeMux) {
}

// page is what every page of the inventory has.
type page struct {
	*voice
	Query   stock.Query
	AsOf    inventory.Date // that everything is judged on
	Today   bool           // AsOf is today
	Choices stock.Choices
}

// ask reads what an address asks for. A date that is none is today, since an address may have been typed.
func (p *Pages) ask(f frame.Frame) (stock.Query, inventory.Date) {
	v := f.Query()
	q := stock.Query{Lang: f.Lang, Filter: stock.Filter{
		Site: v.Get("site"), District: v.Get("district"), Class: v.Get("class"), Vendor: v.Get("vendor"), Model: v.Get("model"),
		Phase: v.Get("phase"), Standing: stock.Standing(v.Get("standing")), State: lifecycle.State(v.Get("state")),
		Band: lifecycle.Band(v.Get("band")), Action: lifecycle.Action(v.Get("action")), Legal: lifecycle.LegalState(v.Get("legal")),
		Search: clip(v.Get("q")), WithoutGone: v.Get("gone") == "0", OnlyGone: v.Get("gone") == "1", Unmatched: v.Get("unmatched") == "1",
	}}
	today := inventory.DateOf(f.Now.In(f.Zone))
	if d, err := inventory.ParseDate(v.Get("as_of")); err == nil && !d.IsZero() {
		q.AsOf = d
		return q, d
	}
	return q, today
}

// maxSearch bounds what is searched for, in bytes.
const maxSearch = 200

func clip(s string) string {
	if len(s) > maxSearch {
		return s[:maxSearch]
	}
	return s
}

// open begins a page. It answers by itself, and returns false, where that fails.
func (p *Pages) open(rw http.ResponseWriter, r *http.Request, title string) (page, bool) {
	f := p.house.Frame(rw, r)
	out := page{voice: voiceOf(f)}
	out.Query, out.AsOf = p.ask(f)
	out.Today = out.AsOf == inventory.DateOf(f.Now.In(f.Zone))
	out.PageTitle = out.T(title) + " – " + out.PageTitle
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

// fail answers with what went wrong, in the reader's words; the log has the rest.
func (p *Pages) fail(rw http.ResponseWriter, r *http.Request, at page, err error) {
	switch {
	case r.Context().Err() != nil:
		return // nobody is waiting
	case errors.Is(err, stock.ErrNoDevice):
		p.house.Render(rw, r, http.StatusNotFound, p.templates, "nodevice", at)
		return
	}
	p.log.Error("inventory not read", "path", r.URL.Path, "error", err)
	http.Error(rw, at.T("error.page"), http.StatusInternalServerError)
}

// DayText writes a day as people here do; a dash for the zero day.
func (p page) DayText(d inventory.Date) string {
	if d.IsZero() {
		return "–"
	}
	return d.Format("02/01/2006")
}

// Moment writes a moment as people here do; a dash for the zero one.
func (p page) Moment(t time.Time) string { return p.Time(&t) }

// To is the address of another page or file of the inventory with the same filter and date.
func (p page) To(path string, without ...string) string {
	q := url.Values{}
	for k, v := range p.Frame.Query() {
		q[k] = v
	}
	for _, k := range append(without, "page", "all") {
		q.Del(k)
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
