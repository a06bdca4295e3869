package web

import (
	"cmp"
	"slices"
	"time"
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

// Site is one site as lists show it. It is what GET /api/v1/sites answers.
type Site struct {
	ID           string            `json:"id"`
	Code         string            `json:"code"`
	Name         string            `json:"name"`
	Type         string            `json:"type"`
	Parent       string            `json:"parent"`
	Lat          *float64          `json:"lat"`
	Lon          *float64          `json:"lon"`
	State        string            `json:"state"`
	Since        *time.Time        `json:"since"`
	Reason       string            `json:"reason"` // a sentence; empty when all is well
	ReasonCode   string            `json:"reason_code"`
	Layers       map[string]string `json:"layers"` // state by layer
	LastSeen     *time.Time        `json:"last_seen"`
	AgentTrouble string            `json:"agent_trouble"`
	Version      uint64            `json:"version"`
}

// SiteDetail is one site with all that its page shows. It is what GET /api/v1/sites/{id} answers.
type SiteDetail struct {
	Site
	LayerDetails map[string]LayerDetail `json:"layer_details"`
	Checks       []Check                `json:"checks"`
	Agents       []Agent                `json:"agents"`
	Names        []DatedName            `json:"names"`
}

// LayerDetail is the state of one layer of a site.
type LayerDetail struct {
	State      string     `json:"state"`
	Since      *time.Time `json:"since"`
	Reason     string     `json:"reason"`
	ReasonCode string     `json:"reason_code"`
}

// Check is one check of a site.
type Check struct {
	Agent           string     `json:"agent"`
	Target          string     `json:"target"`
	Kind            string     `json:"kind"`
	Path            string     `json:"path"`
	Layer           string     `json:"layer"`
	State           string     `json:"state"`
	Since           *time.Time `json:"since"`
	Reason          string     `json:"reason"`
	ReasonCode      string     `json:"reason_code"`
	LastSeen        *time.Time `json:"last_seen"`
	IntervalSeconds float64    `json:"interval_seconds"`
	PathProof       string     `json:"path_proof"`
	Outcome         string     `json:"outcome"`
}

// Agent is what an agent of a site says of itself.
type Agent struct {
	Name            string             `json:"name"`
	Version         string             `json:"version"`
	LastSeen        *time.Time         `json:"last_seen"`
	Trouble         string             `json:"trouble"`
	Facts           map[string]float64 `json:"facts"`
	BatchesReceived uint64             `json:"batches_received"`
	BatchesMissing  uint64             `json:"batches_missing"`
}

// DatedName is what a site was called from a day on.
type DatedName struct {
	ValidFrom *string `json:"valid_from"` // 2025-01-01; nil: since ever
	Name      string  `json:"name"`
	Type      string  `json:"type"`
	Code      string  `json:"code"`
	Parent    string  `json:"parent"`
}

// stateIn is the site's state in a layer, or overall for the layer "".
func (s *Site) stateIn(layer string) string {
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
func (s *Site) explains(layer string) bool {
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
func sortWorstFirst(sites []Site, layer string) {
	unix := func(s *Site) int64 {
		if s.Since == nil || s.stateIn(layer) == "ok" {
			return 0
		}
		return s.Since.Unix()
	}
	folded := make(map[string]string, len(sites))
	for i := range sites {
		folded[sites[i].ID] = Fold(sites[i].Name)
	}
	slices.SortFunc(sites, func(a, b Site) int {
		return cmp.Or(
			cmp.Compare(severity(a.stateIn(layer)), severity(b.stateIn(layer))),
			cmp.Compare(unix(&b), unix(&a)),
			cmp.Compare(folded[a.ID], folded[b.ID]),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.ID, b.ID),
		)
	})
}
