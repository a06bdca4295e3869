package history_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
)

var (
	databaseDir  string
	stopDatabase = func() {}
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if databaseDir, err = os.MkdirTemp("", "communewatch-history-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(databaseDir)
		code := m.Run()
		stopDatabase()
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		return code
	}())
}

// inAnyOrder tells the story in an order of its own: batches late, twice and thrice, the clock jumping on, the Keeper at
// work in between or not.
func (w *world) inAnyOrder(all []batch, random *rand.Rand) {
	w.t.Helper()
	waiting := random.Perm(len(all))
	var sent []int
	end := all[len(all)-1].end
	for len(waiting) > 0 || w.clock().Before(end) {
		switch random.IntN(6) {
		case 0:
			at := w.clock().Add(time.Duration(random.Int64N(int64(4 * time.Hour))))
			if latest := end.Add(time.Hour); at.After(latest) {
				at = latest // or another day would end
			}
			w.set(at)
		case 1:
			w.keeper.Work(w.t.Context())
		case 2:
			if len(sent) > 0 && random.IntN(3) == 0 {
				w.send(all[sent[random.IntN(len(sent))]])
			}
		default:
			for i, n := range waiting {
				if !all[n].end.After(w.clock()) {
					w.send(all[n])
					sent = append(sent, n)
					waiting = append(waiting[:i], waiting[i+1:]...)
					break
				}
			}
		}
	}
	w.end(all)
}

// The same batches in any order, however often, and whatever the Keeper was doing when they came, give the same windows of
// all levels to the last bit; on both stores, and the same on both.
func TestAnyOrderGivesTheSameWindows(t *testing.T) {
	all := story(storyFrom, storyTo)
	reference := newWorld(t, openEmbedded(t))
	reference.inOrder(all)
	want := reference.windows()
	for _, level := range rollup.Levels() {
		for _, measurement := range []string{"icmp", "line"} {
			if level == rollup.FiveMinutes && measurement == "line" {
				continue
			}
			if !strings.Contains(want, "\n"+level.String()+" "+measurement) && !strings.HasPrefix(want, level.String()+" "+measurement) {
				t.Fatalf("no windows of %s by %v", measurement, level)
			}
		}
	}
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	for range seeds {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprintf("embedded, seed %d", seed), func(t *testing.T) {
			w := newWorld(t, openEmbedded(t))
			w.inAnyOrder(all, rand.New(rand.NewPCG(seed, 0)))
			if got := w.windows(); got != want {
				t.Errorf("windows differ:\n%s", differ(got, want))
			}
		})
	}
	t.Run("influx, in order", func(t *testing.T) {
		w := newWorld(t, openInflux(t, "in_order"))
		w.inOrder(all)
		if got := w.windows(); got != want {
			t.Errorf("windows differ from those of the embedded store:\n%s", differ(got, want))
		}
		sameAnswers(t, reference, w)
	})
	seed := uint64(time.Now().UnixNano())
	t.Run(fmt.Sprintf("influx, seed %d", seed), func(t *testing.T) {
		w := newWorld(t, openInflux(t, "any_order"))
		w.inAnyOrder(all, rand.New(rand.NewPCG(seed, 0)))
		if got := w.windows(); got != want {
			t.Errorf("windows differ:\n%s", differ(got, want))
		}
	})
}

// sameAnswers asks two worlds the same questions. What people see does not tell which database is behind it.
func sameAnswers(t *testing.T, a, b *world) {
	t.Helper()
	series := "/api/v1/series?measurement=icmp&field=loss_ratio,rtt_median_seconds,sent&site=s1&agg=mean,min,max,p95,count"
	for _, path := range []string{
		"/api/v1/sites", "/api/v1/sites/s1", "/api/v1/sites/s2?lang=en", "/api/v1/sites/s1/history?range=24h&lang=en", "/api/v1/sites/s2/history?range=24h",
		series + "&from=2026-03-31T07:00:00Z&to=2026-03-31T08:00:00Z", series + "&range=24h", series + "&range=7d&step=1h", series + "&range=30d&step=1d", series + "&range=365d", series + "&range=1826d&step=30d",
		"/api/v1/reports/lines?period=2026-03&hours=all&lang=en", "/api/v1/reports/lines?period=2026-03&hours=office",
	} {
		if x, y := a.ask(path), b.ask(path); x != y {
			t.Errorf("%s:\n%s\n%s", path, x, y)
		} else if strings.Contains(path, "series") && !strings.Contains(x, `"count"`) {
			t.Errorf("%s: no figures: %s", path, x)
		}
	}
}

