package texts

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func setAside(t *testing.T, dir string) int {
	t.Helper()
	names, err := os.ReadDir(dir)
	must(t, err)
	return len(names)
}

func TestDictionaryDamage(t *testing.T) {
	newDict := func(t *testing.T) (file string, ids map[string]uint64) {
		file = filepath.Join(t.TempDir(), "texts.dict")
		d, err := Open(file, t.TempDir(), DefaultLimits, slog.New(slog.DiscardHandler))
		must(t, err)
		ids = map[string]uint64{}
		for i := range 100 {
			text := fmt.Sprint("text ", i)
			ids[text], err = d.ID([]byte(text))
			must(t, err)
		}
		_, err = d.Class("m", "v", Text)
		must(t, err)
		must(t, d.Close())
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
				d, err := Open(file, damaged, DefaultLimits, slog.New(slog.DiscardHandler))
				must(t, err)
				lost := 0
				for text, id := range ids {
					switch d.Text(id) {
					case text:
					case Lost:
						lost++
					default:
						t.Errorf("number of %q reads as %q", text, d.Text(id))
					}
				}
				if lost > c.lost+1 || lost < c.lost {
					t.Errorf("%d texts are lost, want %d", lost, c.lost)
				}
				must(t, d.Close())
			}
			if n := setAside(t, damaged); n != c.aside {
				t.Errorf("%d files were set aside, want %d", n, c.aside)
			}
			// A lost text comes back under its old number.
			d, err := Open(file, damaged, DefaultLimits, slog.New(slog.DiscardHandler))
			must(t, err)
			defer d.Close()
			for text, id := range ids {
				if again, err := d.ID([]byte(text)); err != nil || again != id || d.Text(id) != text {
					t.Fatalf("%q has number %d again, want %d (%v)", text, again, id, err)
				}
			}
		})
	}
}

func TestDictionaryBounds(t *testing.T) {
	limits := Limits{Texts: 10, Bytes: 1 << 20, Fields: 3}
	file := filepath.Join(t.TempDir(), "texts.dict")
	d, err := Open(file, t.TempDir(), limits, slog.New(slog.DiscardHandler))
	must(t, err)
	defer d.Close()
	for i := range 30 {
		id, err := d.ID(fmt.Appendf(nil, "text %d", i))
		must(t, err)
		want := fmt.Sprint("text ", i)
		if i >= 10 {
			want = Overflow
		}
		if got := d.Text(id); got != want {
			t.Errorf("text %d reads as %q, want %q", i, got, want)
		}
	}
	if d.Overflowed() != 20 {
		t.Errorf("%d texts did not fit, want 20", d.Overflowed())
	}
	for i := range 5 {
		if _, err := d.Class("m", fmt.Sprint(i), Number); (err != nil) != (i >= 3) {
			t.Errorf("field %d: %v", i, err)
		}
	}
}

func FuzzDictionary(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte(magic))
	f.Add([]byte(magic + "\x0a\x00\x00\x00\x00\x00\x00\x00t12345678x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "texts.dict")
		must(t, os.WriteFile(file, data, 0o644))
		d, err := Open(file, t.TempDir(), DefaultLimits, slog.New(slog.DiscardHandler))
		must(t, err)
		id, err := d.ID([]byte("x"))
		must(t, err)
		must(t, d.Close())
		d, err = Open(file, t.TempDir(), DefaultLimits, slog.New(slog.DiscardHandler))
		must(t, err)
		defer d.Close()
		if d.Text(id) != "x" {
			t.Errorf("text reads as %q after the damage before it", d.Text(id))
		}
	})
}
