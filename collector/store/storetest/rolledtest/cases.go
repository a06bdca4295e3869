package rolledtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

var saigon = time.FixedZone("ICT", 7*3600)

// back returns the start of the nth window of a level before the one that now is in.
func (b *Bench) back(level rollup.Level, n int) time.Time {
	at := level.Start(b.Now, saigon)
	for range n {
		at = level.Start(at.Add(-time.Second), saigon)
	}
	return at
}

// rolledAll is a query for all windows of a level that the cases use.
func (b *Bench) rolledAll(level rollup.Level, measurement string) store.RollupQuery {
	span := 8 * 24 * time.Hour
	switch level {
	case rollup.Day:
		span = 320 * 24 * time.Hour
	case rollup.Month:
		span = 800 * 24 * time.Hour
	}
	return store.RollupQuery{Level: level, Measurement: measurement, From: b.Now.Add(-span), To: b.Now.Add(time.Hour)}
}

func (b *Bench) put(level rollup.Level, rows ...rollup.Row) {
	b.T.Helper()
	if err := b.S.PutRollups(b.T.Context(), level, rows); err != nil {
		b.T.Fatalf("put windows of %v: %v", level, err)
	}
}

// rolled runs a query and returns the windows of each series, described, by "measurement tag=value ...".
func (b *Bench) rolled(q store.RollupQuery) map[string][]string {
	b.T.Helper()
	got := map[string][]string{}
	err := b.S.Rollups(b.T.Context(), q, func(s store.RollupSeries) error {
		name := nameOf(s.Measurement, s.Tags)
		if _, twice := got[name]; twice {
			b.T.Errorf("series %s came twice", name)
		}
		if len(s.Rows) == 0 {
			b.T.Errorf("series %s came without windows", name)
		}
		for i := range s.Rows {
			r := &s.Rows[i]
			if i > 0 && r.Start <= s.Rows[i-1].Start {
				b.T.Errorf("series %s: window %d starts at %d, after one of %d", name, i, r.Start, s.Rows[i-1].Start)
			}
			if n := nameOf(r.Measurement, r.Tags); n != name {
				b.T.Errorf("series %s holds a window of %s", name, n)
			}
			got[name] = append(got[name], describe(r))
		}
		return nil
	})
	if err != nil {
		b.T.Fatalf("rollups: %v", err)
	}
	return got
}

// describe writes all of a window down, so that two are the same if their texts are.
func describe(r *rollup.Row) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s at %d:", nameOf(r.Measurement, r.Tags), r.Start)
	for i := range r.Fields {
		switch a := &r.Fields[i].Value; {
		case a.Total:
			fmt.Fprintf(&s, " %s total %v", r.Fields[i].Key, a.Sum)
		case a.Sketch != nil:
			fmt.Fprintf(&s, " %s %d %v %v..%v [%s]", r.Fields[i].Key, a.Count, a.Sum, a.Min, a.Max, a.Sketch.Text())
		default:
			fmt.Fprintf(&s, " %s %d %v %v..%v", r.Fields[i].Key, a.Count, a.Sum, a.Min, a.Max)
		}
	}
	return s.String()
}

// expect compares what a query finds with rows, which may be in any order.
func (b *Bench) expect(what string, q store.RollupQuery, rows ...rollup.Row) {
	b.T.Helper()
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(x, y rollup.Row) int { return int(x.Start - y.Start) })
	want := map[string][]string{}
	for i := range rows {
		name := nameOf(rows[i].Measurement, rows[i].Tags)
		want[name] = append(want[name], describe(&rows[i]))
	}
	got := b.rolled(q)
	for name, w := range want {
		if !slices.Equal(got[name], w) {
			b.T.Errorf("%s: windows of %s:\n got %s\nwant %s", what, name, strings.Join(got[name], "\n     "), strings.Join(w, "\n     "))
		}
	}
	for name := range got {
		if want[name] == nil {
			b.T.Errorf("%s: series %s should not be there: %s", what, name, strings.Join(got[name], "\n"))
		}
	}
}

