package people_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"communewatch/collector/audit"
	roles "communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/collector/registry/people"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ audit.Recorder = (*people.Store)(nil)
	_ audit.Reader   = (*people.Store)(nil)
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T) (*people.Store, *clock, string) {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)}
	file := filepath.Join(t.TempDir(), "registry.db")
	reg, err := registry.Open(t.Context(), file, registry.Options{Log: slog.New(slog.DiscardHandler), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return reg.People(), c, file
}

func as(name string) context.Context {
	return roles.With(context.Background(), roles.Caller{Name: name, Role: roles.RoleAdmin, Via: "command"})
}

func add(t *testing.T, s *people.Store, name string, role roles.Role, districts ...string) {
	t.Helper()
	if err := s.Add(as("root"), people.Person{Name: name, Role: role, Districts: districts}, "hash of "+name); err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func acts(t *testing.T, s *people.Store, f audit.Filter) (out []string) {
	t.Helper()
	all, err := s.Entries(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		ok := "+"
		if !e.OK {
			ok = "-"
		}
		out = append(out, ok+e.Act+" "+e.What+" by "+e.Who+"/"+e.Via)
	}
	return out
}

func TestAccounts(t *testing.T) {
	s, _, _ := open(t)
	if any, err := s.AnyAdmin(t.Context()); any || err != nil {
		t.Error(any, err)
	}
	add(t, s, "lan", roles.RoleAdmin)
	add(t, s, "hung", roles.RoleViewer, "Vĩnh Yên", "Phúc Yên")
	is(t, s.Add(as("root"), people.Person{Name: "lan", Role: roles.RoleViewer}, ""), people.ErrTaken)
	for _, bad := range []people.Person{{Name: "", Role: roles.RoleViewer}, {Name: "Lan", Role: roles.RoleViewer}, {Name: "system", Role: roles.RoleViewer}, {Name: "a/b", Role: roles.RoleViewer},
		{Name: "x' OR '1'='1", Role: roles.RoleViewer}, {Name: "minh", Role: "root"}, {Name: "minh"}, {Name: "minh", Role: roles.RoleViewer, Display: "a\nb"}, {Name: "minh", Role: roles.RoleViewer, Districts: []string{""}}} {
		if err := s.Add(as("root"), bad, ""); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	p, hash, err := s.Secret(t.Context(), "hung")
	if err != nil || hash != "hash of hung" || p.CreatedBy != "root" || len(p.Districts) != 2 || !p.Password {
		t.Errorf("%+v %q %v", p, hash, err)
	}
	viewer, off, on := roles.RoleViewer, true, false
	is(t, s.Set(as("root"), "lan", people.Change{Role: &viewer}), people.ErrLastAdmin)
	is(t, s.Set(as("root"), "lan", people.Change{Disabled: &off}), people.ErrLastAdmin)
	is(t, s.Set(as("root"), "nobody", people.Change{Role: &viewer}), people.ErrUnknown)
	add(t, s, "minh", roles.RoleAdmin)
	for _, change := range []people.Change{{Role: &viewer}, {Disabled: &off}, {Disabled: &on}, {Districts: new([]string)}} {
		if err := s.Set(as("root"), "lan", change); err != nil {
			t.Error(err)
		}
	}
	if p, err := s.Person(t.Context(), "lan"); err != nil || p.Role != roles.RoleViewer || !p.Disabled.IsZero() || p.Districts != nil {
		t.Errorf("%+v %v", p, err)
	}
	if all, err := s.All(t.Context()); err != nil || len(all) != 3 || all[0].Name != "hung" {
		t.Errorf("%+v %v", all, err)
	}
	got := acts(t, s, audit.Filter{Act: "person.", Who: "root"})
	if len(got) != 7 || got[0] != "+person.set lan by root/command" || got[6] != "+person.add lan by root/command" {
		t.Errorf("%q", got)
	}
}

func TestSessions(t *testing.T) {
	s, c, _ := open(t)
	add(t, s, "lan", roles.RoleAdmin)
	add(t, s, "hung", roles.RoleViewer)
	const idle, absolute = 12 * time.Hour, 7 * 24 * time.Hour
	begin := func(name string) string {
		t.Helper()
		secret, err := s.Begin(t.Context(), people.Session{Person: name, Address: "10.1.1.1", Agent: "Mozilla\n<script>" + strings.Repeat("x", 1000)}, "password")
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	alive := func(secret string) bool {
		t.Helper()
		_, _, err := s.Open(t.Context(), secret, people.Lives{Idle: idle, Absolute: absolute, SSO: absolute})
		if err != nil && !errors.Is(err, people.ErrNoSession) {
			t.Fatal(err)
		}
		return err == nil
	}
	first := begin("hung")
	if in, p, err := s.Open(t.Context(), first, people.Lives{Idle: idle, Absolute: absolute, SSO: absolute}); err != nil || p.Name != "hung" || in.Address != "10.1.1.1" || strings.Contains(in.Agent, "\n") || len(in.Agent) > 200 {
		t.Errorf("%+v %+v %v", in, p, err)
	}
	for _, bad := range []string{"", "x", first + "x", first[:len(first)-1], strings.Repeat("a", 10_000)} {
		if alive(bad) {
			t.Errorf("%.20q opens a session", bad)
		}
	}
	// Used every eleven hours it lives, for a week and no longer.
	for range 15 {
		c.pass(11 * time.Hour)
		if !alive(first) {
			t.Fatal("a session that is used ended")
		}
	}
	c.pass(11 * time.Hour)
	if alive(first) {
		t.Error("a session is older than a week")
	}
	second := begin("hung")
	c.pass(12*time.Hour + time.Second)
	if alive(second) {
		t.Error("a session lives without being used")
	}
	third, fourth := begin("hung"), begin("hung")
	if err := s.SetPassword(as("root"), "hung", "other", false, third); err != nil {
		t.Fatal(err)
	}
	if !alive(third) || alive(fourth) {
		t.Error("another password ends all sessions but the one that set it")
	}
	if err := s.End(t.Context(), third); err != nil || alive(third) {
		t.Error("signed out, and still in:", err)
	}
	is(t, s.End(t.Context(), third), people.ErrNoSession)
	fifth, off := begin("hung"), true
	if err := s.Set(as("root"), "hung", people.Change{Disabled: &off}); err != nil || alive(fifth) {
		t.Error("disabled, and still in:", err)
	}
	if _, err := s.Begin(t.Context(), people.Session{Person: "hung"}, "password"); !errors.Is(err, people.ErrUnknown) {
		t.Error("a disabled account signs in:", err)
	}
	// However often somebody signs in, a score of sessions is open.
	oldest := begin("lan")
	for range 30 {
		c.pass(time.Second)
		begin("lan")
	}
	if open, err := s.Sessions(t.Context(), "lan"); err != nil || len(open) != 20 || alive(oldest) {
		t.Error(len(open), err)
	}
	if came, err := s.Came(t.Context(), "lan", "10.1.1.1"); !came || err != nil {
		t.Error(came, err)
	}
	if came, _ := s.Came(t.Context(), "lan", "10.1.1.2"); came {
		t.Error("lan was never there")
	}
}

func TestKeys(t *testing.T) {
	s, c, _ := open(t)
	add(t, s, "lan", roles.RoleAdmin)
	add(t, s, "hung", roles.RoleOperator, "Vĩnh Yên")
	year := c.Now().Add(365 * 24 * time.Hour)
	for _, bad := range []people.Key{
		{Person: "hung", Role: roles.RoleAdmin, Expires: year}, {Person: "hung", Role: roles.RoleProcurement, Expires: year}, {Person: "hung", Role: "", Expires: year},
		{Person: "nobody", Role: roles.RoleViewer, Expires: year}, {Person: "hung", Role: roles.RoleViewer}, {Person: "hung", Role: roles.RoleViewer, Expires: c.Now().Add(3 * 366 * 24 * time.Hour)},
		{Person: "hung", Role: roles.RoleViewer, Expires: year, Districts: []string{"Phúc Yên"}},
	} {
		if _, _, err := s.CreateKey(as("root"), bad); err == nil {
			t.Errorf("%+v was made", bad)
		}
	}
	secret, made, err := s.CreateKey(as("root"), people.Key{Person: "hung", Role: roles.RoleViewer, Expires: year, Note: "grafana"})
	if err != nil || !strings.HasPrefix(secret, "cw1k_"+made.ID+"_") || made.CreatedBy != "root" {
		t.Fatal(secret, made, err)
	}
	if k, p, err := s.Key(t.Context(), secret); err != nil || k.Role != roles.RoleViewer || p.Name != "hung" {
		t.Errorf("%+v %+v %v", k, p, err)
	}
	for _, bad := range []string{"", "cw1k_", secret + "x", "cw1k_" + made.ID + "_" + strings.Repeat("a", 52), strings.ToUpper(secret), strings.Repeat("cw1k_", 1000)} {
		if _, _, err := s.Key(t.Context(), bad); !errors.Is(err, people.ErrNoKey) {
			t.Errorf("%.30q: %v", bad, err)
		}
	}
	is(t, s.RevokeKey(as("root"), made.ID, "lan"), people.ErrNoKey) // hung's
	if err := s.RevokeKey(as("root"), made.ID, "hung"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Key(t.Context(), secret); !errors.Is(err, people.ErrNoKey) {
		t.Error("a revoked key:", err)
	}
	secret, _, err = s.CreateKey(as("root"), people.Key{Person: "hung", Role: roles.RoleViewer, Expires: c.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	c.pass(time.Hour)
	if _, _, err := s.Key(t.Context(), secret); !errors.Is(err, people.ErrNoKey) {
		t.Error("an expired key:", err)
	}
	if all, err := s.Keys(t.Context(), ""); err != nil || len(all) != 2 {
		t.Error(all, err)
	}
}

func TestLinks(t *testing.T) {
	s, c, _ := open(t)
	link, err := s.CreateLink(as("root"), "")
	if err != nil {
		t.Fatal(err)
	}
	if l, err := s.Link(t.Context(), link); err != nil || l.Person != "" {
		t.Error(l, err)
	}
	if _, err := s.UseLink(t.Context(), link, "Bad Name", "", "hash"); err == nil {
		t.Error("an account with a bad name was made")
	}
	if name, err := s.UseLink(t.Context(), link, "lan", "Nguyễn Thị Lan", "hash"); name != "lan" || err != nil {
		t.Fatal("what was wrong with the first try used the link up:", name, err)
	}
	_, err = s.UseLink(t.Context(), link, "minh", "", "hash")
	is(t, err, people.ErrNoLink)
	if p, err := s.Person(t.Context(), "lan"); err != nil || p.Role != roles.RoleAdmin {
		t.Error(p, err)
	}
	old, err := s.CreateLink(as("root"), "lan")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := s.CreateLink(as("root"), "lan")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Link(t.Context(), old)
	is(t, err, people.ErrNoLink) // another was made since
	session, err := s.Begin(t.Context(), people.Session{Person: "lan"}, "password")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UseLink(t.Context(), fresh, "ignored", "", "new hash"); err != nil {
		t.Fatal(err)
	}
	if _, hash, _ := s.Secret(t.Context(), "lan"); hash != "new hash" {
		t.Error(hash)
	}
	_, _, err = s.Open(t.Context(), session, people.Lives{Idle: time.Hour, Absolute: time.Hour, SSO: time.Hour})
	is(t, err, people.ErrNoSession) // whoever had the old password is out
	late, err := s.CreateLink(as("root"), "")
	if err != nil {
		t.Fatal(err)
	}
	c.pass(people.LinkValid)
	_, err = s.UseLink(t.Context(), late, "minh", "", "hash")
	is(t, err, people.ErrNoLink)
	_, err = s.CreateLink(as("root"), "nobody")
	is(t, err, people.ErrUnknown)
}

// Two that use a link in the same moment: one of them does.
func TestLinkIsUsedOnce(t *testing.T) {
	s, _, _ := open(t)
	link, err := s.CreateLink(as("root"), "")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"an", "binh", "chi", "dung", "em", "giang"}
	done := make(chan error, len(names))
	for _, name := range names {
		go func() { _, err := s.UseLink(context.Background(), link, name, "", "hash"); done <- err }()
	}
	used := 0
	for range names {
		if err := <-done; err == nil {
			used++
		} else if !errors.Is(err, people.ErrNoLink) {
			t.Error(err)
		}
	}
	if used != 1 {
		t.Errorf("used %d times", used)
	}
}

func TestSubjects(t *testing.T) {
	s, _, _ := open(t)
	add(t, s, "local", roles.RoleAdmin)
	subject := func(id string) people.Subject { return people.Subject{Issuer: "https://sso", ID: id} }
	want := func(name string) people.Person { return people.Person{Name: name, Role: roles.RoleViewer} }
	_, err := s.Of(t.Context(), subject("1"), want("local"), true)
	is(t, err, people.ErrNotYours) // a name at the sign-on is no way into a local account
	_, err = s.Of(t.Context(), subject("1"), want("lan"), false)
	is(t, err, people.ErrUnknown)
	if p, err := s.Of(t.Context(), subject("1"), want("lan"), true); err != nil || p.Name != "lan" || !p.SSO || p.Role != roles.RoleViewer {
		t.Error(p, err)
	}
	if p, err := s.Of(t.Context(), subject("1"), want("renamed"), true); err != nil || p.Name != "lan" {
		t.Error("a subject with another name is the same person:", p, err)
	}
	_, err = s.Of(t.Context(), subject("2"), want("lan"), true)
	is(t, err, people.ErrNotYours) // somebody else who got her name
	if err := s.AllowSSO(as("root"), "local", true); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Of(t.Context(), subject("3"), want("local"), false); err != nil || p.Name != "local" {
		t.Error(p, err)
	}
	here, err := s.Begin(t.Context(), people.Session{Person: "local"}, "password")
	if err != nil {
		t.Fatal(err)
	}
	there, err := s.Begin(t.Context(), people.Session{Person: "local", SSO: true}, "sign-on")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AllowSSO(as("root"), "local", false); err != nil {
		t.Fatal(err)
	}
	lives := people.Lives{Idle: time.Hour, Absolute: time.Hour, SSO: time.Hour}
	if _, _, err := s.Open(t.Context(), here, lives); err != nil {
		t.Error("a session of the account's own password ends with the sign-on:", err)
	}
	_, _, err = s.Open(t.Context(), there, lives)
	is(t, err, people.ErrNoSession)
	_, err = s.Of(t.Context(), subject("3"), want("local"), false)
	is(t, err, people.ErrNotYours)
}

func TestRecord(t *testing.T) {
	s, c, file := open(t)
	for i := range 5 {
		e := audit.Entry{Act: []string{"work.apply", "work.preview", "rehearsal.start"}[i%3], What: "s1", OK: i != 4, Detail: strings.Repeat("ớ", 3000)}
		if err := s.Record(roles.With(t.Context(), roles.Caller{Name: "lan", Via: "session", Address: "10.0.0.9"}), e); err != nil {
			t.Fatal(err)
		}
		c.pass(24 * time.Hour)
	}
	if err := s.Record(t.Context(), audit.Entry{Act: "authority.renew"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), audit.Entry{}); err == nil {
		t.Error("a line without an act was written")
	}
	if got := acts(t, s, audit.Filter{}); len(got) != 6 || got[0] != "-authority.renew  by system/system" || got[5] != "+work.apply s1 by lan/screen" {
		t.Errorf("%q", got)
	}
	if got := acts(t, s, audit.Filter{Act: "work."}); len(got) != 4 {
		t.Errorf("%q", got)
	}
	if got := acts(t, s, audit.Filter{Act: "work.apply", Who: "lan", From: c.Now().Add(-3 * 24 * time.Hour)}); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if got := acts(t, s, audit.Filter{Act: "' OR 1=1 --"}); len(got) != 0 {
		t.Errorf("%q", got)
	}
	all, err := s.Entries(t.Context(), audit.Filter{Limit: 2, Before: 3})
	if err != nil || len(all) != 2 || all[0].ID != 2 || all[0].Address != "10.0.0.9" || len(all[0].Detail) > 4096 {
		t.Error(len(all), err)
	}

	// Nobody takes back what is in it, not with a program's own connection either.
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{"UPDATE audit SET who = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1", "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE id = 1"} {
		if _, err := db.Exec(q); err == nil {
			t.Errorf("%s was done", q)
		}
	}
	if got := acts(t, s, audit.Filter{}); len(got) != 6 {
		t.Errorf("%q", got)
	}
	// Only what is older than it is kept goes.
	if err := s.Prune(t.Context(), 3*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := acts(t, s, audit.Filter{}); len(got) != 4 {
		t.Errorf("%q", got)
	}
}

// What opens a door is nowhere in the files, only its hash.
func TestSecretsAreNotKept(t *testing.T) {
	s, c, file := open(t)
	add(t, s, "lan", roles.RoleAdmin)
	session, err1 := s.Begin(t.Context(), people.Session{Person: "lan"}, "password")
	key, _, err2 := s.CreateKey(as("root"), people.Key{Person: "lan", Role: roles.RoleViewer, Expires: c.Now().Add(time.Hour)})
	link, err3 := s.CreateLink(as("root"), "lan")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + "-wal"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for what, secret := range map[string]string{"session": session, "key": key, "link": link, "the key's random part": key[len(key)-52:]} {
			if strings.Contains(string(data), secret) {
				t.Errorf("%s of the %s is in %s", what, secret, filepath.Base(name))
			}
		}
	}
}
