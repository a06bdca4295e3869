package past

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/collector/health/rules"
	"communewatch/collector/history"
	"communewatch/collector/reports"
	"communewatch/collector/reports/figures"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/wire"
)

func zone(t *testing.T) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// sites are named as their numbers.
func sites(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("s%03d", i))
	}
	return ids
}

// options are those of a past of n sites and so many days, up to ten o'clock of a workday.
func options(t *testing.T, n, days int) Options {
	z := zone(t)
	to := time.Date(2026, 9, 16, 10, 0, 0, 0, z)
	office := rules.Compile(rules.Rules{OfficeHours: []rules.OfficeHours{{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "07:00", To: "17:00"}}})
	return Options{
		Sites: sites(n), From: rollup.Day.Start(to.AddDate(0, 0, -days), z), To: to, Zone: z, Seed: 7,
		LineHours: 48 * time.Hour, Calendar: office.Calendar,
	}
}

// sink remembers what it is given, as text, so that two pasts can be compared to the last bit.
type sink struct {
	store.Store
	mu   sync.Mutex // guards the fields below
	seen map[string]string
	rows map[rollup.Level][]rollup.Row
	raw  []wire.Row
}

func (s *sink) PutRollups(_ context.Context, level rollup.Level, rows []rollup.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rows {
		key := fmt.Sprint(level, rollup.SeriesKey(r.Measurement, r.Tags), r.Start)
		var b strings.Builder
		for _, f := range r.Fields {
			fmt.Fprint(&b, f.Key, f.Value.Total, f.Value.Count, f.Value.Sum, f.Value.Min, f.Value.Max)
			if f.Value.Sketch != nil {
				b.WriteString(f.Value.Sketch.Text())
			}
		}
		if s.seen[key] != "" {
			return fmt.Errorf("%q twice", key)
		}
		s.seen[key] = b.String()
	}
	s.rows[level] = append(s.rows[level], rows...)
	return nil
}

func (s *sink) Append(_ context.Context, rows []wire.Row) error {
	s.raw = append(s.raw, rows...)
	return nil
}

func (s *sink) Sync(context.Context) error { return nil }

func fill(t *testing.T, o Options) (*sink, Filled) {
	t.Helper()
	s := &sink{seen: map[string]string{}, rows: map[rollup.Level][]rollup.Row{}}
	f, err := Fill(t.Context(), o, s)
	if err != nil {
		t.Fatal(err)
	}
	return s, f
}

func TestTheSameOptionsGiveTheSamePast(t *testing.T) {
	o := options(t, 8, 40)
	o.Hours, o.FiveMinutes, o.FineSites, o.Raw, o.RawSites = 24*time.Hour, 24*time.Hour, 2, time.Hour, 1
	a, _ := fill(t, o)
	b, _ := fill(t, o)
	if !maps.Equal(a.seen, b.seen) || len(a.raw) != len(b.raw) {
		t.Error("two pasts of the same options differ")
	}
	o.Seed++
	if c, _ := fill(t, o); maps.Equal(a.seen, c.seen) {
		t.Error("another seed tells the same")
	}
}

// TestNothingOfAPastIsLeftOut: whatever the length of windows, the seconds of a line and those in which its machines were
// off add up to the whole time, and every run is either up or not.
func TestNothingOfAPastIsLeftOut(t *testing.T) {
	o := options(t, 12, 40)
	s, f := fill(t, o)
	today := rollup.Day.Start(o.To, o.Zone)
	seconds := map[string]float64{}
	// Hours of days that are over are in those days.
	hours := slices.DeleteFunc(slices.Clone(s.rows[rollup.Hour]), func(r rollup.Row) bool { return r.Start < today.UnixMilli() })
	for _, r := range append(hours, s.rows[rollup.Day]...) {
		for _, field := range r.Fields {
			if r.Measurement == reports.Measurement && strings.HasSuffix(field.Key, "_seconds") && field.Value.Total {
				seconds[r.Tags.Get("site")+" "+r.Tags.Get("layer")] += field.Value.Sum
			}
		}
	}
	if slices.ContainsFunc(s.rows[rollup.Day], func(r rollup.Row) bool { return r.Start >= today.UnixMilli() }) {
		t.Error("a day that is not over has a window")
	}
	for _, site := range o.Sites {
		off := reports.Seconds(reports.Common(f.Off[site], []reports.Span{{From: o.From, To: o.To}}))
		for _, layer := range probes.Layers() {
			if got, want := seconds[site+" "+string(layer)]+off, o.To.Sub(o.From).Seconds(); got < want-1 || got > want+1 {
				t.Errorf("%s %s: %v s are told of, of %v", site, layer, got, want)
			}
		}
	}
}

