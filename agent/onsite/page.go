package onsite

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"communewatch/probes/phone"
)

// DefaultListen is where the page is when the settings say nothing.
const DefaultListen = "127.0.0.1:8788"

// Options of a Page. Watch is required.
type Options struct {
	Listen string      // address and port
	LAN    bool        // machines of the office's network may look too
	Site   string      // "": the agent has not joined
	Asked  func() bool // whether it has asked to join, and waits for approval; nil where that can't be
	Watch  *Watch
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: slog.Default
}

// Page serves the page. Make it with New.
type Page struct {
	o      Options
	policy string
}

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// New returns a Page that does nothing until Run.
func New(o Options) *Page {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	sum := sha256.Sum256([]byte(pageStyle))
	return &Page{o: o, policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"}
}

// CheckListen checks an address of the settings: beyond the machine itself it takes lan as well.
func CheckListen(listen string, lan bool) error {
	addr, err := netip.ParseAddrPort(listen)
	if err != nil {
		return fmt.Errorf("%.60q is not an address with a port such as %s", listen, DefaultListen)
	}
	if !lan && !addr.Addr().IsLoopback() {
		return fmt.Errorf("%s can be reached from other machines; say lan: true if that is meant", listen)
	}
	return nil
}

// Run serves until ctx ends. An error means that it could not begin.
func (p *Page) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.o.Listen)
	if err != nil {
		return fmt.Errorf("the page for the office: %w", err)
	}
	server := &http.Server{Handler: p.Handler(), ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(p.o.Log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
		served <- err
	}
	_ = server.Close() // a page is read again; nothing under way is worth waiting for
	if end := <-served; err == nil && !errors.Is(end, http.ErrServerClosed) {
		err = end
	}
	return err
}

// view is what the template shows.
type view struct {
	W      *words
	Style  template.CSS
	Site   string
	At     string
	Lights [3]light
	Advice *advice
	Code   string
}

type light struct{ Name, Class, State string }

// Title and Steps are for the template.
func (a *advice) Title() string    { return a.title }
func (a *advice) Steps() [3]string { return a.steps }

// The page's words for the template.
func (w *words) Lang() string      { return w.lang }
func (w *words) Other() string     { return w.other }
func (w *words) OtherName() string { return w.otherName }
func (w *words) Title() string     { return w.title }
func (w *words) Office() string    { return w.site }
func (w *words) AtWord() string    { return w.at }
func (w *words) CodeWord() string  { return w.code }
func (w *words) Call() string      { return w.call }
func (w *words) Foot() string      { return w.foot }

// classes are the lights in the style sheet.
var classes = [...]string{phone.Dark: "dark", phone.Green: "green", phone.Yellow: "yellow", phone.Red: "red"}

// Handler serves the page.
func (p *Page) Handler() http.Handler {
	page := template.Must(template.New("page").Parse(pageText))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", p.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		switch {
		case !p.mayAsk(r):
			http.Error(rw, "this page is for the office itself, by its address", http.StatusMisdirectedRequest)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(rw, "this page changes nothing", http.StatusMethodNotAllowed)
			return
		case r.URL.Path != "/":
			http.NotFound(rw, r)
			return
		}
		w := vietnamese()
		if r.URL.Query().Get("lang") == "en" {
			w = english()
		}
		var out bytes.Buffer
		if err := page.Execute(&out, p.view(w)); err != nil {
			p.o.Log.Error("the page for the office can't be made", "error", err)
			http.Error(rw, "the page can't be made", http.StatusInternalServerError)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write(out.Bytes()) // who is gone needs no page
	})
}

func (p *Page) view(w *words) view {
	now := p.o.Now()
	lights := p.o.Watch.Lights(now)
	v := view{W: w, Style: template.CSS(pageStyle), Site: p.o.Site, At: now.Format("15:04 02/01/2006"), Advice: w.choose(lights, p.o.Watch.Checked(now), p.o.Site != "")}
	if p.o.Site == "" && p.o.Asked != nil && p.o.Asked() {
		v.Advice = &w.asked
	}
	for i, l := range []phone.Light{lights.LAN, lights.Line, lights.Conference} {
		v.Lights[i] = light{w.lights[i], classes[l], w.states[l]}
	}
	if p.o.Site != "" {
		v.Code = phone.Code{Site: p.o.Site, Lights: lights, At: now}.String()
	}
	return v
}

// mayAsk reports whether a request is of the machine itself, or of the office's network where that may, and names the
// page by an address.
func (p *Page) mayAsk(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	named, err := netip.ParseAddr(host)
	if host != "localhost" && err != nil {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	asker := from.Addr().Unmap()
	if asker.IsLoopback() {
		return true
	}
	return p.o.LAN && (asker.IsPrivate() || asker.IsLinkLocalUnicast()) && named.IsValid() && !named.IsLoopback()
}
