package figures

import (
	"cmp"
	"slices"
	"strings"

	"communewatch/collector/reports"
	"communewatch/probes"
)

// group is a group under way.
type group struct {
	reports.Group
	t tally
}

// groups sums the lines up by district, provider and path.
func (m *maker) groups(out *reports.Report) {
	type name struct {
		name  string
		layer probes.Layer
	}
	districts, providers, paths := map[name]*group{}, map[name]*group{}, map[name]*group{}
	for i := range out.Lines {
		l := &out.Lines[i]
		add := func(to map[name]*group, called string) {
			id := name{called, l.Layer}
			if to[id] == nil {
				to[id] = &group{Group: reports.Group{Name: called, Layer: l.Layer}}
			}
			to[id].add(l, &m.tallies[i])
		}
		add(districts, l.District)
		add(paths, "")
		if bought(l.Layer) {
			provider := ""
			if l.Contract != nil {
				provider = l.Contract.Provider
			}
			add(providers, provider)
		}
	}
	layers := probes.Layers()
	list := func(from map[name]*group) []reports.Group {
		done := make([]reports.Group, 0, len(from))
		for _, g := range from {
			complete(&g.Figures, &g.t)
			done = append(done, g.Group)
		}
		slices.SortFunc(done, func(a, b reports.Group) int {
			unknown := func(g reports.Group) int {
				if g.Name == "" {
					return 1
				}
				return 0
			}
			return cmp.Or(cmp.Compare(unknown(a), unknown(b)), strings.Compare(a.Name, b.Name), cmp.Compare(slices.Index(layers, a.Layer), slices.Index(layers, b.Layer)))
		})
		return done
	}
	out.Districts, out.Providers, out.Paths = list(districts), list(providers), list(paths)
}

// bought reports whether a layer is a line that somebody provides.
func bought(l probes.Layer) bool { return l == probes.LayerBroadband || l == probes.LayerDedicated }

// add takes in a line.
func (g *group) add(l *reports.Line, t *tally) {
	g.Lines++
	sum(&g.Figures, l.Figures)
	g.t.merge(t)
	switch missed, unknown := judged(l.Against); {
	case missed:
		g.Missed++
	case unknown:
		g.Open++
	case len(l.Against) > 0:
		g.Met++
	}
}

// judged reports whether a line missed a limit, and whether there is one of which nothing can be said.
func judged(against []reports.Verdict) (missed, unknown bool) {
	for _, v := range against {
		missed = missed || v.Met != nil && !*v.Met
		unknown = unknown || v.Met == nil
	}
	return missed, unknown
}

// pairs finds the sites with both lines.
func (m *maker) pairs(out *reports.Report) {
	at := map[lineOf]int{}
	for i := range out.Lines {
		at[lineOf{out.Lines[i].Site, out.Lines[i].Layer}] = i
	}
	out.Pairs = []reports.Pair{}
	for i := range out.Lines {
		site := out.Lines[i].Site
		if dedicated, ok := at[lineOf{site, probes.LayerDedicated}]; ok && out.Lines[i].Layer == probes.LayerBroadband {
			out.Pairs = append(out.Pairs, reports.Pair{Site: site, Broadband: i, Dedicated: dedicated})
		}
	}
}
