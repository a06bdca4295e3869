package history

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
)

// Whatever is asked, segments touch, cover what was asked and nothing else, are made of whole windows that there are, and
// do not reach over the edge of a step that they don't span.
func TestCover(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	steps := []time.Duration{5 * time.Minute, 7 * time.Minute, time.Hour, 90 * time.Minute, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 100 * 24 * time.Hour}
	for range 400 {
		now := midnight.Add(time.Duration(random.Int64N(int64(400 * 24 * time.Hour))))
		k := &kept{zone: ict, done: now.Add(-time.Duration(random.Int64N(int64(5 * time.Hour)))).Truncate(time.Hour), from: map[rollup.Level]time.Time{
			rollup.FiveMinutes: now.Add(-100 * 24 * time.Hour), rollup.Hour: now.Add(-300 * 24 * time.Hour)}}
		from := now.Add(-time.Duration(random.Int64N(int64(400 * 24 * time.Hour))))
		if random.IntN(2) == 0 {
			from = rollup.Day.Start(from, ict)
		}
		step := steps[random.IntN(len(steps))]
		to := from.Add(step * time.Duration(1+random.IntN(40)))
		at := from
		segments := cover(from, to, step, k)
		for i, s := range segments {
			if !s.from.Equal(at) || !s.to.After(s.from) || i > 0 && s.level == segments[i-1].level {
				t.Fatalf("segment %d is %+v after %v", i, s, at)
			}
			at = s.to
			if s.level == rollup.Raw {
				continue
			}
			for w := s.from; w.Before(s.to); w = s.level.Next(w, ict) {
				end := s.level.Next(w, ict)
				if !s.level.Start(w, ict).Equal(w) || end.After(s.to) {
					t.Fatalf("%+v is not made of whole windows", s)
				}
				if end.After(k.done) || w.Before(k.from[s.level]) {
					t.Fatalf("%+v has windows that are not there", s)
				}
				if w.Sub(from)/step != (end.Sub(from)-1)/step {
					t.Fatalf("a window of %v at %v lies in two steps of %v from %v", s.level, w, step, from)
				}
			}
		}
		if !at.Equal(to) {
			t.Fatalf("ends at %v, not %v", at, to)
		}
	}
}

// A year by the week is read from days, not from a million rows.
func TestCoverIsCoarse(t *testing.T) {
	now := midnight.AddDate(1, 0, 0).Add(10*time.Hour + 20*time.Minute)
	k := &kept{zone: ict, done: now.Truncate(time.Hour), from: map[rollup.Level]time.Time{}}
	got := cover(midnight, now, 7*24*time.Hour, k)
	want := []segment{{rollup.Day, midnight, midnight.AddDate(1, 0, 0)}, {rollup.Hour, midnight.AddDate(1, 0, 0), k.done}, {rollup.Raw, k.done, now}}
	if !slices.EqualFunc(got, want, func(a, b segment) bool { return a.level == b.level && a.from.Equal(b.from) && a.to.Equal(b.to) }) {
		t.Errorf("%v", got)
	}
	whole := cover(midnight, midnight.AddDate(1, 0, 0), 366*24*time.Hour, k)
	if len(whole) != 1 || whole[0].level != rollup.Month {
		t.Errorf("%v", whole)
	}
}

// Figures from windows are those from rows: counts, sums, smallest and largest, and percentiles to within 1 %.
func TestWindowsAnswerLikeRows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	m, c := newMemory(), &clock{now: midnight}
	end := midnight.AddDate(0, 0, 40).Add(7*time.Hour + 13*time.Minute)
	for at := midnight; at.Before(end); at = at.Add(time.Duration(1+random.IntN(1200)) * time.Second) {
		m.run("s1", at, math.Exp(random.NormFloat64()-4))
	}
	c.set(end)
	k := keeperOf(m, c)
	settled(t, k)
	r := NewReader(ReaderOptions{Store: m, Progress: k.Progress, Zone: ict, Now: c.Now})
	levels := map[rollup.Level]bool{}
	for _, ask := range []struct {
		from, to time.Time
		step     time.Duration
	}{
		{midnight, end, 24 * time.Hour}, {midnight, end, 30 * 24 * time.Hour}, {midnight, end, 100 * 24 * time.Hour}, {midnight, end, time.Hour},
		{midnight.Add(3*time.Hour + 2*time.Minute), end, 6 * time.Hour}, {midnight.Add(time.Hour), end.Add(-3 * time.Hour), 5 * time.Minute},
		{midnight, end, 7 * time.Minute}, {midnight, end, time.Minute}, {midnight, midnight.Add(time.Hour), time.Minute},
	} {
		q := store.Query{Measurement: "icmp", Tags: map[string]string{"site": "s1"}, From: ask.from, To: ask.to}
		want := map[string][]store.Window{}
		if err := m.Windows(t.Context(), q, ask.step, func(s store.WindowSeries) error { want[s.Field] = s.Windows; return nil }); err != nil {
			t.Fatal(err)
		}
		n := 0
		level, err := r.Resolve(t.Context(), q, ask.step, func(s store.WindowSeries) error {
			n++
			if len(s.Windows) != len(want[s.Field]) {
				t.Fatalf("%v: %d windows of %s, want %d", ask, len(s.Windows), s.Field, len(want[s.Field]))
			}
			for i, got := range s.Windows {
				w := want[s.Field][i]
				if got.Start != w.Start || got.Count != w.Count || got.Min != w.Min || got.Max != w.Max || math.Abs(got.Sum-w.Sum) > 1e-9*math.Abs(w.Sum) {
					t.Fatalf("%v: %s: %+v, want %+v", ask, s.Field, got, w)
				}
				switch {
				case s.Field == "sent" && !math.IsNaN(got.P95) && got.P95 != w.P95:
					t.Fatalf("%v: a percentile out of nothing: %+v", ask, got)
				case s.Field != "sent" && !(math.Abs(got.P95-w.P95) <= rollup.Accuracy*w.P95):
					t.Fatalf("%v: p95 %v, want %v", ask, got.P95, w.P95)
				}
			}
			return nil
		})
		if err != nil || n != len(want) || n != 2 {
			t.Fatalf("%v: %d series, %v", ask, n, err)
		}
		levels[level] = true
	}
	for _, l := range []rollup.Level{rollup.Raw, rollup.FiveMinutes, rollup.Hour, rollup.Day, rollup.Month} {
		if !levels[l] {
			t.Errorf("no question was answered from %v", l)
		}
	}
}

