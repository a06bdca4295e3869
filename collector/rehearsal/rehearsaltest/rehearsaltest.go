// Package rehearsaltest is a rehearsal service in memory for tests of those who show rehearsals, and for people who work
// on the screens: two rehearsals of a believable province that have ended, and new ones that go as far as a test takes
// them. Plans and verdicts are the real ones.
package rehearsaltest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/judge"
	"communewatch/collector/rehearsal/plan"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
)

// Service implements rehearsal.Service. Make it with New.
type Service struct {
	sites    []inventory.Site
	settings plan.Settings
	now      func() time.Time

	mu      sync.Mutex // guards the fields below
	records []*rehearsal.Record
	running *rehearsal.Record
	step    int
	hold    *rehearsal.Hold
	events  map[chan rehearsal.Event]bool
}

// Bad is what a call of a site loses each way.
type Bad struct{ Up, Down float64 }

// New returns a service with two rehearsals: in the first, two sites lose and one is off; in the second one of the two
// is well again and another has become bad.
func New(sites []inventory.Site, now func() time.Time) *Service {
	s := &Service{sites: sites, settings: plan.Settings{HubMbps: 300, MaxSessions: 400, StepSeconds: 20}, now: now, events: map[chan rehearsal.Event]bool{}}
	n := len(sites)
	at := func(i int) string { return sites[i%n].ID }
	s.keep("Giao ban trực tuyến tháng 10", "720p", now().Add(-31*24*time.Hour), map[string]Bad{at(17): {0, 0.034}, at(41): {0.081, 0.012}}, at(63))
	s.keep("Giao ban trực tuyến tháng 11", "low", now().Add(-26*time.Hour), map[string]Bad{at(41): {0.076, 0.009}, at(88): {0.002, 0.027}}, at(63))
	return s
}

// keep adds a rehearsal that has ended.
func (s *Service) keep(meeting, profile string, began time.Time, bad map[string]Bad, off string) {
	p := plan.Make(rehearsal.Request{Meeting: meeting, Profile: profile, Steps: steps(len(s.sites)), By: "Phòng kỹ thuật"}, s.settings, plan.Known{Sites: s.sites, Now: began})
	began = began.Truncate(time.Second).UTC()
	rec := &rehearsal.Record{ID: rehearsal.ID(len(s.records) + 1), Plan: p, State: rehearsal.StateDone, Created: began.Add(-time.Minute), Began: &began}
	rec.Evidence = s.evidence(began, off)
	rng := rand.New(rand.NewPCG(1, uint64(len(s.records))))
	at := began
	for k := range p.Steps {
		end := at.Add(time.Duration(p.StepSeconds) * time.Second)
		rec.Runs = append(rec.Runs, rehearsal.StepRun{Began: at, Ended: end, Load: load(p.Steps[k])})
		for _, site := range p.In(k) {
			rec.Results = append(rec.Results, result(rng, site, k, end, p.Profile, bad[site], site == off))
		}
		at = end.Add(4 * time.Second)
	}
	rec.Ended = &at
	s.records = append(s.records, rec)
}

// steps are those of a province; a small one has fewer.
func steps(sites int) string {
	if sites >= 100 {
		return "10,34,68,all"
	}
	return "2,all"
}

func load(sessions int) rehearsal.Load {
	return rehearsal.Load{Known: true, Sessions: sessions, MaxSessions: 400, CPURatio: 0.002 * float64(sessions), ResidenceP99: 0.0003 + 0.00001*float64(sessions)}
}

// evidence is what is known beside the calls: endpoints stand on all rungs, some are silent, some not known at all.
func (s *Service) evidence(at time.Time, off string) (out []rehearsal.Evidence) {
	for i, site := range s.sites {
		e := rehearsal.Evidence{Site: site.ID, District: site.Parent, Heard: &at}
		for _, l := range probes.Layers() {
			e.Layers = append(e.Layers, rehearsal.LayerState{Layer: l, State: "ok", Since: at.Add(-5 * time.Hour)})
		}
		if level := i%7 - 1; level < 5 {
			e.Rooms = append(e.Rooms, rehearsal.Room{Endpoint: "codec", Level: level, Known: true, At: &at})
		}
		if site.ID == off {
			e.Heard = nil
		}
		out = append(out, e)
	}
	return out
}

