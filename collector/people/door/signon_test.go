package door

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/people/door/province"
	kept "communewatch/collector/registry/people"
)

// provider says of whoever comes back what the test says.
type provider struct{ says province.Said }

func (p *provider) Begin(http.ResponseWriter, *http.Request, string) error { return nil }
func (p *provider) End(http.ResponseWriter, *http.Request) (province.Said, string, error) {
	return p.says, "/", nil
}

func withSignOn(t *testing.T) (*house, *provider) {
	t.Helper()
	h := newHouse(t, func(o *Options) {
		o.Settings.OIDC.Create = true
		o.Settings.OIDC.Roles = []province.Rule{{Group: "g", Role: people.RoleOperator}}
	})
	p := &provider{province.Said{Subject: "4711", Name: "lan", Role: people.RoleOperator}}
	h.sso = p
	return h, p
}

// comeBack is a browser on its way back from the provider.
func (b *browser) comeBack() error {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, province.CallbackPath, nil)
	r.RemoteAddr = b.from
	_, err := b.h.EndSignOn(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return err
}

// stranger opens the address that the provider sends browsers back to, without having been sent there.
type stranger struct{ provider }

func (stranger) End(http.ResponseWriter, *http.Request) (province.Said, string, error) {
	return province.Said{}, "", province.ErrStale
}

func TestStrangersFillNoRecord(t *testing.T) {
	h, _ := withSignOn(t)
	h.sso = &stranger{}
	for range 100 {
		if err := h.browser(t, "10.0.0.66:1").comeBack(); !errors.Is(err, ErrStale) {
			t.Fatal(err)
		}
	}
	if list, err := h.store.Entries(t.Context(), audit.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("%d lines %v", len(list), err)
	}
}

// Who has no role at the sign-on any more has nothing here any more: the next attempt to sign in ends what is open.
func TestNoRoleAnyMore(t *testing.T) {
	h, p := withSignOn(t)
	h.add(t, "minh", people.RoleAdmin)
	other := h.signedIn(t, "minh")
	b := h.browser(t, "10.0.0.7:1")
	if err := b.comeBack(); err != nil {
		t.Fatal(err)
	}
	program := h.key(t, "lan", people.RoleViewer)
	if b.get("/fleet") != 200 || b.get("/api/v1/sites", key(program)) != 200 {
		t.Fatal("a person of the sign-on is not let in")
	}
	p.says.Role = people.RoleNobody
	if err := h.browser(t, "10.0.0.8:1").comeBack(); !errors.Is(err, ErrNotHere) {
		t.Error(err)
	}
	if b.get("/fleet") == 200 || b.get("/api/v1/sites", key(program)) != 401 {
		t.Error("what she has open is still good")
	}
	if other.get("/fleet") != 200 {
		t.Error("somebody else was signed out")
	}
	if list, err := h.store.Entries(t.Context(), audit.Filter{Act: "person.shut"}); err != nil || len(list) != 1 || list[0].What != "lan" || list[0].Who != "system" || list[0].Via != "system" {
		t.Errorf("%+v %v", list, err)
	}
	// Trying on writes no more of it, and a role that comes back is one.
	if err := b.comeBack(); !errors.Is(err, ErrNotHere) {
		t.Error(err)
	}
	if list, _ := h.store.Entries(t.Context(), audit.Filter{Act: "person.shut"}); len(list) != 1 {
		t.Errorf("%+v", list)
	}
	p.says.Role = people.RoleViewer
	if err := b.comeBack(); err != nil || b.get("/") != 200 || b.get("/fleet") == 200 {
		t.Error("a role that came back does not count:", err)
	}
	// Somebody who never had an account is nobody's business.
	p.says = province.Said{Subject: "1", Name: "hung"}
	if err := b.comeBack(); !errors.Is(err, ErrNotHere) {
		t.Error(err)
	}
}

// Who came by the sign-on goes through it anew, however busy they are; others stay as long as everybody.
func TestSignOnIsHeardAnew(t *testing.T) {
	h, _ := withSignOn(t)
	h.add(t, "minh", people.RoleAdmin)
	local, b := h.signedIn(t, "minh"), h.browser(t, "10.0.0.7:1")
	if err := b.comeBack(); err != nil {
		t.Fatal(err)
	}
	for range 13 {
		if b.get("/") != 200 || local.get("/") != 200 {
			t.Fatal("a session ends too early")
		}
		h.pass(55 * time.Minute)
	}
	h.pass(10 * time.Minute)
	if b.get("/") == 200 {
		t.Error("a session of the sign-on lasts for more than its time")
	}
	if local.get("/") != 200 {
		t.Error("a session of an account here ends with those of the sign-on")
	}
}

