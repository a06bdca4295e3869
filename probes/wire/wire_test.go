package wire_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"communewatch/probes"
	"communewatch/probes/wire"
)

var t0 = time.UnixMilli(1_795_000_000_123)

func TestAppend(t *testing.T) {
	site := probes.Tags{{Key: "site", Value: "s08707"}}
	for _, c := range []struct {
		name string
		in   probes.Point
		want string
	}{
		{"all types", probes.Point{Measurement: "m", Tags: site, Time: t0, Fields: []probes.Field{
			probes.Float("f", 1.5), probes.Int("i", -7), probes.Bool("b", true), probes.Bool("n", false), probes.String("s", "a b")}},
			`m,site=s08707 f=1.5,i=-7i,b=true,n=false,s="a b" 1795000000123000000` + "\n"},
		{"escapes", probes.Point{Measurement: "a b,c=d", Tags: probes.Tags{{Key: "k,=x", Value: "v ,="}}, Time: t0,
			Fields: []probes.Field{probes.String("f =,", `say "hi" \ bye`)}},
			`a\ b\,c=d,k\,\=x=v\ \,\= f\ \=\,="say \"hi\" \\ bye" 1795000000123000000` + "\n"},
		{"no time", probes.Point{Measurement: "m", Fields: []probes.Field{probes.Int("i", 1)}}, "m i=1i\n"},
		{"nan and inf are left out", probes.Point{Measurement: "m", Fields: []probes.Field{
			probes.Float("a", math.NaN()), probes.Float("b", math.Inf(1)), probes.Float("c", 2)}}, "m c=2\n"},
		{"nothing left, nothing written", probes.Point{Measurement: "m", Fields: []probes.Field{probes.Float("a", math.NaN())}}, ""},
		{"no measurement", probes.Point{Fields: []probes.Field{probes.Int("i", 1)}}, ""},
		{"comment sign", probes.Point{Measurement: "##m", Fields: []probes.Field{probes.Int("i", 1)}}, "m i=1i\n"},
		{"control characters", probes.Point{Measurement: "m", Tags: probes.Tags{{Key: "k", Value: "a\nb"}},
			Fields: []probes.Field{probes.String("s", "x\r\ny\x00z\x7f\u0085")}}, "m,k=a\\ b s=\"x  y z  \"\n"},
		{"invalid UTF-8", probes.Point{Measurement: "m", Fields: []probes.Field{probes.String("s", "Tích\xff")}}, "m s=\"Tích\ufffd\"\n"},
		{"backslash at the end of a tag", probes.Point{Measurement: "m", Tags: probes.Tags{{Key: "k", Value: `C:\`}, {Key: "l", Value: `\`}},
			Fields: []probes.Field{probes.Int("i", 1)}}, "m,k=C: i=1i\n"},
		{"empty tags and names", probes.Point{Measurement: "m", Tags: probes.Tags{{Key: "", Value: "x"}, {Key: "k", Value: ""}},
			Fields: []probes.Field{probes.Int("", 1), probes.Int("i", 1)}}, "m i=1i\n"},
		{"integers beyond 64 bits", probes.Point{Measurement: "m", Fields: []probes.Field{
			{Key: "a", Type: probes.TypeInt, Num: 1e300}, {Key: "b", Type: probes.TypeInt, Num: -1e300}}},
			"m a=9223372036854775807i,b=-9223372036854775808i\n"},
		{"floats", probes.Point{Measurement: "m", Fields: []probes.Field{
			probes.Float("a", 1e6), probes.Float("b", 0.000012), probes.Float("c", 1e300), probes.Float("d", 1e-9)}},
			"m a=1000000,b=0.000012,c=1e+300,d=1e-09\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(wire.Append([]byte("x"), &c.in)); got != "x"+c.want {
				t.Errorf("got  %q\nwant %q", got, "x"+c.want)
			}
		})
	}
}

func TestAppendCutsTextAtARune(t *testing.T) {
	for n := range 4 {
		p := probes.Point{Measurement: "m", Fields: []probes.Field{probes.String("s", strings.Repeat("x", n)+strings.Repeat("ạ", 400))}}
		rows, bad := wire.NewParser(wire.Limits{}).Parse(wire.Append(nil, &p), 0, 0)
		if len(bad) > 0 || len(rows) != 1 {
			t.Fatalf("the encoder's own line was refused: %v", bad)
		}
		text := string(rows[0].Fields[0].Str)
		if len(text) > probes.MaxText || len(text) < probes.MaxText-2 || !strings.HasPrefix(p.Fields[0].Str, text) {
			t.Errorf("cut to %d bytes %q", len(text), text)
		}
	}
}

// TestRoundTrip writes a row of every measurement of the contract with every field and reads it back.
func TestRoundTrip(t *testing.T) {
	var body []byte
	var want []string
	for i, m := range probes.Schema() {
		p := probes.Point{Measurement: m.Name, Time: t0.Add(time.Duration(i) * time.Millisecond)}
		for _, tag := range m.Tags {
			value := "x-" + tag.Key
			if tag.Enum != nil {
				value = tag.Enum[i%len(tag.Enum)]
			}
			p.Tags = p.Tags.With(tag.Key, value)
		}
		for n, f := range m.Fields {
			switch f.Type {
			case probes.TypeFloat:
				p.Fields = append(p.Fields, probes.Float(f.Key, float64(n)/3))
			case probes.TypeInt:
				p.Fields = append(p.Fields, probes.Int(f.Key, int64(n)))
			case probes.TypeBool:
				p.Fields = append(p.Fields, probes.Bool(f.Key, n%2 == 0))
			case probes.TypeString:
				p.Fields = append(p.Fields, probes.String(f.Key, "Phường Tích Sơn, \"quoted\" \\ = 1"))
			}
		}
		body = wire.Append(body, &p)
		want = append(want, show(p.Measurement, p.Tags, p.Fields, p.Time.UnixNano()))
	}
	rows, bad := wire.NewParser(wire.Limits{}).Parse(body, time.Nanosecond, 0)
	if len(bad) > 0 {
		t.Fatalf("bad lines: %v", bad)
	}
	if diff := cmp.Diff(want, showRows(t, rows)); diff != "" {
		t.Error(diff)
	}
}

func showRows(t testing.TB, rows []wire.Row) []string {
	var out []string
	for _, r := range rows {
		s, err := wire.ParseKey(r.Key)
		if err != nil {
			t.Fatalf("ParseKey(%q) of a row the parser gave out: %v", r.Key, err)
		}
		var fields []probes.Field
		for _, f := range r.Fields {
			fields = append(fields, probes.Field{Key: string(f.Key), Type: f.Type, Num: f.Num, Str: string(f.Str)})
		}
		out = append(out, show(s.Measurement, s.Tags, fields, r.Time))
	}
	return out
}

func show(measurement string, tags probes.Tags, fields []probes.Field, t int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q", measurement)
	for _, tag := range tags {
		fmt.Fprintf(&b, " %q=%q", tag.Key, tag.Value)
	}
	b.WriteString(" |")
	for _, f := range fields {
		if f.Type == probes.TypeString {
			fmt.Fprintf(&b, " %q=%q", f.Key, f.Str)
		} else {
			fmt.Fprintf(&b, " %q=%v(%v)", f.Key, f.Num, f.Type)
		}
	}
	fmt.Fprintf(&b, " @%d", t)
	return b.String()
}
