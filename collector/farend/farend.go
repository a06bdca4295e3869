// Package farend is the far end of the agents' test calls as a part of the collector: its settings, and who may call it.
// The reflector itself (probes/webrtc/reflector) knows neither agents nor settings files, so that it can run alone too.
package farend

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"communewatch/collector/callers"
	"communewatch/probes/webrtc/reflector"

	"github.com/prometheus/client_golang/prometheus"
)

// Settings are the collector's, about its reflector.
type Settings struct {
	Media       string        `yaml:"media"`        // address:port of the media, UDP and TCP; empty: there is no reflector
	Addresses   []string      `yaml:"addresses"`    // under which sites reach the media's port, where a NAT stands before it
	TokenFile   string        `yaml:"token_file"`   // tokens of callers other than agents, one a line
	MaxSessions int           `yaml:"max_sessions"` // calls at once
	MaxMBPS     int           `yaml:"max_mbps"`     // Mbit/s sent, above which no further call is taken
	SessionMBPS int           `yaml:"session_mbps"` // Mbit/s received, above which a call is ended
	MaxLifetime time.Duration `yaml:"max_lifetime"` // of a call
}

// DefaultSettings returns those of a file that says nothing: there is no reflector, and these would be its limits.
func DefaultSettings() Settings {
	d := reflector.DefaultLimits()
	return Settings{MaxSessions: d.Sessions, MaxMBPS: d.MBPS, SessionMBPS: d.SessionMBPS, MaxLifetime: d.Lifetime}
}

// Validate reports what is wrong with them.
func (r *Settings) Validate(problem func(key, format string, args ...any)) {
	if r.Media != "" {
		if err := reflector.CheckMedia(r.Media); err != nil {
			problem("media", "%v", err)
		}
	}
	if _, err := reflector.ParseAddresses(r.Addresses); err != nil {
		problem("addresses", "%v", err)
	}
	if r.TokenFile != "" {
		if _, err := reflector.ReadTokens(r.TokenFile); err != nil {
			problem("token_file", "%v", err)
		}
	}
	for _, n := range []struct {
		key        string
		v, lo, top int
	}{{"max_sessions", r.MaxSessions, 1, 10_000}, {"max_mbps", r.MaxMBPS, 1, 100_000}, {"session_mbps", r.SessionMBPS, 1, 1000}} {
		if n.v < n.lo || n.v > n.top {
			problem(n.key, "must be from %d to %d", n.lo, n.top)
		}
	}
	if err := CheckLifetime(r.MaxLifetime); err != nil {
		problem("max_lifetime", "%v", err)
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

// Options of a reflector. Callers is required.
type Options struct {
	Settings Settings
	Callers  *callers.Callers // who know agents
	Metrics  prometheus.Registerer
	Now      func() time.Time
	Log      *slog.Logger
}

// calls says which agent sends a request to the reflector. What shows no certificate may still have a token that only the
// reflector knows.
func (o *Options) calls(q *http.Request, _ string) (reflector.Caller, error) {
	id, err := o.Callers.Agent(q)
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

// Open binds the reflector's port; nil if there is to be none. Close it.
func Open(o Options) (*reflector.Reflector, error) {
	s := o.Settings
	if s.Media == "" {
		return nil, nil
	}
	var addresses []netip.Addr
	var tokens []string
	var err error
	if addresses, err = reflector.ParseAddresses(s.Addresses); err == nil && s.TokenFile != "" {
		tokens, err = reflector.ReadTokens(s.TokenFile)
	}
	if err != nil {
		return nil, err
	}
	r, err := reflector.Open(reflector.Options{
		Media: s.Media, Addresses: addresses, Tokens: tokens, Metrics: o.Metrics, Log: o.Log, Now: o.Now,
		Authenticate: o.calls,
		Limits:       reflector.Limits{Sessions: s.MaxSessions, Handshakes: (s.MaxSessions + 1) / 2, MBPS: s.MaxMBPS, SessionMBPS: s.SessionMBPS, Lifetime: s.MaxLifetime},
	})
	if err == nil {
		o.Log.Info("reflector opened", "media", r.MediaAddr().String(), "addresses", s.Addresses)
	}
	return r, err
}
