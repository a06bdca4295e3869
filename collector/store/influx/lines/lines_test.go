package lines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
	"communewatch/probes"
	"communewatch/probes/wire"
)

func nobody(context.Context, string) (map[string]lines.Class, error) { return nil, nil }

var always = lines.Rules{Oldest: math.MinInt64, Newest: math.MaxInt64}

func encode(t testing.TB, e *lines.Encoder, rows []wire.Row, rules lines.Rules) *lines.Batch {
	t.Helper()
	var b lines.Batch
	if err := e.Encode(context.Background(), &b, rows, &rules); err != nil {
		t.Fatal(err)
	}
	return &b
}

func parse(t testing.TB, body string) []wire.Row {
	t.Helper()
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse([]byte(body), time.Nanosecond, 0)
	if len(bad) > 0 {
		t.Fatalf("%+v", bad)
	}
	return rows
}

func TestEncode(t *testing.T) {
	e := lines.NewEncoder(nobody)
	rows := parse(t, "m,z=1,a=Tích\\ Sơn i=3i,f=0.05,big=1e300,yes=true,s=\"a \\\"b\\\\\" -1\nm,a=x f=-0,i=2 1999999\n")
	for range 2 { // with unknown and with known series
		b := encode(t, e, rows, always)
		want := "m,a=Tích\\ Sơn,z=1 i=3,f=0.05,big=1e+300,yes=1,s=\"a \\\"b\\\\\" -1\nm,a=x f=-0,i=2 1\n"
		if string(b.Body) != want || len(b.Rejected) > 0 || b.Values != 7 || string(b.Line(1, 2)) != want[strings.Index(want, "\n")+1:] {
			t.Errorf("got %s%+v\nwant %s", b.Body, b, want)
		}
	}
}

func TestEncodeRejects(t *testing.T) {
	asked := 0
	e := lines.NewEncoder(func(_ context.Context, m string) (map[string]lines.Class, error) {
		asked++
		return map[string]lines.Class{"text": lines.Text, "number": lines.Number}, nil
	})
	rules := lines.Rules{Oldest: 1000, Newest: 2000, TooOld: "old", Ahead: "ahead", Apart: true}
	field := func(key string, v float64) []wire.Field { return []wire.Field{{Key: []byte(key), Num: v}} }
	for i, c := range []struct {
		key    string
		fields []wire.Field
		ms     int64
		want   string
	}{
		{"m", field("v", 1), 999, "old"},
		{"m", field("v", 1), 2001, "ahead"},
		{"m", nil, 1500, "no fields"},
		{"", field("v", 1), 1500, "series key"},
		{"m,a", field("v", 1), 1500, "series key"},
		{"m,a=1,a=2", field("v", 1), 1500, "twice"},
		{"m\nm,b=1", field("v", 1), 1500, "series key"},
		{"#m", field("v", 1), 1500, "begin with #"},
		{"m,time=1", field("v", 1), 1500, "time is reserved"},
		{"m,_field=1", field("v", 1), 1500, "_field is reserved"},
		{"m,a=\uf05c", field("v", 1), 1500, "U+F05C"},
		{"m", field("time", 1), 1500, "time is reserved"},
		{"m", field("", 1), 1500, "without a key"},
		{"m", field("a\nb", 1), 1500, "control characters"},
		{"m", field("v", math.Inf(-1)), 1500, "not a finite number"},
		{"m", field("text", 1), 1500, `field type conflict: field "text" is a number here but was a text before`},
		{"m,a=1,number=3", field("number", 1), 1500, "is a tag too"},
		{"m,a=\\,number=3", nil, 1500, "no fields"},
	} {
		b := encode(t, e, []wire.Row{{Key: []byte("m"), Fields: field("number", 1), Time: 1500e6}, {Key: []byte(c.key), Fields: c.fields, Time: c.ms * 1e6}}, rules)
		if len(b.Rejected) != 1 || b.Rejected[0].Index != 1 || !strings.Contains(b.Rejected[0].Reason, c.want) || string(b.Body) != "m number=1 1500\n" {
			t.Errorf("case %d: %+v %q, want row 1 rejected: %s", i, b.Rejected, b.Body, c.want)
		}
	}
	if asked != 1 {
		t.Errorf("the database was asked %d times for the fields of one measurement", asked)
	}
	away := lines.NewEncoder(func(context.Context, string) (map[string]lines.Class, error) { return nil, errors.New("away") })
	if err := away.Encode(t.Context(), new(lines.Batch), []wire.Row{{Key: []byte("m"), Fields: field("v", 1)}}, &always); err == nil {
		t.Error("nobody answers for the fields: no error")
	}
}

