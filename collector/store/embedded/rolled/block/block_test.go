package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"communewatch/collector/rollup"
)

// names numbers keys as they come.
type names struct{ keys []string }

func (n *names) number(key string) uint64 {
	i := slices.Index(n.keys, key)
	if i < 0 {
		i = len(n.keys)
		n.keys = append(n.keys, key)
	}
	return uint64(i)
}

func (n *names) name(number uint64) (string, bool, error) {
	if number >= uint64(len(n.keys)) {
		return "", false, fmt.Errorf("%w: no field has number %d", ErrDamaged, number)
	}
	return n.keys[number], true, nil
}

// text writes rows down to the last bit.
func text(rows []rollup.Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%d\n", r.Start)
		for _, f := range r.Fields {
			a := f.Value
			fmt.Fprintf(&b, "  %s %v %d %x %x %x", f.Key, a.Total, a.Count, math.Float64bits(a.Sum), math.Float64bits(a.Min), math.Float64bits(a.Max))
			if a.Sketch != nil {
				b.WriteString(" " + a.Sketch.Text())
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func check(t testing.TB, what string, rows []rollup.Row) []byte {
	t.Helper()
	var n names
	b, err := Append(nil, rows, n.number)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	got, err := Decode(b, n.name)
	if err != nil {
		t.Fatalf("%s: decode: %v", what, err)
	}
	if text(got) != text(rows) {
		t.Fatalf("%s: got\n%s\nwant\n%s", what, text(got), text(rows))
	}
	return b
}

var awkwardFloats = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.1, 0.3, 1.0 / 3, 12.345678901, -12.345678901, 1e-9, 3e-9, 1e9 + 1e-9, math.MaxFloat64, -math.MaxFloat64,
	math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 1 << 53, 1<<53 + 2, -1 << 62, 1e15, 1e22, 5e-324, 2.2250738585072014e-308, math.Pi,
}

func TestEveryBitComesBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	value := map[string]func() float64{
		"awkward":     func() float64 { return awkwardFloats[r.IntN(len(awkwardFloats))] },
		"any bits":    func() float64 { return anyFloat(r) },
		"nanoseconds": func() float64 { return float64(r.IntN(1e8)) / 1e9 },
		"sums": func() float64 {
			sum := 0.0
			for range r.IntN(100) {
				sum += float64(r.IntN(1e8)) / 1e9
			}
			return sum
		},
		"counts":   func() float64 { return float64(r.IntN(11)) },
		"constant": func() float64 { return 30 },
		"means":    func() float64 { return float64(r.IntN(1e8)) / 1e9 / 3 },
	}
	for name, v := range value {
		for range 25 {
			var rows []rollup.Row
			start := r.Int64N(1<<42) - 1<<41
			for range 1 + r.IntN(40) {
				row := rollup.Row{Start: start}
				start += 300_000 * (1 + r.Int64N(2))
				for f := range 5 {
					if r.IntN(4) == 0 {
						continue
					}
					var a rollup.Aggregate
					switch r.IntN(3) + f%2 {
					case 0:
						a = rollup.Aggregate{Total: true, Sum: v()}
					case 1:
						a = rollup.Aggregate{Count: r.Int64N(1 << r.IntN(62)), Sum: v(), Min: v(), Max: v()}
					default:
						a = rollup.Aggregate{Sketch: new(rollup.Sketch)}
						for range r.IntN(30) {
							a.Add(v())
						}
					}
					row.Fields = append(row.Fields, rollup.Field{Key: fmt.Sprint("f", f), Value: a})
				}
				rows = append(rows, row)
			}
			check(t, name, rows)
		}
	}
}

func anyFloat(r *rand.Rand) float64 {
	for {
		if f := math.Float64frombits(r.Uint64()); f-f == 0 {
			return f
		}
	}
}

// TestIntegersComeBack: columns of any integers, also those whose differences are no int64.
func TestIntegersComeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		v := make([]int64, 1+r.IntN(60))
		size := r.IntN(64)
		for i := range v {
			switch r.IntN(20) {
			case 0:
				v[i] = math.MinInt64
			case 1:
				v[i] = math.MaxInt64
			default:
				v[i] = int64(r.Uint64() >> size)
			}
		}
		var w writer
		w.integers(v)
		w.bits(5, 3)
		in := reader{b: w.end()}
		got := make([]int64, len(v))
		in.integers(got)
		if tail := in.bits(3); !slices.Equal(got, v) || tail != 5 || in.over() {
			t.Fatalf("got %v, want %v; then %d", got, v, tail)
		}
	}
}

func TestSomeFields(t *testing.T) {
	var n names
	rows := []rollup.Row{{Start: 1, Fields: []rollup.Field{{Key: "a", Value: rollup.Aggregate{Total: true, Sum: 3}}, {Key: "b", Value: rollup.Aggregate{Total: true, Sum: 4}}}},
		{Start: 2, Fields: []rollup.Field{{Key: "a", Value: rollup.Aggregate{Total: true, Sum: 5}}}}}
	b, err := Append(nil, rows, n.number)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b, func(i uint64) (string, bool, error) { return n.keys[i], n.keys[i] == "b", nil })
	if err != nil || len(got) != 2 || len(got[0].Fields) != 1 || got[0].Fields[0].Value.Sum != 4 || len(got[1].Fields) != 0 {
		t.Errorf("field b alone: %+v, %v", got, err)
	}
}

