package rollup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
)

var saigon = time.FixedZone("ICT", 7*3600)

// text writes rows down to the last bit.
func text(rows []Row) string {
	var b strings.Builder
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(&b, "%q %d\n", SeriesKey(r.Measurement, r.Tags), r.Start)
		for _, f := range r.Fields {
			a := f.Value
			fmt.Fprintf(&b, "  %s %v %d %x %x %x", f.Key, a.Total, a.Count, a.Sum, a.Min, a.Max)
			if a.Sketch != nil {
				b.WriteString(" " + a.Sketch.Text())
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// one is a point of a field.
type one struct {
	measurement, field, site string
	at                       int64
	value                    float64
	text                     string
}

// model is a store: a set of points.
type model map[string]map[int64]one // by field and series

func (m model) append(points []one) {
	for _, p := range points {
		key := p.measurement + "/" + p.field + "/" + p.site
		if m[key] == nil {
			m[key] = map[int64]one{}
		}
		m[key][p.at] = p
	}
}

// fold gives all to a Fold, with what is not determined by the store left to chance: which field comes first, and in
// how many calls.
func (m model) fold(r *rand.Rand, level Level) []Row {
	f := NewFold(level, saigon)
	for _, points := range m { // in Go's random order
		var ordered []one
		for _, p := range points {
			ordered = append(ordered, p)
		}
		slices.SortFunc(ordered, func(a, b one) int { return int(a.at - b.at) })
		for len(ordered) > 0 {
			n := 1 + r.IntN(len(ordered))
			var times []int64
			var values []float64
			var texts []string
			for _, p := range ordered[:n] {
				times = append(times, p.at)
				if p.text != "" {
					texts = append(texts, p.text)
				} else {
					values = append(values, p.value)
				}
			}
			p := ordered[0]
			f.Add(p.measurement, p.field, probes.Tags{{Key: "agent", Value: "a"}, {Key: "site", Value: p.site}}, times, values, texts)
			ordered = ordered[n:]
		}
	}
	return f.Rows()
}

// somePoints are runs of some checks over six hours.
func somePoints(r *rand.Rand) []one {
	var points []one
	for site := range 3 {
		for i := range r.IntN(200) + 1 {
			at := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC).UnixMilli() + int64(i)*72_000 + r.Int64N(70_000)
			p := one{measurement: "icmp", site: fmt.Sprint("s", site), at: at}
			add := func(m, field string, v float64, text string) {
				p.measurement, p.field, p.value, p.text = m, field, v, text
				points = append(points, p)
			}
			add("icmp", "rtt_median_seconds", math.Exp(r.NormFloat64()-5), "")
			add("icmp", "lost", float64(r.IntN(3)), "")
			add("check", "took_seconds", r.Float64(), "")
			add("check", "up", float64(r.IntN(2)), "")
			add("check", "outcome", 0, []string{"ok", "timeout", "refused", "not of the set"}[r.IntN(4)])
			add("check", "error", 0, "free text")
			add("agent", "clock_offset_seconds", r.NormFloat64(), "")
			add("unknown", "x", 1, "")
			add("icmp", "unknown", 1, "")
		}
	}
	return points
}

// TestFoldOfAnyDelivery: batches in any order, split in any way and repeated give the same windows to the last bit.
func TestFoldOfAnyDelivery(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(6, seed))
		points := somePoints(r)
		want := map[Level]string{}
		for delivery := range 3 {
			m := model{}
			shuffled := slices.Clone(points)
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			var batches [][]one
			for len(shuffled) > 0 {
				n := 1 + r.IntN(len(shuffled))
				batches = append(batches, shuffled[:n])
				shuffled = shuffled[n:]
			}
			for _, b := range batches {
				m.append(b)
			}
			for range r.IntN(5) {
				m.append(batches[r.IntN(len(batches))])
			}
			for _, level := range Levels() {
				got := text(m.fold(r, level))
				if delivery == 0 {
					want[level] = got
				} else if got != want[level] {
					t.Fatalf("seed %d, %v, delivery %d:\n%s\nwant\n%s", seed, level, delivery, got, want[level])
				}
			}
		}
	}
}

// TestFoldAgainstPlainSums works windows out in the plainest way.
func TestFoldAgainstPlainSums(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	m := model{}
	m.append(somePoints(r))
	for _, level := range Levels() {
		plain := map[string]*Aggregate{}
		for _, points := range m {
			for _, p := range points {
				key, v := p.field, p.value
				if p.measurement == "unknown" || p.field == "unknown" || p.field == "error" || p.text == "not of the set" {
					continue
				}
				if p.text != "" {
					key, v = p.field+"_"+p.text, 1
				}
				at := fmt.Sprint(p.measurement, key, p.site, level.Start(time.UnixMilli(p.at), saigon).UnixMilli())
				if plain[at] == nil {
					plain[at] = &Aggregate{Total: p.text != ""}
				}
				plain[at].Add(v)
			}
		}
		fields := 0
		for _, row := range m.fold(r, level) {
			for _, f := range row.Fields {
				fields++
				at := fmt.Sprint(row.Measurement, f.Key, row.Tags.Get("site"), row.Start)
				want, got := plain[at], f.Value
				if want == nil {
					t.Fatalf("%v: %s was never measured", level, at)
				}
				near := math.Abs(got.Sum-want.Sum) <= 1e-9*max(1, math.Abs(want.Sum))
				if got.Total != want.Total || !near || !got.Total && (got.Count != want.Count || got.Min != want.Min || got.Max != want.Max) {
					t.Errorf("%v: %s: %+v, want %+v", level, at, got, want)
				}
				if wants := f.Key == "rtt_median_seconds"; wants != (got.Sketch != nil) || wants && got.Sketch.Count() != got.Count {
					t.Errorf("%v: %s: sketch %v", level, at, got.Sketch)
				}
			}
		}
		if fields != len(plain) {
			t.Errorf("%v: %d fields of windows, want %d", level, fields, len(plain))
		}
	}
}

