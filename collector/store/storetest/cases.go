package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/storetest/rolledtest"
	"communewatch/probes"
	"communewatch/probes/wire"
)

func fieldTypes(t *testing.T, b *bench) {
	at := b.at(time.Minute)
	b.append(probes.Point{Measurement: "m", Time: at, Fields: []probes.Field{
		probes.Float("f", -1.5e-7), probes.Int("i", -1<<53), probes.Bool("yes", true), probes.Bool("no", false),
		probes.String("s", "connection refused"), probes.Float("zero", 0), probes.Float("big", 1.7976931348623157e308),
	}})
	got := b.sel(b.all("m"))
	for field, want := range map[string]float64{"f": -1.5e-7, "i": -1 << 53, "yes": 1, "no": 0, "zero": 0, "big": 1.7976931348623157e308} {
		equal(t, field, got[field].Values, []float64{want})
		equal(t, field+" time", got[field].Times, millis(at))
	}
	equal(t, "s", got["s"].Texts, []string{"connection refused"})
	equal(t, "number of series", len(got), 7)
}

func awkwardText(t *testing.T, b *bench) {
	at := b.at(time.Minute)
	for i, s := range rolledtest.Awkward {
		b.append(probes.Point{Measurement: "m", Tags: probes.Tags{{Key: "n", Value: fmt.Sprint(i)}, {Key: "name", Value: s}},
			Time: at, Fields: []probes.Field{probes.Float("v", float64(i)), probes.String("s", s)}})
		// A measurement of their own, because some engines don't let one have further tags.
		b.append(probes.Point{Measurement: fmt.Sprint("keys", i), Tags: probes.Tags{{Key: "k" + s, Value: "x"}},
			Time: at, Fields: []probes.Field{probes.Float("v"+s, float64(i))}})
		b.append(probes.Point{Measurement: "m" + s, Time: at, Fields: []probes.Field{probes.Float("v", float64(i))}})
	}
	for i, s := range rolledtest.Awkward {
		q := b.all("m")
		q.Tags = map[string]string{"name": s}
		got := b.sel(q)
		tags := fmt.Sprintf(" n=%d name=%s", i, s)
		equal(t, "number of series of "+s, len(got), 2)
		equal(t, "v of "+s, got["v"+tags].Values, []float64{float64(i)})
		equal(t, "s of "+s, got["s"+tags].Texts, []string{s})

		q = b.all(fmt.Sprint("keys", i))
		q.Fields, q.Tags = []string{"v" + s}, map[string]string{"k" + s: "x"}
		got = b.sel(q)
		equal(t, "keys with "+s, got["v"+s+" k"+s+"=x"].Values, []float64{float64(i)})
		equal(t, "measurement m"+s, b.one(b.all("m"+s)).Values, []float64{float64(i)})
	}
}

func milliseconds(t *testing.T, b *bench) {
	at := b.at(time.Minute)
	ns := at.UnixNano() + 999_999
	if err := b.s.Append(t.Context(), Parse(t, fmt.Sprintf("m v=1 %d\n", ns))); err != nil {
		t.Fatal(err)
	}
	times, _ := b.values()
	equal(t, "time", times, millis(at))
}

func halfOpen(t *testing.T, b *bench) {
	from := b.at(time.Hour)
	for i := range 4 {
		b.append(point(from.Add(time.Duration(i)*time.Second), float64(i)))
	}
	q := b.all("m")
	q.From, q.To = from.Add(time.Second), from.Add(3*time.Second)
	equal(t, "values", b.one(q).Values, []float64{1, 2})
	q.From = q.From.Add(time.Microsecond) // the point is before it now
	q.To = q.To.Add(time.Microsecond)     // and this one is not any more after it
	equal(t, "values with finer bounds", b.one(q).Values, []float64{2, 3})
	q.To = q.From
	equal(t, "series of an empty range", len(b.sel(q)), 0)
	q.To = q.From.Add(-time.Hour)
	equal(t, "series of a reversed range", len(b.sel(q)), 0)
}

