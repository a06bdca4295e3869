// Package rehearsal shows rehearsals to those who answer for a meeting: the list of them, a form for a new one with what
// it will ask of the hub, one under way as it goes, and what came out: the readiness of every site, line by line, with
// what to do first; on paper and as a spreadsheet too.
//
// Nothing is promised that was not tested: each page says what was streamed, and what that can't say. How well a room's
// endpoint is known is told by its rung on the readiness ladder, whatever colour it has. Pages work without script, by
// loading them again; an island of TypeScript keeps one that is under way fresh.
//
// Who starts or stops a rehearsal gives an operator's code with that very request. It is kept nowhere, in no cookie, so
// that no other page can act in an operator's name.
package rehearsal

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
	"sync"
	"time"

	"communewatch/collector/api/rehearsals"
	"communewatch/collector/people"
	"communewatch/collector/phrase"
	"communewatch/collector/rehearsal"
	"communewatch/collector/web/frame"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The words of these pages; they add to those of package web.
//
//go:embed i18n/*.json
var wordFiles embed.FS

// Words returns the words of these pages, one file per language.
func Words() (fs.FS, error) { return fs.Sub(wordFiles, "i18n") }

// Names are the sites' names by id.
type Names = map[string]rehearsals.Name

// Options are what New needs beside the house.
type Options struct {
	Service rehearsal.Service // nil: every page says that there are no rehearsals here
	Door    *rehearsals.Door  // nil where Service is
	Names   func(ctx context.Context) (Names, error)
	Log     *slog.Logger // nil: slog.Default
}

// Pages serves the pages.
type Pages struct {
	house     *frame.House
	o         Options
	templates *template.Template

	mu   sync.Mutex                   // guards kept
	kept map[rehearsal.ID][]markCount // what came out of rehearsals that nothing more can come to
}

// New prepares the pages. It starts nothing.
func New(house *frame.House, o Options) (*Pages, error) {
	p := &Pages{house: house, o: o, kept: map[rehearsal.ID][]markCount{}}
	if p.o.Log == nil {
		p.o.Log = slog.Default()
	}
	var err error
	p.templates, err = frame.Templates(templateFiles, "templates/*.html")
	return p, err
}

// Register adds the pages to a server's addresses, all below /rehearsals.
func (p *Pages) Register(mux *http.ServeMux) {
	var instead http.HandlerFunc
	if p.o.Service == nil {
		instead = func(rw http.ResponseWriter, r *http.Request) {
			p.sorry(rw, r, http.StatusServiceUnavailable, "rehearsal.unavailable", "rehearsal.unavailable_hint")
		}
	}
	frame.Register(mux, map[string]http.HandlerFunc{
		"GET /rehearsals":                   p.listPage,
		"GET /rehearsals/new":               p.formPage,
		"GET /rehearsals/compare":           p.comparePage,
		"GET /rehearsals/{id}":              p.onePage,
		"GET /rehearsals/{id}/matrix.xlsx":  p.matrixFile,
		"GET /rehearsals/{id}/sites/{site}": p.sitePage,
		"POST /rehearsals":                  p.start,
		"POST /rehearsals/{id}/stop":        p.stop,
		"GET /rehearsals/":                  p.nowhere,
	}, instead)
}

// page is what every page of rehearsals has.
type page struct {
	frame.Frame
	Heading string      // key of the page's name
	Hint    string      // key, on pages that only say that something is not there
	Words   phrase.Lang // of sentences
	names   Names
}

func (p *Pages) open(rw http.ResponseWriter, r *http.Request, heading string) page {
	out := page{Frame: p.house.Frame(rw, r), Heading: heading}
	out.Words, _ = phrase.Parse(out.Lang)
	out.PageTitle = out.T(heading) + " – " + out.PageTitle
	if p.o.Names != nil {
		names, err := p.o.Names(r.Context())
		if err != nil {
			p.o.Log.Error("names of sites not read", "error", err) // ids will do
		}
		out.names = names
	}
	return out
}

func (p *Pages) render(rw http.ResponseWriter, r *http.Request, name string, data any) {
	p.house.Render(rw, r, http.StatusOK, p.templates, name, data)
}