// TestWindowsAreAsTheContractHasThem: no field that a collector would not make, no count without its bounds.
func TestWindowsAreAsTheContractHasThem(t *testing.T) {
	specs := map[string]probes.MeasurementSpec{}
	for _, m := range probes.Schema() {
		specs[m.Name] = m
	}
	o := options(t, 10, 35)
	o.Hours = 48 * time.Hour
	s, _ := fill(t, o)
	checked := 0
	for _, r := range slices.Concat(s.rows[rollup.Hour], s.rows[rollup.Day], s.rows[rollup.Month]) {
		if !slices.IsSortedFunc(r.Fields, func(a, b rollup.Field) int { return strings.Compare(a.Key, b.Key) }) {
			t.Fatalf("%s: fields are not in order", r.Measurement)
		}
		spec, isSpec := specs[r.Measurement]
		for _, f := range r.Fields {
			a := f.Value
			field, known := spec.Field(f.Key)
			if isSpec && !a.Total && (!known || field.Distribution != (a.Sketch != nil)) {
				t.Fatalf("%s.%s: known %v, a sketch %v", r.Measurement, f.Key, known, a.Sketch != nil)
			}
			if a.Sketch != nil && a.Sketch.Count() != a.Count {
				t.Fatalf("%s.%s: a sketch of %d for %d", r.Measurement, f.Key, a.Sketch.Count(), a.Count)
			}
			if !a.Total && (a.Count == 0 || a.Min > a.Max || a.Sum < a.Min*float64(a.Count)*0.999999 || a.Sum > a.Max*float64(a.Count)*1.000001) {
				t.Fatalf("%s.%s: %+v", r.Measurement, f.Key, a)
			}
			checked++
		}
	}
	if checked < 10_000 {
		t.Errorf("only %d aggregates", checked)
	}
}

// TestRowsTellWhatWindowsTell: rows of the newest hours, folded as the collector does, are as good as the windows of those
// hours.
func TestRowsTellWhatWindowsTell(t *testing.T) {
	o := options(t, 3, 35)
	o.Hours, o.Raw = 24*time.Hour, 10*time.Hour
	s, f := fill(t, o)
	if f.Rows == 0 || int(f.Rows) != len(s.raw) {
		t.Fatalf("%d rows told of, %d appended", f.Rows, len(s.raw))
	}
	from := o.To.Add(-o.Raw)
	runs, up := map[string]float64{}, map[string]float64{}
	for _, r := range s.raw {
		if at := time.Unix(0, r.Time); at.Before(from.Add(-o.Every-time.Minute)) || !at.Before(o.To) {
			t.Fatalf("a row of %v", at)
		}
		series, err := wire.ParseKey(r.Key)
		if err != nil {
			t.Fatal(err)
		}
		if series.Measurement == "check" {
			key := series.Tags.Get("site") + series.Tags.Get("target")
			runs[key]++
			for _, f := range r.Fields {
				if string(f.Key) == "up" {
					up[key] += f.Num
				}
			}
		}
	}
	for _, r := range s.rows[rollup.Hour] {
		if a, ok := r.Field("up"); ok && r.Start >= from.UnixMilli() && r.Start < o.To.UnixMilli() {
			key := r.Tags.Get("site") + r.Tags.Get("target")
			runs[key] -= float64(a.Count)
			up[key] -= a.Sum
		}
	}
	for key := range runs {
		// Each end of a spell may fall on one side or the other of a run.
		if d := runs[key]; d < -20 || d > 20 || up[key]-d < -20 || up[key]-d > 20 {
			t.Errorf("%s: rows have %v runs more than windows, %v of them up", key, d, up[key])
		}
	}
}

