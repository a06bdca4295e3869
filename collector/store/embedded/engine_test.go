package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/store"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// A retention that is shortened while the store runs holds from then on, and spares what is younger.
func TestRetentionIsShortenedWhileRunning(t *testing.T) {
	var now atomic.Int64
	now.Store(testNow.UnixMilli())
	o := testOptions(t.TempDir())
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	o.Retention = 30 * 24 * time.Hour
	s := mustOpen(t, o)
	points := 0
	live := func(hours int) { // the head fills, so the engine compacts, late rows included
		for range hours * 12 {
			at := testNow.Add(time.Duration(points) * 5 * time.Minute)
			now.Store(at.UnixMilli())
			mustAppend(t, s, number(0, at, 1))
			points++
		}
	}
	await := func(what string, true func() bool) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); !true(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("in vain waited for " + what)
			}
		}
	}
	live(2)
	for day := range 6 {
		mustAppend(t, s, number(1, testNow.Add(-time.Duration(day+1)*24*time.Hour), 2))
	}
	live(4)
	await("late rows in blocks", func() bool { return len(s.db.Blocks()) >= 6 })
	if n := count(t, s); n != points+6 {
		t.Fatalf("%d rows, want %d", n, points+6)
	}
	was := now.Swap(testNow.Add(-30 * 24 * time.Hour).UnixMilli())
	s.SetRetention(60 * time.Hour)
	blocks := s.db.Blocks()
	for _, b := range blocks {
		if _, drop := s.expired(blocks)[b.Meta().ULID]; drop && !b.Meta().Compaction.Deletable {
			t.Error("rows of a time to come would have a block dropped")
		}
	}
	now.Store(was)
	if got := s.Stats().Oldest; o.Now().Sub(got) > 61*time.Hour {
		t.Errorf("rows from %v on", got)
	}
	live(4)
	await("rows to be dropped", func() bool { return count(t, s) < points+6 })
	if n := count(t, s); n < points+2 || n > points+3 {
		t.Errorf("%d rows besides live ones, want those of two or three days", n-points)
	}
}

// TestLateBacklogIsCompacted sends days of backlog beside live rows and checks that it ends up in blocks, leaving
// neither its log nor its chunks behind.
func TestLateBacklogIsCompacted(t *testing.T) {
	var now atomic.Int64
	o := testOptions(t.TempDir())
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	s := mustOpen(t, o)
	points := 0
	live := func(hours int) {
		for range hours * 12 {
			at := testNow.Add(time.Duration(points) * 5 * time.Minute)
			now.Store(at.UnixMilli())
			mustAppend(t, s, number(0, at, 1))
			points++
		}
	}
	live(2)
	backlog := 0
	for at := testNow.Add(-6 * 24 * time.Hour); at.Before(testNow); at = at.Add(20 * time.Minute) {
		mustAppend(t, s, number(1, at, 2))
		backlog++
	}
	live(4) // the head fills, so the engine compacts, late rows included
	inBlocks := func() (n uint64) {
		for _, b := range s.db.Blocks() {
			n += b.Meta().Stats.NumSamples
		}
		return n
	}
	for deadline := time.Now().Add(60 * time.Second); inBlocks() < uint64(backlog); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d late rows are in blocks", inBlocks(), backlog)
		}
	}
	if n := count(t, s); n != points+backlog {
		t.Errorf("%d points, want %d", n, points+backlog)
	}
	if n := len(s.db.Blocks()); n == 0 || n > 6*24/2+5 {
		t.Errorf("%d blocks", n)
	}
}

// TestForgottenSeriesComeBack lets the engine drop a series from memory while the cache still holds its reference.
func TestForgottenSeriesComeBack(t *testing.T) {
	var now atomic.Int64
	now.Store(testNow.UnixMilli())
	o := testOptions(t.TempDir())
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	s := mustOpen(t, o)
	at := testNow
	mustAppend(t, s, number(1, at, 1))
	for range 60 { // hours of another series
		at = at.Add(10 * time.Minute)
		now.Store(at.UnixMilli())
		mustAppend(t, s, number(2, at, 2))
	}
	if err := s.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.db.Head().NumSeries(); n != 1 {
		t.Fatalf("%d series in memory, want 1: the case is not what it should be", n)
	}
	mustAppend(t, s, number(1, at, 3), number(1, at.Add(time.Second), 4))
	mustAppend(t, s, number(1, at.Add(2*time.Second), 5))
	if n := count(t, s); n != 64 {
		t.Errorf("%d points, want 64", n)
	}
}

