// Package history keeps rollups true, and answers questions of any length from whatever resolution is enough.
//
// The Keeper works hours out from rows once they are over, days from hours and months from days, and works out anew
// what late rows touch. The Reader takes rows where a question is short, and windows where it is long.
package history

import (
	"context"
	"time"

	"communewatch/collector/rollup"
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
