package callers_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/collector/authority"
	"communewatch/collector/callers"
	"communewatch/collector/fleet"
	"communewatch/collector/registry"
	"communewatch/probes/enroll"
	"communewatch/probes/wire"
)

// world is an authority, and what a registry says.
type world struct {
	*authority.Authority
	now    time.Time
	states map[[sha256.Size]byte]fleet.State
	asked  int // how often the authority was asked
	fails  bool
}

func (w *world) Identify(cert *x509.Certificate, now time.Time) (enroll.Name, error) {
	w.asked++
	return w.Authority.Identify(cert, now)
}

func (w *world) Standing(_, _ string, key [sha256.Size]byte) (fleet.State, error) {
	if s, ok := w.states[key]; ok {
		return s, nil
	}
	return "", fleet.ErrUnknownAgent
}

func (w *world) Enrolled(site, agent string) bool { return site == "s1" && agent == "enrolled" }

func (w *world) Authenticate(_ context.Context, secret string) (registry.Identity, error) {
	switch {
	case w.fails:
		return registry.Identity{}, errors.New("disk on fire")
	case secret == "agent":
		return registry.Identity{Token: "t1", Kind: registry.KindAgent, Site: "s1"}, nil
	case secret == "telegraf":
		return registry.Identity{Token: "w1", Kind: registry.KindWriter}, nil
	case secret == "old":
		return registry.Identity{}, registry.ErrRevoked
	}
	return registry.Identity{}, registry.ErrUnknownToken
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC), states: map[[sha256.Size]byte]fleet.State{}}
	var err error
	w.Authority, err = authority.Open(t.TempDir(), authority.Options{Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) callers(tokens bool) *callers.Callers {
	return callers.New(callers.Options{Authority: w, Agents: w, Tokens: w, AgentTokens: tokens, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)})
}

// agent makes a certificate whose key has a standing; "" for none.
func (w *world) agent(t *testing.T, site, name string, state fleet.State) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := w.Sign(&x509.CertificateRequest{PublicKey: key.Public()}, enroll.Name{Site: site, Agent: name}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if state != "" {
		w.states[authority.KeyOf(cert)] = state
	}
	return cert
}

func with(cert *x509.Certificate, token string) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.TLS = &tls.ConnectionState{}
	if cert != nil {
		r.TLS.PeerCertificates = []*x509.Certificate{cert}
	}
	return r
}

