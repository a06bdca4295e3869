package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

const (
	maxSeries = 60 // in one answer
	// maxPoints bounds what a query reads: ten checks every 30 s for a year, times three fields.
	maxPoints = 32_000_000
)

var errManySeries = errors.New("too many series")

// resolver is a Store that also answers from windows of longer stretches; *history.Reader is one.
type resolver interface {
	Resolve(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) (rollup.Level, error)
	Finest(from time.Time) time.Duration
}

// gathering collects windows into the answer.
type gathering struct {
	q      *ask.Series
	n      int // windows per series
	series map[string]*Series
	// counts are the sums of a ratio's counts by series; the slices have n values.
	counts map[string]map[string][]float64
}

func (a *API) getSeries(w http.ResponseWriter, r *http.Request) error {
	at := ask.Place{Now: a.now(), Zone: a.zone}
	windows := func(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) (rollup.Level, error) {
		return rollup.Raw, a.store.Windows(ctx, q, step, each)
	}
	if s, ok := a.store.(resolver); ok {
		windows, at.Finest = s.Resolve, s.Finest
	}
	q, err := ask.ForSeries(r.URL.Query(), at)
	if err != nil {
		return err
	}
	end, err := a.begin(r.Context())
	if err != nil {
		return err
	}
	defer end()
	g := &gathering{q: q, n: int(q.To.Sub(q.From) / q.Step), series: map[string]*Series{}, counts: map[string]map[string][]float64{}}
	query := store.Query{Measurement: q.Measurement, Fields: slices.Clone(q.Fields), Tags: q.Tags, From: q.From, To: q.To, MaxPoints: maxPoints}
	if q.Mean {
		for _, ratio := range q.Ratios {
			query.Fields = append(query.Fields, ratio.Numerator, ratio.Denominator)
		}
	}
	slices.Sort(query.Fields)
	query.Fields = slices.Compact(query.Fields)
	level, err := windows(r.Context(), query, q.Step, g.take)
	switch {
	case errors.Is(err, errManySeries):
		return &problem{http.StatusUnprocessableEntity, "too many",
			fmt.Sprintf("more than %d series match; name a target, an agent or a path", maxSeries)}
	case err != nil:
		return err
	}
	answer := g.answer()
	answer.Resolution = level.String()
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (g *gathering) take(ws store.WindowSeries) error {
	key := tagKey(ws.Tags)
	wanted := slices.Contains(g.q.Fields, ws.Field)
	for _, ratio := range g.q.Ratios {
		if g.q.Mean && (ws.Field == ratio.Numerator || ws.Field == ratio.Denominator) {
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
		out.T[i] = g.q.From.Add(time.Duration(i) * g.q.Step).Unix()
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
	out.Mean = fill(g.q.Mean, func(w *store.Window) float64 { return w.Sum / float64(w.Count) })
	out.Min = fill(g.q.Min, func(w *store.Window) float64 { return w.Min })
	out.Max = fill(g.q.Max, func(w *store.Window) float64 { return w.Max })
	out.P95 = fill(g.q.P95, func(w *store.Window) float64 { return w.P95 })
	out.Count = fill(g.q.Count, func(w *store.Window) float64 { return float64(w.Count) })
	g.series[key+"\x00"+ws.Field] = out
	return nil
}

func (g *gathering) index(start int64) int {
	i := int((start - g.q.From.UnixMilli()) / g.q.Step.Milliseconds())
	if i < 0 || i >= g.n {
		return -1
	}
	return i
}

// answer puts the means of ratios in and sorts.
func (g *gathering) answer() SeriesAnswer {
	out := SeriesAnswer{From: g.q.From, To: g.q.To, StepSeconds: g.q.Step.Seconds(), Series: []Series{}}
	for _, key := range slices.Sorted(maps.Keys(g.series)) {
		s := g.series[key]
		if ratio, ok := g.q.Ratios[s.Field]; ok && g.q.Mean {
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
