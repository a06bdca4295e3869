// Package fleet shows the pages of the fleet: which agents there are and how they fare, the join codes by which they come,
// the plan of what they do, the releases that they take; and for administrators the accounts of people and the record of
// what was changed. All are plain forms and tables that work without script.
//
// What may be done, and what is written down of it, is decided by the rooms behind (collector/registry/agents, plans, runs,
// releases, registry/people); who may ask for a page at all by people/door. These pages leave out what a reader may not,
// and show of the fleet only the sites of districts that the reader sees. Names come from devices and people: they reach
// pages through html/template alone, and files through inventory/sheet.
package fleet

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"communewatch/collector/api"
	known "communewatch/collector/fleet"
	"communewatch/collector/muster"
	"communewatch/collector/people"
	"communewatch/collector/plans"
	kept "communewatch/collector/registry/people"
	"communewatch/collector/registry/work"
	"communewatch/collector/releases"
	"communewatch/collector/runs"
	"communewatch/collector/web/frame"
	"communewatch/collector/web/running"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The words of these pages; they add to those of package web.
//
//go:embed i18n/*.json
var wordFiles embed.FS

// Words returns the words of these pages, one file per language.
func Words() (fs.FS, error) { return fs.Sub(wordFiles, "i18n") }

// Options are what the pages show and act on. All but Link, Addresses and Log are required.
type Options struct {
	muster.Sources
	Sites     func(ctx context.Context, lang string) ([]api.Site, error) // those that the context's caller sees
	SiteNames func(ctx context.Context, id string) ([]inventory.Site, error)
	Runs      *runs.Service
	Plans     *plans.Service
	Releases  *releases.Keeper
	People    *kept.Store
	Link      func(secret string) string // the address of a link that works once; nil: its path alone
	Addresses func() []string            // the collector's for agents, for printed sheets; nil: not printed
	Log       *slog.Logger
}

// Pages serves the pages.
type Pages struct {
	o         Options
	house     *frame.House
	log       *slog.Logger
	templates *template.Template
}

// New prepares the pages. It starts nothing.
func New(house *frame.House, o Options) (*Pages, error) {
	p := &Pages{o: o, house: house, log: o.Log}
	if p.log == nil {
		p.log = slog.Default()
	}
	var err error
	p.templates, err = frame.Templates(templateFiles, "templates/*.html")
	return p, err
}

// Register adds the pages to a server's addresses; people/door says who may ask for each.
func (p *Pages) Register(mux *http.ServeMux) {
	for pattern, serve := range map[string]http.HandlerFunc{
		"GET /fleet":                                p.agentsPage,
		"GET /fleet/agents.csv":                     p.agentsFile,
		"GET /fleet/agents.xlsx":                    p.agentsFile,
		"GET /fleet/agents/{site}/{agent}":          p.agentPage,
		"POST /fleet/agents/{site}/{agent}/approve": p.approve,
		"POST /fleet/agents/{site}/{agent}/revoke":  p.revoke,
		"POST /fleet/agents/{site}/{agent}/cleared": p.cleared,
		"POST /fleet/agents/{site}/{agent}/check":   p.check,
		"GET /fleet/runs/{id}":                      p.runPage,
		"GET /fleet/join":                           p.joinPage,
		"GET /fleet/sheet.css":                      p.sheetStyle,
		"POST /fleet/codes":                         p.createCodes,
		"POST /fleet/codes/cancel":                  p.cancelCode,
		"GET /fleet/work":                           p.workPage,
		"GET /fleet/work/versions/{id}":             p.versionPage,
		"POST /fleet/work/preview":                  p.previewPlan,
		"POST /fleet/work/apply":                    p.applyPlan,
		"POST /fleet/work/rollback":                 p.rollback,
		"POST /fleet/work/secrets":                  p.changeSecret,
		"GET /fleet/releases":                       p.releasesPage,
		"POST /fleet/releases":                      p.changeRelease,
		"GET /fleet/people":                         p.peoplePage,
		"POST /fleet/people":                        p.changePeople,
		"GET /fleet/audit":                          p.auditPage,
		"GET /fleet/audit/record.csv":               p.auditFile,
		"GET /fleet/audit/record.json":              p.auditFile,
	} {
		mux.HandleFunc(pattern, serve)
	}
}

// page is what all these pages have.
type page struct {
	frame.Frame
	Tab   string // the address of the page's tab
	Bad   string // what went wrong, in words
	Done  string // what was done
	sites map[string]api.Site
}

// tab is one of the pages, as a link.
type tab struct{ Address, Key string }

// Tabs are the pages that the reader may open.
func (p *page) Tabs() []tab {
	out := []tab{{"/fleet", "fleet.agents"}, {"/fleet/join", "fleet.join"}, {"/fleet/work", "fleet.work"}, {"/fleet/releases", "fleet.releases"}}
	if p.ReaderMay(string(people.ActPeople)) && p.Everywhere() {
		out = append(out, tab{"/fleet/people", "fleet.people"}, tab{"/fleet/audit", "fleet.audit"})
	}
	return out
}

// SiteName is what people call a site.
func (p *page) SiteName(id string) string {
	if s, ok := p.sites[id]; ok && s.Name != "" {
		return s.Name
	}
	return id
}

// District is the district of a site.
func (p *page) District(id string) string { return p.sites[id].Parent }

