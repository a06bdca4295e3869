package portion_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/portion"
	"communewatch/probes"
	"communewatch/probes/wire"
)

var begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// memory is a store of one series per site with a point at each of its times, which refuses what is too much.
type memory struct {
	times   map[string][]int64 // by site
	windows []rollup.Row       // by start
	asked   int
	most    int // points of the largest answer
	unbound int // queries without a bound
}

func (m *memory) Measurements(context.Context) ([]string, error) { return []string{"m"}, nil }

func (m *memory) Select(_ context.Context, q store.Query, each func(store.Series) error) error {
	m.asked++
	if q.MaxPoints == 0 {
		m.unbound++
	}
	n := 0
	for site, times := range m.times {
		if want := q.Tags["site"]; want != "" && want != site {
			continue
		}
		from, _ := slices.BinarySearch(times, q.From.UnixMilli())
		to, _ := slices.BinarySearch(times, q.To.UnixMilli())
		if from == to {
			continue
		}
		if n += to - from; q.MaxPoints > 0 && n > q.MaxPoints {
			return store.ErrTooMany
		}
		s := store.Series{Measurement: "m", Field: "v", Tags: probes.Tags{{Key: "site", Value: site}}, Times: times[from:to], Values: make([]float64, to-from)}
		if err := each(s); err != nil {
			return err
		}
	}
	m.most = max(m.most, n)
	return nil
}

