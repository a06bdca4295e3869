package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"communewatch/collector/store"
	"communewatch/collector/store/embedded/texts"
	"communewatch/collector/store/window"
	"communewatch/probes"
)

// Select calls each for every series that matches; see store.Store.
func (s *Store) Select(ctx context.Context, q store.Query, each func(store.Series) error) error {
	// Points are gathered here and copied once their number is known: what grows by doubling is mostly garbage.
	var times []int64
	var values []float64
	return s.query(ctx, q, markNumber+markText, func(r *reader, series store.Series, c texts.Class) error {
		times, values = times[:0], values[:0]
		for r.next() {
			times = append(times, r.time)
			values = append(values, r.value)
		}
		if r.err != nil || len(times) == 0 {
			return r.err
		}
		series.Times = slices.Clone(times)
		if c == texts.Text {
			series.Texts = s.dict.Texts(values)
		} else {
			series.Values = slices.Clone(values)
		}
		return each(series)
	})
}

// Windows calls each for the windows of every numeric series that matches; see store.Store. It holds the values of
// one window at a time.
func (s *Store) Windows(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) error {
	cutter, err := window.NewCutter(q.From, step)
	if err != nil {
		return err
	}
	return s.query(ctx, q, markNumber, func(r *reader, series store.Series, _ texts.Class) error {
		for r.next() {
			cutter.Add(r.time, r.value)
		}
		if r.err != nil {
			return r.err
		}
		out := store.WindowSeries{Measurement: series.Measurement, Field: series.Field, Tags: series.Tags, Windows: cutter.Windows()}
		if len(out.Windows) == 0 {
			return nil
		}
		return each(out)
	})
}

// checkEvery is after how many points a query looks whether it is still wanted.
const checkEvery = 8192

// reader walks through the points of one series, within the bounds of its query.
type reader struct {
	ctx  context.Context
	it   chunkenc.Iterator
	read int // points of all series so far
	max  int // 0: no bound

	time  int64
	value float64
	err   error
}

func (r *reader) next() bool {
	if r.err != nil || r.it.Next() == chunkenc.ValNone {
		if r.err == nil {
			r.err = r.it.Err()
		}
		return false
	}
	r.read++
	if r.max > 0 && r.read > r.max {
		r.err = store.ErrTooMany
		return false
	}
	if r.read%checkEvery == 0 {
		if r.err = r.ctx.Err(); r.err != nil {
			return false
		}
	}
	r.time, r.value = r.it.At()
	return true
}

// query runs q and calls series for each one that matches, whose field is marked by one of marks.
func (s *Store) query(ctx context.Context, q store.Query, marks string, series func(*reader, store.Series, texts.Class) error) (err error) {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if q.Measurement == "" {
		return errors.New("query without a measurement")
	}
	from, through := window.CeilMillis(q.From), window.CeilMillis(q.To)-1
	if from > through {
		return nil
	}
	matchers, ok := matchersOf(q, marks)
	if !ok {
		return nil
	}
	querier, err := s.db.Querier(from, through)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer func() { err = errors.Join(err, querier.Close()) }()

	r := &reader{ctx: ctx, max: q.MaxPoints}
	set := querier.Select(ctx, false, &storage.SelectHints{Start: from, End: through}, matchers...)
	for set.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		found := set.At()
		out, c := seriesOf(found.Labels())
		r.it = found.Iterator(r.it)
		if err := series(r, out, c); err != nil {
			return err
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	return nil
}

// matchersOf turns a query into the engine's terms. It returns false if nothing can match.
func matchersOf(q store.Query, marks string) ([]*labels.Matcher, bool) {
	matchers := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labelMeasurement, q.Measurement)}
	for key, value := range q.Tags {
		if key == labelMeasurement || key == labelField {
			return nil, false // never a tag's
		}
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, key, value))
	}
	switch {
	case len(q.Fields) > 0:
		var names []string
		for _, f := range q.Fields {
			for _, m := range marks {
				names = append(names, regexp.QuoteMeta(string(m)+f))
			}
		}
		// The engine recognizes alternatives of literals and looks them up instead of matching.
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchRegexp, labelField, strings.Join(names, "|")))
	case marks == markNumber:
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchRegexp, labelField, regexp.QuoteMeta(markNumber)+"(?s:.*)"))
	}
	return matchers, true
}

// seriesOf takes a series' labels apart.
func seriesOf(l labels.Labels) (store.Series, texts.Class) {
	s := store.Series{Tags: make(probes.Tags, 0, l.Len())}
	c := texts.Number
	l.Range(func(label labels.Label) {
		switch label.Name {
		case labelMeasurement:
			s.Measurement = label.Value
		case labelField:
			if strings.HasPrefix(label.Value, markText) {
				c = texts.Text
			}
			s.Field = label.Value[1:]
		default:
			s.Tags = append(s.Tags, probes.Tag{Key: label.Name, Value: label.Value})
		}
	})
	return s, c
}

// Measurements lists the measurements that have rows; see store.Store.
func (s *Store) Measurements(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	querier, err := s.db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	names, _, err := querier.LabelValues(ctx, labelMeasurement, nil)
	names = slices.Clone(names) // they may lie in memory that goes with the querier
	for i := range names {
		names[i] = strings.Clone(names[i])
	}
	return names, errors.Join(err, querier.Close())
}
