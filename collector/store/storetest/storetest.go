// Package storetest is the suite that every engine behind store.Store must pass: what the rest of the collector
// relies on, and nothing that is one engine's taste. An engine's test calls Run with a Harness that opens it.
package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/storetest/rolledtest"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// Harness opens the stores under test.
type Harness struct {
	// Open opens or creates the store in a folder. An engine without folders takes the path as a name.
	Open func(dir string) (store.Store, error)

	Now        time.Time     // the store's clock, which stands still
	LateWindow time.Duration // how late a row may be; at least 7 d

	// Keep is how long windows are kept, by level; a level that is missing is kept for ever. See rolledtest
	// for what it must hold at least.
	Keep map[rollup.Level]time.Duration

	// NoBackup is for engines whose data lie with a server, which makes its backups by other means: the cases about
	// Backup are skipped, and Stats.Bytes may be 0.
	NoBackup bool
}

// Run runs the suite. Each case gets a harness and folders of its own.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	cases := []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"field types", fieldTypes},
		{"awkward names and texts", awkwardText},
		{"times are cut to milliseconds", milliseconds},
		{"half-open range", halfOpen},
		{"same point twice counts once", samePointTwice},
		{"replay in any order is clean", replayAnyOrder},
		{"other value at the same time is no error", otherValue},
		{"late rows", lateRows},
		{"newest first", newestFirst},
		{"rows in turns with other fields", otherFields},
		{"out of window rows are rejected, others stored", outOfWindow},
		{"rows slightly ahead do no harm", slightlyAhead},
		{"far future rows are rejected and do no harm", farFuture},
		{"field type conflict", typeConflict},
		{"reserved and broken rows are rejected", brokenRows},
		{"windows by hand", windowsByHand},
		{"windows against a model", windowsAgainstModel},
		{"windows refuse bad steps", badSteps},
		{"tag filters", tagFilters},
		{"fields filter", fieldFilter},
		{"empty results", emptyResults},
		{"too many points", tooMany},
		{"error of the caller ends a query", callerError},
		{"canceled", canceled},
		{"rows are not kept", rowsNotKept},
		{"concurrent writers and readers", concurrent},
		{"many series", manySeries},
		{"many texts", manyTexts},
		{"reopen keeps all", reopen},
		{"stats", stats},
		{"backup while writing", backup},
		{"backup refuses a folder with files", backupNotEmpty},
		{"closed", closed},
	}
	for _, c := range rolledtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			h := harness(t)
			if h.NoBackup && strings.HasPrefix(c.Name, "backup") {
				t.Skip("the engine's backups are made by other means")
			}
			b := &rolledtest.Bench{Open: h.Open, Now: h.Now, Keep: h.Keep, T: t, Dir: t.TempDir()}
			b.Start()
			c.Run(t, b)
			if b.S != nil {
				b.Stop()
			}
		})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := harness(t)
			if h.NoBackup && strings.HasPrefix(c.name, "backup") {
				t.Skip("the engine's backups are made by other means")
			}
			b := &bench{Harness: h, t: t, dir: t.TempDir()}
			b.open()
			c.run(t, b)
			if b.s != nil {
				b.close()
			}
		})
	}
}

// bench is what a case works with: a store in a folder.
type bench struct {
	Harness
	t   *testing.T
	dir string
	s   store.Store
}

func (b *bench) open() {
	b.t.Helper()
	s, err := b.Open(b.dir)
	if err != nil {
		b.t.Fatalf("open: %v", err)
	}
	b.s = s
}

func (b *bench) close() {
	b.t.Helper()
	if err := b.s.Close(); err != nil {
		b.t.Fatalf("close: %v", err)
	}
	b.s = nil
}

// at returns the time d before now, in whole milliseconds.
func (b *bench) at(d time.Duration) time.Time { return b.Now.Add(-d).Truncate(time.Millisecond) }

// append stores points, all of which must be taken.
func (b *bench) append(points ...probes.Point) {
	b.t.Helper()
	if err := b.s.Append(b.t.Context(), Rows(b.t, points...)); err != nil {
		b.t.Fatalf("append: %v", err)
	}
}

