// Package http makes one HTTP request on a fresh connection and takes the time of each phase apart: name
// resolution, TCP connection, TLS handshake, waiting for the first byte, and the whole.
//
// Nothing is reused between runs: a kept connection would hide that new ones fail. No proxy is asked and nothing is
// compressed, so that what is measured is the line and the server. The certificate's expiry is read even when the
// certificate is not accepted, since an expired one is exactly what somebody wants to know about.
package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
)

// Bounds of what a server may make a probe do.
const (
	maxHeaderBytes = 64 << 10
	maxBodyLimit   = 16 << 20
	maxRedirects   = 10
)

// Options of an http check. The target's address is the URL.
type Options struct {
	Method       string            `yaml:"method"`        // GET or HEAD
	Timeout      time.Duration     `yaml:"timeout"`       // for the whole run
	Headers      map[string]string `yaml:"headers"`       // sent with the request; Host sets the host
	Status       []int             `yaml:"status"`        // codes that are right; empty: 200 to 299
	BodyContains string            `yaml:"body_contains"` // text that the body must hold
	BodyMatches  string            `yaml:"body_matches"`  // regular expression (RE2) that the body must match
	MaxBody      int               `yaml:"max_body"`      // bytes of body read; the rest is not looked at
	Redirects    int               `yaml:"redirects"`     // redirects followed; a redirect beyond them is an answer like any other
	CAFile       string            `yaml:"ca_file"`       // PEM file of the authorities to trust instead of the system's
	SkipVerify   bool              `yaml:"skip_verify"`   // accept any certificate: for devices that made their own
}

// DefaultOptions returns the options of a check that says nothing.
func DefaultOptions() Options {
	return Options{Method: http.MethodGet, Timeout: 10 * time.Second, MaxBody: 1 << 20}
}

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration { return o.Timeout }

// Validate reports what is wrong with the options or with the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if _, err := parseURL(t.Address); err != nil {
		problem("address", "%v", err)
	}
	if o.Method != http.MethodGet && o.Method != http.MethodHead {
		problem("method", "%q is not GET or HEAD", o.Method)
	}
	if o.Timeout < 10*time.Millisecond || o.Timeout > 2*time.Minute {
		problem("timeout", "must be between 10ms and 2m, for example 10s")
	}
	for i, s := range o.Status {
		if s < 100 || s > 599 {
			problem(fmt.Sprintf("status[%d]", i), "%d is not an HTTP status code", s)
		}
	}
	if _, err := regexp.Compile(o.BodyMatches); err != nil {
		problem("body_matches", "%v", err)
	}
	if o.Method == http.MethodHead && (o.BodyContains != "" || o.BodyMatches != "") {
		problem("method", "an answer to HEAD has no body to check; use GET")
	}
	if o.MaxBody < 0 || o.MaxBody > maxBodyLimit {
		problem("max_body", "must be from 0 to %d bytes", maxBodyLimit)
	}
	if o.Redirects < 0 || o.Redirects > maxRedirects {
		problem("redirects", "must be from 0 to %d", maxRedirects)
	}
	if o.CAFile != "" {
		if _, err := connect.LoadCA(o.CAFile); err != nil {
			problem("ca_file", "%v", err)
		}
	}
}

func parseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL: %w", address, errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q: want a URL such as http://10.1.2.3/ or https://portal.example.gov.vn/health", address)
	}
	return u, nil
}

// Probe asks one URL. Make it with New.
type Probe struct {
	url   *url.URL
	bind  bind.Binding
	opts  Options
	match *regexp.Regexp // nil for none
	trust connect.Trust  // by the options
	fleet connect.Fleet
}

// At makes the probe known to the agent's own collectors, where the options say nothing of certificates. It is to be called
// before the first run.
func (p *Probe) At(fleet connect.Fleet) { p.fleet = fleet }

// New returns a probe of the target's address, which is a URL; it is a *Probe.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	u, err := parseURL(t.Address)
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	p := &Probe{url: u, bind: b, opts: o}
	if o.BodyMatches != "" {
		if p.match, err = regexp.Compile(o.BodyMatches); err != nil {
			return nil, probes.Errorf(probes.OutcomeBadConfig, "body_matches: %w", err)
		}
	}
	if p.trust, err = connect.NewTrust(o.CAFile, o.SkipVerify); err != nil {
		return nil, err
	}
	return p, nil
}

// run is the state of one run. With redirects the phases are those of the last request.
type run struct {
	*Probe
	start time.Time

	// The transport's goroutines write these, some of them after the request was given up.
	mu         sync.Mutex // guards the fields below
	dns        time.Duration
	resolved   bool
	connect    time.Duration
	tlsStart   time.Time
	tls        time.Duration
	wrote      time.Time
	firstByte  time.Duration
	certExpiry time.Time // zero without TLS
}

