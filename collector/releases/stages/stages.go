// Package stages is how a release goes out: to the sites that were named first, then to a share of all agents, then to
// all. Everything here is a function of what is known and a time.
//
// # When a stage is passed
//
// A stage's agents are those named for it and for the stages before. It is passed when all of them that can be reached
// run the release, and went on reporting for the length of the soak. Who has been away (switched off with notice, or not
// heard of since the stage began) is not waited for, but more than half of those that were about in the last week must
// have done it: a stage that is passed at night by one machine says nothing.
//
// # What stops it
//
// One agent that rolled back, refused the release, or fell silent with it. A roll-out that was stopped goes on when
// somebody says so; who failed until then is left out of account from then on. Silence counts from when the collector
// could hear: one that was down itself blames nobody.
package stages

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/probes"
	"communewatch/probes/release"
)

// State says whether agents are offered the release.
type State string

// The states.
const (
	StateRunning   State = "running"
	StatePaused    State = "paused"    // by a person
	StateHalted    State = "halted"    // by itself; Why says what happened
	StateComplete  State = "complete"  // all have it who could be reached; who comes later is offered it too
	StateWithdrawn State = "withdrawn" // for good
)

// Offers reports whether agents are offered the release.
func (s State) Offers() bool { return s == StateRunning || s == StateComplete }

// Plan is what a person says of a roll-out.
type Plan struct {
	First       []string `json:"first"`        // sites of the first stage
	Shares      []int    `json:"shares"`       // of all agents, in percent, for the stages after it; rising, the last is 100
	SoakSeconds int      `json:"soak_seconds"` // that a stage has to go well
}

// Bounds of a plan.
const (
	DefaultSoak = 30 * time.Minute
	maxSoak     = 30 * 24 * time.Hour
	minSoak     = time.Minute
	maxFirst    = 50
)

// DefaultPlan is one site, a tenth, all.
func DefaultPlan(first ...string) Plan {
	return Plan{First: first, Shares: []int{10, 100}, SoakSeconds: int(DefaultSoak / time.Second)}
}

// Soak is SoakSeconds as a length of time.
func (p *Plan) Soak() time.Duration { return time.Duration(p.SoakSeconds) * time.Second }

// Validate checks a plan.
func (p *Plan) Validate() error {
	if len(p.First) == 0 || len(p.First) > maxFirst {
		return fmt.Errorf("name 1 to %d sites for the first stage (found %d)", maxFirst, len(p.First))
	}
	for _, site := range p.First {
		if err := probes.CheckName(site); err != nil {
			return fmt.Errorf("first stage: %w", err)
		}
	}
	if len(p.Shares) == 0 || len(p.Shares) > 10 || p.Shares[len(p.Shares)-1] != 100 || p.Shares[0] < 1 ||
		!slices.IsSorted(p.Shares) || len(slices.Compact(slices.Clone(p.Shares))) != len(p.Shares) {
		return errors.New("shares: want rising numbers from 1, the last of them 100, for example 10,100")
	}
	if soak := p.Soak(); soak < minSoak || soak > maxSoak {
		return fmt.Errorf("soak: want %v to %v", minSoak, maxSoak)
	}
	return nil
}

// Name is an agent.
type Name struct {
	Site  string `json:"site"`
	Agent string `json:"agent"`
}

// Rollout is a release on its way.
type Rollout struct {
	ID      int64
	Version release.Version
	Plan    Plan
	State   State
	Stage   int       // from 0, which is that of Plan.First
	Since   time.Time // when Stage began
	// Settled is since when everybody of the stage has gone well; zero while somebody has not.
	Settled time.Time
	Why     string // it was halted, paused or withdrawn
	Excused []Name // failed before somebody said to go on
	Started time.Time
	By      string
}

// Agent is what is known of one agent.
type Agent struct {
	Name
	Running release.Version // zero: not known
	// Can says that the agent takes updates and that the release has a binary for it and its version.
	Can      bool
	Cannot   string        // why not
	State    release.State // what it said of the release that it was offered last
	Offered  release.Version
	Rollout  int64 // in which that was; 0: not known
	Problem  string
	Heard    time.Time // its last word
	Reported time.Time // its last results
	Off      bool      // it said that it would stop, and not for an update
}

// How long an agent may keep quiet with the release before that is a failure; the worst of presence, restarts and lines.
const silentAfter = 15 * time.Minute

// lately is how far back an agent counts as one that is about.
const lately = 7 * 24 * time.Hour

// shareOf is the place of an agent among all, from 0 to 9,999, the same for ever: who is in the tenth does not change
// when others come and go. Each version has an order of its own, so that it is not always the same who go first.
func shareOf(v release.Version, n Name) int {
	sum := sha256.Sum256([]byte(v.String() + "\n" + n.Site + "\n" + n.Agent))
	return int(binary.BigEndian.Uint32(sum[:]) % 10_000)
}