// rejected stores points and returns the rejected ones.
func (b *bench) rejected(points ...probes.Point) []store.Rejected {
	b.t.Helper()
	err := b.s.Append(b.t.Context(), Rows(b.t, points...))
	var partial *store.PartialError
	if !errors.As(err, &partial) {
		b.t.Fatalf("append: got %v, want a PartialError", err)
	}
	return partial.Rejected
}

// all is a query for everything of a measurement that can be stored.
func (b *bench) all(measurement string) store.Query {
	return store.Query{Measurement: measurement, From: b.Now.Add(-2 * b.LateWindow), To: b.Now.Add(24 * time.Hour)}
}

// sel runs a query and returns its series by "field tag=value ...".
func (b *bench) sel(q store.Query) map[string]store.Series {
	b.t.Helper()
	got := map[string]store.Series{}
	err := b.s.Select(b.t.Context(), q, func(s store.Series) error {
		name := seriesName(s.Field, s.Tags)
		if _, twice := got[name]; twice {
			b.t.Errorf("series %s came twice", name)
		}
		if s.Measurement != q.Measurement {
			b.t.Errorf("series %s of measurement %q, want %q", name, s.Measurement, q.Measurement)
		}
		if !slices.IsSorted(s.Times) || len(slices.Compact(slices.Clone(s.Times))) != len(s.Times) {
			b.t.Errorf("series %s: times don't rise: %v", name, s.Times)
		}
		if (s.Values != nil) == (s.Texts != nil) || len(s.Values)+len(s.Texts) != len(s.Times) {
			b.t.Errorf("series %s: %d times, %d values, %d texts", name, len(s.Times), len(s.Values), len(s.Texts))
		}
		got[name] = s
		return nil
	})
	if err != nil {
		b.t.Fatalf("select: %v", err)
	}
	return got
}

// one runs a query that must find one series.
func (b *bench) one(q store.Query) store.Series {
	b.t.Helper()
	got := b.sel(q)
	if len(got) != 1 {
		b.t.Fatalf("got %d series, want 1: %v", len(got), got)
	}
	for _, s := range got {
		return s
	}
	panic("unreachable")
}

// values is one for the single float field that most cases use.
func (b *bench) values() ([]int64, []float64) {
	b.t.Helper()
	s := b.one(b.all("m"))
	return s.Times, s.Values
}

func seriesName(field string, tags probes.Tags) string {
	var sb strings.Builder
	sb.WriteString(field)
	for _, t := range tags {
		sb.WriteString(" " + t.Key + "=" + t.Value)
	}
	return sb.String()
}

// point makes a point of measurement m with the field v and a tag.
func point(at time.Time, v float64) probes.Point {
	return probes.Point{Measurement: "m", Tags: probes.Tags{{Key: "site", Value: "s1"}}, Fields: []probes.Field{probes.Float("v", v)}, Time: at}
}

// Rows turns points into rows, the way an agent and the parser do.
func Rows(t testing.TB, points ...probes.Point) []wire.Row {
	t.Helper()
	var body []byte
	for i := range points {
		n := len(body)
		if body = wire.Append(body, &points[i]); len(body) == n {
			t.Fatalf("point %d can't be written as a line: %+v", i, points[i])
		}
	}
	return Parse(t, string(body))
}

// Parse turns lines into rows. All must be good.
func Parse(t testing.TB, lines string) []wire.Row {
	t.Helper()
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse([]byte(lines), time.Nanosecond, 0)
	if len(bad) > 0 {
		t.Fatalf("bad line: %+v", bad[0])
	}
	return rows
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !same(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func same(a, b any) bool {
	switch a := a.(type) {
	case []int64:
		return slices.Equal(a, b.([]int64))
	case []float64:
		return slices.Equal(a, b.([]float64))
	case []string:
		return slices.Equal(a, b.([]string))
	case []store.Window:
		return slices.EqualFunc(a, b.([]store.Window), func(x, y store.Window) bool {
			// Sums may be added up in another order.
			near := math.Abs(x.Sum-y.Sum) <= 1e-9*max(math.Abs(x.Sum), math.Abs(y.Sum), 1)
			x.Sum, y.Sum = 0, 0
			return near && x == y
		})
	}
	return a == b
}

func millis(times ...time.Time) []int64 {
	ms := make([]int64, len(times))
	for i, t := range times {
		ms[i] = t.UnixMilli()
	}
	return ms
}

// background is a context for goroutines that must outlive a failing case's own.
func background() context.Context { return context.Background() }
