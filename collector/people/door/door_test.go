package door

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/people/password"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/people"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "planted password 7f3a"

// house is a door with a registry, a clock, a log, and behind it a handler that tells who came through.
type house struct {
	*Door
	store *kept.Store
	h     http.Handler
	log   bytes.Buffer

	mu   sync.Mutex // guards the fields below
	now  time.Time
	seen people.Caller
	came int
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func newHouse(t *testing.T, change ...func(*Options)) *house {
	t.Helper()
	h := &house{now: time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)}
	log := slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: log, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	h.store = reg.People()
	o := Options{Store: h.store, Settings: DefaultSettings(), Cost: password.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}, Now: h.clock, Log: log, Tell: io.Discard}
	for _, c := range change {
		c(&o)
	}
	if h.Door, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.h = h.Middleware(http.HandlerFunc(h.behind))
	return h
}

// behind stands for the pages.
func (h *house) behind(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.seen, h.came = people.From(r.Context()), h.came+1
	h.mu.Unlock()
	var err error
	switch r.Method + " " + r.URL.Path {
	case "POST /sign-in":
		_, err = h.SignIn(w, r, r.PostFormValue("name"), r.PostFormValue("password"))
	case "POST /sign-out":
		err = h.SignOut(w, r)
	case "POST /account":
		err = h.ChangePassword(w, r, r.PostFormValue("old"), r.PostFormValue("new"))
	case "GET /api/v1/events":
		<-r.Context().Done()
		return
	}
	var wait *Wait
	switch {
	case errors.Is(err, ErrWrong):
		w.WriteHeader(http.StatusUnauthorized)
	case errors.As(err, &wait):
		w.WriteHeader(http.StatusTooManyRequests)
	case err != nil:
		http.Error(w, err.Error(), http.StatusTeapot)
	}
}

