package storetest

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/collector/store"
	"communewatch/probes"
	"communewatch/probes/wire"
)

func concurrent(t *testing.T, b *bench) {
	const writers, batches, perBatch = 4, 30, 40
	var wg sync.WaitGroup
	var stop atomic.Bool
	for w := range writers {
		wg.Go(func() {
			for n := range batches {
				var points []probes.Point
				for i := range perBatch {
					// All writers meet in the same series, at times of their own: even writers go forwards in time,
					// odd ones backwards.
					k := n*perBatch + i
					if w%2 == 1 {
						k = batches*perBatch - 1 - k
					}
					at := b.at(40 * time.Hour).Add(time.Duration(k)*time.Minute + time.Duration(w)*time.Second)
					p := point(at, float64(w))
					p.Tags = p.Tags.With("n", fmt.Sprint(i%5))
					p.Fields = append(p.Fields, probes.String("s", fmt.Sprint("text ", k%50)))
					points = append(points, p)
				}
				if err := b.s.Append(background(), Rows(t, points...)); err != nil {
					t.Errorf("append: %v", err)
				}
				if err := b.s.Sync(background()); err != nil {
					t.Errorf("sync: %v", err)
				}
			}
		})
	}
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				err := b.s.Select(background(), b.all("m"), func(s store.Series) error {
					for i := 1; i < len(s.Times); i++ {
						if s.Times[i] <= s.Times[i-1] {
							return errors.New("times don't rise")
						}
					}
					return nil
				})
				if err != nil {
					t.Errorf("select: %v", err)
				}
				b.s.Stats()
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	readers.Wait()
	for range 2 {
		count := 0
		for name, s := range b.sel(b.all("m")) {
			count += len(s.Times)
			for _, text := range s.Texts {
				if len(text) < 6 || text[:5] != "text " {
					t.Fatalf("series %s: text %q was never written", name, text)
				}
			}
		}
		equal(t, "points", count, 2*writers*batches*perBatch)
		b.close()
		b.open()
	}
}

func manySeries(t *testing.T, b *bench) {
	fleet(b, 200, 20)
	q := b.all("icmp")
	q.Fields = []string{"loss_ratio"}
	equal(t, "series", len(b.sel(q)), 4000)
	q.Tags = map[string]string{"site": "s00123"}
	equal(t, "series of one site", len(b.sel(q)), 20)
	if st := b.s.Stats(); st.Series < 8000 {
		t.Errorf("stats say %d series, want at least 8000", st.Series)
	}
}

// manyTexts: a writer that puts a counter into its error texts must not harm the others.
func manyTexts(t *testing.T, b *bench) {
	const n = 5000
	var points []probes.Point
	for i := range n {
		p := point(b.at(time.Duration(n-i)*time.Second), 0)
		p.Fields = []probes.Field{probes.String("s", fmt.Sprintf("dial tcp: attempt %d failed", i))}
		points = append(points, p)
	}
	b.append(points...)
	s := b.one(b.all("m"))
	equal(t, "texts", len(s.Texts), n)
	equal(t, "last text", s.Texts[n-1], fmt.Sprintf("dial tcp: attempt %d failed", n-1))
}

