package figures

import (
	"context"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"

	"golang.org/x/sync/errgroup"
)

// stretch is a part of a period, and the level that it is read from.
type stretch struct {
	level    rollup.Level
	from, to time.Time
}

// plan cuts [from, to), a midnight and a whole hour, into months, days at the edges, and hours of the last day.
func plan(from, to time.Time, zone *time.Location) []stretch {
	var out []stretch
	add := func(level rollup.Level, from, to time.Time) {
		if from.Before(to) {
			out = append(out, stretch{level, from, to})
		}
	}
	day := rollup.Day.Start(to, zone)
	if day.Before(from) {
		day = from
	}
	first := rollup.Month.Start(from, zone)
	if first.Before(from) {
		first = rollup.Month.Next(first, zone)
	}
	if last := rollup.Month.Start(to, zone); first.Before(last) {
		add(rollup.Day, from, first)
		add(rollup.Month, first, last)
		add(rollup.Day, last, day)
	} else {
		add(rollup.Day, from, day)
	}
	add(rollup.Hour, day, to)
	return out
}

// windows is what the windows of a line say of a period, within office hours and outside.
type windows struct {
	office, other tally
	first         time.Time // the first window
	level         rollup.Level
}

// atOnce is how many parts are read side by side: taking windows apart is work for processors.
const atOnce = 4

// part is what is read of a stretch: the windows of a layer, within office hours, outside, or all.
type part struct {
	stretch
	layer  probes.Layer
	hours  reports.Hours
	fields []string // nil: all
}

// parts returns what is read for a report. Each layer is read by itself: stores keep the windows of a series together.
// Of the hours that nobody asks about it counts only when they began, for which the smallest field is enough.
func (r *Reporter) parts(q reports.Query, to time.Time) (out []part) {
	layers := probes.Layers()
	if q.Layer != "" {
		layers = []probes.Layer{q.Layer}
	}
	hours := q.Hours
	for _, p := range r.profiles {
		if p.Hours != hours {
			hours = reports.All // lines are held against it
		}
	}
	for _, s := range plan(q.Period.From, to, r.o.Zone) {
		for _, layer := range layers {
			out = append(out, part{s, layer, hours, nil})
			switch hours {
			case reports.Office:
				out = append(out, part{s, layer, reports.Other, []string{"ok_seconds"}})
			case reports.Other:
				out = append(out, part{s, layer, reports.Office, []string{"ok_seconds"}})
			}
		}
	}
	return out
}

// read reads a period's windows.
func (r *Reporter) read(ctx context.Context, q reports.Query, to time.Time) (map[lineOf]*windows, error) {
	parts := r.parts(q, to)
	read := make([]map[lineOf]*windows, len(parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range parts {
		group.Go(func() (err error) {
			read[i], err = r.part(ctx, &parts[i], q.Site)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := map[lineOf]*windows{}
	for _, part := range read { // in order of time, so that sums are the same each time
		for id, w := range part {
			have := out[id]
			if have == nil {
				out[id] = w
				continue
			}
			if w.level == have.level && w.first.Before(have.first) {
				have.first = w.first
			}
			have.office.join(&w.office)
			have.other.join(&w.other)
		}
	}
	return out, nil
}

// tags are those of the windows of a line, of both or of one of its two kinds of hours.
func tags(layer probes.Layer, site string, hours reports.Hours) map[string]string {
	all := map[string]string{"layer": string(layer)}
	if site != "" {
		all["site"] = site
	}
	if hours != reports.All {
		all["hours"] = string(hours)
	}
	return all
}

// part reads one part, of a site or of all.
func (r *Reporter) part(ctx context.Context, p *part, site string) (map[lineOf]*windows, error) {
	out := map[lineOf]*windows{}
	q := store.RollupQuery{Level: p.level, Measurement: reports.Measurement, Fields: p.fields, Tags: tags(p.layer, site, p.hours), From: p.from, To: p.to}
	err := r.o.Windows.Rollups(ctx, q, func(series store.RollupSeries) error {
		id := lineOf{series.Tags.Get("site"), probes.Layer(series.Tags.Get("layer"))}
		if !id.layer.Valid() || len(series.Rows) == 0 {
			return nil
		}
		w := out[id]
		if w == nil {
			w = &windows{level: p.level}
			out[id] = w
		}
		if first := time.UnixMilli(series.Rows[0].Start); w.first.IsZero() || first.Before(w.first) {
			w.first = first
		}
		t := &w.office
		if series.Tags.Get("hours") == string(reports.Other) {
			t = &w.other
		}
		for i := range series.Rows {
			t.add(&series.Rows[i])
		}
		return nil
	})
	return out, err
}

// tally is windows summed.
type tally struct {
	ok, degraded, down, maintenance, closed, noData float64 // seconds
	outages, sent, lost                             float64
	loss, rtt, jitter                               rollup.Aggregate
}

func (t *tally) total(key string) *float64 {
	switch key {
	case "ok_seconds":
		return &t.ok
	case "degraded_seconds":
		return &t.degraded
	case "down_seconds":
		return &t.down
	case "maintenance_seconds":
		return &t.maintenance
	case "closed_seconds":
		return &t.closed
	case "no_data_seconds":
		return &t.noData
	case "outages":
		return &t.outages
	case "sent":
		return &t.sent
	case "lost":
		return &t.lost
	}
	return nil
}

// add takes in one window.
func (t *tally) add(row *rollup.Row) {
	for i := range row.Fields {
		key, a := row.Fields[i].Key, &row.Fields[i].Value
		switch key {
		case "loss_ratio":
			t.loss.Merge(a)
		case "rtt_seconds":
			t.rtt.Merge(a)
		case "jitter_seconds":
			t.jitter.Merge(a)
		default:
			if sum := t.total(key); sum != nil && a.Total {
				*sum += a.Sum
			}
		}
	}
}

// join takes in all of another tally.
func (t *tally) join(o *tally) {
	t.ok += o.ok
	t.degraded += o.degraded
	t.down += o.down
	t.maintenance += o.maintenance
	t.closed += o.closed
	t.noData += o.noData
	t.merge(o)
}

// merge takes in what another tally counted beside seconds.
func (t *tally) merge(o *tally) {
	t.outages += o.outages
	t.sent += o.sent
	t.lost += o.lost
	t.loss.Merge(&o.loss)
	t.rtt.Merge(&o.rtt)
	t.jitter.Merge(&o.jitter)
}