func result(rng *rand.Rand, site string, step int, at time.Time, p orders.Profile, bad Bad, off bool) rehearsal.Result {
	r := rehearsal.Result{Site: site, Agent: "pc", Step: step, Progress: rehearsal.ProgressDone, Outcome: probes.OutcomeOK.String(),
		Path: probes.PathDedicated, Proof: probes.ProofProved, Check: "hub-dien-tap", At: at}
	if off {
		r.Progress, r.Outcome, r.Agent, r.Path, r.Proof = rehearsal.ProgressNotConnected, "", "", "", ""
		return r
	}
	setup, jitter := 0.3+0.1*rng.Float64(), 0.002+0.002*rng.Float64()
	mos := 4.5 - 20*max(bad.Up, bad.Down)
	call := &report.Call{Service: "reflector", Profile: p.Name, Rehearsal: true, LimitedBy: "none", MediaSeconds: 20, Phases: report.Phases{Setup: &setup},
		RTT:     &report.Spread{Median: 0.012 + 0.02*rng.Float64(), P95: 0.05, P99: 0.07, Max: 0.09},
		Quality: &report.Quality{Audio: &report.Score{Model: "ITU-T G.107.2 (2023)", MOS: max(1, mos)}, Video: &report.Score{Model: "ITU-T G.1070 (2018)", MOS: max(1, mos-0.4)}}}
	for _, way := range []struct {
		d    probes.Direction
		lose float64
	}{{probes.DirectionUp, bad.Up}, {probes.DirectionDown, bad.Down}} {
		for _, m := range []probes.Media{probes.MediaAudio, probes.MediaVideo} {
			f := report.Flow{Direction: way.d, Media: m, Sent: 1000, Jitter: &jitter, GoodputBPS: float64(p.AudioBPS)}
			if m == probes.MediaVideo {
				if p.VideoBPS == 0 {
					continue
				}
				f.Sent, f.GoodputBPS = 2000, float64(p.VideoBPS)*(1-way.lose)
				frames := 2 * way.lose
				f.FrameLossRatio = &frames
			}
			for range f.Sent {
				if rng.Float64() < way.lose+0.0003 {
					f.Lost++
				}
			}
			f.Received, f.LossRatio, f.LongestLossRun = f.Sent-f.Lost, float64(f.Lost)/float64(f.Sent), min(3, f.Lost)
			call.Flows = append(call.Flows, f)
		}
	}
	r.Call = call
	return r
}

// Draft implements rehearsal.Service.
func (s *Service) Draft(_ context.Context, r rehearsal.Request) (rehearsal.Plan, error) {
	connected := map[string]bool{}
	for i := range s.sites {
		connected[s.sites[i].ID] = i%45 != 44
	}
	return plan.Make(r, s.settings, plan.Known{Sites: s.sites, Connected: connected, Now: s.now()}), nil
}

// Start implements rehearsal.Service. A rehearsal that was started stays in its first step until Advance.
func (s *Service) Start(ctx context.Context, r rehearsal.Request) (rehearsal.ID, error) {
	p, err := s.Draft(ctx, r)
	if err != nil {
		return 0, err
	}
	if len(p.Problems) > 0 {
		return 0, &rehearsal.Refused{Problems: p.Problems}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.running != nil:
		return 0, rehearsal.ErrRunning
	case s.hold != nil:
		return 0, rehearsal.ErrHeld
	}
	now := s.now().UTC()
	rec := &rehearsal.Record{ID: rehearsal.ID(len(s.records) + 1), Plan: p, State: rehearsal.StateRunning, Created: now, Began: &now}
	if p.At != nil {
		rec.State, rec.Began = rehearsal.StatePlanned, nil
	}
	s.records = append(s.records, rec)
	s.running, s.step = rec, -1
	rec.Evidence = s.evidence(now, "")
	if p.At == nil {
		s.begin()
	}
	return rec.ID, nil
}

// begin begins the next step of what is running. The caller holds the lock.
func (s *Service) begin() {
	s.step++
	rec, now := s.running, s.now().UTC()
	rec.Runs = append(rec.Runs, rehearsal.StepRun{Began: now, Load: load(rec.Plan.Steps[s.step])})
	for _, site := range rec.Plan.In(s.step) {
		rec.Results = append(rec.Results, rehearsal.Result{Site: site, Step: s.step, Progress: rehearsal.ProgressTold, At: now})
	}
	s.tell(rehearsal.Event{Kind: rehearsal.EventStep, ID: rec.ID, At: now, Step: s.step + 1, State: rec.State, Sites: rec.Plan.Steps[s.step]})
}

// Advance takes what is running one step on: its sites are done, Bad as bad says; then the next step begins, or the
// rehearsal ends. It reports whether anything was running.
func (s *Service) Advance(bad map[string]Bad) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.running
	if rec == nil || rec.State != rehearsal.StateRunning {
		return false
	}
	now := s.now().UTC()
	rng := rand.New(rand.NewPCG(7, uint64(s.step)))
	for i := range rec.Results {
		if r := &rec.Results[i]; r.Step == s.step && !r.Progress.Final() {
			*r = result(rng, r.Site, s.step, now, rec.Plan.Profile, bad[r.Site], false)
			s.tell(rehearsal.Event{Kind: rehearsal.EventSite, ID: rec.ID, At: now, Step: s.step + 1, Site: siteStatus(r)})
		}
	}
	rec.Runs[s.step].Ended = now
	if s.step+1 < len(rec.Plan.Steps) {
		s.begin()
	} else {
		s.end(rehearsal.StateDone, nil)
	}
	return true
}

