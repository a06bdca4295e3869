package figures

import (
	"cmp"
	"slices"
	"strings"

	"communewatch/collector/reports"
	"communewatch/inventory"
)

const (
	// nearNames is how many names are told that may have been meant.
	nearNames = 3
	// nearEnough is how alike two names must be for that, from 0 to 1: "Vinaphone" is no "Viettel".
	nearEnough = 0.4
)

// candidate is a name that may have been meant.
type candidate struct {
	shown string
	names []string // all that it goes by
}

// unknown finds what was asked for by a name that nothing has.
func (m *maker) unknown() (out []reports.Unknown) {
	check := func(what, asked string, has func(name string) bool, all func() []candidate) {
		if asked != "" && !has(asked) {
			out = append(out, reports.Unknown{What: what, Name: asked, Near: near(asked, all())})
		}
	}
	check("site", m.q.Site, m.knowsSite, func() (all []candidate) {
		for id, s := range m.sites {
			all = append(all, candidate{id + " (" + s.Name + ")", []string{id, s.Name}})
		}
		return all
	})
	districts := map[string]bool{}
	for _, s := range m.sites {
		districts[s.Parent] = true
	}
	check("district", m.q.District, func(name string) bool { return districts[name] }, func() []candidate { return candidates(districts) })
	providers := map[string]bool{}
	for _, agreed := range m.contracts {
		for i := range agreed {
			providers[agreed[i].Contract.Provider] = true
		}
	}
	check("provider", m.q.Provider, func(name string) bool { return providers[name] }, func() []candidate { return candidates(providers) })
	return out
}

// knowsSite reports whether anything is known of a site: it may have figures though it left the list.
func (m *maker) knowsSite(id string) bool {
	if _, ok := m.sites[id]; ok {
		return true
	}
	if m.narrow {
		return false
	}
	for of := range m.months {
		if of.site == id {
			return true
		}
	}
	for of := range m.windows {
		if of.site == id {
			return true
		}
	}
	return false
}

func candidates(names map[string]bool) (all []candidate) {
	for name := range names {
		if name != "" {
			all = append(all, candidate{name, []string{name}})
		}
	}
	return all
}

// near lists those that may have been meant, the likeliest first.
func near(asked string, all []candidate) (out []string) {
	type scored struct {
		shown string
		score float64
	}
	var found []scored
	for _, c := range all {
		best := 0.0
		for _, name := range c.names {
			best = max(best, alike(inventory.Fold(asked), inventory.Fold(name)))
		}
		if best >= nearEnough {
			found = append(found, scored{c.shown, best})
		}
	}
	slices.SortFunc(found, func(a, b scored) int { return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(a.shown, b.shown)) })
	for _, f := range found[:min(len(found), nearNames)] {
		out = append(out, f.shown)
	}
	return out
}

// alike says how alike two folded names are: the share of the pairs of neighbouring letters that both have (Dice).
func alike(a, b string) float64 {
	if a == b {
		return 1
	}
	pairs := map[string]int{}
	for i := 0; i+1 < len(a); i++ {
		pairs[a[i:i+2]]++
	}
	both := 0
	for i := 0; i+1 < len(b); i++ {
		if pairs[b[i:i+2]] > 0 {
			pairs[b[i:i+2]]--
			both++
		}
	}
	return 2 * float64(both) / float64(max(1, len(a)-1+len(b)-1))
}
