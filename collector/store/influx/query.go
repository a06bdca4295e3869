package influx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/answers"
	"communewatch/collector/store/influx/client"
	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
	"communewatch/collector/store/window"
)

// shortOf3 is how long a range InfluxDB 3 Core can be asked for at once: it opens no more than 432 files of ten minutes
// for a query.
const shortOf3 = 72 * time.Hour

// maxNames bounds lists of measurements and fields. A database that others fill may have more.
const maxNames = 100_000

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
	found := answers.NewPoints(&a, q.MaxPoints, s.piece(&a) < a.To-a.From, wanted(ctx, each))
	err := s.run(ctx, &a, found.Take)
	if err == nil {
		err = found.Finish()
	}
	s.metrics.skipped.Add(float64(found.Skipped))
	return s.explain(err)
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

// explain makes an error of the room client one of the store's.
func (s *Store) explain(err error) error {
	if _, ok := client.KindOf(err); ok {
		s.suspect(err)
		return fmt.Errorf("influx: %w", err)
	}
	return err
}

// piece is how much of a question's range can be asked for at once, in milliseconds.
func (s *Store) piece(q *answers.Question) int64 {
	if s.server().Generation == 3 {
		return min(q.To-q.From, shortOf3.Milliseconds())
	}
	return q.To - q.From
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
	piece := s.piece(q)
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
	return names, s.explain(err)
}

func (s *Store) measurements(ctx context.Context, database string) ([]string, error) {
	if err := s.mayRead(); err != nil {
		return nil, err
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	rows, err := s.client.Rows(ctx, database, "SHOW MEASUREMENTS", maxNames)
	if err != nil {
		return nil, err
	}
	if server := s.server(); len(rows) == 0 && server.Generation == 1 { // it says so of a database that is not there too
		if _, _, err := s.client.Retention(ctx, server, database); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, row := range rows {
		if name, ok := row[len(row)-1].(string); ok && name != "" {
			names = append(names, lines.Named(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// fieldsOf returns the fields of a measurement as the database knows them. One that is a number in some shards and a
// text in others is a number to us.
func (s *Store) fieldsOf(ctx context.Context, measurement string) (map[string]lines.Class, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	rows, err := s.client.Rows(ctx, s.o.Database, "SHOW FIELD KEYS FROM "+influxql.Name(lines.Stored(measurement)), maxNames)
	if kind, ok := client.KindOf(err); ok && kind == client.Refused {
		return nil, nil // a measurement that is not there yet, in some generations
	}
	if err != nil {
		s.suspect(err)
		return nil, err
	}
	fields := map[string]lines.Class{}
	for _, row := range rows { // series, key, type
		if len(row) < 3 {
			continue
		}
		key, _ := row[1].(string)
		class := lines.Number
		if kind, _ := row[2].(string); kind == "string" {
			class = lines.Text
		}
		if have, ok := fields[lines.Named(key)]; !ok || have == lines.Text {
			fields[lines.Named(key)] = class
		}
	}
	return fields, nil
}
