package stock

import (
	"cmp"
	"context"
	"slices"

	"communewatch/collector/stock/counts"
)

// Summary counts what the filter lets through.
func (s *Stock) Summary(ctx context.Context, q Query) (Summary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, _, err := s.pick(ctx, &q)
	if err != nil {
		return Summary{}, err
	}
	c := counts.New()
	for _, l := range list {
		c.Add(&l.row, over(s.devices[l.id], l.row.InService, q.AsOf, year))
	}
	out := c.Summary(s.phaseOrder())
	out.AsOf = q.AsOf
	return out, nil
}

// phaseOrder ranks phases by when they were bought; NoPhase is last.
func (s *Stock) phaseOrder() func(phase string) int {
	first := map[string]int64{}
	for _, u := range s.paper.Units {
		if at, known := first[u.Phase]; !u.Received.IsZero() && (!known || u.Received.Unix() < at) {
			first[u.Phase] = u.Received.Unix()
		}
	}
	var names []string
	for _, p := range s.paper.Phases {
		names = append(names, p.Name)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	return func(phase string) int {
		if i := slices.Index(names, phase); i >= 0 {
			return i
		}
		return len(names)
	}
}