func (h *house) add(t *testing.T, name string, role people.Role, districts ...string) {
	t.Helper()
	hash, err := h.hasher.Hash(t.Context(), secret+name)
	if err == nil {
		err = h.store.Add(command(), kept.Person{Name: name, Display: "Chị " + name, Role: role, Districts: districts}, hash)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func command() context.Context {
	return people.With(context.Background(), people.Caller{Name: "root", Role: people.RoleAdmin, Via: "command"})
}

// browser keeps cookies as one does.
type browser struct {
	t       *testing.T
	h       *house
	from    string
	tls     bool
	cookies map[string]string
}

func (h *house) browser(t *testing.T, from string) *browser {
	return &browser{t: t, h: h, from: from, cookies: map[string]string{}}
}

func (b *browser) do(method, target string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, target, body)
	r.RemoteAddr = b.from
	if strings.HasPrefix(b.from, "127.") {
		r.Host = "127.0.0.1:8787"
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.tls {
		r.TLS = &tls.ConnectionState{}
	}
	for k, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	b.h.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

func (b *browser) get(target string, change ...func(*http.Request)) int {
	b.t.Helper()
	return b.do(http.MethodGet, target, nil, change...).Code
}

func (b *browser) signIn(name, password string) int {
	b.t.Helper()
	return b.do(http.MethodPost, "/sign-in", url.Values{"name": {name}, "password": {password}}).Code
}

func (b *browser) proof() string {
	for _, v := range b.cookies {
		return proofOf(v)
	}
	return ""
}

func (h *house) signedIn(t *testing.T, name string) *browser {
	t.Helper()
	b := h.browser(t, "10.0.0.5:4000")
	if code := b.signIn(name, secret+name); code != http.StatusOK {
		t.Fatalf("%s is not let in: %d", name, code)
	}
	return b
}

func key(k string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+k) }
}

func (h *house) key(t *testing.T, of string, role people.Role, districts ...string) string {
	t.Helper()
	k := kept.Key{Person: of, Role: role, Expires: h.clock().Add(24 * time.Hour)}
	if len(districts) > 0 {
		k.Districts = districts
	}
	text, _, err := h.store.CreateKey(command(), k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSignIn(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleOperator, "Vĩnh Yên")
	b := h.browser(t, "10.0.0.5:4000")
	w := b.do(http.MethodGet, "/sites/s1?lang=en&x=%2F", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign-in?next=%2Fsites%2Fs1%3Flang%3Den%26x%3D%252F" {
		t.Error(w.Code, w.Header())
	}
	if w := b.do(http.MethodGet, "/api/v1/sites", nil); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"code":"unauthorized"`) || w.Header().Get("WWW-Authenticate") == "" {
		t.Error(w.Code, w.Header(), w.Body)
	}
	for _, wrong := range [][2]string{{"lan", "wrong"}, {"LAN", ""}, {"nobody", secret + "lan"}, {"", ""}} {
		if code := b.signIn(wrong[0], wrong[1]); code != http.StatusUnauthorized || len(b.cookies) != 0 {
			t.Errorf("%q: %d %v", wrong, code, b.cookies)
		}
	}
	w = b.do(http.MethodPost, "/sign-in", url.Values{"name": {" Lan "}, "password": {secret + "lan"}})
	cookie := w.Header().Get("Set-Cookie")
	if w.Code != http.StatusOK || !strings.HasPrefix(cookie, "communewatch-session=") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || strings.Contains(cookie, "Domain") {
		t.Error(w.Code, cookie)
	}
	if b.get("/sites/s1") != http.StatusOK || h.seen.Name != "lan" || h.seen.Display != "Chị lan" || h.seen.Role != people.RoleOperator || h.seen.Sees("Phúc Yên") || !h.seen.Sees("Vĩnh Yên") ||
		h.seen.Via != "session" || h.seen.Address != "10.0.0.5" || h.seen.Proof == "" {
		t.Errorf("%+v", h.seen)
	}
	old := b.cookies["communewatch-session"]
	if w := b.do(http.MethodPost, "/sign-out", url.Values{"proof": {b.proof()}}); w.Code != http.StatusOK || len(b.cookies) != 0 {
		t.Error(w.Code, b.cookies)
	}
	b.cookies["communewatch-session"] = old
	if b.get("/") != http.StatusSeeOther {
		t.Error("signed out, and the cookie still opens")
	}
	// Over TLS the cookie is this host's alone, and one without is not looked at.
	b = h.browser(t, "10.0.0.5:4000")
	b.tls = true
	if cookie := b.do(http.MethodPost, "/sign-in", url.Values{"name": {"lan"}, "password": {secret + "lan"}}).Header().Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-communewatch=") || !strings.Contains(cookie, "Secure") || !strings.Contains(cookie, "Path=/;") {
		t.Error(cookie)
	}
	if b.get("/") != http.StatusOK {
		t.Error("not let in over TLS")
	}
	b.cookies = map[string]string{cookiePlain: b.cookies[cookieTLS]}
	if b.get("/") != http.StatusSeeOther {
		t.Error("a cookie that anybody on the line could have set opens over TLS")
	}
	entries, err := h.store.Entries(t.Context(), audit.Filter{Act: "sign_in"})
	if err != nil || len(entries) != 2 || entries[0].Who != "lan" || entries[0].Address != "10.0.0.5" || entries[0].Via != "screen" {
		t.Errorf("%+v %v", entries, err)
	}
	failed, _ := h.store.Entries(t.Context(), audit.Filter{Act: "sign_in.failed"})
	if len(failed) != 4 || failed[0].OK {
		t.Errorf("%+v", failed)
	}
}

// The whole table: each role, and nobody, with each address. What a role may is written down in package people; here it
// is that the door keeps to it.
func TestEachRoleWithEachAddress(t *testing.T) {
	h := newHouse(t)
	who := map[people.Role]*browser{"": h.browser(t, "10.0.0.9:1")}
	for _, role := range people.Roles() {
		h.add(t, "a"+string(role), role)
		who[role] = h.signedIn(t, "a"+string(role))
	}
	h.add(t, "narrow", people.RoleAdmin, "Vĩnh Yên")
	narrow := h.signedIn(t, "narrow")
	n := 0
	for pattern, need := range addresses() {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = http.MethodDelete, pattern+"whatever"
		}
		path = strings.NewReplacer("{$}", "", "{id}", "1", "{site}", "s1", "{agent}", "pc", "{secret}", "x").Replace(path)
		ask := func(b *browser) int {
			var form url.Values
			if method == http.MethodPost {
				form = url.Values{"proof": {b.proof()}}
			}
			before := h.came
			w := b.do(method, path, form, func(r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				cancel() // ends a stream; nothing else looks
				r.Header.Set(ProofHeader, b.proof())
				if isStream(r) {
					*r = *r.WithContext(ctx)
				}
			})
			if h.came > before {
				return http.StatusOK
			}
			return w.Code
		}
		if path == "/api/v1/events" || path == "/sign-out" {
			continue // the first is TestStreamEnds', the second ends the session
		}
		n++
		for role, b := range who {
			want := http.StatusForbidden
			switch {
			case need.open, need.own && role != "", role.May(need.act) && need.act != "":
				want = http.StatusOK
			case role == "" && (strings.HasPrefix(path, "/api/") || path == "/metrics"):
				want = http.StatusUnauthorized
			case role == "":
				want = http.StatusSeeOther
			}
			if got := ask(b); got != want {
				t.Errorf("%s as %q: %d, want %d", pattern, role, got, want)
			}
		}
		if got := ask(narrow); (got == http.StatusOK) == need.whole {
			t.Errorf("%s as an administrator of a district: %d", pattern, got)
		}
	}
	if n < 60 {
		t.Errorf("only %d addresses", n)
	}
}

// What nobody thought of is for administrators to change, and for viewers to read.
func TestUnknownAddresses(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleOperator)
	b := h.signedIn(t, "lan")
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "BREW"} {
		for _, path := range []string{"/nowhere", "/sites/s1", "/api/v1/sites/s1", "/inventory", "//inventory", "/rehearsals/../inventory"} {
			if w := b.do(method, path, nil, func(r *http.Request) { r.Header.Set(ProofHeader, b.proof()) }); w.Code != http.StatusForbidden {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	h.add(t, "hung", people.RoleViewer)
	b = h.signedIn(t, "hung")
	for path, want := range map[string]int{"/nowhere": 200, "/inventory": 403, "/inventory/": 403, "/inventory/x/y": 403, "/inventory.xlsx": 403, "/api/v1/inventory/devices/d1": 403, "/api/v1/inventory/": 403, "/fleet/x": 403} {
		if got := b.get(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestForgedRequests(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleAdmin)
	b := h.signedIn(t, "lan")
	other := h.signedIn(t, "lan")
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	form := func(proof string) url.Values { return url.Values{"proof": {proof}, "meeting": {"x"}} }
	for name, w := range map[string]*httptest.ResponseRecorder{
		"without proof":         b.do("POST", "/rehearsals", form("")),
		"of another session":    b.do("POST", "/rehearsals", form(other.proof())),
		"as plain text":         b.do("POST", "/rehearsals", form(b.proof()), header("Content-Type", "text/plain")),
		"in the address":        b.do("POST", "/rehearsals?proof="+b.proof(), form("")),
		"another site's":        b.do("POST", "/rehearsals", form(b.proof()), header("Sec-Fetch-Site", "cross-site")),
		"a sister site's":       b.do("POST", "/rehearsals", form(b.proof()), header("Sec-Fetch-Site", "same-site")),
		"another origin's":      b.do("POST", "/rehearsals", form(b.proof()), header("Origin", "https://evil.example")),
		"another origin's JSON": b.do("POST", "/api/v1/rehearsals", nil, header("Content-Type", "application/json"), header("Origin", "https://evil.example")),
		"sign-in from outside":  b.do("POST", "/sign-in", url.Values{"name": {"lan"}, "password": {secret + "lan"}}, header("Origin", "https://evil.example")),
		"sign-out from outside": b.do("POST", "/sign-out", url.Values{}),
		"a form without end":    b.do("POST", "/rehearsals", url.Values{"meeting": {strings.Repeat("x", 2<<20)}, "proof": {b.proof()}}),
	} {
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	// Nobody has files of any size put on the disk, signed in or not.
	for _, address := range []string{"/rehearsals", "/sign-in", "/first/x"} {
		if w := b.do("POST", address, form(b.proof()), header("Content-Type", "Multipart/form-data; boundary=x")); w.Code != http.StatusUnsupportedMediaType {
			t.Errorf("multipart to %s: %d", address, w.Code)
		}
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"its own form":     b.do("POST", "/rehearsals", form(b.proof()), header("Sec-Fetch-Site", "same-origin")),
		"its own script":   b.do("POST", "/rehearsals", nil, header(ProofHeader, b.proof())),
		"its own JSON":     b.do("POST", "/api/v1/rehearsals", nil, header("Content-Type", "application/json"), header("Origin", "http://example.com")),
		"reads, from away": b.do("GET", "/", nil, header("Sec-Fetch-Site", "cross-site")),
	} {
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// A cookie that somebody planted before the sign-in is worth nothing after it.
func TestSessionFixation(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleAdmin)
	h.add(t, "mallory", people.RoleViewer)
	planted := h.signedIn(t, "mallory").cookies[cookiePlain]
	b := h.browser(t, "10.0.0.5:4000")
	for _, before := range []string{planted, "chosen-by-mallory"} {
		b.cookies[cookiePlain] = before
		if code := b.signIn("lan", secret+"lan"); code != http.StatusOK || b.cookies[cookiePlain] == before {
			t.Fatal(code, "the session kept its secret")
		}
		m := h.browser(t, "10.6.6.6:1")
		m.cookies[cookiePlain] = before
		if m.get("/") != http.StatusSeeOther {
			t.Error("the planted cookie opens")
		}
	}
}

func TestChangesActAtOnce(t *testing.T) {
	h := newHouse(t)
	h.add(t, "root1", people.RoleAdmin)
	h.add(t, "lan", people.RoleAdmin)
	b := h.signedIn(t, "lan")
	text := h.key(t, "lan", people.RoleOperator)
	program := h.browser(t, "10.0.0.8:1")
	if b.get("/fleet/people") != 200 || program.get("/api/v1/fleet", key(text)) != 200 || h.seen.Via != "key" || !strings.HasPrefix(h.seen.Name, "lan/") {
		t.Errorf("%+v", h.seen)
	}
	role := people.RoleViewer
	if err := h.store.Set(command(), "lan", kept.Change{Role: &role}); err != nil {
		t.Fatal(err)
	}
	if b.get("/fleet/people") != 403 || b.get("/") != 200 {
		t.Error("a session has rights that its account lost")
	}
	if program.get("/api/v1/sites", key(text)) != 401 {
		t.Error("a key may do more than its owner")
	}
	off := true
	viewing := h.key(t, "lan", people.RoleViewer)
	if program.get("/api/v1/sites", key(viewing)) != 200 {
		t.Error("a key of the new role")
	}
	if err := h.store.Set(command(), "lan", kept.Change{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	if b.get("/") != 303 || program.get("/api/v1/sites", key(viewing)) != 401 || b.signIn("lan", secret+"lan") != 401 {
		t.Error("a disabled account can be used")
	}
}

func TestKeyScopes(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleAdmin)
	h.add(t, "hung", people.RoleOperator, "Vĩnh Yên", "Phúc Yên")
	b := h.browser(t, "10.0.0.8:1")
	for _, c := range []struct {
		text, path string
		want       int
	}{
		{h.key(t, "lan", people.RoleViewer), "/api/v1/sites", 200},
		{h.key(t, "lan", people.RoleViewer), "/api/v1/inventory/devices", 403},
		{h.key(t, "lan", people.RoleProcurement), "/api/v1/inventory/devices", 200},
		{h.key(t, "lan", people.RoleOperator), "/api/v1/audit", 403},
		{h.key(t, "lan", people.RoleAdmin), "/api/v1/audit", 200},
		{h.key(t, "lan", people.RoleAdmin, "Vĩnh Yên"), "/api/v1/audit", 403},
		{h.key(t, "lan", people.RoleViewer, "Vĩnh Yên"), "/metrics", 403},
		{"cw1k_aaaaaaaa_" + strings.Repeat("a", 52), "/api/v1/sites", 401},
	} {
		if got := b.get(c.path, key(c.text)); got != c.want {
			t.Errorf("%s: %d, want %d", c.path, got, c.want)
		}
	}
	if b.get("/api/v1/sites", key(h.key(t, "hung", people.RoleViewer, "Phúc Yên"))) != 200 || h.seen.Sees("Vĩnh Yên") || !h.seen.Sees("Phúc Yên") {
		t.Errorf("%+v", h.seen)
	}
	if b.get("/api/v1/sites", key(h.key(t, "hung", people.RoleViewer))) != 200 || !h.seen.Sees("Vĩnh Yên") || h.seen.Everywhere() {
		t.Errorf("%+v", h.seen)
	}
	// A key needs no proof: no browser sends it by itself.
	if w := b.do("POST", "/api/v1/rehearsals", nil, key(h.key(t, "lan", people.RoleOperator))); w.Code != 200 {
		t.Error(w.Code)
	}
	// Who tries keys is made to wait, at their own address.
	for range 40 {
		b.get("/api/v1/sites", key("cw1k_bbbbbbbb_"+strings.Repeat("b", 52)))
	}
	if w := b.do("GET", "/api/v1/sites", nil, key("cw1k_bbbbbbbb_"+strings.Repeat("b", 52))); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Error(w.Code, w.Header())
	}
	if h.browser(t, "10.0.0.7:1").get("/api/v1/sites", key(h.key(t, "lan", people.RoleViewer))) != 200 {
		t.Error("another address has to wait too")
	}
}

// Operators' codes of rehearsals work as they did: who takes the order looks at them.
func TestOperatorsCodes(t *testing.T) {
	h := newHouse(t)
	b := h.browser(t, "10.0.0.8:1")
	if w := b.do("POST", "/api/v1/rehearsals", nil, key("cw1_abcdefgh_x")); w.Code != 200 || h.seen.Name != "" || h.seen.May(people.ActView) {
		t.Error(w.Code, h.seen)
	}
	if w := b.do("POST", "/rehearsals", url.Values{"code": {"cw1_abcdefgh_x"}}); w.Code != 200 {
		t.Error(w.Code)
	}
	for _, path := range []string{"/api/v1/sites", "/api/v1/rehearsals", "/api/v1/inventory/devices"} {
		if got := b.get(path, key("cw1_abcdefgh_x")); got != 401 {
			t.Errorf("%s with an operator's code: %d", path, got)
		}
	}
	if w := b.do("POST", "/api/v1/fleet/codes", nil, key("cw1_abcdefgh_x")); w.Code != 401 {
		t.Error(w.Code)
	}
}

func TestAnonymous(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Settings.Anonymous = people.RoleViewer })
	b := h.browser(t, "10.0.0.8:1")
	if b.get("/") != 200 || h.seen.Name != "" || h.seen.Role != people.RoleViewer || b.get("/inventory") != 303 || b.get("/account") != 303 {
		t.Errorf("%+v", h.seen)
	}
	for role, ok := range map[people.Role][2]bool{"": {true, true}, people.RoleViewer: {true, true}, people.RoleOperator: {false, true}, people.RoleAdmin: {false, true}, "root": {false, false}} {
		for i, loopback := range []bool{false, true} {
			s := DefaultSettings()
			s.Anonymous = role
			bad := 0
			s.Validate(loopback, func(string, string, ...any) { bad++ })
			if (bad == 0) != ok[i] {
				t.Errorf("anonymous %q, loopback %v: %d problems", role, loopback, bad)
			}
		}
	}
}

// Whoever guesses passwords is slowed down, and nobody can keep an account's owner out.
func TestBruteForce(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleAdmin)
	home := h.browser(t, "10.0.0.5:4000")
	if home.signIn("lan", secret+"lan") != 200 {
		t.Fatal("not let in")
	}
	guess := func(from string, n int) (looked int) {
		for range n {
			if h.browser(t, from).signIn("lan", "a guess") == 401 {
				looked++
			}
		}
		return looked
	}
	if n := guess("192.0.2.1:1", 50); n != freeOfPair {
		t.Errorf("%d guesses from one address were looked at", n)
	}
	if code := h.browser(t, "192.0.2.1:9").signIn("lan", secret+"lan"); code != 429 {
		t.Error("the right password in a pause:", code)
	}
	total := 0
	for range 24 * 4 { // a day long, as often as it may
		h.pass(15 * time.Minute)
		total += guess("192.0.2.1:1", 3)
	}
	if total > 24*4 {
		t.Errorf("%d guesses in a day", total)
	}
	// From a thousand addresses, each with a few of its own.
	total = 0
	for i := range 1000 {
		total += guess(fmt.Sprintf("198.51.%d.%d:1", i/250, i%250+1), 1)
	}
	if total > freeOfAccount+2 {
		t.Errorf("%d guesses from a thousand addresses in a moment", total)
	}
	if code := h.browser(t, "203.0.113.7:1").signIn("lan", secret+"lan"); code != 429 {
		t.Error("from an address that was never hers, while it is tried from everywhere:", code)
	}
	if code := h.browser(t, "10.0.0.5:777").signIn("lan", secret+"lan"); code != 200 {
		t.Error("the owner is locked out at her own desk:", code)
	}
	h.pass(2 * time.Hour)
	if code := h.browser(t, "203.0.113.7:1").signIn("lan", secret+"lan"); code != 200 {
		t.Error("two hours later:", code)
	}
	// One address tries many names.
	total = 0
	for i := range 200 {
		if h.browser(t, "192.0.2.77:1").signIn(fmt.Sprintf("name%d", i), "a guess") == 401 {
			total++
		}
	}
	if total > freeOfAddress+1 {
		t.Errorf("%d names were tried from one address", total)
	}
	// The record does not grow with every guess.
	for act, most := range map[string]int{"sign_in.failed": 250, "sign_in.paused": 200} {
		entries, err := h.store.Entries(t.Context(), audit.Filter{Act: act, Limit: 10_000})
		if err != nil || len(entries) > most || len(entries) < 20 {
			t.Error(act, len(entries), err)
		}
	}
}

func TestMustChangePassword(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleAdmin)
	hash, _ := h.hasher.Hash(t.Context(), secret+"lan")
	if err := h.store.SetPassword(command(), "lan", hash, true, ""); err != nil {
		t.Fatal(err)
	}
	b := h.signedIn(t, "lan")
	if w := b.do("GET", "/", nil); w.Code != 303 || w.Header().Get("Location") != "/account" {
		t.Error(w.Code, w.Header())
	}
	if b.get("/api/v1/sites") != 403 || b.get("/account") != 200 {
		t.Error("no way to the account's page, or a way around it")
	}
	change := func(old, chosen string) int {
		return b.do("POST", "/account", url.Values{"proof": {b.proof()}, "old": {old}, "new": {chosen}}).Code
	}
	if change("wrong", "another long password") != 401 || change(secret+"lan", "short") != 418 {
		t.Error("a password was changed that should not be")
	}
	other := h.signedIn(t, "lan")
	before := b.cookies[cookiePlain]
	if change(secret+"lan", "another long password") != 200 || b.cookies[cookiePlain] == before {
		t.Error("the session was not renewed")
	}
	if b.get("/") != 200 || other.get("/") != 303 {
		t.Error("others are still in")
	}
}

func TestFirstAdministrator(t *testing.T) {
	dir := t.TempDir()
	var told bytes.Buffer
	h := newHouse(t, func(o *Options) {
		o.Dir, o.Tell, o.URL = dir, &told, func() string { return "https://collector:8787/" }
	})
	file := filepath.Join(dir, FirstFile)
	if err := h.first(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if info, serr := os.Stat(file); err != nil || serr != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(err, serr)
	}
	link := strings.TrimSpace(string(data))
	if !strings.HasPrefix(link, "https://collector:8787/first/") || !strings.Contains(told.String(), link) {
		t.Error(link, told.String())
	}
	text := strings.TrimPrefix(link, "https://collector:8787/first/")
	if strings.Contains(h.log.String(), text) {
		t.Error("the link is in the log")
	}
	r := httptest.NewRequest("POST", "/first/x", nil)
	w := httptest.NewRecorder()
	if err := h.UseFirst(w, r, text, "lan", "", "short"); !errors.Is(err, password.ErrShort) {
		t.Error(err)
	}
	if err := h.UseFirst(w, r, text, "lan", "Nguyễn Thị Lan", "a long password"); err != nil {
		t.Fatal(err)
	}
	if err := h.UseFirst(w, r, text, "minh", "", "a long password"); !errors.Is(err, kept.ErrNoLink) {
		t.Error("the link works twice:", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there:", err)
	}
	if len(w.Result().Cookies()) != 1 {
		t.Error("not signed in")
	}
	told.Reset()
	if err := h.first(t.Context()); err != nil || told.Len() != 0 {
		t.Error("another link although there is an administrator:", err)
	}
}

// An open stream of events ends when its session does.
func TestStreamEnds(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleViewer)
	b := h.signedIn(t, "lan")
	cookie := b.cookies[cookiePlain]
	if err := h.store.End(t.Context(), cookie); err != nil {
		t.Fatal(err)
	}
	h.look = time.Millisecond
	was := people.Caller{Name: "lan", Role: people.RoleViewer, Via: "session"}
	r := httptest.NewRequest("GET", "/api/v1/events", nil)
	r.AddCookie(&http.Cookie{Name: cookiePlain, Value: cookie})
	ctx, stop := context.WithCancel(t.Context())
	h.watch(ctx, stop, r, was) // returns when it has ended the stream
	if ctx.Err() == nil {
		t.Error("the stream goes on")
	}
}

func TestNoSecretsInTheLog(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleAdmin)
	b := h.signedIn(t, "lan")
	text := h.key(t, "lan", people.RoleViewer)
	b.signIn("lan", "planted wrong password")
	b.get("/api/v1/sites", key(text))
	b.get("/api/v1/sites", key(text+"x"))
	entries, err := h.store.Entries(t.Context(), audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	all := h.log.String() + fmt.Sprintf("%+v", entries)
	for _, planted := range []string{secret, "planted wrong password", text, b.cookies[cookiePlain], "argon2id"} {
		if strings.Contains(all, planted) {
			t.Errorf("%q is told", planted)
		}
	}
}

func TestMetrics(t *testing.T) {
	for _, tt := range []struct {
		tls  bool
		says *bool
		want int
	}{{true, nil, 200}, {false, nil, 401}, {true, new(false), 401}, {false, new(true), 200}} {
		h := newHouse(t, func(o *Options) { o.TLS, o.Settings.MetricsOnLoopback = tt.tls, tt.says })
		if got := h.browser(t, "127.0.0.1:1").get("/metrics"); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
	h := newHouse(t, func(o *Options) { o.TLS = true })
	if h.browser(t, "127.0.0.1:1").get("/metrics") != 200 || h.browser(t, "10.0.0.1:1").get("/metrics") != 401 {
		t.Error("a program on this machine may read /metrics, others show a key")
	}
	if h.browser(t, "127.0.0.1:1").get("/metrics", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.1") }) != 401 {
		t.Error("through a proxy on this machine everybody reads /metrics")
	}
}

func FuzzLocal(f *testing.F) {
	for _, next := range []string{"/", "/sites/s1?lang=en#x", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/%2f/evil.example", "/\t/evil.example",
		"///evil.example", "\\\\evil.example", "/sign-out", "/.//evil.example", "?x", ""} {
		f.Add(next)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := Local(next)
		base := &url.URL{Scheme: "https", Host: "collector"}
		u, err := base.Parse(got)
		if err != nil || u.Host != "collector" || u.Scheme != "https" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %q", next, got)
		}
	})
}

func TestLocal(t *testing.T) {
	for next, want := range map[string]string{"/sites/s1?lang=en": "/sites/s1?lang=en", "": "/", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example/": "/", "javascript:alert(1)": "/",
		"/sign-out": "/", "/first/x": "/", "/reports?from=2026-01-01": "/reports?from=2026-01-01"} {
		if got := Local(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}

// The allowance is of the time that passes, not of how often it is asked.
func TestAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := allowance{burst: 3, every: time.Second}
		passed := 0
		for range 100 {
			if ok, _ := a.take(time.Now()); ok {
				passed++
			}
		}
		time.Sleep(time.Second)
		ok, held := a.take(time.Now())
		if passed != 3 || !ok || held != 97 {
			t.Error(passed, ok, held)
		}
	})
}
