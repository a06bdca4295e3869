package api

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"communewatch/collector/store"
	"communewatch/probes"
)

const (
	seriesStandard = time.Hour
	seriesLongest  = 400 * 24 * time.Hour
	seriesWindows  = 300  // aimed at where no step is given: about a window per two pixels of a small chart
	maxWindows     = 2000 // per series
	maxSeries      = 60   // in one answer
	maxFields      = 10
	maxTags        = 10
	// maxPoints bounds what a query reads: ten checks every 30 s for a year, times three fields.
	maxPoints = 32_000_000
)

// steps are the lengths of windows that are chosen where none is given.
var steps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second,
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour}

// seriesQuery is a request for series, checked.
type seriesQuery struct {
	measurement string
	fields      []string
	tags        map[string]string
	from, to    time.Time // multiples of step
	step        time.Duration
	mean, min   bool
	max, p95    bool
	count       bool
	ratios      map[string]probes.RatioSpec
}

// reserved are the parameters that are not tags.
var reserved = []string{"measurement", "field", "range", "from", "to", "step", "agg", "lang"}

func parseSeries(q url.Values, now time.Time) (*seriesQuery, error) {
	s := &seriesQuery{measurement: q.Get("measurement"), tags: map[string]string{}, ratios: map[string]probes.RatioSpec{}}
	if !plain(s.measurement) {
		return nil, invalid("measurement is missing or not a name; for example measurement=icmp")
	}
	for _, f := range q["field"] {
		for part := range strings.SplitSeq(f, ",") {
			if !slices.Contains(s.fields, part) {
				s.fields = append(s.fields, part)
			}
		}
	}
	if len(s.fields) == 0 || len(s.fields) > maxFields {
		return nil, invalid(fmt.Sprintf("give 1 to %d fields; for example field=loss_ratio", maxFields))
	}
	spec := measurement(s.measurement)
	for _, f := range s.fields {
		if !plain(f) {
			return nil, invalid("field is not a name; for example field=loss_ratio")
		}
		if spec == nil {
			continue // brought by a writer of its own: whatever is there
		}
		switch known, ok := spec.Field(f); {
		case !ok:
			return nil, invalid("measurement " + s.measurement + " has no such field; it has " + strings.Join(numberFields(spec), ", "))
		case known.Type == probes.TypeString:
			return nil, invalid("field " + f + " is text; series are of numbers")
		}
		for _, ratio := range spec.Ratios {
			if ratio.Ratio == f {
				s.ratios[f] = ratio
			}
		}
	}
	if !q.Has("site") {
		return nil, invalid("site is missing; /api/v1/sites lists them")
	}
	for key, values := range q {
		if slices.Contains(reserved, key) {
			continue
		}
		switch {
		case !plain(key):
			return nil, invalid("an unknown parameter is not the name of a tag")
		case len(values) != 1 || !plain(values[0]):
			return nil, invalid("tag " + key + " must be given once, with a plain value")
		case len(s.tags) == maxTags:
			return nil, invalid(fmt.Sprintf("more than %d tags", maxTags))
		}
		s.tags[key] = values[0]
	}
	if err := s.aggregates(q); err != nil {
		return nil, err
	}
	return s, s.windows(q, now)
}

// plain reports whether s may be a name in a query: short and printable, without what some client would interpret.
func plain(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-:/ ", c) >= 0) {
			return false
		}
	}
	return true
}

func measurement(name string) *probes.MeasurementSpec {
	for _, m := range probes.Schema() {
		if m.Name == name {
			return &m
		}
	}
	return nil
}

func numberFields(m *probes.MeasurementSpec) []string {
	var out []string
	for _, f := range m.Fields {
		if f.Type != probes.TypeString {
			out = append(out, f.Key)
		}
	}
	return out
}

func (s *seriesQuery) aggregates(q url.Values) error {
	if !q.Has("agg") {
		s.mean = true
		return nil
	}
	for name := range strings.SplitSeq(strings.Join(q["agg"], ","), ",") {
		switch name {
		case "mean":
			s.mean = true
		case "min":
			s.min = true
		case "max":
			s.max = true
		case "p95":
			s.p95 = true
		case "count":
			s.count = true
		default:
			return invalid("agg must be one or more of mean, min, max, p95, count, with commas between")
		}
	}
	return nil
}

func (s *seriesQuery) windows(q url.Values, now time.Time) (err error) {
	if s.from, s.to, err = span(q, now, seriesStandard, seriesLongest); err != nil {
		return err
	}
	length := s.to.Sub(s.from)
	if q.Has("step") {
		if s.step, err = duration("step", q.Get("step")); err != nil {
			return err
		}
		if s.step < time.Second {
			return invalid("step must be at least 1s")
		}
		s.step = s.step.Truncate(time.Second)
		if length/s.step > maxWindows {
			return invalid(fmt.Sprintf("step gives more than %d windows; use a longer step, at least %s", maxWindows,
				(length/maxWindows + time.Second).Truncate(time.Second)))
		}
	} else {
		i, _ := slices.BinarySearchFunc(steps, length/seriesWindows, func(a, b time.Duration) int { return cmp.Compare(a, b) })
		s.step = steps[min(i, len(steps)-1)]
	}
	// Aligned to the step, so that the windows of a chart that follows the clock stay the same ones.
	step := int64(s.step / time.Millisecond)
	s.from = time.UnixMilli(s.from.UnixMilli() / step * step).UTC()
	s.to = time.UnixMilli((s.to.UnixMilli() + step - 1) / step * step).UTC()
	return nil
}