func TestTooManySeries(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxSeries = 10
	s := mustOpen(t, o)
	for i := range 10 {
		mustAppend(t, s, number(i, testNow, 1))
	}
	err := s.Append(t.Context(), storetest.Rows(t, number(3, testNow.Add(time.Second), 2), number(99, testNow, 2), number(4, testNow.Add(time.Second), 2)))
	var partial *store.PartialError
	if !errors.As(err, &partial) || len(partial.Rejected) != 1 || partial.Rejected[0].Index != 1 || !strings.Contains(partial.Rejected[0].Reason, "too many series") {
		t.Errorf("got %v, want row 1 rejected for too many series", err)
	}
	if n := count(t, s); n != 12 {
		t.Errorf("%d points, want 12", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	s.cache = newCache(20)
	for round := range 3 {
		for i := range 100 {
			mustAppend(t, s, number(i, testNow.Add(time.Duration(round)*time.Second), 1), number(0, testNow.Add(time.Duration(round*100+i)*time.Second), 1))
		}
		if n := len(s.cache.young) + len(s.cache.old); n > 20 {
			t.Fatalf("%d keys in the cache, want at most 20", n)
		}
	}
	if s.cache.get([]byte("m,k=0")) == nil {
		t.Error("the key that every batch uses was forgotten")
	}
}

// TestTagOrderDoesNotMatter: one series may come under several keys.
func TestTagOrderDoesNotMatter(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	for range 2 {
		rows := storetest.Parse(t, fmt.Sprintf("m,a=1,b=2 v=1,w=2 %d\nm,b=2,a=1 w=4,v=3 %d\n", testNow.UnixNano(), testNow.Add(time.Second).UnixNano()))
		if err := s.Append(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Stats().Series; n != 2 {
		t.Errorf("%d series, want 2", n)
	}
	if n := count(t, s); n != 4 {
		t.Errorf("%d points, want 4", n)
	}
}

// TestAppendDoesNotAllocatePerRow guards the fast path: a batch of known series costs a handful of allocations in all.
func TestAppendDoesNotAllocatePerRow(t *testing.T) {
	s := mustOpen(t, testOptions(t.TempDir()))
	l := newLoad(0, 1000, testNow)
	l.interval = time.Second
	add := func() {
		if err := s.Append(context.Background(), l.batch(1000)); err != nil {
			t.Fatal(err)
		}
	}
	add()
	if n := testing.AllocsPerRun(50, add); n > 200 { // chunks grow now and then
		t.Errorf("%v allocations for a batch of 1000 rows", n)
	}
}

// TestWriteErrorHeals lets the log of the engine fail and checks that nothing is taken until it works again, and that
// what was taken before and after is there.
func TestWriteErrorHeals(t *testing.T) {
	var now atomic.Int64
	now.Store(testNow.UnixMilli())
	o := testOptions(t.TempDir())
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	s := mustOpen(t, o)
	mustAppend(t, s, number(1, testNow, 1))
	failed := errors.New("no space left on device")
	s.broken.Store(&failed)
	s.reopenAt = testNow.Add(time.Second)
	row := []wire.Row{{Key: []byte("m,k=1"), Time: testNow.Add(time.Second).UnixNano(), Fields: []wire.Field{{Key: []byte("v"), Type: probes.TypeFloat, Num: 2}}}}
	if err := s.Append(t.Context(), row); !errors.Is(err, failed) {
		t.Errorf("append to a broken store: %v", err)
	}
	if err := s.Sync(t.Context()); !errors.Is(err, failed) {
		t.Errorf("sync of a broken store: %v", err)
	}
	if n := count(t, s); n != 1 {
		t.Errorf("%d points can be read, want 1", n)
	}
	now.Store(testNow.Add(2 * time.Second).UnixMilli())
	if err := s.Append(t.Context(), row); err != nil {
		t.Errorf("append after the cause is gone: %v", err)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Errorf("sync after the cause is gone: %v", err)
	}
	if n := count(t, s); n != 2 {
		t.Errorf("%d points, want 2", n)
	}
}

// TestBulkLoadIsMapped: hours of data that arrive in a moment must not stay in memory as one chain of chunks, which
// is read in the square of its length.
func TestBulkLoadIsMapped(t *testing.T) {
	var now atomic.Int64
	registry := prometheus.NewRegistry()
	o := testOptions(t.TempDir())
	o.Metrics = registry
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	s := mustOpen(t, o)
	s.db.DisableCompactions()
	const hours = 48
	for i := range hours * 12 {
		at := testNow.Add(time.Duration(i) * 5 * time.Minute)
		now.Store(at.UnixMilli())
		mustAppend(t, s, number(1, at, float64(i)))
	}
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "prometheus_tsdb_mmap_chunks_total" {
			if n := f.GetMetric()[0].GetCounter().GetValue(); n < hours/2-2 {
				t.Errorf("%v chunks left memory, want one for every two hours of %d", n, hours)
			}
			return
		}
	}
	t.Fatal("the engine does not count the chunks that leave memory")
}
