// Package web is the humans' door of the collector: the health map of the province, a page per site,
// rehearsals of conferences, reports of lines, and the inventory.
//
// Pages are rendered here, from html/template, and say everything in words before any script has run: counts per
// state, sites worst first, a site's layers and checks. Islands of TypeScript (collector/web/ui) then add what needs
// a live screen: the map, search while typing, charts, updates as they happen. They read the same JSON API that
// anybody may read and are embedded in the binary, since the network that this runs in has no Internet: there is no
// request to any other host, which the Content-Security-Policy of every page enforces.
//
// States are always told three ways: by colour, by shape (● ▲ ✕ ◇ ◌) and in words, because one man in twelve
// cannot tell the red from the green.
package web

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"communewatch/collector/api"
	"communewatch/collector/api/conference"
	"communewatch/collector/api/rehearsals"
	"communewatch/collector/people/door"
	"communewatch/collector/phrase"
	"communewatch/collector/reports"
	"communewatch/collector/runs"
	"communewatch/collector/status"
	"communewatch/collector/status/words"
	"communewatch/collector/stock"
	"communewatch/collector/web/fleet"
	"communewatch/collector/web/frame"
	equipment "communewatch/collector/web/inventory"
	"communewatch/collector/web/inventory/saying"
	"communewatch/collector/web/rehearsal"
	"communewatch/collector/web/report"
	"communewatch/collector/web/report/wording"
	"communewatch/collector/web/signin"
)

// A Source knows the sites and their present states; *api.API does.
type Source interface {
	// Sites returns all sites with the reasons of their states in lang.
	Sites(ctx context.Context, lang string) ([]api.Site, error)
	// Site returns one site with all that is known of it, or api.ErrNoSite.
	Site(ctx context.Context, id, lang string) (api.SiteDetail, error)
	// Conference returns what is known of a site's conference, or api.ErrNoSite.
	Conference(ctx context.Context, id string) (conference.Site, error)
}

// Options are what New needs. Only Source must be set.
type Options struct {
	Source      Source
	Stock       stock.Reader     // the equipment; nil: its pages say that there is none
	Statements  saying.Store     // what people say of equipment; nil: there is no form for it
	Rehearsals  *rehearsals.API  // nil: their pages say that there are none
	Reports     reports.Reporter // what lines were worth; nil: their pages say that there are none
	Status      status.Source    // whether the database answers; nil: pages don't say
	People      *door.Door       // who lets people in; nil: there are no pages to sign in on
	Fleet       *fleet.Options   // what its pages show and act on; Sites is the Source's. nil: there are no such pages
	Boundaries  string           // a GeoJSON file with the areas of sites; empty: areas are computed from positions
	Title       string           // whose pages these are, such as the province's name; may be empty
	DefaultLang string           // "vi" (also when empty) or "en": for readers who did not choose
	Zone        *time.Location   // in which times are shown; nil: Indochina Time
	Log         *slog.Logger     // nil: slog.Default
	Now         func() time.Time
}

// Web serves the pages.
type Web struct {
	source     Source
	log        *slog.Logger
	house      *frame.House
	templates  *template.Template
	boundaries *boundaries // nil without a file
	stock      stock.Reader
	equipment  *equipment.Pages
	saying     *saying.Pages // nil: there is no such page
	rehearsals *rehearsal.Pages
	reports    *report.Pages
	signIn     *signin.Pages // nil: people are not asked who they are
	reported   bool          // there are reports
	fleet      *fleet.Pages  // nil: there are no such pages
	runs       *runs.Service // nil: no checks are run from pages
}

// What `npm run build` made of collector/web/ui. Without it the folder holds .gitkeep alone and this still compiles.
//
//go:embed all:dist
var dist embed.FS

// The words of the pages, read by the templates and bundled into the scripts.
//
//go:embed i18n/*.json
var ownWords embed.FS

// allWords are the words of all pages: those of this room, and those that others bring along.
func allWords() ([]fs.FS, error) {
	own, err := fs.Sub(ownWords, "i18n")
	if err != nil {
		return nil, err
	}
	all := []fs.FS{own}
	for _, of := range []func() (fs.FS, error){equipment.Words, saying.Words, rehearsal.Words, report.Words, wording.Words, signin.Words, fleet.Words} {
		more, err := of()
		if err != nil {
			return nil, err
		}
		all = append(all, more)
	}
	return all, nil
}

