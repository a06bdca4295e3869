package assign

import (
	"cmp"
	"fmt"
	"slices"

	"communewatch/collector/assign/values"
	"communewatch/inventory"
)

// Fleet is whom a plan is for.
type Fleet struct {
	Sites  []inventory.Site    // as they are known today, by ID
	Agents map[string][]string // names by site; a site without any is planned for as one agent without a name
	Values values.Table
}

// Outcome is what a plan comes to for the whole fleet.
type Outcome struct {
	Agents   []Given   // by site and agent; those to whom nothing is assigned are among them
	Notes    []Problem // worth knowing
	Problems []Problem // why the plan can't be applied
}

// Given returns what an agent gets; nil for an agent that is not in the fleet.
func (o *Outcome) Given(site, agent string) *Given {
	i, ok := slices.BinarySearchFunc(o.Agents, [2]string{site, agent}, func(g Given, id [2]string) int {
		return cmp.Or(cmp.Compare(g.Site, id[0]), cmp.Compare(g.Agent, id[1]))
	})
	if !ok {
		return nil
	}
	return &o.Agents[i]
}

// All makes the work of the whole fleet. The same problem at several sites is told once.
func (p *Plan) All(f Fleet) Outcome {
	var out Outcome
	var notes, problems collected
	known := make(map[string]bool, len(f.Sites))
	inGroup := make([]bool, len(p.groups))
	used := map[string]bool{}
	for _, s := range f.Sites {
		known[s.ID] = true
		part := p.sites[s.ID]
		var tags []string
		if part != nil {
			tags = part.Tags
			for _, t := range part.Templates {
				used[t] = true
			}
		}
		for i, g := range p.groups {
			if g.has(s, tags) {
				inGroup[i] = true
				for _, t := range g.Templates {
					used[t] = true
				}
			}
		}
		agents := slices.Sorted(slices.Values(f.Agents[s.ID]))
		if len(agents) == 0 {
			agents = []string{""}
		}
		for _, a := range agents {
			given := p.For(s, a, f.Values[s.ID])
			notes.add(given.Notes...)
			problems.add(given.Problems...)
			out.Agents = append(out.Agents, given)
		}
	}
	slices.SortFunc(out.Agents, func(a, b Given) int { return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Agent, b.Agent)) })
	p.examine(f.Values, known, &notes, &problems)
	p.strangers(&notes, f, known)
	for i, g := range p.groups {
		if !inGroup[i] {
			notes.add(Problem{At: fmt.Sprintf("groups[%d]", i), Text: fmt.Sprintf("no site is in group %s", g.Name)})
		}
	}
	for _, name := range sorted(p.templates) {
		if !used[name] {
			notes.add(Problem{At: "templates." + name, Text: fmt.Sprintf("no site gets template %s", name)})
		}
	}
	out.Notes, out.Problems = notes.list(p), problems.list(p)
	return out
}

// strangers tells of sites that the plan names and nobody knows.
func (p *Plan) strangers(notes *collected, f Fleet, known map[string]bool) {
	tell := func(at, id string) {
		if !known[id] {
			notes.add(Problem{At: at, Text: fmt.Sprintf("there is no site %s (yet); communewatch-collector sites list shows all", id)})
		}
	}
	for i, g := range p.groups {
		for j, id := range g.Sites {
			tell(fmt.Sprintf("groups[%d].sites[%d]", i, j), id)
		}
		for j, id := range g.Except {
			tell(fmt.Sprintf("groups[%d].except[%d]", i, j), id)
		}
	}
	for _, id := range sorted(p.sites) {
		tell("sites."+id, id)
		for name := range p.sites[id].agents {
			if known[id] && len(f.Agents[id]) > 0 && !slices.Contains(f.Agents[id], name) {
				notes.add(Problem{At: "sites." + id + ".agents." + name, Text: fmt.Sprintf("site %s has no agent %s (yet)", id, name)})
			}
		}
	}
}

// collected gathers problems, each once, with all its sites.
type collected struct {
	at  map[[2]string]int
	all []Problem
}

func (c *collected) add(list ...Problem) {
	if c.at == nil {
		c.at = map[[2]string]int{}
	}
	for _, p := range list {
		id := [2]string{p.At, p.Text}
		i, ok := c.at[id]
		if !ok {
			c.at[id] = len(c.all)
			p.Sites = slices.Clone(p.Sites)
			c.all = append(c.all, p)
			continue
		}
		for _, s := range p.Sites {
			if !slices.Contains(c.all[i].Sites, s) {
				c.all[i].Sites = append(c.all[i].Sites, s)
			}
		}
	}
}

func (c *collected) list(p *Plan) []Problem {
	for i := range c.all {
		if q := &c.all[i]; q.At != "" {
			q.Line = p.doc.Line(q.At)
		}
		slices.Sort(c.all[i].Sites)
	}
	slices.SortStableFunc(c.all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.At, b.At), cmp.Compare(a.Text, b.Text))
	})
	return c.all
}

// examine tells what of the sites' values the plan can't take, and what of them it does not use.
func (p *Plan) examine(t values.Table, known map[string]bool, notes, problems *collected) {
	secrets := map[string]bool{}
	for _, s := range p.file.Secrets {
		secrets[s] = true
	}
	for _, id := range sorted(t) {
		for _, name := range sorted(t[id]) {
			v := p.values[name]
			if v == nil {
				notes.add(Problem{At: "values", Text: fmt.Sprintf("sites have the value %s, which the plan does not declare%s", name, values.Near(name, sorted(p.values))), Sites: []string{id}})
			} else if err := v.Check(t[id][name], secrets); err != nil && known[id] {
				problems.add(Problem{At: "values." + name, Text: fmt.Sprintf("%s: %v", name, err), Sites: []string{id}})
			}
		}
	}
}