// number is what is kept of some values, with a sketch or without.
func number(sketch bool, values ...float64) rollup.Aggregate {
	var a rollup.Aggregate
	if sketch {
		a.Sketch = new(rollup.Sketch)
	}
	for _, v := range values {
		a.Add(v)
	}
	return a
}

func total(sum float64) rollup.Aggregate { return rollup.Aggregate{Total: true, Sum: sum} }

// rolledRow makes a window of measurement m with the field v, which holds one number.
func rolledRow(at time.Time, site string, v float64) rollup.Row {
	return rollup.Row{Measurement: "m", Tags: probes.Tags{{Key: "site", Value: site}}, Start: at.UnixMilli(),
		Fields: []rollup.Field{{Key: "v", Value: number(false, v)}}}
}

func rolledKinds(t *testing.T, b *Bench) {
	var counted rollup.Aggregate
	for range 3000 {
		counted.Merge(&rollup.Aggregate{Count: 1 << 30, Sum: 1e17, Min: 1, Max: 1 << 29})
	}
	fields := []rollup.Field{
		{Key: "a", Value: number(false, 0.001)},
		{Key: "a_count", Value: total(3)}, // names that look like those an engine may make
		{Key: "a_count_total", Value: number(false, 2)},
		{Key: "a_sum", Value: number(true, 4, 5)},
		{Key: "counted", Value: counted},
		{Key: "distribution", Value: number(true, 0.0213, 0.0187, 0.32, 0.0213)},
		{Key: "extreme", Value: number(true, 1e-12, 1e15, -1e15, 1e300, -3e-9, 0)},
		{Key: "fraction", Value: number(false, 1.0/3, 0.1)},
		{Key: "negative", Value: number(true, -62.5, -1, 0, 3)},
		{Key: "no_sketch", Value: number(false, 7, -7)},
		{Key: "outcome_ok", Value: total(117)},
		{Key: "seconds", Value: total(3599.75)},
		{Key: "zero", Value: number(true, 0, 0)},
		{Key: "zero_total", Value: total(0)},
	}
	all := map[rollup.Level][]rollup.Row{}
	for _, level := range rollup.Levels() {
		for n := range 3 {
			all[level] = append(all[level], rollup.Row{Measurement: "kinds", Tags: probes.Tags{{Key: "level", Value: level.String()}, {Key: "site", Value: "s1"}},
				Start: b.back(level, n+1).UnixMilli(), Fields: fields[n : len(fields)-n]})
		}
		b.put(level, all[level]...)
	}
	for _, level := range rollup.Levels() {
		b.expect(level.String(), b.rolledAll(level, "kinds"), all[level]...)
	}
}

// rolledFold stores what Fold makes of rows, and reads it back.
func rolledFold(t *testing.T, b *Bench) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, level := range []rollup.Level{rollup.FiveMinutes, rollup.Hour, rollup.Day} {
		f := rollup.NewFold(level, saigon)
		for site := range 3 {
			tags := probes.Tags{{Key: "agent", Value: "a"}, {Key: "path", Value: "lan"}, {Key: "site", Value: fmt.Sprint("s", site)}, {Key: "target", Value: "t"}}
			var times []int64
			var rtt, lost []float64
			var outcomes []string
			for i := range 240 {
				times = append(times, b.back(rollup.Hour, 3).Add(time.Duration(i)*30*time.Second).UnixMilli())
				rtt = append(rtt, math.Exp(rng.NormFloat64()-4))
				lost = append(lost, float64(rng.IntN(3)))
				outcomes = append(outcomes, []string{"ok", "ok", "timeout"}[rng.IntN(3)])
			}
			f.Add("icmp", "rtt_median_seconds", tags, times, rtt, nil)
			f.Add("icmp", "lost", tags, times, lost, nil)
			f.Add("check", "outcome", tags, times, nil, outcomes)
		}
		rows := f.Rows()
		b.put(level, rows...)
		var icmp, check []rollup.Row
		for _, r := range rows {
			if r.Measurement == "icmp" {
				icmp = append(icmp, r)
			} else {
				check = append(check, r)
			}
		}
		b.expect("icmp", b.rolledAll(level, "icmp"), icmp...)
		b.expect("check", b.rolledAll(level, "check"), check...)
	}
}

