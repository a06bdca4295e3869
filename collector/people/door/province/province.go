// Package province signs people in with the province's own sign-on: OpenID Connect Core 1.0, the authorization code flow
// with PKCE (RFC 7636).
//
// The browser is sent to the provider with a state, a nonce and a challenge, which it carries itself in a sealed cookie
// until it comes back (underway.go); each is good for one sign-in. What comes back is a code, which is exchanged for an ID token directly with the provider, over
// TLS. The token is believed if it is signed by a key of the provider, made by it (iss) for this collector (aud), not
// expired, and carries the nonce. Nothing is asked of the provider before somebody signs in: one that is away keeps
// nobody out but its own users.
package province

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/people"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
)

// Settings describe the provider.
type Settings struct {
	Issuer           string `yaml:"issuer"` // https://...; empty: there is none
	Name             string `yaml:"name"`   // on the button; empty: the page's own words
	ClientID         string `yaml:"client_id"`
	ClientSecretFile string `yaml:"client_secret_file"` // empty: a public client, by PKCE alone
	CAFile           string `yaml:"ca_file"`            // authorities of the provider's certificate; empty: the system's
	RedirectURL      string `yaml:"redirect_url"`       // https://<collector>/sign-in/oidc/callback, as the provider knows it

	NameClaim   string   `yaml:"name_claim"`   // of the account's name
	GroupsClaim string   `yaml:"groups_claim"` // a text or a list of texts, for roles
	Scopes      []string `yaml:"scopes"`
	Roles       []Rule   `yaml:"roles"`  // the first that fits counts; none: accounts' roles are as they were made here
	Create      bool     `yaml:"create"` // make an account for whoever a rule fits

	// Absolute is how long a session lasts that was begun here, whatever happens: what the provider says of somebody is
	// heard when they sign in.
	Absolute time.Duration `yaml:"absolute"`
	// Keys is for how long after their last sign-in the API keys count of who signs in here alone: of somebody who has left
	// nothing more is heard.
	Keys time.Duration `yaml:"keys"`
}

// Rule says what members of a group may do.
type Rule struct {
	Group     string      `yaml:"group"`
	Role      people.Role `yaml:"role"`
	Districts []string    `yaml:"districts"` // empty: all
}

// DefaultSettings are those of a file that names an issuer only.
func DefaultSettings() Settings {
	return Settings{Absolute: 12 * time.Hour, Keys: 90 * 24 * time.Hour, NameClaim: "preferred_username", GroupsClaim: "groups", Scopes: []string{"openid", "profile", "email"}}
}

const (
	maxRules  = 500
	maxSecret = 4096
	// CallbackPath is where the provider sends browsers back to.
	CallbackPath = "/sign-in/oidc/callback"
)

// Validate reports every mistake, each at its place.
func (s *Settings) Validate(problem func(at, format string, args ...any)) {
	if s.Issuer == "" {
		if s.ClientID != "" || s.ClientSecretFile != "" || s.RedirectURL != "" || len(s.Roles) > 0 {
			problem("issuer", "is missing; give the provider's address, or leave out the rest of oidc")
		}
		return
	}
	if err := checkURL(s.Issuer); err != nil {
		problem("issuer", "%v", err)
	}
	if err := checkURL(s.RedirectURL); err != nil {
		problem("redirect_url", "%v", err)
	} else if u, _ := url.Parse(s.RedirectURL); u.Path != CallbackPath {
		problem("redirect_url", "must end in %s", CallbackPath)
	}
	if s.ClientID == "" {
		problem("client_id", "is missing; the provider gives it")
	}
	if _, err := s.secret(); err != nil {
		problem("client_secret_file", "%v", err)
	}
	if _, err := s.pool(); err != nil {
		problem("ca_file", "%v", err)
	}
	if !slices.Contains(s.Scopes, "openid") {
		problem("scopes", "must have openid among them")
	}
	if s.NameClaim == "" || s.GroupsClaim == "" {
		problem("name_claim", "and groups_claim must name a claim")
	}
	if len(s.Roles) > maxRules {
		problem("roles", "holds %d entries; at most %d", len(s.Roles), maxRules)
		return
	}
	for i, r := range s.Roles {
		if r.Group == "" {
			problem(fmt.Sprintf("roles[%d].group", i), "is missing")
		}
		if !r.Role.Valid() {
			problem(fmt.Sprintf("roles[%d].role", i), "%.40q is not a role; write viewer, operator, procurement or admin", string(r.Role))
		}
		if slices.Contains(r.Districts, "") {
			problem(fmt.Sprintf("roles[%d].districts", i), "one of them is empty")
		}
	}
	if s.Create && len(s.Roles) == 0 {
		problem("create", "needs roles: who would an account be for?")
	}
}

