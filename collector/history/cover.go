package history

import (
	"time"

	"communewatch/collector/rollup"
)

// segment is a stretch of time that is read at one level. It consists of whole windows of that level.
type segment struct {
	level    rollup.Level
	from, to time.Time
}

// kept says which windows there are.
type kept struct {
	zone *time.Location
	done time.Time                  // windows that end by then were worked out
	from map[rollup.Level]time.Time // windows of a level that begin before are dropped; zero: none is
}

// has reports whether there is a window of a level that begins at a time.
func (k *kept) has(level rollup.Level, start time.Time) bool {
	return level.Start(start, k.zone).Equal(start) && !level.Next(start, k.zone).After(k.done) && !start.Before(k.from[level])
}

// cover cuts [from, to) into segments that touch, are in order and cover it. Each lies within one of the steps that
// begin at from, or spans whole ones, and is as coarse as possible: windows of a level are used where they are whole,
// worked out and kept, and rows for the rest.
func cover(from, to time.Time, step time.Duration, k *kept) (out []segment) {
	levels := rollup.Levels()
	add := func(level rollup.Level, a, b time.Time) {
		if n := len(out); n > 0 && out[n-1].level == level {
			out[n-1].to = b
			return
		}
		out = append(out, segment{level, a, b})
	}
	for at := from; at.Before(to); {
		end := from.Add(at.Sub(from)/step*step + step) // of the step that at is in
		if end.After(to) {
			end = to
		}
		if !at.Before(k.done) { // nothing is worked out from here on
			add(rollup.Raw, at, to)
			break
		}
		next, level := end, rollup.Raw
		for i := len(levels) - 1; i >= 0; i-- {
			if stop := levels[i].Next(at, k.zone); k.has(levels[i], at) && !stop.After(end) {
				next, level = stop, levels[i]
				break
			}
		}
		if level == rollup.Raw {
			// Rows up to where a window could begin.
			if edge := rollup.FiveMinutes.Start(at, k.zone).Add(5 * time.Minute); edge.Before(next) {
				next = edge
			}
		}
		add(level, at, next)
		at = next
	}
	return out
}
