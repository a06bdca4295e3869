// Package conduct runs rehearsals: it tells the agents over the order channel, step by step, waits for what they
// report, watches the hub meanwhile, and keeps what comes in as it comes.
//
// Nothing here measures. An agent is told how long after receiving its order it is to begin, so no clocks have to agree;
// orders arrive within 2 s (probes/orders), and each is told with what is then left of the step's lead.
//
// # When it stops
//
// At once on demand, when a meeting's hold begins, and when the hub is in trouble: its processors nearly used up or packets
// staying there for long, for seconds on end; no word from it; a third of a step's calls refused or failing at set-up.
// After a step in which nearly all sites lost more than 5 % no larger one follows: it would only harm more.
//
// # What may go wrong
//
// An agent that is off is not waited for; one that vanishes has no result in its step and is told again in the next. A
// report that comes twice changes nothing, one that comes late is still taken while the collector runs. A collector
// that is stopped tells the agents to stop; what it had is kept, and the rehearsal is aborted. A planned rehearsal whose
// time passes while no collector runs is missed, never run late: by then the meeting may be on.
package conduct

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"communewatch/collector/orders"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/judge"
	"communewatch/collector/rehearsal/plan"
	"communewatch/inventory"
	wire "communewatch/probes/orders"
)

// Store keeps rehearsals and holds; *rehearsals.Store does it.
type Store interface {
	Create(ctx context.Context, r *rehearsal.Record) error
	Update(ctx context.Context, r *rehearsal.Record) error
	PutResults(ctx context.Context, id rehearsal.ID, results ...rehearsal.Result) error
	List(ctx context.Context, states ...rehearsal.State) ([]rehearsal.Record, error)
	Get(ctx context.Context, id rehearsal.ID) (rehearsal.Record, error)
	SetHold(ctx context.Context, h rehearsal.Hold) error
	Held(ctx context.Context, at time.Time) (rehearsal.Hold, bool, error)
}

// Channel is the order channel; *orders.Hub does it. Its reports are to be brought to Service.Report. Telling must not
// wait for the agent.
type Channel interface {
	Connected() []orders.Agent
	Tell(site string, o wire.Order) error
	TellAgent(site, agent string, o wire.Order) error
}

// Sites is who knows the sites' names; *registry.Registry does it.
type Sites interface {
	Sites(ctx context.Context, asOf time.Time) ([]inventory.Site, error)
}

// Options are what New needs. Store, Channel and Sites must be set.
type Options struct {
	Store    Store
	Channel  Channel
	Sites    Sites
	Hub      func(context.Context) rehearsal.Load                           // how the hub fares now, told within seconds; nil: it can't be asked
	Evidence func(ctx context.Context, sites []string) []rehearsal.Evidence // what is known of sites beside calls, without districts; nil: nothing
	Settings plan.Settings                                                  // limits that are zero: plan.DefaultSettings'
	Now      func() time.Time                                               // nil: time.Now
	Log      *slog.Logger                                                   // nil: slog.Default
}

// Service plans, runs and reads rehearsals. Make it with New. All methods may be called concurrently.
type Service struct {
	o Options

	starting sync.Mutex // held by who begins or plans one, so that there is one at a time

	mu      sync.Mutex // guards the fields below, and everything in sessions
	run     context.Context
	closing bool
	conduct sync.WaitGroup // sessions under way
	session *session       // that runs; nil: none does
	last    *session       // that ended last, for reports that come late
	planned []rehearsal.Record
	hold    holding
	readers map[*reader]struct{}
}

// New returns a Service that does nothing until Run, but reading and planning.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	d := plan.DefaultSettings()
	o.Settings.ResidenceLimit = cmp.Or(o.Settings.ResidenceLimit, d.ResidenceLimit)
	o.Settings.CPULimit = cmp.Or(o.Settings.CPULimit, d.CPULimit)
	if o.Hub == nil {
		o.Hub = func(context.Context) rehearsal.Load { return rehearsal.Load{} }
	}
	if o.Evidence == nil {
		o.Evidence = func(context.Context, []string) []rehearsal.Evidence { return nil }
	}
	return &Service{o: o, readers: map[*reader]struct{}{}}
}

