package influxql_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"communewatch/collector/store/influx/influxql"
)

func show(c *influxql.Chunk) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%v:", c.Name, c.Tags)
	for i := range c.Rows {
		for n := range c.Columns {
			col := &c.Columns[n]
			switch col.Kinds[i] {
			case influxql.Number:
				fmt.Fprintf(&b, " %s=%v", c.Names[n], col.Numbers[i])
			case influxql.Text:
				fmt.Fprintf(&b, " %s=%q", c.Names[n], col.Texts[i])
			}
		}
		b.WriteByte(';')
	}
	return b.String()
}

func decode(r io.Reader) (out []string, err error) {
	err = influxql.Decode(r, func(c *influxql.Chunk) error { out = append(out, show(c)); return nil })
	return out, err
}

func TestDecode(t *testing.T) {
	answer := `{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"site":"s\u00e9\ud83d\ude42","none":"","a":"1"},"columns":["time","v","s"],` +
		`"values":[[1700000000000,-1.5e-7,null],[1700000000001,null,"x\n\"y\\"],[1700000000002,true,"z"]],"partial":true}],"partial":true}]}` + "\n" +
		`{"results":[{"statement_id":0,"messages":[{"level":"warning","text":"x"}],"series":[{"name":"m","tags":null,"columns":["time","v","s"],"values":[[3,9007199254740993,"1"]]},{"name":"e","columns":["time"]}]}]}` + "\n"
	want := `m[{a 1} {site sé🙂}]: time=1.7e+12 v=-1.5e-07; time=1.700000000001e+12 s="x\n\"y\\"; time=1.700000000002e+12 v=1 s="z";` + "\n" + `m[]: time=3 v=9.007199254740992e+15 s="1";`
	for name, r := range map[string]io.Reader{"at once": strings.NewReader(answer), "byte by byte": iotest.OneByteReader(strings.NewReader(answer))} {
		if got, err := decode(r); err != nil || strings.Join(got, "\n") != want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, strings.Join(got, "\n"), want)
		}
	}
	for cut := range len(answer) - 1 {
		if _, err := decode(strings.NewReader(answer[:cut])); err == nil {
			t.Fatalf("cut at %d: no error", cut)
		}
	}
	broken := errors.New("broken pipe")
	if _, err := decode(io.MultiReader(strings.NewReader(answer[:50]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("got %v, want the connection's error", err)
	}
	var said *influxql.ServerError
	if _, err := decode(strings.NewReader(`{"results":[{"statement_id":0,"error":"no such \"thing\""}]}`)); !errors.As(err, &said) || said.Message != `no such "thing"` {
		t.Errorf("got %v", err)
	}
	enough := errors.New("enough")
	calls := 0
	if err := influxql.Decode(strings.NewReader(answer), func(*influxql.Chunk) error { calls++; return enough }); !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// A server that does not cut its answer into chunks must not make us hold all of it.
func TestDecodeCutsLongSeries(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"results":[{"series":[{"name":"m","columns":["time","v"],"values":[[0,0]`)
	for i := range 200_000 {
		fmt.Fprintf(&b, ",[%d,%d]", i+1, i+1)
	}
	b.WriteString(`]}]}]}`)
	rows := 0
	err := influxql.Decode(strings.NewReader(b.String()), func(c *influxql.Chunk) error {
		if c.Rows > 1<<16 {
			t.Fatalf("%d rows at once", c.Rows)
		}
		for i := range c.Rows {
			if v := c.Columns[1].Numbers[i]; v != float64(rows) {
				t.Fatalf("row %d holds %v", rows, v)
			}
			rows++
		}
		return nil
	})
	if err != nil || rows != 200_001 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// FuzzDecode: whatever comes in, there is no panic, rows are as long as their columns, and what encoding/json takes for
// numbers reads the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"results":[{"series":[{"name":"m","tags":{"a":"b"},"columns":["time","v"],"values":[[1,2.5],[2,null],[3,"x"],[4,true]],"partial":true}],"partial":true}]}`))
	f.Add([]byte(`{"error":"x\u12"}`))
	f.Add([]byte(`{"results":[{"series":[{"columns":["time"],"values":[[1e400]]}]}]}`))
	f.Add([]byte(`{"results":[{"series":[{"columns":[],"columns":["a"],"values":[[1],[-0]],"columns":["b","c"]}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var got []float64
		err := influxql.Decode(strings.NewReader(string(body)), func(c *influxql.Chunk) error {
			if c.Rows < 1 || len(c.Names) != len(c.Columns) {
				t.Fatalf("%d rows, %d names, %d columns", c.Rows, len(c.Names), len(c.Columns))
			}
			for n := range c.Columns {
				col := &c.Columns[n]
				if len(col.Kinds) != c.Rows || len(col.Numbers) != c.Rows || col.Texts != nil && len(col.Texts) != c.Rows {
					t.Fatalf("column %d of %d rows: %d %d %d", n, c.Rows, len(col.Kinds), len(col.Numbers), len(col.Texts))
				}
			}
			for i := range c.Rows {
				for n := range c.Columns {
					if v := c.Columns[n].Numbers[i]; c.Columns[n].Kinds[i] == influxql.Number {
						if math.IsNaN(v) || math.IsInf(v, 0) {
							t.Fatalf("a number %v", v)
						}
						got = append(got, v)
					}
				}
			}
			return nil
		})
		var doc struct {
			Results []struct {
				Series []struct{ Values [][]float64 }
			}
		}
		// Only what is plain: one document, each key once, nothing but numbers.
		if err != nil || strings.Count(string(body), `"columns"`) != 1 || strings.Count(string(body), `"values"`) != 1 || json.Unmarshal(body, &doc) != nil ||
			len(doc.Results) != 1 || len(doc.Results[0].Series) != 1 || strings.ContainsAny(string(body), "ntf\\") {
			return
		}
		var want []float64
		for _, row := range doc.Results[0].Series[0].Values {
			want = append(want, row...)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// FuzzQuote: a quoted name or text ends where it should, and holds what went in.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{`a"b`, `a'b`, `\`, `\"`, `\\'`, `' OR '1'='1`, `"; DROP DATABASE x; --`, "é\u00a0🙂", "a\nb", "\xff", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !influxql.Quotable(s) {
			if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '\uFFFD' }) {
				t.Fatalf("%q can't be said", s)
			}
			return
		}
		for mark, quoted := range map[byte]string{'"': influxql.Name(s), '\'': influxql.Literal(s)} {
			// As the server's scanner reads it: a backslash takes what is behind it along.
			var got []byte
			i := 1
			for ; i < len(quoted) && quoted[i] != mark; i++ {
				if quoted[i] == '\\' {
					i++
					if quoted[i] != mark && quoted[i] != '\\' {
						t.Fatalf("%s: an escape of %q", quoted, quoted[i])
					}
				}
				if quoted[i] == '\n' {
					t.Fatalf("%q: a line ends", quoted)
				}
				got = append(got, quoted[i])
			}
			if i != len(quoted)-1 || quoted[0] != mark || string(got) != s {
				t.Fatalf("%q became %s, which reads %q and ends at %d of %d", s, quoted, got, i, len(quoted))
			}
		}
	})
}

func TestTime(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want string
	}{{time.Unix(1, 5), "1000000005"}, {time.Unix(-1, 0), "-1000000000"}, {time.Time{}, "-9223372036853775808"}, {time.Unix(1<<40, 0), "9223372036853775808"}} {
		if got := influxql.Time(c.t); got != c.want {
			t.Errorf("%v is %s, want %s", c.t, got, c.want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	var sb strings.Builder
	sb.WriteString(`{"results":[{"statement_id":0,"series":[{"name":"icmp","tags":{"site":"s1"},"columns":["time","a","b","c"],"values":[[0,1,2,3]`)
	for i := range 10_000 {
		fmt.Fprintf(&sb, ",[%d,%v,null,%d]", 1700000000000+i*30000, 0.0123+float64(i)/1e6, i%20)
	}
	sb.WriteString(`]}]}]}`)
	answer := sb.String()
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if err := influxql.Decode(strings.NewReader(answer), func(*influxql.Chunk) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// However long the texts of a series are, what is held of them at once is bounded, and none is lost.
func TestLongTextsComeInPieces(t *testing.T) {
	const rows, size = 200, 200 << 10
	r, w := io.Pipe()
	go func() {
		fmt.Fprint(w, `{"results":[{"series":[{"name":"m","columns":["time","s"],"values":[[0,"x"]`)
		for i := range rows {
			fmt.Fprintf(w, `,[%d,"%0*d"]`, i+1, size, i)
		}
		fmt.Fprint(w, `]}]}]}`)
		w.Close()
	}()
	got := 0
	err := influxql.Decode(r, func(c *influxql.Chunk) error {
		held := 0
		for _, s := range c.Column("s").Texts {
			held += len(s)
		}
		if got += c.Rows; held > 5<<20 {
			t.Errorf("%d MiB of text at once", held>>20)
		}
		return nil
	})
	if err != nil || got != rows+1 {
		t.Errorf("%d rows, %v", got, err)
	}
}