// done are the keys of what pages say was done, by what redirects say.
var done = map[string]string{
	"approved": "fleet.done_approved", "rejected": "fleet.done_rejected", "revoked": "fleet.done_revoked", "cleared": "fleet.done_cleared",
	"cancelled": "fleet.done_cancelled", "applied": "fleet.done_applied", "same": "fleet.done_same", "secret": "fleet.done_secret",
	"release": "fleet.done_release", "people": "fleet.done_people",
}

// open begins a page. When ok is false it has been answered.
func (p *Pages) open(rw http.ResponseWriter, r *http.Request, at, heading string) (out page, ok bool) {
	out = page{Frame: p.house.Frame(rw, r), Tab: at}
	out.PageTitle = out.T(heading) + " – " + out.PageTitle
	if key := done[out.Query().Get("done")]; key != "" {
		out.Done = out.T(key)
	}
	list, err := p.o.Sites(r.Context(), out.Lang)
	if err != nil {
		p.log.Error("sites not read", "error", err)
		http.Error(rw, out.T("error.page"), http.StatusInternalServerError)
		return out, false
	}
	out.sites = make(map[string]api.Site, len(list))
	for _, s := range list {
		out.sites[s.ID] = s
	}
	return out, true
}

func (p *Pages) render(rw http.ResponseWriter, r *http.Request, status int, name string, out any) {
	rw.Header().Set("Cache-Control", "no-store")
	p.house.Render(rw, r, status, p.templates, name, out)
}

// says words an error for people. What is the collector's own is for the log.
func (p *Pages) says(r *http.Request, out *page, err error) (status int) {
	var ok bool
	if out.Bad, status, ok = running.Refused(out.Frame, err); ok {
		return status
	}
	for _, k := range []struct {
		err    error
		key    string
		status int
	}{
		{known.ErrUnknownAgent, "fleet.no_agent", http.StatusNotFound},
		{known.ErrUnknownCode, "fleet.no_code", http.StatusNotFound},
		{known.ErrUnknownSite, "fleet.no_site", http.StatusNotFound},
		{known.ErrState, "fleet.other_state", http.StatusConflict},
		{known.ErrOtherKey, "fleet.other_key", http.StatusConflict},
		{plans.ErrForbidden, "fleet.forbidden", http.StatusForbidden},
		{plans.ErrSecretUsed, "fleet.secret_used", http.StatusConflict},
		{work.ErrOvertaken, "fleet.overtaken", http.StatusConflict},
		{work.ErrUnknownVersion, "fleet.no_version", http.StatusNotFound},
		{work.ErrUnknownSecret, "fleet.no_secret", http.StatusNotFound},
		{releases.ErrDisabled, "fleet.updates_off", http.StatusConflict},
		{releases.ErrOver, "fleet.release_over", http.StatusConflict},
		{kept.ErrUnknown, "fleet.no_person", http.StatusNotFound},
		{kept.ErrTaken, "fleet.name_taken", http.StatusConflict},
		{kept.ErrLastAdmin, "fleet.last_admin", http.StatusConflict},
	} {
		if errors.Is(err, k.err) {
			out.Bad = out.T(k.key)
			return k.status
		}
	}
	var refused *plans.Refused
	if errors.As(err, &refused) {
		out.Bad = out.T("fleet.plan_refused")
		return http.StatusUnprocessableEntity
	}
	// What is left was mostly asked for wrongly, and its text says how; all of these rooms write them for people.
	p.log.Warn("fleet: not done", "path", r.URL.Path, "error", err)
	key := "fleet.failed"
	if !out.Knows(err.Error()) {
		key = "fleet.failed_technical"
	}
	out.Bad = out.T(key, "why", out.Say(err.Error()))
	return http.StatusUnprocessableEntity
}

// sorry answers with a page that only says what went wrong, and leads back.
func (p *Pages) sorry(rw http.ResponseWriter, r *http.Request, out *page, err error) {
	p.render(rw, r, p.says(r, out, err), "sorry", out)
}

func redirect(rw http.ResponseWriter, r *http.Request, to, what string) {
	http.Redirect(rw, r, to+"?done="+what, http.StatusSeeOther)
}

// text is a field of a form as people wrote it in several lines.
func text(r *http.Request, name string) string {
	return strings.ReplaceAll(r.PostFormValue(name), "\r\n", "\n")
}

// field is a field of a form of one line.
func field(r *http.Request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }

// send answers with a sheet as CSV or, by the address's ending, XLSX.
func (p *Pages) send(rw http.ResponseWriter, r *http.Request, at *page, name string, s *sheet.Sheet) {
	var body bytes.Buffer
	mime, extension := sheet.CSVType, ".csv"
	var err error
	if strings.HasSuffix(r.URL.Path, ".xlsx") {
		mime, extension = sheet.XLSXType, ".xlsx"
		err = sheet.WriteXLSX(&body, s)
	} else {
		err = s.WriteCSV(&body, ',')
	}
	if err != nil {
		p.sorry(rw, r, at, err)
		return
	}
	head := rw.Header()
	head.Set("Content-Type", mime)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Disposition", `attachment; filename="`+name+"-"+at.Now.In(at.Zone).Format("2006-01-02")+extension+`"`)
	_, _ = rw.Write(body.Bytes()) // the reader has gone; there is nobody to tell
}
