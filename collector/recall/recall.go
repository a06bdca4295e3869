// Package recall turns stored rows back into the observations that they were judged by when they came in. So the
// judge can be brought up to date after a restart, and a site's history of states can be computed anew from its data,
// late rows included.
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

// Source is where the rows are kept.
type Source interface {
	Select(ctx context.Context, q store.Query, each func(store.Series) error) error
}

// Rules says which facts a judge looks at.
type Rules interface {
	Uses(measurement, field string) bool
}

// Checks returns the observations of one site in [from, to), in order of time. It reads at most maxPoints points of
// the store (0: no bound) and returns store.ErrTooMany beyond them.
func Checks(ctx context.Context, src Source, rules Rules, site string, from, to time.Time, maxPoints int) ([]health.Observation, error) {
	c := collection{runs: map[run]*health.Observation{}, judged: map[run]bool{}, facts: map[run][]health.Fact{}}
	for _, m := range probes.Schema() {
		if m.Name == "agent" {
			continue
		}
		q := store.Query{
			Measurement: m.Name, Tags: map[string]string{"site": site}, From: from, To: to, MaxPoints: maxPoints,
		}
		take := c.verdict
		if m.Name != "check" {
			take = c.fact
			for _, f := range m.Fields {
				if rules.Uses(m.Name, f.Key) {
					q.Fields = append(q.Fields, f.Key)
				}
			}
			if len(q.Fields) == 0 {
				continue
			}
		}
		if err := src.Select(ctx, q, take); err != nil {
			return nil, err
		}
	}
	return c.observations(), nil
}

// run identifies a run: a check's name and kind at a time. Facts do not carry the check's layer, so it is not part.
type run struct {
	agent, target string
	kind          probes.Kind
	path          probes.Path
	at            int64
}

type collection struct {
	runs   map[run]*health.Observation
	judged map[run]bool // runs whose outcome is known; without it a row proves nothing
	facts  map[run][]health.Fact
}

// verdict takes one field of the rows "check".
func (c *collection) verdict(s store.Series) error {
	id := health.CheckID{
		Site: s.Tags.Get("site"), Agent: s.Tags.Get("agent"), Target: s.Tags.Get("target"),
		Kind: probes.Kind(s.Tags.Get("kind")), Path: probes.Path(s.Tags.Get("path")), Layer: probes.Layer(s.Tags.Get("layer")),
	}
	for i, at := range s.Times {
		key := run{id.Agent, id.Target, id.Kind, id.Path, at}
		o := c.runs[key]
		if o == nil {
			o = &health.Observation{Check: id, Time: time.UnixMilli(at).UTC()}
			c.runs[key] = o
		}
		switch s.Field {
		case "outcome":
			if outcome, ok := probes.ParseOutcome(s.Texts[i]); ok {
				o.Outcome = outcome
				c.judged[key] = true
			}
		case "interval_seconds":
			o.Interval = time.Duration(s.Values[i] * float64(time.Second))
		case "path_proof":
			o.Proof = probes.Proof(s.Texts[i])
		case "error":
			o.Error = s.Texts[i]
		}
	}
	return nil
}

// fact takes one field of a kind's own rows; the measurement's name is the kind's.
func (c *collection) fact(s store.Series) error {
	if s.Values == nil {
		return nil
	}
	for i, at := range s.Times {
		key := run{s.Tags.Get("agent"), s.Tags.Get("target"), probes.Kind(s.Measurement), probes.Path(s.Tags.Get("path")), at}
		c.facts[key] = append(c.facts[key], health.Fact{Measurement: s.Measurement, Field: s.Field, Value: s.Values[i]})
	}
	return nil
}

func (c *collection) observations() []health.Observation {
	out := make([]health.Observation, 0, len(c.runs))
	for key, o := range c.runs {
		if !c.judged[key] {
			continue
		}
		o.Facts = c.facts[key]
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b health.Observation) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Check.Agent, b.Check.Agent), cmp.Compare(a.Check.Target, b.Check.Target))
	})
	return out
}

// AgentReport is the newest that an agent said of itself.
type AgentReport struct {
	Agent, Version string
	At             time.Time
	Facts          map[string]float64 // by field of measurement "agent"
}

// Agents returns the newest report in [from, to) of each agent of a site.
func Agents(ctx context.Context, src Source, site string, from, to time.Time) ([]AgentReport, error) {
	reports := map[string]*AgentReport{}
	q := store.Query{Measurement: "agent", Tags: map[string]string{"site": site}, From: from, To: to}
	err := src.Select(ctx, q, func(s store.Series) error {
		n := len(s.Times)
		if n == 0 {
			return nil
		}
		name := s.Tags.Get("agent")
		r := reports[name]
		if r == nil {
			r = &AgentReport{Agent: name, Facts: map[string]float64{}}
			reports[name] = r
		}
		if at := time.UnixMilli(s.Times[n-1]).UTC(); at.After(r.At) {
			r.At = at
		}
		switch {
		case s.Values != nil:
			r.Facts[s.Field] = s.Values[n-1]
		case s.Field == "version":
			r.Version = s.Texts[n-1]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]AgentReport, 0, len(reports))
	for _, r := range reports {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b AgentReport) int { return cmp.Compare(a.Agent, b.Agent) })
	return out, nil
}
