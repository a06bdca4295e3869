package embedded

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
)

// number is a point of one number field.
func number(series int, at time.Time, v float64) probes.Point {
	return probes.Point{Measurement: "m", Time: at, Tags: probes.Tags{{Key: "k", Value: fmt.Sprint(series)}},
		Fields: []probes.Field{probes.Float("v", v)}}
}

func mustOpen(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustAppend(t *testing.T, s *Store, points ...probes.Point) {
	t.Helper()
	if err := s.Append(t.Context(), storetest.Rows(t, points...)); err != nil {
		t.Fatal(err)
	}
}

// count returns the number of points of measurement m.
func count(t *testing.T, s *Store) int {
	t.Helper()
	n := 0
	q := store.Query{Measurement: "m", From: s.now().Add(-400 * 24 * time.Hour), To: s.now().Add(24 * time.Hour)}
	if err := s.Select(t.Context(), q, func(s store.Series) error { n += len(s.Times); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// logged collects what a store logs, its background work included.
func logged(o *Options) *logBuffer {
	b := new(logBuffer)
	o.Log = slog.New(slog.NewTextHandler(b, nil))
	return b
}

type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestDamagedLog(t *testing.T) {
	for _, which := range []string{"wal", "wbl"} {
		t.Run(which, func(t *testing.T) {
			o := testOptions(t.TempDir())
			s := mustOpen(t, o)
			for i := range 2000 {
				mustAppend(t, s, number(i%10, testNow.Add(time.Duration(i-2000)*time.Second), float64(i)),
					number(i%10, testNow.Add(-10*24*time.Hour-time.Duration(i)*time.Second), float64(i)))
			}
			all := count(t, s)
			dir := copyStore(t, o.Dir)
			file := glob(t, dir, "series/"+which+"/0*")[0]
			flip(t, file, 0.5)
			damaged, _ := os.ReadFile(file)

			o.Dir = dir
			log := logged(&o)
			r := mustOpen(t, o)
			if n := count(t, r); n == 0 || n >= all {
				t.Errorf("%d points are left of %d, want those before the damage", n, all)
			}
			mustAppend(t, r, number(1, testNow, 1)) // life goes on
			kept := glob(t, dir, "damaged/*/"+which+"/*0")
			if len(kept) != 1 {
				t.Fatalf("set aside: %v, want the damaged file", kept)
			}
			if data, _ := os.ReadFile(kept[0]); !bytes.Equal(data, damaged) {
				t.Error("what was set aside is not the damaged file as it was")
			}
			if !strings.Contains(log.String(), filepath.Dir(kept[0])) {
				t.Errorf("the log does not say where the damaged file is:\n%s", log)
			}
		})
	}
}

// withBlocks returns the folder of a closed store with several blocks.
func withBlocks(t *testing.T) (o Options, points int) {
	o = testOptions(t.TempDir())
	s := mustOpen(t, o)
	for i := range 1000 {
		mustAppend(t, s, number(1, testNow.Add(time.Duration(i-1000)*10*time.Minute), float64(i)))
	}
	if err := s.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	points = count(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(glob(t, o.Dir, "series/01*")) < 3 {
		t.Fatal("want several blocks")
	}
	return o, points
}

func TestDamagedBlock(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, block string){
		"index cut":       func(t *testing.T, block string) { must(t, os.Truncate(filepath.Join(block, "index"), 100)) },
		"index empty":     func(t *testing.T, block string) { must(t, os.Truncate(filepath.Join(block, "index"), 0)) },
		"index gone":      func(t *testing.T, block string) { must(t, os.Remove(filepath.Join(block, "index"))) },
		"chunks gone":     func(t *testing.T, block string) { must(t, os.Remove(filepath.Join(block, "chunks", "000001"))) },
		"chunks empty":    func(t *testing.T, block string) { must(t, os.Truncate(filepath.Join(block, "chunks", "000001"), 0)) },
		"tombstones torn": func(t *testing.T, block string) { must(t, os.Truncate(filepath.Join(block, "tombstones"), 3)) },
	} {
		t.Run(name, func(t *testing.T) {
			o, points := withBlocks(t)
			block := glob(t, o.Dir, "series/01*")[1]
			damage(t, block)
			log := logged(&o)
			s := mustOpen(t, o)
			n := 0
			q := store.Query{Measurement: "m", From: testNow.Add(-400 * 24 * time.Hour), To: testNow.Add(time.Hour)}
			err := s.Select(t.Context(), q, func(s store.Series) error { n += len(s.Times); return nil })
			switch kept := glob(t, o.Dir, "damaged/*/"+filepath.Base(block)); {
			case err != nil: // damage that only reading meets: a clear error, not less data
			case n == points:
			case len(kept) == 1 && strings.Contains(log.String(), kept[0]) && n > 0:
			default:
				t.Errorf("%d of %d points, set aside: %v, log:\n%s", n, points, kept, log)
			}
			mustAppend(t, s, number(2, testNow, 1))
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestForeignFiles(t *testing.T) {
	o, points := withBlocks(t)
	for _, name := range []string{"series/notes.txt", "series/wal/README", "series/wal/00000000.bak", "series/01ABC/x",
		"lost+found/x", "texts.dict.orig", "series/lost+found/x"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(o.Dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(o.Dir, name), []byte("not ours"), 0o644))
	}
	s := mustOpen(t, o)
	if n := count(t, s); n != points {
		t.Errorf("%d points, want %d", n, points)
	}
	mustAppend(t, s, number(2, testNow, 1))
	must(t, s.Sync(t.Context()))
}

func TestOpenTwiceIsRefused(t *testing.T) {
	o := testOptions(t.TempDir())
	s := mustOpen(t, o)
	mustAppend(t, s, number(1, testNow, 1))
	if second, err := Open(o); err == nil {
		second.Close()
		t.Fatal("the same store was opened twice")
	} else if !strings.Contains(err.Error(), "another process") {
		t.Errorf("error does not name the cause: %v", err)
	}
	mustAppend(t, s, number(1, testNow.Add(time.Second), 2))
	if n := count(t, s); n != 2 {
		t.Errorf("%d points, want 2", n)
	}
}