// checkURL wants TLS of everything but this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%.100q is not an address such as https://sso.tinh.gov.vn/realms/can-bo", text)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())) {
		return fmt.Errorf("%.100q must begin with https://", text)
	}
	return nil
}

func (s *Settings) secret() (string, error) {
	if s.ClientSecretFile == "" {
		return "", nil
	}
	f, err := os.Open(s.ClientSecretFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	text := strings.TrimSpace(string(b))
	if err == nil && (text == "" || len(b) > maxSecret) {
		err = errors.New("the file must hold the secret and nothing else")
	}
	return text, err
}

func (s *Settings) pool() (*x509.CertPool, error) {
	if s.CAFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("the file holds no certificate in PEM")
	}
	return pool, nil
}

// Said is what the provider says of who signed in.
type Said struct {
	Subject   string
	Name      string // for a new account
	Display   string
	Role      people.Role // by the rules; "": none fits
	Districts []string    // nil: all
}

// SignOn is the provider as seen from here. Make it with New. All methods may be called concurrently.
type SignOn struct {
	s      Settings
	secret string
	now    func() time.Time
	client *http.Client
	seal   cipher.AEAD   // of sign-ins under way
	asking chan struct{} // a place for each question to the provider

	mu       sync.Mutex // guards the fields below
	known    *provider
	spent    map[string]time.Time // nonces of sign-ins that succeeded, with their beginning
	lastKeys time.Time            // when keys were last asked for
}

const (
	answerWait = 10 * time.Second
	maxAnswer  = 1 << 20
	maxToken   = 256 << 10
	// questionsAtOnce is how many questions to the provider are open at once: strangers can cause them.
	questionsAtOnce = 16
	// keysEvery is how often a token with an unknown key makes us ask for keys again.
	keysEvery = time.Minute
	// leeway is how far the provider's clock may be from ours.
	leeway = time.Minute
)

// New returns the sign-on of validated settings. It asks nobody.
func New(s Settings, now func() time.Time) (*SignOn, error) {
	secret, err := s.secret()
	if err != nil {
		return nil, fmt.Errorf("people.oidc.client_secret_file: %w", err)
	}
	pool, err := s.pool()
	if err != nil {
		return nil, fmt.Errorf("people.oidc.ca_file: %w", err)
	}
	client := &http.Client{Timeout: answerWait, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, ResponseHeaderTimeout: answerWait, DisableKeepAlives: true,
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the provider answers with a redirect") }}
	seal, err := newSeal()
	if err != nil {
		return nil, err
	}
	return &SignOn{s: s, secret: secret, now: now, client: client, seal: seal, asking: make(chan struct{}, questionsAtOnce), spent: map[string]time.Time{}}, nil
}

// ErrStale is returned for an answer that this browser did not ask for, or asked for too long ago.
var ErrStale = errors.New("this sign-in was not begun here, or too long ago; begin again")

// Begin sends a browser to the provider. Next is where it is to go in the end.
func (o *SignOn) Begin(w http.ResponseWriter, r *http.Request, next string) error {
	p, err := o.provider(r.Context())
	if err != nil {
		return err
	}
	b := begun{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, At: o.now()}
	value := o.sealed(b)
	if len(value) > maxCookie {
		b.Next = "/"
		value = o.sealed(b)
	}
	http.SetCookie(w, o.cookie(r, value))
	http.Redirect(w, r, o.flow(p).AuthCodeURL(b.State, oauth2.S256ChallengeOption(b.Verifier), oauth2.SetAuthURLParam("nonce", b.Nonce)), http.StatusSeeOther)
	return nil
}

func (o *SignOn) flow(p *provider) *oauth2.Config {
	return &oauth2.Config{ClientID: o.s.ClientID, ClientSecret: o.secret, RedirectURL: o.s.RedirectURL, Scopes: o.s.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: p.Authorization, TokenURL: p.Token, AuthStyle: p.style()}}
}