func rolledAgain(t *testing.T, b *Bench) {
	at, other := b.back(rollup.Hour, 30), b.back(rollup.Hour, 29)
	first := rollup.Row{Measurement: "m", Tags: probes.Tags{{Key: "site", Value: "s1"}}, Start: at.UnixMilli(), Fields: []rollup.Field{
		{Key: "ok", Value: total(60)}, {Key: "v", Value: number(true, 1, 2, 3)}}}
	second := first
	second.Fields = []rollup.Field{{Key: "ok", Value: total(2)}, {Key: "v", Value: number(true, 9)}}
	stay := []rollup.Row{rolledRow(other, "s1", 4), rolledRow(at, "s2", 5)}
	b.put(rollup.Hour, append(stay, first)...)
	b.put(rollup.FiveMinutes, rolledRow(at, "s1", 6))
	elsewhere := rolledRow(at, "s1", 7)
	elsewhere.Measurement = "elsewhere"
	b.put(rollup.Hour, elsewhere)
	for range 3 {
		b.put(rollup.Hour, second)
		b.expect("put again", b.rolledAll(rollup.Hour, "m"), append(stay, second)...)
		b.put(rollup.Hour, first)
		b.expect("and again", b.rolledAll(rollup.Hour, "m"), append(stay, first)...)
	}
	b.expect("of another level", b.rolledAll(rollup.FiveMinutes, "m"), rolledRow(at, "s1", 6))
	b.expect("of another measurement", b.rolledAll(rollup.Hour, "elsewhere"), elsewhere)
}

func rolledFields(t *testing.T, b *Bench) {
	at := b.back(rollup.Hour, 9)
	row := func(n int, site string, keys ...string) rollup.Row {
		r := rolledRow(at.Add(time.Duration(n)*time.Hour), site, 0)
		r.Fields = nil
		for i, k := range keys {
			r.Fields = append(r.Fields, rollup.Field{Key: k, Value: number(k == "a", float64(i+n))})
		}
		return r
	}
	b.put(rollup.Hour, row(0, "s1", "a", "b", "c"), row(1, "s1", "b"), row(2, "s1", "a"), row(0, "s2", "c"))
	pick := func(r rollup.Row, at ...int) rollup.Row {
		var fields []rollup.Field
		for _, i := range at {
			fields = append(fields, r.Fields[i])
		}
		r.Fields = fields
		return r
	}
	q := b.rolledAll(rollup.Hour, "m")
	abc := row(0, "s1", "a", "b", "c")
	for _, c := range []struct {
		fields []string
		want   []rollup.Row
	}{
		{[]string{"a"}, []rollup.Row{pick(abc, 0), row(2, "s1", "a")}},
		{[]string{"c", "a"}, []rollup.Row{pick(abc, 0, 2), row(2, "s1", "a"), row(0, "s2", "c")}},
		{[]string{"b", "nosuch"}, []rollup.Row{pick(abc, 1), row(1, "s1", "b")}},
		{[]string{"nosuch"}, nil}, {[]string{".*"}, nil}, {[]string{""}, nil}, {[]string{"a_count"}, nil}, {[]string{"a_"}, nil},
	} {
		q.Fields = c.fields
		b.expect(fmt.Sprint("fields ", c.fields), q, c.want...)
		q.Measurement = ""
		b.expect(fmt.Sprint("fields of all ", c.fields), q, c.want...)
		q.Measurement = "m"
	}
}

