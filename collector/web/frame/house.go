package frame

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"communewatch/collector/phrase/book"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Options are what New needs. Words and Bundle must be set.
type Options struct {
	Words       []fs.FS        // each with one flat JSON object per language: vi.json, en.json
	Bundle      fs.FS          // what the bundler made: manifest.json and the files it names; may be empty
	Title       string         // whose pages these are, such as the province's name; may be empty
	DefaultLang string         // "vi" (also when empty) or "en": for readers who did not choose
	Zone        *time.Location // in which times are shown; nil: Indochina Time
	Log         *slog.Logger   // nil: slog.Default
	Now         func() time.Time
	Fleet       bool // there are pages of the fleet
	// Notice is what all pages say of the collector itself; nil: nothing, and no script asks for it.
	Notice func(lang string) Notice
}

// House makes frames and sends pages.
type House struct {
	title       string
	defaultLang string
	zone        *time.Location
	log         *slog.Logger
	now         func() time.Time
	notice      func(lang string) Notice
	fleet       bool // there are its pages

	catalogues map[string]Catalogue
	sentences  *book.Book
	assets     *assets
}

// New reads the words and the bundle. It starts nothing.
func New(o Options) (*House, error) {
	h := &House{title: o.Title, defaultLang: o.DefaultLang, zone: o.Zone, log: o.Log, now: o.Now, notice: o.Notice, fleet: o.Fleet}
	if h.defaultLang == "" {
		h.defaultLang = "vi"
	}
	if h.zone == nil {
		// Not LoadLocation: a bare Windows or container has no zone files, and Vietnam has no summer time.
		h.zone = time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	if h.now == nil {
		h.now = time.Now
	}
	var err error
	if h.catalogues, err = LoadWords(o.Words...); err != nil {
		return nil, err
	}
	if h.sentences, err = book.New(); err != nil {
		return nil, err
	}
	if _, ok := h.catalogues[h.defaultLang]; !ok {
		return nil, errors.New("language " + h.defaultLang + " is not known; use vi or en")
	}
	if h.assets, err = loadAssets(o.Bundle); err != nil {
		return nil, err
	}
	return h, nil
}

// DefaultLang is the language of readers who did not choose.
func (h *House) DefaultLang() string { return h.defaultLang }

// Zone is where times are shown.
func (h *House) Zone() *time.Location { return h.zone }

// Words are the words of a language, the default's where it is not known.
func (h *House) Words(lang string) Catalogue {
	if c, ok := h.catalogues[lang]; ok {
		return c
	}
	return h.catalogues[h.defaultLang]
}

// Assets serves the bundle under the path that Frame.Asset gives.
func (h *House) Assets() http.Handler { return http.StripPrefix(assetPath, h.assets) }

// Built tells whether there is a bundle.
func (h *House) Built() bool { return h.assets.built() }

// Icon redirects to the icon.
func (h *House) Icon(rw http.ResponseWriter, r *http.Request) {
	http.Redirect(rw, r, h.assets.path("icon.svg"), http.StatusFound)
}

// Templates parses a room's templates beside those of the frame: "head", "bar", "words" and "level" (of the readiness ladder).
func Templates(files fs.FS, patterns ...string) (*template.Template, error) {
	t, err := template.New("").Funcs(templateFuncs).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	return t.ParseFS(files, patterns...)
}

// contentSecurityPolicy lets a page use what this server sends and nothing else: no inline script or style, no other
// host, no frame around it.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Render answers with a page: the template called name of those that Templates made, filled with page. It is rendered before the first byte is sent, so that a failure is a clean 500.
func (h *House) Render(rw http.ResponseWriter, r *http.Request, status int, t *template.Template, name string, page any) {
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, name, page); err != nil {
		h.log.Error("page not rendered", "page", name, "error", err)
		http.Error(rw, "The page could not be made; the collector's log says why.", http.StatusInternalServerError)
		return
	}
	head := rw.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", contentSecurityPolicy)
	head.Set("X-Content-Type-Options", "nosniff")
	if head.Get("Referrer-Policy") == "" {
		head.Set("Referrer-Policy", "same-origin")
	}
	if head.Get("Cache-Control") == "" {
		head.Set("Cache-Control", "private, no-cache") // a page is one reader's: it knows their name and what they may do
	}
	head.Add("Vary", "Cookie")
	WriteZipped(rw, r, status, body.Bytes())
}

// WriteZipped writes body, compressed when the reader takes that: many read over a thin line.
func WriteZipped(rw http.ResponseWriter, r *http.Request, status int, body []byte) {
	rw.Header().Add("Vary", "Accept-Encoding")
	if !AcceptsGzip(r) || len(body) < 1024 {
		rw.WriteHeader(status)
		_, _ = rw.Write(body) // the reader has gone; there is nobody to tell
		return
	}
	rw.Header().Set("Content-Encoding", "gzip")
	rw.WriteHeader(status)
	_, _ = rw.Write(Zip(body, gzip.BestSpeed))
}

// Zip compresses body with gzip at a level of package gzip.
func Zip(body []byte, level int) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, level) // errs only on a level that does not exist
	_, _ = io.Copy(z, bytes.NewReader(body)) // a bytes.Buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

// AcceptsGzip tells whether a reader takes gzip.
func AcceptsGzip(r *http.Request) bool {
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
func (h *House) reader(rw http.ResponseWriter, r *http.Request) reader {
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
	known := func(lang string) bool { _, ok := h.catalogues[lang]; return ok }
	lang := choose("lang", known)
	if lang == "" {
		lang = h.defaultLang
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
	return reader{Lang: lang, Theme: theme, cat: h.catalogues[lang], query: query}
}
