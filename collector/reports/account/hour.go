package account

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/health/rules"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// hour is what is known of an hour of a site, and what becomes of it. It is pure.
type hour struct {
	site             string
	before, from, to time.Time       // the layers' intervals begin at before
	cal              *rules.Calendar // nil: always open
	layers           [4][]health.Interval
	verdicts         map[verdictOf]verdict // of the runs of pings
}

// ping is the numbers of a run of pings; nil where it has none.
type ping struct{ sent, lost, rtt, jitter *float64 }

// heard takes in the verdict of a run. Only of a run that says something of the line do the numbers count: what left by
// another path, or was measured by an overloaded machine, is not the line's.
func (h *hour) heard(o *health.Observation) {
	if o.Check.Kind != probes.KindICMP || o.Check.Layer == "" || o.Outcome.Own() {
		return
	}
	id := verdictOf{o.Check.Agent, o.Check.Target, o.Check.Path, o.Time.UnixMilli()}
	h.verdicts[id] = verdict{o.Check.Layer, nil}
}

// pings takes in the numbers of one field of a check. What was measured during maintenance is left out.
func (h *hour) pings(s store.Series, planned func(at int64) bool) {
	id := verdictOf{agent: s.Tags.Get("agent"), target: s.Tags.Get("target"), path: probes.Path(s.Tags.Get("path"))}
	for i, at := range s.Times {
		id.at = at
		v, ok := h.verdicts[id]
		if !ok || planned(at) {
			continue
		}
		if v.ping == nil {
			v.ping = &ping{}
			h.verdicts[id] = v
		}
		number := s.Values[i]
		switch s.Field {
		case "sent":
			v.ping.sent = &number
		case "lost":
			v.ping.lost = &number
		case "rtt_median_seconds":
			v.ping.rtt = &number
		case "jitter_seconds":
			v.ping.jitter = &number
		}
	}
}

// piece is a part of the hour that lies within office hours, or outside.
type piece struct {
	from, to time.Time
	hours    reports.Hours
}

// pieces cuts the hour at the edges of office hours.
func (h *hour) pieces() (out []piece) {
	for at := h.from; at.Before(h.to); {
		end := h.to
		if h.cal != nil {
			if next := h.cal.Next(at); !next.IsZero() && next.Before(end) {
				end = next
			}
		}
		out = append(out, piece{at, end, h.hoursAt(at)})
		at = end
	}
	return out
}

func (h *hour) hoursAt(t time.Time) reports.Hours {
	if h.cal == nil || h.cal.Open(t) {
		return reports.Office
	}
	return reports.Other
}

// line is what an hour amounts to for a layer within or outside office hours.
type line struct {
	seconds           map[string]float64 // by field
	outages           float64
	sent, lost        float64
	loss, rtt, jitter rollup.Aggregate
	windows           map[int64]*[2]float64 // lost and sent, by start
}

type lineOf struct {
	layer probes.Layer
	hours reports.Hours
}

// rows returns the hour's windows: for each layer of which anything is known, one for each kind of hours that is in it.
func (h *hour) rows() []rollup.Row {
	lines := map[lineOf]*line{}
	pieces := h.pieces()
	for i, layer := range probes.Layers() {
		if !slices.ContainsFunc(h.layers[i], func(in health.Interval) bool { return in.State != health.StateNone && in.To.After(h.from) }) {
			continue
		}
		for _, p := range pieces {
			id := lineOf{layer, p.hours}
			if lines[id] == nil {
				lines[id] = newLine()
			}
			for _, in := range h.layers[i] {
				lines[id].stay(in, p, h.before)
			}
		}
	}
	h.count(lines)
	var out []rollup.Row
	for id, l := range lines {
		out = append(out, rollup.Row{Measurement: reports.Measurement, Start: h.from.UnixMilli(), Fields: l.fields(),
			Tags: probes.Tags{{Key: "hours", Value: string(id.hours)}, {Key: "layer", Value: string(id.layer)}, {Key: "site", Value: h.site}}})
	}
	slices.SortFunc(out, func(a, b rollup.Row) int {
		return slices.CompareFunc(a.Tags, b.Tags, func(a, b probes.Tag) int { return strings.Compare(a.Value, b.Value) })
	})
	return out
}

