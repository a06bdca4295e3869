package collector

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/callers"
	"communewatch/probes/settings"
	"communewatch/probes/webrtc/reflector"
)

// Reflector is the far end of the agents' test calls.
type Reflector struct {
	Media       string        `yaml:"media"`        // address:port of the media, UDP and TCP; empty: there is no reflector
	Addresses   []string      `yaml:"addresses"`    // under which sites reach the media's port, where a NAT stands before it
	TokenFile   string        `yaml:"token_file"`   // tokens of callers other than agents, one a line
	MaxSessions int           `yaml:"max_sessions"` // calls at once
	MaxMBPS     int           `yaml:"max_mbps"`     // Mbit/s sent, above which no further call is taken
	SessionMBPS int           `yaml:"session_mbps"` // Mbit/s received, above which a call is ended
	MaxLifetime time.Duration `yaml:"max_lifetime"` // of a call
}

func defaultReflector() Reflector {
	d := reflector.DefaultLimits()
	return Reflector{MaxSessions: d.Sessions, MaxMBPS: d.MBPS, SessionMBPS: d.SessionMBPS, MaxLifetime: d.Lifetime}
}

func (r *Reflector) validate(doc *settings.Doc) {
	if r.Media != "" {
		if err := reflector.CheckMedia(r.Media); err != nil {
			doc.Problem("reflector.media", "%v", err)
		}
	}
	if _, err := reflector.ParseAddresses(r.Addresses); err != nil {
		doc.Problem("reflector.addresses", "%v", err)
	}
	if r.TokenFile != "" {
		if _, err := reflector.ReadTokens(r.TokenFile); err != nil {
			doc.Problem("reflector.token_file", "%v", err)
		}
	}
	for _, n := range []struct {
		key        string
		v, lo, top int
	}{{"max_sessions", r.MaxSessions, 1, 10_000}, {"max_mbps", r.MaxMBPS, 1, 100_000}, {"session_mbps", r.SessionMBPS, 1, 1000}} {
		if n.v < n.lo || n.v > n.top {
			doc.Problem("reflector."+n.key, "must be from %d to %d", n.lo, n.top)
		}
	}
	if err := CheckLifetime(r.MaxLifetime); err != nil {
		doc.Problem("reflector.max_lifetime", "%v", err)
	}
}

// CheckLifetime says what is wrong with the longest time that a reflector keeps a call: the longest tests last a minute,
// or a step of a rehearsal's, and their calls have to be begun and ended too.
func CheckLifetime(d time.Duration) error {
	if d < 5*time.Minute || d > 24*time.Hour {
		return errors.New("must be between 5m and 24h")
	}
	return nil
}

// sessionsOfASite is how many calls the agents of one site may have at once: two lines, and a few by hand.
const sessionsOfASite = 8

// calls says which agent sends a request to the reflector. What shows no certificate may still have a token that only the
// reflector knows.
func (c *Collector) calls(q *http.Request, _ string) (reflector.Caller, error) {
	id, err := c.callers.Agent(q)
	switch {
	case err == nil:
		return reflector.Caller{Name: "site " + id.Site, Agent: id.Site + "/" + id.Agent, Sessions: sessionsOfASite}, nil
	case !errors.Is(err, callers.ErrUnauthorized) && !errors.Is(err, callers.ErrForbidden):
		return reflector.Caller{}, err
	case callers.Shows(q):
		return reflector.Caller{}, fmt.Errorf("%w: %w", reflector.ErrRefused, err)
	}
	return reflector.Caller{}, fmt.Errorf("%w: %w", reflector.ErrUnknown, err)
}

// openReflector binds the reflector's port, if there is to be one.
func (c *Collector) openReflector(metrics *prometheus.Registry) error {
	r := c.cfg.Reflector
	if r.Media == "" {
		return nil
	}
	var addresses []netip.Addr
	var tokens []string
	var err error
	if addresses, err = reflector.ParseAddresses(r.Addresses); err == nil && r.TokenFile != "" {
		tokens, err = reflector.ReadTokens(r.TokenFile)
	}
	if err != nil {
		return err
	}
	c.reflector, err = reflector.Open(reflector.Options{
		Media: r.Media, Addresses: addresses, Tokens: tokens, Metrics: metrics, Log: c.log, Now: c.o.Now,
		Authenticate: c.calls,
		Limits:       reflector.Limits{Sessions: r.MaxSessions, Handshakes: (r.MaxSessions + 1) / 2, MBPS: r.MaxMBPS, SessionMBPS: r.SessionMBPS, Lifetime: r.MaxLifetime},
	})
	if err == nil {
		c.reg.Agents().OnRevoked(func(site, agent string) { c.reflector.End(site + "/" + agent) })
		c.log.Info("reflector opened", "media", c.reflector.MediaAddr().String(), "addresses", r.Addresses)
	}
	return err
}
