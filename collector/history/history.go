// Package history keeps rollups true, and answers questions of any length from whatever resolution is enough.
//
// The Keeper works hours out from rows once they are over, days from hours and months from days, and works out anew
// what late rows touch. The Reader takes rows where a question is short, and windows where it is long.
//
// # Why nothing is missed
//
// There is a frontier: every hour before it was worked out once, for every site that rows ever came from. The Keeper
// sweeps hours one after the other, and a crash makes it begin the last hour again. Whoever appends rows calls Touch
// after they are stored and before anybody is told so. Touch marks the hours of rows that lie before the frontier, and
// marks are in the registry when it returns.
//
// The two may meet. The Keeper therefore moves the frontier that Touch looks at before it reads a row of the hour. Now
// rows are either stored before the Keeper reads, and it sees them; or they are stored after that, and Touch, which
// comes later still, sees the moved frontier and marks the hour. Rows that are both cost one more turn.
//
// A mark has a generation, which Touch raises. The Keeper notes it before it reads rows, and takes the mark away after
// windows, days and months are stored and on disk, and only if the generation is still the same. A crash anywhere in
// between leaves the mark, and working an hour out twice gives the same windows.
//
// An hour that fails is tried again and again, and holds up no other. Until late rows are worked in, the Reader and
// reports answer from the windows that are stored, which lack those rows; of an hour whose first turn failed there are
// none, and it is left out. Progress counts such hours, and screens say so.
//
// An hour's account of lines depends on the hour before it too (the judge looks back), so late rows mark the hour after
// theirs as well.
//
// # What is not believed
//
// Windows are a function of rows, and rows only come. A window that would rest on fewer rows than the one that is
// stored means that rows vanished: somebody dropped a series, or a disk was repaired. The stored window is the better
// one, and stays. Hours are folded from the windows of five minutes that are in force after that.
//
// A frontier in the future is of a clock that was ahead; the sweep goes on from the hour that it is.
package history

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/rollup"
	"communewatch/collector/rollup/due"
	"communewatch/collector/store"
)

// Accountant works out what is not a fold of single rows: an hour of a site's lines, from its states.
type Accountant interface {
	// Hour returns the windows of level rollup.Hour of a site that begin at start. It reads what it needs.
	Hour(ctx context.Context, site string, start time.Time) ([]rollup.Row, error)
}

// Progress is how far the Keeper is.
type Progress struct {
	To      time.Time // hours before it were worked out once; zero before the first
	Pending int       // hours waiting to be worked out anew
	Oldest  time.Time // the oldest of them; zero without
	Failed  string    // why the last attempt failed; empty when it did not
	Since   time.Time // when it began to fail
}

// Store is what is asked of the database; every store.Store does it.
type Store interface {
	Select(ctx context.Context, q store.Query, each func(store.Series) error) error
	Windows(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) error
	Measurements(ctx context.Context) ([]string, error)
	Stats() store.Stats
	Sync(ctx context.Context) error
	store.Rolled
}

// Marks is where it is kept how far the Keeper is; *rollups.Marks of the registry does it. What is written survives a
// kill of the process.
type Marks interface {
	Frontier(ctx context.Context) (time.Time, error) // zero: there is none
	SetFrontier(ctx context.Context, t time.Time) error
	Sites(ctx context.Context) ([]string, error)
	AddSites(ctx context.Context, sites ...string) error
	Due(ctx context.Context) ([]due.Hour, error)
	Mark(ctx context.Context, hours []due.Hour) error   // the higher generation stays
	Unmark(ctx context.Context, hours []due.Hour) error // those whose generation is another stay
}

// Options of a Keeper. Store and Marks are required.
type Options struct {
	Store      Store
	Marks      Marks
	Accountant Accountant            // nil: lines have no account
	Zone       *time.Location        // where days begin; nil: UTC
	Retention  time.Duration         // how long rows are kept; 90 d
	Now        func() time.Time      // nil: time.Now
	Log        *slog.Logger          // nil: slog.Default
	Metrics    prometheus.Registerer // nil: none
}

const defaultRetention = 90 * 24 * time.Hour

// When what is done.
const (
	// grace is how long after its end an hour is worked out: agents send every few seconds, and batches of the hour's
	// last rows come within a minute or two. Working it out sooner would mean working it out twice.
	grace = 2 * time.Minute
	// settle is how long after its last late row an hour is worked out anew, and patience how long it waits for the
	// last at most.
	settle   = 5 * time.Second
	patience = time.Minute
	// idle is how often the Keeper looks at the clock when nothing is due: it may have been set.
	idle = 30 * time.Second
	// firstRetry and lastRetry are how long the Keeper waits after a failure, doubling from the one to the other.
	firstRetry = 5 * time.Second
	lastRetry  = time.Minute
	// restMost bounds the pause after each hour of a site. It is half as long as the hour took: a third of the time of
	// one processor is left to others even in a backlog of months.
	restMost = 50 * time.Millisecond
	// round is how many hours are worked out anew between two looks at the sweep.
	round = 2000
	// inARow is how many sites may fail one after the other before all are believed to fail, so that a single site
	// whose rows can't be read does not hold up the others.
	inARow = 3
	// unsureMost is how often a store is asked for the age of its rows, some five minutes with the waits between.
	unsureMost = 10
	// rebuildMost bounds a Rebuild: 136 sites for ten months, or a thousand for six weeks.
	rebuildMost = 1_000_000
)

const hourMillis = int64(time.Hour / time.Millisecond)

// floorHour is the beginning of the hour that a time in Unix milliseconds is in.
func floorHour(ms int64) int64 {
	h := ms / hourMillis * hourMillis
	if h > ms {
		h -= hourMillis
	}
	return h
}
