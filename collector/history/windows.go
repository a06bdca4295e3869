package history

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
)

// hour works an hour of a site out and stores what changed.
func (k *Keeper) hour(ctx context.Context, site string, start int64, names []string) error {
	began := time.Now()
	from := time.UnixMilli(start).UTC()
	to := from.Add(time.Hour)
	fine := rollup.NewFold(rollup.FiveMinutes, k.o.Zone)
	tags := map[string]string{"site": site}
	found := false
	for _, name := range names {
		err := k.o.Store.Select(ctx, store.Query{Measurement: name, Tags: tags, From: from, To: to}, func(s store.Series) error {
			found = found || len(s.Times) > 0
			fine.Add(s.Measurement, s.Field, s.Tags, s.Times, s.Values, s.Texts)
			return nil
		})
		if err != nil {
			return err
		}
	}
	rows, shrunk, err := k.put(ctx, site, rollup.FiveMinutes, from, to, fine.Rows(), true)
	if err != nil {
		return err
	}
	coarse := rollup.NewFold(rollup.Hour, k.o.Zone)
	for i := range rows {
		coarse.Merge(&rows[i])
	}
	_, n, err := k.put(ctx, site, rollup.Hour, from, to, coarse.Rows(), true)
	if err != nil {
		return err
	}
	shrunk += n
	k.tellShrunk(site, from, shrunk)
	// States that are judged by half of the rows would be wrong where those that are stored were right.
	if k.o.Accountant != nil && found && shrunk == 0 {
		rows, err := k.o.Accountant.Hour(ctx, site, from)
		if err != nil {
			return err
		}
		if _, _, err := k.put(ctx, site, rollup.Hour, from, to, rows, false); err != nil {
			return err
		}
	}
	k.metrics.hours.Inc()
	rest(ctx, min(time.Since(began)/2, restMost))
	return nil
}

// rest leaves the processor and the database to others.
func rest(ctx context.Context, d time.Duration) {
	if d < time.Millisecond {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// coarser works a day out from hours, or a month from days.
func (k *Keeper) coarser(ctx context.Context, site string, level rollup.Level, from time.Time) error {
	to := level.Next(from, k.o.Zone)
	fold := rollup.NewFold(level, k.o.Zone)
	err := k.o.Store.Rollups(ctx, store.RollupQuery{Level: level - 1, Tags: map[string]string{"site": site}, From: from, To: to}, func(s store.RollupSeries) error {
		for i := range s.Rows {
			fold.Merge(&s.Rows[i])
		}
		return nil
	})
	if err != nil {
		return err
	}
	folded, accounts := []rollup.Row(nil), []rollup.Row(nil)
	for _, r := range fold.Rows() {
		if k.contract[r.Measurement] {
			folded = append(folded, r)
		} else {
			accounts = append(accounts, r)
		}
	}
	_, shrunk, err := k.put(ctx, site, level, from, to, folded, true)
	if err != nil {
		return err
	}
	k.tellShrunk(site, from, shrunk)
	_, _, err = k.put(ctx, site, level, from, to, accounts, false)
	return err
}

type rowID struct {
	series string
	start  int64
}

func idOf(r *rollup.Row) rowID { return rowID{rollup.SeriesKey(r.Measurement, r.Tags), r.Start} }

// put stores those of a site's windows in [from, to) that are not stored like that already, and returns the windows that
// are in force from then on. Of folded ones those that rest on fewer rows than what is stored are left out, and counted
// with those that are stored and were not found again. Accounts are not counts of rows: an hour that turns out to have
// been up has fewer seconds down.
func (k *Keeper) put(ctx context.Context, site string, level rollup.Level, from, to time.Time, rows []rollup.Row, folded bool) (force []rollup.Row, shrunk int, err error) {
	stored := map[rowID]rollup.Row{}
	q := store.RollupQuery{Level: level, Tags: map[string]string{"site": site}, From: from, To: to}
	err = k.o.Store.Rollups(ctx, q, func(s store.RollupSeries) error {
		if k.contract[s.Measurement] == folded {
			for _, r := range s.Rows {
				stored[idOf(&r)] = r
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	changed := make([]rollup.Row, 0, len(rows))
	for i := range rows {
		id := idOf(&rows[i])
		old, ok := stored[id]
		delete(stored, id)
		switch {
		case ok && folded && rows[i].Rows() < old.Rows():
			shrunk++
			rows[i] = old
		case !ok || !equal(&old, &rows[i]):
			changed = append(changed, rows[i])
		}
	}
	if folded && len(stored) > 0 {
		shrunk += len(stored)
		rows = slices.AppendSeq(rows, maps.Values(stored))
		// Sums of numbers depend on their order, and windows must not.
		slices.SortStableFunc(rows, func(a, b rollup.Row) int { return cmp.Compare(a.Start, b.Start) })
	}
	if len(changed) == 0 {
		return rows, shrunk, nil
	}
	return rows, shrunk, k.o.Store.PutRollups(ctx, level, changed)
}

func (k *Keeper) tellShrunk(site string, from time.Time, n int) {
	if n == 0 {
		return
	}
	k.metrics.shrunk.Add(float64(n))
	if !k.shrunk[site] {
		k.shrunk[site] = true
		k.log.Warn("rows that rollups rest on are gone from the database; the rollups are kept. Told once for each site",
			"site", site, "from", from, "windows", n)
	}
}

// equal reports whether two windows of a series are the same to the last bit.
func equal(a, b *rollup.Row) bool {
	return slices.EqualFunc(a.Fields, b.Fields, func(a, b rollup.Field) bool {
		x, y := a.Value, b.Value
		if a.Key != b.Key || x.Total != y.Total || x.Count != y.Count || x.Sum != y.Sum || x.Min != y.Min || x.Max != y.Max {
			return false
		}
		if x.Sketch == nil || y.Sketch == nil {
			return x.Sketch == y.Sketch
		}
		return x.Sketch.Text() == y.Sketch.Text()
	})
}