func TestWhoSendsARequest(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	c, strict := w.callers(true), w.callers(false)
	active := w.agent(t, "s1", "pc", fleet.StateActive)
	agent := registry.Identity{Token: "cert:" + authority.SerialOf(active), Kind: registry.KindAgent, Site: "s1", Agent: "pc"}
	none := registry.Identity{}
	for _, tt := range []struct {
		name string
		c    *callers.Callers
		r    *http.Request
		want registry.Identity
		err  error
	}{
		{"nobody", c, with(nil, ""), none, callers.ErrUnauthorized},
		{"a certificate", c, with(active, ""), agent, nil},
		{"a certificate where tokens are off", strict, with(active, ""), agent, nil},
		{"a certificate goes before a token", c, with(active, "agent"), agent, nil},
		{"a waiting agent's", c, with(w.agent(t, "s1", "new", fleet.StatePending), ""), none, callers.ErrForbidden},
		{"a revoked agent's", c, with(w.agent(t, "s1", "out", fleet.StateRevoked), ""), none, callers.ErrRevoked},
		{"a revoked agent's, with a good token", c, with(w.agent(t, "s1", "out", fleet.StateRevoked), "agent"), none, callers.ErrRevoked},
		{"one that the registry does not know", c, with(w.agent(t, "s1", "x", ""), ""), none, callers.ErrUnauthorized},
		{"another fleet's", c, with(other.agent(t, "s1", "pc", fleet.StateActive), ""), none, callers.ErrForeign},
		{"a token", c, with(nil, "agent"), registry.Identity{Token: "t1", Kind: registry.KindAgent, Site: "s1"}, nil},
		{"a token where tokens are off", strict, with(nil, "agent"), none, callers.ErrForbidden},
		{"a writer's token", c, with(nil, "telegraf"), none, callers.ErrForbidden},
		{"a revoked token", c, with(nil, "old"), none, registry.ErrRevoked},
		{"a wrong token", c, with(nil, "x"), none, callers.ErrUnauthorized},
	} {
		if got, err := tt.c.Agent(tt.r); !errors.Is(err, tt.err) || got.Token != tt.want.Token || got.Kind != tt.want.Kind || got.Site != tt.want.Site || got.Agent != tt.want.Agent {
			t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
	// Foreign writers have tokens alone, whatever agents may have.
	if got, err := strict.Writer(with(nil, ""), "telegraf"); err != nil || got.Kind != registry.KindWriter {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := strict.Writer(with(nil, ""), "agent"); !errors.Is(err, callers.ErrForbidden) {
		t.Errorf("%v", err)
	}
	w.fails = true
	if _, err := c.Agent(with(nil, "agent")); err == nil || errors.Is(err, callers.ErrUnauthorized) || errors.Is(err, callers.ErrForbidden) {
		t.Errorf("trouble of our own is told as %v", err)
	}
}

// Throwing an agent out counts from the next request on, although its certificate is remembered.
func TestRevocationActsAtOnce(t *testing.T) {
	w := newWorld(t)
	c, cert := w.callers(true), w.agent(t, "s1", "pc", fleet.StateActive)
	for range 3 {
		if _, err := c.Agent(with(cert, "")); err != nil {
			t.Fatal(err)
		}
	}
	if w.asked != 1 {
		t.Errorf("the certificate was verified %d times, want once", w.asked)
	}
	w.states[authority.KeyOf(cert)] = fleet.StateRevoked
	if _, err := c.Agent(with(cert, "")); !errors.Is(err, callers.ErrRevoked) {
		t.Errorf("%v", err)
	}
	if _, err := c.RenewableAgent(with(cert, "")); !errors.Is(err, callers.ErrRevoked) {
		t.Errorf("renewal: %v", err)
	}
}

// What was found good under an authority is not good any more when that is retired.
func TestARetiredAuthorityIsForgotten(t *testing.T) {
	w := newWorld(t)
	c, cert := w.callers(true), w.agent(t, "s1", "pc", fleet.StateActive)
	if _, err := c.Agent(with(cert, "")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Announce(); err != nil {
		t.Fatal(err)
	}
	if err := w.Switch(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agent(with(cert, "")); err != nil {
		t.Error("refused while the former authority is trusted:", err)
	}
	if err := w.Retire(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Agent(with(cert, "")); !errors.Is(err, callers.ErrForeign) {
		t.Errorf("%v", err)
	}
}

func TestAnEndedCertificateCanBeRenewedForAWhile(t *testing.T) {
	w := newWorld(t)
	c, cert := w.callers(true), w.agent(t, "s1", "pc", fleet.StateActive)
	if got, err := c.RenewableAgent(with(cert, "")); err != nil || got.Site != "s1" || got.Serial != authority.SerialOf(cert) || got.Key != authority.KeyOf(cert) {
		t.Fatalf("%+v, %v", got, err)
	}
	end := cert.NotAfter
	for _, tt := range []struct {
		at            time.Duration // after its end
		agent, renews error
	}{
		{-time.Minute, nil, nil},
		{time.Minute, callers.ErrExpired, nil},
		{callers.Renewable - time.Hour, callers.ErrExpired, nil},
		{callers.Renewable + time.Hour, callers.ErrExpired, callers.ErrExpired},
	} {
		w.now = end.Add(tt.at)
		if _, err := c.Agent(with(cert, "")); !errors.Is(err, tt.agent) {
			t.Errorf("%v after the end: %v, want %v", tt.at, err, tt.agent)
		}
		if _, err := c.RenewableAgent(with(cert, "")); !errors.Is(err, tt.renews) {
			t.Errorf("%v after the end, to renew: %v, want %v", tt.at, err, tt.renews)
		}
	}
}

func TestWhoAnswersForADoor(t *testing.T) {
	w := newWorld(t)
	c := w.callers(true)
	for name, want := range map[string]int{"x": 401, "telegraf": 403, "agent": 200} {
		out := httptest.NewRecorder()
		site, _, ok := c.Who(out, with(nil, name))
		if ok != (want == 200) || out.Code != want || ok && site != "s1" {
			t.Errorf("%s: %v %d", name, ok, out.Code)
		}
		if ok {
			continue
		}
		var said enroll.Refusal
		if err := json.Unmarshal(out.Body.Bytes(), &said); err != nil || said.Code == "" || said.Message == "" {
			t.Errorf("%s: %s", name, out.Body)
		}
	}
	w.fails = true
	out := httptest.NewRecorder()
	if _, _, ok := c.Who(out, with(nil, "agent")); ok || out.Code != 503 || strings.Contains(out.Body.String(), "fire") {
		t.Errorf("%d %s", out.Code, out.Body)
	}
}

func BenchmarkAgent(b *testing.B) {
	w := &world{now: time.Now(), states: map[[sha256.Size]byte]fleet.State{}}
	var err error
	if w.Authority, err = authority.Open(b.TempDir(), authority.Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		b.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := w.Sign(&x509.CertificateRequest{PublicKey: key.Public()}, enroll.Name{Site: "s1", Agent: "pc"}, w.now)
	if err != nil {
		b.Fatal(err)
	}
	w.states[authority.KeyOf(cert)] = fleet.StateActive
	c, r := w.callers(true), with(cert, "")
	for b.Loop() {
		if _, err := c.Agent(r); err != nil {
			b.Fatal(err)
		}
	}
}

// TestATokenOfTheSiteIsNoEnrolledAgent: whoever was thrown out must not come back with the site's token under the name.
func TestATokenOfTheSiteIsNoEnrolledAgent(t *testing.T) {
	c := newWorld(t).callers(true)
	for name, want := range map[string]error{"enrolled": callers.ErrForbidden, "another": nil, "": nil} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer agent")
		if name != "" {
			r.Header.Set(wire.HeaderAgent, name)
		}
		if _, err := c.Agent(r); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := c.Writer(r, "agent"); !errors.Is(err, want) {
			t.Errorf("%q writes: %v", name, err)
		}
	}
}
