// Package saying is the form on which people say what they know of a device and no probe can read: when it was put into
// service, what it cost, which post uses it; or a fact that a probe reads wrongly, copied from the name plate. What is
// said rests on a document, which is named, and counts from then on; it is kept with who said it, and can be taken back,
// never changed.
//
// It takes the act "state" of package people. What may be said, and how it is written, is stock/evidence's to say.
package saying

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"communewatch/collector/people"
	"communewatch/collector/registry/devices"
	"communewatch/collector/stock"
	"communewatch/collector/stock/evidence"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/inventory/voice"
	"communewatch/inventory"
	"communewatch/probes"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The words of this page.
//
//go:embed i18n/*.json
var wordFiles embed.FS

// Words returns the words of this page, one file per language; they add to those of the inventory.
func Words() (fs.FS, error) { return fs.Sub(wordFiles, "i18n") }

// Store keeps what people say; *devices.Store does.
type Store interface {
	Say(ctx context.Context, st devices.Statement) (devices.Statement, error)
	Withdraw(ctx context.Context, device devices.ID, name, by string) error
}

// Pages serves the form.
type Pages struct {
	house     *frame.House
	stock     stock.Reader
	store     Store
	log       *slog.Logger
	templates *template.Template
}

// New prepares the page. It starts nothing.
func New(house *frame.House, reader stock.Reader, store Store, log *slog.Logger) (*Pages, error) {
	p := &Pages{house: house, stock: reader, store: store, log: log}
	var err error
	p.templates, err = frame.Templates(templateFiles, "templates/*.html")
	return p, err
}

// Register adds the page to a server's addresses; people/door says who may ask for it.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /inventory/devices/{id}/state", p.show)
	mux.HandleFunc("POST /inventory/devices/{id}/state", p.change)
}

// page is the form of one device.
type page struct {
	*voice.Voice
	D    stock.Device
	Bad  string // what went wrong, in words
	Done string

	Name, Value, Source string // as they were sent, where that has to be corrected
}

// Offer is one thing that can be said.
type Offer struct{ Name, Doc string }

// People are the things that people alone can know, each with how it is written.
func (p *page) People() (out []Offer) {
	for _, s := range evidence.Sayings() {
		out = append(out, Offer{s.Name, p.T("saying.doc_" + s.Name)})
	}
	return out
}

// Read are the things that probes read, which somebody may know better.
func (p *page) Read() (out []Offer) {
	for _, f := range probes.FactNames() {
		out = append(out, Offer{Name: string(f)})
	}
	return out
}

// InForce is what people said and did not take back.
func (p *page) InForce() (out []stock.Note) {
	out = slices.Clone(p.D.Notes)
	for _, f := range p.D.Facts {
		if f.By != "" && !slices.ContainsFunc(out, func(n stock.Note) bool { return n.Kind == f.Name && n.Value == f.Value }) {
			out = append(out, stock.Note{Kind: f.Name, Value: f.Value, Source: f.Source, By: f.By, At: f.At})
		}
	}
	return out
}

// open begins the page of a device that the reader sees. When ok is false it has been answered.
func (p *Pages) open(rw http.ResponseWriter, r *http.Request) (out page, ok bool) {
	out = page{Voice: voice.Of(p.house.Frame(rw, r))}
	if !out.Caller.May(people.ActState) {
		http.Error(rw, out.T("saying.forbidden"), http.StatusForbidden)
		return out, false
	}
	var err error
	out.D, err = p.stock.Device(r.Context(), r.PathValue("id"), stock.Query{Lang: out.Lang})
	switch {
	case errors.Is(err, stock.ErrNoDevice):
		http.Error(rw, out.T("saying.nowhere"), http.StatusNotFound)
		return out, false
	case err != nil:
		p.log.Error("device not read", "path", r.URL.Path, "error", err)
		http.Error(rw, out.T("error.page"), http.StatusInternalServerError)
		return out, false
	}
	out.PageTitle = out.T("saying.title") + " – " + out.PageTitle
	switch out.Query().Get("done") {
	case "said":
		out.Done = out.T("saying.said")
	case "withdrawn":
		out.Done = out.T("saying.withdrawn")
	}
	return out, true
}

func (p *Pages) show(rw http.ResponseWriter, r *http.Request) {
	if out, ok := p.open(rw, r); ok {
		out.Name = out.Query().Get("fact")
		p.render(rw, r, http.StatusOK, &out)
	}
}

func (p *Pages) render(rw http.ResponseWriter, r *http.Request, status int, out *page) {
	rw.Header().Set("Cache-Control", "no-store")
	p.house.Render(rw, r, status, p.templates, "state", out)
}

func (p *Pages) change(rw http.ResponseWriter, r *http.Request) {
	out, ok := p.open(rw, r)
	if !ok {
		return
	}
	field := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	out.Name, out.Value, out.Source = field("fact"), field("value"), field("source")
	by := cmp.Or(out.Caller.Display, out.Caller.Who())
	id, err := devices.ParseID(out.D.ID)
	done := "said"
	switch {
	case err != nil:
	case field("do") == "withdraw":
		done, err = "withdrawn", p.store.Withdraw(r.Context(), id, out.Name, by)
	default:
		st := devices.Statement{Device: id, Name: out.Name, Source: out.Source, By: by}
		if st.Value, err = evidence.NormalOn(st.Name, plain(out.Value), inventory.DateOf(out.Now.In(out.Zone))); err == nil {
			_, err = p.store.Say(r.Context(), st)
		}
	}
	if err == nil {
		http.Redirect(rw, r, "/inventory/devices/"+url.PathEscape(out.D.ID)+"/state?done="+done, http.StatusSeeOther)
		return
	}
	out.Done = ""
	switch {
	case errors.Is(err, devices.ErrUnknown):
		out.Bad = out.T("saying.not_in_force")
	case out.Knows(err.Error()):
		out.Bad = out.Frame.Say(err.Error())
	default:
		p.log.Warn("not said of a device", "device", out.D.ID, "error", err)
		out.Bad = out.T("fleet.failed_technical", "why", err.Error())
	}
	p.render(rw, r, http.StatusUnprocessableEntity, &out)
}

// plain is a value as it is kept: people write yes and no in their own language.
func plain(value string) string {
	switch inventory.Fold(value) {
	case "co", "yes":
		return "yes"
	case "khong", "no":
		return "no"
	}
	return value
}
