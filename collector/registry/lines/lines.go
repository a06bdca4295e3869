// Package lines keeps what reports on lines know beside measurements, in the registry's database: what was agreed with
// the providers, and when agents were not running. Contracts are said by people and are on disk before a call returns;
// absences are worked out from rows and can be worked out again, so they survive a kill of the process.
package lines

import (
	"context"
	"database/sql"
	"time"

	"communewatch/collector/sqlite"
)

// Store is the tables of lines. All methods may be called concurrently.
type Store struct {
	db   *sqlite.DB
	read *sql.DB
	now  func() time.Time
	fail func(doing string, err error) error
}

// New returns the lines of a database that has their tables. fail wraps an error of the database with what was being
// done.
func New(db *sqlite.DB, now func() time.Time, fail func(doing string, err error) error) *Store {
	return &Store{db: db, read: db.Read(), now: now, fail: fail}
}

func (s *Store) wrote(ctx context.Context, doing string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return s.fail(doing, err)
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls do for every row of a query.
func each(ctx context.Context, q querier, do func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
