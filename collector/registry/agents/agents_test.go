package agents_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/inventory"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
)

// world is a registry with sites s1 to s3, a clock that is set by hand, and a desk.
type world struct {
	t    *testing.T
	ctx  context.Context
	file string
	mu   sync.Mutex // guards now
	now  time.Time
	reg  *registry.Registry
	log  strings.Builder
	*agents.Store
	desk *agents.Desk
}

func carry() (enroll.Pin, []string, error) {
	return enroll.Pin{1, 2, 3}, []string{"https://collector.example:8787"}, nil
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, file: filepath.Join(t.TempDir(), "registry.db"), now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	w.ctx = people.With(t.Context(), people.Caller{Name: "lan", Via: "session", Address: "10.0.0.9", Role: people.RoleAdmin})
	w.reg = w.open(slog.New(slog.NewTextHandler(&w.log, nil)))
	w.Store = w.reg.Agents()
	w.desk = w.Store.NewDesk(carry)
	var sites []inventory.Site
	for _, id := range []string{"s1", "s2", "s3"} {
		sites = append(sites, inventory.Site{ID: id, Name: id})
	}
	if _, err := w.reg.ImportSites(t.Context(), sites, false); err != nil {
		t.Fatal(err)
	}
	return w
}

// open opens the file once more, as another process does.
func (w *world) open(log *slog.Logger) *registry.Registry {
	w.t.Helper()
	reg, err := registry.Open(w.t.Context(), w.file, registry.Options{Log: log, Now: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return reg
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) code(want fleet.NewCode) fleet.Made {
	w.t.Helper()
	made, err := w.desk.CreateCodes(w.ctx, []fleet.NewCode{want})
	if err != nil {
		w.t.Fatal(err)
	}
	return made[0]
}

func key(name string) [sha256.Size]byte { return sha256.Sum256([]byte(name)) }

// ask is what the machine called by its key does with a code.
func (w *world) ask(code fleet.Made, machine, name string) (agents.Admitted, error) {
	w.t.Helper()
	parsed, err := enroll.ParseCode(code.Text)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Ask(w.ctx, agents.Asking{Secret: parsed.Secret, Key: key(machine), Agent: name, Machine: enroll.Machine{Host: machine}, Address: "10.1.1.1"})
}

// enrol brings a machine in, with a certificate.
func (w *world) enrol(want fleet.NewCode, machine, name string) {
	w.t.Helper()
	in, err := w.ask(w.code(want), machine, name)
	if err != nil || in.State != fleet.StateActive {
		w.t.Fatal(in, err)
	}
	w.issue(in.Site, in.Agent, machine, "1")
}

func (w *world) issue(site, agent, machine, serial string) {
	w.t.Helper()
	err := w.Issued(w.ctx, agents.Certificate{Site: site, Agent: agent, Serial: serial, Key: key(machine), Issued: w.clock(), Expires: w.clock().Add(90 * 24 * time.Hour),
		Machine: enroll.Machine{Host: machine}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused checks the code of a refusal.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	var r *agents.Refused
	if !errors.As(err, &r) || r.Code != code || r.Message == "" {
		t.Errorf("got %v, want a refusal %s", err, code)
	}
}

func (w *world) standing(site, agent, machine string, want fleet.State) {
	w.t.Helper()
	got, err := w.Standing(site, agent, key(machine))
	if want == "" && !errors.Is(err, fleet.ErrUnknownAgent) || want != "" && (err != nil || got != want) {
		w.t.Errorf("%s of %s/%s: %q, %v; want %q", machine, site, agent, got, err, want)
	}
}

func (w *world) agent(site, agent string) fleet.Agent {
	w.t.Helper()
	all, err := w.Agents(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range all {
		if a.Site == site && a.Agent == agent {
			return a
		}
	}
	w.t.Fatalf("%s/%s is not among %v", site, agent, all)
	return fleet.Agent{}
}

func TestACodeIsForOneMachine(t *testing.T) {
	w := newWorld(t)
	code := w.code(fleet.NewCode{Site: "s1"})
	if got, err := w.ask(code, "pc", "main"); err != nil || got != (agents.Admitted{Site: "s1", Agent: "main", State: fleet.StateActive}) {
		t.Fatal(got, err)
	}
	// The answer was lost: the same machine asks again, under any name, and is who it was.
	if got, err := w.ask(code, "pc", "other"); err != nil || got.Agent != "main" {
		t.Fatal(got, err)
	}
	_, err := w.ask(code, "thief", "main")
	refused(t, err, enroll.RefusedUsed)
	w.standing("s1", "main", "pc", fleet.StateActive)
	w.standing("s1", "main", "thief", "")
	w.standing("s2", "main", "pc", "")
	codes, err := w.desk.Codes(w.ctx)
	if err != nil || len(codes) != 1 || codes[0].UsedBy != "main" || codes[0].Used.IsZero() || codes[0].By != "lan" {
		t.Error(codes, err)
	}
	w.pass(8 * 24 * time.Hour)
	_, err = w.ask(code, "pc", "main")
	refused(t, err, enroll.RefusedExpired)
}

func TestCodesThatAreNoGood(t *testing.T) {
	w := newWorld(t)
	unknown := fleet.Made{Text: enroll.Code{Addresses: []string{"https://x"}}.String()}
	_, err := w.ask(unknown, "pc", "main")
	refused(t, err, enroll.RefusedCode)

	code := w.code(fleet.NewCode{Site: "s1", Valid: time.Hour})
	w.pass(time.Hour)
	_, err = w.ask(code, "pc", "main")
	refused(t, err, enroll.RefusedExpired)

	code = w.code(fleet.NewCode{Site: "s1"})
	if err := w.desk.CancelCode(w.ctx, code.ID, "minh"); err != nil {
		t.Fatal(err)
	}
	_, err = w.ask(code, "pc", "main")
	refused(t, err, enroll.RefusedCode)
	if err := w.desk.CancelCode(w.ctx, "nope", "minh"); !errors.Is(err, fleet.ErrUnknownCode) {
		t.Error(err)
	}
	code = w.code(fleet.NewCode{Site: "s1"})
	if _, err := w.ask(code, "pc", "main"); err != nil {
		t.Fatal(err)
	}
	var invalid *fleet.Invalid
	if err := w.desk.CancelCode(w.ctx, code.ID, ""); !errors.As(err, &invalid) {
		t.Error("a used code was cancelled:", err)
	}
	if known, err := w.Knows(w.ctx, [enroll.SecretBytes]byte{}); known || err != nil {
		t.Error(known, err)
	}
}

func TestWhatIsAskedOfCodes(t *testing.T) {
	w := newWorld(t)
	w.enrol(fleet.NewCode{Site: "s1"}, "pc", "main")
	for name, want := range map[string]fleet.NewCode{
		"unknown site": {Site: "s9"}, "no site": {}, "a hostile site": {Site: "../etc"}, "a hostile agent": {Site: "s1", Agent: "<script>"},
		"a note of two lines": {Site: "s1", Note: "a\nb"}, "too long": {Site: "s1", Valid: 31 * 24 * time.Hour}, "too short": {Site: "s1", Valid: time.Second},
		"a name that is taken": {Site: "s1", Agent: "main"},
	} {
		// Beside good ones: all or nothing.
		if made, err := w.desk.CreateCodes(w.ctx, []fleet.NewCode{{Site: "s2"}, want}); err == nil || made != nil {
			t.Errorf("%s: taken: %v", name, made)
		} else if name == "unknown site" && !errors.Is(err, fleet.ErrUnknownSite) {
			t.Errorf("%s: %v", name, err)
		}
	}
	codes, err := w.desk.Codes(w.ctx)
	if err != nil || len(codes) != 1 {
		t.Error("some were made:", codes, err)
	}
}

func TestManyCodesAtOnce(t *testing.T) {
	w := newWorld(t)
	var sites []inventory.Site
	var want []fleet.NewCode
	for i := range 136 {
		id := fmt.Sprintf("p%03d", i)
		sites = append(sites, inventory.Site{ID: id, Name: id})
		want = append(want, fleet.NewCode{Site: id, Approve: true, By: "lan"})
	}
	if _, err := w.reg.ImportSites(w.ctx, sites, false); err != nil {
		t.Fatal(err)
	}
	made, err := w.desk.CreateCodes(w.ctx, want)
	if err != nil || len(made) != 136 {
		t.Fatal(len(made), err)
	}
	file, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(w.file + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	file = append(file, wal...)
	seen := map[string]bool{}
	for i, m := range made {
		if m.Site != want[i].Site || seen[m.Text] || seen[m.ID] {
			t.Fatalf("code %d: %+v", i, m)
		}
		seen[m.Text], seen[m.ID] = true, true
		code, err := enroll.ParseCode(m.Text)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(file), string(code.Secret[:])) || strings.Contains(string(file), fmt.Sprintf("%x", code.Secret)) || strings.Contains(string(file), m.Text) {
			t.Fatal("a secret is in the file")
		}
	}
	entries, err := w.reg.People().Entries(w.ctx, audit.Filter{Act: "code.create", Limit: 1000})
	if err != nil || len(entries) != 136 || entries[0].Who != "lan" || entries[0].Via != "screen" || !entries[0].OK {
		t.Error(len(entries), err)
	}
}

func TestApproval(t *testing.T) {
	w := newWorld(t)
	code := w.code(fleet.NewCode{Site: "s1", Approve: true})
	got, err := w.ask(code, "pc", "main")
	if err != nil || got.State != fleet.StatePending {
		t.Fatal(got, err)
	}
	w.standing("s1", "main", "pc", fleet.StatePending)
	w.pass(48 * time.Hour) // the code has expired meanwhile; who waits does not lose its place
	if got, err = w.ask(code, "pc", "main"); err != nil || got.State != fleet.StatePending {
		t.Fatal(got, err)
	}
	if err := w.Issued(w.ctx, agents.Certificate{Site: "s1", Agent: "main", Serial: "1", Key: key("pc")}); err == nil {
		t.Error("who waits got a certificate")
	}
	if err := w.desk.ApproveKey(w.ctx, "s1", "main", "lan", key("another")); !errors.Is(err, fleet.ErrOtherKey) || strings.Contains(err.Error(), ".db") {
		t.Error("another machine than was looked at, which is no trouble of the file:", err)
	}
	w.standing("s1", "main", "pc", fleet.StatePending)
	if err := w.desk.ApproveKey(w.ctx, "s1", "main", "lan", key("pc")); err != nil {
		t.Fatal(err)
	}
	if got, err = w.ask(code, "pc", "main"); err != nil || got.State != fleet.StateActive {
		t.Fatal(got, err)
	}
	if a := w.agent("s1", "main"); a.By != "lan" || a.Approved.IsZero() || a.Machine.Host != "pc" || a.Code != code.ID {
		t.Errorf("%+v", a)
	}
	if err := w.desk.Approve(w.ctx, "s1", "main", "lan"); !errors.Is(err, fleet.ErrState) {
		t.Error("approved twice:", err)
	}
	if err := w.desk.Approve(w.ctx, "s1", "nobody", "lan"); !errors.Is(err, fleet.ErrUnknownAgent) {
		t.Error(err)
	}

	code = w.code(fleet.NewCode{Site: "s2", Approve: true})
	if _, err := w.ask(code, "laptop", "main"); err != nil {
		t.Fatal(err)
	}
	if err := w.desk.Revoke(w.ctx, "s2", "main", "lan", "nobody knows it"); err != nil {
		t.Fatal(err)
	}
	_, err = w.ask(code, "laptop", "main")
	refused(t, err, enroll.RefusedRejected)
	// It was never let in, so its key may come with another code.
	if got, err := w.ask(w.code(fleet.NewCode{Site: "s2"}), "laptop", "main"); err != nil || got.State != fleet.StateActive {
		t.Error(got, err)
	}
}

func TestTheSettingsMayWantApproval(t *testing.T) {
	w := newWorld(t)
	code, err := enroll.ParseCode(w.code(fleet.NewCode{Site: "s1"}).Text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Ask(w.ctx, agents.Asking{Secret: code.Secret, Key: key("pc"), Agent: "main", Approve: true})
	if err != nil || got.State != fleet.StatePending {
		t.Error(got, err)
	}
}

func TestRevokedAtOnce(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	told := make(chan string, 10)
	w.OnRevoked(func(site, agent string) {
		mu.Lock()
		defer mu.Unlock()
		told <- site + "/" + agent
	})
	w.enrol(fleet.NewCode{Site: "s1"}, "pc", "main")
	w.enrol(fleet.NewCode{Site: "s2"}, "pc2", "main")
	if err := w.desk.Revoke(w.ctx, "s1", "main", "", "stolen"); err != nil {
		t.Fatal(err)
	}
	w.standing("s1", "main", "pc", fleet.StateRevoked)
	if got := <-told; got != "s1/main" {
		t.Error(got)
	}
	if a := w.agent("s1", "main"); a.State != fleet.StateRevoked || a.Why != "stolen" || a.By != "lan" || a.Revoked.IsZero() {
		t.Errorf("%+v", a)
	}
	if err := w.Issued(w.ctx, agents.Certificate{Site: "s1", Agent: "main", Serial: "2", Key: key("pc")}); err == nil {
		t.Error("a revoked agent got a certificate")
	}
	if err := w.desk.Revoke(w.ctx, "s1", "main", "", ""); !errors.Is(err, fleet.ErrState) {
		t.Error("revoked twice:", err)
	}

	// Another process does it; this one sees it within a second, and tells.
	other := w.open(slog.New(slog.DiscardHandler))
	if err := other.Agents().NewDesk(carry).Revoke(w.ctx, "s2", "main", "", "lost"); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-told:
		if got != "s2/main" {
			t.Error(got)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	w.standing("s2", "main", "pc2", fleet.StateRevoked)

	// The thief's key is of no more use, whatever code it comes with; the machine with a new key is welcome.
	_, err := w.ask(w.code(fleet.NewCode{Site: "s1"}), "pc", "main")
	refused(t, err, enroll.RefusedRevoked)
	w.enrol(fleet.NewCode{Site: "s1"}, "pc with a new key", "main")
	w.standing("s1", "main", "pc with a new key", fleet.StateActive)
	w.standing("s1", "main", "pc", fleet.StateRevoked)

	entries, err := w.reg.People().Entries(w.ctx, audit.Filter{Act: "agent.revoke"})
	if err != nil || len(entries) != 3 || entries[2].OK != true || entries[1].OK || entries[2].What != "s1/main" || entries[2].Detail != "stolen" {
		t.Errorf("%+v %v", entries, err)
	}
}

func TestReplacing(t *testing.T) {
	w := newWorld(t)
	w.enrol(fleet.NewCode{Site: "s1"}, "old", "main")
	_, err := w.ask(w.code(fleet.NewCode{Site: "s1"}), "new", "main")
	refused(t, err, enroll.RefusedTaken)
	code := w.code(fleet.NewCode{Site: "s1"})
	if _, err := w.ask(code, "new", "main"); err == nil {
		t.Fatal("taken")
	}
	// A name that is taken does not use the code up.
	if got, err := w.ask(code, "new", "second"); err != nil || got.Agent != "second" {
		t.Fatal(got, err)
	}

	w.say("main", "b1", "old", presence.PhaseRunning, "1")
	code = w.code(fleet.NewCode{Site: "s1", Agent: "main", Replace: true, Approve: true})
	if got, err := w.ask(code, "third", "whatever"); err != nil || got.Agent != "main" || got.State != fleet.StatePending {
		t.Fatal(got, err)
	}
	w.standing("s1", "main", "old", fleet.StateActive) // until somebody has looked
	w.standing("s1", "main", "third", fleet.StatePending)
	if err := w.desk.Reject(w.ctx, "s1", "main", "", "who is that?"); err != nil {
		t.Fatal(err)
	}
	w.standing("s1", "main", "old", fleet.StateActive)

	code = w.code(fleet.NewCode{Site: "s1", Agent: "main", Replace: true, Approve: true})
	if _, err := w.ask(code, "third", "main"); err != nil {
		t.Fatal(err)
	}
	if err := w.desk.Approve(w.ctx, "s1", "main", ""); err != nil {
		t.Fatal(err)
	}
	w.standing("s1", "main", "old", fleet.StateRevoked)
	w.standing("s1", "main", "third", fleet.StateActive)
	if a := w.agent("s1", "main"); a.Presence != nil {
		t.Error("the new machine is said to be what the old one said it was")
	}
	w.enrol(fleet.NewCode{Site: "s1", Agent: "main", Replace: true}, "fourth", "x")
	w.standing("s1", "main", "third", fleet.StateRevoked)
	w.standing("s1", "main", "fourth", fleet.StateActive)
}

func TestTheSameMachineOnceMore(t *testing.T) {
	w := newWorld(t)
	first := w.code(fleet.NewCode{Site: "s1"})
	if _, err := w.ask(first, "pc", "main"); err != nil {
		t.Fatal(err)
	}
	second := w.code(fleet.NewCode{Site: "s1", Approve: true})
	if got, err := w.ask(second, "pc", "main"); err != nil || got.State != fleet.StateActive {
		t.Fatal(got, err)
	}
	if a := w.agent("s1", "main"); a.Code != second.ID {
		t.Errorf("%+v", a)
	}
	_, err := w.ask(first, "pc", "main")
	refused(t, err, enroll.RefusedUsed)
}

func TestRenewalWithANewKey(t *testing.T) {
	w := newWorld(t)
	w.enrol(fleet.NewCode{Site: "s1"}, "key 1", "main")
	renew := func(by, to, serial string) error {
		return w.Issued(w.ctx, agents.Certificate{Site: "s1", Agent: "main", Serial: serial, Key: key(to), By: key(by), Issued: w.clock(), Expires: w.clock().Add(time.Hour)})
	}
	if err := renew("key 1", "key 2", "2"); err != nil {
		t.Fatal(err)
	}
	// A machine that was replaced while its request was under way asks for the place of the other.
	refused(t, renew("key of another", "key 3", "3"), enroll.RefusedRevoked)
	w.standing("s1", "main", "key 1", fleet.StateActive) // the answer may be lost
	w.standing("s1", "main", "key 2", fleet.StateActive)
	if a := w.agent("s1", "main"); a.Serial != "2" || a.Key != key("key 2") {
		t.Errorf("%+v", a)
	}
	if err := w.desk.Revoke(w.ctx, "s1", "main", "", ""); err != nil {
		t.Fatal(err)
	}
	w.standing("s1", "main", "key 1", fleet.StateRevoked)
	w.standing("s1", "main", "key 2", fleet.StateRevoked)
	for _, k := range []string{"key 1", "key 2"} {
		_, err := w.ask(w.code(fleet.NewCode{Site: "s2"}), k, "main")
		refused(t, err, enroll.RefusedRevoked)
	}
}
