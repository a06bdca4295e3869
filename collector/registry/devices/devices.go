package devices

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/registry/record"
	"communewatch/collector/sqlite"
	"communewatch/probes"
)

// ErrUnknown says that there is no such device, piece, statement or row; compare with errors.Is.
var ErrUnknown = errors.New("not in the inventory")

// ID is a device's number; it is written as "d17". The zero ID is no device.
type ID int64

// String returns the id as people write it.
func (id ID) String() string { return "d" + strconv.FormatInt(int64(id), 10) }

// ParseID reads an id as String writes it.
func ParseID(s string) (ID, error) {
	digits, ok := strings.CutPrefix(s, "d")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= 0 || ID(n).String() != s {
		return 0, fmt.Errorf("%.40q is no device's id; they look like d17, and `communewatch-collector inventory devices` lists them", s)
	}
	return ID(n), nil
}

// Device is what is known of one device now.
type Device struct {
	ID          ID
	Site        string
	First, Last time.Time // zero: never seen
	Facts       []Fact    // by fact, then sighting; the newest value of each
	Sightings   []Seen
	Statements  []Statement // in force, by name, newest first
	Tickets     []Ticket    // newest first
	Duplicates  []Duplicate
}

// Fact is a value over the time in which it was read.
type Fact struct {
	Name       probes.FactName
	Value      string
	Source     string
	Confidence float64
	From, To   time.Time // first and last time that it was read
	Sighting   int64     // which of Device.Sightings read it
}

// Seen is one check that sees a device.
type Seen struct {
	ID                                   int64
	Site, Agent, Target, Path, Kind, Key string
	First, Last                          time.Time
}

// Duplicate is another device that may be the same one.
type Duplicate struct {
	Other ID
	Why   string // of inventory/identity
	At    time.Time
}

// Options of a Store.
type Options struct {
	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // nil: time.Now
	// Fail wraps an error of the database with what was being done; nil: with nothing else.
	Fail func(doing string, err error) error
}

// Store is the tables of devices in an open database. All methods may be called concurrently.
type Store struct {
	db   *sqlite.DB
	read *sql.DB
	log  *slog.Logger
	now  func() time.Time
	fail func(doing string, err error) error
	full fullSites

	known *known // used by the writer only; nil: to be read
}

// New returns the devices of a database that has their tables.
func New(db *sqlite.DB, o Options) *Store {
	s := &Store{db: db, read: db.Read(), log: o.Log, now: o.Now, fail: o.Fail}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.fail == nil {
		s.fail = func(doing string, err error) error { return fmt.Errorf("%s: %w", doing, db.Explain(err)) }
	}
	return s
}

// Bounds of what is kept.
const (
	maxDevices   = 2000   // of one site; a commune office has some dozens
	maxSightings = 10_000 // of one site
	maxRuns      = 60     // of one fact of one sighting
	maxFacts     = 64     // of one sighting; the contract has fewer
	maxText      = 2000   // of what people say, in bytes
)

// Tx is a transaction that changes what people said.
type Tx struct {
	c  *sql.Conn
	by record.By
}

// QueryContext reads within the transaction.
func (c *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.c.QueryContext(ctx, query, args...)
}

// ExecContext writes within the transaction.
func (c *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.c.ExecContext(ctx, query, args...)
}

// PaperChanged says that purchases, links or the catalogue changed.
func (c *Tx) PaperChanged(ctx context.Context) error {
	_, err := c.ExecContext(ctx, "UPDATE device_revision SET others = others + 1")
	return err
}

// Change runs do in a transaction that is on disk when Change returns: what people say can't be sent again. A do that
// fails has changed nothing.
func (s *Store) Change(ctx context.Context, doing string, do func(ctx context.Context, c *Tx) error) error {
	by := record.Behind(ctx)
	err := s.db.WriteDurable(ctx, func(ctx context.Context, c *sql.Conn) error { return do(ctx, &Tx{c, by}) })
	var mistake *Mistake
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrUnknown) || errors.As(err, &mistake) {
		return err
	}
	return s.fail(doing, err)
}

// Now is the time by the store's clock.
func (s *Store) Now() time.Time { return s.now() }

// Mistake is an error of who asked, not of the database: nothing was written.
type Mistake struct{ Text string }

// Error is the whole of it, with the fix.
func (m *Mistake) Error() string { return m.Text }

// Mistakef makes a Mistake.
func Mistakef(format string, args ...any) error { return &Mistake{fmt.Sprintf(format, args...)} }

// touch gives a device the next revision.
func touch(ctx context.Context, c *sql.Conn, ids ...ID) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := c.ExecContext(ctx, "UPDATE device_revision SET revision = revision + 1"); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := c.ExecContext(ctx, "UPDATE devices SET revision = (SELECT revision FROM device_revision) WHERE id = ?", int64(id)); err != nil {
			return err
		}
	}
	return nil
}

// Millis is a time as tables keep it; 0 is the zero Time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the inverse of Millis.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