func (p *Pages) sorry(rw http.ResponseWriter, r *http.Request, status int, heading, hint string) {
	out := page{Frame: p.house.Frame(rw, r), Heading: heading, Hint: hint}
	out.PageTitle = out.T(heading) + " – " + out.PageTitle
	p.house.Render(rw, r, status, p.templates, "sorry", out)
}

func (p *Pages) nowhere(rw http.ResponseWriter, r *http.Request) {
	p.sorry(rw, r, http.StatusNotFound, "rehearsal.nowhere", "rehearsal.nowhere_hint")
}

// fail answers with what went wrong, in the reader's words; the log has the rest.
func (p *Pages) fail(rw http.ResponseWriter, r *http.Request, err error) {
	switch {
	case r.Context().Err() != nil: // nobody is waiting
	case errors.Is(err, rehearsal.ErrUnknown):
		p.nowhere(rw, r)
	default:
		p.o.Log.Error("rehearsals not read", "path", r.URL.Path, "error", err)
		p.sorry(rw, r, http.StatusInternalServerError, "rehearsal.failed", "error.page")
	}
}

// id reads the rehearsal that an address names; it answers by itself where there is none.
func (p *Pages) id(rw http.ResponseWriter, r *http.Request) (rehearsal.ID, bool) {
	id, err := rehearsal.ParseID(r.PathValue("id"))
	if err != nil {
		p.nowhere(rw, r)
	}
	return id, err == nil
}

// The methods below are the vocabulary of the templates.

// Site is what a site is called; its id where nothing else is known.
func (p page) Site(id string) string { return cmp.Or(p.names[id].Name, id) }

// SiteSub is what tells namesakes apart.
func (p page) SiteSub(id string) string {
	n := p.names[id]
	parts := slices.DeleteFunc([]string{n.Type, n.District, n.Code}, func(s string) bool { return s == "" })
	return strings.Join(parts, " · ")
}

// Moment writes a time without its seconds.
func (p page) Moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return t.In(p.Zone).Format("02/01/2006 15:04")
}

// When is the time that a rehearsal is listed under.
func (p page) When(s rehearsal.Summary) string {
	for _, t := range []*time.Time{s.Began, s.At, &s.Created} {
		if t != nil {
			return p.Moment(t)
		}
	}
	return "–"
}

// Join writes a list of numbers as people say steps: 10 → 34 → 136.
func (p page) Join(steps []int) string {
	parts := make([]string, len(steps))
	for i, n := range steps {
		parts[i] = p.Count(n)
	}
	return strings.Join(parts, " → ")
}

// Loss writes a ratio, "–" for what was not measured.
func (p page) Loss(v *float64) string {
	if v == nil {
		return "–"
	}
	return p.Percent(*v)
}

// Trip writes a round-trip time, "–" for what was not measured.
func (p page) Trip(v *float64) string {
	if v == nil {
		return "–"
	}
	return p.Millis(*v)
}

// LossState is the mark that a loss looks like, by the bands of conference rooms: below 1 % good, to 5 % at risk.
func (p page) LossState(up, down *float64) string {
	if up == nil && down == nil {
		return string(rehearsal.Unknown)
	}
	worst := 0.0
	for _, v := range []*float64{up, down} {
		if v != nil {
			worst = max(worst, *v)
		}
	}
	switch {
	case worst < 0.01:
		return string(rehearsal.Go)
	case worst <= 0.05:
		return string(rehearsal.AtRisk)
	}
	return string(rehearsal.NoGo)
}

// Stands says whether a state is final.
func (p page) Stands(s rehearsal.State) bool { return s.Final() }

// Path is an address's part.
func (p page) Path(s string) string { return url.PathEscape(s) }

// listPage shows all rehearsals.
type listPage struct {
	page
	All  []listed
	Held *rehearsal.Hold
	More int // older ones that are not shown
}

// listed is a rehearsal in the list with what came out; Counts is nil where that is not known.
type listed struct {
	rehearsal.Summary
	Counts []markCount
}

// markCount is how many sites have a mark.
type markCount struct {
	Mark rehearsal.Mark
	N    int
}

