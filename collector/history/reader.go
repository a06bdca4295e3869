package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// Reader answers questions of any length from whatever resolution is enough. Make one with NewReader.
type Reader struct {
	o      ReaderOptions
	fields map[string]map[string]bool // the numbers of the contract by measurement; true: a distribution
}

// ReaderOptions are what NewReader needs. Store and Progress are required.
type ReaderOptions struct {
	Store     Store
	Progress  func() Progress                // how far windows reach
	Zone      *time.Location                 // where days begin; nil: UTC
	Retention time.Duration                  // how long rows are kept; 90 d
	Keep      map[rollup.Level]time.Duration // how long windows are kept, by level; a level that is missing is kept for ever
	Now       func() time.Time               // nil: time.Now
}

// NewReader returns a Reader.
func NewReader(o ReaderOptions) *Reader {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Reader{o: o, fields: map[string]map[string]bool{}}
	for _, m := range probes.Schema() {
		r.fields[m.Name] = map[string]bool{}
		for _, f := range m.Fields {
			if f.Type != probes.TypeString {
				r.fields[m.Name][f.Key] = f.Distribution
			}
		}
	}
	return r
}

// Select passes a question for rows on.
func (r *Reader) Select(ctx context.Context, q store.Query, each func(store.Series) error) error {
	return r.o.Store.Select(ctx, q, each)
}

// Stats is the store's.
func (r *Reader) Stats() store.Stats { return r.o.Store.Stats() }

// Windows is Resolve for those who don't ask how it was answered.
func (r *Reader) Windows(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) error {
	_, err := r.Resolve(ctx, q, step, each)
	return err
}

// Rows answer by themselves up to this length: their percentiles are exact.
const rowsAlone = 48 * time.Hour

// Finest is the shortest step that a question from a time on can be answered in: what is older than rows has no shorter
// windows than are kept of that age.
func (r *Reader) Finest(from time.Time) time.Duration {
	now := r.o.Now()
	old := func(keep time.Duration) bool { return from.Before(now.Add(-keep)) }
	if !old(r.o.Retention) {
		return time.Millisecond
	}
	for _, l := range []struct {
		level rollup.Level
		step  time.Duration
	}{{rollup.FiveMinutes, 5 * time.Minute}, {rollup.Hour, time.Hour}} {
		if keep, bounded := r.o.Keep[l.level]; !bounded || !old(keep) {
			return l.step
		}
	}
	return 24 * time.Hour
}

// Resolve answers like the Windows of a store.Store, and returns the coarsest level that it read. It reads rows where
// the question is short or the measurement is not of the contract, and else the coarsest windows that fit into the
// steps, with finer ones and rows at the edges and where nothing was worked out yet.
//
// Where windows were read, Last is NaN; so is P95 of what is no distribution, and that of distributions is within
// rollup.Accuracy.
func (r *Reader) Resolve(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) (rollup.Level, error) {
	if step < time.Millisecond || step%time.Millisecond != 0 {
		return rollup.Raw, fmt.Errorf("window of %v: use whole milliseconds, at least one", step)
	}
	if from := time.UnixMilli(q.From.UnixMilli()); q.From.After(from) {
		q.From = from.Add(time.Millisecond) // as engines do: times have whole milliseconds
	}
	fields, ours := r.fields[q.Measurement]
	now := r.o.Now()
	short := q.To.Sub(q.From) <= rowsAlone && !q.From.Before(now.Add(-r.o.Retention))
	if !ours || short || step < 5*time.Minute || !q.From.Before(q.To) {
		return rollup.Raw, r.o.Store.Windows(ctx, q, step, each)
	}
	k := &kept{zone: r.o.Zone, done: r.o.Progress().To, from: map[rollup.Level]time.Time{}}
	for level, keep := range r.o.Keep {
		k.from[level] = now.Add(-keep)
	}
	segments := cover(q.From, q.To, step, k)
	if len(segments) == 0 || len(segments) == 1 && segments[0].level == rollup.Raw {
		return rollup.Raw, r.o.Store.Windows(ctx, q, step, each)
	}
	g := &gathering{q: q, step: step.Milliseconds(), fields: fields, left: q.MaxPoints, series: map[string]*gathered{}}
	coarsest := rollup.Raw
	for _, s := range segments {
		coarsest = max(coarsest, s.level)
	}
	for _, level := range append([]rollup.Level{rollup.Raw}, rollup.Levels()...) {
		if err := g.read(ctx, r.o.Store, level, segments); err != nil {
			return coarsest, err
		}
	}
	return coarsest, g.tell(each)
}

// gathering puts what is read of several levels into the steps of one question.
type gathering struct {
	q      store.Query
	step   int64 // milliseconds
	fields map[string]bool
	left   int // points and windows that may still be read; not bounded if the query is not
	series map[string]*gathered
	order  []*gathered
}

