package answers

import (
	"fmt"
	"slices"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx/influxql"
	"communewatch/collector/store/influx/lines"
	"communewatch/probes"
)

// Points makes series of points out of an answer. Make one with NewPoints.
type Points struct {
	Skipped int // values that no collector wrote so

	question *Question
	max      int // points; 0: no bound
	each     func(store.Series) error
	read     int // points so far
	now      gathered

	// pieces is the series of a question that is asked in parts; nil where it is asked at once, and each series is over
	// when the next one begins.
	pieces map[string]*gathered
	order  []*gathered // pieces, as they came first
}

// NewPoints returns a Points that calls each for every field of every series, until more than max points were read, if
// max is not 0. parts says that the question is asked in parts, so that series come again and again: all is held until
// Finish then.
func NewPoints(q *Question, max int, parts bool, each func(store.Series) error) *Points {
	g := &Points{question: q, max: max, each: each}
	if parts {
		g.pieces = map[string]*gathered{}
	}
	return g
}

// gathered is one series.
type gathered struct {
	begun  bool
	name   string
	raw    probes.Tags // as in the answer
	tags   probes.Tags
	mine   bool
	fields []gatheredField
}

type gatheredField struct {
	name   string
	kind   influxql.Kind // Null until a value came
	times  []int64
	values []float64
	texts  []string
}

// series returns where the points of c belong.
func (g *Points) series(c *influxql.Chunk) (*gathered, error) {
	s := &g.now
	if g.pieces != nil {
		key := rollup.SeriesKey(c.Name, c.Tags)
		if g.pieces[key] == nil {
			g.pieces[key] = &gathered{}
			g.order = append(g.order, g.pieces[key])
		}
		s = g.pieces[key]
	}
	if s.begun && s.name == c.Name && slices.Equal(s.raw, c.Tags) {
		return s, nil
	}
	if err := g.flush(s); err != nil {
		return nil, err
	}
	s.begun, s.name, s.raw = true, c.Name, c.Tags
	s.tags, s.mine = g.question.mine(c)
	s.fields = s.fields[:0]
	return s, nil
}

// Take takes in a stretch.
func (g *Points) Take(c *influxql.Chunk) error {
	s, err := g.series(c)
	if err != nil || !s.mine {
		return err
	}
	if len(c.Columns) == 0 || c.Names[0] != "time" {
		return fmt.Errorf("%w: no times", influxql.ErrAnswer)
	}
	times := &c.Columns[0]
	for n := 1; n < len(c.Columns); n++ {
		col, f := &c.Columns[n], s.field(n-1, c.Names[n])
		for i, kind := range col.Kinds {
			if kind == influxql.Null {
				continue
			}
			t := int64(times.Numbers[i])
			if f.kind == influxql.Null {
				f.kind = kind
			}
			// A field that is a number here and a text there, or finer than milliseconds, is none of ours.
			if kind != f.kind || times.Kinds[i] != influxql.Number || t < g.question.From || t >= g.question.To ||
				len(f.times) > 0 && t <= f.times[len(f.times)-1] {
				g.Skipped++
				continue
			}
			if g.read++; g.max > 0 && g.read > g.max {
				return store.ErrTooMany
			}
			f.times = append(f.times, t)
			if kind == influxql.Text {
				f.texts = append(f.texts, col.Texts[i])
			} else {
				f.values = append(f.values, col.Numbers[i])
			}
		}
	}
	return nil
}

// field returns the field in column n, which has the same place in all of an answer, or is looked for.
func (s *gathered) field(n int, stored string) *gatheredField {
	name := lines.Named(stored)
	if n < len(s.fields) && s.fields[n].name == name {
		return &s.fields[n]
	}
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	if len(s.fields) < cap(s.fields) { // with what it held for the series before
		s.fields = s.fields[:len(s.fields)+1]
	} else {
		s.fields = append(s.fields, gatheredField{})
	}
	f := &s.fields[len(s.fields)-1]
	*f = gatheredField{name: name, times: f.times[:0], values: f.values[:0], texts: f.texts[:0]}
	return f
}

// flush hands a series over. What is handed over is copied: what grows by doubling is mostly garbage.
func (g *Points) flush(s *gathered) error {
	for i := range s.fields {
		f := &s.fields[i]
		if len(f.times) == 0 {
			continue
		}
		out := store.Series{Measurement: g.question.Measurement, Field: f.name, Tags: s.tags, Times: slices.Clone(f.times)}
		if f.kind == influxql.Text {
			out.Texts = slices.Clone(f.texts)
		} else {
			out.Values = slices.Clone(f.values)
		}
		if err := g.each(out); err != nil {
			return err
		}
	}
	s.fields = s.fields[:0]
	return nil
}

// Finish hands over what is left.
func (g *Points) Finish() error {
	for _, s := range g.order {
		if err := g.flush(s); err != nil {
			return err
		}
	}
	return g.flush(&g.now)
}
