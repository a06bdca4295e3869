package registry

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"communewatch/collector/sqlite"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks the file as ours ("CWRG").
const applicationID = 0x43575247

// readers is how many connections read at the same time; more would only take turns on the processors. Two of them
// belong to what keeps tokens and agents in memory.
const readers = 6

func openDatabase(ctx context.Context, path string, log *slog.Logger, now func() time.Time) (*sqlite.DB, *accountant, error) {
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, nil, err
	}
	var accounts *accountant
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Name: "registry", ApplicationID: applicationID, Migrations: migrations, Readers: readers, Log: log, Now: now,
		Cache: func(ctx context.Context, c *sql.Conn) (_ sqlite.Cache, err error) {
			accounts, err = newAccountant(ctx, c)
			return accounts, err
		},
	})
	return db, accounts, err
}

// write runs do in a transaction that is on disk when write returns.
func (r *Registry) write(ctx context.Context, doing string, do func(ctx context.Context, c *sql.Conn) error) error {
	return r.wrote(ctx, doing, r.db.WriteDurable(ctx, do))
}

// wrote says what was being done when a write failed, unless it failed because its caller gave up.
func (r *Registry) wrote(ctx context.Context, doing string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return r.fail(doing, err)
}

// fail wraps an error of an operation with what was being done, the file's name and what to do about it.
func (r *Registry) fail(doing string, err error) error {
	if err = r.db.Explain(err); errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Backup writes a consistent copy of the registry to file, which must not exist, while the registry goes on working.
func (r *Registry) Backup(ctx context.Context, file string) error {
	err := r.db.Backup(ctx, file)
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("backup to %s: %w", file, err)
}

// Sync returns when everything committed before the call is on disk.
func (r *Registry) Sync(context.Context) error { return r.db.Sync() }