// Probe makes the request. Whatever was measured before a failure is returned with the error.
func (p *Probe) Probe(ctx context.Context) ([]probes.Point, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	r := &run{Probe: p, start: time.Now()}
	point := probes.Point{Measurement: string(probes.KindHTTP)}
	fields, err := r.do(ctx)
	point.Fields = append(r.phases(), fields...)
	if len(point.Fields) == 0 {
		return nil, err
	}
	return []probes.Point{point}, err
}

// phases returns the fields of the phases that were completed.
func (r *run) phases() []probes.Field {
	r.mu.Lock()
	defer r.mu.Unlock()
	var fields []probes.Field
	if r.resolved {
		fields = append(fields, probes.Seconds("dns_seconds", r.dns))
	}
	if r.connect > 0 {
		fields = append(fields, probes.Seconds("connect_seconds", r.connect))
	}
	if r.tls > 0 {
		fields = append(fields, probes.Seconds("tls_seconds", r.tls))
	}
	if r.firstByte > 0 {
		fields = append(fields, probes.Seconds("first_byte_seconds", r.firstByte))
	}
	if !r.certExpiry.IsZero() {
		fields = append(fields, probes.Seconds("cert_expiry_seconds", r.certExpiry.Sub(r.start)))
	}
	return fields
}

func (r *run) do(ctx context.Context) ([]probes.Field, error) {
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, r.trace()), r.opts.Method, r.url.String(), nil)
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	req.Header.Set("User-Agent", "communewatch-agent")
	for k, v := range r.opts.Headers {
		if strings.EqualFold(k, "Host") {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	client := &http.Client{Transport: r, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > r.opts.Redirects {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL, which the check names already
		}
		return nil, err
	}
	defer resp.Body.Close()
	fields := []probes.Field{probes.Int("status", int64(resp.StatusCode))}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(r.opts.MaxBody)))
	fields = append(fields, probes.Int("body_bytes", int64(len(body))))
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fields, fmt.Errorf("the body was cut short: %w", err) // body_bytes says where
	}
	fields = append(fields, probes.Seconds("total_seconds", time.Since(r.start)))
	if err := r.judgeStatus(resp.StatusCode); err != nil {
		return fields, err
	}
	if r.opts.BodyContains == "" && r.match == nil {
		return fields, nil
	}
	err = r.judgeBody(body)
	return append(fields, probes.Bool("body_ok", err == nil)), err
}

func (p *Probe) judgeStatus(code int) error {
	if len(p.opts.Status) == 0 && code >= 200 && code <= 299 || slices.Contains(p.opts.Status, code) {
		return nil
	}
	return probes.Errorf(probes.OutcomeFailed, "status %d %s", code, http.StatusText(code))
}

func (p *Probe) judgeBody(body []byte) error {
	if !strings.Contains(string(body), p.opts.BodyContains) {
		return probes.Errorf(probes.OutcomeFailed, "the body does not contain %.80q", p.opts.BodyContains)
	}
	if p.match != nil && !p.match.Match(body) {
		return probes.Errorf(probes.OutcomeFailed, "the body does not match %.80q", p.opts.BodyMatches)
	}
	return nil
}

func (r *run) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		TLSHandshakeStart: func() { r.note(func() { r.tlsStart = time.Now() }) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil {
				r.note(func() { r.tls = time.Since(r.tlsStart) })
			}
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { r.note(func() { r.wrote = time.Now() }) },
		GotFirstResponseByte: func() {
			r.note(func() {
				// A server that answers before it was asked has no time to first byte.
				if r.firstByte = 0; !r.wrote.IsZero() {
					r.firstByte = time.Since(r.wrote)
				}
			})
		},
	}
}

func (r *run) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// dial resolves and connects by the path and takes the time of both.
func (r *run) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	addr, err := r.bind.Resolve(ctx, "", host, r.opts.Timeout)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		r.note(func() { r.dns, r.resolved = time.Since(start), true })
	}
	start = time.Now()
	conn, err := r.bind.Dialer(network, r.opts.Timeout).DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
	if err == nil {
		r.note(func() { r.connect, r.wrote = time.Since(start), time.Time{} })
	}
	return conn, err
}

// RoundTrip makes one request. Each has a transport of its own: after a redirect the host is another, and with it whom to
// believe and what to show.
func (r *run) RoundTrip(req *http.Request) (*http.Response, error) {
	fleet := r.fleet
	if connect.Origin(req.URL) != connect.Origin(r.url) {
		fleet = nil // who sends a check elsewhere must not have the agent speak there as itself
	}
	trust, err := connect.TrustFor(req.URL, r.trust, fleet)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:            r.dial,
		TLSClientConfig:        trust.Config(req.URL.Hostname(), func(day time.Time) { r.note(func() { r.certExpiry = day }) }),
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return transport.RoundTrip(req)
}