// TestThePastTellsItsStory reads it back the way a reviewer does, as a report.
func TestThePastTellsItsStory(t *testing.T) {
	o := options(t, 40, 200)
	o.LinesOnly = true
	keep := map[rollup.Level]time.Duration{}
	now := func() time.Time { return o.To.Add(10 * time.Minute) }
	st, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Keep: keep, Now: now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	f, err := Fill(t.Context(), o, st)
	if err != nil {
		t.Fatal(err)
	}
	office := rules.Rules{OfficeHours: []rules.OfficeHours{{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "07:00", To: "17:00"}}}
	reporter := figures.New(figures.Options{
		Windows: st, Progress: func() history.Progress { return history.Progress{To: o.To} }, Sites: census(o.Sites), Lines: absences(f.Off),
		Rules: office, Zone: o.Zone, Now: now,
	})
	report, err := reporter.Report(t.Context(), reports.Query{Hours: reports.Office, Period: reports.Period{
		Kind: reports.Days, From: rollup.Day.Start(o.From, o.Zone), To: rollup.Day.Start(o.To, o.Zone)}})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]reports.Figures{}
	for _, l := range report.Lines {
		lines[l.Site+" "+string(l.Layer)] = l.Figures
	}
	available := func(site, layer string) float64 {
		if v := lines[site+" "+layer].Availability; v != nil {
			return *v
		}
		t.Errorf("nothing is known of %s %s", site, layer)
		return 0
	}
	if cut, well := available("s031", "dedicated"), available("s000", "dedicated"); cut > 0.97 || well < 0.98 {
		t.Errorf("the line that was cut for a week was available for %v of office hours, another one for %v", cut, well)
	}
	good, bad := 0.0, 0.0
	for i, site := range o.Sites {
		switch providerOf(i) {
		case 0:
			good += available(site, "broadband") / 20
		case 2:
			bad += available(site, "broadband") / 8
		}
	}
	if bad > good-0.005 {
		t.Errorf("the bad provider's lines were available for %v, a good one's for %v", bad, good)
	}
	if late, early := lines["s005 lan"].Off, lines["s000 lan"].Off; late < 100*3600 || early != 0 {
		t.Errorf("machines that are switched on late were off for %v s of office hours, others for %v", late, early)
	}
}

type census []string

func (c census) Sites(context.Context, time.Time) (out []inventory.Site, _ error) {
	for _, id := range c {
		out = append(out, inventory.Site{ID: id, Name: "Xã " + id, Type: "xã", Parent: "Huyện"})
	}
	return out, nil
}

type absences map[string][]reports.Span

func (absences) Agreements(context.Context) ([]reports.Agreement, error) { return nil, nil }

func (a absences) Off(_ context.Context, from, to time.Time) (map[string][]reports.Span, error) {
	out := map[string][]reports.Span{}
	for site, spans := range a {
		out[site] = reports.Common(spans, []reports.Span{{From: from, To: to}})
	}
	return out, nil
}

func TestAPastThatCanNotBeIsRefused(t *testing.T) {
	for name, wrong := range map[string]func(*Options){
		"no midnight":   func(o *Options) { o.From = o.From.Add(time.Hour) },
		"no whole hour": func(o *Options) { o.To = o.To.Add(time.Minute) },
		"backwards":     func(o *Options) { o.To = o.From.Add(-24 * time.Hour) },
	} {
		o := options(t, 1, 30)
		wrong(&o)
		if _, err := Fill(t.Context(), o, &sink{}); err == nil || !strings.Contains(err.Error(), "give a midnight") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
