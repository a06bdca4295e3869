package devices

import "slices"

// run is a value with the first and the last time that it was read, in Unix milliseconds.
type run struct {
	from, to      int64
	value, source string
	confidence    float64
}

// place puts a reading into the runs of a fact, which are by time, do not overlap, and differ from their neighbours.
// It returns the runs as they are then, and whether anything changed. The outcome does not depend on the order in
// which readings come, except where two of the same moment disagree: the first that came stays.
func place(runs []run, at int64, r run) ([]run, bool) {
	r.from, r.to = at, at
	// after is the first run that begins later.
	after, _ := slices.BinarySearchFunc(runs, at, func(x run, at int64) int {
		if x.from <= at {
			return -1
		}
		return 1
	})
	if before := after - 1; before >= 0 {
		b := &runs[before]
		switch same := b.value == r.value; {
		case same && at <= b.to:
			return runs, false
		case same:
			b.to, b.source, b.confidence = at, r.source, r.confidence
			return runs, true
		case at == b.from || at == b.to:
			return runs, false
		case at < b.to: // it was another value for a while: what is known of the run is its first and last reading
			tail := *b
			tail.from, b.to = b.to, b.from
			return slices.Insert(runs, after, r, tail), true
		}
	}
	if after < len(runs) && runs[after].value == r.value {
		runs[after].from = at
		return runs, true
	}
	return slices.Insert(runs, after, r), true
}
