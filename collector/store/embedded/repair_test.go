package embedded

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// logged collects what a store logs.
func logged(o *Options) *bytes.Buffer {
	var b bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&b, nil))
	return &b
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

func TestDictionaryDamage(t *testing.T) {
	newDict := func(t *testing.T) (file string, ids map[string]uint64) {
		file = filepath.Join(t.TempDir(), "texts.dict")
		d, err := openDict(file, t.TempDir(), defaultDictLimits, slog.New(slog.DiscardHandler))
		must(t, err)
		ids = map[string]uint64{}
		for i := range 100 {
			text := fmt.Sprint("text ", i)
			ids[text], err = d.id([]byte(text))
			must(t, err)
		}
		_, err = d.class("m", "v", classText)
		must(t, err)
		must(t, d.close())
		return file, ids
	}
	for name, c := range map[string]struct {
		damage func(data []byte) []byte
		lost   int
		aside  int
	}{
		"none":          {func(b []byte) []byte { return b }, 0, 0},
		"torn tail":     {func(b []byte) []byte { return append(b, b[:20]...) }, 0, 0},
		"zeroed tail":   {func(b []byte) []byte { return append(b, make([]byte, 500)...) }, 0, 0},
		"middle":        {func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b }, 1, 1},
		"length":        {func(b []byte) []byte { b[5] ^= 0xff; return b }, 1, 1},
		"hole":          {func(b []byte) []byte { clear(b[200:300]); return b }, 4, 1},
		"foreign file":  {func([]byte) []byte { return []byte("not a dictionary at all") }, 100, 1},
		"foreign start": {func(b []byte) []byte { return append([]byte("#!/bin/sh\n"), b...) }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			file, ids := newDict(t)
			data, err := os.ReadFile(file)
			must(t, err)
			must(t, os.WriteFile(file, c.damage(data), 0o644))
			damaged := t.TempDir()
			for range 2 { // the second time there is nothing left to repair
				d, err := openDict(file, damaged, defaultDictLimits, slog.New(slog.DiscardHandler))
				must(t, err)
				lost := 0
				for text, id := range ids {
					switch d.text(id) {
					case text:
					case textLost:
						lost++
					default:
						t.Errorf("number of %q reads as %q", text, d.text(id))
					}
				}
				if lost > c.lost+1 || lost < c.lost {
					t.Errorf("%d texts are lost, want %d", lost, c.lost)
				}
				must(t, d.close())
			}
			if n := len(glob(t, damaged, "*")); n != c.aside {
				t.Errorf("%d files were set aside, want %d", n, c.aside)
			}
			// A lost text comes back under its old number.
			d, err := openDict(file, damaged, defaultDictLimits, slog.New(slog.DiscardHandler))
			must(t, err)
			defer d.close()
			for text, id := range ids {
				if again, err := d.id([]byte(text)); err != nil || again != id || d.text(id) != text {
					t.Fatalf("%q has number %d again, want %d (%v)", text, again, id, err)
				}
			}
		})
	}
}

func TestDictionaryBounds(t *testing.T) {
	limits := dictLimits{texts: 10, bytes: 1 << 20, fields: 3}
	file := filepath.Join(t.TempDir(), "texts.dict")
	d, err := openDict(file, t.TempDir(), limits, slog.New(slog.DiscardHandler))
	must(t, err)
	defer d.close()
	for i := range 30 {
		id, err := d.id(fmt.Appendf(nil, "text %d", i))
		must(t, err)
		want := fmt.Sprint("text ", i)
		if i >= 10 {
			want = textOverflow
		}
		if got := d.text(id); got != want {
			t.Errorf("text %d reads as %q, want %q", i, got, want)
		}
	}
	if d.overflow != 20 {
		t.Errorf("%d texts did not fit, want 20", d.overflow)
	}
	for i := range 5 {
		if _, err := d.class("m", fmt.Sprint(i), classNumber); (err != nil) != (i >= 3) {
			t.Errorf("field %d: %v", i, err)
		}
	}
}

func FuzzDictionary(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(dictMagic))
	f.Add([]byte(dictMagic + "\x0a\x00\x00\x00\x00\x00\x00\x00t12345678x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "texts.dict")
		must(t, os.WriteFile(file, data, 0o644))
		d, err := openDict(file, t.TempDir(), defaultDictLimits, slog.New(slog.DiscardHandler))
		must(t, err)
		id, err := d.id([]byte("x"))
		must(t, err)
		must(t, d.close())
		d, err = openDict(file, t.TempDir(), defaultDictLimits, slog.New(slog.DiscardHandler))
		must(t, err)
		defer d.close()
		if d.text(id) != "x" {
			t.Errorf("text reads as %q after the damage before it", d.text(id))
		}
	})
}