func TestWhatIsNoBlock(t *testing.T) {
	var n names
	good, err := Append(nil, []rollup.Row{{Start: 1, Fields: []rollup.Field{{Key: "a", Value: rollup.Aggregate{Total: true, Sum: 3}}}}}, n.number)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x10
		want := ErrDamaged
		if i == 0 {
			want = ErrForm
		}
		if _, err := Decode(bad, n.name); !errors.Is(err, want) {
			t.Errorf("byte %d of %d changed: %v, want %v", i, len(good), err, want)
		}
		if _, err := Decode(good[:i], n.name); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := Append(nil, nil, n.number); err == nil {
		t.Error("a block without windows: no error")
	}
	if _, err := Append(nil, make([]rollup.Row, MaxWindows+1), n.number); err == nil {
		t.Error("a block of too many windows: no error")
	}
}

// sealed puts form and checksum around a body, so that a fuzzer gets past them.
func sealed(body []byte) []byte {
	b := append([]byte{form}, body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// FuzzDecode: no body makes Decode panic or allocate without bound, and what it accepts can be written and read again.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 3))
	for size := range 6 {
		b := check(f, "seed", siteWindows(r, "icmp", 1+size*3, 10))
		f.Add(b[1 : len(b)-4])
	}
	name := func(number uint64) (string, bool, error) {
		if number > 40 {
			return "", false, fmt.Errorf("%w: number %d", ErrDamaged, number)
		}
		return fmt.Sprintf("f%02d", number), number%7 != 6, nil
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := Decode(sealed(body), name)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error %v is no ErrDamaged", err)
			}
			return
		}
		seen := map[string]bool{}
		for i := range rows {
			for j, field := range rows[i].Fields {
				if j > 0 && rows[i].Fields[j-1].Key >= field.Key {
					return // sections out of order, or one twice: nobody writes that
				}
				seen[field.Key] = true
			}
		}
		var n names
		b, err := Append(nil, rows, n.number)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		again, err := Decode(b, n.name)
		if err != nil || text(again) != text(rows) {
			t.Fatalf("what was read is not read again: %v", err)
		}
	})
}

// siteWindows are windows of five minutes or so of one check, as rollup.Fold makes them of runs every 30 s (perWindow
// of them) over a line that is neither quiet nor bad.
func siteWindows(r *rand.Rand, kind string, windows, perWindow int) []rollup.Row {
	const start = 1_764_000_000_000
	var rows []rollup.Row
	number := func(sketch bool, v func() float64) rollup.Aggregate {
		var a rollup.Aggregate
		if sketch {
			a.Sketch = new(rollup.Sketch)
		}
		for range perWindow {
			a.Add(v())
		}
		return a
	}
	// time is a length of time in whole nanoseconds, around so many milliseconds.
	time := func(ms, noise float64) func() float64 {
		return func() float64 { return math.Round(1e6*(ms+noise*math.Exp(r.NormFloat64()))) / 1e9 }
	}
	constant := func(v float64) func() float64 { return func() float64 { return v } }
	rare := func(v float64) func() float64 {
		return func() float64 {
			if r.IntN(200) == 0 {
				return v
			}
			return 0
		}
	}
	for w := range windows {
		row := rollup.Row{Start: start + int64(w*perWindow)*30_000}
		add := func(key string, a rollup.Aggregate) {
			row.Fields = append(row.Fields, rollup.Field{Key: key, Value: a})
		}
		switch kind {
		case "icmp":
			add("duplicates", number(false, constant(0)))
			add("jitter_seconds", number(true, time(0.05, 0.2)))
			add("longest_loss_run", number(false, rare(1)))
			add("loss_ratio", number(false, rare(0.1)))
			add("loss_runs", number(false, rare(1)))
			add("lost", number(false, rare(1)))
			add("received", number(false, constant(10)))
			add("reordered", number(false, constant(0)))
			add("rtt_max_seconds", number(false, time(13, 1)))
			add("rtt_mean_seconds", number(false, time(12, 0.2)))
			add("rtt_median_seconds", number(true, time(12, 0.2)))
			add("rtt_min_seconds", number(false, time(11.5, 0.1)))
			add("rtt_p95_seconds", number(true, time(12.5, 0.5)))
			add("send_errors", number(false, constant(0)))
			add("sent", number(false, constant(10)))
		case "check":
			add("interval_seconds", number(false, constant(30)))
			add("late_seconds", number(false, time(0, 0.05)))
			add("outcome_ok", rollup.Aggregate{Total: true, Sum: float64(perWindow)})
			add("path_proof_proved", rollup.Aggregate{Total: true, Sum: float64(perWindow)})
			add("took_seconds", number(false, time(2000, 2)))
			add("up", number(false, constant(1)))
		case "tcp":
			add("connect_seconds", number(true, time(12, 0.3)))
		}
		rows = append(rows, row)
	}
	return rows
}

// BenchmarkBlock says what windows of a day of five minutes, and of sixteen days of hours, take.
func BenchmarkBlock(b *testing.B) {
	for _, kind := range []string{"icmp", "check", "tcp"} {
		for _, c := range []struct {
			name               string
			windows, perWindow int
		}{{"5m", 288, 10}, {"1h", 384, 120}, {"5m of an hour", 12, 10}} {
			rows := siteWindows(rand.New(rand.NewPCG(4, 4)), kind, c.windows, c.perWindow)
			var n names
			blob, err := Append(nil, rows, n.number)
			if err != nil {
				b.Fatal(err)
			}
			perWindow := float64(len(blob)) / float64(len(rows))
			b.Run(kind+" "+c.name+"/write", func(b *testing.B) {
				for b.Loop() {
					if blob, err = Append(blob[:0], rows, n.number); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(perWindow, "B/window")
			})
			b.Run(kind+" "+c.name+"/read", func(b *testing.B) {
				for b.Loop() {
					if _, err := Decode(blob, n.name); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(perWindow, "B/window")
			})
		}
	}
}
