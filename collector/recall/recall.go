// Package recall turns stored rows back into the observations that they were judged by when they came in. So the
// judge can be brought up to date after a restart, and a site's history of states can be computed anew from its data,
// late rows included.
package recall

import (
	"cmp"
	"context"
	"slices"
	"time"

	"communewatch/collector/store"
)

// Source is where the rows are kept.
type Source interface {
	Select(ctx context.Context, q store.Query, each func(store.Series) error) error
}

// Rules says which facts a judge looks at.
type Rules interface {
	Uses(measurement, field string) bool
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
