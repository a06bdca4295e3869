// Package client speaks with one InfluxDB server, whichever its generation is: it writes lines through
// influxdb-client-go, asks in InfluxQL over /query, and sorts what may come back.
//
// What an answer to a write means (probes.md of the project, and the handlers of the server's sources):
//
//	204                     stored
//	400, 422                some rows are refused for good, those that are not may be stored
//	400, 422 of a limit     new series or fields are not taken as long as the database is as full as it is
//	413                     too much at once
//	401, 403                the token is wrong, or not for this
//	404                     the database is not there
//	429, 503                busy; Retry-After says for how long
//	other 5xx               trouble of the server's own: a full disk, a timeout
//	anything else, 200 too  not an InfluxDB: a captive portal, a proxy, another web server
//	none                    unreachable, or slow
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
)

// Options of a client.
type Options struct {
	URL       string
	Org       string // 2.x alone
	TokenFile string // one line; empty: without
	CAFile    string // empty: the system's authorities
	Timeout   time.Duration
	HTTP      *http.Client               // nil: one of its own
	Count     func(kind, outcome string) // nil: nobody counts
}

// Client is safe for concurrent use.
type Client struct {
	o      Options
	base   *url.URL
	http   *http.Client
	own    bool // http is its own
	influx influxdb2.Client
	token  atomic.Pointer[string]
	packs  packer
}

// New returns a client. It fails for settings that can't work, and asks nobody.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("influx.url: %.200q is not an address such as http://127.0.0.1:8086", o.URL)
	}
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Count == nil {
		o.Count = func(string, string) {}
	}
	c := &Client{o: o, base: base, http: o.HTTP}
	if err := c.ReadToken(); err != nil {
		return nil, err
	}
	if c.http == nil {
		t, err := transport(o)
		if err != nil {
			return nil, err
		}
		// A redirect could carry the token to somebody else.
		c.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		c.own = true
	}
	options := influxdb2.DefaultOptions().SetPrecision(time.Millisecond).SetApplicationName("communewatch-collector")
	options.SetLogLevel(0)
	options.HTTPOptions().SetHTTPDoer(doer{c})
	c.influx = influxdb2.NewClientWithOptions(o.URL, "", options) // the doer adds the token, which may change
	return c, nil
}

// maxToken bounds the token's file.
const maxToken = 4096

// ReadToken reads the token's file again: who exchanges a token need not restart anything.
func (c *Client) ReadToken() error {
	token := ""
	if c.o.TokenFile != "" {
		f, err := os.Open(c.o.TokenFile)
		if err != nil {
			return fmt.Errorf("influx.token_file: %w", err)
		}
		defer f.Close()
		b := make([]byte, maxToken+1)
		n, _ := f.Read(b)
		token = strings.TrimSpace(string(b[:n]))
		switch {
		case n > maxToken:
			return fmt.Errorf("influx.token_file: %s is longer than %d bytes", c.o.TokenFile, maxToken)
		case token == "":
			return fmt.Errorf("influx.token_file: %s is empty; write one line into it: a token, or user:password for InfluxDB 1.8", c.o.TokenFile)
		case strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return fmt.Errorf("influx.token_file: %s has more than one line", c.o.TokenFile)
		}
	}
	c.token.Store(&token)
	return nil
}

func transport(o Options) (*http.Transport, error) {
	t := &http.Transport{
		// No proxy: the database is the collector's own and near. No compression of answers: the server takes longer
		// to compress one than the network to carry it.
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		DisableCompression:  true,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("influx.ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("influx.ca_file: %s holds no certificate in PEM", o.CAFile)
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return t, nil
}

// Close lets go of connections. Calls under way go on.
func (c *Client) Close() {
	c.influx.Close()
	if c.own {
		c.http.CloseIdleConnections()
	}
}

// Write stores lines with times in milliseconds in a database. It returns nil when the server said that it did, and an
// *Error else.
func (c *Client) Write(ctx context.Context, database, lines string) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	x := &exchange{}
	err := c.influx.WriteAPIBlocking(c.o.Org, database).WriteRecord(context.WithValue(ctx, exchangeKey{}, x), lines)
	if x.status == http.StatusNoContent && err == nil {
		c.o.Count("write", "ok")
		return nil
	}
	e := x.judge(ctx, err)
	c.o.Count("write", e.Kind.String())
	return e
}

// Ping asks who answers. The error is an *Error.
func (c *Client) Ping(ctx context.Context) (Server, error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.o.Timeout, pingWithin))
	defer cancel()
	x, err := c.get(ctx, "/ping", nil)
	if err == nil && (x.status == http.StatusNoContent || x.status == http.StatusOK) {
		if s, ok := serverOf(x.header); ok {
			c.o.Count("ping", "ok")
			return s, nil
		}
	}
	e := x.judge(ctx, err)
	c.o.Count("ping", e.Kind.String())
	return Server{}, e
}

// pingWithin bounds a question that costs the server nothing.
const pingWithin = 5 * time.Second

// get asks for a small document.
func (c *Client) get(ctx context.Context, path string, query url.Values) (*exchange, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	x := &exchange{}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return x, err
	}
	c.authorize(req)
	resp, err := c.http.Do(req)
	if err != nil {
		return x, err
	}
	defer resp.Body.Close()
	return x, x.read(resp)
}

func (c *Client) authorize(req *http.Request) {
	if token := *c.token.Load(); token != "" {
		// 1.8 takes user:password this way, 2.x and 3.x their tokens.
		req.Header.Set("Authorization", "Token "+token)
	}
	req.Header.Set("User-Agent", "communewatch-collector")
}

// Server is who answers.
type Server struct {
	Version    string // as it calls itself; may be empty
	Generation int    // 1, 2 or 3; 1 where it does not say
}

func serverOf(h http.Header) (Server, bool) {
	version, build := h.Get("X-Influxdb-Version"), h.Get("X-Influxdb-Build")
	if version == "" && build == "" {
		return Server{}, false
	}
	s := Server{Version: clean(version), Generation: 1}
	switch digits := strings.TrimPrefix(version, "v"); {
	case strings.HasPrefix(digits, "2."):
		s.Generation = 2
	case strings.HasPrefix(digits, "3."):
		s.Generation = 3
	}
	return s, true
}

// Kind is what an answer that is no success means.
type Kind uint8

// The kinds; see the package's documentation.
const (
	Refused Kind = iota
	Limited
	TooLarge
	Denied
	Missing
	Busy
	Failed
	Foreign
	Unreachable
	Slow
	Canceled // by the caller
)

func (k Kind) String() string {
	return [...]string{"refused", "limited", "too_large", "denied", "missing", "busy", "failed", "foreign", "unreachable", "slow", "canceled"}[k]
}

// Error is an answer that is no success.
type Error struct {
	Kind       Kind
	Status     int    // 0 when no answer came
	Message    string // the server's words or the network's, at most 300 bytes
	RetryAfter time.Duration
	cause      error
}

func (e *Error) Error() string {
	switch {
	case e.Status != 0 && e.Message != "":
		return fmt.Sprintf("InfluxDB answers %d: %s", e.Status, e.Message)
	case e.Status != 0:
		return fmt.Sprintf("InfluxDB answers %d", e.Status)
	}
	return "InfluxDB: " + e.Message
}

func (e *Error) Unwrap() error { return e.cause }

// KindOf returns what kind of answer an error of this room is.
func KindOf(err error) (Kind, bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind, true
	}
	return 0, false
}
