package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"communewatch/collector/api/rehearsals"
	hub "communewatch/collector/orders"
	"communewatch/collector/people"
	"communewatch/collector/people/door"
	"communewatch/collector/people/password"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/people"
	"communewatch/collector/runs"
)

// doored is the pages behind a door, with an account for each role: its name, and its password with "-pass-word" behind.
type doored struct {
	http.Handler
	store   *kept.Store
	channel *channel // to the agents of all sites
}

func newDoored(t *testing.T) *doored {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	cost := password.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}
	d, err := door.New(door.Options{Store: reg.People(), Settings: door.DefaultSettings(), Cost: cost, Log: log, Tell: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, 6)
	f.equip(t)
	f.rehearse(t)
	pages, err := New(Options{Source: f, Stock: f.stock, Rehearsals: rehearsals.New(rehearsals.Options{Service: f.rehearsed, Operators: operators{}}), People: d, Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	hasher := password.New(cost, 1)
	for _, role := range people.Roles() {
		hash, err := hasher.Hash(t.Context(), string(role)+"-pass-word")
		if err == nil {
			err = reg.People().Add(context.Background(), kept.Person{Name: "a" + string(role), Display: `<script>alert("` + string(role) + `")</script>`, Role: role}, hash)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ch := &channel{}
	ch.runs = runs.New(runs.Options{Tell: ch.tell, Record: ch, Connected: func() (out []hub.Agent) {
		for _, s := range f.sites {
			out = append(out, hub.Agent{Site: s.ID, Agent: "pc"})
		}
		return out
	}})
	pages.runs = ch.runs
	return &doored{d.Middleware(pages.Handler()), reg.People(), ch}
}

// visitor is a browser: it keeps cookies and follows no redirect.
type visitor struct {
	t      *testing.T
	h      http.Handler
	cookie *http.Cookie
}

func (v *visitor) do(method, target string, form url.Values) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	w := httptest.NewRecorder()
	v.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.Name == "communewatch-session" {
			if v.cookie = c; c.MaxAge < 0 {
				v.cookie = nil
			}
		}
	}
	return w
}

func (v *visitor) signIn(role string) *httptest.ResponseRecorder {
	return v.do("POST", "/sign-in", url.Values{"name": {"a" + role}, "password": {role + "-pass-word"}, "next": {"/reports"}})
}

var proofField = regexp.MustCompile(`name="proof" value="([A-Z2-7]+)"`)

func TestPagesOfEachRole(t *testing.T) {
	d := newDoored(t)
	for role, want := range map[people.Role]struct{ inventory, code bool }{
		people.RoleViewer: {false, true}, people.RoleOperator: {true, false}, people.RoleProcurement: {true, true}, people.RoleAdmin: {true, false},
	} {
		v := &visitor{t: t, h: d}
		if w := v.signIn(string(role)); w.Code != 303 || w.Header().Get("Location") != "/reports" {
			t.Fatal(role, w.Code, w.Header())
		}
		body := v.do("GET", "/", nil).Body.String()
		if got := strings.Contains(body, `href="/inventory"`); got != want.inventory {
			t.Errorf("%s: the inventory in the menu: %v", role, got)
		}
		if strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;alert(&#34;"+string(role)) {
			t.Errorf("%s: the display name is not there, or as it must not be", role)
		}
		if !strings.Contains(body, `action="/sign-out"`) || !strings.Contains(body, `href="/account"`) {
			t.Errorf("%s: no way out", role)
		}
		w := v.do("GET", "/inventory", nil)
		if (w.Code == 200) != want.inventory {
			t.Errorf("%s: /inventory: %d", role, w.Code)
		}
		site := v.do("GET", "/sites/s08707", nil).Body.String()
		if got := strings.Contains(site, `id="equipment"`) || strings.Contains(site, "/inventory?"); got != want.inventory {
			t.Errorf("%s: equipment on a site's page: %v", role, got)
		}
		plan := v.do("GET", "/rehearsals/new?meeting=x&profile=720p", nil).Body.String()
		if got := strings.Contains(plan, `name="code"`); got != want.code || proofField.FindString(plan) == "" {
			t.Errorf("%s: asked for an operator's code: %v", role, got)
		}
	}
}

func TestSignInPage(t *testing.T) {
	d := newDoored(t)
	v := &visitor{t: t, h: d}
	w := v.do("GET", "/sites/s08707?lang=vi", nil)
	if w.Code != 303 {
		t.Fatal(w.Code)
	}
	page := v.do("GET", w.Header().Get("Location"), nil)
	body := page.Body.String()
	if page.Code != 200 || !strings.Contains(body, "Đăng nhập") || !strings.Contains(body, `name="next" value="/sites/s08707?lang=vi"`) || strings.Contains(body, `href="/inventory"`) {
		t.Error(page.Code, body)
	}
	if got := page.Header().Get("Cache-Control"); got != "no-store" {
		t.Error(got)
	}
	if body := v.do("GET", "/sign-in?next=https://evil.example/&lang=en", nil).Body.String(); !strings.Contains(body, `name="next" value="/"`) || !strings.Contains(body, "Sign in") {
		t.Error(body)
	}
	w = v.do("POST", "/sign-in?lang=en", url.Values{"name": {`"><script>alert(1)</script>`}, "password": {"wrong"}, "next": {"//evil.example"}})
	if body := w.Body.String(); w.Code != 401 || !strings.Contains(body, "Name or password is wrong") || strings.Contains(body, "<script>alert") || strings.Contains(body, "evil.example") || strings.Contains(body, `value="wrong"`) {
		t.Error(w.Code, body)
	}
	for range 8 {
		w = v.do("POST", "/sign-in?lang=en", url.Values{"name": {"aviewer"}, "password": {"wrong"}})
	}
	if w.Code != 429 || !strings.Contains(w.Body.String(), "Too many attempts") || w.Header().Get("Retry-After") == "" {
		t.Error(w.Code, w.Body)
	}
}

func TestAccountPage(t *testing.T) {
	d := newDoored(t)
	v := &visitor{t: t, h: d}
	v.signIn("operator")
	body := v.do("GET", "/account?lang=en", nil).Body.String()
	m := proofField.FindStringSubmatch(body)
	if m == nil || !strings.Contains(body, "Operator") || !strings.Contains(body, "The whole province") || !strings.Contains(body, "this one") {
		t.Fatal(body)
	}
	change := func(old, chosen, again string) *httptest.ResponseRecorder {
		return v.do("POST", "/account?lang=en", url.Values{"proof": {m[1]}, "old": {old}, "new": {chosen}, "again": {again}})
	}
	for want, w := range map[string]*httptest.ResponseRecorder{
		"not typed the same way": change("operator-pass-word", "a new long password", "another long password"),
		"present password":       change("wrong", "a new long password", "a new long password"),
		"at least 10 characters": change("operator-pass-word", "short", "short"),
	} {
		if w.Code < 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", want, w.Code, w.Body)
		}
	}
	if w := change("operator-pass-word", "a new long password", "a new long password"); w.Code != 303 {
		t.Error(w.Code, w.Body)
	}
	body = v.do("GET", "/account?lang=en&done=1", nil).Body.String()
	if !strings.Contains(body, "Saved.") {
		t.Error(body)
	}
	m = proofField.FindStringSubmatch(body)
	if w := v.do("POST", "/sign-out", url.Values{"proof": {m[1]}}); w.Code != 303 || v.cookie != nil {
		t.Error(w.Code)
	}
	if w := v.do("GET", "/account", nil); w.Code != 303 {
		t.Error(w.Code)
	}
}

func TestFirstPage(t *testing.T) {
	d := newDoored(t)
	link, err := d.store.CreateLink(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, h: d}
	w := v.do("GET", "/first/"+link+"?lang=en", nil)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "Make the administrator") || w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Cache-Control") != "no-store" {
		t.Error(w.Code, w.Header(), w.Body)
	}
	use := func(name, chosen string) *httptest.ResponseRecorder {
		return v.do("POST", "/first/"+link+"?lang=en", url.Values{"name": {name}, "display": {"Nguyễn Thị Lan"}, "new": {chosen}, "again": {chosen}})
	}
	for name, w := range map[string]*httptest.ResponseRecorder{"a name": use("Bad Name!", "a long password"), "a password": use("lan", "short"), "a taken name": use("aadmin", "a long password")} {
		if w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := use("lan", "a long password"); w.Code != 303 || v.cookie == nil {
		t.Fatal(w.Code, w.Body)
	}
	if body := v.do("GET", "/", nil).Body.String(); !strings.Contains(body, "Nguyễn Thị Lan") {
		t.Error("not signed in")
	}
	for _, gone := range []string{link, "x", strings.Repeat("x", 5000)} {
		if w := (&visitor{t: t, h: d}).do("GET", "/first/"+gone, nil); w.Code != 404 || !strings.Contains(w.Body.String(), "user link") {
			t.Errorf("%.10q: %d", gone, w.Code)
		}
	}
}

