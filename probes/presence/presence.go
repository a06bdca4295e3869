// Package presence is what an agent tells the collector of itself, apart from what it measures: that it started and why,
// that it is about to stop and why, what it works by, which release it runs and how long its certificate lasts. So a
// machine that was switched off can be told from a line that is down.
//
// An agent POSTs it to Path when it starts, when any of it changes, every few minutes, and, as a last gasp, when it is
// stopped; the last of these is a short attempt over a connection that is open already. 204 is the answer.
package presence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/probes/enroll"
	"communewatch/probes/work"
)

// Path is where it is POSTed.
const Path = "/api/agent/v1/presence"

// MaxPresence bounds it, in bytes of JSON.
const MaxPresence = 32 << 10

// Phase is where in its life an agent is.
type Phase string

// The phases.
const (
	PhaseStarted  Phase = "started"
	PhaseRunning  Phase = "running"
	PhaseStopping Phase = "stopping"
)

// Reason says why an agent started or stops.
type Reason string

// The reasons of a start, as far as the agent can know them.
const (
	StartUnknown Reason = "unknown"
	StartBoot    Reason = "boot"     // the machine was started, after an orderly shutdown
	StartPower   Reason = "power"    // the machine was started, and had not been shut down
	StartService Reason = "service"  // the agent alone was started
	StartCrash   Reason = "crash"    // the agent had ended without being told to
	StartUpdate  Reason = "update"   // another release took over
	StartBack    Reason = "rollback" // the former release took over again
)

// The reasons of a stop.
const (
	StopService  Reason = "service"  // the agent alone is stopped
	StopShutdown Reason = "shutdown" // the machine is shut down
	StopUpdate   Reason = "update"   // another release takes over
)

// Update says how a new release fares on this machine; probes/release has its words.
type Update struct {
	Enabled bool   `json:"enabled"`
	State   string `json:"state,omitempty"`   // "", fetched, trying, kept, rolled_back, refused
	Version string `json:"version,omitempty"` // that State is about
	Problem string `json:"problem,omitempty"`
	Rollout int64  `json:"rollout,omitempty"` // in which it was offered, by the collector's count; 0: not known
}

// Certificate is the agent's own.
type Certificate struct {
	Serial  string    `json:"serial,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Problem string    `json:"problem,omitempty"` // why it can't be renewed
}

// Presence is what an agent tells.
type Presence struct {
	Boot    string         `json:"boot"` // of the agent, as in the header of its batches
	Phase   Phase          `json:"phase"`
	Reason  Reason         `json:"reason,omitempty"` // with PhaseStarted and PhaseStopping
	Up      float64        `json:"up_seconds"`       // of the agent
	Booted  float64        `json:"booted_seconds"`   // of the machine; 0: not known
	Machine enroll.Machine `json:"machine"`
	Work    work.Status    `json:"work"`
	Update  Update         `json:"update"`
	// Certificate is empty where the agent has a token instead.
	Certificate Certificate `json:"certificate"`
	Trust       []string    `json:"trust,omitempty"` // pins of the authorities it believes, in hexadecimal digits
}

// Read decodes and validates a Presence.
func Read(r io.Reader) (*Presence, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxPresence+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxPresence {
		return nil, fmt.Errorf("presence is larger than %d bytes", MaxPresence)
	}
	var p Presence
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("presence is not understood: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("presence is followed by more")
	}
	return &p, p.Validate()
}

// Validate checks it.
func (p *Presence) Validate() error {
	if p.Boot == "" || len(p.Boot) > 64 || !plain(p.Boot) {
		return errors.New("presence: boot: want 1 to 64 bytes of plain text")
	}
	switch p.Phase {
	case PhaseStarted, PhaseRunning, PhaseStopping:
	default:
		return fmt.Errorf("presence: phase %.20q: use %s, %s or %s", p.Phase, PhaseStarted, PhaseRunning, PhaseStopping)
	}
	if !(p.Up >= 0 && p.Booted >= 0 && p.Up < 1e10 && p.Booted < 1e10) {
		return errors.New("presence: a length of time is negative or beyond reason")
	}
	for at, text := range map[string]string{"reason": string(p.Reason), "update.state": p.Update.State, "update.version": p.Update.Version,
		"update.problem": p.Update.Problem, "certificate.serial": p.Certificate.Serial, "certificate.problem": p.Certificate.Problem} {
		if len(text) > 500 || !plain(text) {
			return fmt.Errorf("presence: %s: use at most 500 bytes of plain text", at)
		}
	}
	if len(p.Trust) > 8 {
		return fmt.Errorf("presence: %d authorities are too many; the most is 8", len(p.Trust))
	}
	for _, pin := range p.Trust {
		if len(pin) != 2*enroll.PinBytes || strings.Trim(pin, "0123456789abcdef") != "" {
			return fmt.Errorf("presence: trust: %.40q is no pin", pin)
		}
	}
	if err := p.Machine.Validate(); err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	if err := p.Work.Validate(); err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	return nil
}

func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }
