package conduct

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"communewatch/collector/orders"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/judge"
	"communewatch/collector/rehearsal/plan"
	"communewatch/probes"
	wire "communewatch/probes/orders"
)

const (
	resultWait = 15 * time.Second // after a step's media for reports: a machine that is busy, a line that is full
	haltWait   = 3 * time.Second  // for reports after a stop
	watchEvery = time.Second      // the hub is looked at

	// The hub is in trouble when it was so for as many looks in a row. A hub tells the stay of packets over the last
	// 5 s, so that one bad moment is seen in five looks: it takes as many again to last.
	fullFor = 5
	slowFor = 10
	awayFor = 5 * time.Second // it does not answer

	// Calls of a step that may fail at set-up, and that the hub may refuse.
	failedShare = 1.0 / 3
	failedLeast = 5
)

// trouble counts looks at the hub in which it was in trouble. That a hub would refuse a further call is none: it is so
// too when it is as full as planned, and when packets stayed long for a moment. Calls that it did refuse are counted by
// what the agents report.
type trouble struct {
	cpu, slow int
	away      time.Time // since when it does not answer; zero: it does
}

// look takes a look at a time and says what the trouble is.
func (t *trouble) look(l rehearsal.Load, s *plan.Settings, at time.Time) (why rehearsal.Note, bad bool) {
	count := func(n *int, is bool) int {
		*n++
		if !is {
			*n = 0
		}
		return *n
	}
	limit := s.ResidenceLimit.Seconds()
	cpu := count(&t.cpu, l.Known && l.CPURatio >= s.CPULimit)
	slow := count(&t.slow, l.Known && l.ResidenceP99 >= limit)
	switch {
	case !l.Unreachable:
		t.away = time.Time{}
	case t.away.IsZero():
		t.away = at
	}
	switch {
	case !t.away.IsZero() && at.Sub(t.away) >= awayFor:
		return rehearsal.Note{Code: rehearsal.NoteHubAway, N: at.Sub(t.away).Seconds()}, true
	case slow >= slowFor:
		return rehearsal.Note{Code: rehearsal.NoteHubSlow, N: l.ResidenceP99, Of: limit}, true
	case cpu >= fullFor:
		return rehearsal.Note{Code: rehearsal.NoteHubLoad, N: l.CPURatio, Of: s.CPULimit}, true
	}
	return rehearsal.Note{}, false
}

func worse(a, b rehearsal.Load) rehearsal.Load {
	return rehearsal.Load{Known: a.Known || b.Known, Unreachable: a.Unreachable || b.Unreachable, Sessions: max(a.Sessions, b.Sessions), MaxSessions: max(a.MaxSessions, b.MaxSessions),
		CPURatio: max(a.CPURatio, b.CPURatio), ResidenceP99: max(a.ResidenceP99, b.ResidenceP99), Refusing: a.Refusing || b.Refusing}
}

// perform runs a session to its end.
func (s *Service) perform(ctx context.Context, ses *session) {
	looking, enough := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { s.watch(looking, ses) })
	state, why := s.steps(ctx, ses)
	enough()
	watcher.Wait()
	now := s.now()
	s.mu.Lock()
	ses.rec.State, ses.rec.Why, ses.rec.Ended = state, why, &now
	rec := ses.course()
	s.mu.Unlock()
	wait, cancel := firm(ctx)
	defer cancel()
	s.kept("its end", ses, s.o.Store.Update(wait, &rec))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.last = nil, ses
	s.publish(rehearsal.Event{Kind: rehearsal.EventState, ID: ses.id, Step: len(rec.Runs), State: state, Why: why})
	s.o.Log.Info("rehearsal ended", "id", ses.id.String(), "state", string(state), "steps", len(rec.Runs), "took", now.Sub(*rec.Began).Round(time.Second))
}

