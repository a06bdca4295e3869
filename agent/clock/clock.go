// Package clock stamps results: a clock that bends for nobody, and says when it had to begin anew.
package clock

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// maxDivergence is how far wall clock and monotonic time may drift apart before the wall clock is said to have
// jumped. Adjustments by NTP are slower; what is below does no harm to a check that runs every few seconds.
const maxDivergence = 2 * time.Second

// Clock stamps results. Its time starts at the wall clock and then runs by monotonic time alone, so that a wall clock
// that is set during a run bends nothing. When the two have diverged, because the wall clock was set or the machine
// slept, a new clock begins at the wall clock's time, with a number of its own. All stamps of one boot and clock
// share one offset from true time, which the collector can measure and correct.
type Clock struct {
	boot string
	wall func() time.Time

	mu     sync.Mutex // guards what follows
	number int
	anchor time.Time // by the wall clock
	begun  time.Time // the same moment, with its monotonic reading
}

// New returns clock number 1 of a new boot.
func New(wall func() time.Time) *Clock {
	var id [8]byte
	rand.Read(id[:]) // never fails
	c := &Clock{boot: hex.EncodeToString(id[:]), wall: wall}
	c.start()
	return c
}

func (c *Clock) start() {
	c.number++
	c.anchor = c.wall().Round(0) // without monotonic reading
	c.begun = time.Now()
}

// Boot is the random identity of this start of the agent.
func (c *Clock) Boot() string { return c.boot }

// Now returns the time in UTC and the number of the clock that it was read from, from 1.
func (c *Clock) Now() (time.Time, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.anchor.Add(time.Since(c.begun))
	if d := c.wall().Round(0).Sub(now); d > maxDivergence || d < -maxDivergence {
		c.start()
		now = c.anchor
	}
	return now.UTC(), c.number
}
