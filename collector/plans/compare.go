package plans

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"communewatch/collector/assign"
	"communewatch/collector/assign/cost"
	"communewatch/probes"
	"communewatch/probes/settings"
)

func keysOf[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }

// problemsOf are the mistakes of a plan that can't be read.
func problemsOf(err error) []assign.Problem {
	var e *settings.Error
	if !errors.As(err, &e) {
		return []assign.Problem{{Text: err.Error()}}
	}
	out := make([]assign.Problem, len(e.Problems))
	for i, p := range e.Problems {
		out[i] = assign.Problem{At: p.Path, Line: p.Line, Text: p.Text}
	}
	return out
}

// speeds reads what lines were bought as.
func (s *Service) speeds(ctx context.Context) (map[string]map[probes.Path]cost.Speed, error) {
	if s.o.Agreements == nil {
		return nil, nil
	}
	list, err := s.o.Agreements(ctx)
	if err != nil {
		return nil, err
	}
	return cost.Speeds(list, s.o.Now().In(s.o.Zone).Format(time.DateOnly)), nil
}

// compare fills a preview with what changes.
func (s *Service) compare(ctx context.Context, p *Preview, fleet assign.Fleet, old, now *assign.Outcome) error {
	speeds, err := s.speeds(ctx)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, site := range fleet.Sites {
		names[site.ID] = site.Name
	}
	costs := func(o *assign.Outcome, site, agent string) []cost.Line {
		g := o.Given(site, agent)
		if g == nil || !g.Assigned {
			return nil
		}
		return cost.Lines([]map[probes.Path]cost.Cost{cost.ByPath(g.Checks)}, speeds[site])
	}
	sites := map[string]bool{}
	for _, c := range assign.Compare(old.Agents, now.Agents) {
		sites[c.Site] = true
		p.Agents = append(p.Agents, Changed{Change: c, SiteName: names[c.Site], Before: costs(old, c.Site, c.Agent), After: costs(now, c.Site, c.Agent)})
	}
	for i := range now.Agents {
		if !now.Agents[i].Assigned {
			p.Empty++
		}
	}
	p.Same = len(now.Agents) - len(p.Agents)
	for _, site := range slices.Sorted(maps.Keys(sites)) {
		p.Lines = append(p.Lines, s.lineChanges(site, names[site], siteLines(old, site, speeds[site]), siteLines(now, site, speeds[site]))...)
	}
	return nil
}

// siteLines is what all agents of a site take of its lines.
func siteLines(o *assign.Outcome, site string, speeds map[probes.Path]cost.Speed) []cost.Line {
	var agents []map[probes.Path]cost.Cost
	at, _ := slices.BinarySearchFunc(o.Agents, site, func(g assign.Given, site string) int { return cmp.Compare(g.Site, site) })
	for ; at < len(o.Agents) && o.Agents[at].Site == site; at++ {
		if o.Agents[at].Assigned {
			agents = append(agents, cost.ByPath(o.Agents[at].Checks))
		}
	}
	return cost.Lines(agents, speeds)
}

// lineChanges pairs the lines of a site before and after.
func (s *Service) lineChanges(site, name string, before, after []cost.Line) (out []LineChange) {
	find := func(list []cost.Line, p probes.Path) cost.Line {
		for _, l := range list {
			if l.Path == p {
				return l
			}
		}
		return cost.Line{Path: p}
	}
	for _, p := range probes.Paths() {
		c := LineChange{Site: site, SiteName: name, Before: find(before, p), After: find(after, p)}
		if c.Before.Cost == (cost.Cost{}) && c.After.Cost == (cost.Cost{}) {
			continue
		}
		if p == probes.PathLAN {
			c.Before.Speed, c.After.Speed = cost.Speed{}, cost.Speed{} // the office's own, which nobody bought
		}
		c.OverAverage, c.OverPeak = c.After.Over(s.o.Limits)
		out = append(out, c)
	}
	return out
}
