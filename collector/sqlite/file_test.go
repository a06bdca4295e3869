package sqlite

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
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

const testID = 0x54455354

func options() Options {
	return Options{
		Name: "test database", ApplicationID: testID, Readers: 2,
		Migrations: fstest.MapFS{"0001.sql": {Data: []byte("CREATE TABLE pairs (k TEXT PRIMARY KEY, v INTEGER NOT NULL DEFAULT 0)")}},
		Log:        slog.New(slog.DiscardHandler), Now: func() time.Time { return t0 },
	}
}

func open(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(t.Context(), path, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return d
}

func openNew(t *testing.T) *DB {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "folder", "test.db"))
}

func tryOpen(path string) error {
	d, err := Open(context.Background(), path, options())
	if err == nil {
		err = d.Close()
	}
	return err
}

func insert(k string) func(context.Context, *sql.Conn) error {
	return func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "INSERT INTO pairs (k) VALUES (?)", k)
		return err
	}
}

func put(t *testing.T, d *DB, k string) {
	t.Helper()
	if err := d.Write(t.Context(), insert(k)); err != nil {
		t.Fatal(err)
	}
}

func keys(t *testing.T, d *DB) (all []string) {
	t.Helper()
	rows, err := d.Read().QueryContext(t.Context(), "SELECT k FROM pairs ORDER BY k")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
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

	rawDB(t, file("newer.db"), "CREATE TABLE x (y)", fmt.Sprintf("PRAGMA application_id = %d", testID), "PRAGMA user_version = 99")
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
	d := open(t, path)
	for i := range 2000 {
		put(t, d, fmt.Sprintf("key %05d", i))
	}
	if err := d.Close(); err != nil {
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
	d := openNew(t)
	put(t, d, "k")
	backup := filepath.Join(filepath.Dir(d.path), "backup.db")
	if err := d.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{filepath.Dir(d.path): 0o700, d.path: 0o600, d.path + "-wal": 0o600, d.path + "-shm": 0o600, backup: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
}

// A folder name with every character that a file URI or SQLite could take for something else.
func TestOddPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sổ & số?mode=ro#50%20 'x'", "registry.db")
	d := open(t, path)
	put(t, d, "k")
	if err := d.Backup(t.Context(), filepath.Join(filepath.Dir(path), "it's a backup?.db")); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 4 { // database, -wal, -shm, backup
		t.Error(entries, err)
	}
}

func TestMigration(t *testing.T) {
	d := openNew(t)
	put(t, d, "k")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	openWith := func(scripts ...string) error {
		o := options()
		for i, s := range scripts {
			o.Migrations.(fstest.MapFS)[fmt.Sprintf("%04d.sql", i+2)] = &fstest.MapFile{Data: []byte(s)}
		}
		d, err := Open(t.Context(), d.path, o)
		if err == nil {
			err = d.Close()
		}
		return err
	}
	const good, bad = "ALTER TABLE pairs ADD COLUMN extra TEXT", "CREATE TABLE y (z); INSERT INTO nosuch VALUES (1)"
	aside := d.path + ".v1-20261123T080000Z"
	wantError(t, openWith(good, bad), d.path, "version 3", "undone")
	if err := openWith(); err != nil {
		t.Fatal("after a migration that failed:", err)
	}
	if err := openWith(good); err != nil { // the copy of the first try is there already
		t.Fatal(err)
	}
	if err := openWith(); !errors.Is(err, ErrNewer) {
		t.Error("the older program opened the newer file:", err)
	}
	// The copy made before is what the older program goes back to.
	if got := keys(t, open(t, aside)); len(got) != 1 || got[0] != "k" {
		t.Error(got)
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