// marks in the order of the screens: what needs a person first.
var marks = []rehearsal.Mark{rehearsal.NoGo, rehearsal.Unknown, rehearsal.AtRisk, rehearsal.Go}

func countsOf(by map[rehearsal.Mark]int) []markCount {
	out := make([]markCount, len(marks))
	for i, m := range marks {
		out[i] = markCount{m, by[m]}
	}
	return out
}

const (
	// mostListed is how many rehearsals a list has; ?all=1 lifts it.
	mostListed = 50
	// mostJudged is how many of them are judged for it: a verdict takes a moment for each.
	mostJudged = 12
)

func (p *Pages) listPage(rw http.ResponseWriter, r *http.Request) {
	out := listPage{page: p.open(rw, r, "rehearsal.list")}
	all, err := p.o.Service.List(r.Context())
	if err != nil {
		p.fail(rw, r, err)
		return
	}
	if len(all) > mostListed && out.Query().Get("all") != "1" {
		out.More = len(all) - mostListed
		all = all[:mostListed]
	}
	if out.All, err = p.listed(r.Context(), all); err != nil {
		p.fail(rw, r, err)
		return
	}
	if h, on := p.o.Service.Held(); on {
		out.Held = &h
	}
	p.render(rw, r, "list", out)
}

// listed adds what came out to the newest rehearsals. To read and judge one of a province takes tens of milliseconds, so
// that counts are kept: of all but the one that ended last, for which results may still come.
func (p *Pages) listed(ctx context.Context, all []rehearsal.Summary) ([]listed, error) {
	var last time.Time
	for _, s := range all {
		if s.Ended != nil && s.Ended.After(last) {
			last = *s.Ended
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]listed, len(all))
	kept, whole := map[rehearsal.ID][]markCount{}, people.From(ctx).Everywhere()
	judged := 0
	for i, s := range all {
		out[i].Summary = s
		if !s.State.Final() || s.Began == nil || judged == mostJudged {
			continue
		}
		judged++
		counts := p.kept[s.ID]
		if counts == nil || !whole { // who sees some districts only gets counts of their own
			rep, err := p.o.Service.Get(ctx, s.ID)
			if err != nil {
				return nil, err
			}
			counts = countsOf(rep.Verdict.Counts)
		}
		if s.Ended != nil && s.Ended.Before(last) {
			kept[s.ID] = counts
		}
		out[i].Counts = counts
	}
	if whole {
		p.kept = kept
	}
	return out, nil
}

// comparePage shows what changed between two rehearsals.
type comparePage struct {
	page
	A, B   rehearsal.Summary
	C      rehearsal.Comparison
	Counts []struct {
		Mark   rehearsal.Mark
		N1, N2 int
	}
	BadIDs bool
	Others []rehearsal.Summary // that can be compared
}

func (p *Pages) comparePage(rw http.ResponseWriter, r *http.Request) {
	out := comparePage{page: p.open(rw, r, "rehearsal.compare")}
	all, err := p.o.Service.List(r.Context())
	if err != nil {
		p.fail(rw, r, err)
		return
	}
	for _, s := range all {
		if s.Began != nil && s.State.Final() {
			out.Others = append(out.Others, s)
		}
	}
	a, errA := rehearsal.ParseID(out.Query().Get("a"))
	b, errB := rehearsal.ParseID(out.Query().Get("b"))
	if errA != nil || errB != nil || a == b {
		out.BadIDs = out.Query().Has("a") || out.Query().Has("b")
		p.render(rw, r, "compare", &out)
		return
	}
	if a > b { // the earlier first, whichever was chosen first
		a, b = b, a
	}
	if out.C, err = p.o.Service.Compare(r.Context(), a, b); err != nil {
		p.fail(rw, r, err)
		return
	}
	out.A, out.B = out.C.Before, out.C.After
	for _, m := range marks {
		out.Counts = append(out.Counts, struct {
			Mark   rehearsal.Mark
			N1, N2 int
		}{m, out.C.CountB[m], out.C.CountA[m]})
	}
	p.render(rw, r, "compare", &out)
}
