// Package rehearsal is the vocabulary of whole-province rehearsals: before a meeting, the agents of its sites stream the
// meeting's real profile to the hub and back, in steps of more and more sites, the last with all of them. Steps tell a
// hub (loss that grows with the number of sites, nearly everywhere at once) from a site (loss that is there from its
// first step and stays there).
//
// A rehearsal is planned (room plan), run (room conduct, whose Service does everything that people ask for), kept
// (collector/registry/rehearsals) and judged (room judge). Verdicts are not kept: they are worked out from what was
// measured and known whenever they are read. Nothing here holds a sentence; room words has them, in both languages.
//
// Ratios are 0..1, rates are bits per second, times are UTC.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/health"
	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
)

// ID is a rehearsal's number; people write it as "r12". The zero ID is none.
type ID int64

// String returns the id as people write it.
func (id ID) String() string { return "r" + strconv.FormatInt(int64(id), 10) }

// ParseID reads an id as String writes it.
func ParseID(s string) (ID, error) {
	digits, ok := strings.CutPrefix(s, "r")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= 0 || ID(n).String() != s {
		return 0, fmt.Errorf("%.40q is no rehearsal's id; they look like r12, and `communewatch-collector rehearsal list` lists them", s)
	}
	return ID(n), nil
}

// Errors of a Service; compare with errors.Is. Refused is another, for errors.As.
var (
	ErrUnknown    = errors.New("no such rehearsal; list them with: communewatch-collector rehearsal list")
	ErrRunning    = errors.New("a rehearsal is running; wait for its end, or stop it with: communewatch-collector rehearsal stop")
	ErrHeld       = errors.New("a meeting is on, and its line is left alone; end that with: communewatch-collector rehearsal hold --end")
	ErrNotRunning = errors.New("no rehearsal is running or planned under that id")
	ErrClosing    = errors.New("the collector is stopping")
)

// Request is what a person or the schedule asks for.
type Request struct {
	Meeting string `json:"meeting"`           // its name
	Profile string `json:"profile,omitempty"` // audio, low, 360p, 720p, 1080p; "": 720p, or custom when a rate is given
	// Rates of a profile of one's own; all zero: the named one.
	AudioKbps float64 `json:"audio_kbps,omitempty"`
	VideoKbps float64 `json:"video_kbps,omitempty"`
	FPS       int     `json:"fps,omitempty"`

	Sites string `json:"sites,omitempty"` // "all" (or ""), "district:NAME", or ids and districts separated by commas
	// Steps is how many sites call at once, step by step: "10,34,68,all"; "": a tenth, a quarter, a half, all.
	Steps       string     `json:"steps,omitempty"`
	StepSeconds int        `json:"step_seconds,omitempty"` // of media; 0: the config's
	Check       string     `json:"check,omitempty"`        // name of the agents' webrtc check to call with; "": their first
	At          *time.Time `json:"at,omitempty"`           // nil: now
	By          string     `json:"by,omitempty"`           // who asks
	Force       bool       `json:"force,omitempty"`        // go above the hub's capacity all the same

	Schedule string `json:"-"` // the entry of the settings that asks
}

// Plan is a rehearsal as it will be run.
type Plan struct {
	Meeting string         `json:"meeting"`
	Profile orders.Profile `json:"profile"`
	// Sites of all steps, in the order in which they join. Step i takes the first Steps[i] of them, so each step holds
	// the one before; the order spreads every step over the districts.
	Sites       []string   `json:"sites"`
	Steps       []int      `json:"steps"`
	StepSeconds int        `json:"step_seconds"`
	Check       string     `json:"check,omitempty"`
	At          *time.Time `json:"at,omitempty"`
	By          string     `json:"by,omitempty"`
	Force       bool       `json:"force,omitempty"`
	Schedule    string     `json:"schedule,omitempty"`

	Estimates    []Estimate `json:"estimates"` // one per step
	TotalSeconds int        `json:"total_seconds"`
	Warnings     []Note     `json:"warnings,omitempty"`
	Problems     []Problem  `json:"problems,omitempty"` // why it would be refused; nothing: it would be started
}

// In returns the sites of a step, from 0.
func (p *Plan) In(step int) []string { return p.Sites[:p.Steps[step]] }

// Joins returns the first step that a site is in, -1 for a site of no step.
func (p *Plan) Joins(site string) int {
	for i, s := range p.Sites {
		if s == site {
			for k, n := range p.Steps {
				if i < n {
					return k
				}
			}
		}
	}
	return -1
}