// StageOf is the stage in which an agent has its turn.
func (r *Rollout) StageOf(n Name) int {
	if slices.Contains(r.Plan.First, n.Site) {
		return 0
	}
	at := shareOf(r.Version, n)
	for i, share := range r.Plan.Shares {
		if at < share*100 {
			return 1 + i
		}
	}
	return len(r.Plan.Shares)
}

// Stages is how many stages there are.
func (r *Rollout) Stages() int { return 1 + len(r.Plan.Shares) }

// Turn reports whether an agent may take the release now.
func (r *Rollout) Turn(n Name) bool {
	return r.State.Offers() && r.StageOf(n) <= r.Stage && !slices.Contains(r.Excused, n)
}

// Fare is how an agent fares with the release.
type Fare string

// The fares.
const (
	FareLater   Fare = "later"   // its stage has not begun
	FareUnable  Fare = "unable"  // it takes no updates, or not this one
	FareAway    Fare = "away"    // switched off, or not heard of
	FareWaiting Fare = "waiting" // has its turn, and did not take it yet
	FareTrying  Fare = "trying"
	FareDone    Fare = "done"
	FareFailed  Fare = "failed"
	FareExcused Fare = "excused" // failed, and left out of account
)

// FareOf is how one agent fares at now, and why. Since up the collector has been able to hear.
func (r *Rollout) FareOf(a *Agent, now, up time.Time) (Fare, string) {
	if slices.Contains(r.Excused, a.Name) {
		return FareExcused, a.Problem
	}
	if r.StageOf(a.Name) > r.Stage {
		return FareLater, ""
	}
	about := a.Offered == r.Version && (a.Rollout == 0 || a.Rollout >= r.ID) // what it said of an earlier one is old news
	switch {
	case about && a.State == release.StateRolledBack:
		return FareFailed, "went back to the former version: " + a.Problem
	case about && a.State == release.StateRefused && !a.Can:
		return FareUnable, a.Cannot // that was known before, and says nothing about the release
	case about && a.State == release.StateRefused:
		return FareFailed, "refused it: " + a.Problem
	}
	quiet := func(last time.Time) bool { return now.Sub(later(last, later(up, r.Started))) > silentAfter }
	running := a.Running == r.Version
	trying := about && (a.State == release.StateTrying || a.State == release.StateFetched) && !running
	switch {
	case a.Off && running:
		return FareDone, ""
	case a.Off:
		return FareAway, ""
	case running && (r.StageOf(a.Name) < r.Stage || r.State == StateComplete):
		return FareDone, "" // it was well for all of its stage; what silences it now is no news of the release
	case running && quiet(a.Heard):
		return FareFailed, "fell silent with it"
	case running && quiet(a.Reported):
		return FareFailed, "sends no results with it"
	case running && about && a.State == release.StateTrying:
		return FareTrying, ""
	case running:
		return FareDone, ""
	case trying && a.State == release.StateTrying && quiet(a.Heard):
		return FareFailed, "fell silent when it was to try it"
	case !a.Can:
		return FareUnable, a.Cannot
	case quiet(a.Heard):
		return FareAway, ""
	case trying:
		return FareTrying, a.Problem // it may have been put off
	}
	return FareWaiting, ""
}

// Step is the roll-out at now, as it follows from how the agents fare.
func (r Rollout) Step(agents []Agent, now, up time.Time) Rollout {
	if !r.State.Offers() {
		return r
	}
	done, waiting, missed := 0, 0, 0
	for i := range agents {
		a := &agents[i]
		switch fare, why := r.FareOf(a, now, up); fare {
		case FareFailed:
			r.State, r.Settled = StateHalted, time.Time{}
			r.Why = fmt.Sprintf("%s/%s %s", a.Site, a.Agent, why)
			return r
		case FareDone:
			done++
		case FareWaiting, FareTrying:
			waiting++
		case FareAway:
			if a.Can && now.Sub(a.Heard) < lately {
				missed++
			}
		}
	}
	if r.State == StateComplete {
		return r
	}
	if waiting > 0 || done == 0 || done <= missed {
		r.Settled = time.Time{}
		return r
	}
	if r.Settled.IsZero() {
		r.Settled = now
	}
	if now.Sub(r.Settled) < r.Plan.Soak() {
		return r
	}
	r.Settled = time.Time{}
	if r.Stage+1 == r.Stages() {
		r.State = StateComplete
		return r
	}
	r.Stage, r.Since = r.Stage+1, now
	return r
}

// Resume is the roll-out going on: who failed until now is left out of account.
func (r Rollout) Resume(agents []Agent, now, up time.Time) Rollout {
	if r.State != StatePaused && r.State != StateHalted {
		return r
	}
	for i := range agents {
		if fare, _ := r.FareOf(&agents[i], now, up); fare == FareFailed {
			r.Excused = append(slices.Clone(r.Excused), agents[i].Name)
		}
	}
	r.State, r.Why, r.Settled = StateRunning, "", time.Time{}
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
