// Package orders is what collector and agents say to each other on the order channel: the one connection that each
// agent opens and keeps open, on which it is told to call now, to stop, to leave the line alone while a meeting is on, to
// run some of its checks at once, or to look for something new at the collector. Nothing connects to an agent.
//
// An agent is told what to do with its own checks, never whom to ask: an order names some of its checks, and
// what a call may cost the line is the agent's own settings' to say. So whoever holds the collector can't make a scanner
// of an agent.
//
// The channel is GET Path, answered by a stream of lines, each the JSON of one Order, with empty lines in between to
// show that it is alive; and POST ReportPath with the JSON of one Report. Either side believes the other nothing:
// Reader and ReadReport bound and validate what they read.
package orders

import (
	"encoding/json"
	"fmt"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/report"
)

// Where the channel is, at the collector's address.
const (
	Path       = "/api/agent/v1/orders"  // GET
	ReportPath = "/api/agent/v1/reports" // POST
)

// Limits of what either side takes.
const (
	MaxOrder  = 16 << 10 // bytes of an order
	MaxReport = 64 << 10 // bytes of a report
)

// Kind says what an order is.
type Kind string

// The kinds of orders.
const (
	KindCall Kind = "call" // make one call with media; Call is set
	KindStop Kind = "stop" // end the call of order Stop, or all of them if that is empty
	KindHold Kind = "hold" // start no media tests for a while; Hold is set
	KindRun  Kind = "run"  // run these checks now; Run is set
	KindLook Kind = "look" // ask the collector for something now, which it says in Look
)

// What an agent can be told to look for.
const (
	LookWork    = "work"    // probes/work
	LookTrust   = "trust"   // new authorities, probes/enroll
	LookRelease = "release" // another release of the agent
)

// Order is told to one agent.
type Order struct {
	ID   string `json:"id"` // unique; an order that comes again is carried out once
	Kind Kind   `json:"kind"`
	// Expires is how long after it was received an order may still be begun.
	// A stop or a hold is carried out at once; Expires says how long it is worth telling an agent that lost its line.
	Expires Seconds `json:"expires_seconds"`

	Call *Call  `json:"call,omitempty"`
	Stop string `json:"stop,omitempty"` // the id of an order
	Hold *Hold  `json:"hold,omitempty"`
	Run  *Run   `json:"run,omitempty"`
	Look string `json:"look,omitempty"`
}

// Run is checks to be run out of turn, each as its schedule would.
type Run struct {
	Checks []string `json:"checks"` // 1 to MaxRuns names, each once
}

// Call is one call as part of a rehearsal.
type Call struct {
	Check    string  `json:"check,omitempty"`  // one of the agent's webrtc checks; "": the first
	StartIn  Seconds `json:"start_in_seconds"` // after it was received: no clocks have to agree
	Duration Seconds `json:"duration_seconds"` // of media
	Profile  Profile `json:"profile"`
}

// Profile is the streams of a meeting. A rate of zero is no such stream.
type Profile struct {
	Name     string `json:"name"`
	AudioBPS int    `json:"audio_bps"` // payload, headers not counted
	VideoBPS int    `json:"video_bps"`
	FPS      int    `json:"fps"` // frames of video per second
}

// Hold is a time in which the line belongs to a meeting.
type Hold struct {
	For  Seconds `json:"for_seconds"`    // from when it was received; zero ends a hold
	Note string  `json:"note,omitempty"` // the meeting's name
}

// Phase is how far an order has come.
type Phase string

// The phases. Refused and done are final.
const (
	PhaseAccepted Phase = "accepted" // it will be begun
	PhaseRefused  Phase = "refused"  // it will not: Reason says why
	PhaseStarted  Phase = "started"  // media flow; of a run: the first check runs
	PhaseDone     Phase = "done"     // Outcome and, if anything was measured, Result are set
)

// Report is what an agent says of an order. Reports of an order may come again; the last phase counts, and of a run the
// one with the most checks that are over.
type Report struct {
	Order   string       `json:"order"`
	Phase   Phase        `json:"phase"`
	Reason  string       `json:"reason,omitempty"` // in words, at most probes.MaxText bytes
	Outcome string       `json:"outcome,omitempty"`
	Path    probes.Path  `json:"path,omitempty"` // that the call was made over
	Proof   probes.Proof `json:"proof,omitempty"`
	Check   string       `json:"check,omitempty"` // that it was made with
	Result  *report.Call `json:"result,omitempty"`
	Ran     []Ran        `json:"ran,omitempty"` // of a run: every check of the order, in its order
}

// Ran is how far one check of a run has come.
type Ran struct {
	Check   string       `json:"check"`
	Phase   Phase        `json:"phase"`             // accepted: it waits for its turn
	Outcome string       `json:"outcome,omitempty"` // once it is done
	Reason  string       `json:"reason,omitempty"`  // why it was refused, or what its outcome comes from
	Took    Seconds      `json:"took_seconds,omitempty"`
	Path    probes.Path  `json:"path,omitempty"`
	Proof   probes.Proof `json:"proof,omitempty"`
}

// Seconds is a length of time on the wire: a JSON number of seconds.
type Seconds time.Duration

// MarshalJSON writes a number of seconds.
func (s Seconds) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).Seconds()) }

// UnmarshalJSON reads a number of seconds from 0 to a day.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	var v float64
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if !(v >= 0 && v <= (24*time.Hour).Seconds()) {
		return fmt.Errorf("%v seconds: want 0 to a day", v)
	}
	*s = Seconds(v * float64(time.Second))
	return nil
}
