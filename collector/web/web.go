// Package web is the humans' door of the collector: the health map of the province and a page per site.
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
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"communewatch/collector/api"
)

// A Source knows the sites and their present states; *api.API does.
type Source interface {
	// Sites returns all sites with the reasons of their states in lang.
	Sites(ctx context.Context, lang string) ([]api.Site, error)
	// Site returns one site with all that is known of it, or api.ErrNoSite.
	Site(ctx context.Context, id, lang string) (api.SiteDetail, error)
}

// Options are what New needs. Only Source must be set.
type Options struct {
	Source      Source
	Boundaries  string         // a GeoJSON file with the areas of sites; empty: areas are computed from positions
	Title       string         // whose pages these are, such as the province's name; may be empty
	DefaultLang string         // "vi" (also when empty) or "en": for readers who did not choose
	Zone        *time.Location // in which times are shown; nil: Indochina Time
	Log         *slog.Logger   // nil: slog.Default
	Now         func() time.Time
}

// Web serves the pages.
type Web struct {
	source      Source
	title       string
	defaultLang string
	zone        *time.Location
	log         *slog.Logger
	now         func() time.Time

	catalogues map[string]Catalogue
	templates  *template.Template
	assets     *assets
	boundaries *boundaries // nil without a file
}

// New reads the boundaries, if there are any, and prepares the pages. It starts nothing.
func New(o Options) (*Web, error) {
	w := &Web{source: o.Source, title: o.Title, defaultLang: o.DefaultLang, zone: o.Zone, log: o.Log, now: o.Now}
	if w.source == nil {
		return nil, errors.New("web: no source of sites is given")
	}
	if w.defaultLang == "" {
		w.defaultLang = "vi"
	}
	if w.zone == nil {
		// Not LoadLocation: a bare Windows or container has no zone files, and Vietnam has no summer time.
		w.zone = time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)
	}
	if w.log == nil {
		w.log = slog.Default()
	}
	if w.now == nil {
		w.now = time.Now
	}
	var err error
	if w.catalogues, err = loadCatalogues(); err != nil {
		return nil, err
	}
	if _, ok := w.catalogues[w.defaultLang]; !ok {
		return nil, errors.New("web: language " + w.defaultLang + " is not known; use vi or en")
	}
	if w.templates, err = template.New("").Funcs(templateFuncs).ParseFS(templateFiles, "templates/*.html"); err != nil {
		return nil, err
	}
	if w.assets, err = loadAssets(dist); err != nil {
		return nil, err
	}
	if o.Boundaries != "" {
		if w.boundaries, err = loadBoundaries(o.Boundaries); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Handler serves /, /sites/{id}, /static/ and /boundaries.geojson.
func (w *Web) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.mapPage)
	mux.HandleFunc("GET /sites/{id}", w.sitePage)
	mux.HandleFunc("GET /boundaries.geojson", w.boundariesFile)
	mux.Handle("GET /static/", http.StripPrefix("/static/", w.assets))
	mux.HandleFunc("GET /favicon.ico", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, w.assets.path("icon.svg"), http.StatusFound)
	})
	return mux
}

// contentSecurityPolicy lets a page use what this server sends and nothing else: no inline script or style, no other
// host, no frame around it.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// render answers with a page. It is rendered before the first byte is sent, so that a failure is a clean 500.
func (w *Web) render(rw http.ResponseWriter, r *http.Request, status int, name string, page any) {
	var body bytes.Buffer
	if err := w.templates.ExecuteTemplate(&body, name, page); err != nil {
		w.log.Error("page not rendered", "page", name, "error", err)
		http.Error(rw, "The page could not be made; the collector's log says why.", http.StatusInternalServerError)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Cookie")
	writeZipped(rw, r, status, body.Bytes())
}

// writeZipped writes body, compressed when the reader takes that: many read over a thin line.
func writeZipped(rw http.ResponseWriter, r *http.Request, status int, body []byte) {
	rw.Header().Add("Vary", "Accept-Encoding")
	if !acceptsGzip(r) || len(body) < 1024 {
		rw.WriteHeader(status)
		_, _ = rw.Write(body) // the reader has gone; there is nobody to tell
		return
	}
	rw.Header().Set("Content-Encoding", "gzip")
	rw.WriteHeader(status)
	_, _ = rw.Write(zipped(body, gzip.BestSpeed))
}

func zipped(body []byte, level int) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, level) // errs only on a level that does not exist
	_, _ = io.Copy(z, bytes.NewReader(body)) // a bytes.Buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(params, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// reader is what a request says about who reads: the language, the theme, and the address to come back to.
type reader struct {
	Lang, Theme string
	cat         Catalogue
	query       url.Values
}

// Themes a reader may choose; "auto" follows the system.
var themes = []string{"auto", "light", "dark"}

// cookieAge is for how long a choice of language or theme is remembered.
const cookieAge = 365 * 24 * time.Hour

// reader tells language and theme from ?lang= and ?theme= (which are then remembered), else cookies, else the defaults.
// What language the browser asks for does not count: many PCs here run an English Windows for readers of Vietnamese.
func (w *Web) reader(rw http.ResponseWriter, r *http.Request) reader {
	query := r.URL.Query()
	choose := func(name string, allowed func(string) bool) string {
		if v := query.Get(name); allowed(v) {
			http.SetCookie(rw, &http.Cookie{Name: name, Value: v, Path: "/", MaxAge: int(cookieAge / time.Second), SameSite: http.SameSiteLaxMode})
			return v
		}
		if c, err := r.Cookie(name); err == nil && allowed(c.Value) {
			return c.Value
		}
		return ""
	}
	known := func(lang string) bool { _, ok := w.catalogues[lang]; return ok }
	lang := choose("lang", known)
	if lang == "" {
		lang = w.defaultLang
	}
	theme := choose("theme", func(v string) bool {
		for _, t := range themes {
			if v == t {
				return true
			}
		}
		return false
	})
	if theme == "" {
		theme = "auto"
	}
	query.Del("lang")
	query.Del("theme")
	return reader{Lang: lang, Theme: theme, cat: w.catalogues[lang], query: query}
}
