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

// Windows makes series of windows out of an answer. Make one with NewWindows.
type Windows struct {
	Skipped int // windows that no collector wrote so

	question *Question
	asked    *store.RollupQuery
	fields   []string // nil: all
	read     *int     // windows so far, of several questions
	each     func(store.RollupSeries) error

	raw  probes.Tags // of the present series, as in the answer
	now  *store.RollupSeries
	mine bool

	parts  bool // series come again and again
	order  []*store.RollupSeries
	series map[string]*store.RollupSeries
}

// NewWindows returns a Windows that calls each for every series, until more windows were read than were asked for at
// most. For parts see NewPoints.
func NewWindows(q *Question, asked *store.RollupQuery, read *int, parts bool, each func(store.RollupSeries) error) *Windows {
	g := &Windows{question: q, asked: asked, read: read, each: each, parts: parts, series: map[string]*store.RollupSeries{}}
	if len(asked.Fields) > 0 {
		g.fields = asked.Fields
	}
	return g
}

// begin makes the series of c the present one.
func (g *Windows) begin(c *influxql.Chunk) error {
	if g.now != nil && slices.Equal(g.raw, c.Tags) {
		return nil
	}
	if !g.parts {
		if err := g.flush(g.now); err != nil {
			return err
		}
	}
	tags, mine := g.question.mine(c)
	g.raw, g.mine = c.Tags, mine
	key := rollup.SeriesKey("", c.Tags)
	if g.now = g.series[key]; g.now != nil {
		return nil
	}
	g.now = &store.RollupSeries{Measurement: g.question.Measurement, Tags: tags}
	if g.parts {
		g.series[key] = g.now
		g.order = append(g.order, g.now)
	}
	return nil
}

func (g *Windows) flush(s *store.RollupSeries) error {
	if s == nil || len(s.Rows) == 0 {
		return nil
	}
	return g.each(*s)
}

// Take takes in a stretch.
func (g *Windows) Take(c *influxql.Chunk) error {
	times := c.Column("time")
	if times == nil {
		return fmt.Errorf("%w: no times", influxql.ErrAnswer)
	}
	if err := g.begin(c); err != nil || !g.mine {
		return err
	}
	s, w := g.now, lines.NewWindows(c, g.fields)
	for i := range c.Rows {
		t := int64(times.Numbers[i])
		row := rollup.Row{Measurement: s.Measurement, Tags: s.Tags, Start: t, Fields: w.Row(i)}
		if !g.asked.Takes(&row) {
			continue
		}
		if t < g.question.From || t >= g.question.To || len(s.Rows) > 0 && t <= s.Rows[len(s.Rows)-1].Start {
			g.Skipped++
			continue
		}
		if *g.read++; g.asked.MaxRows > 0 && *g.read > g.asked.MaxRows {
			return store.ErrTooMany
		}
		s.Rows = append(s.Rows, row)
	}
	return nil
}

// Finish hands over what is left.
func (g *Windows) Finish() error {
	if !g.parts {
		return g.flush(g.now)
	}
	for _, s := range g.order {
		if err := g.flush(s); err != nil {
			return err
		}
	}
	return nil
}
