// Package callers finds out which agent sends a request: by the certificate that it showed when it connected, or by a
// token.
//
// A certificate proves a name and a key, and lasts for months. Whether the agent may report is asked of the registry with
// each request, from memory: so revoking acts at once, without lists of certificates. Verifying a signature takes a
// hundred microseconds, so certificates that were found to be good are remembered; what is remembered of one that is
// revoked is only whose it is.
//
// An agent that shows a certificate is judged by it, whatever token it sends besides.
package callers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/fleet"
	"communewatch/collector/registry"
	"communewatch/probes/enroll"
	"communewatch/probes/wire"
)

// Errors by which a caller is refused for good; compare with errors.Is. Their texts are for whoever looks after the
// agent. Any other error is trouble of our own. Tokens are refused with the registry's errors too.
var (
	ErrUnauthorized = errors.New("nobody we know")
	ErrForbidden    = errors.New("not allowed")
	ErrRevoked      = fmt.Errorf("%w: the agent was thrown out; it needs a new join code", ErrUnauthorized)
	ErrExpired      = fmt.Errorf("%w: its certificate has ended", ErrUnauthorized)
	ErrForeign      = fmt.Errorf("%w: its certificate is not one of this fleet", ErrUnauthorized)
)

// Renewable is how long after its end a certificate can still be renewed: a machine may stand switched off for a school
// year's half, and must not need a visit then.
const Renewable = 180 * 24 * time.Hour

// Authority knows whose a certificate is; *authority.Authority does it.
type Authority interface {
	Identify(cert *x509.Certificate, now time.Time) (enroll.Name, error)
	Generation() uint64 // rises when what Identify says may have changed
}

// Agents knows who may report; *agents.Store does it. It is asked with each request.
type Agents interface {
	Standing(site, agent string, key [sha256.Size]byte) (fleet.State, error)
	Enrolled(site, agent string) bool // that agent has, or had, an identity of its own
}

// Tokens knows who has which token; *registry.Registry does it.
type Tokens interface {
	Authenticate(ctx context.Context, secret string) (registry.Identity, error)
}

// Options of Callers. Tokens is required, Agents with Authority.
type Options struct {
	Authority   Authority // nil: nobody has a certificate
	Agents      Agents
	Tokens      Tokens
	AgentTokens bool             // agents may come with a token instead of a certificate
	Now         func() time.Time // nil: time.Now
	Log         *slog.Logger     // nil: slog.Default
}

// Callers tells who sends a request. Make it with New. Its methods may be called concurrently.
type Callers struct {
	o Options

	mu         sync.Mutex // guards the fields below
	known      map[[sha256.Size]byte]*Certificate
	generation uint64 // of the authority, when they were found to be good
}

// maxKnown bounds the certificates remembered, at some 600 bytes each: several for every agent of a large fleet.
const maxKnown = 50_000

// New returns Callers.
func New(o Options) *Callers {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Callers{o: o, known: map[[sha256.Size]byte]*Certificate{}}
}

// Certificate is one that was found to be good.
type Certificate struct {
	enroll.Name
	Serial string
	Key    [sha256.Size]byte // SHA-256 of its SubjectPublicKeyInfo
	Ends   time.Time
}

// Identity is how the rest of the collector knows who has the certificate.
func (c *Certificate) Identity() registry.Identity {
	return registry.Certified(c.Serial, c.Site, c.Agent)
}

// Agent says which agent sends a request, by its certificate or by the token in its header Authorization. Agent is empty
// in what a token says that is good for all agents of a site.
func (c *Callers) Agent(r *http.Request) (registry.Identity, error) {
	if Shows(r) {
		return c.certified(r)
	}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret := strings.TrimSpace(rest)
	if secret == "" || !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") {
		return registry.Identity{}, fmt.Errorf(`%w: connect with the agent's certificate, or send its token as "Authorization: Bearer ..."`, ErrUnauthorized)
	}
	id, err := c.token(r, secret)
	switch {
	case errors.Is(err, registry.ErrUnknownToken), errors.Is(err, registry.ErrRevoked):
		return registry.Identity{}, fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case err != nil:
		return registry.Identity{}, err
	case id.Kind != registry.KindAgent || id.Site == "":
		return registry.Identity{}, fmt.Errorf("%w: that is no agent's token but one of kind %s", ErrForbidden, id.Kind)
	}
	return id, nil
}