func reopen(t *testing.T, b *bench) {
	for round := range 4 {
		p := point(b.at(time.Duration(round)*20*time.Hour), float64(round))
		p.Fields = append(p.Fields, probes.String("s", fmt.Sprint("round ", round)))
		b.append(p)
		if round%2 == 1 {
			if err := b.s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.close()
		b.open()
		got := b.sel(b.all("m"))
		equal(t, "values", len(got["v site=s1"].Values), round+1)
		equal(t, "oldest text", got["s site=s1"].Texts[0], fmt.Sprint("round ", round))
	}
}

func stats(t *testing.T, b *bench) {
	oldest := b.at(50 * time.Hour)
	p := point(b.at(0), 1)
	p.Fields = append(p.Fields, probes.String("s", "x"), probes.Int("i", 1))
	b.append(p)
	b.append(point(oldest, 2))
	b.rejected(point(b.at(2*b.LateWindow), 3))
	st := b.s.Stats()
	equal(t, "appended", st.Appended, uint64(4))
	equal(t, "rejected", st.Rejected, uint64(1))
	equal(t, "series", st.Series, 3)
	if st.Bytes <= 0 && !b.NoBackup {
		t.Errorf("bytes: %d", st.Bytes)
	}
	// Engines keep data in blocks and may know no more than where a block begins.
	if d := oldest.Sub(st.Oldest); d < 0 || d > 3*time.Hour {
		t.Errorf("oldest: %v, want %v or a little before", st.Oldest, oldest)
	}
}

func backup(t *testing.T, b *bench) {
	fleet(b, 20, 5)
	for i := range 200 { // in order, late, and texts
		p := point(b.at(time.Duration(i)*time.Hour/2), float64(i))
		p.Fields = append(p.Fields, probes.String("s", fmt.Sprint("text ", i%3)))
		b.append(p)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			p := point(b.at(0), 1)
			p.Measurement, p.Tags = "during", p.Tags.With("n", fmt.Sprint(i%100))
			p.Time = p.Time.Add(time.Duration(i-10000) * time.Millisecond)
			p.Fields = append(p.Fields, probes.String("s", fmt.Sprint("during ", i%500)))
			if err := b.s.Append(background(), Rows(t, p)); err != nil {
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	dir := filepath.Join(t.TempDir(), "new", "backup")
	for _, dir := range []string{dir, dir + "2"} {
		if err := b.s.Backup(t.Context(), dir); err != nil {
			t.Fatalf("backup: %v", err)
		}
	}
	stop.Store(true)
	wg.Wait()
	want := b.sel(b.all("m"))
	for _, dir := range []string{dir, dir + "2"} {
		copied := &bench{Harness: b.Harness, t: t, dir: dir}
		copied.open()
		got := copied.sel(b.all("m"))
		equal(t, "series in the backup", len(got), len(want))
		for name, s := range want {
			equal(t, name+" times", got[name].Times, s.Times)
			equal(t, name+" values", got[name].Values, s.Values)
			equal(t, name+" texts", got[name].Texts, s.Texts)
		}
		equal(t, "fleet in the backup", len(copied.sel(b.all("icmp"))), 200)
		for name, s := range copied.sel(b.all("during")) {
			for _, text := range s.Texts {
				if len(text) < 8 || text[:7] != "during " {
					t.Fatalf("series %s: text %q was never written", name, text)
				}
			}
		}
		copied.append(point(b.at(-time.Second), 1)) // it is a store like any other
		copied.close()
	}
}

func backupNotEmpty(t *testing.T, b *bench) {
	b.append(point(b.at(0), 1))
	dir := t.TempDir()
	if err := b.s.Backup(t.Context(), dir); err != nil {
		t.Fatalf("backup into an empty folder: %v", err)
	}
	if err := b.s.Backup(t.Context(), dir); err == nil {
		t.Error("backup into a folder with files: no error")
	}
}

func closed(t *testing.T, b *bench) {
	b.append(point(b.at(0), 1))
	s := b.s
	b.close()
	ctx := t.Context()
	for name, err := range map[string]error{
		"append":         s.Append(ctx, Rows(t, point(b.at(0), 1))),
		"append nothing": s.Append(ctx, []wire.Row{}),
		"sync":           s.Sync(ctx),
		"select":         s.Select(ctx, b.all("m"), func(store.Series) error { return nil }),
		"windows":        s.Windows(ctx, b.all("m"), time.Hour, func(store.WindowSeries) error { return nil }),
		"backup":         s.Backup(ctx, t.TempDir()),
		"close":          s.Close(),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after close: %v, want ErrClosed", name, err)
		}
	}
	s.Stats() // has no error to return, and must not crash
}
