package influx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/answers"
	"communewatch/collector/store/influx/catalog"
	"communewatch/collector/store/influx/client"
	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
	"communewatch/collector/store/window"
)

// Select calls each for every series that matches; see store.Store.
func (s *Store) Select(ctx context.Context, q store.Query, each func(store.Series) error) error {
	return s.points(ctx, q, each)
}

// Windows calls each for the windows of every numeric series that matches; see store.Store. They are cut here, from
// points, and not by the server: so they are those of every other engine.
func (s *Store) Windows(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) error {
	cutter, err := window.NewCutter(q.From, step)
	if err != nil {
		return err
	}
	return s.points(ctx, q, func(p store.Series) error {
		if p.Values == nil {
			return nil
		}
		for i, t := range p.Times {
			cutter.Add(t, p.Values[i])
		}
		return each(store.WindowSeries{Measurement: p.Measurement, Field: p.Field, Tags: p.Tags, Windows: cutter.Windows()})
	})
}

// points runs q and calls each for every field of every series.
func (s *Store) points(ctx context.Context, q store.Query, each func(store.Series) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if q.Measurement == "" {
		return errors.New("query without a measurement")
	}
	a := answers.Question{Database: s.o.Database, Measurement: q.Measurement, Tags: q.Tags, From: window.CeilMillis(q.From), To: window.CeilMillis(q.To)}
	if len(q.Fields) > 0 {
		stored := make([]string, len(q.Fields))
		for i, f := range q.Fields {
			stored[i] = lines.Stored(f)
		}
		if !a.Choose(stored) {
			return nil
		}
	}
	found := answers.NewPoints(&a, q.MaxPoints, s.inParts(&a), wanted(ctx, each))
	err := s.run(ctx, &a, found.Take)
	if err == nil {
		err = found.Finish()
	}
	s.metrics.skipped.Add(float64(found.Skipped))
	return s.explain(a.Database, err)
}

// wanted ends a query between series once nobody waits for it any more.
func wanted[T any](ctx context.Context, each func(T) error) func(T) error {
	return func(found T) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(found); err != nil {
			return err
		}
		return ctx.Err()
	}
}

// explain makes an error of the room client one of the store's. A database that can't be used is away to whoever needs
// it, even if that of rows is as it should be.
func (s *Store) explain(database string, err error) error {
	kind, ok := client.KindOf(err)
	if !ok {
		return err
	}
	s.suspect(err)
	switch kind {
	case client.Missing, client.Denied:
		return fmt.Errorf("influx: %w: %w (%s)", ErrAway, err, without(kind, database))
	case client.Unreachable, client.Foreign:
		return fmt.Errorf("influx: %w: %w", ErrAway, err)
	}
	return fmt.Errorf("influx: %w", err)
}

// inParts reports whether a question can't be asked at once.
func (s *Store) inParts(q *answers.Question) bool {
	return s.catalog().Piece(q.To-q.From) < q.To-q.From
}

// run asks and calls each for every stretch of a series in the answers. InfluxDB 3 is asked for short ranges one by one.
func (s *Store) run(ctx context.Context, q *answers.Question, each func(*influxql.Chunk) error) error {
	if q.From >= q.To {
		return nil
	}
	if err := s.mayRead(); err != nil {
		return err
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	piece := s.catalog().Piece(q.To - q.From)
	for from := q.From; from < q.To; from += piece {
		text, ok := q.Text(from, min(from+piece, q.To))
		if !ok {
			return nil
		}
		if err := s.client.Query(ctx, q.Database, text, each); err != nil {
			return err
		}
	}
	return nil
}

// Measurements lists the measurements that have rows, by name; see store.Store.
func (s *Store) Measurements(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	names, err := s.measurements(ctx, s.o.Database)
	return names, s.explain(s.o.Database, err)
}

func (s *Store) measurements(ctx context.Context, database string) ([]string, error) {
	if err := s.mayRead(); err != nil {
		return nil, err
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.catalog().Measurements(ctx, database)
}

// catalog is that of who answered last.
func (s *Store) catalog() catalog.Catalog {
	return catalog.Catalog{Client: s.client, Server: s.server()}
}

// fieldsOf returns the fields of a measurement as the database knows them.
func (s *Store) fieldsOf(ctx context.Context, measurement string) (map[string]lines.Class, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	fields, err := s.catalog().Fields(ctx, s.o.Database, measurement)
	if err != nil {
		s.suspect(err)
	}
	return fields, err
}