// A question that reads too much is refused from windows as it is from rows.
func TestTooMany(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight}
	for at := midnight; at.Before(midnight.AddDate(0, 0, 5)); at = at.Add(10 * time.Minute) {
		m.run("s1", at, 0.01)
	}
	c.set(midnight.AddDate(0, 0, 5).Add(time.Minute))
	k := keeperOf(m, c)
	settled(t, k)
	r := NewReader(ReaderOptions{Store: m, Progress: k.Progress, Zone: ict, Now: c.Now})
	q := store.Query{Measurement: "icmp", From: midnight, To: c.Now(), MaxPoints: 50}
	if err := r.Windows(t.Context(), q, time.Hour, func(store.WindowSeries) error { return nil }); !errors.Is(err, store.ErrTooMany) {
		t.Errorf("%v", err)
	}
	if err := r.Windows(t.Context(), q, time.Microsecond, func(store.WindowSeries) error { return nil }); err == nil {
		t.Error("a step of a microsecond was taken")
	}
	q.MaxPoints = 5000
	if err := r.Windows(t.Context(), q, time.Hour, func(store.WindowSeries) error { return errMade }); !errors.Is(err, errMade) {
		t.Errorf("%v", err)
	}
}

// What is older than rows is asked for in windows that there are.
func TestFinest(t *testing.T) {
	r := NewReader(ReaderOptions{Now: func() time.Time { return midnight }, Retention: 90 * 24 * time.Hour,
		Keep: map[rollup.Level]time.Duration{rollup.FiveMinutes: 366 * 24 * time.Hour, rollup.Hour: 1000 * 24 * time.Hour}})
	for days, want := range map[int]time.Duration{1: time.Millisecond, 91: 5 * time.Minute, 367: time.Hour, 1001: 24 * time.Hour} {
		if got := r.Finest(midnight.AddDate(0, 0, -days)); got != want {
			t.Errorf("%d days ago: %v, want %v", days, got, want)
		}
	}
}

// A window of nothing that somebody stored is no reason to show no chart.
func TestAWindowOfNothing(t *testing.T) {
	m, c := newMemory(), &clock{now: midnight.AddDate(0, 0, 10)}
	row := func(day int, count int64) rollup.Row {
		return rollup.Row{Measurement: "icmp", Tags: tagsOf("s1", "gw"), Start: midnight.AddDate(0, 0, day).UnixMilli(),
			Fields: []rollup.Field{{Key: "sent", Value: rollup.Aggregate{Count: count, Sum: float64(10 * count), Min: 10, Max: 10}}}}
	}
	if err := m.PutRollups(t.Context(), rollup.Day, []rollup.Row{row(1, 0), row(2, 5)}); err != nil {
		t.Fatal(err)
	}
	r := NewReader(ReaderOptions{Store: m, Zone: ict, Now: c.Now, Progress: func() Progress { return Progress{To: c.now} }})
	q := store.Query{Measurement: "icmp", Fields: []string{"sent"}, From: midnight, To: c.now}
	found := 0
	err := r.Windows(t.Context(), q, 24*time.Hour, func(s store.WindowSeries) error {
		for _, w := range s.Windows {
			found += w.Count
		}
		return nil
	})
	if err != nil || found != 5 {
		t.Errorf("%d, %v", found, err)
	}
}
