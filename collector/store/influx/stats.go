package influx

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/answers"
	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
	"communewatch/probes/wire"
)

const (
	// sizeFor is how long what was counted of the database is good for.
	sizeFor = time.Minute

	// oldestFor is how long the age of the oldest row is: all series have to be looked at for it.
	oldestFor = time.Hour

	// sizeWithin bounds how long Stats waits for the first count, and countWithin how long counting may take.
	sizeWithin  = 2 * time.Second
	countWithin = 15 * time.Second
)

// size is how much is in the database, as far as was counted.
type size struct {
	mu       sync.Mutex
	at       time.Time // of the last count; zero before the first
	counting chan struct{}
	series   int
	reached  time.Time // when oldest was asked for last
	oldest   int64 // Unix milliseconds; MaxInt64: none
	taken    int64 // of the oldest row that was stored since opening, or MaxInt64
}

func (z *size) init() { z.oldest, z.taken = math.MaxInt64, math.MaxInt64 }

// grow notes that rows were stored.
func (z *size) grow(rows []wire.Row, rules *lines.Rules) {
	first := int64(math.MaxInt64)
	for i := range rows {
		if t := lines.FloorMillis(rows[i].Time); t >= rules.Oldest && t <= rules.Newest {
			first = min(first, t)
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.taken = min(z.taken, first)
}

// Stats describes the store. Series counts each field of a series, as far as it can be told without reading them: a
// measurement's series times its fields. Both counts may be a minute old. Bytes is 0, because the server does not tell.
func (s *Store) Stats() store.Stats {
	st := store.Stats{Appended: s.appended.Load(), Rejected: s.rejected.Load()}
	z := &s.size
	z.mu.Lock()
	first := z.at.IsZero()
	if z.counting == nil && time.Since(z.at) > sizeFor && s.enter(context.Background()) == nil {
		done := make(chan struct{})
		z.counting = done
		s.work.Go(func() { s.count(); close(done) })
		s.life.RUnlock()
	}
	counting := z.counting
	z.mu.Unlock()
	if first && counting != nil {
		timer := time.NewTimer(sizeWithin)
		defer timer.Stop()
		select {
		case <-counting:
		case <-timer.C:
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	st.Series = z.series
	if oldest := min(z.oldest, z.taken); oldest != math.MaxInt64 {
		st.Oldest = time.UnixMilli(max(oldest, s.o.Now().Add(-s.o.Retention).UnixMilli())).UTC()
	}
	return st
}

// count asks how many series there are and how old the oldest row is.
func (s *Store) count() {
	ctx, cancel := context.WithTimeout(s.base, countWithin)
	defer cancel()
	z := &s.size
	z.mu.Lock()
	old := time.Since(z.reached) > oldestFor
	z.mu.Unlock()
	series, oldest, err := s.measure(ctx, old)
	z.mu.Lock()
	defer z.mu.Unlock()
	z.at, z.counting = time.Now(), nil
	if err == nil {
		z.series = series
	}
	if err == nil && old {
		z.reached, z.oldest = z.at, oldest
	}
}

func (s *Store) measure(ctx context.Context, old bool) (series int, oldest int64, err error) {
	oldest = math.MaxInt64
	names, err := s.measurements(ctx, s.o.Database)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		if !influxql.Quotable(name) {
			continue
		}
		n, err := s.seriesOf(ctx, name)
		if err != nil {
			return 0, 0, err
		}
		series += n
		if old {
			t, err := s.firstOf(ctx, name)
			if err != nil {
				return 0, 0, err
			}
			oldest = min(oldest, t)
		}
	}
	return series, oldest, nil
}

// seriesOf counts the series of a measurement, times its fields. InfluxDB 3 has no statement for it: there the last rows
// of the series of the last days are counted.
func (s *Store) seriesOf(ctx context.Context, measurement string) (int, error) {
	quoted := influxql.Name(lines.Stored(measurement))
	if s.server().Generation == 3 {
		n := 0
		q := fmt.Sprintf("SELECT *::field FROM %s WHERE time >= %s GROUP BY * ORDER BY time DESC LIMIT 1", quoted, influxql.Time(s.o.Now().Add(-shortOf3+maxAhead)))
		err := s.client.Query(ctx, s.o.Database, q, func(c *influxql.Chunk) error {
			for i := 1; i < len(c.Columns); i++ {
				for _, kind := range c.Columns[i].Kinds {
					if kind != influxql.Null {
						n++
					}
				}
			}
			return nil
		})
		return n, err
	}
	fields, err := s.fieldsOf(ctx, measurement)
	if err != nil {
		return 0, err
	}
	rows, err := s.client.Rows(ctx, s.o.Database, "SHOW SERIES EXACT CARDINALITY FROM "+quoted, 1)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	n, _ := rows[0][len(rows[0])-1].(float64)
	return int(n) * len(fields), nil
}

// firstOf returns when the oldest row of a measurement is from that may still be asked for; MaxInt64 if there is none.
func (s *Store) firstOf(ctx context.Context, measurement string) (int64, error) {
	now := s.o.Now()
	q := answers.Question{Measurement: measurement, From: now.Add(-s.o.Retention).UnixMilli(), To: now.Add(maxAhead).UnixMilli()}
	first := int64(math.MaxInt64)
	for from, piece := q.From, s.piece(&q); from < q.To && first == math.MaxInt64; from += piece {
		rows, err := s.client.Rows(ctx, s.o.Database, fmt.Sprintf("SELECT *::field FROM %s WHERE time >= %s AND time < %s ORDER BY time LIMIT 1",
			influxql.Name(lines.Stored(measurement)), influxql.Time(time.UnixMilli(from)), influxql.Time(time.UnixMilli(min(from+piece, q.To)))), 1)
		if err != nil {
			return 0, err
		}
		if len(rows) == 1 && len(rows[0]) > 1 { // behind the name of the series
			if t, ok := rows[0][1].(float64); ok {
				first = int64(t)
			}
		}
	}
	return first, nil
}
