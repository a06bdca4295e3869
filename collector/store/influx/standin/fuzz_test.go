package standin

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func FuzzInfluxQL(f *testing.F) {
	for _, q := range []string{
		`SELECT MEAN("f") FROM "db"."autogen"."m" WHERE time >= 1700000000000ms AND time < now() - 1h AND "s" = 'it\'s' GROUP BY time(5m)`,
		`SHOW TAG VALUES ON db WITH KEY = "site"; SHOW MEASUREMENTS`, `SELECT f FROM db..m WHERE time > - 5`, `"`, `'\`, `time > `, `time = now() -`,
	} {
		f.Add(q)
	}
	s := &Server{o: Options{Prefix: "p_"}}
	f.Fuzz(func(t *testing.T, q string) {
		all := words(q)
		at := 0
		for _, w := range all {
			if w.from < at || w.to <= w.from || w.to > len(q) {
				t.Fatalf("%q: words overlap or are empty: %+v", q, all)
			}
			at = w.to
		}
		for _, st := range statements(all) {
			_, _ = span(st, time.Unix(1_700_000_000, 0))
		}
		if n := len(databases(all)); n == 0 && s.rename(q, all) != q {
			t.Errorf("%q was changed without a database in it", q)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("m,t=a f=1,s=\"two\nlines\" 5\n# comment\n\nm f=1i\nbad"))
	f.Add([]byte(`m\ m,t=\, f="\""`))
	f.Fuzz(func(t *testing.T, body []byte) {
		total := 0
		for _, line := range splitLines(body) {
			total += len(line)
			_, _ = parseLine(line)
			if len(line) == 0 || !bytes.Contains(body, line) {
				t.Errorf("line %q is not of %q", line, body)
			}
		}
		if total > len(body) {
			t.Errorf("%d bytes of lines from %d", total, len(body))
		}
		if n := len(splitLines(body)); n > strings.Count(string(body), "\n")+1 {
			t.Errorf("%d lines of %q", n, body)
		}
	})
}