// now is the time in whole milliseconds, as it is kept.
func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

// Draft returns the plan of a request without starting anything.
func (s *Service) Draft(ctx context.Context, r rehearsal.Request) (rehearsal.Plan, error) {
	p, _, err := s.draft(ctx, r)
	return p, err
}

func (s *Service) draft(ctx context.Context, r rehearsal.Request) (rehearsal.Plan, []inventory.Site, error) {
	now := s.now()
	sites, err := s.o.Sites.Sites(ctx, now.In(plan.Zone))
	if err != nil {
		return rehearsal.Plan{}, nil, err
	}
	known := plan.Known{Sites: sites, Connected: map[string]bool{}, Now: now}
	for _, a := range s.o.Channel.Connected() {
		known.Connected[a.Site] = true
	}
	return plan.Make(r, s.o.Settings, known), sites, nil
}

// Start begins a rehearsal, or plans one for r.At.
func (s *Service) Start(ctx context.Context, r rehearsal.Request) (rehearsal.ID, error) {
	s.starting.Lock()
	defer s.starting.Unlock()
	p, sites, err := s.draft(ctx, r)
	if err != nil {
		return 0, err
	}
	if len(p.Problems) > 0 {
		return 0, &rehearsal.Refused{Problems: p.Problems}
	}
	rec := rehearsal.Record{Plan: p, State: rehearsal.StatePlanned, Created: s.now()}
	if p.At == nil {
		return s.begin(ctx, &rec, sites)
	}
	wait, cancel := firm(ctx)
	defer cancel()
	if err := s.o.Store.Create(wait, &rec); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.planned = append(s.planned, rec)
	s.publish(rehearsal.Event{Kind: rehearsal.EventState, ID: rec.ID, State: rec.State})
	s.mu.Unlock()
	s.o.Log.Info("rehearsal planned", "id", rec.ID.String(), "meeting", p.Meeting, "at", *p.At, "by", p.By)
	return rec.ID, nil
}

// begin starts a record that has a plan. s.starting is held.
func (s *Service) begin(ctx context.Context, rec *rehearsal.Record, sites []inventory.Site) (rehearsal.ID, error) {
	if err := s.free(); err != nil {
		return 0, err
	}
	now := s.now()
	rec.State, rec.Began = rehearsal.StateRunning, &now
	all := rec.Plan.In(len(rec.Plan.Steps) - 1)
	rec.Evidence = s.o.Evidence(ctx, all)
	addDistricts(rec, sites)
	keep := s.o.Store.Create
	if rec.ID != 0 {
		keep = s.o.Store.Update
	}
	wait, cancel := firm(ctx)
	defer cancel()
	if err := keep(wait, rec); err != nil {
		return 0, err
	}
	ses := newSession(rec)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil || s.closing {
		return 0, rehearsal.ErrClosing // what was kept is aborted at the next start
	}
	run := s.run
	s.session = ses
	s.publish(rehearsal.Event{Kind: rehearsal.EventState, ID: rec.ID, State: rec.State})
	s.conduct.Go(func() { s.perform(run, ses) })
	last := rec.Plan.Estimates[len(rec.Plan.Estimates)-1]
	s.o.Log.Info("rehearsal begins", "id", rec.ID.String(), "meeting", rec.Plan.Meeting, "profile", rec.Plan.Profile.Name, "steps", rec.Plan.Steps,
		"hub_mbps", int(last.OutOfHub/1e6), "by", rec.Plan.By)
	return rec.ID, nil
}

