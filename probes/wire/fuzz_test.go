package wire_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"communewatch/probes"
	"communewatch/probes/wire"
)

// seeds are bodies that exercise every branch of the grammar.
var seeds = []string{
	"m,a=b f=1 5\n", "m f=1i,g=2u,h=t,i=\"x\\\"y\\\\\"\r\n", "# c\n\n  m f=.5e3  7  \n", `a\ b\,c,k\=\ x=v\, f\ \==1`,
	"m f=\"a\nb\" 5\nm f=2", "m f=NaN\nm f=1", "m,a=1,a=2 f=1", "m f=\"open", "m f=-9223372036854775808i -5",
	"m f=0x1p4", "m,a=\xff f=1", "m f=1\rx\nm f=1\r", "m f=9007199254740993", "m f=1e400,g=-0", "m\tf=1", "m f=\"\\n\\t\\r\\x\"",
	"đo,nơi=Tích\\ Sơn số=1 5", "m f=1 9223372036854775807", "m,a=b\\", "m f=tRUE", "m f=1,f=2 3", "#\x01\nm f=1", "\rm f=1",
}

// FuzzParse holds the parser against InfluxData's decoder. Where that one takes a whole body without complaint, ours
// must read the same, and the other way round. The deliberate differences:
//
//   - ours has limits, and refuses a tag that stands twice in a line and hexadecimal floats;
//   - ours skips a comment whatever it holds, theirs refuses control characters in it;
//   - after an unquoted carriage return and the like the two may go on at different places, so bodies that either
//     of them refuses in part are only checked for what must always hold.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(2))
	}
	f.Fuzz(func(t *testing.T, body []byte, precision uint8) {
		unit := [...]time.Duration{time.Nanosecond, time.Microsecond, time.Millisecond, time.Second}[precision%4]
		before := bytes.Clone(body)
		p := wire.NewParser(wire.Limits{})
		rows, bad := p.Parse(body, unit, 99)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if len(rows)+p.Rejected() != p.Lines() || len(bad) > p.Rejected() {
			t.Fatalf("%d rows + %d rejected (%d described) of %d lines", len(rows), p.Rejected(), len(bad), p.Lines())
		}
		last := 0
		for _, r := range rows {
			if len(r.Fields) == 0 || r.Line <= last || r.Line > 1+bytes.Count(body, []byte("\n")) {
				t.Fatalf("row %+v after line %d", r, last)
			}
			last = r.Line
		}
		got := showRows(t, rows)
		want, err := decode(body, unit)
		var portions []string
		p.Reset(body, unit, 99)
		for more := true; more; {
			var part []wire.Row
			part, _, more = p.Next(1)
			portions = append(portions, showRows(t, part)...)
		}
		if g, w := strings.Join(portions, "\n"), strings.Join(got, "\n"); g != w {
			t.Fatalf("in portions: %s\nat once:     %s", g, w)
		}
		switch {
		case err == nil && len(bad) > 0:
			for _, b := range bad {
				if !strings.Contains(b.Reason, "twice") && !strings.Contains(b.Reason, "more than") &&
					!strings.Contains(b.Reason, "longer than") && !bytes.ContainsAny(body, "xX") {
					t.Fatalf("we refuse line %d (%s) which the reference takes: %q", b.Line, b.Reason, body)
				}
			}
		case err != nil && len(bad) == 0:
			if !bytes.Contains(body, []byte("#")) {
				t.Fatalf("we take what the reference refuses (%v): %q", err, body)
			}
		case err == nil:
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Fatalf("body %q\ngot  %s\nwant %s", body, g, w)
			}
		}
	})
}

// decode reads body with the reference decoder; err is its first complaint.
func decode(body []byte, unit time.Duration) (out []string, err error) {
	precision := map[time.Duration]lineprotocol.Precision{time.Nanosecond: lineprotocol.Nanosecond,
		time.Microsecond: lineprotocol.Microsecond, time.Millisecond: lineprotocol.Millisecond, time.Second: lineprotocol.Second}[unit]
	d := lineprotocol.NewDecoderWithBytes(body)
	for d.Next() {
		m, err := d.Measurement()
		if err != nil {
			return nil, err
		}
		name := string(m)
		var tags probes.Tags
		for {
			k, v, err := d.NextTag()
			if err != nil {
				return nil, err
			}
			if k == nil {
				break
			}
			tags = tags.With(string(k), string(v))
		}
		var fields []probes.Field
		for {
			k, v, err := d.NextField()
			if err != nil {
				return nil, err
			}
			if k == nil {
				break
			}
			f := probes.Field{Key: string(k)}
			switch v.Kind() {
			case lineprotocol.Int:
				f.Type, f.Num = probes.TypeInt, float64(v.IntV())
			case lineprotocol.Uint:
				f.Type, f.Num = probes.TypeInt, float64(v.UintV())
			case lineprotocol.Float:
				f.Type, f.Num = probes.TypeFloat, v.FloatV()
			case lineprotocol.Bool:
				f = probes.Bool(f.Key, v.BoolV())
			case lineprotocol.String:
				f.Type, f.Str = probes.TypeString, v.StringV()
			}
			fields = append(fields, f)
		}
		if len(fields) == 0 {
			return nil, fmt.Errorf("no fields")
		}
		missing := time.Unix(0, 42*int64(time.Hour)) // a multiple of every precision, which the decoder truncates to
		at, err := d.Time(precision, missing)
		if err != nil {
			return nil, err
		}
		ns := at.UnixNano()
		if at.Equal(missing) {
			ns = 99
		}
		out = append(out, show(name, tags, fields, ns))
	}
	return out, d.Err()
}

// FuzzAppend: whatever a point holds, the encoder's line is one good line or nothing.
func FuzzAppend(f *testing.F) {
	f.Add("m", "k", "v", "f", "text", 1.5, int64(5))
	f.Add("#m\\", "k=,", "v\\", "f \\", "a\nb\"\\", 1e300, int64(-1))
	f.Add(" ", "\n", "\xff", "\x00", "\\", -0.0, int64(0))
	f.Fuzz(func(t *testing.T, m, k, v, key, text string, num float64, at int64) {
		p := probes.Point{Measurement: m, Tags: probes.Tags{{Key: k, Value: v}}, Time: time.Unix(0, at), Fields: []probes.Field{
			probes.String(key, text), probes.Float(key+"2", num), {Key: "i", Type: probes.TypeInt, Num: num}, probes.Bool("b", true)}}
		line := wire.Append(nil, &p)
		if len(m)+len(k)+len(v)+len(key) > 100 || len(line) == 0 {
			return
		}
		rows, bad := wire.NewParser(wire.Limits{}).Parse(line, 0, at)
		if len(rows) != 1 || len(bad) > 0 || rows[0].Time != at || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("%q: rows %v, bad %v", line, rows, bad)
		}
		for _, f := range rows[0].Fields {
			if string(f.Key) == key+"2" && f.Type == probes.TypeFloat && f.Num != num {
				t.Fatalf("%v came back as %v", num, f.Num)
			}
		}
	})
}