// Estimate is what a step will ask of the hub, headers and encryption counted (media.WireBPS).
type Estimate struct {
	Step     int     `json:"step"` // from 1, as people count
	Sites    int     `json:"sites"`
	IntoHub  float64 `json:"into_hub_bps"`
	OutOfHub float64 `json:"out_of_hub_bps"`
	Capacity float64 `json:"capacity_bps,omitempty"` // of the hub, one way; 0: not known
	Over     bool    `json:"over,omitempty"`         // above capacity or above the sessions that the hub takes
}

// Note is something worth saying beside a plan, a verdict or an end; room words makes the sentence.
type Note struct {
	Code  string   `json:"code"`
	N     float64  `json:"n,omitempty"`
	Of    float64  `json:"of,omitempty"`
	Text  string   `json:"text,omitempty"` // a name, or words of somebody else
	Sites []string `json:"sites,omitempty"`
}

// The codes of notes.
const (
	NoteOff           = "off"            // of a plan: Sites have no agent connected now
	NoteNotHeard      = "not_heard"      // of a plan: the agents' connections are not known, as no collector runs
	NoteCapacity      = "capacity"       // of a plan: step N needs Of bit/s, more than the hub has (forced)
	NoteNoCapacity    = "no_capacity"    // of a plan: the hub's capacity is not set
	NoteOneStep       = "one_step"       // of a plan: with one step, hub and sites are hard to tell apart
	NoteByPerson      = "by_person"      // of an end: Text stopped it
	NoteHubRefuses    = "hub_refuses"    // of an end: the hub refused N of Of calls of a step
	NoteHubLoad       = "hub_load"       // of an end: the hub's processors were N (0..1) in use, Of is the limit
	NoteHubSlow       = "hub_slow"       // of an end: packets stayed N seconds at the hub, Of is the limit
	NoteHubAway       = "hub_away"       // of an end: the hub did not say for N seconds how it fares
	NoteHubLoss       = "hub_loss"       // of an end: nearly all sites lost more than 5 % in step N; further steps were left out
	NoteSetup         = "setup_failures" // of an end: N of Of calls of a step could not be set up
	NoteNobody        = "nobody"         // of an end: no site of a step was connected
	NoteRestart       = "restart"        // of an end: the collector was started anew meanwhile
	NoteClosing       = "closing"        // of an end: the collector was stopped meanwhile
	NoteMissed        = "missed"         // of an end: the collector was not running at the planned time
	NoteHeld          = "held"           // of an end: a meeting (Text) was on
	NoteBusy          = "busy"           // of an end: another rehearsal was running
	NoteCancelled     = "cancelled"      // of an end: taken back (by Text) before its time
	NoteRefused       = "refused"        // of an end: Text says what speaks against the plan
	NoteNoEndpoints   = "no_endpoints"   // of a verdict: no room's endpoint is known
	NoteFewResults    = "few_results"    // of a verdict: N of Of sites gave results; too few to judge the hub
	NoteUnprovenPaths = "unproven_paths" // of a verdict: at N of Of sites the path of the call is not proved
)

// State is how far a rehearsal has come.
type State string

// The states. All but the first two are final.
const (
	StatePlanned State = "planned"
	StateRunning State = "running"
	StateDone    State = "done"
	StateStopped State = "stopped" // on demand, or because the hub was in trouble: Why says it
	StateAborted State = "aborted" // the collector ended meanwhile
	StateMissed  State = "missed"  // its time passed while it could not be run
)

// Final reports whether nothing more will happen.
func (s State) Final() bool { return s != StatePlanned && s != StateRunning }

// Progress is how far a site has come in a step.
type Progress string

// The progresses. From ProgressRefused on they are final.
const (
	ProgressWaiting      Progress = "waiting"
	ProgressTold         Progress = "told"
	ProgressAccepted     Progress = "accepted"
	ProgressStarted      Progress = "started"
	ProgressRefused      Progress = "refused" // Result.Reason is the agent's
	ProgressDone         Progress = "done"
	ProgressNotConnected Progress = "not_connected"
	ProgressNoResult     Progress = "no_result" // told, but nothing came back in time
)

// Final reports whether nothing more is expected in the step.
func (p Progress) Final() bool {
	switch p {
	case ProgressRefused, ProgressDone, ProgressNotConnected, ProgressNoResult:
		return true
	}
	return false
}