func rolledAbove(t *testing.T, b *Bench) {
	at := b.back(rollup.Hour, 9)
	row := func(n int, site string, fields ...rollup.Field) rollup.Row {
		r := rolledRow(at.Add(time.Duration(n)*time.Hour), site, 0)
		r.Fields = fields
		return r
	}
	down := func(sum float64) rollup.Field { return rollup.Field{Key: "down", Value: total(sum)} }
	ok := rollup.Field{Key: "ok", Value: total(60)}
	b.put(rollup.Hour, row(0, "s1", down(0), ok), row(1, "s1", down(0.5), ok), row(2, "s1", ok), row(3, "s1", down(3600)),
		row(0, "s2", down(0)), row(4, "s3", rollup.Field{Key: "down", Value: number(false, 7)}), row(5, "s1", down(30), ok))
	b.put(rollup.Hour, row(5, "s1", down(0), ok)) // what it was before is gone
	q := b.rolledAll(rollup.Hour, "m")
	q.Above = "down"
	b.expect("above zero", q, row(1, "s1", down(0.5), ok), row(3, "s1", down(3600)))
	q.Fields = []string{"down"}
	b.expect("that field alone", q, row(1, "s1", down(0.5)), row(3, "s1", down(3600)))
	q.Measurement = ""
	b.expect("of all measurements", q, row(1, "s1", down(0.5)), row(3, "s1", down(3600)))
	for _, nosuch := range []string{"nosuch", "o", ".*"} {
		q.Above, q.Fields = nosuch, nil
		b.expect("above zero: "+nosuch, q)
	}
}

func rolledTags(t *testing.T, b *Bench) {
	at := b.back(rollup.Hour, 5)
	var rows []rollup.Row
	for site := range 4 {
		for n := range 6 {
			r := rolledRow(at, fmt.Sprint("s", site), float64(n))
			r.Tags = probes.Tags{{Key: "path", Value: string(probes.Paths()[n%3])}, {Key: "site", Value: fmt.Sprint("s", site)}, {Key: "target", Value: fmt.Sprint("t", n)}}
			rows = append(rows, r)
		}
	}
	for i, s := range Awkward {
		r := rolledRow(at, "s1", float64(i))
		r.Measurement, r.Tags = "awkward", probes.Tags{{Key: "n", Value: fmt.Sprint(i)}, {Key: "name", Value: s}}
		rows = append(rows, r)
	}
	b.put(rollup.Hour, rows...)
	q := b.rolledAll(rollup.Hour, "m")
	for _, c := range []struct {
		tags map[string]string
		want int
	}{
		{nil, 24}, {map[string]string{"site": "s2"}, 6}, {map[string]string{"site": "s2", "path": "lan"}, 2},
		{map[string]string{"target": "t3"}, 4}, {map[string]string{"site": "s."}, 0}, {map[string]string{"site": "S2"}, 0},
		{map[string]string{"site": ""}, 0}, {map[string]string{"nosuch": ""}, 24}, {map[string]string{"nosuch": "x"}, 0},
	} {
		q.Tags = c.tags
		equal(t, fmt.Sprint("series with ", c.tags), len(b.rolled(q)), c.want)
	}
	q.Measurement = "awkward"
	for i, s := range Awkward {
		q.Tags = map[string]string{"name": s}
		b.expect("name "+s, q, rows[24+i])
	}
}

func rolledRange(t *testing.T, b *Bench) {
	at := b.back(rollup.FiveMinutes, 50)
	var rows []rollup.Row
	for n := range 4 {
		rows = append(rows, rolledRow(at.Add(time.Duration(n)*5*time.Minute), "s1", float64(n)))
	}
	b.put(rollup.FiveMinutes, rows...)
	q := b.rolledAll(rollup.FiveMinutes, "m")
	q.From, q.To = at.Add(5*time.Minute), at.Add(15*time.Minute)
	b.expect("half-open range", q, rows[1], rows[2])
	q.From, q.To = q.From.Add(time.Microsecond), q.To.Add(time.Microsecond)
	b.expect("finer bounds", q, rows[2], rows[3])
	q.To = q.From
	b.expect("empty range", q)
	q.To = q.From.Add(-time.Hour)
	b.expect("reversed range", q)
}

