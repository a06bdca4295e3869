package influx

import (
	"context"
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

	// oldestFor is how long the age of the oldest row is: all series have to be looked at for it.
	oldestFor = time.Hour

	// sizeWithin bounds how long Stats waits for the first count, and countWithin how long counting may take.
	sizeWithin  = 2 * time.Second
	countWithin = time.Minute
)

// size is how much is in the database, as far as was counted.
type size struct {
	mu       sync.Mutex
	at       time.Time // of the last count; zero before the first
	counting chan struct{}
	series   int
	reached  time.Time // when oldest was told last; zero before the first time
	oldest   int64     // Unix milliseconds; MaxInt64: none
	taken    int64     // of the oldest row that was stored since opening, or MaxInt64
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
// measurement's series times its fields. It may be a minute old. Unknown says that no count has succeeded since opening.
// Bytes is 0, because the server does not tell.
func (s *Store) Stats() store.Stats {
	st := store.Stats{Appended: s.appended.Load(), Rejected: s.rejected.Load()}
	z := &s.size
	var first bool
	var counting chan struct{}
	if s.enter(context.Background()) == nil { // before mu, which calls that hold life take
		z.mu.Lock()
		if z.counting == nil && time.Since(z.at) > sizeFor {
			done := make(chan struct{})
			z.counting = done
			s.work.Go(func() { s.count(); close(done) })
		}
		first, counting = z.at.IsZero(), z.counting
		z.mu.Unlock()
		s.life.RUnlock()
	}
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
	st.Series, st.Unknown = z.series, z.reached.IsZero()
	if st.Unknown {
		return st // rows that were stored since opening say nothing of those before
	}
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
	catalog := s.catalog()
	now := s.o.Now()
	names, err := catalog.Measurements(ctx, s.o.Database)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		if !influxql.Quotable(name) {
			continue
		}
		n, err := catalog.Series(ctx, s.o.Database, name, now)
		if err != nil {
			return 0, 0, err
		}
		series += n
		if old {
			t, err := catalog.First(ctx, s.o.Database, name, now.Add(-s.o.Retention).UnixMilli(), now.Add(maxAhead).UnixMilli())
			if err != nil {
				return 0, 0, err
			}
			oldest = min(oldest, t)
		}
	}
	return series, oldest, nil
}
