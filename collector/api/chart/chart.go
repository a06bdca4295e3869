// Package chart answers questions for series of numbers: windows as they are read, put together into lists that a chart
// can draw, with the means of ratios worked out from their counts.
package chart

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

const (
	MaxSeries = 60 // in one answer
	// maxPoints bounds what a query reads: ten checks every 30 s for a year, times three fields.
	maxPoints = 32_000_000
)

// ErrMany is returned for a question that more series match than MaxSeries.
var ErrMany = fmt.Errorf("more than %d series match; name a target, an agent or a path", MaxSeries)

// Windows reads windows of a step, and says of which level they are.
type Windows func(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) (rollup.Level, error)

// A Resolver is a Store that also answers from windows of longer stretches; *history.Reader is one.
type Resolver interface {
	Resolve(ctx context.Context, q store.Query, step time.Duration, each func(store.WindowSeries) error) (rollup.Level, error)
	Finest(from time.Time) time.Duration
}

// Read answers a question.
func Read(ctx context.Context, from Windows, q *ask.Series) (SeriesAnswer, error) {
	g := &gathering{q: q, n: int(q.To.Sub(q.From) / q.Step), series: map[string]*Series{}, counts: map[string]map[string][]float64{}}
	query := store.Query{Measurement: q.Measurement, Fields: slices.Clone(q.Fields), Tags: q.Tags, From: q.From, To: q.To, MaxPoints: maxPoints}
	if q.Mean {
		for _, ratio := range q.Ratios {
			query.Fields = append(query.Fields, ratio.Numerator, ratio.Denominator)
		}
	}
	slices.Sort(query.Fields)
	query.Fields = slices.Compact(query.Fields)
	level, err := from(ctx, query, q.Step, g.take)
	if err != nil {
		return SeriesAnswer{}, err
	}
	answer := g.answer()
	answer.Resolution = level.String()
	return answer, nil
}

// gathering collects windows into the answer.
type gathering struct {
	q      *ask.Series
	n      int // windows per series
	series map[string]*Series
	// counts are the sums of a ratio's counts by series; the slices have n values.
	counts map[string]map[string][]float64
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
	if len(g.series) == MaxSeries {
		return ErrMany
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

// SeriesAnswer is measurements in evenly spaced windows.
type SeriesAnswer struct {
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	StepSeconds float64   `json:"step_seconds"`
	Resolution  string    `json:"resolution"` // raw, 5m, 1h, 1d or 1mo: the coarsest of what was read
	Series      []Series  `json:"series"`
}

// Series is one field of one series. Aggregates that were not asked for are absent; null means that nothing was
// measured in that window.
type Series struct {
	Measurement string            `json:"measurement"`
	Field       string            `json:"field"`
	Tags        map[string]string `json:"tags"`
	T           []int64           `json:"t"` // starts of the windows, Unix seconds
	Mean        numbers           `json:"mean,omitempty"`
	Min         numbers           `json:"min,omitempty"`
	Max         numbers           `json:"max,omitempty"`
	P95         numbers           `json:"p95,omitempty"`
	Count       numbers           `json:"count,omitempty"`
}

// numbers are written with null for NaN.
type numbers []float64

func (n numbers) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, 8*len(n)+2), '[')
	for i, v := range n {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			out = append(out, "null"...)
		} else {
			out = strconv.AppendFloat(out, v, 'g', -1, 64)
		}
	}
	return append(out, ']'), nil
}
