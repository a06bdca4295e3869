package web

import (
	"cmp"
	"embed"
	"errors"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"communewatch/collector/api"
	"communewatch/inventory"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templateFuncs are the few things that templates cannot say themselves.
var templateFuncs = template.FuncMap{
	"glyph": glyph,
	"has":   func(facts map[string]float64, name string) bool { _, ok := facts[name]; return ok },
}

// outlines are the shapes of the states: ● ▲ ✕ ◇ ◌ –. They are drawn rather than typed, since fonts differ in how
// large they make these characters, and some PCs lack half of them. ui/src/glyph.ts has the same ones.
var outlines = map[string]string{
	"ok":       "M.62 0A.62 .62 0 1 1-.62 0A.62 .62 0 1 1 .62 0Z",
	"degraded": "M0-.95L.98 .78L-.98 .78Z",
	"down":     "M-.85-.5L-.5-.85L0-.35L.5-.85L.85-.5L.35 0L.85 .5L.5 .85L0 .35L-.5 .85L-.85 .5L-.35 0Z",
	"no_data":  "M0-1L1 0L0 1L-1 0ZM0-.5L-.5 0L0 .5L.5 0Z",
	"muted":    "M.8 0A.8 .8 0 1 1-.8 0A.8 .8 0 1 1 .8 0ZM.45 0A.45 .45 0 1 0-.45 0A.45 .45 0 1 0 .45 0Z",
	"none":     "M-.6-.16H.6V.16H-.6Z",
}

// glyph draws a state's shape; the words beside it say the same, so it is hidden from those who listen.
func glyph(state string) template.HTML {
	return template.HTML(`<svg class="glyph" viewBox="-1.1 -1.1 2.2 2.2" aria-hidden="true"><path d="` + outlines[state] + `"/></svg>`)
}

// frame is what every page has around its own matter.
type frame struct {
	reader
	Title     string // whose pages these are, such as the province; may be empty
	PageTitle string
	Wall      bool
	Now       time.Time
	Zone      *time.Location

	assets        *assets
	hasBoundaries bool
	path          string
}

func (w *Web) frame(rw http.ResponseWriter, r *http.Request) frame {
	f := frame{reader: w.reader(rw, r), Title: w.title, Now: w.now(), Zone: w.zone, assets: w.assets, path: r.URL.Path}
	f.hasBoundaries = w.boundaries != nil
	f.Wall = f.query.Get("wall") == "1"
	f.PageTitle = f.T("app.title")
	if f.Title != "" {
		f.PageTitle += " – " + f.Title
	}
	return f
}

// The methods below are the vocabulary of the templates.

func (f frame) T(key string, pairs ...any) string { return f.cat.T(key, pairs...) }
func (f frame) Asset(name string) string          { return f.assets.path(name) }
func (f frame) Built() bool                       { return f.assets.built() }
func (f frame) HasBoundaries() bool               { return f.hasBoundaries }
func (f frame) ZoneName() string                  { return f.Zone.String() }
func (f frame) States() []string                  { return states }
func (f frame) Layers() []string                  { return layers }
func (f frame) Themes() []string                  { return themes }

// OtherLang is the language to switch to.
func (f frame) OtherLang() string {
	if f.Lang == "vi" {
		return "en"
	}
	return "vi"
}

// With is the address of this page with one parameter changed; an empty value drops it.
func (f frame) With(name, value string) string {
	q := url.Values{}
	for k, v := range f.query {
		q[k] = v
	}
	if value == "" {
		q.Del(name)
	} else {
		q.Set(name, value)
	}
	if len(q) == 0 {
		return f.path
	}
	return f.path + "?" + q.Encode()
}

// Time writes a moment as people here do.
func (f frame) Time(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return t.In(f.Zone).Format("02/01/2006 15:04:05")
}

// NowText is the moment this page was made.
func (f frame) NowText() string { return f.Time(&f.Now) }

// For is the length of time since t, in words.
func (f frame) For(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return f.cat.Duration(f.Now.Sub(*t))
}

// Number writes a number as the language does.
func (f frame) Number(v float64, decimals int) string { return Number(f.Lang, v, decimals) }

// Count writes a whole number as the language does.
func (f frame) Count(n int) string { return Number(f.Lang, float64(n), 0) }

// rowsWithoutScript bounds the table that a page carries before any script has run: enough for all of a province,
// while a fleet of thousands does not make everybody wait for a megabyte. ?all=1 lifts it.
const rowsWithoutScript = 200

type mapPage struct {
	frame
	Layer  string // "" is overall
	Search string
	Counts []stateCount
	Total  int
	Rows   []siteRow
	More   int // matching sites that Rows leaves out
	Found  int
}

type stateCount struct {
	State string
	N     int
}

type siteRow struct {
	api.Site
	Shown   string // the state in the page's layer
	Explain bool   // since and reason hold for it
}

func (w *Web) mapPage(rw http.ResponseWriter, r *http.Request) {
	p := mapPage{frame: w.frame(rw, r)}
	if layer := p.query.Get("layer"); slices.Contains(layers, layer) {
		p.Layer = layer
	}
	p.Search = strings.TrimSpace(p.query.Get("q"))
	sites, err := w.source.Sites(r.Context(), p.Lang)
	if err != nil {
		w.log.Error("sites not read", "error", err)
		http.Error(rw, p.T("error.page"), http.StatusInternalServerError)
		return
	}
	sites = slices.Clone(sites)
	sortWorstFirst(sites, p.Layer)
	p.Total = len(sites)
	counts := map[string]int{}
	wanted := p.query["state"]
	search := inventory.Fold(p.Search)
	limit := rowsWithoutScript
	if p.query.Get("all") == "1" {
		limit = math.MaxInt
	}
	for _, s := range sites {
		state := stateIn(&s, p.Layer)
		counts[state]++
		if len(wanted) > 0 && !slices.Contains(wanted, state) {
			continue
		}
		if search != "" && !strings.Contains(inventory.Fold(s.Name+" "+s.Code+" "+s.Type+" "+s.Parent+" "+s.ID), search) {
			continue
		}
		p.Found++
		if len(p.Rows) < limit {
			p.Rows = append(p.Rows, siteRow{Site: s, Shown: state, Explain: explains(&s, p.Layer)})
		} else {
			p.More++
		}
	}
	for _, state := range states {
		p.Counts = append(p.Counts, stateCount{state, counts[state]})
	}
	w.render(rw, r, http.StatusOK, "map", p)
}

type sitePage struct {
	frame
	ID   string
	Site api.SiteDetail
}

func (w *Web) sitePage(rw http.ResponseWriter, r *http.Request) {
	p := sitePage{frame: w.frame(rw, r), ID: r.PathValue("id")}
	var err error
	p.Site, err = w.source.Site(r.Context(), p.ID, p.Lang)
	switch {
	case errors.Is(err, api.ErrNoSite):
		p.PageTitle = p.T("site.not_found") + " – " + p.PageTitle
		w.render(rw, r, http.StatusNotFound, "nosite", p)
		return
	case err != nil:
		w.log.Error("site not read", "site", p.ID, "error", err)
		http.Error(rw, p.T("error.page"), http.StatusInternalServerError)
		return
	}
	slices.SortStableFunc(p.Site.Checks, func(a, b api.Check) int {
		return cmp.Or(cmp.Compare(severity(a.State), severity(b.State)), cmp.Compare(slices.Index(layers, a.Layer), slices.Index(layers, b.Layer)))
	})
	p.PageTitle = p.Site.Name + " – " + p.PageTitle
	w.render(rw, r, http.StatusOK, "site", p)
}

// LayerCard is one layer with its detail, for the template.
type LayerCard struct {
	Layer string
	api.LayerDetail
}

// LayerCards are the site's four layers in the order of the screens.
func (p sitePage) LayerCards() []LayerCard {
	cards := make([]LayerCard, 0, len(layers))
	for _, layer := range layers {
		d := p.Site.LayerDetails[layer]
		if d.State == "" {
			d.State = stateIn(&p.Site.Site, layer)
		}
		cards = append(cards, LayerCard{layer, d})
	}
	return cards
}

// Seconds words a length of time that an agent told as a number.
func (f frame) Seconds(v float64) string {
	return f.cat.Duration(time.Duration(v * float64(time.Second)))
}

// Whole writes a count as the language does.
func (f frame) Whole(n uint64) string { return Number(f.Lang, float64(n), 0) }

// Mebibytes writes a number of bytes in MiB.
func (f frame) Mebibytes(v float64) string { return Number(f.Lang, v/(1<<20), 1) }

// Day writes a date of the registry (2025-01-31) as people here do.
func (f frame) Day(iso *string) string {
	day, err := time.Parse(time.DateOnly, *iso)
	if err != nil {
		return *iso
	}
	return day.Format("02/01/2006")
}
