// Package portion reads a whole store, or a stretch of it, without ever holding much of it: in order of time, in
// portions of one measurement and a stretch that is as long as memory allows. What is copied or exported is read here.
//
// Stretches find their length by themselves. A query that would read too many points is refused by the store, and the
// stretch is halved; where little is found it grows again.
package portion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// Source is what is read of a store.
type Source interface {
	Measurements(ctx context.Context) ([]string, error)
	Select(ctx context.Context, q store.Query, each func(store.Series) error) error
	Rollups(ctx context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error
}

// Range says what to read.
type Range struct {
	Measurements []string  // empty: all that there are
	Sites        []string  // empty: all, and rows that name no site; else those alone
	From, To     time.Time // [From, To)
}

// Bounds of a portion.
const (
	// maxPoints is what one query may find: some 20 MB as rows.
	maxPoints = 200_000
	// maxWindows is the same for windows, which have ten and more fields, some with a sketch.
	maxWindows = 10_000

	// firstStretch keeps the measurements close to each other in time: an engine that is written in this order takes
	// most rows for new ones, and not for late ones.
	firstStretch = time.Hour
	maxStretch   = 24 * time.Hour // where there is nothing
	// minStretch is read whatever it holds: what a province measures in a second fits into memory.
	minStretch = time.Second
)

// Series is what rows have in common.
type Series struct {
	Measurement string
	Tags        probes.Tags // by rising key
}

// Key returns the series as line protocol writes it: wire.Row.Key. Agents' encoder is not used for it, because it cleans
// names; here they stay what some line called them.
func (s *Series) Key() ([]byte, error) {
	key := wire.AppendMeasurement(nil, s.Measurement)
	for _, t := range s.Tags {
		key = wire.AppendName(append(key, ','), t.Key)
		key = wire.AppendName(append(key, '='), t.Value)
	}
	back, err := wire.ParseKey(key)
	if err == nil && (back.Measurement != s.Measurement || !slices.Equal(back.Tags, s.Tags) || strings.HasPrefix(s.Measurement, "#")) {
		err = errors.New("no line can say it")
	}
	if err != nil {
		return nil, fmt.Errorf("series %.100q with tags %.200q: %w", s.Measurement, s.Tags, err)
	}
	return key, nil
}

// Row is the fields of a series at one time. Numbers are floats here: a store does not keep more of their type.
type Row struct {
	Series *Series
	Time   int64          // Unix milliseconds
	Fields []probes.Field // by rising key, at least one
}

// Rows calls each with the rows of one measurement after the other for a stretch of time, then of the next stretch;
// portions hold at least one row, and their rows are in order of time, then of series. Then it calls done, unless that
// is nil, with the time before which everything was handed over. The rows may be kept.
func Rows(ctx context.Context, src Source, r Range, each func(measurement string, rows []Row) error, done func(time.Time) error) error {
	measurements := slices.Clone(r.Measurements)
	if len(measurements) == 0 {
		var err error
		if measurements, err = src.Measurements(ctx); err != nil {
			return err
		}
	}
	slices.Sort(measurements)
	readers := make([]*reader, len(measurements))
	for i, m := range measurements {
		readers[i] = &reader{src: src, measurement: m, sites: r.Sites, stretch: firstStretch}
	}
	stretch := firstStretch
	for from := r.From; from.Before(r.To); {
		to := earlier(from.Add(stretch), r.To)
		empty := true
		for _, rd := range readers {
			err := rd.read(ctx, from, to, func(rows []Row) error {
				empty = false
				return each(rd.measurement, rows)
			})
			if err != nil {
				return fmt.Errorf("%s from %s: %w", rd.measurement, from.UTC().Format(time.RFC3339), err)
			}
		}
		if done != nil {
			if err := done(to); err != nil {
				return err
			}
		}
		if from = to; empty {
			stretch = min(stretch*2, maxStretch)
		} else {
			stretch = firstStretch
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// reader reads one measurement.
type reader struct {
	src         Source
	measurement string
	sites       []string
	stretch     time.Duration // of one query
}

func (r *reader) read(ctx context.Context, from, to time.Time, each func([]Row) error) error {
	// A longer stretch than the usual is asked for where there was nothing before; it may be asked for in one.
	stretch := r.stretch
	if stretch >= firstStretch {
		stretch = to.Sub(from)
	}
	for from.Before(to) {
		end := earlier(from.Add(stretch), to)
		rows, points, err := r.portion(ctx, from, end, stretch > minStretch)
		if errors.Is(err, store.ErrTooMany) && stretch > minStretch {
			stretch = max(end.Sub(from)/2, minStretch).Truncate(time.Millisecond)
			r.stretch = stretch
			continue
		}
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err := each(rows); err != nil {
				return err
			}
		}
		if points < maxPoints/4 {
			stretch = min(stretch*2, max(firstStretch, to.Sub(from)))
			r.stretch = stretch
		}
		from = end
	}
	return nil
}

// portion reads one stretch. Sites are asked for one by one: that is what stores have an index for.
func (r *reader) portion(ctx context.Context, from, to time.Time, bounded bool) (rows []Row, points int, err error) {
	a := assembly{series: map[string]*columns{}}
	queries := []map[string]string{nil}
	if len(r.sites) > 0 {
		queries = queries[:0]
		for _, s := range r.sites {
			queries = append(queries, map[string]string{"site": s})
		}
	}
	for _, tags := range queries {
		q := store.Query{Measurement: r.measurement, Tags: tags, From: from, To: to}
		if bounded {
			if q.MaxPoints = maxPoints - a.points; q.MaxPoints <= 0 {
				return nil, 0, store.ErrTooMany
			}
		}
		if err := r.src.Select(ctx, q, a.add); err != nil {
			return nil, 0, err
		}
	}
	return a.rows(), a.points, nil
}

// assembly makes rows of the single fields that a store gives.
type assembly struct {
	series map[string]*columns
	points int
}

type columns struct {
	key    string
	series *Series // apart from the fields, so that who keeps a row does not keep those
	fields []store.Series
}

func (a *assembly) add(s store.Series) error {
	key := rollup.SeriesKey(s.Measurement, s.Tags)
	c := a.series[key]
	if c == nil {
		c = &columns{key: key, series: &Series{Measurement: s.Measurement, Tags: s.Tags}}
		a.series[key] = c
	}
	c.fields = append(c.fields, s)
	a.points += len(s.Times)
	return nil
}

func (a *assembly) rows() []Row {
	all := make([]*columns, 0, len(a.series))
	for _, c := range a.series {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *columns) int { return strings.Compare(a.key, b.key) })
	var rows []Row
	for _, c := range all {
		rows = c.appendRows(rows)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Compare(a.Time, b.Time) })
	return rows
}

// appendRows merges the fields of a series by time.
func (c *columns) appendRows(rows []Row) []Row {
	slices.SortFunc(c.fields, func(a, b store.Series) int { return strings.Compare(a.Field, b.Field) })
	next := make([]int, len(c.fields))
	for {
		at, n := int64(0), 0 // the earliest time that is left, and how many fields have it
		for i := range c.fields {
			if next[i] == len(c.fields[i].Times) {
				continue
			}
			switch t := c.fields[i].Times[next[i]]; {
			case n == 0 || t < at:
				at, n = t, 1
			case t == at:
				n++
			}
		}
		if n == 0 {
			return rows
		}
		r := Row{Series: c.series, Time: at, Fields: make([]probes.Field, 0, n)}
		for i := range c.fields {
			s := &c.fields[i]
			if next[i] == len(s.Times) || s.Times[next[i]] != at {
				continue
			}
			if s.Texts != nil {
				r.Fields = append(r.Fields, probes.String(s.Field, s.Texts[next[i]]))
			} else {
				r.Fields = append(r.Fields, probes.Float(s.Field, s.Values[next[i]]))
			}
			next[i]++
		}
		rows = append(rows, r)
	}
}

// Windows does for one level what Rows does for rows: portions are in order of time, windows of a portion by start, and
// then by measurement and tags. Portions may hold several measurements.
func Windows(ctx context.Context, src Source, level rollup.Level, r Range, each func([]rollup.Row) error, done func(time.Time) error) error {
	shortest := shortestStretch(level)
	stretch := shortest * 12
	for from := r.From; from.Before(r.To); {
		to := earlier(from.Add(stretch), r.To)
		rows, err := windows(ctx, src, level, r, from, to, stretch > shortest)
		if errors.Is(err, store.ErrTooMany) && stretch > shortest {
			stretch = max(stretch/2, shortest).Truncate(time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("windows of %s from %s: %w", level, from.UTC().Format(time.RFC3339), err)
		}
		if len(rows) > 0 {
			if err := each(rows); err != nil {
				return err
			}
		}
		if done != nil {
			if err := done(to); err != nil {
				return err
			}
		}
		if from = to; len(rows) < maxWindows/4 {
			stretch = min(stretch*2, shortest*2048)
		}
	}
	return nil
}

// shortestStretch is below which a stretch has one window of each series.
func shortestStretch(level rollup.Level) time.Duration {
	start := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) // of the shortest month
	return level.Next(start, time.UTC).Sub(start)
}

func windows(ctx context.Context, src Source, level rollup.Level, r Range, from, to time.Time, bounded bool) ([]rollup.Row, error) {
	queries := []store.RollupQuery{{Level: level, From: from, To: to}}
	if len(r.Measurements) > 0 {
		queries = nil
		for _, m := range r.Measurements {
			queries = append(queries, store.RollupQuery{Level: level, Measurement: m, From: from, To: to})
		}
	}
	if len(r.Sites) > 0 {
		all := queries
		queries = nil
		for _, s := range r.Sites {
			for _, q := range all {
				q.Tags = map[string]string{"site": s}
				queries = append(queries, q)
			}
		}
	}
	type keyed struct {
		key string
		row rollup.Row
	}
	var found []keyed
	for _, q := range queries {
		if bounded {
			if q.MaxRows = maxWindows - len(found); q.MaxRows <= 0 {
				return nil, store.ErrTooMany
			}
		}
		err := src.Rollups(ctx, q, func(s store.RollupSeries) error {
			key := rollup.SeriesKey(s.Measurement, s.Tags)
			for _, row := range s.Rows {
				found = append(found, keyed{key, row})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.row.Start, b.row.Start), strings.Compare(a.key, b.key))
	})
	rows := make([]rollup.Row, len(found))
	for i := range found {
		rows[i] = found[i].row
	}
	return rows, nil
}
