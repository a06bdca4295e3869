package api

import (
	"time"

	"communewatch/collector/api/conference"
)

// Site is one site as lists show it.
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

// SiteDetail is one site with all that its page shows.
type SiteDetail struct {
	Site
	LayerDetails map[string]LayerDetail `json:"layer_details"`
	Checks       []Check                `json:"checks"`
	Agents       []Agent                `json:"agents"`
	Names        []DatedName            `json:"names"`
	Endpoints    []conference.Endpoint  `json:"endpoints"` // of the conference room, by name
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

// Agent is what an agent of a site says of itself, and what arrived of it.
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

// History is a site's states over time.
type History struct {
	From   time.Time         `json:"from"`
	To     time.Time         `json:"to"`
	Site   []Span            `json:"site"`
	Layers map[string][]Span `json:"layers"`
}

// Span is one stay in a state.
type Span struct {
	State  string    `json:"state"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// Change is one change of state, as it was announced.
type Change struct {
	At         time.Time `json:"at"`
	Layer      string    `json:"layer"` // empty for the site as a whole
	Check      string    `json:"check"` // agent/target; empty for a layer or the site
	From       string    `json:"from"`
	To         string    `json:"to"`
	ReasonCode string    `json:"reason_code"`
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
