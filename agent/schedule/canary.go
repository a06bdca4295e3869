package schedule

import (
	"slices"
	"sync"
	"time"
)

// A canary tells how far the times measured by a run can be trusted. On a PC that has no processor time to spare, an
// answer waits in the socket until the program is let run again, and the wait is measured as if it were the line's.
// The program's own timers wait in the same way, so while probes run the canary sets one every canaryPeriod and notes
// how late it fires: by that much may the sending of a packet, and the reading of its answer, have been late too.
//
// All runs of a Runner share one timer, so that its cost does not grow with the runs that go at once, and there is none
// while nothing runs.
type canary struct {
	now func() time.Time // nil means time.Now

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	due   time.Time // when the timer should fire
	runs  []*watch  // under way
}

// watch is a run under the canary's eyes.
type watch struct {
	begun time.Time
	worst time.Duration
}

// canaryPeriod leaves no stall of 50 ms, the smallest limit on a round trip, unseen: of one as long as two periods at
// least half is seen, and who takes twice the lateness off a measured time, as the judge does, takes it all. On the
// other side forty timers a second are few enough for an idle PC not to notice (BenchmarkCanary).
const canaryPeriod = 25 * time.Millisecond

func (c *canary) time() time.Time {
	if c.now == nil {
		return time.Now()
	}
	return c.now()
}

// begin begins to watch a run.
func (c *canary) begin() *watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &watch{begun: c.time()}
	c.runs = append(c.runs, w)
	if len(c.runs) == 1 {
		c.set(w.begun)
	}
	return w
}

// end returns the worst lateness during the run. A timer that is overdue right now counts as late as it is: a run may
// end before the timer that waits for the same processor has fired.
func (c *canary) end(w *watch) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.note(c.due, c.time())
	c.runs = slices.DeleteFunc(c.runs, func(other *watch) bool { return other == w })
	if len(c.runs) == 0 {
		c.timer.Stop()
	}
	return w.worst
}

// fired is called by the timer, at times after it was stopped or set anew.
func (c *canary) fired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.time()
	if len(c.runs) == 0 || now.Before(c.due) {
		return
	}
	for _, w := range c.runs {
		w.note(c.due, now)
	}
	c.set(now)
}

// set sets the timer. The caller holds the lock.
func (c *canary) set(now time.Time) {
	c.due = now.Add(canaryPeriod)
	if c.timer == nil {
		c.timer = time.AfterFunc(canaryPeriod, c.fired)
	} else {
		c.timer.Reset(canaryPeriod)
	}
}

// note takes in that a timer due at one time had its turn at another. What was late before the run began is not the
// run's.
func (w *watch) note(due, now time.Time) {
	if due.Before(w.begun) {
		due = w.begun
	}
	w.worst = max(w.worst, now.Sub(due))
}