// FuzzNames: what lies in the database is the name again, and no backslash stands where servers read it in two ways.
func FuzzNames(f *testing.F) {
	for _, s := range []string{`a\b`, `a\\b`, `a\ b`, `\`, `a\,b\=c\"`, "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\uf05c") {
			return
		}
		stored := lines.Stored(s)
		if lines.Named(stored) != s {
			t.Fatalf("%q became %q and that %q", s, stored, lines.Named(stored))
		}
		for _, bad := range []string{`\\`, `\,`, `\ `, `\=`, `\"`} {
			if strings.Contains(stored, bad) || strings.HasSuffix(stored, `\`) {
				t.Fatalf("%q became %q", s, stored)
			}
		}
	})
}

// FuzzEncode: whatever rows hold that a parser takes, each is one line, and a parser reads from it what went in.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("m,a=b f=1 5\n"))
	f.Add([]byte(`m\,\ x,k\=\ x=v\, f\ \==1,s="a` + "\n" + `b\"\\" 7`))
	f.Add([]byte(`m,a=x\\y,b=x\ y f\\g=1,"=2` + "\nm v=2\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, _ := wire.NewParser(wire.Limits{}).Parse(body, time.Millisecond, 99e6)
		if len(rows) > 100 {
			return
		}
		b := encode(t, lines.NewEncoder(nobody), rows, always)
		if len(b.Rows)+len(b.Rejected) != len(rows) || len(b.Ends) != len(b.Rows) {
			t.Fatalf("%d lines and %d rejected of %d rows", len(b.Rows), len(b.Rejected), len(rows))
		}
		again, bad := wire.NewParser(wire.Limits{}).Parse(b.Body, time.Millisecond, -1)
		if len(bad) > 0 || len(again) != len(b.Rows) {
			t.Fatalf("%d lines read as %d rows, %+v: %q", len(b.Rows), len(again), bad, b.Body)
		}
		for i, r := range again {
			was := rows[b.Rows[i]]
			key, err1 := wire.ParseKey(was.Key)
			now, err2 := wire.ParseKey(r.Key)
			for j, tag := range now.Tags {
				now.Tags[j] = probes.Tag{Key: lines.Named(tag.Key), Value: lines.Named(tag.Value)}
			}
			now.Measurement = lines.Named(now.Measurement)
			same := err1 == nil && err2 == nil && now.Measurement == key.Measurement && len(now.Tags) == len(key.Tags) && len(r.Fields) == len(was.Fields)
			for _, tag := range key.Tags {
				same = same && now.Tags.Get(tag.Key) == tag.Value
			}
			for j := range r.Fields {
				if same {
					a, b := &r.Fields[j], &was.Fields[j]
					same = lines.Named(string(a.Key)) == string(b.Key) && a.Num == b.Num && bytes.Equal(a.Str, b.Str)
				}
			}
			if line := b.Line(i, i+1); !same || lines.TimeOf(line) != lines.FloorMillis(was.Time) || lines.MeasurementOf(line) != key.Measurement {
				t.Fatalf("row %q %+v became %q", was.Key, was.Fields, line)
			}
		}
	})
}

