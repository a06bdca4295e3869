// Package past keeps a made-up past in memory for tests of reports: rows as agents measured them, and windows as a store
// keeps them.
package past

import (
	"context"
	"maps"
	"slices"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// Past is rows and windows. The zero value is empty. It is not for concurrent use.
type Past struct {
	rows    map[string]*store.Series
	windows map[rollup.Level]map[string]*store.RollupSeries
}

// Check is a check whose runs are written down.
type Check struct {
	Site, Agent, Target string
	Path                probes.Path
	Layer               probes.Layer
	Interval            time.Duration
}

// Run writes a run of pings down: ten that were answered after rtt, but for lost of them.
func (p *Past) Run(c Check, at time.Time, lost int, rtt time.Duration) {
	tags := probes.Tags{}.With("site", c.Site).With("agent", c.Agent).With("target", c.Target).With("path", string(c.Path))
	check := tags.With("kind", string(probes.KindICMP)).With("layer", string(c.Layer))
	outcome := probes.OutcomeOK
	if lost == 10 {
		outcome = probes.OutcomeTimeout
	}
	p.text("check", "outcome", check, at, outcome.String())
	p.number("check", "interval_seconds", check, at, c.Interval.Seconds())
	p.number("icmp", "sent", tags, at, 10)
	p.number("icmp", "lost", tags, at, float64(lost))
	if lost < 10 {
		p.number("icmp", "rtt_median_seconds", tags, at, rtt.Seconds())
		p.number("icmp", "jitter_seconds", tags, at, rtt.Seconds()/20)
	}
}

// Report writes down what an agent says of itself.
func (p *Past) Report(site, agent string, at time.Time, uptime time.Duration) {
	p.number("agent", "uptime_seconds", probes.Tags{}.With("site", site).With("agent", agent), at, uptime.Seconds())
}

func (p *Past) series(measurement, field string, tags probes.Tags) *store.Series {
	key := rollup.SeriesKey(measurement, tags) + "\x00" + field
	if p.rows == nil {
		p.rows = map[string]*store.Series{}
	}
	s := p.rows[key]
	if s == nil {
		s = &store.Series{Measurement: measurement, Field: field, Tags: tags}
		p.rows[key] = s
	}
	return s
}

// place makes room for a time, in order.
func (p *Past) place(s *store.Series, at time.Time) (i int, have bool) {
	i, have = slices.BinarySearch(s.Times, at.UnixMilli())
	if !have {
		s.Times = slices.Insert(s.Times, i, at.UnixMilli())
	}
	return i, have
}

func (p *Past) number(measurement, field string, tags probes.Tags, at time.Time, v float64) {
	s := p.series(measurement, field, tags)
	if i, have := p.place(s, at); !have {
		s.Values = slices.Insert(s.Values, i, v)
	}
}

func (p *Past) text(measurement, field string, tags probes.Tags, at time.Time, v string) {
	s := p.series(measurement, field, tags)
	if i, have := p.place(s, at); !have {
		s.Texts = slices.Insert(s.Texts, i, v)
	}
}

// Select is that of store.Store.
func (p *Past) Select(_ context.Context, q store.Query, each func(store.Series) error) error {
	for _, s := range p.rows {
		if s.Measurement != q.Measurement || len(q.Fields) > 0 && !slices.Contains(q.Fields, s.Field) || !match(s.Tags, q.Tags) {
			continue
		}
		i, _ := slices.BinarySearch(s.Times, q.From.UnixMilli())
		j, _ := slices.BinarySearch(s.Times, q.To.UnixMilli())
		if i >= j {
			continue
		}
		part := *s
		part.Times = s.Times[i:j]
		if s.Values != nil {
			part.Values = s.Values[i:j]
		} else {
			part.Texts = s.Texts[i:j]
		}
		if err := each(part); err != nil {
			return err
		}
	}
	return nil
}

func match(tags probes.Tags, want map[string]string) bool {
	for k, v := range want {
		if tags.Get(k) != v {
			return false
		}
	}
	return true
}

// Put keeps windows of a level in place of those of the same series and start.
func (p *Past) Put(level rollup.Level, rows []rollup.Row) {
	if p.windows == nil {
		p.windows = map[rollup.Level]map[string]*store.RollupSeries{}
	}
	if p.windows[level] == nil {
		p.windows[level] = map[string]*store.RollupSeries{}
	}
	for _, r := range rows {
		key := rollup.SeriesKey(r.Measurement, r.Tags)
		s := p.windows[level][key]
		if s == nil {
			s = &store.RollupSeries{Measurement: r.Measurement, Tags: r.Tags}
			p.windows[level][key] = s
		}
		i, have := slices.BinarySearchFunc(s.Rows, r.Start, func(r rollup.Row, at int64) int { return int(r.Start - at) })
		if have {
			s.Rows[i] = r
		} else {
			s.Rows = slices.Insert(s.Rows, i, r)
		}
	}
}

// Fold works days out from hours and months from days, as far as they are over at a time.
func (p *Past) Fold(to time.Time, zone *time.Location) {
	for _, level := range []rollup.Level{rollup.Day, rollup.Month} {
		fold := rollup.NewFold(level, zone)
		for _, key := range slices.Sorted(maps.Keys(p.windows[level-1])) {
			s := p.windows[level-1][key]
			for i := range s.Rows {
				if start := level.Start(time.UnixMilli(s.Rows[i].Start), zone); !level.Next(start, zone).After(to) {
					fold.Merge(&s.Rows[i])
				}
			}
		}
		p.Put(level, fold.Rows())
	}
}

// Rollups is that of store.Rolled.
func (p *Past) Rollups(_ context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	for _, s := range p.windows[q.Level] {
		if q.Measurement != "" && s.Measurement != q.Measurement || !match(s.Tags, q.Tags) {
			continue
		}
		out := store.RollupSeries{Measurement: s.Measurement, Tags: s.Tags}
		for _, r := range s.Rows {
			if r.Start < q.From.UnixMilli() || r.Start >= q.To.UnixMilli() {
				continue
			}
			if len(q.Fields) > 0 {
				r.Fields = slices.DeleteFunc(slices.Clone(r.Fields), func(f rollup.Field) bool { return !slices.Contains(q.Fields, f.Key) })
			}
			if len(r.Fields) > 0 {
				out.Rows = append(out.Rows, r)
			}
		}
		if len(out.Rows) == 0 {
			continue
		}
		if err := each(out); err != nil {
			return err
		}
	}
	return nil
}
