package web

import (
	"cmp"
	"embed"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"

	"communewatch/collector/api"
	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	equipment "communewatch/collector/web/inventory"
	"communewatch/collector/web/running"
	"communewatch/inventory"
)

//go:embed templates/*.html
var templateFiles embed.FS

// rowsWithoutScript bounds the table that a page carries before any script has run: enough for all of a province,
// while a fleet of thousands does not make everybody wait for a megabyte. ?all=1 lifts it.
const rowsWithoutScript = 200

type mapPage struct {
	frame.Frame
	vocabulary
	HasBoundaries bool
	Layer         string // "" is overall
	Search        string
	Counts        []stateCount
	Total         int
	Rows          []siteRow
	More          int // matching sites that Rows leaves out
	Found         int
}

// vocabulary is what the templates of this room list.
type vocabulary struct{}

func (vocabulary) States() []string { return states }
func (vocabulary) Layers() []string { return layers }

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
	p := mapPage{Frame: w.house.Frame(rw, r), HasBoundaries: w.boundaries != nil}
	if layer := p.Query().Get("layer"); slices.Contains(layers, layer) {
		p.Layer = layer
	}
	p.Search = strings.TrimSpace(p.Query().Get("q"))
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
	wanted := p.Query()["state"]
	search := inventory.Fold(p.Search)
	limit := rowsWithoutScript
	if p.Query().Get("all") == "1" {
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
	w.house.Render(rw, r, http.StatusOK, w.templates, "map", p)
}

type sitePage struct {
	frame.Frame
	vocabulary
	ID         string
	Site       api.SiteDetail
	Conference *conferenceCard // nil where nothing is known of one
	Equipment  *equipmentCard  // nil without an inventory
	Reported   bool            // there are reports of its lines
	Orders     bool            // the reader may have its checks run now
	Ran        []running.View  // runs that the address names
	Bad        string          // why nothing was run
}

// equipmentCard is a site's equipment in three numbers, and what of it is most urgent.
type equipmentCard struct {
	equipment.Numbers
	Urgent []stock.Row
}

// mostUrgent is how many devices a site's page names.
const mostUrgent = 5

// equipmentOf reads a site's equipment. A page of a site is worth showing without it, so that a failure is only logged.
func (w *Web) equipmentOf(r *http.Request, site, lang string) *equipmentCard {
	if w.stock == nil {
		return nil
	}
	rows, err := w.stock.Table(r.Context(), stock.Query{Lang: lang, Filter: stock.Filter{Site: site}})
	if err != nil {
		w.log.Error("equipment not read", "site", site, "error", err)
		return nil
	}
	card := &equipmentCard{Numbers: equipment.NumbersOf(rows)}
	for _, row := range rows {
		if row.Standing == stock.Outdated && len(card.Urgent) < mostUrgent {
			card.Urgent = append(card.Urgent, row)
		}
	}
	return card
}

// nowhere answers at addresses that are no page's.
func (w *Web) nowhere(rw http.ResponseWriter, r *http.Request) {
	p := sitePage{Frame: w.house.Frame(rw, r)}
	p.PageTitle = p.T("error.nowhere") + " – " + p.PageTitle
	w.house.Render(rw, r, http.StatusNotFound, w.templates, "nowhere", p)
}

func (w *Web) sitePage(rw http.ResponseWriter, r *http.Request) {
	if p, ok := w.openSite(rw, r); ok {
		w.showSite(rw, r, http.StatusOK, &p)
	}
}

// openSite reads a site that the reader may see. When ok is false it has been answered.
func (w *Web) openSite(rw http.ResponseWriter, r *http.Request) (p sitePage, ok bool) {
	p = sitePage{Frame: w.house.Frame(rw, r), ID: r.PathValue("id")}
	var err error
	p.Site, err = w.source.Site(r.Context(), p.ID, p.Lang)
	switch {
	case errors.Is(err, api.ErrNoSite):
		p.PageTitle = p.T("site.not_found") + " – " + p.PageTitle
		w.house.Render(rw, r, http.StatusNotFound, w.templates, "nosite", p)
		return p, false
	case err != nil:
		w.log.Error("site not read", "site", p.ID, "error", err)
		http.Error(rw, p.T("error.page"), http.StatusInternalServerError)
		return p, false
	}
	return p, true
}

func (w *Web) showSite(rw http.ResponseWriter, r *http.Request, status int, p *sitePage) {
	slices.SortStableFunc(p.Site.Checks, func(a, b api.Check) int {
		return cmp.Or(cmp.Compare(severity(a.State), severity(b.State)), cmp.Compare(slices.Index(layers, a.Layer), slices.Index(layers, b.Layer)))
	})
	p.Conference = w.conferenceOf(r, p)
	if p.ReaderMay("inventory") {
		p.Equipment = w.equipmentOf(r, p.ID, p.Lang)
	}
	p.Reported = w.reported
	p.Orders = w.runs != nil && p.ReaderMay("operate")
	w.showRuns(rw, p)
	p.PageTitle = p.Site.Name + " – " + p.PageTitle
	w.house.Render(rw, r, status, w.templates, "site", p)
}

// LayerCard is one layer with its detail, for the template.
type LayerCard struct {
	Layer string
	api.LayerDetail
}

// LayerCards are the site's four layers in the order of the screens.
func (p *sitePage) LayerCards() []LayerCard {
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
