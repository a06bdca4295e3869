// Package runs has agents run some of their checks now, because somebody looks at a screen and wants to know whether the
// cable that was just plugged in again has helped. It tells the order down the agent's own connection and keeps what the
// agent says of it for those who follow.
//
// It is there for people: how often each may ask is bounded, every order is put on the record before it is told, and
// what became of it is forgotten after a while, since the results themselves arrive with all others. The agent bounds
// it again, and runs nothing that it would not run by its own schedule.
package runs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/audit"
	hub "communewatch/collector/orders"
	"communewatch/collector/people"
	"communewatch/probes"
	"communewatch/probes/orders"
)

// Check is how far one check of a run has come.
type Check struct {
	Name    string
	Phase   orders.Phase // "" until the agent says anything; refused and done are final
	Outcome string       // of a check that is done; see probes.Outcome
	Reason  string       // why it was refused, or what its outcome comes from
	Took    time.Duration
	Path    probes.Path
	Proof   probes.Proof
}

// Run is some checks that an agent was told to run.
type Run struct {
	ID          string
	Site, Agent string
	By          string // who asked for it
	Asked       time.Time
	Checks      []Check      // in the order in which they were named
	Phase       orders.Phase // "" until the agent says anything; refused and done are final
	Reason      string       // why it was refused as a whole, or nothing more will be heard
	Over        bool         // nothing will change any more
}

// Errors of a Service; compare with errors.Is. Their texts are for people.
var (
	ErrForbidden    = errors.New("you may not have checks run")
	ErrNotConnected = errors.New("the agent is not connected: it can be told nothing now")
	ErrWhichAgent   = errors.New("the site has several agents: say which one")
	ErrTooMany      = errors.New("you asked for too many runs; wait a minute")
	ErrUnknown      = errors.New("no such run, or it was long ago")
	ErrInvalid      = errors.New("that can't be run")
)

// Options of a Service. Tell and Connected are required.
type Options struct {
	Tell      func(site, agent string, o orders.Order) error // (*orders.Hub).TellAgent
	Connected func() []hub.Agent                             // (*orders.Hub).Connected
	Record    audit.Recorder                                 // nil: no record is kept
	Now       func() time.Time                               // for the record and Run.Asked; nil: time.Now
}

const (
	// worth is how long an agent that has lost its line may be told: somebody is waiting.
	worth = 20 * time.Second
	// silence is after how long without a word nothing is waited for any more.
	silence = worth + 10*time.Second
	// longest is how long an agent says how a run fares.
	longest = 5 * time.Minute
	keep    = 15 * time.Minute
	maxRuns = 1000 // kept; the oldest go first
	// Who may ask how often: a click every few seconds, in bursts.
	personRuns   = 20
	personWithin = time.Minute
)

// Service has checks run. Make it with New. Its Hear has to be told of agents' reports.
type Service struct {
	o Options

	mu    sync.Mutex // guards the fields below, and all of runs
	runs  map[string]*run
	order []*run                 // by age
	asked map[string][]time.Time // by person, within personWithin
}

// run is a Run with those who follow it.
type run struct {
	Run
	began   time.Time // by the monotonic clock
	heard   bool
	changed chan struct{} // closed at the next change
}

// New returns a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{o: o, runs: map[string]*run{}, asked: map[string][]time.Time{}}
}