// Windows come back as they were put: all kinds, odd names, and without what a window before had.
func TestWindowsRoundTrip(t *testing.T) {
	sketch := new(rollup.Sketch)
	for i := range 100 {
		sketch.Add(float64(i) / 7)
	}
	r := rollup.Row{Measurement: "icmp", Tags: probes.Tags{{Key: "site", Value: "Tích Sơn"}}, Start: 1700000000000, Fields: []rollup.Field{
		{Key: "a,b", Value: rollup.Aggregate{Count: 3, Sum: 0.1 + 0.2, Min: -1e-300, Max: 1e300}},
		{Key: "a_count", Value: rollup.Aggregate{Count: 1 << 53, Sum: math.Copysign(0, -1)}},
		{Key: "none", Value: rollup.Aggregate{}},
		{Key: "outcome_timeout", Value: rollup.Aggregate{Total: true, Sum: 7}},
		{Key: "rtt", Value: rollup.Aggregate{Count: 100, Sum: 5, Min: 0, Max: 99.0 / 7, Sketch: sketch}},
		{Key: "zero", Value: rollup.Aggregate{Total: true}},
	}}
	line, err := lines.EncodeWindow(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	row := parse(t, string(line))[0]
	chunk := influxql.Chunk{Rows: 1}
	add := func(key string, f *wire.Field) {
		col := influxql.Column{Kinds: []influxql.Kind{influxql.Number}, Numbers: []float64{f.Num}, Texts: []string{string(f.Str)}}
		if f.Type == probes.TypeString {
			col.Kinds[0] = influxql.Text
		}
		chunk.Names, chunk.Columns = append(chunk.Names, key), append(chunk.Columns, col)
	}
	for i := range row.Fields {
		add(string(row.Fields[i].Key), &row.Fields[i])
	}
	add("of_before_total", &wire.Field{Num: 5}) // a window before had it
	add("strange", &wire.Field{Num: 5})
	got := lines.NewWindows(&chunk, nil).Row(0)
	if text(got) != text(r.Fields) {
		t.Errorf("%s\n got %s\nwant %s", line, text(got), text(r.Fields))
	}
	if got := lines.NewWindows(&chunk, []string{"rtt"}).Row(0); text(got) != text(r.Fields[4:5]) {
		t.Errorf("rtt alone: %s", text(got))
	}
	r.Fields[0].Value.Max = math.NaN()
	if line, err := lines.EncodeWindow([]byte("x"), &r); err == nil || string(line) != "x" {
		t.Errorf("not finite: %v %q", err, line)
	}
}

func text(fields []rollup.Field) string {
	var b strings.Builder
	for _, f := range fields {
		a := f.Value
		fmt.Fprintf(&b, "%s %v %d %x %x %x", f.Key, a.Total, a.Count, math.Float64bits(a.Sum), math.Float64bits(a.Min), math.Float64bits(a.Max))
		if a.Sketch != nil {
			b.WriteString(a.Sketch.Text())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func BenchmarkEncode(b *testing.B) {
	var body []byte
	for i := range 1000 {
		body = wire.Append(body, &probes.Point{Measurement: "icmp", Time: time.Unix(1700000000, 0), Tags: probes.Tags{
			{Key: "agent", Value: "a1"}, {Key: "path", Value: "broadband"}, {Key: "site", Value: fmt.Sprintf("s%05d", i)}, {Key: "target", Value: "anchor"}},
			Fields: []probes.Field{probes.Int("sent", 20), probes.Int("received", 19), probes.Int("lost", 1), probes.Float("loss_ratio", 0.05),
				probes.Float("rtt_min_seconds", 0.012345+float64(i)/1e6), probes.Float("rtt_median_seconds", 0.013456789), probes.Float("rtt_p95_seconds", 0.02),
				probes.Float("rtt_max_seconds", 0.031), probes.Float("jitter_seconds", 0.000123)}})
	}
	rows := parse(b, string(body))
	e := lines.NewEncoder(nobody)
	var batch lines.Batch
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := e.Encode(b.Context(), &batch, rows, &always); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
}

// While the database is asked for fields, nobody waits for it who need not: not who forgets them, not who gave up.
func TestAskingHoldsNobodyUp(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan map[string]lines.Class)
	e := lines.NewEncoder(func(context.Context, string) (map[string]lines.Class, error) {
		asked <- struct{}{}
		return <-answer, nil
	})
	rows := parse(t, "m,a=x v=1 1000000\n")
	first := make(chan *lines.Batch)
	go func() {
		var b lines.Batch
		if err := e.Encode(context.Background(), &b, rows, &always); err != nil {
			t.Error(err)
		}
		first <- &b
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() { gaveUp <- e.Encode(ctx, new(lines.Batch), rows, &always) }()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	e.ForgetFields()
	e.Forget("m")
	answer <- map[string]lines.Class{"v": lines.Text} // of a database that is another one by now
	<-asked
	answer <- map[string]lines.Class{"v": lines.Number}
	if b := <-first; len(b.Rejected) != 0 || string(b.Body) != "m,a=x v=1 1\n" {
		t.Errorf("got %s%+v", b.Body, b.Rejected)
	}
}