func newLine() *line {
	l := &line{seconds: map[string]float64{}, windows: map[int64]*[2]float64{}}
	// All of them are written, also those that are 0: a window that is worked out anew must leave nothing of the old one.
	for _, key := range secondsOf {
		l.seconds[key] = 0
	}
	for _, a := range []*rollup.Aggregate{&l.loss, &l.rtt, &l.jitter} {
		a.Sketch = new(rollup.Sketch)
	}
	return l
}

var secondsOf = []string{"ok_seconds", "degraded_seconds", "down_seconds", "maintenance_seconds", "closed_seconds", "no_data_seconds"}

// fieldOf is where the seconds of a state go; "" for what nobody knows.
func fieldOf(in health.Interval) string {
	switch in.State {
	case health.StateOK:
		return "ok_seconds"
	case health.StateDegraded:
		return "degraded_seconds"
	case health.StateDown:
		return "down_seconds"
	case health.StateNoData:
		return "no_data_seconds"
	case health.StateMuted:
		if in.Reason.Code == health.ReasonMaintenance {
			return "maintenance_seconds"
		}
		return "closed_seconds"
	}
	return ""
}

// stay takes in the part of a stay that lies in a piece. A stay that begins with the replay began before it.
func (l *line) stay(in health.Interval, p piece, replayed time.Time) {
	begin, end := in.From, in.To
	if begin.Before(p.from) {
		begin = p.from
	}
	if end.After(p.to) {
		end = p.to
	}
	key := fieldOf(in)
	if key == "" || !begin.Before(end) {
		return
	}
	l.seconds[key] += end.Sub(begin).Seconds()
	if in.State == health.StateDown && in.From.After(replayed) && !in.From.Before(p.from) {
		l.outages++
	}
}

// count takes in the pings, in one order whatever order they were read in, so that sums are the same to the last bit.
func (h *hour) count(lines map[lineOf]*line) {
	runs := slices.SortedFunc(maps.Keys(h.verdicts), func(a, b verdictOf) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.agent, b.agent), strings.Compare(a.target, b.target), cmp.Compare(a.path, b.path))
	})
	for _, id := range runs {
		v := h.verdicts[id]
		l := lines[lineOf{v.layer, h.hoursAt(time.UnixMilli(id.at))}]
		if v.ping == nil || l == nil {
			continue
		}
		if v.ping.rtt != nil {
			l.rtt.Add(*v.ping.rtt)
		}
		if v.ping.jitter != nil {
			l.jitter.Add(*v.ping.jitter)
		}
		if v.ping.sent == nil || v.ping.lost == nil {
			continue
		}
		l.sent += *v.ping.sent
		l.lost += *v.ping.lost
		start := time.UnixMilli(id.at).Truncate(fine).UnixMilli()
		if l.windows[start] == nil {
			l.windows[start] = &[2]float64{}
		}
		l.windows[start][0] += *v.ping.lost
		l.windows[start][1] += *v.ping.sent
	}
	for _, l := range lines {
		for _, start := range slices.Sorted(maps.Keys(l.windows)) {
			if w := l.windows[start]; w[1] > 0 {
				l.loss.Add(w[0] / w[1])
			}
		}
	}
}

// fields returns what is kept, by rising key.
func (l *line) fields() []rollup.Field {
	total := func(v float64) rollup.Aggregate { return rollup.Aggregate{Total: true, Sum: v} }
	out := []rollup.Field{{Key: "outages", Value: total(l.outages)}, {Key: "sent", Value: total(l.sent)}, {Key: "lost", Value: total(l.lost)}}
	for key, v := range l.seconds {
		out = append(out, rollup.Field{Key: key, Value: total(v)})
	}
	for key, a := range map[string]rollup.Aggregate{"loss_ratio": l.loss, "rtt_seconds": l.rtt, "jitter_seconds": l.jitter} {
		if a.Count > 0 {
			out = append(out, rollup.Field{Key: key, Value: a})
		}
	}
	slices.SortFunc(out, func(a, b rollup.Field) int { return strings.Compare(a.Key, b.Key) })
	return out
}
