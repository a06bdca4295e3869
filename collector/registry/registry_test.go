package registry

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"communewatch/collector/sqlite"
	"communewatch/inventory"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func open(t testing.TB, path string) *Registry {
	t.Helper()
	r, err := Open(context.Background(), path, Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return t0 }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return r
}

func openNew(t testing.TB) *Registry {
	return open(t, filepath.Join(t.TempDir(), "registry", "registry.db"))
}

func date(t testing.TB, s string) inventory.Date {
	t.Helper()
	d, err := inventory.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func importSites(t testing.TB, r *Registry, ids ...string) {
	t.Helper()
	var sites []inventory.Site
	for _, id := range ids {
		sites = append(sites, inventory.Site{ID: id, Name: "Site " + id})
	}
	if _, err := r.ImportSites(context.Background(), sites, false); err != nil {
		t.Fatal(err)
	}
}

func TestTokenLife(t *testing.T) {
	r := openNew(t)
	ctx := t.Context()
	if _, _, err := r.CreateToken(ctx, Token{Kind: KindAgent, Site: "s1"}); err == nil {
		t.Fatal("a token was made for a site nobody imported")
	}
	importSites(t, r, "s1")
	secret, made, err := r.CreateToken(ctx, Token{Kind: KindAgent, Site: "s1", Agent: "pc-1", Note: "máy văn phòng"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.Authenticate(ctx, secret)
	if want := (Identity{Token: made.ID, Kind: KindAgent, Site: "s1", Agent: "pc-1"}); err != nil || id != want {
		t.Fatalf("got %+v, %v; want %+v", id, err, want)
	}
	last := secret[len(secret)-1]
	wrong := secret[:len(secret)-1] + string(rune('a'+(last-'a'+1)%26))
	for _, s := range []string{"", "cw1_", "cw1__", wrong, secret + "a", "x" + secret, "cw1_aaaaaaaa_" + secret[13:]} {
		if _, err := r.Authenticate(ctx, s); !errors.Is(err, ErrUnknownToken) {
			t.Errorf("secret %q: got %v, want ErrUnknownToken", s, err)
		}
	}
	if err := r.RevokeToken(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Authenticate(ctx, secret); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked: got %v", err)
	}
	if err := r.RevokeToken(ctx, "nosuch"); err == nil {
		t.Error("revoking an unknown token succeeded")
	}
	if err := r.writeLastUsed(ctx); err != nil {
		t.Fatal(err)
	}
	list, err := r.Tokens(ctx)
	want := []Token{{ID: made.ID, Kind: KindAgent, Site: "s1", Agent: "pc-1", Note: "máy văn phòng", Created: t0, Revoked: t0, LastUsed: t0}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// Telegraf and its like measure servers that stand at no site.
func TestWriterWithoutSite(t *testing.T) {
	r := openNew(t)
	secret, made, err := r.CreateToken(t.Context(), Token{Kind: KindWriter, Note: "telegraf"})
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{Token: made.ID, Kind: KindWriter}
	for _, reg := range []*Registry{r, open(t, r.path)} {
		if id, err := reg.Authenticate(t.Context(), secret); err != nil || id != want {
			t.Errorf("got %+v, %v; want %+v", id, err, want)
		}
	}
	list, err := r.Tokens(t.Context())
	if diff := cmp.Diff([]Token{{ID: made.ID, Kind: KindWriter, Note: "telegraf", Created: t0}}, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// An operator's token is of no site, and of no use to anybody who writes for one.
func TestOperator(t *testing.T) {
	r := openNew(t)
	secret, made, err := r.CreateToken(t.Context(), Token{Kind: KindOperator, Note: "Lan"})
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{Token: made.ID, Kind: KindOperator}
	for _, reg := range []*Registry{r, open(t, r.path)} {
		if id, err := reg.Authenticate(t.Context(), secret); err != nil || id != want {
			t.Errorf("got %+v, %v; want %+v", id, err, want)
		}
	}
	for _, bad := range []Token{{Kind: KindOperator, Site: "s1"}, {Kind: KindOperator, Agent: "pc"}, {Kind: "king"}} {
		if _, _, err := r.CreateToken(t.Context(), bad); err == nil {
			t.Errorf("%+v was made", bad)
		}
	}
}

// A file of the first version keeps its tokens, their uses, and what watches over them.
func TestMigrationOfTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	first, err := migrationFiles.ReadFile("migrations/0001_first.sql")
	if err != nil {
		t.Fatal(err)
	}
	old, err := sqlite.Open(t.Context(), path, sqlite.Options{
		Name: "registry", ApplicationID: applicationID, Readers: 1, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Migrations: fstest.MapFS{"0001.sql": {Data: first}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const secret = "cw1_abcdefgh_abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
	hash := sha256.Sum256([]byte(secret))
	err = old.Write(t.Context(), func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, `INSERT INTO sites VALUES ('s1');
			INSERT INTO tokens VALUES ('abcdefgh', 'agent', 's1', 'pc', 'note', ?1, ?2, NULL);
			INSERT INTO token_uses VALUES ('abcdefgh', ?2)`, hash[:], t0.UnixMilli())
		return err
	})
	if err := errors.Join(err, old.Close()); err != nil {
		t.Fatal(err)
	}
	r := open(t, path)
	list, err := r.Tokens(t.Context())
	want := []Token{{ID: "abcdefgh", Kind: KindAgent, Site: "s1", Agent: "pc", Note: "note", Created: t0, LastUsed: t0}}
	if diff := cmp.Diff(want, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := r.Authenticate(t.Context(), secret); err != nil {
		t.Error(err)
	}
	if err := r.writeLastUsed(t.Context()); err != nil { // token_uses still belongs to tokens
		t.Error(err)
	}
	if err := r.RevokeToken(t.Context(), "abcdefgh"); err != nil {
		t.Fatal(err)
	}
	other := open(t, path)
	if _, err := other.Authenticate(t.Context(), secret); !errors.Is(err, ErrRevoked) {
		t.Error("after the migration a revocation does nothing:", err)
	}
	var violations int
	if err := r.read.QueryRowContext(t.Context(), "SELECT count(*) FROM pragma_foreign_key_check").Scan(&violations); err != nil || violations != 0 {
		t.Error(violations, err)
	}
	if copies, _ := filepath.Glob(path + ".v1-*"); len(copies) != 1 {
		t.Error("no copy was made before:", copies)
	}
}

func TestRevocationByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r, other := open(t, path), open(t, path)
	importSites(t, other, "s1")
	secret, made, err := other.CreateToken(t.Context(), Token{Kind: KindWriter, Site: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Second)
	for {
		if _, err = r.Authenticate(t.Context(), secret); err == nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		t.Fatal("a token made by another process is not known after 1 s:", err)
	}
	if err := other.RevokeToken(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	deadline = time.Now().Add(time.Second)
	for err == nil && time.Now().Before(deadline) {
		_, err = r.Authenticate(t.Context(), secret)
	}
	if !errors.Is(err, ErrRevoked) {
		t.Errorf("1 s after another process revoked it: %v", err)
	}
}

// A token may be used at once, also when this process looked for an unknown one a moment ago.
func TestTokenOfAnotherProcessIsKnownAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	collector, tool := open(t, path), open(t, path)
	importSites(t, tool, "s1")
	for range 5 {
		if _, err := collector.Authenticate(t.Context(), "cw1_aaaaaaaa_"+strings.Repeat("a", 52)); !errors.Is(err, ErrUnknownToken) {
			t.Fatal(err)
		}
		secret, _, err := tool.CreateToken(t.Context(), Token{Kind: KindAgent, Site: "s1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := collector.Authenticate(t.Context(), secret); err != nil {
			t.Fatalf("a token just made: %v", err)
		}
	}
}

func TestTakeCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	take := func(r *Registry, boot string, seqs ...uint64) {
		t.Helper()
		for _, n := range seqs {
			rc := Receipt{Site: "s1", Agent: "a", Boot: boot, Seq: n, Points: 10, Rejected: 1, ReceivedAt: t0.Add(time.Duration(n) * time.Second)}
			if err := r.Take(t.Context(), rc); err != nil {
				t.Fatal(err)
			}
		}
	}
	take(r, "b1", 9, 10, 1, 2, 3, 3, 7)
	take(r, "b2", 1)
	take(r, "", 0, 0)
	want := []Account{
		{Site: "s1", Agent: "a", Boot: "", Received: 2, Points: 20, Rejected: 2, First: t0, Last: t0},
		{Site: "s1", Agent: "a", Boot: "b2", Highest: 1, Received: 1, Points: 10, Rejected: 1, First: t0.Add(time.Second), Last: t0.Add(time.Second)},
		{Site: "s1", Agent: "a", Boot: "b1", Highest: 10, Received: 6, Missing: 4, Replays: 1, Points: 60, Rejected: 6, First: t0.Add(9 * time.Second), Last: t0.Add(10 * time.Second)},
	}
	got, err := r.Accounts(t.Context(), "s1")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if err := r.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	// A second process that takes too, and a fresh start, count on from what is in the file.
	other := open(t, path)
	take(other, "b1", 4, 5, 10)
	take(r, "b1", 6, 8, 11)
	got, err = other.Accounts(t.Context(), "")
	if err != nil || got[2].Received != 11 || got[2].Missing != 0 || got[2].Highest != 11 || got[2].Replays != 2 {
		t.Errorf("%v %+v", err, got[2])
	}
}

// A collector that starts again goes on with the accounts of agents that did not.
func TestTakeGoesOnAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	for seq := uint64(1); seq <= 3; seq++ {
		r := open(t, path)
		rc := Receipt{Site: "s1", Agent: "pc-1", Boot: "b", Seq: seq, Clock: 1, Points: 1, ReceivedAt: time.Now()}
		if err := r.Take(t.Context(), rc); err != nil {
			t.Fatalf("batch %d: %v", seq, err)
		}
		accounts, err := r.Accounts(t.Context(), "s1")
		if err != nil || len(accounts) != 1 || accounts[0].Received != seq || accounts[0].Missing != 0 {
			t.Fatalf("after batch %d: %+v, %v", seq, accounts, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClockShiftFirstWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r, other := open(t, path), open(t, path)
	id := ClockID{"s1", "a", "b1", 1}
	if _, known, err := r.ClockShift(t.Context(), id); known || err != nil {
		t.Fatal(known, err)
	}
	if got, err := r.SetClockShift(t.Context(), id, -7*time.Second); got != -7*time.Second || err != nil {
		t.Fatal(got, err)
	}
	for _, reg := range []*Registry{r, other} {
		if got, err := reg.SetClockShift(t.Context(), id, time.Hour); got != -7*time.Second || err != nil {
			t.Errorf("second one: %v %v", got, err)
		}
		if got, known, err := reg.ClockShift(t.Context(), id); got != -7*time.Second || !known || err != nil {
			t.Error(got, known, err)
		}
	}
}

func TestChanges(t *testing.T) {
	r := openNew(t)
	a := Change{Site: "s1", Layer: "lan", Check: "gw", From: "ok", To: "down", At: t0, Reason: "timeout"}
	b := Change{Site: "s1", Layer: "lan", Check: "gw", From: "down", To: "ok", At: t0.Add(time.Minute)}
	c := Change{Site: "s2", From: "none", To: "ok", At: t0}
	for _, group := range [][]Change{{b, c}, {a}, {a, b}} { // late and repeated
		if err := r.AppendChanges(t.Context(), group); err != nil {
			t.Fatal(err)
		}
	}
	last, err := r.LastChanges(t.Context())
	if diff := cmp.Diff([]Change{b, c}, last); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	all, err := r.Changes(t.Context(), "s1", time.Time{}, time.Time{}, 0)
	if diff := cmp.Diff([]Change{b, a}, all); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	some, err := r.Changes(t.Context(), "s1", t0, b.At, 1)
	if diff := cmp.Diff([]Change{a}, some); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