// steps runs the steps and says how it ended.
func (s *Service) steps(ctx context.Context, ses *session) (rehearsal.State, []rehearsal.Note) {
	defer ses.isHalted()
	p := &ses.rec.Plan
	for k := range p.Steps {
		if k > 0 {
			pause := time.NewTimer(plan.Pause)
			select {
			case <-pause.C:
			case <-ses.stop:
			case <-ctx.Done():
			}
			pause.Stop()
		}
		told := 0
		if !over(ctx, ses) {
			told = s.step(ctx, ses, k)
		}
		select {
		case <-ctx.Done():
			return rehearsal.StateAborted, []rehearsal.Note{{Code: rehearsal.NoteClosing}}
		default:
		}
		select {
		case <-ses.stop:
			return rehearsal.StateStopped, ses.why
		default:
		}
		if told == 0 && k == len(p.Steps)-1 && s.nobody(ses) {
			return rehearsal.StateStopped, []rehearsal.Note{{Code: rehearsal.NoteNobody}}
		}
		if k < len(p.Steps)-1 {
			if why, bad := s.hubFails(ses, k); bad {
				return rehearsal.StateStopped, []rehearsal.Note{why}
			}
		}
	}
	return rehearsal.StateDone, nil
}

// over reports whether no step is to begin any more.
func over(ctx context.Context, ses *session) bool {
	select {
	case <-ses.stop:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// nobody reports whether no site was told anything in any step.
func (s *Service) nobody(ses *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range ses.results {
		if r.Progress != rehearsal.ProgressNotConnected {
			return false
		}
	}
	return true
}

// hubFails says why no larger step is to follow step k.
func (s *Service) hubFails(ses *session, k int) (rehearsal.Note, bool) {
	s.mu.Lock()
	rec := ses.record()
	s.mu.Unlock()
	hub := judge.Judge(&rec).Hub
	if hub.Mark != rehearsal.NoGo {
		return rehearsal.Note{}, false
	}
	switch hub.Why.Code {
	case rehearsal.CodeHubSetup:
		return rehearsal.Note{Code: rehearsal.NoteSetup, N: float64(hub.Why.N), Of: float64(hub.Why.Of)}, true
	case rehearsal.CodeHubBusy:
		return rehearsal.Note{Code: rehearsal.NoteHubRefuses, N: float64(hub.Why.N), Of: float64(hub.Why.Of)}, true
	}
	return rehearsal.Note{Code: rehearsal.NoteHubLoss, N: float64(k + 1)}, true
}

// step runs one step and returns how many sites were told. Whether it ended early is in ses.stop and ctx.
func (s *Service) step(ctx context.Context, ses *session, k int) (told int) {
	p := &ses.rec.Plan
	sites := p.In(k)
	now := s.now()
	begin := now.Add(plan.Lead)
	media := time.Duration(p.StepSeconds) * time.Second
	ends := begin.Add(plan.Spread(len(sites)) + media + resultWait)
	// Unique whatever becomes of this database: agents carry out an order that comes again once.
	order := fmt.Sprintf("%v-%d-%s", ses.id, k+1, strings.ToLower(rand.Text()[:8]))

	s.mu.Lock()
	ses.step, ses.order, ses.pending, ses.told, ses.failed, ses.refused, ses.ends, ses.allIn = k, order, len(sites), len(sites), 0, 0, ends, make(chan struct{})
	ses.orders[order] = k
	ses.trouble = trouble{}
	ses.rec.Runs = append(ses.rec.Runs, rehearsal.StepRun{Began: now})
	for _, site := range sites {
		ses.results[place{k, site}] = &rehearsal.Result{Site: site, Step: k, Progress: rehearsal.ProgressWaiting, At: now}
	}
	rec := ses.course()
	allIn := ses.allIn
	s.publish(rehearsal.Event{Kind: rehearsal.EventStep, ID: ses.id, Step: k + 1, State: rec.State, Sites: len(sites), Ends: ends})
	s.mu.Unlock()
	wait, cancel := firm(ctx)
	s.kept("a step's beginning", ses, s.o.Store.Update(wait, &rec))
	cancel()

	for i, site := range sites {
		offset := plan.Spread(i + 1)
		start := max(0, begin.Add(offset).Sub(s.o.Now()))
		call := wire.Call{Check: p.Check, StartIn: wire.Seconds(start), Duration: wire.Seconds(media + plan.Spread(len(sites)) - offset), Profile: p.Profile}
		if s.tell(ses, place{k, site}, wire.Order{ID: order, Kind: wire.KindCall, Expires: wire.Seconds(start + plan.Lead), Call: &call}) {
			told++
		}
	}
	s.await(ctx, ses, ends, allIn)
	s.finish(ctx, ses, k)
	return told
}

// tell tells a site its order and notes whether it could be told.
func (s *Service) tell(ses *session, at place, o wire.Order) bool {
	s.mu.Lock()
	res := ses.results[at]
	res.Progress, res.At = rehearsal.ProgressTold, s.now() // before telling: the answer may be faster than this
	s.mu.Unlock()
	err := s.o.Channel.Tell(at.site, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !res.Progress.Final() {
		ses.told--
		res.Progress = rehearsal.ProgressNoResult
		if errors.Is(err, orders.ErrNotConnected) {
			res.Progress = rehearsal.ProgressNotConnected
		} else {
			res.Reason = err.Error()
		}
		s.final(ses)
	}
	s.publishSite(ses, res)
	return err == nil
}

// final notes that a site of the step under way is final. s.mu is held.
func (s *Service) final(ses *session) {
	if ses.pending--; ses.pending == 0 {
		close(ses.allIn)
	}
}

// await waits until all results of the step are in, its time is over, or it is to end early; then the agents are told
// to stop.
func (s *Service) await(ctx context.Context, ses *session, ends time.Time, allIn chan struct{}) {
	deadline := time.NewTimer(ends.Sub(s.o.Now()))
	defer deadline.Stop()
	select {
	case <-allIn:
	case <-deadline.C:
		s.tellStop(ses) // who is still at it would disturb the next step
	case <-ses.stop:
		s.tellStop(ses)
		ses.isHalted()
		late := time.NewTimer(haltWait)
		defer late.Stop()
		select {
		case <-allIn:
		case <-late.C:
		case <-ctx.Done():
		}
	case <-ctx.Done():
		s.tellStop(ses)
	}
}

// watch looks at the hub until ctx ends: beside the steps, which must not wait for a hub that does not answer.
func (s *Service) watch(ctx context.Context, ses *session) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		load := s.o.Hub(ctx)
		if ctx.Err() != nil {
			return // what was asked was not waited for
		}
		s.saw(ses, load)
	}
}

// saw takes how the hub fares, and ends the session when it is in trouble. Between two steps nothing is asked of a hub.
func (s *Service) saw(ses *session, load rehearsal.Load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses.load = load
	n := len(ses.rec.Runs)
	if n == 0 || !ses.rec.Runs[n-1].Ended.IsZero() {
		return
	}
	run := &ses.rec.Runs[n-1]
	run.Load = worse(run.Load, load)
	if load.Known || load.Unreachable {
		s.publish(rehearsal.Event{Kind: rehearsal.EventLoad, ID: ses.id, Step: ses.step + 1, Load: &load})
	}
	if why, bad := ses.trouble.look(load, &s.o.Settings, s.o.Now()); bad {
		s.o.Log.Warn("rehearsal stops: the hub is in trouble", "id", ses.id.String(), "why", why.Code, "is", why.N, "limit", why.Of)
		ses.end(why)
	}
}

// tellStop tells every site of the step that is not final to stop.
func (s *Service) tellStop(ses *session) {
	s.mu.Lock()
	var sites []string
	for _, site := range ses.rec.Plan.In(ses.step) {
		if r := ses.results[place{ses.step, site}]; !r.Progress.Final() {
			sites = append(sites, site)
		}
	}
	order := ses.order
	s.mu.Unlock()
	for _, site := range sites {
		err := s.o.Channel.Tell(site, wire.Order{ID: order + "-stop", Kind: wire.KindStop, Expires: wire.Seconds(time.Minute), Stop: order})
		if err != nil && !errors.Is(err, orders.ErrNotConnected) {
			s.o.Log.Warn("a site could not be told to stop", "site", site, "error", err)
		}
	}
}

// finish gives up what has not come in, and keeps the step.
func (s *Service) finish(ctx context.Context, ses *session, k int) {
	now := s.now()
	sites := ses.rec.Plan.In(k)
	places := make([]place, len(sites))
	s.mu.Lock()
	for i, site := range sites {
		places[i] = place{k, site}
		if r := ses.results[places[i]]; !r.Progress.Final() {
			r.Progress, r.At = rehearsal.ProgressNoResult, now
			s.final(ses)
			s.publishSite(ses, r)
		}
	}
	run := &ses.rec.Runs[k]
	run.Ended = now
	rec := ses.course()
	s.mu.Unlock()
	wait, cancel := firm(ctx)
	defer cancel()
	s.save(wait, ses, places...)
	s.kept("a step's end", ses, s.o.Store.Update(wait, &rec))
}

// save keeps results as they are now.
func (s *Service) save(ctx context.Context, ses *session, places ...place) {
	ses.saving.Lock()
	defer ses.saving.Unlock()
	results := make([]rehearsal.Result, len(places))
	s.mu.Lock()
	for i, p := range places {
		results[i] = *ses.results[p]
	}
	s.mu.Unlock()
	s.kept("results", ses, s.o.Store.PutResults(ctx, ses.id, results...))
}

// Report takes what an agent says of an order. Reports of other orders are left alone.
func (s *Service) Report(site, agent string, r wire.Report) {
	s.mu.Lock()
	ses, k := s.sessionOf(r.Order)
	if ses == nil {
		s.mu.Unlock()
		return
	}
	at := place{k, site}
	res := ses.results[at]
	if res == nil {
		s.mu.Unlock()
		return // not a site of the step: nobody told it
	}
	was := res.Progress.Final()
	if !apply(res, agent, &r, s.now()) {
		s.mu.Unlock()
		return
	}
	final := res.Progress.Final()
	if final && !was && ses == s.session && k == ses.step {
		many := func(n int) bool { return n >= failedLeast && float64(n) >= failedShare*float64(ses.told) }
		switch {
		case judge.Failed(res):
			if ses.failed++; many(ses.failed) {
				s.o.Log.Warn("rehearsal stops: calls can't be set up", "id", ses.id.String(), "failed", ses.failed, "told", ses.told)
				ses.end(rehearsal.Note{Code: rehearsal.NoteSetup, N: float64(ses.failed), Of: float64(ses.told)})
			}
		case res.Outcome == probes.OutcomeBusy.String():
			if ses.refused++; many(ses.refused) {
				s.o.Log.Warn("rehearsal stops: the hub refuses calls", "id", ses.id.String(), "refused", ses.refused, "told", ses.told)
				ses.end(rehearsal.Note{Code: rehearsal.NoteHubRefuses, N: float64(ses.refused), Of: float64(ses.told)})
			}
		}
		s.final(ses)
	}
	s.publishSite(ses, res)
	s.mu.Unlock()
	if final {
		wait, cancel := firm(context.Background())
		defer cancel()
		s.save(wait, ses, at)
	}
}

// sessionOf finds whose order it is. s.mu is held.
func (s *Service) sessionOf(order string) (*session, int) {
	for _, ses := range []*session{s.session, s.last} {
		if ses != nil {
			if k, ok := ses.orders[order]; ok {
				return ses, k
			}
		}
	}
	return nil, 0
}
