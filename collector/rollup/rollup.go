// Package rollup turns measured rows into what is kept of them for years: windows of five minutes, an hour, a day and
// a month, each with what can be merged without error. It is pure: the same rows give the same windows, in whatever
// order and however often they came.
//
// What is kept of a number is how many there were, their sum, the smallest and the largest, and where the contract
// calls the field a distribution, a sketch (sketch.go) that knows every percentile to within one part in a hundred. So a
// mean over any range is the sum of sums by the sum of counts, loss is lost by sent, and a 95th percentile comes from
// merged sketches: never a mean of means, or a percentile of percentiles. Of a text from a closed set is kept how often
// each value occurred. Free texts are not kept.
package rollup

import (
	"fmt"
	"math"
	"slices"
	"time"

	"communewatch/probes"
)

// Level is a length of windows. The zero value is Raw: rows as they were measured.
type Level uint8

// The levels, from fine to coarse. Windows of a level are made of whole windows of the level before.
const (
	Raw Level = iota
	FiveMinutes
	Hour
	Day   // from midnight to midnight of the province's zone
	Month // of the province's calendar
)

var levelNames = [...]string{"raw", "5m", "1h", "1d", "1mo"}

// String returns the level's name, as settings, files and databases write it.
func (l Level) String() string { return levelNames[l] }

// ParseLevel is the inverse of String.
func ParseLevel(name string) (Level, error) {
	if i := slices.Index(levelNames[:], name); i >= 0 {
		return Level(i), nil
	}
	return Raw, fmt.Errorf("%.40q is no resolution; there are %q", name, levelNames)
}

// Levels lists the levels that are kept beside raw rows.
func Levels() []Level { return []Level{FiveMinutes, Hour, Day, Month} }

// Start returns the beginning of the window that t is in. zone is the province's; its offset from UTC must be of whole
// hours, so that hours are hours everywhere. Raw has no windows: t comes back.
func (l Level) Start(t time.Time, zone *time.Location) time.Time {
	switch l {
	case FiveMinutes:
		return t.Truncate(5 * time.Minute)
	case Hour:
		return t.Truncate(time.Hour)
	case Day:
		y, m, d := t.In(zone).Date()
		return first(time.Date(y, m, d, 0, 0, 0, 0, zone), func(t time.Time) bool { return t.Day() == d })
	case Month:
		y, m, _ := t.In(zone).Date()
		return first(time.Date(y, m, 1, 0, 0, 0, 0, zone), func(t time.Time) bool { return t.Month() == m })
	}
	return t
}

// first is the first hour that is in a day or month, near its midnight: where clocks are put forward at midnight there is
// none, and where they are put back there may be two.
func first(midnight time.Time, in func(time.Time) bool) time.Time {
	for !in(midnight) {
		midnight = midnight.Add(time.Hour)
	}
	for in(midnight.Add(-time.Hour)) {
		midnight = midnight.Add(-time.Hour)
	}
	return midnight
}

// Next returns the beginning of the window after the one that begins at start.
func (l Level) Next(start time.Time, zone *time.Location) time.Time {
	switch l {
	case FiveMinutes:
		return start.Add(5 * time.Minute)
	case Hour:
		return start.Add(time.Hour)
	case Day: // a day has 23 to 25 hours
		return l.Start(start.Add(26*time.Hour), zone)
	case Month: // a month has at most 31 days and an hour, and at least 28
		return l.Start(start.Add((31*24+2)*time.Hour), zone)
	}
	return start
}

// bounds is Start and Next of a time in Unix milliseconds.
func (l Level) bounds(t int64, zone *time.Location) (start, end int64) {
	length := int64(0)
	switch l {
	case FiveMinutes:
		length = (5 * time.Minute).Milliseconds()
	case Hour:
		length = time.Hour.Milliseconds()
	default:
		begin := l.Start(time.UnixMilli(t), zone)
		return begin.UnixMilli(), l.Next(begin, zone).UnixMilli()
	}
	if start = t - t%length; start > t { // before 1970
		start -= length
	}
	return start, start + length
}

