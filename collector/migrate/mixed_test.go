package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/migrate"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// row is a row of a site, so long before now.
func row(site string, ago time.Duration, extra ...probes.Field) probes.Point {
	return probes.Point{Measurement: "icmp", Tags: probes.Tags{{Key: "site", Value: site}}, Time: now.Add(-ago), Fields: append([]probes.Field{probes.Int("sent", 1)}, extra...)}
}

func put(t *testing.T, s store.Store, points ...probes.Point) {
	t.Helper()
	if err := s.Append(t.Context(), storetest.Rows(t, points...)); err != nil {
		t.Fatal(err)
	}
}

// windows puts a window of each site that rests on so many rows, of the same hour.
func windows(t *testing.T, s store.Store, rows map[string]int64) {
	t.Helper()
	var all []rollup.Row
	for site, n := range rows {
		all = append(all, rollup.Row{Measurement: "icmp", Tags: probes.Tags{{Key: "site", Value: site}}, Start: now.Add(-5 * time.Hour).Truncate(time.Hour).UnixMilli(),
			Fields: []rollup.Field{{Key: "sent", Value: rollup.Aggregate{Count: n, Sum: float64(n), Min: 1, Max: 1}}}})
	}
	if err := s.PutRollups(t.Context(), rollup.Hour, all); err != nil {
		t.Fatal(err)
	}
}

