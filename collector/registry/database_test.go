package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func tryOpen(path string) error {
	r, err := Open(context.Background(), path, Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = r.Close()
	}
	return err
}

// wantError checks that an error names the file and the fix.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q says nothing of %q", err, p)
		}
	}
}

func rawDB(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }

	rawDB(t, file("newer.db"), "CREATE TABLE x (y)", fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 99")
	err := tryOpen(file("newer.db"))
	wantError(t, err, file("newer.db"), "99", "newer communewatch")
	if !errors.Is(err, ErrNewer) {
		t.Error("is not ErrNewer")
	}

	rawDB(t, file("foreign.db"), "CREATE TABLE x (y)")
	wantError(t, tryOpen(file("foreign.db")), file("foreign.db"), "another program", "another file name")

	if err := os.WriteFile(file("text.db"), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, tryOpen(file("text.db")), file("text.db"), "damaged", "backup")

	wantError(t, tryOpen(dir), dir, "regular file")
	wantError(t, tryOpen(""), "no file name")
	wantError(t, tryOpen(filepath.Join(file("text.db"), "registry.db")), file("text.db"), "folder")
}

func TestOpenDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	var ids []string
	for i := range 2000 {
		ids = append(ids, fmt.Sprintf("s%05d", i))
	}
	importSites(t, r, ids...)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 2; i < len(data)/2+8192; i++ {
		data[i] = 0xA5
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, tryOpen(path), path, "damaged", "backup")
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are access lists there")
	}
	r := openNew(t)
	importSites(t, r, "s1")
	backup := filepath.Join(filepath.Dir(r.path), "backup.db")
	if err := r.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{filepath.Dir(r.path): 0o700, r.path: 0o600, r.path + "-wal": 0o600, r.path + "-shm": 0o600, backup: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
}

// A folder name with every character that a file URI or SQLite could take for something else.
func TestOddPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sổ & số?mode=ro#50%20 'x'", "registry.db")
	r := open(t, path)
	importSites(t, r, "s1")
	if err := r.Backup(t.Context(), filepath.Join(filepath.Dir(path), "it's a backup?.db")); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 4 { // database, -wal, -shm, backup
		t.Error(entries, err)
	}
}