func samePointTwice(t *testing.T, b *bench) {
	p := point(b.at(time.Minute), 7)
	p.Fields = append(p.Fields, probes.String("s", "text"))
	b.append(p)
	b.append(p)
	b.append(p, p)
	got := b.sel(b.all("m"))
	equal(t, "values", got["v site=s1"].Values, []float64{7})
	equal(t, "texts", got["s site=s1"].Texts, []string{"text"})
	err := b.s.Windows(t.Context(), b.all("m"), time.Hour, func(w store.WindowSeries) error {
		equal(t, "count", w.Windows[0].Count, 1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// replayAnyOrder sends everything up to four times, in pieces and out of order, as spools do after an outage.
func replayAnyOrder(t *testing.T, b *bench) {
	rng := rand.New(rand.NewPCG(1, 2))
	var points []probes.Point
	var times []int64
	var want []float64
	for i := range 3000 {
		at := b.at(30 * time.Hour).Add(time.Duration(i) * 30 * time.Second)
		points = append(points, point(at, float64(i%7)))
		times, want = append(times, at.UnixMilli()), append(want, float64(i%7))
	}
	for range 4 {
		for _, i := range rng.Perm(30) {
			b.append(points[i*100 : i*100+100]...)
		}
	}
	got, values := b.values()
	equal(t, "times", got, times)
	equal(t, "values", values, want)
}

func otherValue(t *testing.T, b *bench) {
	for _, late := range []time.Duration{time.Minute, 5 * time.Hour, 50 * time.Hour} {
		b.append(point(b.at(late), 1))
		b.append(point(b.at(late), 2))
	}
	_, values := b.values()
	if len(values) != 3 {
		t.Errorf("got values %v, want one for each of the 3 times", values)
	}
	for _, v := range values {
		if v != 1 && v != 2 {
			t.Errorf("got value %v, want one that was written", v)
		}
	}
}

func lateRows(t *testing.T, b *bench) {
	b.append(point(b.at(0), 0))
	var times []int64
	var want []float64
	for _, days := range []int{3, 1, 6, 2, 5, 4} {
		for h := range 20 {
			at := b.at(time.Duration(days)*24*time.Hour + time.Duration(h)*time.Hour)
			b.append(point(at, float64(days*100+h)))
		}
	}
	for days := 6; days > 0; days-- {
		for h := 19; h >= 0; h-- {
			times = append(times, b.at(time.Duration(days)*24*time.Hour+time.Duration(h)*time.Hour).UnixMilli())
			want = append(want, float64(days*100+h))
		}
	}
	got, values := b.values()
	equal(t, "times", got, append(times, b.at(0).UnixMilli()))
	equal(t, "values", values, append(want, 0))
}

func newestFirst(t *testing.T, b *bench) {
	const n = 500
	want := make([]float64, n)
	for i := range n {
		b.append(point(b.at(time.Duration(i)*10*time.Minute), float64(i)))
		want[n-1-i] = float64(i)
	}
	_, values := b.values()
	equal(t, "values", values, want)
}

func otherFields(t *testing.T, b *bench) {
	for i := range 12 {
		p := point(b.at(time.Hour).Add(time.Duration(i)*time.Second), float64(i))
		p.Fields = nil
		for f := range 4 {
			if k := (f + i) % 4; i%(k+1) == 0 { // other fields in other orders
				p.Fields = append(p.Fields, probes.Int(fmt.Sprint("f", k), int64(i)))
			}
		}
		b.append(p)
	}
	got := b.sel(b.all("m"))
	equal(t, "f0", len(got["f0 site=s1"].Values), 12)
	equal(t, "f1", got["f1 site=s1"].Values, []float64{0, 2, 4, 6, 8, 10})
	equal(t, "f2", got["f2 site=s1"].Values, []float64{0, 3, 6, 9})
	equal(t, "f3", got["f3 site=s1"].Values, []float64{0, 4, 8})
}

func outOfWindow(t *testing.T, b *bench) {
	old := b.LateWindow + time.Hour
	for range 2 { // with unknown and with known series
		rejected := b.rejected(point(b.at(0), 1), point(b.at(old), 2), point(b.at(time.Hour), 3), point(b.at(2*old), 4))
		if len(rejected) != 2 || rejected[0].Index != 1 || rejected[1].Index != 3 {
			t.Fatalf("rejected %+v, want rows 1 and 3", rejected)
		}
		for _, r := range rejected {
			if !strings.Contains(r.Reason, "older than") {
				t.Errorf("reason %q does not say that the row is too old", r.Reason)
			}
		}
	}
	_, values := b.values()
	equal(t, "values", values, []float64{3, 1})
	b.append(point(b.at(b.LateWindow-time.Minute), 5)) // just within
}

func slightlyAhead(t *testing.T, b *bench) {
	b.append(point(b.Now.Add(2*time.Minute), 3))
	b.append(point(b.at(0), 2))
	b.append(point(b.at(b.LateWindow-time.Minute), 1))
	_, values := b.values()
	equal(t, "values", values, []float64{1, 2, 3})
}

func farFuture(t *testing.T, b *bench) {
	b.append(point(b.at(time.Minute), 2))
	for _, ahead := range []time.Duration{25 * time.Hour, 100 * 365 * 24 * time.Hour} {
		if r := b.rejected(point(b.Now.Add(ahead), 9)); !strings.Contains(r[0].Reason, "ahead") {
			t.Errorf("reason %q does not say that the row is ahead of the clock", r[0].Reason)
		}
	}
	b.append(point(b.at(b.LateWindow-time.Minute), 1))
	b.append(point(b.at(0), 3))
	_, values := b.values()
	equal(t, "values", values, []float64{1, 2, 3})
}

func typeConflict(t *testing.T, b *bench) {
	number := point(b.at(time.Minute), 1)
	text := point(b.at(time.Second), 1)
	text.Fields = []probes.Field{probes.String("v", "text")}
	b.append(number)
	for range 2 {
		r := b.rejected(text)
		if !strings.Contains(r[0].Reason, "conflict") || !strings.Contains(r[0].Reason, "v") {
			t.Errorf("reason %q does not name the field and the conflict", r[0].Reason)
		}
		b.close()
		b.open() // a restart forgets nothing
	}
	// Numbers of all types are one class: Telegraf sends 1 as float and as integer.
	number.Time, number.Fields = b.at(0), []probes.Field{probes.Int("v", 2)}
	b.append(number)
	_, values := b.values()
	equal(t, "values", values, []float64{1, 2})
}

func brokenRows(t *testing.T, b *bench) {
	at := b.at(time.Minute).UnixNano()
	field := []wire.Field{{Key: []byte("v"), Num: 1}}
	nan := 0.0
	nan /= nan
	rows := []wire.Row{
		{Key: []byte("m,site=s1"), Fields: field, Time: at},
		{Key: []byte("m,site=s1"), Time: at},
		{Key: []byte(""), Fields: field, Time: at},
		{Key: []byte("m,site"), Fields: field, Time: at},
		{Key: []byte("m,a=1,a=2"), Fields: field, Time: at},
		{Key: []byte("m,site=s1"), Fields: []wire.Field{{Key: []byte("v"), Num: nan}}, Time: at},
		{Key: []byte("m,site=s1"), Fields: field, Time: at + 1e9},
	}
	err := b.s.Append(t.Context(), rows)
	var partial *store.PartialError
	if !errors.As(err, &partial) {
		t.Fatalf("got %v, want a PartialError", err)
	}
	var indexes []int64
	for _, r := range partial.Rejected {
		indexes = append(indexes, int64(r.Index))
		if r.Reason == "" {
			t.Errorf("row %d: no reason", r.Index)
		}
	}
	equal(t, "rejected rows", indexes, []int64{1, 2, 3, 4, 5})
	_, values := b.values()
	equal(t, "values", values, []float64{1, 1})
}

// window sets a Window's fields in the order of a hand-written table.
func window(start time.Time, count int, sum, low, high, last, p95 float64) store.Window {
	return store.Window{Start: start.UnixMilli(), Count: count, Sum: sum, Min: low, Max: high, Last: last, P95: p95}
}

func (b *bench) windows(q store.Query, step time.Duration) map[string][]store.Window {
	b.t.Helper()
	got := map[string][]store.Window{}
	err := b.s.Windows(b.t.Context(), q, step, func(w store.WindowSeries) error {
		got[seriesName(w.Field, w.Tags)] = w.Windows
		return nil
	})
	if err != nil {
		b.t.Fatalf("windows: %v", err)
	}
	return got
}

func windowsByHand(t *testing.T, b *bench) {
	from := b.at(time.Hour)
	sec := func(s float64) time.Time { return from.Add(time.Duration(s * float64(time.Second))) }
	b.append(point(sec(-1), 99), // before the range
		point(sec(0), 3), point(sec(20), -1), point(sec(59.999), 4),
		point(sec(60), 5), // the first of the second window; the third is empty
		point(sec(239.999), 8), point(sec(240), 99))
	for i := range 40 { // a window of 1..40 in mixed order: 95 % of 40 is the 38th
		b.append(point(sec(180+float64(i)), float64((i*7)%40+1)))
	}
	text := point(sec(1), 0)
	text.Fields = []probes.Field{probes.String("s", "not a number")}
	b.append(text)
	q := b.all("m")
	q.From, q.To = from, sec(240)
	got := b.windows(q, time.Minute)
	equal(t, "number of series", len(got), 1)
	equal(t, "windows", got["v site=s1"], []store.Window{
		window(sec(0), 3, 6, -1, 4, 4, 4),
		window(sec(60), 1, 5, 5, 5, 5, 5),
		window(sec(180), 41, 828, 1, 40, 8, 38), // 41 values with the 8: the 39th is 38
	})
	q.From = sec(30) // windows move with From
	got = b.windows(q, time.Minute)
	equal(t, "moved windows", got["v site=s1"][0], window(sec(30), 2, 9, 4, 5, 5, 5))
}

func windowsAgainstModel(t *testing.T, b *bench) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 8 {
		m := fmt.Sprint("m", round)
		model := map[int64]float64{}
		var points []probes.Point
		for range rng.IntN(900) + 1 {
			at := b.at(time.Duration(rng.Int64N(int64(60 * time.Hour))))
			v := float64(rng.IntN(2000)-1000) / 8
			if _, there := model[at.UnixMilli()]; there {
				continue
			}
			model[at.UnixMilli()] = v
			p := point(at, v)
			p.Measurement = m
			points = append(points, p)
		}
		for c := range slices.Chunk(points, 1+rng.IntN(200)) {
			b.append(c...)
		}
		for range 4 {
			step := time.Duration(rng.IntN(20_000_000)+1000) * time.Millisecond
			q := b.all(m)
			q.From, q.To = b.at(time.Duration(rng.Int64N(int64(60*time.Hour)))), b.at(time.Duration(rng.Int64N(int64(10*time.Hour))))
			equal(t, fmt.Sprintf("windows of %v from %v to %v", step, q.From, q.To),
				b.windows(q, step)["v site=s1"], naiveWindows(model, q, step))
		}
	}
}

// naiveWindows is what Windows does, in the plainest way.
func naiveWindows(model map[int64]float64, q store.Query, step time.Duration) []store.Window {
	var out []store.Window
	for start := q.From.UnixMilli(); start < q.To.UnixMilli(); start += step.Milliseconds() {
		var times []int64
		for at := range model {
			if at >= start && at < start+step.Milliseconds() && at < q.To.UnixMilli() {
				times = append(times, at)
			}
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		var values []float64
		w := store.Window{Start: start, Count: len(times)}
		for _, at := range times {
			values = append(values, model[at])
			w.Sum += model[at]
			w.Last = model[at]
		}
		slices.Sort(values)
		w.Min, w.Max = values[0], values[len(values)-1]
		w.P95 = values[(95*len(values)+99)/100-1]
		out = append(out, w)
	}
	return out
}

func badSteps(t *testing.T, b *bench) {
	b.append(point(b.at(time.Minute), 1))
	for _, step := range []time.Duration{0, -time.Second, time.Microsecond} {
		err := b.s.Windows(t.Context(), b.all("m"), step, func(store.WindowSeries) error { return nil })
		if err == nil {
			t.Errorf("windows of %v: no error", step)
		}
	}
}

// fleet stores one point for each of sites x targets.
func fleet(b *bench, sites, targets int) {
	for s := range sites {
		var points []probes.Point
		for n := range targets {
			points = append(points, probes.Point{Measurement: "icmp", Time: b.at(time.Minute),
				Tags: probes.Tags{{Key: "path", Value: string(probes.Paths()[n%3])}, {Key: "site", Value: fmt.Sprintf("s%05d", s)},
					{Key: "target", Value: fmt.Sprint("t", n)}},
				Fields: []probes.Field{probes.Float("loss_ratio", float64(s)), probes.Float("rtt_mean_seconds", float64(n))}})
		}
		b.append(points...)
	}
}

func tagFilters(t *testing.T, b *bench) {
	fleet(b, 5, 6)
	q := b.all("icmp")
	for _, c := range []struct {
		tags map[string]string
		want int
	}{
		{nil, 60},
		{map[string]string{"site": "s00002"}, 12},
		{map[string]string{"site": "s00002", "path": "lan"}, 4},
		{map[string]string{"target": "t3"}, 10},
		{map[string]string{"site": "s0000."}, 0}, // no patterns
		{map[string]string{"site": "S00002"}, 0},
		{map[string]string{"site": ""}, 0},
		{map[string]string{"nosuch": ""}, 60}, // an absent tag is an empty one
		{map[string]string{"nosuch": "x"}, 0},
		{map[string]string{"__name__": "icmp"}, 0},
		{map[string]string{"__field__": "loss_ratio"}, 0},
	} {
		q.Tags = c.tags
		equal(t, fmt.Sprint("series with ", c.tags), len(b.sel(q)), c.want)
	}
}

func fieldFilter(t *testing.T, b *bench) {
	fleet(b, 2, 2)
	q := b.all("icmp")
	for _, c := range []struct {
		fields []string
		want   int
	}{
		{[]string{"loss_ratio"}, 4}, {[]string{"loss_ratio", "rtt_mean_seconds"}, 8}, {[]string{"loss"}, 0}, {[]string{".*"}, 0},
		{[]string{"nosuch", "loss_ratio"}, 4}, {[]string{""}, 0}, {[]string{"loss_ratio|rtt_mean_seconds"}, 0},
	} {
		q.Fields = c.fields
		equal(t, fmt.Sprint("series of ", c.fields), len(b.sel(q)), c.want)
		equal(t, fmt.Sprint("window series of ", c.fields), len(b.windows(q, time.Hour)), c.want)
	}
}

func emptyResults(t *testing.T, b *bench) {
	equal(t, "series of an empty store", len(b.sel(b.all("m"))), 0)
	if err := b.s.Append(t.Context(), nil); err != nil {
		t.Errorf("append of nothing: %v", err)
	}
	if err := b.s.Sync(t.Context()); err != nil {
		t.Errorf("sync of an empty store: %v", err)
	}
	if st := b.s.Stats(); !st.Oldest.IsZero() || st.Series != 0 {
		t.Errorf("stats of an empty store: %+v", st)
	}
	b.append(point(b.at(time.Hour), 1))
	equal(t, "series of another measurement", len(b.sel(b.all("other"))), 0)
	q := b.all("m")
	q.From = b.at(time.Minute)
	equal(t, "series of a range without points", len(b.sel(q)), 0)
	equal(t, "windows of a range without points", len(b.windows(q, time.Minute)), 0)
	q.Measurement = ""
	if err := b.s.Select(t.Context(), q, func(store.Series) error { return nil }); err == nil {
		t.Error("query without a measurement: no error")
	}
}

func tooMany(t *testing.T, b *bench) {
	for i := range 10 {
		b.append(point(b.at(time.Duration(i)*time.Second), 1))
	}
	q := b.all("m")
	for _, c := range []struct {
		limit int
		want  error
	}{{0, nil}, {10, nil}, {11, nil}, {9, store.ErrTooMany}, {1, store.ErrTooMany}} {
		q.MaxPoints = c.limit
		if err := b.s.Select(t.Context(), q, func(store.Series) error { return nil }); !errors.Is(err, c.want) {
			t.Errorf("select of at most %d: got %v, want %v", c.limit, err, c.want)
		}
		if err := b.s.Windows(t.Context(), q, time.Hour, func(store.WindowSeries) error { return nil }); !errors.Is(err, c.want) {
			t.Errorf("windows of at most %d: got %v, want %v", c.limit, err, c.want)
		}
	}
}

func callerError(t *testing.T, b *bench) {
	fleet(b, 3, 3)
	stop := errors.New("enough")
	calls := 0
	err := b.s.Select(t.Context(), b.all("icmp"), func(store.Series) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("select: %d calls, then %v", calls, err)
	}
	calls = 0
	err = b.s.Windows(t.Context(), b.all("icmp"), time.Hour, func(store.WindowSeries) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("windows: %d calls, then %v", calls, err)
	}
}

func canceled(t *testing.T, b *bench) {
	fleet(b, 3, 3)
	ctx, cancel := context.WithCancel(t.Context())
	err := b.s.Select(ctx, b.all("icmp"), func(store.Series) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("select canceled under way: %v", err)
	}
	for name, err := range map[string]error{
		"append":  b.s.Append(ctx, Rows(t, point(b.at(0), 1))),
		"sync":    b.s.Sync(ctx),
		"windows": b.s.Windows(ctx, b.all("icmp"), time.Hour, func(store.WindowSeries) error { return nil }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a canceled context: %v", name, err)
		}
	}
	b.append(point(b.at(0), 2)) // the store itself goes on
}

func rowsNotKept(t *testing.T, b *bench) {
	p := point(b.at(time.Minute), 1)
	p.Fields = append(p.Fields, probes.String("s", "before"))
	rows := Rows(t, p)
	for i := range 3 {
		if err := b.s.Append(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			for _, r := range rows {
				for _, buf := range [][]byte{r.Key, r.Fields[0].Key, r.Fields[1].Key, r.Fields[1].Str} {
					for j := range buf {
						buf[j] = 'X'
					}
				}
			}
		}
	}
	b.append(p)
	got := b.sel(b.all("m"))
	equal(t, "number of series", len(got), 2)
	equal(t, "texts", got["s site=s1"].Texts, []string{"before"})
}
