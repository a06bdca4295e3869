package registry

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

const (
	// applicationID marks the file as ours in SQLite's header ("CWRG"), so that another program's database is not
	// taken for an empty registry.
	applicationID = 0x43575247

	// busyTimeout is how long a lock of another process is waited for. The command line tools hold it for milliseconds.
	busyTimeout = 5 * time.Second
)

type connectionKind string

const (
	writeConnection connectionKind = "_txlock=immediate"
	readConnection  connectionKind = "_pragma=query_only(1)"
	// copyConnection reads too, but VACUUM INTO counts as writing.
	copyConnection connectionKind = "_txlock=deferred"
)

// connect makes a pool; nothing is opened before its first use.
func connect(path string, kind connectionKind) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", path, err)
	}
	name := filepath.ToSlash(abs)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/... as a file URI
	}
	dsn := (&url.URL{Scheme: "file", Path: name, RawQuery: fmt.Sprintf(
		"_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(67108864)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_dqs=0&%s",
		busyTimeout.Milliseconds(), kind)}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", path, err)
	}
	return db, nil
}

// prepareFile makes folder and file with modes that keep others out; SQLite gives its log files the mode of the file.
func prepareFile(path string) error {
	if path == "" {
		return errors.New("registry: no file name; give the path of the database file")
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("registry %s: is not a regular file; give the path of the database file", path)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("registry %s: can't make its folder: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("registry %s: can't be opened for writing: %w; the user of the collector must own file and folder", path, err)
	}
	// Closed before SQLite opens it: closing a file later would drop SQLite's POSIX locks on it.
	if err := f.Close(); err != nil {
		return fmt.Errorf("registry %s: %w", path, err)
	}
	// SQLite makes its -wal and -shm files beside the database.
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return fmt.Errorf("registry %s: can't make files in its folder: %w; the user of the collector must own the folder, and the disk must have room", path, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// migrations returns the scripts in order; script i brings the database from version i to i+1.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	scripts := make([]string, len(names))
	for i, n := range names {
		text, err := migrationFiles.ReadFile(n)
		if err != nil {
			return nil, err
		}
		scripts[i] = string(text)
	}
	return scripts, nil
}

// migrate brings the database to the version of this program.
func migrate(ctx context.Context, db *sql.DB, path string, now time.Time, log *slog.Logger) error {
	scripts, err := migrations()
	if err != nil {
		return err
	}
	return migrateTo(ctx, db, path, scripts, now, log)
}

func migrateTo(ctx context.Context, db *sql.DB, path string, scripts []string, now time.Time, log *slog.Logger) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	version, err := versionOf(ctx, conn, path)
	if err != nil {
		return err
	}
	if version > len(scripts) {
		return fmt.Errorf("version %d, this program knows up to %d: %w", version, len(scripts), ErrNewer)
	}
	if version == len(scripts) {
		return nil
	}
	if version > 0 {
		aside := fmt.Sprintf("%s.v%d-%s", path, version, now.UTC().Format("20060102T150405Z"))
		if err := copyInto(ctx, conn, aside); err != nil {
			return fmt.Errorf("backup before migration: %w", err)
		}
		log.Info("registry copied before its migration", "file", path, "copy", aside, "version", version)
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil) // immediate: a second process waits here
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var inForce int // another process may have been faster
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&inForce); err != nil {
		return err
	}
	for i := inForce; i < len(scripts); i++ {
		if _, err := tx.ExecContext(ctx, scripts[i]); err != nil {
			return fmt.Errorf("migration to version %d failed and was undone: %w", i+1, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d",
		max(inForce, len(scripts)), applicationID)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "PRAGMA synchronous = NORMAL")
	return err
}

// quickCheckBelow is the size up to which a database is checked whole at opening, which takes about a second per GB.
const quickCheckBelow = 64 << 20

// versionOf returns the version of the database, 0 for an empty one, and an error for one that is damaged or not ours.
func versionOf(ctx context.Context, conn *sql.Conn, path string) (int, error) {
	var app, version, objects int
	for query, into := range map[string]*int{
		"PRAGMA application_id": &app, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &objects,
	} {
		if err := conn.QueryRowContext(ctx, query).Scan(into); err != nil {
			return 0, err
		}
	}
	if objects > 0 && app != applicationID {
		return 0, errors.New("is a database of another program; choose another file name for the registry")
	}
	if info, err := os.Stat(path); err == nil && info.Size() < quickCheckBelow {
		var found string
		if err := conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
			return 0, err
		}
		if found != "ok" {
			return 0, &damage{found}
		}
	}
	return version, nil
}

// damage is what SQLite's own check of a file found.
type damage struct{ found string }

func (d *damage) Error() string { return "check of the file found: " + d.found }

// Backup writes a consistent copy of the registry to file, which must not exist, while the registry goes on working.
func (r *Registry) Backup(ctx context.Context, file string) error {
	if err := r.read.PingContext(ctx); err != nil { // closed?
		return r.fail("backup", err)
	}
	db, err := connect(r.path, copyConnection)
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return r.fail("backup", err)
	}
	defer conn.Close()
	if err := copyInto(ctx, conn, file); err != nil {
		return r.fail("backup to "+file, err)
	}
	return nil
}

// copyInto writes a copy under a temporary name and links it to its own when it is on disk, so that there is never
// half a backup, and never one overwritten.
func copyInto(ctx context.Context, conn *sql.Conn, file string) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already; remove it or choose another name", file)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".partial-*") // mode 0600
	if err != nil {
		return fmt.Errorf("%w; the folder must exist and be writable", err)
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	if err := tmp.Close(); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", tmp.Name()); err != nil {
		return err
	}
	if tmp, err = os.OpenFile(tmp.Name(), os.O_RDWR, 0); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), file); err != nil {
		return fmt.Errorf("%w; the file must not exist, and its disk must support hard links", err)
	}
	if dir, err := os.Open(filepath.Dir(file)); err == nil {
		_ = dir.Sync() // not every system can; the copy itself is on disk
		_ = dir.Close()
	}
	return nil
}

// fail wraps an error of an operation with the file's name and what to do about it.
func (r *Registry) fail(doing string, err error) error {
	if errors.Is(err, sql.ErrConnDone) || err.Error() == "sql: database is closed" {
		return ErrClosed
	}
	return fmt.Errorf("%s: %w", doing, explain(r.path, err))
}

// explain adds the file's name and the fix to errors of SQLite.
func explain(path string, err error) error {
	var damaged *damage
	fix := ""
	switch code := codeOf(err); {
	case errors.As(err, &damaged), code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		fix = "the file is damaged; stop the collector, move the file and those named like it with -wal and -shm aside, and put the newest backup in its place"
	case code == sqlite3.SQLITE_BUSY, code == sqlite3.SQLITE_LOCKED:
		fix = fmt.Sprintf("locked by another program for more than %s; close what else has the file open (sqlite3, a backup tool, a second collector)", busyTimeout)
	case code == sqlite3.SQLITE_FULL:
		fix = "no room left; free some space on the disk of the file"
	case code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM:
		fix = "can't be written; the user of the collector must own the file and its folder, and the disk must not be mounted read-only"
	case code == sqlite3.SQLITE_IOERR:
		fix = "the disk failed; look at the system's log"
	}
	if fix == "" {
		return fmt.Errorf("registry %s: %w", path, err)
	}
	return fmt.Errorf("registry %s: %s: %w", path, fix, err)
}

// codeOf returns SQLite's primary result code, 0 if err has none.
func codeOf(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return cmp.Or(e.Code()&0xff, sqlite3.SQLITE_ERROR)
	}
	return 0
}