// End reads the provider's answer: who signed in, and where they want to go.
func (o *SignOn) End(w http.ResponseWriter, r *http.Request) (said Said, next string, err error) {
	b, ok := o.begun(r)
	http.SetCookie(w, o.cookie(r, ""))
	q := r.URL.Query()
	if !ok || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(b.State)) != 1 {
		return Said{}, "", ErrStale
	}
	p, err := o.provider(r.Context())
	if err != nil {
		return Said{}, "", err
	}
	// RFC 9207: with several providers at one client, another's answer can't be slipped in.
	if iss := q.Get("iss"); iss != "" && iss != o.s.Issuer {
		return Said{}, "", errors.New("the answer is of another provider")
	}
	if fault := q.Get("error"); fault != "" {
		return Said{}, "", fmt.Errorf("the provider refuses: %.100q", fault)
	}
	code := q.Get("code")
	if code == "" || len(code) > maxSecret {
		return Said{}, "", errors.New("the provider's answer has no code")
	}
	end, err := o.ask(r.Context())
	if err != nil {
		return Said{}, "", err
	}
	token, err := o.flow(p).Exchange(context.WithValue(r.Context(), oauth2.HTTPClient, o.client), code, oauth2.VerifierOption(b.Verifier))
	end()
	if err != nil {
		return Said{}, "", wordless(err)
	}
	raw, _ := token.Extra("id_token").(string)
	claims, err := o.verify(r.Context(), p, raw, b.Nonce)
	if err != nil {
		return Said{}, "", err
	}
	if !o.spend(b) {
		return Said{}, "", ErrStale
	}
	said, err = o.said(claims)
	return said, b.Next, err
}

// wordless keeps what the provider wrote, which may be anything, out of the log and the record.
func wordless(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return fmt.Errorf("the provider does not take the code: status %d %.60q", refused.Response.StatusCode, refused.ErrorCode)
	}
	return fmt.Errorf("ask the provider for a token: %w", err)
}

func (o *SignOn) verify(ctx context.Context, p *provider, raw, nonce string) (jwt.MapClaims, error) {
	if raw == "" || len(raw) > maxToken {
		return nil, errors.New("the provider's answer has no ID token")
	}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods(algorithms()), jwt.WithIssuer(o.s.Issuer), jwt.WithAudience(o.s.ClientID), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(o.now), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(raw, claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		return o.key(ctx, p, id, t.Method.Alg())
	})
	if err != nil {
		return nil, fmt.Errorf("the ID token is not believed: %w", err)
	}
	if got, _ := claims["nonce"].(string); subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) != 1 {
		return nil, errors.New("the ID token is not believed: it was made for another sign-in (nonce)")
	}
	// Core 3.1.3.7: with several audiences, this collector must be the one that it was given to.
	aud, _ := claims.GetAudience()
	azp, has := claims["azp"].(string)
	if len(aud) > 1 && !has || has && azp != o.s.ClientID {
		return nil, errors.New("the ID token is not believed: it was given to another program (azp)")
	}
	return claims, nil
}

// said reads the claims by the settings.
func (o *SignOn) said(claims jwt.MapClaims) (Said, error) {
	text := func(name string) string { v, _ := claims[name].(string); return v }
	out := Said{Subject: text("sub"), Name: text(o.s.NameClaim), Display: line(text("name"))}
	if out.Subject == "" || len(out.Subject) > 255 {
		return Said{}, errors.New("the ID token names nobody (sub)")
	}
	if out.Name == "" {
		return Said{}, fmt.Errorf("the ID token has no claim %q with a name", o.s.NameClaim)
	}
	groups := map[string]bool{}
	switch v := claims[o.s.GroupsClaim].(type) {
	case string:
		groups[v] = true
	case []any:
		for _, g := range v {
			if name, ok := g.(string); ok {
				groups[name] = true
			}
		}
	}
	for _, rule := range o.s.Roles {
		if groups[rule.Group] {
			out.Role = rule.Role
			if len(rule.Districts) > 0 {
				out.Districts = slices.Clone(rule.Districts)
			}
			break
		}
	}
	return out, nil
}

// line is a name as accounts may have it.
func line(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}

// key returns the provider's key of that ID for an algorithm. Keys are asked for when one is not known, since providers
// change them, but not for each of a flood of made-up IDs.
func (o *SignOn) key(ctx context.Context, p *provider, id, alg string) (any, error) {
	o.mu.Lock()
	k, known := p.keys[id]
	ask := !known && (p.keys == nil || o.now().Sub(o.lastKeys).Abs() >= keysEvery)
	if ask {
		o.lastKeys = o.now()
	}
	o.mu.Unlock()
	if ask {
		data, err := o.get(ctx, p.Keys)
		var keys map[string]key
		if err == nil {
			keys, err = readKeySet(data)
		}
		if err != nil {
			return nil, fmt.Errorf("the provider's keys: %w", err)
		}
		o.mu.Lock()
		p.keys = keys
		k, known = keys[id]
		o.mu.Unlock()
	}
	if !known {
		return nil, errors.New("it is signed by a key that the provider does not have")
	}
	if !k.takes(alg) {
		return nil, fmt.Errorf("its key is not for %s", cmp.Or(alg, "nothing"))
	}
	return k.public, nil
}