var errManySeries = errors.New("too many series")

// gathering collects windows into the answer.
type gathering struct {
	q      *seriesQuery
	n      int // windows per series
	series map[string]*Series
	// counts are the sums of a ratio's counts by series; the slices have n values.
	counts map[string]map[string][]float64
}

func (a *API) getSeries(w http.ResponseWriter, r *http.Request) error {
	q, err := parseSeries(r.URL.Query(), a.now())
	if err != nil {
		return err
	}
	end, err := a.begin(r.Context())
	if err != nil {
		return err
	}
	defer end()
	g := &gathering{q: q, n: int(q.to.Sub(q.from) / q.step), series: map[string]*Series{}, counts: map[string]map[string][]float64{}}
	query := store.Query{Measurement: q.measurement, Fields: slices.Clone(q.fields), Tags: q.tags, From: q.from, To: q.to, MaxPoints: maxPoints}
	if q.mean {
		for _, ratio := range q.ratios {
			query.Fields = append(query.Fields, ratio.Numerator, ratio.Denominator)
		}
	}
	slices.Sort(query.Fields)
	query.Fields = slices.Compact(query.Fields)
	switch err := a.store.Windows(r.Context(), query, q.step, g.take); {
	case errors.Is(err, errManySeries):
		return &problem{http.StatusUnprocessableEntity, "too many",
			fmt.Sprintf("more than %d series match; name a target, an agent or a path", maxSeries)}
	case err != nil:
		return err
	}
	writeJSON(w, http.StatusOK, g.answer())
	return nil
}

func (g *gathering) take(ws store.WindowSeries) error {
	key := tagKey(ws.Tags)
	wanted := slices.Contains(g.q.fields, ws.Field)
	for _, ratio := range g.q.ratios {
		if g.q.mean && (ws.Field == ratio.Numerator || ws.Field == ratio.Denominator) {
			sums := make([]float64, g.n)
			for _, win := range ws.Windows {
				if i := g.index(win.Start); i >= 0 {
					sums[i] = win.Sum
				}
			}
			if g.counts[key] == nil {
				g.counts[key] = map[string][]float64{}
			}
			g.counts[key][ws.Field] = sums
		}
	}
	if !wanted {
		return nil
	}
	if len(g.series) == maxSeries {
		return errManySeries
	}
	out := &Series{Measurement: ws.Measurement, Field: ws.Field, Tags: map[string]string{}, T: make([]int64, g.n)}
	for _, t := range ws.Tags {
		out.Tags[t.Key] = t.Value
	}
	for i := range out.T {
		out.T[i] = g.q.from.Add(time.Duration(i) * g.q.step).Unix()
	}
	fill := func(on bool, value func(*store.Window) float64) numbers {
		if !on {
			return nil
		}
		list := make(numbers, g.n)
		for i := range list {
			list[i] = math.NaN()
		}
		for i := range ws.Windows {
			if n := g.index(ws.Windows[i].Start); n >= 0 {
				list[n] = value(&ws.Windows[i])
			}
		}
		return list
	}
	out.Mean = fill(g.q.mean, func(w *store.Window) float64 { return w.Sum / float64(w.Count) })
	out.Min = fill(g.q.min, func(w *store.Window) float64 { return w.Min })
	out.Max = fill(g.q.max, func(w *store.Window) float64 { return w.Max })
	out.P95 = fill(g.q.p95, func(w *store.Window) float64 { return w.P95 })
	out.Count = fill(g.q.count, func(w *store.Window) float64 { return float64(w.Count) })
	g.series[key+"\x00"+ws.Field] = out
	return nil
}

func (g *gathering) index(start int64) int {
	i := int((start - g.q.from.UnixMilli()) / g.q.step.Milliseconds())
	if i < 0 || i >= g.n {
		return -1
	}
	return i
}

// answer puts the means of ratios in and sorts.
func (g *gathering) answer() SeriesAnswer {
	out := SeriesAnswer{From: g.q.from, To: g.q.to, StepSeconds: g.q.step.Seconds(), Series: []Series{}}
	for _, key := range slices.Sorted(maps.Keys(g.series)) {
		s := g.series[key]
		if ratio, ok := g.q.ratios[s.Field]; ok && g.q.mean {
			tags := strings.TrimSuffix(key, "\x00"+s.Field)
			num, den := g.counts[tags][ratio.Numerator], g.counts[tags][ratio.Denominator]
			for i := range s.Mean {
				switch {
				case num == nil || den == nil || den[i] == 0:
					s.Mean[i] = math.NaN()
				default:
					s.Mean[i] = num[i] / den[i]
				}
			}
		}
		out.Series = append(out.Series, *s)
	}
	return out
}

func tagKey(tags probes.Tags) string {
	var b strings.Builder
	for _, t := range tags {
		b.WriteString(t.Key + "\x01" + t.Value + "\x02")
	}
	return b.String()
}
