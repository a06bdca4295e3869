package figures

import (
	"context"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// past is in which months lines had windows, as it was read a while ago. It only says which lines are older than a
// period, which does not change; a line that is not in it yet counts from its first window.
type past struct {
	read  time.Time
	lines map[lineOf][2]time.Time // the first and the last month
}

// pastAge is how old what is kept of the past may be: a line that went away shows a while longer.
const pastAge = 10 * time.Minute

// pastMonths is how far the past reaches: as long as months are kept, and a little.
const pastMonths = 12*5 + 2

// months returns in which months lines had windows.
func (r *Reporter) months(ctx context.Context) (map[lineOf][2]time.Time, error) {
	now := r.o.Now()
	r.mu.Lock()
	p := r.past
	r.mu.Unlock()
	if p.lines != nil && now.Sub(p.read).Abs() < pastAge {
		return p.lines, nil
	}
	p = past{read: now, lines: map[lineOf][2]time.Time{}}
	month := rollup.Month.Start(now, r.o.Zone)
	q := store.RollupQuery{Level: rollup.Month, Measurement: reports.Measurement, Fields: []string{"ok_seconds"},
		From: month.AddDate(0, -pastMonths, 0), To: rollup.Month.Next(month, r.o.Zone)}
	err := r.o.Windows.Rollups(ctx, q, func(s store.RollupSeries) error {
		id := lineOf{s.Tags.Get("site"), probes.Layer(s.Tags.Get("layer"))}
		if len(s.Rows) == 0 {
			return nil
		}
		first, last := time.UnixMilli(s.Rows[0].Start), time.UnixMilli(s.Rows[len(s.Rows)-1].Start)
		if have, ok := p.lines[id]; ok {
			if have[0].Before(first) {
				first = have[0]
			}
			if have[1].After(last) {
				last = have[1]
			}
		}
		p.lines[id] = [2]time.Time{first, last}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.past = p
	r.mu.Unlock()
	return p.lines, nil
}

// firstDays returns the first day with a window of each line within a month.
func (r *Reporter) firstDays(ctx context.Context, month time.Time) (map[lineOf]time.Time, error) {
	out := map[lineOf]time.Time{}
	q := store.RollupQuery{Level: rollup.Day, Measurement: reports.Measurement, Fields: []string{"ok_seconds"}, From: month, To: rollup.Month.Next(month, r.o.Zone)}
	err := r.o.Windows.Rollups(ctx, q, func(s store.RollupSeries) error {
		if len(s.Rows) == 0 {
			return nil
		}
		id, first := lineOf{s.Tags.Get("site"), probes.Layer(s.Tags.Get("layer"))}, time.UnixMilli(s.Rows[0].Start)
		if have, ok := out[id]; !ok || first.Before(have) {
			out[id] = first
		}
		return nil
	})
	return out, err
}

// Periods lists the months of which there are figures, the newest first.
func (r *Reporter) Periods(ctx context.Context) ([]reports.Period, error) {
	to := r.o.Progress().To
	if to.IsZero() {
		return nil, nil
	}
	first, err := r.first(ctx, to)
	if err != nil || first.IsZero() {
		return nil, err
	}
	var out []reports.Period
	oldest := rollup.Month.Start(first, r.o.Zone)
	for month := rollup.Month.Start(to.Add(-time.Millisecond), r.o.Zone); !month.Before(oldest); {
		out = append(out, reports.Period{Kind: reports.Month, From: month, To: rollup.Month.Next(month, r.o.Zone)})
		month = rollup.Month.Start(month.Add(-time.Millisecond), r.o.Zone)
	}
	return out, nil
}

// first returns about when the oldest window begins; zero where there is none. Before the first month is over there are
// only days, and on the first day only hours.
func (r *Reporter) first(ctx context.Context, to time.Time) (first time.Time, err error) {
	lines, err := r.months(ctx)
	if err != nil {
		return first, err
	}
	for _, months := range lines {
		if first.IsZero() || months[0].Before(first) {
			first = months[0]
		}
	}
	if !first.IsZero() {
		return first, nil
	}
	for _, s := range []stretch{{rollup.Day, to.AddDate(0, 0, -62), to}, {rollup.Hour, to.AddDate(0, 0, -2), to}} {
		q := store.RollupQuery{Level: s.level, Measurement: reports.Measurement, Fields: []string{"ok_seconds"}, From: s.from, To: s.to}
		if err := r.o.Windows.Rollups(ctx, q, func(series store.RollupSeries) error {
			if len(series.Rows) == 0 {
				return nil
			}
			if at := time.UnixMilli(series.Rows[0].Start); first.IsZero() || at.Before(first) {
				first = at
			}
			return nil
		}); err != nil || !first.IsZero() {
			return first, err
		}
	}
	return first, nil
}
