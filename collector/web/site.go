package web

import (
	"cmp"
	"slices"

	"communewatch/collector/api"
	"communewatch/inventory"
)

// Layers in the order of the screens.
var layers = []string{"lan", "broadband", "dedicated", "conference"}

// states in the order of the screens: what needs a person first.
var states = []string{"down", "degraded", "no_data", "ok", "muted", "none"}

// severity is a state's place in that order; an unknown one comes last.
func severity(state string) int {
	if i := slices.Index(states, state); i >= 0 {
		return i
	}
	return len(states)
}

// neverSeen is the reason code of a site that nothing came from yet. Its since says when it was imported, or when the
// collector started, neither of which is since when something is the matter: it is not shown.
const neverSeen = "never_seen"

// stateIn is the site's state in a layer, or overall for the layer "".
func stateIn(s *api.Site, layer string) string {
	if layer == "" {
		return s.State
	}
	if state := s.Layers[layer]; state != "" {
		return state
	}
	return "none"
}

// explains tells whether the site's overall reason and since hold for a layer too. A list carries only the overall
// ones; they are the layer's when it alone is in the overall state.
func explains(s *api.Site, layer string) bool {
	if layer == "" {
		return true
	}
	for name, state := range s.Layers {
		if (name == layer) != (state == s.State) {
			return false
		}
	}
	return true
}

// sortWorstFirst puts the worst first, the newest trouble before the older, and the rest by name.
func sortWorstFirst(sites []api.Site, layer string) {
	unix := func(s *api.Site) int64 {
		if s.Since == nil || s.ReasonCode == neverSeen || stateIn(s, layer) == "ok" {
			return 0
		}
		return s.Since.Unix()
	}
	folded := make(map[string]string, len(sites))
	for i := range sites {
		folded[sites[i].ID] = inventory.Fold(sites[i].Name)
	}
	slices.SortFunc(sites, func(a, b api.Site) int {
		return cmp.Or(
			cmp.Compare(severity(stateIn(&a, layer)), severity(stateIn(&b, layer))),
			cmp.Compare(unix(&b), unix(&a)),
			cmp.Compare(folded[a.ID], folded[b.ID]),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.ID, b.ID),
		)
	})
}