func newHouse(o Options) (*frame.House, error) {
	bundle, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	all, err := allWords()
	if err != nil {
		return nil, err
	}
	return frame.New(frame.Options{
		Words: all, Bundle: bundle, Title: o.Title, DefaultLang: o.DefaultLang, Zone: o.Zone, Log: o.Log, Now: o.Now, Fleet: o.Fleet != nil,
		Notice: noticeOf(o.Status, cmp.Or(o.Zone, phrase.Zone)),
	})
}

// noticeOf says what pages say of the database and the clock; nil without anybody who knows.
func noticeOf(from status.Source, zone *time.Location) func(lang string) frame.Notice {
	if from == nil {
		return nil
	}
	return func(lang string) frame.Notice {
		all := from.Status()
		if text := words.Doubted(phrase.Lang(lang), all.Clock, zone); text != "" {
			return frame.Notice{Text: text, Away: true, Details: []string{"communewatch-collector clock"}}
		}
		s := all.Store
		if text := words.Away(phrase.Lang(lang), s, zone); text != "" {
			out := frame.Notice{Text: text, Away: true, Details: slices.DeleteFunc([]string{s.Reason, s.Fix}, func(s string) bool { return s == "" })}
			if s.Away && !s.Since.IsZero() {
				out.Since = s.Since.UnixMilli()
			}
			return out
		}
		return frame.Notice{Text: words.Warned(phrase.Lang(lang), s), Details: s.Warnings}
	}
}

// New reads the boundaries, if there are any, and prepares the pages. It starts nothing.
func New(o Options) (*Web, error) {
	w := &Web{source: o.Source, stock: o.Stock, log: o.Log}
	if w.source == nil {
		return nil, errors.New("web: no source of sites is given")
	}
	if w.log == nil {
		w.log = slog.Default()
	}
	var err error
	if w.house, err = newHouse(o); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if w.templates, err = frame.Templates(templateFiles, "templates/*.html"); err != nil {
		return nil, err
	}
	if w.equipment, err = equipment.New(w.house, o.Stock, w.log); err != nil {
		return nil, err
	}
	if o.Stock != nil && o.Statements != nil {
		if w.saying, err = saying.New(w.house, o.Stock, o.Statements, w.log); err != nil {
			return nil, err
		}
		w.equipment.Stating()
	}
	pages := rehearsal.Options{Names: w.names, Log: w.log}
	if o.Rehearsals != nil {
		pages.Service, pages.Door = o.Rehearsals.Service(), o.Rehearsals.Door()
	}
	if w.rehearsals, err = rehearsal.New(w.house, pages); err != nil {
		return nil, err
	}
	if w.reports, err = report.New(w.house, report.Options{Reporter: o.Reports, Status: o.Status, Names: w.names, Log: w.log}); err != nil {
		return nil, err
	}
	w.reported = o.Reports != nil
	if o.People != nil {
		if w.signIn, err = signin.New(w.house, o.People, w.log); err != nil {
			return nil, err
		}
	}
	if o.Fleet != nil {
		behind := *o.Fleet
		w.runs = behind.Runs
		behind.Sites, behind.Log = w.source.Sites, w.log
		if w.fleet, err = fleet.New(w.house, behind); err != nil {
			return nil, err
		}
	}
	if o.Boundaries != "" {
		if w.boundaries, err = loadBoundaries(o.Boundaries); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// names are the sites' names by id.
func (w *Web) names(ctx context.Context) (rehearsal.Names, error) {
	sites, err := w.source.Sites(ctx, w.house.DefaultLang())
	if err != nil {
		return nil, err
	}
	out := make(rehearsal.Names, len(sites))
	for _, s := range sites {
		out[s.ID] = rehearsals.Name{Name: s.Name, Type: s.Type, Code: s.Code, District: s.Parent}
	}
	return out, nil
}

// Handler serves /, /sites/{id}, /rehearsals, /reports, /inventory and /fleet with what is below them, the pages to sign in on,
// /static/ and /boundaries.geojson.
func (w *Web) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.mapPage)
	mux.HandleFunc("GET /sites/{id}", w.sitePage)
	mux.HandleFunc("GET /boundaries.geojson", w.boundariesFile)
	w.equipment.Register(mux)
	if w.saying != nil {
		w.saying.Register(mux)
	}
	w.rehearsals.Register(mux)
	w.reports.Register(mux)
	if w.signIn != nil {
		w.signIn.Register(mux)
	}
	if w.fleet != nil {
		w.fleet.Register(mux)
	}
	if w.runs != nil {
		mux.HandleFunc("POST /sites/{id}/check", w.checkNow)
	}
	mux.Handle("GET /static/", w.house.Assets())
	mux.HandleFunc("GET /favicon.ico", w.house.Icon)
	mux.HandleFunc("/", w.nowhere)
	return mux
}
