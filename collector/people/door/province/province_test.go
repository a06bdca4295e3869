package province

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"communewatch/collector/people"
)

const clientSecret = "planted client secret"

// provider is a small real one: discovery, keys, a token endpoint that looks at the code, the client and the verifier.
type testProvider struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex // guards the fields below
	rsa      *rsa.PrivateKey
	ec       *ecdsa.PrivateKey
	codes    map[string]url.Values // by code: what the browser was sent with
	claims   func(jwt.MapClaims)   // changes what is told
	sign     func(jwt.MapClaims) string
	issuer   string
	away     bool
	keysRead int
	last     url.Values // what came with the code that was last exchanged
}

func newProvider(t *testing.T) *testProvider {
	p := &testProvider{t: t, codes: map[string]url.Values{}}
	var err1, err2 error
	p.rsa, err1 = rsa.GenerateKey(rand.Reader, 2048)
	p.ec, err2 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	p.issuer = p.URL
	p.sign = func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodRS256, "rsa", p.rsa, c) }
	return p
}

func (p *testProvider) signed(m jwt.SigningMethod, kid string, key any, c jwt.MapClaims) string {
	token := jwt.NewWithClaims(m, c)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		p.t.Error(err)
	}
	return text
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *testProvider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer(map[string]any{"issuer": p.issuer, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys"})
	case "/keys":
		p.keysRead++
		xy, _ := p.ec.PublicKey.Bytes()
		answer(map[string]any{"keys": []any{
			map[string]string{"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": b64(p.rsa.N.Bytes()), "e": b64(big.NewInt(int64(p.rsa.E)).Bytes())},
			map[string]string{"kty": "EC", "kid": "ec", "crv": "P-256", "x": b64(xy[1:33]), "y": b64(xy[33:])},
			map[string]string{"kty": "RSA", "kid": "small", "n": b64([]byte{1, 2, 3}), "e": "AQAB"},
			map[string]string{"kty": "oct", "kid": "oct", "k": b64([]byte("shared"))},
		}})
	case "/token":
		id, secret, _ := r.BasicAuth()
		sent, known := p.codes[r.FormValue("code")]
		delete(p.codes, r.FormValue("code"))
		if known {
			p.last = sent
		}
		challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !known || id != "communewatch" || secret != url.QueryEscape(clientSecret) && secret != clientSecret || r.FormValue("redirect_uri") != sent.Get("redirect_uri") ||
			b64(challenge[:]) != sent.Get("code_challenge") || sent.Get("code_challenge_method") != "S256" {
			w.WriteHeader(http.StatusBadRequest)
			answer(map[string]string{"error": "invalid_grant", "error_description": "planted description"})
			return
		}
		claims := jwt.MapClaims{"iss": p.issuer, "aud": "communewatch", "sub": "4711", "nonce": sent.Get("nonce"), "iat": now().Unix(), "exp": now().Add(time.Minute).Unix(),
			"preferred_username": "Lan", "name": "Nguyễn Thị Lan\n<script>", "groups": []string{"can-bo", "cw-vinh-yen"}}
		if p.claims != nil {
			p.claims(claims)
		}
		w.Header().Set("Content-Type", "application/json")
		answer(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(claims)})
	default:
		http.NotFound(w, r)
	}
}

func now() time.Time { return time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC) }

func (p *testProvider) settings(t *testing.T) Settings {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	s := DefaultSettings()
	s.Issuer, s.ClientID, s.RedirectURL = p.URL, "communewatch", "https://collector:8787"+CallbackPath
	s.ClientSecretFile = write("secret", []byte(clientSecret+"\n"))
	s.CAFile = write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	s.Roles = []Rule{{Group: "cw-admin", Role: people.RoleAdmin}, {Group: "cw-vinh-yen", Role: people.RoleViewer, Districts: []string{"Vĩnh Yên"}}}
	s.Create = true
	return s
}