// free says why no rehearsal can begin now.
func (s *Service) free() error {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.run == nil || s.closing:
		return rehearsal.ErrClosing
	case s.session != nil:
		return fmt.Errorf("%v: %w", s.session.rec.ID, rehearsal.ErrRunning)
	case s.hold.on(now):
		return fmt.Errorf("%s, until %s: %w", cmp.Or(s.hold.Meeting, "-"), s.hold.Until.In(plan.Zone).Format("15:04 02/01/2006"), rehearsal.ErrHeld)
	}
	return nil
}

// addDistricts fills in evidence so that there is some of each site, with its district.
func addDistricts(rec *rehearsal.Record, sites []inventory.Site) {
	districts := plan.Districts(sites)
	have := map[string]bool{}
	for i := range rec.Evidence {
		e := &rec.Evidence[i]
		have[e.Site], e.District = true, districts[e.Site]
	}
	for _, site := range rec.Plan.In(len(rec.Plan.Steps) - 1) {
		if !have[site] {
			rec.Evidence = append(rec.Evidence, rehearsal.Evidence{Site: site, District: districts[site]})
		}
	}
}

// Stop ends a rehearsal that runs, or takes back one that is planned; 0 is the one that runs. It returns once the
// agents were told.
func (s *Service) Stop(ctx context.Context, id rehearsal.ID, by string) error {
	s.mu.Lock()
	ses := s.session
	s.mu.Unlock()
	if ses != nil && (id == 0 || id == ses.id) {
		ses.end(rehearsal.Note{Code: rehearsal.NoteByPerson, Text: by})
		select {
		case <-ses.halted:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if id == 0 {
		return rehearsal.ErrNotRunning
	}
	s.starting.Lock()
	defer s.starting.Unlock()
	rec, err := s.o.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	if rec.State != rehearsal.StatePlanned {
		return fmt.Errorf("%v is %s: %w", id, rec.State, rehearsal.ErrNotRunning)
	}
	return s.close(ctx, &rec, rehearsal.StateStopped, rehearsal.Note{Code: rehearsal.NoteCancelled, Text: by})
}

// close ends a rehearsal that did not run, or does not any more.
func (s *Service) close(ctx context.Context, rec *rehearsal.Record, state rehearsal.State, why ...rehearsal.Note) error {
	now := s.now()
	rec.State, rec.Why, rec.Ended = state, why, &now
	for i := range rec.Runs {
		if rec.Runs[i].Ended.IsZero() {
			rec.Runs[i].Ended = now
		}
	}
	wait, cancel := firm(ctx)
	defer cancel()
	if err := s.o.Store.Update(wait, rec); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planned = slices.DeleteFunc(s.planned, func(p rehearsal.Record) bool { return p.ID == rec.ID })
	s.publish(rehearsal.Event{Kind: rehearsal.EventState, ID: rec.ID, State: state, Why: why})
	s.o.Log.Info("rehearsal closed", "id", rec.ID.String(), "meeting", rec.Plan.Meeting, "state", string(state))
	return nil
}

// List returns all that are kept, the newest first, without results.
func (s *Service) List(ctx context.Context) ([]rehearsal.Summary, error) {
	all, err := s.o.Store.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]rehearsal.Summary, len(all))
	for i := range all {
		out[i] = judge.Summary(&all[i])
	}
	return out, nil
}

// record returns a rehearsal as it is now.
func (s *Service) record(ctx context.Context, id rehearsal.ID) (rehearsal.Record, error) {
	s.mu.Lock()
	for _, ses := range []*session{s.session, s.last} { // ahead of what is kept
		if ses != nil && ses.id == id {
			rec := ses.record()
			s.mu.Unlock()
			return rec, nil
		}
	}
	s.mu.Unlock()
	return s.o.Store.Get(ctx, id)
}

// Get returns a rehearsal with all that is known and its verdict.
func (s *Service) Get(ctx context.Context, id rehearsal.ID) (rehearsal.Report, error) {
	rec, err := s.record(ctx, id)
	if err != nil {
		return rehearsal.Report{}, err
	}
	return rehearsal.Report{Record: rec, Verdict: judge.Judge(&rec)}, nil
}

