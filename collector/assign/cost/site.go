package cost

import (
	"cmp"
	"slices"

	"communewatch/collector/reports"
	"communewatch/probes"
)

// Limits are the shares of a line from which on a cost is worth a warning.
type Limits struct {
	Average float64 // what all checks take on average
	Peak    float64 // what one takes while it is under way
}

// DefaultLimits are a twentieth on average, so that nobody notices, and half at once, as agents have it for calls.
func DefaultLimits() Limits { return Limits{Average: 0.05, Peak: 0.5} }

// Speed is what a line was bought as, in bit/s; 0 where that is not known.
type Speed struct{ UpBPS, DownBPS float64 }

// Speeds are the lines' speeds by their contracts, by site and path, as they are in force on a day (2026-01-31).
func Speeds(agreements []reports.Agreement, day string) map[string]map[probes.Path]Speed {
	out := map[string]map[probes.Path]Speed{}
	from := map[string]map[probes.Path]string{}
	for _, a := range agreements {
		path := probes.Path(a.Layer)
		c := a.Contract
		if !path.Valid() || c.From > day || c.To != "" && c.To < day {
			continue
		}
		if out[a.Site] == nil {
			out[a.Site], from[a.Site] = map[probes.Path]Speed{}, map[probes.Path]string{}
		}
		if last, ok := from[a.Site][path]; ok && last > c.From {
			continue // one without a last day ends when the next one begins
		}
		from[a.Site][path] = c.From
		out[a.Site][path] = Speed{UpBPS: 1e6 * cmp.Or(c.UpMbps, c.DownMbps), DownBPS: 1e6 * c.DownMbps}
	}
	return out
}

// Line is what the checks of all agents of a site take of one of its lines.
type Line struct {
	Path probes.Path
	Cost
	Speed Speed
	// Average and Peak are the larger of the shares of both directions, 0 to 1 and above; 0 where the speed is not known.
	Average, Peak float64
}

// Over reports whether a line is above the limits.
func (l *Line) Over(limits Limits) (average, peak bool) {
	return l.Average > limits.Average, l.Peak > limits.Peak
}

// Lines sums what the agents of a site cost, by path in the order of screens. Paths that no check takes are left out.
func Lines(agents []map[probes.Path]Cost, speeds map[probes.Path]Speed) []Line {
	sum := map[probes.Path]Cost{}
	for _, a := range agents {
		for p, c := range a {
			sum[p] = sum[p].Add(c)
		}
	}
	var out []Line
	for p, c := range sum {
		l := Line{Path: p, Cost: c, Speed: speeds[p]}
		share := func(up, down float64) (most float64) {
			if l.Speed.UpBPS > 0 {
				most = up / l.Speed.UpBPS
			}
			if l.Speed.DownBPS > 0 {
				most = max(most, down/l.Speed.DownBPS)
			}
			return most
		}
		l.Average, l.Peak = share(c.UpBPS, c.DownBPS), share(c.PeakUpBPS, c.PeakDownBPS)
		out = append(out, l)
	}
	order := probes.Paths()
	slices.SortFunc(out, func(a, b Line) int { return slices.Index(order, a.Path) - slices.Index(order, b.Path) })
	return out
}