// Result is what became of one site in one step.
type Result struct {
	Site     string       `json:"site"`
	Agent    string       `json:"agent,omitempty"`
	Step     int          `json:"step"` // from 0
	Progress Progress     `json:"progress"`
	Reason   string       `json:"reason,omitempty"`  // of a refusal or failure, in the agent's words
	Outcome  string       `json:"outcome,omitempty"` // probes.Outcome of a call that ended
	Path     probes.Path  `json:"path,omitempty"`
	Proof    probes.Proof `json:"proof,omitempty"`
	Check    string       `json:"check,omitempty"`
	At       time.Time    `json:"at"`             // of the last word
	Call     *report.Call `json:"call,omitempty"` // what was measured; nil: nothing
}

// Lost returns the share of media packets lost on the way in a direction, those too late for playout counted, over all
// streams; of is how many were sent. ok is false where nothing was measured.
func (r *Result) Lost(d probes.Direction) (ratio float64, of int, ok bool) {
	if r.Call == nil {
		return 0, 0, false
	}
	lost := 0
	for i := range r.Call.Flows {
		if f := &r.Call.Flows[i]; f.Direction == d {
			lost += f.Lost + f.Discarded
			of += f.Sent
		}
	}
	if of == 0 {
		return 0, 0, false
	}
	return float64(lost) / float64(of), of, true
}

// Worse returns the direction that lost more, and how much.
func (r *Result) Worse() (d probes.Direction, ratio float64, ok bool) {
	for _, dir := range []probes.Direction{probes.DirectionUp, probes.DirectionDown, probes.DirectionRound} {
		if v, _, measured := r.Lost(dir); measured && (!ok || v > ratio) {
			d, ratio, ok = dir, v, true
		}
	}
	return d, ratio, ok
}

// Load is what the hub (the reflector) says of itself at a moment.
type Load struct {
	Known        bool    `json:"known"` // false: it can't be asked, and the rest is zero
	Sessions     int     `json:"sessions"`
	MaxSessions  int     `json:"max_sessions"`
	CPURatio     float64 `json:"cpu_ratio"`             // of the processors it may use
	ResidenceP99 float64 `json:"residence_p99_seconds"` // stay of packets
	Refusing     bool    `json:"refusing"`              // it would answer 503 to a further call; no call need have come
	Unreachable  bool    `json:"unreachable,omitempty"` // it is to be asked, and does not answer; Known is false
}

// StepRun is a step as it went.
type StepRun struct {
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"` // zero: it is under way
	Load  Load      `json:"load"`  // the worst of each that was seen
}

// Evidence is what was known of a site beside the calls, when the rehearsal began.
type Evidence struct {
	Site     string       `json:"site"`
	District string       `json:"district,omitempty"`
	Heard    *time.Time   `json:"heard,omitempty"` // newest result of any check; nil: never
	Layers   []LayerState `json:"layers,omitempty"`
	Rooms    []Room       `json:"rooms,omitempty"` // the conference endpoints known; nothing: none
}

// LayerState is a health layer of a site.
type LayerState struct {
	Layer  probes.Layer  `json:"layer"`
	State  string        `json:"state"` // health.State
	Since  time.Time     `json:"since"`
	Reason health.Reason `json:"reason"`
}

// Room is a conference endpoint and the rung of the readiness ladder it stands on: 0 ping, 1 port or web, 2 SIP or
// H.323, 3 identity and registration, 4 quality in a call; -1 when it does not answer at all.
type Room struct {
	Endpoint string     `json:"endpoint"`
	Level    int        `json:"level"`
	Known    bool       `json:"known"` // false: nothing fresh is known of it, and Level means nothing
	At       *time.Time `json:"at,omitempty"`
}