func rolledAll(t *testing.T, b *Bench) {
	b.expect("empty store", b.rolledAll(rollup.Hour, ""))
	b.expect("empty store", b.rolledAll(rollup.Hour, "m"))
	at := b.back(rollup.Hour, 2)
	var rows []rollup.Row
	for _, m := range []string{"agent", "icmp", "line"} {
		for _, site := range []string{"s1", "s2"} {
			r := rolledRow(at, site, float64(len(rows)))
			r.Measurement = m
			rows = append(rows, r)
		}
	}
	b.put(rollup.Hour)
	b.put(rollup.Hour, rows...)
	b.expect("all measurements", b.rolledAll(rollup.Hour, ""), rows...)
	q := b.rolledAll(rollup.Hour, "")
	q.Tags = map[string]string{"site": "s2"}
	b.expect("all measurements of a site", q, rows[1], rows[3], rows[5])
	b.expect("another level", b.rolledAll(rollup.Day, ""))
	// Rows and windows know nothing of each other.
	rowsOf := store.Query{Measurement: "icmp", From: at.Add(-time.Hour), To: b.Now.Add(time.Hour)}
	if err := b.S.Select(t.Context(), rowsOf, func(store.Series) error { return errors.New("there are some") }); err != nil {
		t.Errorf("rows of what has windows alone: %v", err)
	}
}

func rolledTooMany(t *testing.T, b *Bench) {
	for n := range 5 {
		b.put(rollup.Hour, rolledRow(b.back(rollup.Hour, n+1), "s1", 1), rolledRow(b.back(rollup.Hour, n+1), "s2", 2))
	}
	q := b.rolledAll(rollup.Hour, "m")
	for _, c := range []struct {
		limit int
		want  error
	}{{0, nil}, {10, nil}, {11, nil}, {9, store.ErrTooMany}, {1, store.ErrTooMany}} {
		q.MaxRows = c.limit
		if err := b.S.Rollups(t.Context(), q, func(store.RollupSeries) error { return nil }); !errors.Is(err, c.want) {
			t.Errorf("at most %d windows: got %v, want %v", c.limit, err, c.want)
		}
	}
	q.MaxRows, q.Tags = 5, map[string]string{"site": "s2"}
	equal(t, "series of a site within the bound", len(b.rolled(q)), 1)
	q.MaxRows, q.Tags, q.To = 2, nil, b.back(rollup.Hour, 4)
	equal(t, "series of a range within the bound", len(b.rolled(q)), 2)
}

// rolledOrder puts windows in no order, in pieces, some of them twice.
func rolledOrder(t *testing.T, b *Bench) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, level := range rollup.Levels() {
		n := map[rollup.Level]int{rollup.FiveMinutes: 700, rollup.Hour: 160, rollup.Day: 290, rollup.Month: 20}[level]
		var rows []rollup.Row
		for i := range n {
			for site := range 2 {
				r := rolledRow(b.back(level, 0), fmt.Sprint("s", site), float64(i*2+site))
				rows = append(rows, r)
			}
		}
		at := b.back(level, 0)
		for i := n - 1; i >= 0; i-- {
			rows[2*i].Start, rows[2*i+1].Start = at.UnixMilli(), at.UnixMilli()
			at = level.Start(at.Add(-time.Second), saigon)
		}
		shuffled := slices.Clone(rows)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for part := range slices.Chunk(shuffled, len(shuffled)/7+1) {
			b.put(level, part...)
		}
		b.put(level, shuffled[:len(shuffled)/5]...)
		b.expect(level.String(), b.rolledAll(level, "m"), rows...)
	}
}