// visit is a browser on its way: to the provider, and back with what the test makes of the answer.
func (p *testProvider) visit(t *testing.T, o *SignOn, change func(answer url.Values, cookies map[string]string)) (Said, string, error) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := o.Begin(w, httptest.NewRequest("GET", "/sign-in/oidc", nil), "/reports"); err != nil {
		return Said{}, "", err
	}
	to, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusSeeOther || !strings.HasPrefix(to.String(), p.URL+"/auth?") {
		t.Fatal(w.Code, to, err)
	}
	p.mu.Lock()
	p.codes["the code"] = to.Query()
	p.mu.Unlock()
	answer, cookies := url.Values{"state": {to.Query().Get("state")}, "code": {"the code"}}, map[string]string{}
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Error(c)
		}
		cookies[c.Name] = c.Value
	}
	if change != nil {
		change(answer, cookies)
	}
	r := httptest.NewRequest("GET", CallbackPath+"?"+answer.Encode(), nil)
	for k, v := range cookies {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	return o.End(httptest.NewRecorder(), r)
}

func newSignOn(t *testing.T, s Settings) *SignOn {
	t.Helper()
	s.Validate(func(at, format string, args ...any) { t.Errorf(at+": "+format, args...) })
	o, err := New(s, now)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestSignOn(t *testing.T) {
	p := newProvider(t)
	o := newSignOn(t, p.settings(t))
	for range 2 {
		said, next, err := p.visit(t, o, nil)
		if err != nil || said.Subject != "4711" || said.Name != "Lan" || said.Display != "Nguyễn Thị Lan <script>" || said.Role != people.RoleViewer || len(said.Districts) != 1 || next != "/reports" {
			t.Errorf("%+v %q %v", said, next, err)
		}
	}
	p.sign = func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodES256, "ec", p.ec, c) }
	p.claims = func(c jwt.MapClaims) { c["groups"] = "cw-admin" }
	if said, _, err := p.visit(t, o, nil); err != nil || said.Role != people.RoleAdmin || said.Districts != nil {
		t.Errorf("%+v %v", said, err)
	}
	p.claims = func(c jwt.MapClaims) { delete(c, "groups") }
	if said, _, err := p.visit(t, o, nil); err != nil || said.Role != people.RoleNobody {
		t.Errorf("%+v %v", said, err)
	}
	if p.keysRead != 1 {
		t.Errorf("keys were asked for %d times", p.keysRead)
	}
}

