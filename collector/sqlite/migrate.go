package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// scripts returns the migrations in order.
func scripts(files fs.FS) ([]string, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	scripts := make([]string, len(names))
	for i, n := range names {
		text, err := fs.ReadFile(files, n)
		if err != nil {
			return nil, err
		}
		scripts[i] = string(text)
	}
	return scripts, nil
}

// migrate brings the database to the version of this program.
func migrate(ctx context.Context, db *sql.DB, path string, o Options) error {
	scripts, err := scripts(o.Migrations)
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	version, err := versionOf(ctx, conn, path, o)
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
		aside := fmt.Sprintf("%s.v%d-%s", path, version, o.Now().UTC().Format("20060102T150405Z"))
		if err := copyInto(ctx, conn, aside); err != nil && !errors.Is(err, fs.ErrExist) { // another process is at it too
			return fmt.Errorf("backup before migration: %w", err)
		}
		o.Log.Info("copied before its migration", "what", o.Name, "file", path, "copy", aside, "version", version)
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
		max(inForce, len(scripts)), o.ApplicationID)); err != nil {
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
func versionOf(ctx context.Context, conn *sql.Conn, path string, o Options) (int, error) {
	// In one transaction, so that the three are of the same moment: another process may be filling the file.
	if _, err := conn.ExecContext(ctx, "BEGIN DEFERRED"); err != nil {
		return 0, err
	}
	var app, version, objects int
	var err error
	for query, into := range map[string]*int{
		"PRAGMA application_id": &app, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &objects,
	} {
		err = errors.Join(err, conn.QueryRowContext(ctx, query).Scan(into))
	}
	if _, end := conn.ExecContext(ctx, "ROLLBACK"); err != nil || end != nil {
		return 0, errors.Join(err, end)
	}
	if objects > 0 && app != int(o.ApplicationID) {
		return 0, fmt.Errorf("is a database of another program; choose another file name for the %s", o.Name)
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