// end ends what is running. The caller holds the lock.
func (s *Service) end(state rehearsal.State, why []rehearsal.Note) {
	rec, now := s.running, s.now().UTC()
	rec.State, rec.Why, rec.Ended = state, why, &now
	s.running = nil
	s.tell(rehearsal.Event{Kind: rehearsal.EventState, ID: rec.ID, At: now, State: state, Why: why})
}

func (s *Service) tell(e rehearsal.Event) {
	for c := range s.events {
		select {
		case c <- e:
		default: // too slow, as the real one
			delete(s.events, c)
			close(c)
		}
	}
}

// Stop implements rehearsal.Service.
func (s *Service) Stop(_ context.Context, id rehearsal.ID, by string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.find(id) == nil:
		return rehearsal.ErrUnknown
	case s.running == nil || s.running.ID != id:
		return rehearsal.ErrNotRunning
	}
	s.end(rehearsal.StateStopped, []rehearsal.Note{{Code: rehearsal.NoteByPerson, Text: by}})
	return nil
}

func (s *Service) find(id rehearsal.ID) *rehearsal.Record {
	i := slices.IndexFunc(s.records, func(r *rehearsal.Record) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return s.records[i]
}

func siteStatus(r *rehearsal.Result) *rehearsal.SiteStatus {
	out := &rehearsal.SiteStatus{Site: r.Site, Progress: r.Progress, Reason: r.Reason, Outcome: r.Outcome}
	if v, _, ok := r.Lost(probes.DirectionUp); ok {
		out.Up = &v
	}
	if v, _, ok := r.Lost(probes.DirectionDown); ok {
		out.Down = &v
	}
	if r.Call != nil && r.Call.RTT != nil {
		out.RTT = &r.Call.RTT.Median
	}
	return out
}

// Status implements rehearsal.Service.
func (s *Service) Status(_ context.Context, id rehearsal.ID) (rehearsal.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 {
		id = s.records[len(s.records)-1].ID
	}
	rec := s.find(id)
	if rec == nil {
		return rehearsal.Status{}, rehearsal.ErrUnknown
	}
	out := rehearsal.Status{Summary: judge.Summary(rec), Counts: rehearsal.Counts{}, SiteStates: []rehearsal.SiteStatus{}, Held: s.hold}
	if n := len(rec.Runs); n > 0 {
		k := n - 1
		out.Step, out.StepSites, out.Estimate, out.Load = n, rec.Plan.Steps[k], &rec.Plan.Estimates[k], rec.Runs[k].Load
		began := rec.Runs[k].Began
		ends := began.Add(time.Duration(rec.Plan.StepSeconds) * time.Second)
		out.StepBegan, out.StepEnds = &began, &ends
		for i := range rec.Results {
			if r := &rec.Results[i]; r.Step == k {
				out.SiteStates = append(out.SiteStates, *siteStatus(r))
				out.Counts[r.Progress]++
			}
		}
		if !rec.State.Final() {
			out.SecondsLeft = rec.Plan.TotalSeconds * (len(rec.Plan.Steps) - k) / len(rec.Plan.Steps)
		}
	}
	return out, nil
}

// List implements rehearsal.Service.
func (s *Service) List(context.Context) ([]rehearsal.Summary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []rehearsal.Summary{}
	for _, r := range slices.Backward(s.records) {
		out = append(out, judge.Summary(r))
	}
	return out, nil
}

// Get implements rehearsal.Service.
func (s *Service) Get(_ context.Context, id rehearsal.ID) (rehearsal.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.find(id)
	if rec == nil {
		return rehearsal.Report{}, rehearsal.ErrUnknown
	}
	out := rehearsal.Report{Record: *rec}
	out.Results = slices.Clone(rec.Results)
	out.Runs = slices.Clone(rec.Runs)
	out.Verdict = judge.Judge(&out.Record)
	return out, nil
}

// Compare implements rehearsal.Service.
func (s *Service) Compare(ctx context.Context, before, after rehearsal.ID) (rehearsal.Comparison, error) {
	a, err := s.Get(ctx, before)
	if err != nil {
		return rehearsal.Comparison{}, err
	}
	b, err := s.Get(ctx, after)
	if err != nil {
		return rehearsal.Comparison{}, err
	}
	return judge.Compare(&a, &b), nil
}

// Subscribe implements rehearsal.Service.
func (s *Service) Subscribe() (<-chan rehearsal.Event, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan rehearsal.Event, 1024)
	s.events[c] = true
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.events[c] {
			delete(s.events, c)
			close(c)
		}
	}
}

// Listeners is how many have subscribed.
func (s *Service) Listeners() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// Hold implements rehearsal.Service.
func (s *Service) Hold(_ context.Context, h rehearsal.Hold) (rehearsal.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.Began = s.now().UTC()
	h.Until = h.Began.Add(h.For)
	h.Told = len(s.sites)
	s.hold = &h
	if h.For == 0 {
		s.hold = nil
	}
	return h, nil
}

// Held implements rehearsal.Service.
func (s *Service) Held() (rehearsal.Hold, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold == nil {
		return rehearsal.Hold{}, false
	}
	return *s.hold, true
}