// TestChecksAreRunForWhoProvesIt: a form from elsewhere has no proof, and a viewer no right.
func TestChecksAreRunForWhoProvesIt(t *testing.T) {
	d := newDoored(t)
	v := &visitor{t: t, h: d}
	v.signIn("operator")
	page := v.do("GET", "/", nil).Body.String()
	site := regexp.MustCompile(`/sites/[a-z0-9]+`).FindString(page)
	proof := proofField.FindStringSubmatch(v.do("GET", site, nil).Body.String())
	if site == "" || proof == nil {
		t.Fatal("no site, or a page without proof")
	}
	for _, form := range []url.Values{{"check": {"pc/gateway"}}, {"check": {"pc/gateway"}, "proof": {"AAAA"}}} {
		if out := v.do("POST", site+"/check", form); out.Code != http.StatusForbidden || len(d.channel.told) > 0 {
			t.Error("without proof:", out.Code, d.channel.told)
		}
	}
	if out := v.do("POST", site+"/check", url.Values{"check": {"pc/gateway"}, "proof": {proof[1]}}); out.Code != http.StatusSeeOther || len(d.channel.told) != 1 {
		t.Error("with proof:", out.Code, d.channel.told)
	}
	if who := d.channel.record[0].Who; who != "aoperator" {
		t.Error("on the record is", who)
	}
	other := &visitor{t: t, h: d}
	other.signIn("viewer")
	proof = proofField.FindStringSubmatch(other.do("GET", "/", nil).Body.String())
	if out := other.do("POST", site+"/check", url.Values{"check": {"pc/gateway"}, "proof": {proof[1]}}); out.Code != http.StatusForbidden || len(d.channel.told) != 1 {
		t.Error("a viewer:", out.Code, d.channel.told)
	}
}