// Row is one window of one series.
type Row struct {
	Measurement string
	Tags        probes.Tags // by rising key
	Start       int64       // of the window, Unix milliseconds
	Fields      []Field     // by rising key, each once, at least one
}

// Field is what is kept of one field of a window. A field whose values are texts of a closed set becomes one total for
// each value that occurred, "outcome_timeout" for example.
type Field struct {
	Key   string
	Value Aggregate
}

// Aggregate is what is kept of the numbers of a window. The zero value is that of no numbers.
type Aggregate struct {
	// Total says that only Sum means something: so many seconds, rows or packets fell into the window. Count, Min and
	// Max are 0 then.
	Total    bool
	Count    int64
	Sum      float64
	Min, Max float64
	Sketch   *Sketch // nil for what is no distribution
}

// Rows is how many measured rows a window rests on at least: the largest count among its fields.
func (r *Row) Rows() int64 {
	var n int64
	for i := range r.Fields {
		if a := &r.Fields[i].Value; a.Total {
			n = max(n, int64(a.Sum))
		} else {
			n = max(n, a.Count)
		}
	}
	return n
}

// Field returns what is kept of the field called key.
func (r *Row) Field(key string) (Aggregate, bool) {
	i, ok := slices.BinarySearchFunc(r.Fields, key, func(f Field, key string) int {
		if f.Key < key {
			return -1
		} else if f.Key > key {
			return 1
		}
		return 0
	})
	if !ok {
		return Aggregate{}, false
	}
	return r.Fields[i].Value, true
}

// Add takes one number in. What is not finite is left out.
func (a *Aggregate) Add(v float64) { a.addAll([]float64{v}, nil) }

// addAll takes numbers in, one after the other. keys is scratch; it comes back to be used again.
func (a *Aggregate) addAll(values []float64, keys []int32) []int32 {
	count, sum, low, high := a.Count, a.Sum, a.Min, a.Max
	for _, v := range values {
		if v-v != 0 {
			continue
		}
		if count == 0 || v < low {
			low = v
		}
		if count == 0 || v > high {
			high = v
		}
		count++
		sum = finite(sum + v)
	}
	a.Count, a.Sum, a.Min, a.Max = count, sum, low, high
	if a.Sketch != nil {
		return a.Sketch.addAll(values, keys)
	}
	return keys
}

// finite keeps a sum of numbers that nobody can have measured from becoming infinite, which no store takes.
func finite(sum float64) float64 {
	return min(max(sum, -math.MaxFloat64), math.MaxFloat64)
}

// Merge takes all of b in. b is not kept and not changed. Sums are added in the order of calls: merge windows in order
// of time, so that the same windows give the same sum to the last bit.
//
// The result has a sketch if all its parts have one: a percentile is one of everything, or is not known. (Parts have none
// that were folded before the contract called the field a distribution.)
func (a *Aggregate) Merge(b *Aggregate) {
	if b.Total {
		a.Total = true
		a.Sum = finite(a.Sum + b.Sum)
		return
	}
	if b.Count == 0 {
		return
	}
	switch {
	case b.Sketch == nil:
		a.Sketch = nil
	case a.Sketch != nil:
		a.Sketch.Merge(b.Sketch)
	case a.Count == 0:
		a.Sketch = b.Sketch.Clone()
	}
	if a.Count == 0 || b.Min < a.Min {
		a.Min = b.Min
	}
	if a.Count == 0 || b.Max > a.Max {
		a.Max = b.Max
	}
	a.Count += b.Count
	a.Sum = finite(a.Sum + b.Sum)
}

// Mean is Sum by Count, and false where there is nothing.
func (a *Aggregate) Mean() (float64, bool) {
	if a.Total || a.Count == 0 {
		return 0, false
	}
	return a.Sum / float64(a.Count), true
}

// Quantile is the q-th quantile, 0 to 1, by nearest rank, to within Accuracy of its value; false where there is no
// sketch.
func (a *Aggregate) Quantile(q float64) (float64, bool) {
	if a.Sketch == nil || a.Count == 0 {
		return 0, false
	}
	return min(max(a.Sketch.Quantile(q), a.Min), a.Max), true
}
