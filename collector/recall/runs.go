package recall

import (
	"cmp"
	"context"
	"slices"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/store"
	"communewatch/probes"
)

// Checks returns the observations of one site in [from, to), in order of time. Each query of the store reads at most
// maxPoints points (0: no bound) and fails with store.ErrTooMany beyond them.
//
// A month of a site is a million runs, so nothing is looked up per run: the store hands out each field of a check as
// a column in order of time, and the columns of a check are read side by side.
func Checks(ctx context.Context, src Source, rules Rules, site string, from, to time.Time, maxPoints int) ([]health.Observation, error) {
	var verdicts, facts []store.Series
	for _, m := range probes.Schema() {
		q := store.Query{Measurement: m.Name, Tags: map[string]string{"site": site}, From: from, To: to, MaxPoints: maxPoints}
		into := &facts
		if m.Name == "check" {
			q.Fields, into = []string{"outcome", "interval_seconds", "path_proof", "error"}, &verdicts
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
	return join(linesOf(verdicts, facts)), nil
}

// column is one field of a check, read from front to back.
type column struct {
	store.Series
	next int
}

// at returns the index of the value at a time; the times asked for must rise.
func (c *column) at(t int64) (int, bool) {
	for c.next < len(c.Times) && c.Times[c.next] < t {
		c.next++
	}
	return c.next, c.next < len(c.Times) && c.Times[c.next] == t
}

// line is one check with its columns. Without outcome there is no verdict, and its rows prove nothing.
type line struct {
	id                           health.CheckID
	outcome                      store.Series
	interval, proof, explanation *column // nil where there is none
	facts                        []*column
}

// linesOf puts columns together by check. Facts do not carry the check's layer; where a check changed its layer, each
// of its lines reads them.
func linesOf(verdicts, facts []store.Series) []*line {
	lines := map[health.CheckID]*line{}
	var order []*line
	for _, s := range verdicts {
		id := health.CheckID{
			Site: s.Tags.Get("site"), Agent: s.Tags.Get("agent"), Target: s.Tags.Get("target"),
			Kind: probes.Kind(s.Tags.Get("kind")), Path: probes.Path(s.Tags.Get("path")), Layer: probes.Layer(s.Tags.Get("layer")),
		}
		l := lines[id]
		if l == nil {
			l = &line{id: id}
			lines[id] = l
			order = append(order, l)
		}
		switch {
		case s.Field == "outcome" && s.Texts != nil:
			l.outcome = s
		case s.Field == "interval_seconds" && s.Values != nil:
			l.interval = &column{Series: s}
		case s.Field == "path_proof" && s.Texts != nil:
			l.proof = &column{Series: s}
		case s.Field == "error" && s.Texts != nil:
			l.explanation = &column{Series: s}
		}
	}
	byCheck := map[health.CheckID][]store.Series{} // without layers
	for _, s := range facts {
		if s.Values == nil {
			continue
		}
		id := health.CheckID{Site: s.Tags.Get("site"), Agent: s.Tags.Get("agent"), Target: s.Tags.Get("target"),
			Kind: probes.Kind(s.Measurement), Path: probes.Path(s.Tags.Get("path"))}
		byCheck[id] = append(byCheck[id], s)
	}
	for _, l := range order {
		bare := l.id
		bare.Layer = ""
		for _, s := range byCheck[bare] {
			l.facts = append(l.facts, &column{Series: s})
		}
	}
	return order
}

// join reads the lines into observations in order of time.
func join(lines []*line) []health.Observation {
	type run struct {
		at   int64
		line *line
		i    int
	}
	var runs []run
	values := 0
	for _, l := range lines {
		for i, at := range l.outcome.Times {
			runs = append(runs, run{at, l, i})
		}
		for _, f := range l.facts {
			values += len(f.Times)
		}
	}
	slices.SortFunc(runs, func(a, b run) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Or(cmp.Compare(a.line.id.Site, b.line.id.Site), cmp.Compare(a.line.id.Target, b.line.id.Target),
			cmp.Compare(a.line.id.Agent, b.line.id.Agent), cmp.Compare(a.line.id.Kind, b.line.id.Kind),
			cmp.Compare(a.line.id.Path, b.line.id.Path), cmp.Compare(a.line.id.Layer, b.line.id.Layer))
	})
	out := make([]health.Observation, 0, len(runs))
	facts := make([]health.Fact, 0, values) // one room for all
	for _, r := range runs {
		outcome, ok := probes.ParseOutcome(r.line.outcome.Texts[r.i])
		if !ok {
			continue
		}
		o := health.Observation{Check: r.line.id, Time: time.UnixMilli(r.at).UTC(), Outcome: outcome}
		if c := r.line.interval; c != nil {
			if i, ok := c.at(r.at); ok {
				o.Interval = time.Duration(c.Values[i] * float64(time.Second))
			}
		}
		if c := r.line.proof; c != nil {
			if i, ok := c.at(r.at); ok {
				o.Proof = probes.Proof(c.Texts[i])
			}
		}
		if c := r.line.explanation; c != nil {
			if i, ok := c.at(r.at); ok {
				o.Error = c.Texts[i]
			}
		}
		begin := len(facts)
		for _, c := range r.line.facts {
			if i, ok := c.at(r.at); ok {
				facts = append(facts, health.Fact{Measurement: c.Measurement, Field: c.Field, Value: c.Values[i]})
			}
		}
		o.Facts = facts[begin:len(facts):len(facts)]
		out = append(out, o)
	}
	return out
}