// TestMergedWindowsAreTheCoarser: five minutes into hours, hours into days, days into months, each the same as folded
// from rows, but for the last bits of sums that are no whole numbers.
func TestMergedWindowsAreTheCoarser(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	m := model{}
	m.append(somePoints(r))
	finer := m.fold(r, FiveMinutes)
	for _, level := range []Level{Hour, Day, Month} {
		before := text(finer)
		f := NewFold(level, saigon)
		for i := range finer {
			f.Merge(&finer[i])
		}
		got := f.Rows()
		if text(finer) != before {
			t.Fatal("merging changed the finer windows")
		}
		want := m.fold(r, level)
		finer = got
		g, w := slices.Clone(got), want
		for i := range g {
			g[i].Fields = slices.Clone(g[i].Fields)
			for j := range g[i].Fields {
				a, b := &g[i].Fields[j].Value, &w[i].Fields[j].Value
				if math.Abs(a.Sum-b.Sum) > 1e-12*math.Abs(b.Sum) || b.Sum == math.Trunc(b.Sum) && a.Sum != b.Sum {
					t.Errorf("%v: %s sums to %v, want %v", level, g[i].Fields[j].Key, a.Sum, b.Sum)
				}
				a.Sum = b.Sum
			}
		}
		if text(g) != text(w) {
			t.Errorf("%v: merged\n%s\nwant\n%s", level, text(g), text(w))
		}
	}
}

func TestRowsLookUps(t *testing.T) {
	f := NewFold(Hour, saigon)
	tags := probes.Tags{{Key: "site", Value: "s1"}}
	f.Add("icmp", "sent", tags, []int64{1000, 2000, 3000}, []float64{10, 10, 12}, nil)
	f.Add("icmp", "rtt_median_seconds", tags, []int64{1000, 3000}, []float64{0.01, 0.03}, nil)
	f.Add("check", "outcome", tags, []int64{1000, 2000, 3000, 4000}, nil, []string{"ok", "ok", "timeout", "ok"})
	rows := f.Rows()
	if len(rows) != 2 || rows[0].Measurement != "check" || rows[1].Measurement != "icmp" {
		t.Fatalf("rows %+v", rows)
	}
	if n := rows[0].Rows(); n != 3 {
		t.Errorf("the check's window rests on %d rows at least, want 3", n)
	}
	if n := rows[1].Rows(); n != 3 {
		t.Errorf("the window of icmp rests on %d rows at least, want 3", n)
	}
	if a, ok := rows[1].Field("sent"); !ok || a.Sum != 32 || a.Min != 10 || a.Max != 12 {
		t.Errorf("sent: %+v, %v", a, ok)
	}
	if mean, ok := rows[1].Fields[0].Value.Mean(); !ok || mean != 0.02 {
		t.Errorf("mean of %s: %v, %v", rows[1].Fields[0].Key, mean, ok)
	}
	if _, ok := rows[1].Field("lost"); ok {
		t.Error("a field that was never measured is there")
	}
	if a, ok := rows[0].Field("outcome_ok"); !ok || !a.Total || a.Sum != 3 {
		t.Errorf("outcome_ok: %+v, %v", a, ok)
	}
}

// siteHour is an hour of 20 checks, a run every 30 s, 15 fields of a run.
func siteHour(add func(measurement, field string, tags probes.Tags, times []int64, values []float64, texts []string)) {
	r := rand.New(rand.NewPCG(9, 9))
	start := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC).UnixMilli()
	for check := range 20 {
		tags := probes.Tags{{Key: "agent", Value: "a"}, {Key: "path", Value: "lan"}, {Key: "site", Value: "s"}, {Key: "target", Value: fmt.Sprint("t", check)}}
		var times []int64
		texts := make([]string, 120)
		for i := range 120 {
			times = append(times, start+int64(i)*30_000+1234)
			texts[i] = "ok"
		}
		icmp := probes.Schema()[1]
		for _, f := range icmp.Fields[:11] {
			values := make([]float64, 120)
			for i := range values {
				values[i] = math.Round(1e9*math.Exp(r.NormFloat64()/10-5)) / 1e9
			}
			add("icmp", f.Key, tags, times, values, nil)
		}
		for _, key := range []string{"up", "took_seconds", "late_seconds"} {
			add("check", key, tags, times, make([]float64, 120), nil)
		}
		add("check", "outcome", tags, times, nil, texts)
	}
}

func BenchmarkFoldSiteHour(b *testing.B) {
	type call struct {
		measurement, field string
		tags               probes.Tags
		times              []int64
		values             []float64
		texts              []string
	}
	var calls []call
	siteHour(func(m, f string, tags probes.Tags, times []int64, values []float64, texts []string) {
		calls = append(calls, call{m, f, tags, times, values, texts})
	})
	b.ReportAllocs()
	for b.Loop() {
		for _, level := range []Level{FiveMinutes, Hour} {
			f := NewFold(level, saigon)
			for i := range calls {
				c := &calls[i]
				f.Add(c.measurement, c.field, c.tags, c.times, c.values, c.texts)
			}
			if rows := f.Rows(); len(rows) != 40*map[Level]int{FiveMinutes: 12, Hour: 1}[level] {
				b.Fatalf("%d rows", len(rows))
			}
		}
	}
}
