// Package window cuts the points of a series into windows, the same way for every engine: so the same points give the
// same figures to the last bit, whichever database they lie in.
package window

import (
	"fmt"
	"math"
	"slices"
	"time"

	"communewatch/collector/store"
)

// Cutter makes the windows of one series at a time. It holds the values of one window.
type Cutter struct {
	from, width int64 // Unix milliseconds, milliseconds
	end         int64 // of the present window
	window      store.Window
	values      []float64 // of the present window
	out         []store.Window
}

// NewCutter returns a Cutter for windows of length step, the first of which begins at from. step is a whole number of
// milliseconds, at least one.
func NewCutter(from time.Time, step time.Duration) (*Cutter, error) {
	if step < time.Millisecond || step%time.Millisecond != 0 {
		return nil, fmt.Errorf("window of %v: use whole milliseconds, at least one", step)
	}
	return &Cutter{from: CeilMillis(from), width: step.Milliseconds(), end: math.MinInt64}, nil
}

// Add takes in the next point, none of which is before from. Points come in order of time; their values are summed up
// in that order.
func (c *Cutter) Add(t int64, v float64) {
	if t >= c.end {
		c.flush()
		start := c.from + (t-c.from)/c.width*c.width
		c.window = store.Window{Start: start, Min: v, Max: v}
		c.end = start + c.width
	}
	w := &c.window
	w.Sum += v
	w.Min = min(w.Min, v)
	w.Max = max(w.Max, v)
	w.Last = v
	c.values = append(c.values, v)
}

func (c *Cutter) flush() {
	if c.window.Count = len(c.values); c.window.Count > 0 {
		c.window.P95 = nearestRank(c.values, 0.95)
		c.out = append(c.out, c.window)
	}
	c.values = c.values[:0]
}

// Windows returns the windows of the series by rising start, nil of no points, and makes the Cutter ready for the next.
func (c *Cutter) Windows() []store.Window {
	c.flush()
	out := c.out
	c.out, c.end = nil, math.MinInt64
	return out
}

// nearestRank returns the smallest of values that at least the share p of them do not exceed. It reorders values.
func nearestRank(values []float64, p float64) float64 {
	rank := max(int(math.Ceil(p*float64(len(values)))), 1)
	slices.Sort(values)
	return values[rank-1]
}

// CeilMillis returns the first whole millisecond that is not before t.
func CeilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Nanosecond()%1e6 != 0 {
		ms++
	}
	return ms
}
