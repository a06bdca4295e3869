// Package clock says whether a machine's clock is proven to be right, and how far off it may be: without that, the
// delay of one way can't be told from the difference of two clocks. What it says is the kernel's, as whoever
// disciplines the clock told it (Linux adjtimex(2)); there is no proof elsewhere.
package clock

import "time"

// Clock is what is known of a machine's clock at a moment. The zero value is no proof.
type Clock struct {
	// Synchronised is set if the kernel says that something keeps the clock right, and that said how right.
	Synchronised bool    `json:"synchronised"`
	MaxError     float64 `json:"max_error_seconds,omitempty"` // the clock is off by no more; only if Synchronised
	// Zero is the time of day, in nanoseconds since 1970, at which the monotonic clock of the stamps stood at zero.
	// It is taken afresh at each reading, so it follows corrections of the time of day.
	Zero int64 `json:"zero_unix_ns"`
}

// Read asks the kernel. zero is the moment from which stamps count; it must carry a monotonic reading, as time.Now's
// results do.
func Read(zero time.Time) Clock {
	now := time.Now()
	c := Clock{Zero: now.Round(0).Add(-now.Sub(zero)).UnixNano()}
	if k, ok := ask(); ok {
		c.Synchronised, c.MaxError = k.proof()
	}
	return c
}

// kernel is the part of the kernel's answer that matters.
type kernel struct {
	unsynchronised     bool
	maxError, estError int64 // microseconds
}

// worst is the error above which a bound says nothing about a line.
const worst = 50 * time.Millisecond

// proof tells a bound that means something. The kernel adds 500 ppm to maxerror every second by itself; what it began
// from is whoever set the clock's to say. Some, such as systemd-timesyncd, set both errors to zero whatever they know,
// and zero is no bound.
func (k kernel) proof() (synchronised bool, maxError float64) {
	bound := time.Duration(k.maxError) * time.Microsecond
	if k.unsynchronised || k.estError <= 0 || bound <= 0 || bound > worst {
		return false, 0
	}
	return true, bound.Seconds()
}
