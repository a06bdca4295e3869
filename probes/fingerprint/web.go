package fingerprint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"communewatch/probes"
)

// Bounds of what a web server may make a look do.
const (
	maxPage      = 64 << 10 // bytes: a title stands near the beginning
	maxHeader    = 32 << 10
	maxRedirects = 3
)

var errElsewhere = errors.New("leads to another host")

// page is what a web server answered.
type page struct {
	status   int
	server   string // Server header
	realm    string // of the login it asks for
	title    string
	location string // where it leads on, when it was not followed there
	body     string
	onwards  string // where the page itself leads on, by a refresh or a script
}

// web asks for the first page, as a browser does when somebody types the address, and follows where it leads on the
// same host. A page that wants a login is an answer like any other.
func (l *look) web(ctx context.Context, port uint16, secure bool) error {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	at := url.URL{Scheme: scheme, Host: netip.AddrPortFrom(l.addr.WithZone(""), port).String(), Path: "/"}
	first, err := l.fetch(ctx, &at)
	if err != nil {
		return err
	}
	source := func(what string) string { return fmt.Sprintf("%s %s, port %d", scheme, what, port) }
	l.offers(scheme, source("answer"))
	l.told(first, source)
	if first.title == "" && first.onwards != "" {
		// Many devices begin with an empty page that sends the browser on to the real one.
		if next, err := at.Parse(first.onwards); err == nil && l.same(next) {
			if second, err := l.fetch(ctx, next); err == nil {
				l.told(second, source)
			}
		}
	}
	return nil
}

// told notes what a page says.
func (l *look) told(p page, source func(what string) string) {
	if p.server != "" {
		l.put(probes.FactHTTPServer, p.server, source("Server header"), 0.95)
	}
	if p.title != "" {
		l.put(probes.FactHTTPTitle, p.title, source("title"), 0.9)
	}
	l.heard(HTTPServer, p.server, source("Server header"))
	l.heard(HTTPTitle, p.title, source("title"))
	l.heard(HTTPRealm, p.realm, source("realm"))
	l.heard(HTTPPath, p.location, source("redirect"))
	l.heard(HTTPPath, p.onwards, source("redirect"))
	l.heard(HTTPBody, p.body, source("page"))
}

// same reports whether a page is the host's own: by number, since a name could be anybody's.
func (l *look) same(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.Unmap() == l.addr.WithZone("") && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil
}

func (l *look) fetch(ctx context.Context, at *url.URL) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Timeout*2) // of the redirects together; each connection has its own
	defer cancel()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil || to.Addr().Unmap() != l.addr.WithZone("") {
				return nil, errElsewhere
			}
			return l.dial(ctx, "tcp", netip.AddrPortFrom(l.addr, to.Port())) // with the zone
		},
		TLSClientConfig:        lenient(),
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || !l.same(req.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("User-Agent", "communewatch-agent")
	req.Header.Set("Accept", "text/html,*/*")
	req.Header.Set("Accept-Language", "en")
	resp, err := client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxPage)) // what came until it broke off
	p := parsePage(body)
	p.status = resp.StatusCode
	p.server = clean([]byte(resp.Header.Get("Server")))
	p.realm = realmOf(resp.Header.Values("Www-Authenticate"))
	p.location = clean([]byte(resp.Header.Get("Location")))
	if p.location == "" && resp.Request.URL.Path != "/" {
		p.location = clean([]byte(resp.Request.URL.RequestURI())) // followed until here
	}
	return p, nil
}

// lenient accepts what ten-year-old devices offer: nothing secret is sent, and whom we talk to is not known before.
func lenient() *tls.Config {
	var suites []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		suites = append(suites, s.ID)
	}
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, CipherSuites: suites}
}

// What is looked for in a page.
var (
	titlePattern   = regexp.MustCompile(`(?is)<title[^>]{0,200}>(.{0,900}?)</title`)
	refreshPattern = regexp.MustCompile(`(?is)<meta[^>]{0,200}http-equiv\s*=\s*["']?refresh["']?[^>]{0,200}content\s*=\s*["']?\s*[\d.]*\s*[;,]\s*url\s*=\s*["']?([^"'>\s]{1,300})`)
	scriptPattern  = regexp.MustCompile(`(?i)\blocation(?:\.href|\.pathname)?\s*(?:=|\.replace\s*\(|\.assign\s*\()\s*["']([^"'\s]{1,300})["']`)
)

// parsePage finds the title and where the page leads on.
func parsePage(body []byte) page {
	if len(body) > maxPage {
		body = body[:maxPage]
	}
	var p page
	p.body = string(body)
	if m := titlePattern.FindSubmatch(body); m != nil {
		p.title = clean([]byte(html.UnescapeString(string(m[1]))))
	}
	for _, pattern := range []*regexp.Regexp{refreshPattern, scriptPattern} {
		if m := pattern.FindSubmatch(body); m != nil && p.onwards == "" {
			p.onwards = clean([]byte(html.UnescapeString(string(m[1]))))
		}
	}
	return p
}

// realmOf returns the realm of the first challenge that has one (RFC 7235): devices put their model there.
func realmOf(challenges []string) string {
	for _, c := range challenges {
		at := strings.Index(strings.ToLower(c), "realm=")
		if at < 0 {
			continue
		}
		rest := c[at+len("realm="):]
		value, _, _ := strings.Cut(rest, ",")
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			value, _, _ = strings.Cut(quoted, `"`)
		}
		return clean([]byte(value))
	}
	return ""
}
