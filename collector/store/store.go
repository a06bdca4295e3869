// Package store says what the collector asks of a time-series store, and nothing about how one does it. The engines
// live in rooms below (store/embedded, store/influx); store/storetest is the one suite that every engine must pass.
//
// The model is InfluxDB's: a series is a measurement and a set of tags, a row holds fields of a series at a time.
// Numbers (floats, integers, booleans as 0 and 1) come back as float64, text as text. Times have whole
// milliseconds; what is finer is cut off.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/rollup"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// A Store keeps rows. All methods may be called concurrently; after Close they return ErrClosed.
type Store interface {
	// Append stores rows. When it returns nil or a *PartialError, the rows that were not rejected survive a kill of
	// the process at any moment; they survive a power cut once a later Sync has returned nil. Any other error means
	// that nothing may be assumed: append the same rows again, which is harmless. The rows are not kept.
	Append(ctx context.Context, rows []wire.Row) error

	// Sync returns when everything appended before the call is on disk.
	Sync(ctx context.Context) error

	// Select calls each for every series that matches, in no particular order, with all its points in [From, To) in
	// order of time. One call per field. It stops at the first error of each and returns it.
	Select(ctx context.Context, q Query, each func(Series) error) error

	// Windows does the same with numeric fields cut into windows of length step, aligned to From. Windows without
	// points are left out.
	Windows(ctx context.Context, q Query, step time.Duration, each func(WindowSeries) error) error

	// Measurements lists the measurements that have rows, by name. Those whose rows are all too old may be among them.
	Measurements(ctx context.Context) ([]string, error)

	// Stats describes the store at this moment.
	Stats() Stats

	// Condition says whether the database answers, as far as is known from the calls before.
	Condition() Condition

	// Backup writes a copy of the store into the empty or new folder dir, while the store goes on working.
	Backup(ctx context.Context, dir string) error

	Rolled

	Close() error
}

// Rolled keeps windows of the levels above raw rows, each level for as long as the engine's options say. Engines keep
// them beside the rows; who computes them is not their affair. Methods may be called concurrently.
type Rolled interface {
	// PutRollups stores windows of one level, in place of those with the same series and start. When it returns nil
	// they survive a kill of the process. An error means that any part of them may be stored; storing all of them again
	// puts that right. Windows that are older than the level is kept for are left out; a number that is not finite is an
	// error. A window that is put again brings all fields that it had: an engine may keep those that are missing. The
	// rows are not kept.
	PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error

	// Rollups calls each for every series that matches, in no particular order, with its windows that begin in
	// [From, To), by rising start. It stops at the first error of each and returns it.
	Rollups(ctx context.Context, q RollupQuery, each func(RollupSeries) error) error
}

// RollupQuery selects windows of one level.
type RollupQuery struct {
	Level       rollup.Level
	Measurement string            // empty: all
	Fields      []string          // empty: all; others are left out of the rows, and rows that have none of them too
	Above       string            // windows in which this field's sum is not above zero are left out; one of Fields, a total
	Tags        map[string]string // each tag must have this value
	From, To    time.Time         // [From, To)
	MaxRows     int               // 0: no bound; else ErrTooMany once more windows than this would be read
}

// Takes reports whether a window, with the fields that were asked for, is one of those asked for.
func (q *RollupQuery) Takes(row *rollup.Row) bool {
	if q.Above == "" {
		return len(row.Fields) > 0
	}
	a, ok := row.Field(q.Above)
	return ok && a.Total && a.Sum > 0
}

// RollupSeries is the windows of one series. Measurement and Tags are those of each row.
type RollupSeries struct {
	Measurement string
	Tags        probes.Tags
	Rows        []rollup.Row
}

// Condition says whether the database behind a store answers. The zero value is that of one that does.
type Condition struct {
	Away   bool      // nothing can be stored or read at the moment
	Since  time.Time // when it began to be away, by the collector's clock
	Reason string    // what it answered, or why it could not be asked, in words for an engineer
	Fix    string    // what to do about it; empty when waiting is all
}

// Query selects fields of series over a range of time.
type Query struct {
	Measurement string            // required
	Fields      []string          // empty: all
	Tags        map[string]string // each tag must have this value
	From, To    time.Time         // [From, To)
	MaxPoints   int               // 0: no bound; else ErrTooMany once more points than this would be read
}

// Series is the points of one field of one series. Values is nil for a text field, Texts nil for a number field.
type Series struct {
	Measurement, Field string
	Tags               probes.Tags
	Times              []int64 // Unix milliseconds, rising
	Values             []float64
	Texts              []string
}

// WindowSeries is the windows of one numeric field of one series.
type WindowSeries struct {
	Measurement, Field string
	Tags               probes.Tags
	Windows            []Window // by rising start
}

// Window is what one stretch of time held.
type Window struct {
	Start          int64 // Unix milliseconds
	Count          int   // at least 1
	Sum            float64
	Min, Max, Last float64
	P95            float64 // nearest rank
}

// Stats is a store's size.
type Stats struct {
	Series   int       // live series
	Bytes    int64     // on disk
	Oldest   time.Time // oldest row that may still be queried; zero when empty, or not known
	Unknown  bool      // Series and Oldest are not known yet: an engine may have to ask a database for them
	Appended uint64    // field values taken since opening
	Rejected uint64    // rows rejected since opening
	// TextsLost counts texts that were not told apart since opening, because there were too many different ones; an
	// engine without such a bound leaves it at 0.
	TextsLost uint64
}

// Errors of a store.
var (
	ErrClosed  = errors.New("store is closed")
	ErrTooMany = errors.New("query reads too many points; ask for a shorter range or fewer series")
	// ErrAway says that the database does not answer, or lacks the part that was asked for; nothing is wrong with the
	// question, and it may be asked again later.
	ErrAway = errors.New("the database is away")
)

// PartialError says that some rows were rejected for good while the others were stored.
type PartialError struct {
	Rejected []Rejected // by rising index
}

// Rejected is one row that can't be stored, now or later.
type Rejected struct {
	Index  int // into the rows given to Append
	Reason string
}

func (e *PartialError) Error() string {
	if len(e.Rejected) == 0 {
		return "no rows rejected"
	}
	return fmt.Sprintf("%d rows rejected; the first is row %d: %s", len(e.Rejected), e.Rejected[0].Index, e.Rejected[0].Reason)
}
