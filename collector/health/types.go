// Package health judges: it turns what runs said into the states of checks, layers and sites, with since when and why.
// It is pure. Rows are brought to it as observations, time comes with them and with Tick, and nothing is read or
// written, so the same observations always amount to the same states: live, after a restart (Restore), and when the
// past is judged anew with what came in late (Replay).
//
// A check's newest results amount to a state (check.go) that changes only once it has lasted; silence, office hours
// and maintenance lie over it (judge.go); layers and sites follow from their checks (site.go). What is a limit, how
// long is lasting and when an office is open is set by the rules, in the room below.
package health

import (
	"time"

	"communewatch/collector/health/rules"
	"communewatch/probes"
)

// Rules is what a Judge goes by, and Limit one of its limits.
type (
	Rules = rules.Rules
	Limit = rules.Limit
)

// DefaultZone is the zone of office hours that do not say theirs.
const DefaultZone = rules.DefaultZone

// DefaultRules returns the rules that hold where the config says nothing.
func DefaultRules() Rules { return rules.Default() }

// State is the state of a check, a layer or a site. The zero value is StateNone.
type State uint8

// The states, from nothing known to worst. Their order is the order of screens that show the worst first.
const (
	StateNone     State = iota // not measured here: no check of this layer is known
	StateMuted                 // maintenance, or the office is closed and silent
	StateOK                    // measured and good
	StateNoData                // should be measured, but nothing (usable) comes in
	StateDegraded              // measured and worse than the thresholds allow
	StateDown                  // measured and not working
)

var stateNames = [...]string{"none", "muted", "ok", "no_data", "degraded", "down"}

// String returns the state's name in the JSON API.
func (s State) String() string { return stateNames[s] }

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseState is the inverse of String.
func ParseState(name string) (State, bool) {
	for i, n := range stateNames {
		if n == name {
			return State(i), true
		}
	}
	return 0, false
}

// CheckID identifies a check for ever: the tags of its series.
type CheckID struct {
	Site, Agent, Target string
	Kind                probes.Kind
	Path                probes.Path
	Layer               probes.Layer
}

// Observation is what one run of a check said. The facts may come before the verdict row, in observations of their
// own with the same time: a probe's row has no tag "layer", so an observation whose Check.Layer is empty carries facts
// only and is not a verdict. Its Kind is that of the probes which return its measurement.
type Observation struct {
	Check    CheckID
	Time     time.Time // start of the run, after clock correction
	Outcome  probes.Outcome
	Interval time.Duration // as configured at the agent; zero when not known
	Late     time.Duration // worst lateness of the agent's own timers during the run
	Proof    probes.Proof
	Error    string // why it did not end well
	Facts    []Fact
}

// Seconds reads a length of time from a row: zero where it makes no sense (negative, or longer than a year), so that
// what is sent and what is stored are read alike.
func Seconds(v float64) time.Duration {
	if v > 0 && v < (365*24*time.Hour).Seconds() {
		return time.Duration(v * float64(time.Second))
	}
	return 0
}

// Fact is one measured number of a run that a rule may judge, such as icmp loss_ratio.
type Fact struct {
	Measurement, Field string
	Value              float64
	Row                string // tells the rows of one run apart (probes.MeasurementSpec.Row); empty where there is one
}

// ReasonCode says in one word why a state is what it is; screens turn it into a sentence in their language.
type ReasonCode string

// The reason codes.
const (
	ReasonNone        ReasonCode = ""            // all is well
	ReasonThreshold   ReasonCode = "threshold"   // a fact is past a limit: Field, Value and Limit are set
	ReasonOutcome     ReasonCode = "outcome"     // the runs end badly: Outcome and Text are set
	ReasonSilent      ReasonCode = "silent"      // no result since Value, Unix seconds
	ReasonAgent       ReasonCode = "agent"       // results come, but the agent could not measure: Outcome and Text are set
	ReasonWaived      ReasonCode = "waived"      // nothing is known yet, since all runs were left out: Outcome and Text are set
	ReasonOverloaded  ReasonCode = "overloaded"  // of an agent: its machine is too busy for measured times to be trusted
	ReasonStopped     ReasonCode = "stopped"     // no result since its agent said that it stops: Value is when, Unix seconds, Text why
	ReasonNeverSeen   ReasonCode = "never_seen"  // nothing was ever received
	ReasonMaintenance ReasonCode = "maintenance" // muted by an entry in the config: Text is its note
	ReasonClosed      ReasonCode = "closed"      // silent outside office hours, since Value, Unix seconds
)

// Reason explains a state. For a layer or site it is the reason of the check that decided.
type Reason struct {
	Code    ReasonCode
	Check   CheckID // the check that decided; zero for a site as a whole
	Outcome probes.Outcome
	Field   string // "icmp.loss_ratio"
	Row     string // that it is of, where runs have several: "up/video"
	Value   float64
	Limit   float64
	Text    string
}

// CheckStatus is a check's present state.
type CheckStatus struct {
	ID       CheckID
	State    State
	Since    time.Time // when it entered the state
	Reason   Reason
	LastSeen time.Time // start of the newest run; zero when none was seen
	Interval time.Duration
	Proof    probes.Proof
	Outcome  probes.Outcome // of the newest run
}

// LayerStatus is the state of one layer of a site, derived from its checks.
type LayerStatus struct {
	State  State
	Since  time.Time
	Reason Reason
}

// SiteStatus is a site's present state, derived from its layers.
type SiteStatus struct {
	Site     string
	State    State
	Since    time.Time
	Reason   Reason
	Layers   [4]LayerStatus // in the order of probes.Layers
	LastSeen time.Time      // newest run of any check
	Agents   []AgentStatus
	Version  uint64 // rises with every change of what is written here, over all sites
}

// AgentStatus is what is known of one agent from its own words: its self-metrics and its own-trouble outcomes.
type AgentStatus struct {
	Name     string
	LastSeen time.Time // newest self report
	Version  string
	Trouble  Reason // zero when it has none; otherwise why it cannot measure, or cannot be trusted
	// Facts holds the newest numbers of measurement "agent" by field: spool_batches, clock_offset_seconds, ...
	Facts map[string]float64
}

// Transition is a change of state of a check (Layer and Check set), a layer (Layer set) or a site (neither set).
type Transition struct {
	Site     string
	Layer    probes.Layer
	Check    CheckID
	From, To State
	At       time.Time
	Reason   Reason
}
