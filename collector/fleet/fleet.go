// Package fleet is the vocabulary of the fleet: agents with an identity of their own, the join codes by which they get
// it, and what is known of each from its own word. Screens, the command line and the agents' doors speak in these words;
// collector/registry/agents keeps them.
package fleet

import (
	"context"
	"errors"
	"time"

	"communewatch/probes/enroll"
	"communewatch/probes/presence"
)

// State says whether an agent may report.
type State string

// The states.
const (
	StatePending State = "pending" // waits for somebody to approve it
	StateActive  State = "active"
	StateRevoked State = "revoked" // thrown out, or refused when it waited; for good
)

// Agent is one agent.
//
// There may be two of one name: one that reports, and one that waits for approval and is to take its place.
type Agent struct {
	Site, Agent string
	State       State
	Machine     enroll.Machine // as it says itself
	Key         [32]byte       // SHA-256 of its SubjectPublicKeyInfo
	Code        string         // ID of the join code that it came with

	Asked    time.Time // for its first certificate
	Approved time.Time // zero: not yet
	Revoked  time.Time // zero: not
	By       string    // who approved it, or threw it out; "" where nobody had to
	Why      string    // it was thrown out

	Serial  string    // of its newest certificate, in hexadecimal digits; "" for none
	Issued  time.Time // of that
	Expires time.Time // of that

	// Clone is when two machines were last seen with this identity; zero: never. Somebody has to look at it.
	Clone    time.Time
	CloneWhy string // what gave it away

	// Presence is what the agent last said of itself, at Heard; nil: nothing yet.
	Presence *presence.Presence
	Heard    time.Time
	// Stopped is when it said that it stops, while that is the last that was heard of it; zero otherwise.
	Stopped time.Time
}

// Fingerprint is Key as people compare it; "" where the agent has none.
func (a *Agent) Fingerprint() string {
	if a.Key == [32]byte{} {
		return ""
	}
	return enroll.Fingerprint(a.Key)
}

// Code is a join code without its secret.
type Code struct {
	ID      string
	Site    string
	Agent   string // the name that the agent gets; "": the one it asks for
	Replace bool   // an agent of that name is thrown out when the new one comes
	Approve bool   // somebody has to approve the agent that comes with it
	Note    string // for people

	Created   time.Time
	By        string // who made it
	Expires   time.Time
	Used      time.Time // zero: not
	UsedBy    string    // the agent's name
	Cancelled time.Time // zero: not
}

// NewCode is what is asked of a join code.
type NewCode struct {
	Site    string
	Agent   string
	Replace bool
	Approve bool
	Note    string
	Valid   time.Duration // 0: a day; at most 30 days
	By      string
}

// Made is a join code and the text that people carry to the machine, which is known this once.
type Made struct {
	Code
	Text string
}

// Errors of a Service; compare with errors.Is. Their texts are for people.
var (
	ErrUnknownAgent = errors.New("no such agent")
	ErrUnknownCode  = errors.New("no such join code")
	ErrUnknownSite  = errors.New("no such site")
	ErrState        = errors.New("the agent is in another state")
	ErrOtherKey     = errors.New("another machine waits for approval than the one that was looked at")
)

// Invalid is an error of what was asked for; its text is for people.
type Invalid struct{ Message string }

func (e *Invalid) Error() string { return e.Message }

// Service is what screens and the command line do with the fleet. By is who does it, for the record.
type Service interface {
	Agents(ctx context.Context) ([]Agent, error)
	Codes(ctx context.Context) ([]Code, error)
	// CreateCodes makes one code for each, or none at all.
	CreateCodes(ctx context.Context, want []NewCode) ([]Made, error)
	CancelCode(ctx context.Context, id, by string) error
	Approve(ctx context.Context, site, agent, by string) error
	// ApproveKey is Approve of the machine with a key: what somebody looked at may have been replaced meanwhile, which is
	// ErrOtherKey.
	ApproveKey(ctx context.Context, site, agent, by string, key [32]byte) error
	// Reject refuses an agent that waits for approval.
	Reject(ctx context.Context, site, agent, by, why string) error
	// Revoke acts at once: what the agent sends from now on is refused, and its open connections are closed. Where no agent
	// of that name may report, it refuses the one that waits.
	Revoke(ctx context.Context, site, agent, by, why string) error
	// Cleared takes the mark of a clone off an agent.
	Cleared(ctx context.Context, site, agent, by string) error
}