func TestForgedAnswers(t *testing.T) {
	p := newProvider(t)
	for name, change := range map[string]func(url.Values, map[string]string){
		"no state":             func(a url.Values, _ map[string]string) { a.Del("state") },
		"another state":        func(a url.Values, _ map[string]string) { a.Set("state", "x") },
		"no cookie":            func(_ url.Values, c map[string]string) { clear(c) },
		"another's cookie":     func(_ url.Values, c map[string]string) { c[cookiePlain] = "x" },
		"no code":              func(a url.Values, _ map[string]string) { a.Del("code") },
		"a made-up code":       func(a url.Values, _ map[string]string) { a.Set("code", "x") },
		"another provider's":   func(a url.Values, _ map[string]string) { a.Set("iss", "https://evil.example") },
		"the provider refuses": func(a url.Values, _ map[string]string) { a.Set("error", "access_denied") },
	} {
		said, next, err := p.visit(t, newSignOn(t, p.settings(t)), change)
		if err == nil || said.Subject != "" || next != "" {
			t.Errorf("%s: %+v %v", name, said, err)
		} else if strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An answer works once, also with its own cookie.
	o := newSignOn(t, p.settings(t))
	var answer url.Values
	var cookies map[string]string
	if _, _, err := p.visit(t, o, func(a url.Values, c map[string]string) { answer, cookies = a, c }); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", CallbackPath+"?"+answer.Encode(), nil)
	for k, v := range cookies {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	if _, _, err := o.End(httptest.NewRecorder(), r); err == nil {
		t.Error("an answer works twice")
	}
	// Also where the provider would take its code again.
	p.mu.Lock()
	p.codes["the code"] = p.last
	p.mu.Unlock()
	r = r.Clone(t.Context())
	if _, _, err := o.End(httptest.NewRecorder(), r); !errors.Is(err, ErrStale) {
		t.Error("an answer works twice at a careless provider:", err)
	}
	// A cookie of before a restart, or of long ago, is good for nothing.
	if _, _, err := newSignOn(t, p.settings(t)).End(httptest.NewRecorder(), r); !errors.Is(err, ErrStale) {
		t.Error(err)
	}
	o.now = func() time.Time { return now().Add(underWayFor + time.Second) }
	if _, ok := o.begun(r); ok {
		t.Error("a sign-in is under way for ever")
	}
}

// Whoever begins many sign-ins, from one address or from many, keeps nobody from theirs, and fills nothing.
func TestManyBegun(t *testing.T) {
	p := newProvider(t)
	o := newSignOn(t, p.settings(t))
	said, _, err := p.visit(t, o, func(url.Values, map[string]string) {
		for range 5000 {
			r := httptest.NewRequest("GET", "/sign-in/oidc", nil)
			r.RemoteAddr = "10.0.0.66:1000"
			if err := o.Begin(httptest.NewRecorder(), r, "/"); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err != nil || said.Subject != "4711" || len(o.spent) != 1 {
		t.Error(said, err, len(o.spent))
	}
	// Where somebody wants to go has to fit into a cookie.
	w := httptest.NewRecorder()
	if err := o.Begin(w, httptest.NewRequest("GET", "/sign-in/oidc", nil), "/reports?"+strings.Repeat("&", 1900)); err != nil {
		t.Fatal(err)
	}
	if b, ok := o.opened(w.Result().Cookies()[0].Value); !ok || b.Next != "/" {
		t.Errorf("%+v %t", b, ok)
	}
}

func TestForgedTokens(t *testing.T) {
	p := newProvider(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	claim := func(name string, v any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = v } }
	type forged struct {
		claims func(jwt.MapClaims)
		sign   func(jwt.MapClaims) string
	}
	honest := p.sign
	for name, f := range map[string]forged{
		"another nonce":         {claims: claim("nonce", "x")},
		"no nonce":              {claims: func(c jwt.MapClaims) { delete(c, "nonce") }},
		"another issuer":        {claims: claim("iss", "https://evil.example")},
		"for another program":   {claims: claim("aud", "other")},
		"for two, to the other": {claims: func(c jwt.MapClaims) { c["aud"], c["azp"] = []string{"communewatch", "other"}, "other" }},
		"for two, to nobody":    {claims: claim("aud", []string{"communewatch", "other"})},
		"expired":               {claims: claim("exp", now().Add(-2*time.Minute).Unix())},
		"without expiry":        {claims: func(c jwt.MapClaims) { delete(c, "exp") }},
		"not yet valid":         {claims: claim("nbf", now().Add(2*time.Minute).Unix())},
		"of the future":         {claims: claim("iat", now().Add(2*time.Minute).Unix())},
		"of nobody":             {claims: func(c jwt.MapClaims) { delete(c, "sub") }},
		"without a name":        {claims: func(c jwt.MapClaims) { delete(c, "preferred_username") }},
		"signed by another":     {sign: func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodRS256, "rsa", other, c) }},
		"by an unknown key":     {sign: func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodRS256, "new", p.rsa, c) }},
		"by a small key":        {sign: func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodRS256, "small", p.rsa, c) }},
		"not signed": {sign: func(c jwt.MapClaims) string {
			return p.signed(jwt.SigningMethodNone, "rsa", jwt.UnsafeAllowNoneSignatureType, c)
		}},
		"by a shared secret": {sign: func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodHS256, "oct", []byte("shared"), c) }},
		"the public key as the secret": {sign: func(c jwt.MapClaims) string {
			return p.signed(jwt.SigningMethodHS256, "rsa", p.rsa.N.Bytes(), c)
		}},
		"with another algorithm of the key": {sign: func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodRS512, "rsa", p.rsa, c) }},
		"with a key of another kind":        {sign: func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodEdDSA, "ec", crypto.Signer(edwards), c) }},
		"cut short":                         {sign: func(c jwt.MapClaims) string { s := honest(c); return s[:len(s)-10] }},
		"changed": {sign: func(c jwt.MapClaims) string {
			s := strings.Split(honest(c), ".")
			c["sub"] = "1"
			return s[0] + "." + strings.Split(honest(c), ".")[1] + "." + s[2]
		}},
		"nothing":         {sign: func(jwt.MapClaims) string { return "" }},
		"no token at all": {sign: func(jwt.MapClaims) string { return strings.Repeat("a.", 5) }},
	} {
		p.mu.Lock()
		if p.claims, p.sign = f.claims, f.sign; p.sign == nil {
			p.sign = honest
		}
		p.mu.Unlock()
		if said, _, err := p.visit(t, newSignOn(t, p.settings(t)), nil); err == nil || said.Subject != "" {
			t.Errorf("%s: %+v", name, said)
		}
	}
}

