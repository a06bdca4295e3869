// Package releases keeps, in the registry's file, which releases agents may take, in which stage each is, and how each agent fared.
package releases

import (
	"time"

	"communewatch/collector/sqlite"
)

// Store is that part of the registry. Get it from the registry.
type Store struct {
	db   *sqlite.DB
	now  func() time.Time
	fail func(doing string, err error) error // words an error, and notes that the file is in trouble
}

// New returns the store of an open registry.
func New(db *sqlite.DB, now func() time.Time, fail func(doing string, err error) error) *Store {
	return &Store{db: db, now: now, fail: fail}
}