// An agent was cut off for a week and comes back: what its hours, days and month were changes, and so does the answer.
func TestAWeekOldSpoolChangesFigures(t *testing.T) {
	for name, open := range map[string]func(testing.TB) func(func() time.Time) (store.Store, error){
		"embedded": openEmbedded,
		"influx":   func(t testing.TB) func(func() time.Time) (store.Store, error) { return openInflux(t, "late") },
	} {
		if testing.Short() && name != "embedded" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, open(t))
			all := story(storyFrom, storyTo)
			for _, b := range all {
				if b.site == "s1" {
					w.set(b.end.Add(5 * time.Second))
					w.send(b)
				}
			}
			w.set(storyTo.AddDate(0, 0, 7))
			w.work()
			paths := []string{
				"/api/v1/series?measurement=icmp&field=sent&site=s2&agg=count&range=30d&step=1h",
				"/api/v1/series?measurement=icmp&field=sent&site=s2&agg=count&range=30d&step=1d",
				"/api/v1/reports/lines?period=2026-03&hours=all",
			}
			before := map[string]string{}
			for _, p := range paths {
				before[p] = w.ask(p)
			}
			for _, b := range all {
				if b.site == "s2" {
					w.send(b)
				}
			}
			if w.keeper.Progress().Pending == 0 {
				t.Error("nothing waits to be worked out anew")
			}
			w.set(w.clock().Add(10 * time.Second))
			w.work()
			for _, p := range paths {
				if w.ask(p) == before[p] {
					t.Errorf("%s does not change: %s", p, before[p])
				}
			}
			got := w.windows()
			for _, want := range []string{"5m icmp", "1h line", "1d line", "1mo line", "1mo icmp"} {
				found := false
				for line := range strings.SplitSeq(got, "\n") {
					found = found || strings.HasPrefix(line, want) && strings.Contains(line, "site=s2")
				}
				if !found {
					t.Errorf("no windows %s of the site that came late", want)
				}
			}
		})
	}
}

// Somebody drops series of the database behind our back, and later rows of the same hours come. Figures that were worked out
// stay.
func TestADroppedSeriesTakesNoFigures(t *testing.T) {
	w := newWorld(t, openInflux(t, "dropped"))
	all := story(storyFrom, storyFrom.Add(3*time.Hour))
	w.inOrder(all)
	want := w.windows()
	server, err := database()
	if err != nil {
		t.Fatal(err)
	}
	statement(t, server, "dropped", `DROP SERIES FROM "icmp" WHERE "site" = 's1'`)
	w.send(all[0])
	w.set(w.clock().Add(time.Minute))
	w.work()
	if got := w.windows(); got != want {
		t.Errorf("figures went with the rows:\n%s", differ(got, want))
	}
}

// fullStore is a store whose disk takes no windows while it is full.
type fullStore struct {
	store.Store
	full *atomic.Bool
}

func (f fullStore) PutRollups(ctx context.Context, level rollup.Level, rows []rollup.Row) error {
	if f.full.Load() && level != rollup.FiveMinutes { // it fills up in the middle
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	return f.Store.PutRollups(ctx, level, rows)
}

// The disk fills up while hours are worked out, and has room again later: results are taken all the time, it is told that
// figures stand still, and in the end they are what they would have been.
func TestADiskThatFillsDuringARollup(t *testing.T) {
	all := story(storyFrom, storyFrom.Add(6*time.Hour))
	reference := newWorld(t, openEmbedded(t))
	reference.inOrder(all)
	var full atomic.Bool
	w := newWorld(t, func(now func() time.Time) (store.Store, error) {
		st, err := openEmbedded(t)(now)
		return fullStore{st, &full}, err
	})
	for i, b := range all {
		full.Store(i > len(all)/3)
		w.set(b.end.Add(5 * time.Second))
		w.send(b)
		w.keeper.Work(t.Context())
	}
	p := w.keeper.Progress()
	if !strings.Contains(p.Failed, "no space") || p.Since.IsZero() || !p.To.Before(all[len(all)-1].end.Add(-time.Hour)) {
		t.Errorf("while the disk is full: %+v", p)
	}
	full.Store(false)
	for w.keeper.Work(t.Context()) == 0 {
	}
	w.end(all)
	if got, want := w.windows(), reference.windows(); got != want {
		t.Errorf("windows differ:\n%s", differ(got, want))
	}
}
