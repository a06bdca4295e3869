package influx

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
	"communewatch/probes/wire"
)

const (
	// sizeFor is how long what was counted of the database is good for.
	sizeFor = time.Minute

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
	series, oldest, err := s.measure(ctx)
	z := &s.size
	z.mu.Lock()
	defer z.mu.Unlock()
	z.at, z.counting = time.Now(), nil
	if err == nil {
		z.series, z.oldest, z.taken = series, oldest, math.MaxInt64
	}
}

func (s *Store) measure(ctx context.Context) (series int, oldest int64, err error) {
	oldest = math.MaxInt64
	names, err := s.measurements(ctx, s.o.Database)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		if !influxql.Quotable(name) {
			continue
		}
		quoted := influxql.Name(lines.Stored(name))
		fields, err := s.fieldsOf(ctx, name)
		if err != nil {
			return 0, 0, err
		}
		// 3.x has no such statement, and then the number of its series is not known.
		rows, err := s.client.Rows(ctx, s.o.Database, "SHOW SERIES EXACT CARDINALITY FROM "+quoted, 1)
		if err == nil && len(rows) == 1 {
			n, _ := rows[0][len(rows[0])-1].(float64)
			series += int(n) * len(fields)
		}
		since := s.o.Now().Add(-s.o.Retention)
		rows, err = s.client.Rows(ctx, s.o.Database, fmt.Sprintf("SELECT *::field FROM %s WHERE time >= %s ORDER BY time LIMIT 1", quoted, influxql.Time(since)), 1)
		if err == nil && len(rows) == 1 && len(rows[0]) > 1 {
			if t, ok := rows[0][1].(float64); ok {
				oldest = min(oldest, int64(t))
			}
		}
		if ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
	}
	return series, oldest, nil
}