func rolledMany(t *testing.T, b *Bench) {
	const sites, targets = 136, 20
	at := b.back(rollup.Hour, 3)
	var rows []rollup.Row
	for site := range sites {
		for target := range targets {
			r := rolledRow(at, fmt.Sprintf("s%03d", site), float64(site*targets+target))
			r.Tags = append(r.Tags, probes.Tag{Key: "target", Value: fmt.Sprint("t", target)})
			next := r
			next.Start += time.Hour.Milliseconds()
			rows = append(rows, r, next)
		}
	}
	b.put(rollup.Hour, rows...)
	got := b.rolled(b.rolledAll(rollup.Hour, "m"))
	equal(t, "series", len(got), sites*targets)
	windows := 0
	for _, w := range got {
		windows += len(w)
	}
	equal(t, "windows", windows, len(rows))
	q := b.rolledAll(rollup.Hour, "m")
	q.Tags = map[string]string{"site": "s077"}
	equal(t, "series of one site", len(b.rolled(q)), targets)
}

// rolledConcurrent lets writers meet in the same series, at windows of their own, with readers beside them.
func rolledConcurrent(t *testing.T, b *Bench) {
	const writers, puts = 4, 12
	var wg, readers sync.WaitGroup
	var stop atomic.Bool
	want := make([][]rollup.Row, writers)
	newest := b.back(rollup.Hour, 1)
	for w := range writers {
		for n := range puts {
			for site := range 3 {
				want[w] = append(want[w], rolledRow(newest.Add(-time.Duration(n*writers+w)*time.Hour), fmt.Sprint("s", site), float64(w*1000+n)))
			}
		}
		wg.Go(func() {
			for part := range slices.Chunk(want[w], 3) {
				if err := b.S.PutRollups(context.Background(), rollup.Hour, part); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	q := b.rolledAll(rollup.Hour, "m")
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				err := b.S.Rollups(context.Background(), q, func(s store.RollupSeries) error {
					for i := range s.Rows {
						if a, ok := s.Rows[i].Field("v"); !ok || a.Count != 1 {
							return fmt.Errorf("half a window: %s", describe(&s.Rows[i]))
						}
					}
					return nil
				})
				if err != nil {
					t.Errorf("rollups: %v", err)
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	readers.Wait()
	b.expect("all writers' windows", q, slices.Concat(want...)...)
}

func rolledReopen(t *testing.T, b *Bench) {
	var rows []rollup.Row
	for round := range 3 {
		r := rolledRow(b.back(rollup.Day, 20*round+1), "s1", float64(round))
		rows = append(rows, r, rolledRow(b.back(rollup.Day, 1), fmt.Sprint("new", round), 1))
		b.put(rollup.Day, rows...)
		if round == 1 {
			if err := b.S.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.Stop()
		b.Start()
		b.expect("after a start", b.rolledAll(rollup.Day, "m"), rows...)
	}
}

func rolledKeep(t *testing.T, b *Bench) {
	for _, level := range rollup.Levels() {
		keep, bounded := b.Keep[level]
		if !bounded {
			continue
		}
		young := rolledRow(b.back(level, 1), "s1", 1)
		old := rolledRow(level.Start(b.Now.Add(-keep-40*24*time.Hour), saigon), "s1", 2)
		alone := rolledRow(time.UnixMilli(old.Start), "s2", 3)
		b.put(level, old, young, alone)
		q := b.rolledAll(level, "m")
		q.From = b.Now.Add(-keep - 100*24*time.Hour)
		b.expect(fmt.Sprintf("windows of %v, kept for %v", level, keep), q, young)
	}
}

func rolledRefused(t *testing.T, b *Bench) {
	good := rolledRow(b.back(rollup.Hour, 1), "s1", 1)
	if err := b.S.PutRollups(t.Context(), rollup.Raw, []rollup.Row{good}); err == nil {
		t.Error("windows of level raw: no error")
	}
	for name, spoil := range map[string]func(a *rollup.Aggregate){
		"sum":  func(a *rollup.Aggregate) { a.Sum = math.Inf(1) },
		"min":  func(a *rollup.Aggregate) { a.Min = math.Inf(-1) },
		"max":  func(a *rollup.Aggregate) { a.Max = math.NaN() },
		"size": func(a *rollup.Aggregate) { *a = total(math.NaN()) },
	} {
		bad := rolledRow(b.back(rollup.Hour, 1), "s2", 1)
		spoil(&bad.Fields[0].Value)
		if err := b.S.PutRollups(t.Context(), rollup.Hour, []rollup.Row{bad}); err == nil {
			t.Errorf("a %s that is not finite: no error", name)
		}
	}
	b.put(rollup.Hour, good)
	b.expect("good windows afterwards", b.rolledAll(rollup.Hour, "m"), good)
}

// rolledNotKept changes rows after they were put, and what was read, which must harm nobody.
func rolledNotKept(t *testing.T, b *Bench) {
	r := rolledRow(b.back(rollup.Hour, 1), "s1", 1)
	r.Fields[0].Value = number(true, 1, 2)
	want := rolledRow(b.back(rollup.Hour, 1), "s1", 1)
	want.Fields[0].Value = number(true, 1, 2)
	b.put(rollup.Hour, r)
	r.Tags[0].Value, r.Fields[0].Key = "x", "x"
	r.Fields[0].Value.Sketch.Add(17)
	err := b.S.Rollups(t.Context(), b.rolledAll(rollup.Hour, "m"), func(s store.RollupSeries) error {
		s.Tags[0].Value, s.Rows[0].Fields[0].Key = "y", "y"
		s.Rows[0].Fields[0].Value.Sketch.Add(18)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.expect("after others changed what they hold", b.rolledAll(rollup.Hour, "m"), want)
}

func rolledEnds(t *testing.T, b *Bench) {
	rows := []rollup.Row{rolledRow(b.back(rollup.Hour, 1), "s1", 1), rolledRow(b.back(rollup.Hour, 1), "s2", 2), rolledRow(b.back(rollup.Hour, 1), "s3", 3)}
	b.put(rollup.Hour, rows...)
	q := b.rolledAll(rollup.Hour, "m")
	stop, calls := errors.New("enough"), 0
	if err := b.S.Rollups(t.Context(), q, func(store.RollupSeries) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("error of the caller: %d calls, then %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := b.S.Rollups(ctx, q, func(store.RollupSeries) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled under way: %v", err)
	}
	if err := b.S.PutRollups(ctx, rollup.Hour, rows); !errors.Is(err, context.Canceled) {
		t.Errorf("put with a canceled context: %v", err)
	}
	b.expect("afterwards", q, rows...)
	s := b.S
	b.Stop()
	for name, err := range map[string]error{
		"put":         s.PutRollups(t.Context(), rollup.Hour, rows),
		"put nothing": s.PutRollups(t.Context(), rollup.Hour, nil),
		"rollups":     s.Rollups(t.Context(), q, func(store.RollupSeries) error { return nil }),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after close: %v, want ErrClosed", name, err)
		}
	}
}

func backupRolled(t *testing.T, b *Bench) {
	var rows []rollup.Row
	for n := range 50 {
		rows = append(rows, rolledRow(b.back(rollup.Hour, n+1), "s1", float64(n)))
	}
	b.put(rollup.Hour, rows...)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; !stop.Load(); n++ {
			r := rolledRow(b.back(rollup.Hour, 1), fmt.Sprint("during", n%30), float64(n))
			if err := b.S.PutRollups(context.Background(), rollup.Hour, []rollup.Row{r}); err != nil {
				t.Errorf("put: %v", err)
				return
			}
		}
	})
	dir := t.TempDir()
	if err := b.S.Backup(t.Context(), dir); err != nil {
		t.Fatalf("backup: %v", err)
	}
	stop.Store(true)
	wg.Wait()
	copied := &Bench{Open: b.Open, Now: b.Now, Keep: b.Keep, T: t, Dir: dir}
	copied.Start()
	q := copied.rolledAll(rollup.Hour, "m")
	q.Tags = map[string]string{"site": "s1"}
	copied.expect("backup", q, rows...)
	copied.put(rollup.Hour, rolledRow(b.back(rollup.Hour, 70), "s1", 99)) // it is a store like any other
	copied.Stop()
}