// gathered is one field of one series.
type gathered struct {
	field   string
	tags    probes.Tags
	windows map[int64]*rollup.Aggregate // by the number of the step
}

// manySegments is from how many segments of a level on they are read in one question, with what lies between them.
const manySegments = 8

// read reads the segments of a level.
func (g *gathering) read(ctx context.Context, st Store, level rollup.Level, segments []segment) error {
	var mine []segment
	for _, s := range segments {
		if s.level == level {
			mine = append(mine, s)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	wanted := func(int64) bool { return true }
	if len(mine) > manySegments {
		all := mine
		wanted = func(t int64) bool {
			i, found := slices.BinarySearchFunc(all, t, func(s segment, t int64) int { return int(min(max(s.from.UnixMilli()-t, -1), 1)) })
			if !found {
				i--
			}
			return i >= 0 && t < all[i].to.UnixMilli()
		}
		mine = []segment{{level, mine[0].from, mine[len(mine)-1].to}}
	}
	for _, s := range mine {
		if level == rollup.Raw {
			if err := g.rows(ctx, st, s, wanted); err != nil {
				return err
			}
			continue
		}
		q := store.RollupQuery{Level: level, Measurement: g.q.Measurement, Fields: g.q.Fields, Tags: g.q.Tags, From: s.from, To: s.to, MaxRows: g.left}
		err := st.Rollups(ctx, q, func(s store.RollupSeries) error {
			if err := g.spend(len(s.Rows)); err != nil {
				return err
			}
			for i := range s.Rows {
				row := &s.Rows[i]
				for j := range row.Fields {
					f := &row.Fields[j]
					if _, ok := g.fields[f.Key]; ok && !f.Value.Total && wanted(row.Start) {
						g.at(f.Key, s.Tags, row.Start).Merge(&f.Value)
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rows reads rows, a day at a time: where nothing was worked out yet there may be months of them.
func (g *gathering) rows(ctx context.Context, st Store, s segment, wanted func(int64) bool) error {
	for at := s.from; at.Before(s.to); at = at.Add(24 * time.Hour) {
		q := g.q
		q.From, q.To, q.MaxPoints = at, at.Add(24*time.Hour), g.left
		if q.To.After(s.to) {
			q.To = s.to
		}
		err := st.Select(ctx, q, func(s store.Series) error {
			distribution, ok := g.fields[s.Field]
			if !ok || s.Values == nil {
				return nil
			}
			if err := g.spend(len(s.Times)); err != nil {
				return err
			}
			for i, t := range s.Times {
				if !wanted(t) {
					continue
				}
				a := g.at(s.Field, s.Tags, t)
				if distribution && a.Sketch == nil {
					a.Sketch = new(rollup.Sketch)
				}
				a.Add(s.Values[i])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) spend(n int) error {
	if g.q.MaxPoints == 0 {
		return nil
	}
	if g.left -= n; g.left <= 0 {
		return store.ErrTooMany
	}
	return nil
}

// at is what is gathered of a field of a series for the step that a time is in.
func (g *gathering) at(field string, tags probes.Tags, t int64) *rollup.Aggregate {
	key := rollup.SeriesKey(field, tags)
	s := g.series[key]
	if s == nil {
		s = &gathered{field: field, tags: slices.Clone(tags), windows: map[int64]*rollup.Aggregate{}}
		g.series[key] = s
		g.order = append(g.order, s)
	}
	i := (t - g.q.From.UnixMilli()) / g.step
	a := s.windows[i]
	if a == nil {
		a = new(rollup.Aggregate)
		s.windows[i] = a
	}
	return a
}

// errRange says that a store gave what nobody asked for.
var errRange = errors.New("windows outside of the range that was asked for")

// tell calls each for every series.
func (g *gathering) tell(each func(store.WindowSeries) error) error {
	for _, s := range g.order {
		out := store.WindowSeries{Measurement: g.q.Measurement, Field: s.field, Tags: s.tags, Windows: make([]store.Window, 0, len(s.windows))}
		for i, a := range s.windows {
			if i < 0 {
				return errRange
			}
			if a.Count == 0 {
				continue // somebody stored a window of nothing; it says nothing
			}
			w := store.Window{Start: g.q.From.UnixMilli() + i*g.step, Count: int(a.Count), Sum: a.Sum, Min: a.Min, Max: a.Max, Last: math.NaN(), P95: math.NaN()}
			if p95, ok := a.Quantile(0.95); ok {
				w.P95 = p95
			}
			out.Windows = append(out.Windows, w)
		}
		slices.SortFunc(out.Windows, func(a, b store.Window) int { return int(min(max(a.Start-b.Start, -1), 1)) })
		if err := each(out); err != nil {
			return err
		}
	}
	return nil
}
