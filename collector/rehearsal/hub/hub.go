// Package hub asks a reflector that runs outside the collector how it fares, while a rehearsal loads it: GET of its
// /whip/status.
package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/plan"
	"communewatch/probes/webrtc/reflector"
)

const (
	// timeout bounds a question, so that a hub that is silent is noticed within seconds.
	timeout = 2 * time.Second
	maxBody = 64 << 10
	maxFile = 1 << 20 // of certificates
)

// Client asks one hub. Make it with New. All methods may be called concurrently.
type Client struct {
	url, token string
	http       *http.Client

	mu   sync.Mutex
	last error // of the newest question
}

// New returns a client that has asked nothing yet. It reads the files that the settings name; an error names the key
// that is wrong, as "url: ...".
func New(s plan.HubStatus) (*Client, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, fmt.Errorf("url: %.200q is no address such as https://192.0.2.20:8787%s", s.URL, reflector.StatusPath)
	}
	c := &Client{url: s.URL}
	if s.TokenFile != "" {
		tokens, err := reflector.ReadTokens(s.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("token_file: %w", err)
		}
		c.token = tokens[0]
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		if config.RootCAs, err = roots(s.CAFile); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	c.http = &http.Client{
		Timeout: timeout,
		// One connection, kept from second to second; no proxy, which would fare otherwise than the hub.
		Transport: &http.Transport{TLSClientConfig: config, MaxIdleConns: 1, IdleConnTimeout: 10 * time.Second, ForceAttemptHTTP2: true},
		// The token is for this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func roots(file string) (*x509.CertPool, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: holds no certificate in PEM", file)
	}
	return pool, nil
}

// Load is how the hub fares now, told within two seconds. One that does not answer, or answers something else, is
// Unreachable; Err says why.
func (c *Client) Load(ctx context.Context) rehearsal.Load {
	l, err := c.ask(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last = err; err != nil {
		return rehearsal.Load{Unreachable: true}
	}
	return l
}

// Err is why the newest question was not answered, nil if it was.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Close ends the connection that is kept.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) ask(ctx context.Context) (rehearsal.Load, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return rehearsal.Load{}, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return rehearsal.Load{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return rehearsal.Load{}, err
	case resp.StatusCode != http.StatusOK:
		return rehearsal.Load{}, fmt.Errorf("%s answers %s: %.200q", c.url, resp.Status, body)
	case len(body) > maxBody:
		return rehearsal.Load{}, fmt.Errorf("%s answers more than %d bytes", c.url, maxBody)
	}
	l, err := parse(body)
	if err != nil {
		return l, fmt.Errorf("%s: %w; is it a reflector's %s?", c.url, err, reflector.StatusPath)
	}
	return l, nil
}

// parse reads what a reflector says of itself.
func parse(body []byte) (rehearsal.Load, error) {
	var st reflector.Status
	if err := json.Unmarshal(body, &st); err != nil {
		return rehearsal.Load{}, err
	}
	const most = 1 << 30
	if st.MaxSessions < 1 || st.MaxSessions > most || st.Sessions < 0 || st.Sessions > most || !(st.CPURatio >= 0 && st.CPURatio <= 1) {
		return rehearsal.Load{}, errors.New("sessions and processors are out of bounds")
	}
	l := Load(st)
	if !(l.ResidenceP99 >= 0 && l.ResidenceP99 <= 3600) {
		return rehearsal.Load{}, errors.New("the stay of packets is out of bounds")
	}
	return l, nil
}

// Load is what a reflector's status means to a rehearsal.
func Load(st reflector.Status) rehearsal.Load {
	l := rehearsal.Load{Known: true, Sessions: st.Sessions, MaxSessions: st.MaxSessions, CPURatio: st.CPURatio, Refusing: !st.Accepting}
	if st.Residence != nil {
		l.ResidenceP99 = st.Residence.P99
	}
	return l
}
