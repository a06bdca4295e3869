package spool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/agent/spool/disk"
	"communewatch/agent/spool/pack"
)

// FuzzOpen opens folders with arbitrary files beside good ones.
func FuzzOpen(f *testing.F) {
	good := string(pack.Pack([]byte("a\n")))
	for _, seed := range [][2]string{
		{"open-old-9-1.lp", "line\ntorn"},
		{"open-old-1-1.lp", "good\n"},
		{"open-old-9-1.lp", "\x00\xff\n\n"},
		{"5-old-9-1.lp.gz", good},
		{"5-old-1-1.lp.gz", good},
		{"5-old-9-1.lp.gz", good[:len(good)-3]},
		{"5-old-9-1.lp.gz", ""},
		{"5-old-9-1.lp.gz.tmp", "x"},
		{"99999999999999999-old-9-1.lp.gz", good},
		{"-5-old-9-1.lp.gz", good},
		{"../00000009-", "x"},
		{"../quarantine", "x"},
		{"../readme.txt", "x"},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		dir := t.TempDir()
		old := filepath.Join(dir, "00000001-old")
		if err := os.MkdirAll(old, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(old, "1-old-1-1.lp.gz"), pack.Pack([]byte("good\n")), 0o640); err != nil {
			t.Fatal(err)
		}
		up, inRoot := strings.CutPrefix(name, "../")
		if strings.ContainsAny(up, "/\x00") || up == "" || up == ".." || up == "." || up == "1-old-1-1.lp.gz" || len(up) > 200 {
			t.Skip()
		}
		path := filepath.Join(old, up)
		if inRoot {
			path = filepath.Join(dir, up)
		}
		if err := os.WriteFile(path, content, 0o640); err != nil {
			t.Skip()
		}
		s, err := Open(options(dir, "new"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Append(1, []byte("fresh\n")); err != nil {
			t.Fatal(err)
		}
		if err := s.Seal(true); err != nil {
			t.Fatal(err)
		}
		var all string
		for range 10 {
			b, ok, err := s.Oldest()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			all += "|" + string(b.Body)
			if err := s.Forget(b.ID); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.Contains(all, "good\n") || !strings.Contains(all, "|fresh\n") {
			t.Errorf("good batches lost beside %q: %q", name, all)
		}
		_, _, sealed := parseSealed(strings.TrimSuffix(up, disk.TmpSuffix))
		if _, open := parseOpen(up); !open && !sealed {
			if got, err := os.ReadFile(path); err != nil || string(got) != string(content) {
				t.Errorf("foreign file %q was touched: %v", name, err)
			}
		}
	})
}
