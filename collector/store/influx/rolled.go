package influx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx/answers"
	"communewatch/collector/store/influx/client"
	"communewatch/collector/store/influx/lines"
	"communewatch/collector/store/influx/sift"
	"communewatch/collector/store/window"
)

// PutRollups stores windows; see store.Rolled. A window that its database drops because it keeps none so old is left out
// like those that are older than they are wanted for.
func (s *Store) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if level == rollup.Raw {
		return fmt.Errorf("windows of level %s: there are none", level)
	}
	oldest := int64(-1 << 62)
	if keep, ok := s.o.Keep[level]; ok {
		oldest = s.o.Now().Add(-keep).UnixMilli()
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	return s.putAll(ctx, level, rows, oldest)
}

// putAll stores what is not older than oldest, in requests of a fit size. Where rows are refused it stores the others.
func (s *Store) putAll(ctx context.Context, level rollup.Level, rows []rollup.Row, oldest int64) error {
	var refused error
	var body []byte
	n, from := 0, 0
	for i := range rows {
		if rows[i].Start >= oldest && len(rows[i].Fields) > 0 {
			var err error
			if body, err = lines.EncodeWindow(body, &rows[i]); err != nil {
				return fmt.Errorf("influx: %w", err)
			}
			n++
		}
		if n > 0 && (n == s.o.BatchRows || len(body) >= maxBody/2 || i == len(rows)-1) {
			err := s.put(ctx, level, string(body))
			if kind, ok := client.KindOf(err); ok && kind == client.Refused {
				refused, err = errors.Join(refused, s.putApart(ctx, level, rows[from:i+1], oldest, err)), nil
			}
			if err != nil {
				return s.explain(s.o.DatabaseOf(level), err)
			}
			body, n, from = body[:0], 0, i+1
		}
	}
	return refused
}

// putApart stores rows of a request that was refused, those of each measurement alone: a field that somebody else made an
// integer of one must not cost the windows of the others.
func (s *Store) putApart(ctx context.Context, level rollup.Level, rows []rollup.Row, oldest int64, refusal error) error {
	by := map[string][]rollup.Row{}
	for _, r := range rows {
		by[r.Measurement] = append(by[r.Measurement], r)
	}
	if len(by) == 1 {
		s.conflicts(s.o.DatabaseOf(level), rows[0].Measurement, refusal)
		return fmt.Errorf("influx: windows of %s: %w", rows[0].Measurement, refusal)
	}
	var all error
	for _, name := range slices.Sorted(maps.Keys(by)) {
		all = errors.Join(all, s.putAll(ctx, level, by[name], oldest))
	}
	return all
}

// put stores windows, when it is their turn.
func (s *Store) put(ctx context.Context, level rollup.Level, body string) error {
	if away := s.presence.awayError(); away != nil {
		return away
	}
	select {
	case s.putting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.putting }()
	return s.putLines(ctx, s.o.DatabaseOf(level), body)
}

func (s *Store) putLines(ctx context.Context, database, body string) error {
	err := s.client.Write(ctx, database, body)
	rows := strings.Count(body, "\n")
	switch kind, ok := client.KindOf(err); {
	case err == nil:
		s.metrics.rows.Add(float64(rows))
	case !ok || kind == client.Canceled:
	case kind == client.Limited:
		s.limited(err)
	case sift.TooOld(err):
		return nil // and stored the others
	case kind == client.TooLarge && rows > 1:
		at := half(body)
		if err := s.putLines(ctx, database, body[:at]); err != nil {
			return err
		}
		return s.putLines(ctx, database, body[at:])
	}
	return err
}

// half is where two lines or more are cut in two: neither part is empty, whichever of the lines is long.
func half(body string) int {
	if at := len(body)/2 + strings.IndexByte(body[len(body)/2:], '\n') + 1; at < len(body) {
		return at
	}
	return strings.LastIndexByte(body[:len(body)-1], '\n') + 1
}

// Rollups reads windows; see store.Rolled.
func (s *Store) Rollups(ctx context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if q.Level == rollup.Raw {
		return fmt.Errorf("windows of level %s: there are none", q.Level)
	}
	names := []string{q.Measurement}
	if q.Measurement == "" {
		var err error
		if names, err = s.measurements(ctx, s.o.DatabaseOf(q.Level)); err != nil {
			return s.explain(s.o.DatabaseOf(q.Level), err)
		}
	}
	read := 0
	for _, name := range names {
		if err := s.windowsOf(ctx, name, &q, &read, each); err != nil {
			return s.explain(s.o.DatabaseOf(q.Level), err)
		}
	}
	return nil
}

// windowsOf reads those of one measurement.
func (s *Store) windowsOf(ctx context.Context, measurement string, q *store.RollupQuery, read *int, each func(store.RollupSeries) error) error {
	a := answers.Question{Database: s.o.DatabaseOf(q.Level), Measurement: measurement, Tags: q.Tags, From: window.CeilMillis(q.From), To: window.CeilMillis(q.To)}
	if len(q.Fields) > 0 && !a.Choose(lines.WindowColumns(q.Fields)) {
		return nil
	}
	if q.Above != "" {
		a.Above = lines.TotalColumn(q.Above)
	}
	found := answers.NewWindows(&a, q, read, s.inParts(&a), wanted(ctx, each))
	err := s.run(ctx, &a, found.Take)
	if err == nil {
		err = found.Finish()
	}
	s.metrics.skipped.Add(float64(found.Skipped))
	return err
}
