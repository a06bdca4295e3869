package web

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"communewatch/collector/runs"
	"communewatch/collector/web/running"
	"communewatch/probes"
	"communewatch/probes/orders"
)

const (
	// patience is how long an answer waits for the results of checks that it had run: most are there by then.
	patience = 1800 * time.Millisecond
	// runsShown is how many runs a site's page shows at once: those of all its checks.
	runsShown = 8
)

// apart tells whether checks of a kind are left out where all of a site are run: calls fill the line for a minute, and
// going through a network takes several.
func apart(kind string) bool {
	return kind == string(probes.KindWebRTC) || kind == string(probes.KindSweep)
}

// wanted are the checks that a form asks to be run, by agent: one, or all of the site.
func (p *sitePage) wanted(r *http.Request) map[string][]string {
	out := map[string][]string{}
	for i := range p.Site.Checks {
		c := &p.Site.Checks[i]
		asked := slices.Contains(r.PostForm["check"], c.Agent+"/"+c.Target) || r.PostForm.Get("all") != "" && !apart(c.Kind)
		if asked && !slices.Contains(out[c.Agent], c.Target) {
			out[c.Agent] = append(out[c.Agent], c.Target)
		}
	}
	return out
}

// checkNow has checks of a site run, waits a moment, and goes to the site's page, which shows what they found.
func (w *Web) checkNow(rw http.ResponseWriter, r *http.Request) {
	p, ok := w.openSite(rw, r)
	if !ok {
		return
	}
	_ = r.ParseForm() // the door has read it
	wanted := p.wanted(r)
	var ids []string
	var refused error
	for _, agent := range slices.Sorted(maps.Keys(wanted)) {
		for names := range slices.Chunk(wanted[agent], orders.MaxRuns) {
			run, err := w.runs.Start(r.Context(), p.ID, agent, names)
			if err != nil {
				refused = err
			} else if len(ids) < runsShown {
				ids = append(ids, run.ID)
			}
		}
	}
	if len(ids) == 0 {
		if refused == nil {
			refused = runs.ErrInvalid // none was named, or none is there any more
		}
		words, status, known := running.Refused(p.Frame, refused)
		if !known {
			w.log.Error("checks not run", "site", p.ID, "error", refused)
			words, status = p.T("error.page"), http.StatusInternalServerError
		}
		p.Bad = words
		w.showSite(rw, r, status, &p)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	running.Wait(ctx, w.runs, ids)
	http.Redirect(rw, r, "/sites/"+url.PathEscape(p.ID)+"?"+url.Values{"run": ids}.Encode()+"#now", http.StatusSeeOther)
}

// showRuns puts the runs that the address names onto the page, which looks again while one goes on.
func (w *Web) showRuns(rw http.ResponseWriter, p *sitePage) {
	if !p.Orders {
		return
	}
	kinds := map[string]probes.Kind{}
	for i := range p.Site.Checks {
		kinds[p.Site.Checks[i].Target] = probes.Kind(p.Site.Checks[i].Kind)
	}
	ids := p.Query()["run"]
	for _, id := range ids[:min(len(ids), runsShown)] {
		run, err := w.runs.Get(strings.TrimSpace(id))
		if err != nil || run.Site != p.ID {
			continue // of long ago, or of a site that the reader may not see
		}
		p.Ran = append(p.Ran, running.Of(p.Frame, run, kinds))
		if !run.Over {
			rw.Header().Set("Refresh", "1") // without script
		}
	}
}
