package api

import (
	"math"
	"strconv"
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

// SeriesAnswer is measurements in evenly spaced windows.
type SeriesAnswer struct {
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	StepSeconds float64   `json:"step_seconds"`
	Resolution  string    `json:"resolution"` // raw, 5m, 1h, 1d or 1mo: the coarsest of what was read
	Series      []Series  `json:"series"`
}

// Series is one field of one series. Aggregates that were not asked for are absent; null means that nothing was
// measured in that window.
type Series struct {
	Measurement string            `json:"measurement"`
	Field       string            `json:"field"`
	Tags        map[string]string `json:"tags"`
	T           []int64           `json:"t"` // starts of the windows, Unix seconds
	Mean        numbers           `json:"mean,omitempty"`
	Min         numbers           `json:"min,omitempty"`
	Max         numbers           `json:"max,omitempty"`
	P95         numbers           `json:"p95,omitempty"`
	Count       numbers           `json:"count,omitempty"`
}

// numbers are written with null for NaN.
type numbers []float64

func (n numbers) MarshalJSON() ([]byte, error) {
	out := append(make([]byte, 0, 8*len(n)+2), '[')
	for i, v := range n {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			out = append(out, "null"...)
		} else {
			out = strconv.AppendFloat(out, v, 'g', -1, 64)
		}
	}
	return append(out, ']'), nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