// Start has an agent run checks now. agent may be "" where the site has one that is connected. Whether the caller may see
// the site is for the door to know; whether they may have checks run is looked at here.
func (s *Service) Start(ctx context.Context, site, agent string, checks []string) (Run, error) {
	who := people.From(ctx)
	if !who.May(people.ActOperate) {
		s.record(ctx, who, site, agent, checks, ErrForbidden)
		return Run{}, ErrForbidden
	}
	agent, err := s.agent(site, agent)
	if err != nil {
		return Run{}, err
	}
	r := &run{Run: Run{ID: "run-" + strings.ToLower(rand.Text()), Site: site, Agent: agent, By: who.Who(), Asked: s.o.Now()},
		began: time.Now(), changed: make(chan struct{})}
	for _, name := range checks {
		r.Checks = append(r.Checks, Check{Name: name})
	}
	o := orders.Order{ID: r.ID, Kind: orders.KindRun, Expires: orders.Seconds(worth), Run: &orders.Run{Checks: checks}}
	if err := o.Validate(); err != nil {
		return Run{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !s.enter(who.Who(), r) {
		return Run{}, ErrTooMany // not on the record: it would grow as fast as somebody can ask
	}
	if err := s.record(ctx, who, site, agent, checks, nil); err != nil {
		s.forget(r)
		return Run{}, err
	}
	if err := s.o.Tell(site, agent, o); err != nil {
		s.forget(r)
		if errors.Is(err, hub.ErrNotConnected) {
			err = ErrNotConnected
		}
		return Run{}, err
	}
	return s.Get(r.ID)
}

// agent finds the agent that is to run checks.
func (s *Service) agent(site, agent string) (string, error) {
	var there []string
	for _, a := range s.o.Connected() {
		if a.Site == site && (agent == "" || a.Agent == agent) {
			there = append(there, a.Agent)
		}
	}
	switch len(there) {
	case 0:
		return "", ErrNotConnected
	case 1:
		return there[0], nil
	}
	return "", fmt.Errorf("%w: %s", ErrWhichAgent, strings.Join(there, ", "))
}

func (s *Service) record(ctx context.Context, who people.Caller, site, agent string, checks []string, refused error) error {
	if s.o.Record == nil {
		return nil
	}
	e := audit.Entry{At: s.o.Now(), Who: who.Name, Via: via(who), Address: who.Address, Act: "run.start", What: site + "/" + agent,
		Detail: strings.Join(checks[:min(len(checks), orders.MaxRuns)], " "), OK: refused == nil}
	if refused != nil {
		e.Detail = refused.Error()
	}
	if err := s.o.Record.Record(ctx, e); err != nil {
		return fmt.Errorf("it can't be put on the record, so it is not done: %w", err)
	}
	return nil
}

// via is how a caller came, in the record's words.
func via(who people.Caller) string {
	switch who.Via {
	case "key":
		return "api"
	case "":
		if who.Name == "system" {
			return "system"
		}
	}
	return "screen"
}

// enter keeps a run, unless its person has asked for too many.
func (s *Service) enter(name string, r *run) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for name, times := range s.asked {
		times = slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= personWithin })
		if s.asked[name] = times; len(times) == 0 {
			delete(s.asked, name)
		}
	}
	if len(s.asked[name]) >= personRuns {
		return false
	}
	s.asked[name] = append(s.asked[name], now)
	for len(s.order) > 0 && (len(s.order) >= maxRuns || now.Sub(s.order[0].began) > keep) {
		delete(s.runs, s.order[0].ID)
		s.order = s.order[1:]
	}
	s.runs[r.ID] = r
	s.order = append(s.order, r)
	return true
}

// forget drops a run that came to nothing.
func (s *Service) forget(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, r.ID)
	s.order = slices.DeleteFunc(s.order, func(o *run) bool { return o == r })
}

// Get returns how far a run has come.
func (s *Service) Get(id string) (Run, error) {
	got, _, err := s.get(id)
	return got, err
}

// get is Get; changed is closed at the next change.
func (s *Service) get(id string) (got Run, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[id]
	if r == nil {
		return Run{}, nil, ErrUnknown
	}
	r.expire()
	got = r.Run
	got.Checks = slices.Clone(r.Checks)
	return got, r.changed, nil
}

// expire ends the wait for an agent that says nothing. The caller holds the service's lock.
func (r *run) expire() {
	age := time.Since(r.began)
	switch {
	case r.Over:
	case age >= longest:
		r.Over, r.Reason = true, "it takes longer than agents report on; the results come with all others"
	case age >= silence && !r.heard:
		r.Over, r.Reason = true, "the agent did not answer; its version may be too old for this"
	}
}

// Next waits until a run is further than before, or is over, and returns how far it has come. The first before is the
// zero Run.
func (s *Service) Next(ctx context.Context, id string, before Run) (Run, error) {
	for {
		now, changed, err := s.get(id)
		if err != nil || now.Over || now.differs(before) {
			return now, err
		}
		wait := time.NewTimer(time.Second) // for what ends without a word
		select {
		case <-changed:
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return now, context.Cause(ctx)
		}
		wait.Stop()
	}
}

func (r *Run) differs(from Run) bool {
	return r.ID != from.ID || r.Phase != from.Phase || r.Over != from.Over || !slices.Equal(r.Checks, from.Checks)
}

// Hear takes the report of an agent; it is for (*orders.Hub).OnReport. Reports on other orders are passed over.
func (s *Service) Hear(site, agent string, rep orders.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[rep.Order]
	if r == nil || r.Site != site || r.Agent != agent || r.Over {
		return
	}
	r.heard = true
	r.Phase, r.Reason, r.Over = rep.Phase, rep.Reason, rep.Phase.Final()
	for _, ran := range rep.Ran {
		i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == ran.Check })
		if i >= 0 && ran.Phase.Rank() >= r.Checks[i].Phase.Rank() {
			r.Checks[i] = Check{Name: ran.Check, Phase: ran.Phase, Outcome: ran.Outcome, Reason: ran.Reason, Took: time.Duration(ran.Took), Path: ran.Path, Proof: ran.Proof}
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
}
