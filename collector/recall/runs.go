package recall

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"communewatch/collector/health"
	"communewatch/collector/store"
	"communewatch/probes"
)

// A Range is the past of one site, From included and To not.
type Range struct {
	Site     string
	From, To time.Time
	// MaxPoints bounds what one query of the store may read; beyond it store.ErrTooMany is returned. 0 for no bound.
	MaxPoints int
}

const (
	// stretch is how much of a range is in memory at a time, twice: one is read while another is told.
	stretch = 24 * time.Hour
	// portion is how many observations are told at once: so few that they stay in the processor's cache.
	portion = 1024
)

// Checks returns the observations of a range in order of time.
func Checks(ctx context.Context, src Source, rules Rules, r Range) ([]health.Observation, error) {
	cols, err := read(ctx, src, rules, r, "outcome", "interval_seconds", "late_seconds", "path_proof", "error")
	if err != nil {
		return nil, err
	}
	runs, values := 0, 0
	m := merge(cols.lines(map[health.CheckID]health.CheckID{}))
	for _, l := range m.lines {
		runs += len(l.outcome.Times)
		for _, f := range l.facts {
			values += len(f.Times)
		}
	}
	out, _ := m.fill(make([]health.Observation, 0, runs), make([]health.Fact, 0, values))
	return out, nil
}

// Walk tells the observations of a range, however long, in order of time and in portions. A portion is valid until
// each returns. What the judge has no use for in the past, the proofs of paths, is left out.
func Walk(ctx context.Context, src Source, rules Rules, r Range, each func([]health.Observation)) error {
	group, ctx := errgroup.WithContext(ctx)
	stretches := make(chan *columns)
	group.Go(func() error {
		defer close(stretches)
		for part := r; part.From.Before(r.To); part.From = part.To {
			if part.To = part.From.Add(stretch); part.To.After(r.To) {
				part.To = r.To
			}
			cols, err := read(ctx, src, rules, part, "outcome", "interval_seconds", "late_seconds", "error")
			if err != nil {
				return err
			}
			select {
			case stretches <- cols:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	known := map[health.CheckID]health.CheckID{}
	obs, facts := make([]health.Observation, 0, portion), []health.Fact(nil)
	for cols := range stretches {
		for m := merge(cols.lines(known)); len(m.lines) > 0; {
			if obs, facts = m.fill(obs[:0], facts[:0]); len(obs) > 0 {
				each(obs)
			}
		}
	}
	return group.Wait()
}

// A merger tells the runs of several checks in order of time. It is a heap of them by their next runs.
type merger struct{ lines []*line }

func merge(lines []*line) *merger {
	m := &merger{lines: slices.DeleteFunc(lines, func(l *line) bool { return len(l.outcome.Times) == 0 })}
	for i := len(m.lines)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return m
}

func (m *merger) sink(i int) {
	l := m.lines[i]
	for {
		kid := 2*i + 1
		if kid >= len(m.lines) {
			break
		}
		if kid+1 < len(m.lines) && m.lines[kid+1].before(m.lines[kid]) {
			kid++
		}
		if !m.lines[kid].before(l) {
			break
		}
		m.lines[i] = m.lines[kid]
		i = kid
	}
	m.lines[i] = l
}

// fill appends the next observations to obs, and their facts to facts, until obs is full or there are no more.
func (m *merger) fill(obs []health.Observation, facts []health.Fact) ([]health.Observation, []health.Fact) {
	for len(m.lines) > 0 && len(obs) < cap(obs) {
		l := m.lines[0]
		at := l.outcome.Times[l.next]
		if outcome, ok := l.verdict(); ok {
			begin := len(facts)
			for _, c := range l.facts {
				if i, ok := c.at(at); ok {
					facts = append(facts, health.Fact{Measurement: c.Measurement, Field: c.Field, Value: c.Values[i], Row: c.row})
				}
			}
			o := health.Observation{Check: l.id, Time: time.UnixMilli(at).UTC(), Outcome: outcome, Facts: facts[begin:len(facts):len(facts)]}
			if i, ok := l.interval.at(at); ok {
				o.Interval = health.Seconds(l.interval.Values[i])
			}
			if i, ok := l.late.at(at); ok {
				o.Late = health.Seconds(l.late.Values[i])
			}
			if i, ok := l.proof.at(at); ok {
				o.Proof = probes.Proof(l.proof.Texts[i])
			}
			if i, ok := l.explanation.at(at); ok {
				o.Error = l.explanation.Texts[i]
			}
			obs = append(obs, o)
		}
		if l.next++; l.next == len(l.outcome.Times) {
			last := len(m.lines) - 1
			m.lines[0] = m.lines[last]
			m.lines = m.lines[:last]
		}
		if len(m.lines) > 0 {
			m.sink(0)
		}
	}
	return obs, facts
}

// columns is what the store holds of a range: the fields of the verdict rows, and the facts that a judge looks at.
type columns struct{ verdicts, facts []store.Series }

func read(ctx context.Context, src Source, rules Rules, r Range, verdict ...string) (*columns, error) {
	cols := &columns{}
	for _, m := range probes.Schema() {
		q := store.Query{Measurement: m.Name, Tags: map[string]string{"site": r.Site}, From: r.From, To: r.To, MaxPoints: r.MaxPoints}
		into := &cols.facts
		if m.Name == "check" {
			q.Fields, into = verdict, &cols.verdicts
		} else {
			for _, f := range m.Fields {
				if rules.Uses(m.Name, f.Key) {
					q.Fields = append(q.Fields, f.Key)
				}
			}
			if len(q.Fields) == 0 {
				continue
			}
		}
		if err := src.Select(ctx, q, func(s store.Series) error {
			*into = append(*into, s)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return cols, nil
}
