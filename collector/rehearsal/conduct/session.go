package conduct

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/judge"
	"communewatch/probes"
	"communewatch/probes/orders"
)

// session is a rehearsal under way. All but its channels is guarded by the service's mu.
type session struct {
	id      rehearsal.ID
	rec     rehearsal.Record // without Results
	results map[place]*rehearsal.Result
	orders  map[string]int // order id -> step

	step    int           // under way
	order   string        // of the step
	pending int           // sites of the step that are not final
	told    int           // sites of the step that were told or still will be: a share of fewer would be hasty
	failed  int           // of them, could not set up
	refused int           // of them, refused by the hub
	allIn   chan struct{} // closed when pending is 0
	ends    time.Time     // of the step, at the latest
	load    rehearsal.Load
	trouble trouble

	stopping sync.Once
	stop     chan struct{} // closed when it is to end early; why says why
	why      []rehearsal.Note
	halting  sync.Once
	halted   chan struct{} // closed when the agents were told to stop, or had nothing to be told
	saving   sync.Mutex    // held while results are written, so that an older one never comes after a newer
}

type place struct {
	step int
	site string
}

func newSession(rec *rehearsal.Record) *session {
	return &session{id: rec.ID, rec: *rec, results: map[place]*rehearsal.Result{}, orders: map[string]int{},
		stop: make(chan struct{}), halted: make(chan struct{})}
}

// end asks for an early end. The first to ask says why.
func (ses *session) end(why rehearsal.Note) {
	ses.stopping.Do(func() {
		ses.why = []rehearsal.Note{why}
		close(ses.stop)
	})
}

// isHalted lets those go on who asked for the end.
func (ses *session) isHalted() { ses.halting.Do(func() { close(ses.halted) }) }

// course is a copy without results. The service's mu is held.
func (ses *session) course() rehearsal.Record {
	rec := ses.rec
	rec.Runs = slices.Clone(rec.Runs)
	return rec
}

// record is a copy with the results so far. The service's mu is held.
func (ses *session) record() rehearsal.Record {
	rec := ses.course()
	rec.Results = make([]rehearsal.Result, 0, len(ses.results))
	for _, r := range ses.results {
		rec.Results = append(rec.Results, *r)
	}
	slices.SortFunc(rec.Results, func(a, b rehearsal.Result) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Site, b.Site))
	})
	return rec
}

// siteStatus is a result as screens show it live.
func siteStatus(r *rehearsal.Result) rehearsal.SiteStatus {
	s := rehearsal.SiteStatus{Site: r.Site, Progress: r.Progress, Reason: r.Reason, Outcome: r.Outcome}
	if r.Call == nil {
		return s
	}
	up, _, okUp := r.Lost(probes.DirectionUp)
	down, _, okDown := r.Lost(probes.DirectionDown)
	if round, _, ok := r.Lost(probes.DirectionRound); ok && !okUp && !okDown {
		up, down, okUp, okDown = round, round, true, true
	}
	if okUp {
		s.Up = &up
	}
	if okDown {
		s.Down = &down
	}
	if r.Call.RTT != nil {
		rtt := r.Call.RTT.Median
		s.RTT = &rtt
	}
	if r.Call.LimitedBy != "none" && !judge.Measured(r) {
		s.Limited = r.Call.LimitedBy
	}
	return s
}

// apply takes a report into a result and reports whether it changed. What is final stays, but for a result that comes
// after it was given up.
func apply(res *rehearsal.Result, agent string, r *orders.Report, at time.Time) bool {
	if res.Agent != "" && res.Agent != agent && res.Progress != rehearsal.ProgressNoResult {
		return false // another agent of the site: one call is made
	}
	if res.Progress.Final() && (res.Progress != rehearsal.ProgressNoResult || !r.Phase.Final()) {
		return false
	}
	next := map[orders.Phase]rehearsal.Progress{
		orders.PhaseAccepted: rehearsal.ProgressAccepted, orders.PhaseStarted: rehearsal.ProgressStarted,
		orders.PhaseRefused: rehearsal.ProgressRefused, orders.PhaseDone: rehearsal.ProgressDone,
	}[r.Phase]
	if next == "" || next == res.Progress || next == rehearsal.ProgressAccepted && res.Progress == rehearsal.ProgressStarted {
		return false
	}
	res.Progress, res.Agent, res.At, res.Reason = next, agent, at, r.Reason
	if r.Path != "" {
		res.Path, res.Proof = r.Path, r.Proof
	}
	res.Check = cmp.Or(r.Check, res.Check)
	if r.Phase.Final() {
		res.Outcome, res.Call = r.Outcome, r.Result
	}
	return true
}