// Who is Agent for a door that leaves the answer to it: where ok is false, the request was answered.
func (c *Callers) Who(w http.ResponseWriter, r *http.Request) (site, agent string, ok bool) {
	id, err := c.Agent(r)
	if err == nil {
		return id.Site, id.Agent, true
	}
	status, said := http.StatusServiceUnavailable, enroll.Refusal{Code: "unavailable", Message: "the collector can't look the agent up now"}
	switch {
	case errors.Is(err, ErrUnauthorized):
		status, said = http.StatusUnauthorized, enroll.Refusal{Code: "unauthorized", Message: err.Error()}
	case errors.Is(err, ErrForbidden):
		status, said = http.StatusForbidden, enroll.Refusal{Code: "forbidden", Message: err.Error()}
	default:
		c.o.Log.Warn("an agent can't be looked up", "error", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(said) // who is gone needs no answer
	return "", "", false
}

// Writer says who sends a request to write, by its certificate or else by a secret that was found in the request. The
// kind of identity may be any.
func (c *Callers) Writer(r *http.Request, secret string) (registry.Identity, error) {
	if Shows(r) {
		return c.certified(r)
	}
	return c.token(r, secret)
}

func (c *Callers) token(r *http.Request, secret string) (registry.Identity, error) {
	id, err := c.o.Tokens.Authenticate(r.Context(), secret)
	if err != nil || id.Kind != registry.KindAgent {
		return id, err
	}
	if !c.o.AgentTokens {
		return registry.Identity{}, fmt.Errorf("%w: agents need a certificate here (agents.tokens: false); enrol it with a join code", ErrForbidden)
	}
	// A token that is good for a site must not stand in for an agent with an identity, least of all for one that was thrown
	// out.
	if name := cmp.Or(id.Agent, r.Header.Get(wire.HeaderAgent)); c.o.Agents != nil && c.o.Agents.Enrolled(id.Site, name) {
		return registry.Identity{}, fmt.Errorf("%w: agent %s of site %s has an identity of its own; connect with its certificate", ErrForbidden, name, id.Site)
	}
	return id, nil
}

// Secret finds the token in a request to write. InfluxDB's clients send it in one of four ways; v1 is its API of 1.x.
func Secret(r *http.Request, v1 bool) (secret string) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "token", "bearer":
		secret = strings.TrimSpace(rest)
		if _, password, ok := strings.Cut(secret, ":"); ok && v1 {
			secret = password // "Token user:password" of 1.8
		}
	case "basic":
		_, secret, _ = r.BasicAuth()
	case "":
		if v1 {
			secret = r.URL.Query().Get("p")
		}
	}
	return secret
}

// Shows reports whether a request came over a connection on which a certificate was shown.
func Shows(r *http.Request) bool { return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 }

func (c *Callers) certified(r *http.Request) (registry.Identity, error) {
	cert, err := c.Certified(r)
	if err != nil {
		return registry.Identity{}, err
	}
	return cert.Identity(), nil
}

// Certified is Agent for certificates alone.
func (c *Callers) Certified(r *http.Request) (*Certificate, error) { return c.judge(r, 0) }

// RenewableAgent is Certified for who wants a new certificate: the present one may have ended lately. An agent that waits
// for approval has none to renew.
func (c *Callers) RenewableAgent(r *http.Request) (*Certificate, error) { return c.judge(r, Renewable) }

// judge says whose certificate a request came with, if it has not ended longer than grace ago and its agent may report.
func (c *Callers) judge(r *http.Request, grace time.Duration) (*Certificate, error) {
	if !Shows(r) {
		return nil, fmt.Errorf("%w: connect with the agent's certificate", ErrUnauthorized)
	}
	if c.o.Authority == nil {
		return nil, fmt.Errorf("%w: this collector knows no certificates", ErrUnauthorized)
	}
	now := c.o.Now()
	cert, err := c.identify(r.TLS.PeerCertificates[0], now)
	if err != nil {
		return nil, err
	}
	if ago := now.Sub(cert.Ends); ago > grace {
		return nil, fmt.Errorf("%w, %v ago; it can be renewed for %v, and later needs a new join code", ErrExpired, ago.Round(time.Minute), Renewable)
	}
	state, err := c.o.Agents.Standing(cert.Site, cert.Agent, cert.Key)
	switch {
	case errors.Is(err, fleet.ErrUnknownAgent):
		return nil, fmt.Errorf("%w: %w %s of site %s with that key in the registry; was it put back from a backup? Enrol the agent anew", ErrUnauthorized, err, cert.Agent, cert.Site)
	case err != nil:
		return nil, err
	}
	switch state {
	case fleet.StateActive:
		return cert, nil
	case fleet.StateRevoked:
		return nil, ErrRevoked
	}
	return nil, fmt.Errorf("%w: the agent waits for approval", ErrForbidden)
}

// identify is Identify with a memory. What has ended is no error here.
func (c *Callers) identify(leaf *x509.Certificate, now time.Time) (*Certificate, error) {
	generation := c.o.Authority.Generation()
	hash := sha256.Sum256(leaf.Raw)
	c.mu.Lock()
	if c.generation != generation {
		clear(c.known)
		c.generation = generation
	}
	cert := c.known[hash]
	c.mu.Unlock()
	if cert != nil {
		return cert, nil
	}
	name, err := c.o.Authority.Identify(leaf, now)
	switch {
	case errors.Is(err, authority.ErrUntrusted), errors.Is(err, authority.ErrForeignFleet):
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	case err != nil && !errors.Is(err, authority.ErrExpired):
		return nil, err
	}
	cert = &Certificate{Name: name, Serial: authority.SerialOf(leaf), Key: authority.KeyOf(leaf), Ends: leaf.NotAfter}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		if len(c.known) >= maxKnown {
			clear(c.known)
		}
		c.known[hash] = cert
	}
	return cert, nil
}
