package rollups_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/registry"
	"communewatch/collector/registry/rollups"
	"communewatch/collector/rollup/due"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, file string) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), file, registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func hours(t *testing.T, m *rollups.Marks) []due.Hour {
	t.Helper()
	list, err := m.Due(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What was marked and how far the Keeper was is there after a restart, for each store by itself.
func TestMarksOutliveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, file)
	ctx := t.Context()
	a, b := r.Rollups().Of("embedded"), r.Rollups().Of("influx http://127.0.0.1:8086 communewatch")
	at := time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)
	if f, err := a.Frontier(ctx); err != nil || !f.IsZero() {
		t.Errorf("%v %v", f, err)
	}
	late, early := due.Hour{Site: "s1", Start: at.UnixMilli(), Generation: 3}, due.Hour{Site: "s2", Start: at.Add(-time.Hour).UnixMilli(), Generation: 2}
	if err := errors.Join(a.SetFrontier(ctx, at), a.Mark(ctx, []due.Hour{late, early}), a.AddSites(ctx, "s1", "s2"), a.AddSites(ctx, "s2", "s3"), r.Close()); err != nil {
		t.Fatal(err)
	}
	r = open(t, file)
	a, b = r.Rollups().Of("embedded"), r.Rollups().Of("influx http://127.0.0.1:8086 communewatch")
	if f, err := a.Frontier(ctx); err != nil || !f.Equal(at) {
		t.Errorf("%v %v", f, err)
	}
	if got := hours(t, a); !slices.Equal(got, []due.Hour{early, late}) {
		t.Errorf("%v", got)
	}
	if got, err := a.Sites(ctx); err != nil || !slices.Equal(got, []string{"s1", "s2", "s3"}) {
		t.Errorf("%v %v", got, err)
	}
	f, err := b.Frontier(ctx)
	sites, serr := b.Sites(ctx)
	if err := errors.Join(err, serr); err != nil || !f.IsZero() || len(sites) > 0 || len(hours(t, b)) > 0 {
		t.Errorf("another store has %v, %v, %v: %v", f, sites, hours(t, b), err)
	}
	if err := a.SetFrontier(ctx, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if f, err := a.Frontier(ctx); err != nil || !f.IsZero() {
		t.Errorf("taken back, it is %v %v", f, err)
	}
}

// A mark that got rows while it was worked on stays.
func TestOnlyTheSameGenerationIsDone(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	ctx := t.Context()
	m := r.Rollups().Of("embedded")
	one := func(g int64) []due.Hour { return []due.Hour{{Site: "s1", Start: 3_600_000, Generation: g}} }
	for _, g := range []int64{4, 7, 5} { // commits may come in another order than their numbers
		if err := m.Mark(ctx, one(g)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Unmark(ctx, one(5)); err != nil {
		t.Fatal(err)
	}
	if got := hours(t, m); !slices.Equal(got, one(7)) {
		t.Fatalf("%v", got)
	}
	if err := m.Unmark(ctx, one(7)); err != nil {
		t.Fatal(err)
	}
	if got := hours(t, m); len(got) > 0 {
		t.Fatalf("%v", got)
	}
}

func TestManyMarks(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	ctx := t.Context()
	m := r.Rollups().Of("embedded")
	many := make([]due.Hour, 4500)
	for i := range many {
		many[i] = due.Hour{Site: "s1", Start: int64(i) * 3_600_000, Generation: 1}
	}
	if err := m.Mark(ctx, many); err != nil {
		t.Fatal(err)
	}
	if got := hours(t, m); !slices.Equal(got, many) {
		t.Fatalf("%d", len(got))
	}
	if err := m.Unmark(ctx, many); err != nil || len(hours(t, m)) > 0 {
		t.Fatal(err)
	}
	r.Close()
	if err := m.Mark(ctx, many[:1]); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := m.AddSites(ctx, "s1"); !errors.Is(err, registry.ErrClosed) {
		t.Errorf("%v", err)
	}
}