func (m *memory) Rollups(_ context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error {
	m.asked++
	var s store.RollupSeries
	for _, r := range m.windows {
		if r.Start >= q.From.UnixMilli() && r.Start < q.To.UnixMilli() {
			if s.Rows = append(s.Rows, r); q.MaxRows > 0 && len(s.Rows) > q.MaxRows {
				return store.ErrTooMany
			}
		}
	}
	m.most = max(m.most, len(s.Rows))
	if len(s.Rows) == 0 {
		return nil
	}
	s.Measurement = "m"
	return each(s)
}

// every makes n times from a moment on.
func every(from time.Time, d time.Duration, n int) (out []int64) {
	for i := range n {
		out = append(out, from.Add(time.Duration(i)*d).UnixMilli())
	}
	return out
}

// read reads all rows, checks their order and what done says, and returns how many there are.
func read(t *testing.T, m *memory, r portion.Range) (n int) {
	t.Helper()
	last, reached := int64(0), r.From
	err := portion.Rows(t.Context(), m, r, func(_ string, rows []portion.Row) error {
		if len(rows) == 0 {
			t.Error("an empty portion")
		}
		for _, row := range rows {
			if row.Time < last || row.Time < reached.UnixMilli() {
				t.Fatalf("a row of %d after one of %d, when all before %v was handed over", row.Time, last, reached)
			}
			last = row.Time
		}
		n += len(rows)
		return nil
	}, func(to time.Time) error {
		if !to.After(reached) || last >= to.UnixMilli() {
			t.Fatalf("done says %v after %v", to, reached)
		}
		reached = to
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !reached.Equal(r.To) {
		t.Errorf("reached %v, want %v", reached, r.To)
	}
	return n
}

func TestDenseAndSparseStretches(t *testing.T) {
	// A day of one point a minute, an hour of a third of a million, and a month of nothing on either side.
	m := &memory{times: map[string][]int64{"s1": slices.Concat(every(begin, time.Minute, 1440), every(begin.Add(24*time.Hour), 12*time.Millisecond, 300_000))}}
	if n := read(t, m, portion.Range{From: begin.AddDate(0, -1, 0), To: begin.AddDate(0, 1, 0)}); n != 301_440 {
		t.Errorf("%d rows", n)
	}
	if m.most > 200_000 || m.unbound > 0 || m.asked > 200 {
		t.Errorf("%d points in one answer, %d queries without a bound, %d in all", m.most, m.unbound, m.asked)
	}
}

func TestMoreInASecondThanAPortion(t *testing.T) {
	m := &memory{times: map[string][]int64{}}
	for i := range 210 { // a writer that stamps everything with the second
		m.times[fmt.Sprint(i)] = every(begin, time.Millisecond, 1000)
	}
	if n := read(t, m, portion.Range{From: begin, To: begin.Add(time.Hour)}); n != 210_000 || m.unbound == 0 {
		t.Errorf("%d rows, %d queries without a bound", n, m.unbound)
	}
}

func TestSitesAlone(t *testing.T) {
	m := &memory{times: map[string][]int64{"s1": every(begin, time.Minute, 10), "s2": every(begin, time.Minute, 20), "s3": every(begin, time.Minute, 40)}}
	if n := read(t, m, portion.Range{From: begin, To: begin.Add(time.Hour), Sites: []string{"s1", "s3"}}); n != 50 {
		t.Errorf("%d rows", n)
	}
}

func TestWindowsInBoundedPortions(t *testing.T) {
	m := &memory{}
	for i := range 60_000 {
		m.windows = append(m.windows, rollup.Row{Measurement: "m", Start: begin.Add(time.Duration(i/100) * 5 * time.Minute).UnixMilli()})
	}
	n, last := 0, int64(0)
	err := portion.Windows(t.Context(), m, rollup.FiveMinutes, portion.Range{From: begin.AddDate(-5, 0, 0), To: begin.AddDate(0, 0, 3)}, func(rows []rollup.Row) error {
		if n += len(rows); rows[0].Start < last {
			t.Fatal("windows go back in time")
		}
		last = rows[len(rows)-1].Start
		return nil
	}, nil)
	if err != nil || n != 60_000 || m.most > 10_000 || m.asked > 500 {
		t.Errorf("%d windows, %d in one answer, %d queries, %v", n, m.most, m.asked, err)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	stop := errors.New("stop")
	m := &memory{times: map[string][]int64{"s1": every(begin, time.Minute, 10)}}
	err := portion.Rows(t.Context(), m, portion.Range{From: begin, To: begin.Add(time.Hour)}, func(string, []portion.Row) error { return stop }, nil)
	if !errors.Is(err, stop) || !strings.Contains(err.Error(), "m from 2026-11-01T00:00:00Z") {
		t.Errorf("%v", err)
	}
}

func TestKeys(t *testing.T) {
	good := portion.Series{Measurement: `đo a,b`, Tags: probes.Tags{{Key: "x=y", Value: `v,w z\q`}}}
	if key, err := good.Key(); err != nil || string(key) != `đo\ a\,b,x\=y=v\,w\ z\q` {
		t.Errorf("%s, %v", key, err)
	}
	for _, bad := range []portion.Series{{Measurement: "#m"}, {Measurement: ""}, {Measurement: "m", Tags: probes.Tags{{Key: "a", Value: "b\\"}, {Key: "c", Value: "d"}}}} {
		if key, err := bad.Key(); err == nil {
			t.Errorf("%q became %s", bad.Measurement, key)
		}
	}
}

// FuzzKey: whatever a line calls a series, it is called the same again.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"m", `đo\ a\,b,x\=y=v\,w\ z\q`, "m,a=b\x01c", `m,a=\\,b=c`, `m\,a=b`, `m,a=b\\\ c`, "m,a=b\\", "m\tx,a==b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		rows, _ := wire.NewParser(wire.Limits{}).Parse(append(slices.Clone(key), " f=1"...), 0, 1)
		if len(rows) != 1 || bytes.ContainsAny(key, "\"") {
			return
		}
		parsed, err := wire.ParseKey(rows[0].Key)
		if err != nil {
			return
		}
		s := portion.Series{Measurement: parsed.Measurement, Tags: parsed.Tags}
		again, err := s.Key()
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if back, err := wire.ParseKey(again); err != nil || back.Measurement != s.Measurement || !slices.Equal(back.Tags, s.Tags) {
			t.Fatalf("%q became %q: %v", key, again, err)
		}
	})
}