// Compare says what changed from one rehearsal to a later one.
func (s *Service) Compare(ctx context.Context, before, after rehearsal.ID) (rehearsal.Comparison, error) {
	b, err := s.Get(ctx, before)
	if err != nil {
		return rehearsal.Comparison{}, fmt.Errorf("%v: %w", before, err)
	}
	a, err := s.Get(ctx, after)
	if err != nil {
		return rehearsal.Comparison{}, fmt.Errorf("%v: %w", after, err)
	}
	return judge.Compare(&b, &a), nil
}

// Status is where a rehearsal stands; ID 0 is the one that runs, or else the newest that began.
func (s *Service) Status(ctx context.Context, id rehearsal.ID) (rehearsal.Status, error) {
	if id == 0 {
		s.mu.Lock()
		if s.session != nil {
			id = s.session.id
		}
		s.mu.Unlock()
	}
	if id == 0 {
		all, err := s.o.Store.List(ctx)
		if err != nil {
			return rehearsal.Status{}, err
		}
		i := slices.IndexFunc(all, func(r rehearsal.Record) bool { return r.Began != nil })
		if i < 0 {
			return rehearsal.Status{}, rehearsal.ErrUnknown
		}
		id = all[i].ID
	}
	rec, err := s.record(ctx, id)
	if err != nil {
		return rehearsal.Status{}, err
	}
	return s.status(&rec), nil
}

func (s *Service) status(rec *rehearsal.Record) rehearsal.Status {
	st := rehearsal.Status{Summary: judge.Summary(rec), Step: len(rec.Runs), Counts: rehearsal.Counts{}, SiteStates: []rehearsal.SiteStatus{}}
	if h, ok := s.Held(); ok {
		st.Held = &h
	}
	now := s.now()
	s.mu.Lock()
	if s.session != nil && s.session.id == rec.ID {
		ends := s.session.ends
		if !ends.IsZero() {
			st.StepEnds = &ends
		}
		st.Load = s.session.load
	}
	s.mu.Unlock()
	if rec.State == rehearsal.StateRunning && rec.Began != nil {
		left := time.Duration(rec.Plan.TotalSeconds)*time.Second - now.Sub(*rec.Began)
		st.SecondsLeft = max(0, int(left.Seconds()))
	}
	k := len(rec.Runs) - 1
	if k < 0 || k >= len(rec.Plan.Steps) {
		return st
	}
	run := &rec.Runs[k]
	st.StepBegan = &run.Began
	if rec.State.Final() {
		st.Load = run.Load
	}
	st.StepSites = rec.Plan.Steps[k]
	if k < len(rec.Plan.Estimates) {
		st.Estimate = &rec.Plan.Estimates[k]
	}
	bySite := map[string]*rehearsal.Result{}
	for i := range rec.Results {
		if rec.Results[i].Step == k {
			bySite[rec.Results[i].Site] = &rec.Results[i]
		}
	}
	for _, site := range rec.Plan.In(k) {
		one := rehearsal.SiteStatus{Site: site, Progress: rehearsal.ProgressNoResult}
		if r := bySite[site]; r != nil {
			one = siteStatus(r)
		}
		st.Counts[one.Progress]++
		st.SiteStates = append(st.SiteStates, one)
	}
	return st
}

// storeWait bounds a write.
const storeWait = 10 * time.Second

// firm is for a write that must not be left half done: when who asked has gone, it may have been committed all the
// same, and what is kept would not be what is known here.
func firm(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), storeWait)
}

// kept logs what could not be kept; the rehearsal goes on, and what it had is still in memory.
func (s *Service) kept(what string, ses *session, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.o.Log.Error("a rehearsal could not be kept; it goes on", "what", what, "id", ses.id.String(), "error", err)
	}
}