// Keys of somebody who is not heard of any more rest, until they come again; those of accounts here do not.
func TestKeysOfWhoHasLeft(t *testing.T) {
	h, _ := withSignOn(t)
	h.add(t, "minh", people.RoleAdmin)
	b := h.browser(t, "10.0.0.7:1")
	if err := b.comeBack(); err != nil {
		t.Fatal(err)
	}
	hers, his := h.keyFor(t, "lan", people.RoleViewer, 300*24*time.Hour), h.keyFor(t, "minh", people.RoleViewer, 300*24*time.Hour)
	h.pass(89 * 24 * time.Hour)
	if b.get("/api/v1/sites", key(hers)) != 200 {
		t.Error("a key rests too early")
	}
	h.pass(2 * 24 * time.Hour)
	if b.get("/api/v1/sites", key(hers)) != 401 || b.get("/api/v1/sites", key(his)) != 200 {
		t.Error("a key of somebody who has left works on, or one of an account here does not")
	}
	if err := b.comeBack(); err != nil || b.get("/api/v1/sites", key(hers)) != 200 {
		t.Error("a key is lost for good:", err)
	}
}

// keyFor is an API key for a time.
func (h *house) keyFor(t *testing.T, of string, role people.Role, valid time.Duration) string {
	t.Helper()
	text, _, err := h.store.CreateKey(command(), kept.Key{Person: of, Role: role, Expires: h.clock().Add(valid)})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A right link works however many wrong ones came from the same address; wrong ones have to wait.
func TestRightLinkAmongWrongOnes(t *testing.T) {
	h := newHouse(t)
	h.add(t, "lan", people.RoleViewer)
	link, err := h.store.CreateLink(command(), "lan")
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/first/x", nil)
	r.RemoteAddr = "10.0.0.5:4000"
	var wait *Wait
	for i := 0; !errors.As(err, &wait); i++ {
		if _, err = h.First(r, "wrong"); i > 100 {
			t.Fatal("wrong links may be tried for ever:", err)
		}
	}
	if l, err := h.First(r, link); err != nil || l.Person != "lan" {
		t.Error("the right link has to wait for wrong ones:", err)
	}
	if err := h.UseFirst(httptest.NewRecorder(), r, link, "", "", "a long password"); err != nil {
		t.Error(err)
	}
	if _, err := h.First(r, link); !errors.As(err, &wait) {
		t.Error("a link that was used is no wrong one:", err)
	}
}

// A demonstration that somebody puts a proxy in front of is not everybody's to change.
func TestAnonymousBehindAProxy(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Settings.Anonymous = people.RoleAdmin })
	passed := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.7") }
	b := h.browser(t, "127.0.0.1:1")
	if b.get("/fleet/people") != 200 || b.get("/fleet/people", passed) == 200 || h.browser(t, "203.0.113.7:1").get("/fleet/people") == 200 {
		t.Error("who is not signed in is an administrator for others too")
	}
	rebound := func(r *http.Request) { r.Host = "evil.example:8787" }
	local := func(r *http.Request) { r.Host = "localhost:8787" }
	if b.get("/fleet/people", rebound) == 200 || b.get("/fleet/people", local) != 200 {
		t.Error("a page elsewhere may call itself this machine")
	}
	h = newHouse(t, func(o *Options) { o.Settings.Anonymous = people.RoleViewer })
	if h.browser(t, "127.0.0.1:1").get("/", passed) != 200 || h.browser(t, "203.0.113.7:1").get("/") != 200 {
		t.Error("viewers need not sign in")
	}
}

// What is changed by somebody who is not signed in says where they came from.
func TestNobodysChangesAreRecorded(t *testing.T) {
	h := newHouse(t)
	c := people.Caller{Role: people.RoleAdmin, Address: "127.0.0.1"}
	if _, err := h.store.CreateLink(people.With(t.Context(), c), ""); err != nil {
		t.Fatal(err)
	}
	if err := h.store.Record(people.With(t.Context(), c), audit.Entry{Act: "x", Who: c.Who()}); err != nil {
		t.Fatal(err)
	}
	list, err := h.store.Entries(t.Context(), audit.Filter{Who: people.Anonymous})
	if err != nil || len(list) != 2 || list[0].Address != "127.0.0.1" || list[1].Via != "screen" {
		t.Errorf("%+v %v", list, err)
	}
	if err := kept.CheckName(strings.ReplaceAll(c.Who(), " ", "")); err == nil && kept.CheckName(c.Who()) == nil {
		t.Error("an account can have the name of nobody")
	}
}

func TestTimesOfTheSignOnAreChecked(t *testing.T) {
	for want, change := range map[string]func(*Settings){
		"":              func(*Settings) {},
		"oidc.absolute": func(s *Settings) { s.OIDC.Absolute = s.Absolute + time.Hour },
		"oidc.keys":     func(s *Settings) { s.OIDC.Keys = time.Hour },
	} {
		s := DefaultSettings()
		s.OIDC.Issuer, s.OIDC.ClientID, s.OIDC.RedirectURL = "https://sso.example", "communewatch", "https://collector:8787"+province.CallbackPath
		change(&s)
		got := ""
		s.Validate(false, func(at, _ string, _ ...any) { got += at })
		if got != want {
			t.Errorf("%q is wrong, want %q", got, want)
		}
	}
}