// Record is a rehearsal as it is kept.
type Record struct {
	ID       ID         `json:"id"`
	Plan     Plan       `json:"plan"`
	State    State      `json:"state"`
	Why      []Note     `json:"why,omitempty"` // of the end
	Created  time.Time  `json:"created"`
	Began    *time.Time `json:"began,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	Runs     []StepRun  `json:"runs,omitempty"` // of steps that were begun
	Evidence []Evidence `json:"evidence,omitempty"`
	Results  []Result   `json:"results,omitempty"` // by step, then site
}

// Service is all that screens and the command line do with rehearsals; *conduct.Service does it. All methods may be
// called concurrently.
type Service interface {
	// Draft returns the plan of a request without starting anything. Plan.Problems says what speaks against it; an error
	// is only of the collector's own.
	Draft(ctx context.Context, r Request) (Plan, error)
	// Start begins a rehearsal, or plans one for Request.At. A plan with problems returns *Refused.
	Start(ctx context.Context, r Request) (ID, error)
	// Stop ends a rehearsal that runs, or takes back one that is planned. It returns once the agents were told.
	Stop(ctx context.Context, id ID, by string) error
	// Status is where a rehearsal stands; ID 0 is the one that runs, or else the newest that began.
	Status(ctx context.Context, id ID) (Status, error)
	// List returns all that are kept, the newest first, without results.
	List(ctx context.Context) ([]Summary, error)
	// Get returns one with all that is known and its verdict.
	Get(ctx context.Context, id ID) (Report, error)
	// Compare says what changed from one rehearsal to a later one.
	Compare(ctx context.Context, before, after ID) (Comparison, error)
	// Subscribe returns what happens from now on. The channel is closed by cancel, at the collector's end, and for a
	// reader who is too slow: it then asks for the Status and subscribes again.
	Subscribe() (events <-chan Event, cancel func())
	// Hold tells all agents to leave the line alone for a while, now or when they connect; For 0 ends a hold.
	Hold(ctx context.Context, h Hold) (Hold, error)
	// Held returns the hold that is on, ok false when none is.
	Held() (h Hold, ok bool)
}

// Hold is a time in which the line belongs to a meeting.
type Hold struct {
	Meeting string        `json:"meeting"`
	By      string        `json:"by,omitempty"`
	For     time.Duration `json:"-"` // of a request; 0 ends the hold that is on
	Began   time.Time     `json:"began"`
	Until   time.Time     `json:"until"`
	Told    int           `json:"told"` // agents that were connected, and told at once
}

// Summary is a rehearsal in a list.
type Summary struct {
	ID       ID         `json:"id"`
	Meeting  string     `json:"meeting"`
	Profile  string     `json:"profile"`
	Sites    int        `json:"sites"`
	Steps    []int      `json:"steps"`
	State    State      `json:"state"`
	Why      []Note     `json:"why,omitempty"`
	By       string     `json:"by,omitempty"`
	Schedule string     `json:"schedule,omitempty"`
	Created  time.Time  `json:"created"`
	At       *time.Time `json:"at,omitempty"` // planned for
	Began    *time.Time `json:"began,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
}

// Status is where a rehearsal stands.
type Status struct {
	Summary
	Step        int          `json:"step"` // from 1; 0: none was begun
	StepSites   int          `json:"step_sites"`
	StepBegan   *time.Time   `json:"step_began,omitempty"`
	StepEnds    *time.Time   `json:"step_ends,omitempty"` // at the latest
	Estimate    *Estimate    `json:"estimate,omitempty"`  // of the step
	Counts      Counts       `json:"counts"`              // of the step
	SiteStates  []SiteStatus `json:"site_states"`         // of the step, in the order of the plan
	Load        Load         `json:"load"`
	Held        *Hold        `json:"held,omitempty"`
	SecondsLeft int          `json:"seconds_left"` // by the plan
}

// Counts is how many sites are how far.
type Counts map[Progress]int

// SiteStatus is a site in the step under way, or the last one.
type SiteStatus struct {
	Site     string   `json:"site"`
	Progress Progress `json:"progress"`
	Reason   string   `json:"reason,omitempty"`
	Outcome  string   `json:"outcome,omitempty"`
	Up       *float64 `json:"loss_up,omitempty"` // discards counted; nil: not measured
	Down     *float64 `json:"loss_down,omitempty"`
	RTT      *float64 `json:"rtt_median_seconds,omitempty"`
	Limited  string   `json:"limited_by,omitempty"` // agent or reflector, whose load the numbers are; "": they are the line's
}

// EventKind says what an event tells.
type EventKind string

// The kinds of events.
const (
	EventState EventKind = "state" // State (and Why) changed
	EventStep  EventKind = "step"  // Step began: its sites wait
	EventSite  EventKind = "site"  // Site changed
	EventLoad  EventKind = "load"  // the hub's load, each second or so
)

// Event is one thing that happened.
type Event struct {
	Kind EventKind   `json:"kind"`
	ID   ID          `json:"id"`
	At   time.Time   `json:"at"`
	Step int         `json:"step"` // from 1
	Site *SiteStatus `json:"site,omitempty"`
	Load *Load       `json:"load,omitempty"`
	// Of a state or step:
	State State     `json:"state,omitempty"`
	Why   []Note    `json:"why,omitempty"`
	Sites int       `json:"sites,omitempty"` // of the step
	Ends  time.Time `json:"ends,omitzero"`   // of the step, at the latest
}