func TestBackupWhileWriting(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for seq := uint64(1); ctx.Err() == nil; seq++ {
			if err := r.Take(context.Background(), Receipt{Site: "s1", Agent: "a", Boot: "b", Seq: seq, Points: 1, ReceivedAt: t0}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer wg.Wait()
	defer stop()
	dir := t.TempDir()
	var last uint64
	for i := range 5 {
		if err := r.Take(t.Context(), Receipt{Site: "s1", Agent: "z", Boot: "b", Seq: uint64(i + 1), ReceivedAt: t0}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprint("b", i))
		if err := r.Backup(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		err := r.Backup(t.Context(), file)
		wantError(t, err, file, "another name")

		accounts, err := open(t, file).Accounts(t.Context(), "")
		if err != nil || len(accounts) == 0 {
			t.Fatal(accounts, err)
		}
		for _, a := range accounts {
			if a.Agent == "z" && a.Received != uint64(i+1) || a.Agent == "a" && (a.Missing != 0 || a.Points != a.Received || a.Received < last) {
				t.Errorf("backup %d has %+v", i, a)
			}
			if a.Agent == "a" {
				last = a.Received
			}
		}
	}
	wantError(t, r.Backup(t.Context(), filepath.Join(dir, "none", "b")), "folder must exist")
	if left, _ := filepath.Glob(filepath.Join(dir, ".*partial*")); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	r := openNew(t)
	if _, err := r.writer.conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 20"); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	rc := Receipt{Site: "s1", Agent: "a", Boot: "b", Seq: 1, ReceivedAt: t0}
	wantError(t, r.Take(t.Context(), rc), r.path, "locked by another program")
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := r.Take(t.Context(), rc); err != nil {
		t.Error("after the lock was gone:", err)
	}
}

// A full disk fails those who write now, loses nothing that was acknowledged, and is over when there is room again.
func TestDiskFull(t *testing.T) {
	r := openNew(t)
	ctx := t.Context()
	if _, err := r.writer.conn.ExecContext(ctx, "PRAGMA max_page_count = 60"); err != nil {
		t.Fatal(err)
	}
	var taken int
	var err error
	for err == nil && taken < 100_000 {
		if err = r.Take(ctx, Receipt{Site: "s1", Agent: "a", Boot: fmt.Sprint("b", taken), Seq: 1, ReceivedAt: t0}); err == nil {
			taken++
		}
	}
	wantError(t, err, r.path, "no room left", "free some space")
	accounts, err := r.Accounts(ctx, "s1")
	if err != nil || len(accounts) != taken {
		t.Errorf("%d receipts taken, %d in the file, %v", taken, len(accounts), err)
	}
	if _, err := r.writer.conn.ExecContext(ctx, "PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if err := r.Take(ctx, Receipt{Site: "s1", Agent: "a", Boot: fmt.Sprint("b", taken), Seq: 1, ReceivedAt: t0}); err != nil {
		t.Error("with room again:", err)
	}
}

func TestMigration(t *testing.T) {
	ctx := t.Context()
	r := openNew(t)
	importSites(t, r, "s1")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	scripts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	migrateWith := func(more ...string) error {
		db, err := connect(r.path, writeConnection)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		return migrateTo(ctx, db, r.path, append(scripts, more...), t0, slog.New(slog.DiscardHandler))
	}
	const good, bad = "ALTER TABLE tokens ADD COLUMN extra TEXT", "CREATE TABLE y (z); INSERT INTO nosuch VALUES (1)"
	err = migrateWith(good, bad)
	wantError(t, err, "version 3", "undone")
	if err := tryOpen(r.path); err != nil {
		t.Fatal("after a migration that failed:", err)
	}
	if err := os.Remove(fmt.Sprintf("%s.v1-20261123T080000Z", r.path)); err != nil {
		t.Fatal(err)
	}
	if err := migrateWith(good); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(r.path); !errors.Is(err, ErrNewer) {
		t.Error("the older program opened the newer file:", err)
	}
	// The copy made before is what the older program goes back to.
	sites, err := open(t, fmt.Sprintf("%s.v1-20261123T080000Z", r.path)).Sites(ctx, t0)
	if err != nil || len(sites) != 1 {
		t.Error(sites, err)
	}
}

func TestOpenTwiceAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := tryOpen(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestClosed(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	_, sitesErr := r.Sites(ctx, t0)
	_, _, tokenErr := r.CreateToken(ctx, Token{Kind: KindAgent, Site: "s1"})
	for what, err := range map[string]error{
		"Take": r.Take(ctx, Receipt{Site: "s1", ReceivedAt: t0}), "Sites": sitesErr, "CreateToken": tokenErr,
		"AppendChanges": r.AppendChanges(ctx, []Change{{Site: "s1"}}), "Backup": r.Backup(ctx, filepath.Join(t.TempDir(), "b")),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := r.Sync(ctx); err != nil {
		t.Error(err)
	}
}

// Whatever is handed in while the registry closes is either committed or refused.
func TestCloseWhileTaking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	taken := make([]uint64, 16)
	var wg sync.WaitGroup
	started := make(chan struct{}, len(taken))
	for i := range taken {
		wg.Go(func() {
			for seq := uint64(1); ; seq++ {
				err := r.Take(context.Background(), Receipt{Site: "s1", Agent: fmt.Sprintf("a%02d", i), Boot: "b", Seq: seq, ReceivedAt: t0})
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if taken[i] = seq; seq == 3 {
					started <- struct{}{}
				}
			}
		})
	}
	for range taken {
		select {
		case <-started:
		case <-time.After(10 * time.Second):
			t.Fatal("takes no receipts")
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	accounts, err := open(t, path).Accounts(t.Context(), "")
	if err != nil || len(accounts) != len(taken) {
		t.Fatal(accounts, err)
	}
	for i, a := range accounts {
		if a.Received != taken[i] {
			t.Errorf("%s: %d acknowledged, %d in the file", a.Agent, taken[i], a.Received)
		}
	}
}