// resting is on how many rows each site's window rests.
func resting(t *testing.T, s store.Store) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	err := s.Rollups(t.Context(), store.RollupQuery{Level: rollup.Hour, From: now.Add(-24 * time.Hour), To: now}, func(s store.RollupSeries) error {
		for i := range s.Rows {
			found[s.Tags.Get("site")] = s.Rows[i].Rows()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// picky is a store that takes of rows only those that take says, and says so or does not.
type picky struct {
	store.Store
	take   func(wire.Row) bool
	silent bool
}

func (p *picky) Append(ctx context.Context, rows []wire.Row) error {
	var partial store.PartialError
	var taken []wire.Row
	for i, r := range rows {
		if p.take(r) {
			taken = append(taken, r)
		} else {
			partial.Rejected = append(partial.Rejected, store.Rejected{Index: i, Reason: "out of taste"})
		}
	}
	if err := p.Store.Append(ctx, taken); err != nil || p.silent || len(partial.Rejected) == 0 {
		return err
	}
	return &partial
}

func TestRowsOfOthersHideNothing(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	for i := range 50 {
		ago := time.Hour + time.Duration(i)*time.Minute
		put(t, from.Store, row("s1", ago, probes.Int("lost", 0)))
		put(t, to.Store, row("s2", ago), row("s3", ago), row("s1", ago)) // s1 without a field
	}
	whole := to.Store
	to.Store = &picky{Store: whole, silent: true, take: func(r wire.Row) bool { return r.Time%time.Hour.Nanoseconds() < (40 * time.Minute).Nanoseconds() }}
	o := options(t, from, to)
	o.IntoExisting = true
	result, err := migrate.Run(t.Context(), o)
	if !errors.Is(err, migrate.ErrDiffer) || len(result.Differences) != 1 || result.Differences[0].String() != "rows of icmp, 2026-11-26: the target lacks 19 of 50" {
		t.Fatalf("%v, %v", err, result.Differences)
	}
	if verified, err := migrate.Verify(t.Context(), o); !errors.Is(err, migrate.ErrDiffer) || len(verified.Differences) != 1 {
		t.Errorf("verify: %v, %v", err, verified.Differences)
	}
	o.To.Store = whole
	run(t, o)
	if n := len(content(t, whole)); n != 150 {
		t.Errorf("%d rows, want 150", n)
	}
	if _, err := migrate.Verify(t.Context(), o); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func TestWindowsOfMoreRowsStay(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	windows(t, from.Store, map[string]int64{"s1": 10, "s2": 10, "s3": 10})
	windows(t, to.Store, map[string]int64{"s1": 60, "s2": 5, "s4": 7})
	o := options(t, from, to)
	o.IntoExisting = true
	if result := run(t, o); result.Kept != 1 {
		t.Errorf("%+v", result)
	}
	got := resting(t, to.Store)
	for site, n := range map[string]int64{"s1": 60, "s2": 10, "s3": 10, "s4": 7} {
		if got[site] != n {
			t.Errorf("the window of %s rests on %d rows, want %d", site, got[site], n)
		}
	}
}

// TestATargetThatWasUsed is migrated into again, after a time in which the collector wrote there.
func TestATargetThatWasUsed(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	windows(t, from.Store, map[string]int64{"s1": 10})
	o := options(t, from, to)
	run(t, o)
	windows(t, to.Store, map[string]int64{"s1": 60})
	if result, err := migrate.Run(t.Context(), o); !errors.Is(err, migrate.ErrDiffer) || len(result.Differences) != 1 {
		t.Errorf("%v, %+v", err, result)
	}
	if got := resting(t, to.Store); got["s1"] != 60 {
		t.Errorf("the window rests on %v rows, want 60", got)
	}
}

func TestNothingIsFinishedBeforeDone(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	put(t, from.Store, row("s1", time.Hour))
	o := options(t, from, to)
	full := errors.New("the disk is full")
	var calls []bool // whether the target was called mixed
	o.Done = func(_ context.Context, mixed bool) error { calls = append(calls, mixed); return full }
	if _, err := migrate.Run(t.Context(), o); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	if state, err := migrate.ReadState(o.File); err != nil || state.Finished {
		t.Errorf("finished, although what belongs to it failed: %+v, %v", state, err)
	}
	full = nil
	run(t, o)
	if state, err := migrate.ReadState(o.File); err != nil || !state.Finished || !slices.Equal(calls, []bool{false, false}) {
		t.Errorf("%+v, %v, calls %v", state, err, calls)
	}
}

// TestRefusedRowsAreCountedOnce, however often they are given to the target: by a run that is cut off behind them, by the
// next, and when what differs is copied again.
func TestRefusedRowsAreCountedOnce(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	behind := row("s1", 2*time.Hour)
	behind.Measurement = "tcp"
	put(t, from.Store, row("bad", 10*time.Hour), row("bad", 2*time.Hour), row("s1", 2*time.Hour), behind)
	to.Store = &picky{Store: to.Store, take: func(r wire.Row) bool { return !strings.Contains(string(r.Key), "bad") }}
	o := options(t, from, to)
	o.To.Store = &cutOff{to.Store}
	if _, err := migrate.Run(t.Context(), o); !errors.Is(err, errCut) {
		t.Fatalf("got %v", err)
	}
	o.To.Store = to.Store
	result, err := migrate.Run(t.Context(), o)
	if !errors.Is(err, migrate.ErrDiffer) || result.Refused != 2 || !slices.Equal(result.Reasons, []string{"icmp: out of taste"}) {
		t.Errorf("%v, %d refused for %q, want 2", err, result.Refused, result.Reasons)
	}
}

var errCut = errors.New("cut off")

// cutOff is a store that goes away when rows of tcp come.
type cutOff struct{ store.Store }

func (c *cutOff) Append(ctx context.Context, rows []wire.Row) error {
	if strings.HasPrefix(string(rows[0].Key), "tcp") {
		return errCut
	}
	return c.Store.Append(ctx, rows)
}

func TestWhatWasLeftBehindIsToldOfEveryRun(t *testing.T) {
	from, to := openEmbedded(t, t.TempDir()), openEmbedded(t, t.TempDir())
	put(t, from.Store, row("s1", 100*time.Hour), row("s1", time.Hour))
	to.Keep = map[rollup.Level]time.Duration{rollup.Raw: 48 * time.Hour}
	o := options(t, from, to)
	o.DropOld = true
	for range 2 {
		if result := run(t, o); result.Old != 1 {
			t.Errorf("%+v, want 1 too old", result)
		}
	}
}