// A provider that is away keeps out its own users, and nobody else; and is asked again.
func TestProviderAway(t *testing.T) {
	p := newProvider(t)
	p.away = true
	o := newSignOn(t, p.settings(t))
	if _, _, err := p.visit(t, o, nil); err == nil || !strings.Contains(err.Error(), "status 503") {
		t.Error(err)
	}
	p.mu.Lock()
	p.away = false
	p.mu.Unlock()
	if _, _, err := p.visit(t, o, nil); err != nil {
		t.Error(err)
	}
	p.issuer = "https://other.example"
	if _, _, err := p.visit(t, newSignOn(t, p.settings(t)), nil); err == nil || !strings.Contains(err.Error(), "calls itself") {
		t.Error(err)
	}
	p.issuer = p.URL
	s := p.settings(t)
	s.CAFile = ""
	if _, _, err := p.visit(t, newSignOn(t, s), nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error("a provider with a certificate of nobody's:", err)
	}
}

// Keys that the provider changes are found, and made-up ones are not asked for each time.
func TestKeysChange(t *testing.T) {
	p := newProvider(t)
	o := newSignOn(t, p.settings(t))
	if _, _, err := p.visit(t, o, nil); err != nil {
		t.Fatal(err)
	}
	honest := p.sign
	p.sign = func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodRS256, "made up", p.rsa, c) }
	for range 5 {
		if _, _, err := p.visit(t, o, nil); err == nil {
			t.Error("signed by nobody")
		}
	}
	if p.keysRead != 1 {
		t.Errorf("keys were asked for %d times within a minute", p.keysRead)
	}
	p.sign = honest
	if _, _, err := p.visit(t, o, nil); err != nil {
		t.Error(err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	p := newProvider(t)
	for want, change := range map[string]func(*Settings){
		"issuer":             func(s *Settings) { s.Issuer = "http://sso.example" },
		"redirect_url":       func(s *Settings) { s.RedirectURL = "https://collector/elsewhere" },
		"client_id":          func(s *Settings) { s.ClientID = "" },
		"client_secret_file": func(s *Settings) { s.ClientSecretFile += "x" },
		"ca_file":            func(s *Settings) { s.CAFile = s.ClientSecretFile },
		"scopes":             func(s *Settings) { s.Scopes = []string{"email"} },
		"roles[0].role":      func(s *Settings) { s.Roles[0].Role = "root" },
		"roles[1].group":     func(s *Settings) { s.Roles[1].Group = "" },
		"create":             func(s *Settings) { s.Roles = nil },
	} {
		s := p.settings(t)
		change(&s)
		var got []string
		s.Validate(func(at, format string, args ...any) {
			got = append(got, at)
			if text := fmt.Sprintf(format, args...); strings.Contains(text, clientSecret) {
				t.Error(text)
			}
		})
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q", want, got)
		}
	}
	empty := DefaultSettings()
	empty.Validate(func(at, format string, args ...any) { t.Errorf(at+": "+format, args...) })
}
