// Package judge works out what a rehearsal came to. It is pure: everything it goes by is in the record.
//
// # Whose loss it is
//
// Steps are compared, each against the same sites with fewer others. Where at least seven of ten sites lose 1 % or more
// at once, the loss is the hub's (or that of the line it hangs on), and no site is judged by that step: what is above
// the median of all may be the site's own, the rest can't be told apart. Loss that is there in at least half of a site's
// other steps is that of its own path. Where nearly all sites of one district lose, and hardly any elsewhere, the sites
// share the cause.
//
// # Bands
//
// Packets lost and packets too late for playout count alike, per direction over all streams: below 1 % go, to 5 % at
// risk, above no-go, the bands of conference rooms. Fewer than five lost packets are noise. Round-trip times are judged
// by ITU-T G.114: 150 ms one way is fine for most talk, 400 ms is not acceptable; so 300 and 800 ms there and back. A
// score (MOS) is judged by the categories of ITU-T G.109: below 3.6 "some users dissatisfied", below 2.58 "nearly all",
// and only where the line rather than the codec took the points.
//
// # What is not known
//
// A site that is off, an agent that refused, a machine or reflector too busy for its numbers: none of these is the
// line's fault, so the calls are unknown. A busy end makes numbers worse, never better: a call that went through clean
// says so of the line, however busy its ends were. A site that was not heard of at all is unknown as a whole, and goes
// before those at risk in lists, since the meeting may find it as the rehearsal did.
//
// # Trouble of the hub
//
// Where the hub's own trouble ended the rehearsal, the steps before stand. Of the one under way only what was clean
// counts; the sites that were in no step before are unknown, for the hub's reason.
package judge

import (
	"cmp"
	"slices"

	"communewatch/collector/rehearsal"
	"communewatch/probes"
)

// The limits; the package comment says where they come from.
const (
	riskLoss  = 0.01
	badLoss   = 0.05
	riskRTT   = 0.300
	badRTT    = 0.800
	riskScore = 3.6
	badScore  = 2.58
	minLost   = 5 // packets

	ownPoints = 5.0 // of R that delay, loss and discards took: below that a low score is the codec's

	blameShare = 0.7 // of sites that lose at once: the hub's
	calmShare  = 0.35
	minForHub  = 5 // results that it takes to say anything of the hub
	minShared  = 3 // sites of a district that lose at once
	setupShare = 0.5
	busyShare  = 0.3 // of calls that the hub was too busy for
)

// kind is what a result is good for.
type kind uint8

const (
	kindNone         kind = iota // not in the step, or the step was not run
	kindMeasured                 // the line was measured
	kindLimitedAgent             // the agent's machine was measured
	kindLimitedHub               // the reflector was measured
	kindFailed                   // the call could not be set up, or broke
	kindBusy                     // the hub refused the call
	kindAgent                    // the agent could not call, for reasons of its own
	kindRefused
	kindNoResult
	kindNotConnected
	kindHalted // the hub's trouble ended the step
)

func kindOf(r *rehearsal.Result) kind {
	switch r.Progress {
	case rehearsal.ProgressRefused:
		return kindRefused
	case rehearsal.ProgressNotConnected:
		return kindNotConnected
	case rehearsal.ProgressDone:
	default:
		return kindNoResult
	}
	outcome, ok := probes.ParseOutcome(r.Outcome)
	if !ok {
		if r.Outcome != "" {
			return kindAgent // of a newer agent: nothing to judge a line by
		}
		outcome = probes.OutcomeOK
	}
	limited := ""
	if r.Call != nil {
		limited = r.Call.LimitedBy
	}
	_, worst, measured := r.Worse()
	switch {
	case outcome == probes.OutcomeCanceled:
		return kindNone // told to stop, with the whole rehearsal
	case outcome == probes.OutcomeHeld:
		return kindRefused
	case outcome == probes.OutcomeBusy:
		return kindBusy
	case outcome == probes.OutcomeOK && measured && worst < riskLoss && r.Proof != probes.ProofWrong:
		return kindMeasured // whatever limited it: nobody's load makes a line better
	case limited == "reflector":
		return kindLimitedHub
	case limited == "agent" || outcome == probes.OutcomeOverloaded:
		return kindLimitedAgent
	case outcome.Own() || r.Proof == probes.ProofWrong:
		return kindAgent
	case outcome == probes.OutcomeOK && measured:
		return kindMeasured
	case outcome == probes.OutcomeOK:
		return kindNoResult
	}
	return kindFailed
}

// sample is one result made ready.
type sample struct {
	*rehearsal.Result
	kind     kind
	up, down float64 // loss, discards counted; of a round trip both are it
	lostUp   float64 // packets
	lostDown float64
}

// step is a step over all its sites.
type step struct {
	summary  rehearsal.StepSummary
	up, down bool // its loss in that direction is the hub's
	setup    bool // its failures to set up are the hub's
	lossyUp  float64
	lossyDn  float64 // shares of sites that lose
	busy     int
	told     int
	ran      bool
}

type judge struct {
	record   *rehearsal.Record
	samples  map[string][]sample // by site, one per step
	steps    []step
	evidence map[string]*rehearsal.Evidence
	verdict  rehearsal.Verdict
	halt     *rehearsal.Why // the hub's trouble that ended it; nil: none
	refusing bool           // that trouble was of calls that it did not take, and says nothing of those that it took
}

// Judge returns the verdict of a rehearsal, also of one that is under way.
func Judge(r *rehearsal.Record) rehearsal.Verdict {
	j := &judge{record: r, samples: map[string][]sample{}, steps: make([]step, len(r.Plan.Steps)), evidence: map[string]*rehearsal.Evidence{}}
	for i := range r.Evidence {
		j.evidence[r.Evidence[i].Site] = &r.Evidence[i]
	}
	j.halt, j.refusing = halted(r.Why)
	sites := j.sites()
	for _, s := range sites {
		j.samples[s] = make([]sample, len(r.Plan.Steps))
	}
	for i := range r.Results {
		j.take(&r.Results[i])
	}
	for k := range j.steps {
		j.judgeStep(k)
	}
	j.verdict.Hub = j.hub()
	rows := make([]rehearsal.Row, len(sites))
	for i, s := range sites {
		rows[i] = j.calls(s)
	}
	j.shared(rows)
	for i := range rows {
		j.columns(&rows[i])
		j.overall(&rows[i])
	}
	slices.SortFunc(rows, func(a, b rehearsal.Row) int {
		return cmp.Or(a.Overall.Order()-b.Overall.Order(), cmp.Compare(loss(&b), loss(&a)), cmp.Compare(a.Site, b.Site))
	})
	j.verdict.Rows = rows
	for k := range j.steps {
		j.verdict.Steps = append(j.verdict.Steps, j.steps[k].summary)
	}
	j.verdict.Counts = map[rehearsal.Mark]int{}
	for i := range rows {
		j.verdict.Counts[rows[i].Overall]++
	}
	j.verdict.Actions = j.actions()
	j.notes()
	return j.verdict
}

// loss is what a row's calls lost, as far as they were judged.
func loss(r *rehearsal.Row) float64 {
	if r.Call.Mark == rehearsal.Unknown {
		return 0
	}
	return r.Call.Why.Loss
}

// sites returns all sites that take part.
func (j *judge) sites() []string {
	p := &j.record.Plan
	if len(p.Steps) == 0 {
		return nil
	}
	last := min(p.Steps[len(p.Steps)-1], len(p.Sites))
	out := slices.Clone(p.Sites[:max(last, 0)])
	slices.Sort(out)
	return slices.Compact(out)
}

func (j *judge) take(r *rehearsal.Result) {
	row := j.samples[r.Site]
	if r.Step < 0 || r.Step >= len(row) {
		return // of a site or step that the plan does not have
	}
	s := sample{Result: r, kind: j.kindIn(r)}
	if s.kind == kindMeasured {
		up, nUp, okUp := r.Lost(probes.DirectionUp)
		down, nDown, okDown := r.Lost(probes.DirectionDown)
		if round, n, ok := r.Lost(probes.DirectionRound); ok && !okUp && !okDown {
			up, nUp, down, nDown = round, n, round, n
		}
		s.up, s.down, s.lostUp, s.lostDown = up, down, up*float64(nUp), down*float64(nDown)
	}
	row[r.Step] = s
}

// kindIn is kindOf for a rehearsal that the hub's trouble may have ended.
func (j *judge) kindIn(r *rehearsal.Result) kind {
	k := kindOf(r)
	if j.halt == nil || r.Step != len(j.record.Runs)-1 {
		return k
	}
	_, worst, _ := r.Worse()
	switch k {
	case kindNone, kindNoResult:
		return kindHalted
	case kindMeasured:
		if !j.refusing && worst >= riskLoss {
			return kindHalted
		}
	case kindFailed, kindLimitedHub:
		if !j.refusing {
			return kindHalted
		}
	}
	return k
}

// halted says which trouble of the hub ended the rehearsal, nil if none did. A hub that refused calls carried those that
// it took, so that these are judged.
func halted(notes []rehearsal.Note) (why *rehearsal.Why, refusing bool) {
	for _, n := range notes {
		switch n.Code {
		case rehearsal.NoteHubSlow:
			return &rehearsal.Why{Code: rehearsal.CodeHubSlow, Seconds: n.N, Limit: n.Of}, false
		case rehearsal.NoteHubLoad:
			return &rehearsal.Why{Code: rehearsal.CodeHubLoad, Ratio: n.N, Limit: n.Of}, false
		case rehearsal.NoteHubAway:
			return &rehearsal.Why{Code: rehearsal.CodeHubAway, Seconds: n.N}, false
		case rehearsal.NoteHubRefuses:
			return &rehearsal.Why{Code: rehearsal.CodeHubBusy, N: int(n.N), Of: int(n.Of)}, true
		case rehearsal.NoteSetup:
			return &rehearsal.Why{Code: rehearsal.CodeHubSetup, N: int(n.N), Of: int(n.Of)}, true
		}
	}
	return nil, false
}

func (j *judge) judgeStep(k int) {
	st := &j.steps[k]
	sum := &st.summary
	sum.Step = k + 1
	sum.Sites = min(j.record.Plan.Steps[k], len(j.record.Plan.Sites))
	if k < len(j.record.Runs) {
		st.ran = true
		sum.Load = j.record.Runs[k].Load
	}
	var up, down []float64
	var lossyUp, lossyDown float64
	for _, row := range j.samples {
		s := &row[k]
		switch s.kind {
		case kindMeasured:
			up, down = append(up, s.up), append(down, s.down)
			isUp, isDown := s.up >= riskLoss, s.down >= riskLoss
			if isUp {
				lossyUp++
			}
			if isDown {
				lossyDown++
			}
			if isUp || isDown {
				sum.Lossy++
			}
		case kindLimitedAgent, kindLimitedHub:
			sum.Limited++
		case kindFailed:
			sum.Failed++
		case kindBusy:
			st.busy++
		}
		if s.kind != kindNone && s.kind != kindNotConnected && s.kind != kindRefused {
			st.told++
		}
	}
	sum.Results = len(up)
	sum.MedianUp, sum.MedianDown = median(up), median(down)
	if n := float64(len(up)); n > 0 {
		st.lossyUp, st.lossyDn = lossyUp/n, lossyDown/n
	}
	if len(up) >= minForHub {
		st.up, st.down = st.lossyUp >= blameShare, st.lossyDn >= blameShare
	}
	tried := sum.Results + sum.Limited + sum.Failed + st.busy
	st.setup = sum.Failed >= minForHub && float64(sum.Failed) >= setupShare*float64(tried)
	sum.Blamed = st.up || st.down || st.setup
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// hub judges the hub by its steps: the worst thing of the largest step decides.
func (j *judge) hub() rehearsal.Cell {
	best := rehearsal.Cell{Mark: rehearsal.Unknown, Why: rehearsal.Why{Code: rehearsal.CodeFewResults}}
	better := func(c rehearsal.Cell) {
		if c.Mark.Rank() >= best.Mark.Rank() {
			best = c
		}
	}
	last := len(j.steps) - 1
	for k := range j.steps {
		st := &j.steps[k]
		sum := &st.summary
		limited := 0
		for _, row := range j.samples {
			if row[k].kind == kindLimitedHub {
				limited++
			}
		}
		tried := sum.Results + sum.Limited + sum.Failed + st.busy
		enough := tried >= minForHub
		if enough && float64(limited) >= busyShare*float64(tried) {
			better(rehearsal.Cell{Mark: rehearsal.AtRisk, Why: rehearsal.Why{Code: rehearsal.CodeHubOverloaded, N: limited, Of: tried, Sites: sum.Sites}})
		}
		if st.busy > 0 {
			mark := rehearsal.AtRisk
			if enough && float64(st.busy) >= busyShare*float64(tried) {
				mark = rehearsal.NoGo
			}
			better(rehearsal.Cell{Mark: mark, Why: rehearsal.Why{Code: rehearsal.CodeHubBusy, N: st.busy, Of: st.told, Sites: sum.Sites}})
		}
		if st.up || st.down {
			better(j.hubLoss(k))
		}
		if st.setup {
			better(rehearsal.Cell{Mark: rehearsal.NoGo, Why: rehearsal.Why{Code: rehearsal.CodeHubSetup, N: sum.Failed, Of: tried, Sites: sum.Sites}})
		}
	}
	if j.halt != nil {
		better(rehearsal.Cell{Mark: rehearsal.AtRisk, Why: *j.halt})
	}
	if best.Mark != rehearsal.Unknown || last < 0 {
		return best
	}
	// Nothing is wrong; that says something only if the hub carried what the meeting will bring.
	sum := &j.steps[last].summary
	best.Why.N, best.Why.Of = sum.Results, sum.Sites
	if sum.Results >= minForHub && 2*sum.Results >= sum.Sites {
		d, loss := probes.DirectionUp, sum.MedianUp
		if sum.MedianDown > loss {
			d, loss = probes.DirectionDown, sum.MedianDown
		}
		return rehearsal.Cell{Mark: rehearsal.Go, Why: rehearsal.Why{Code: rehearsal.CodeClean, Loss: loss, Direction: d, N: sum.Results, Of: sum.Sites, Sites: sum.Sites}}
	}
	return best
}

// hubLoss is what a step says of the hub in which nearly all lose.
func (j *judge) hubLoss(k int) rehearsal.Cell {
	st := &j.steps[k]
	d, loss, share := probes.DirectionUp, st.summary.MedianUp, st.lossyUp
	if st.down && (!st.up || st.summary.MedianDown > loss) {
		d, loss, share = probes.DirectionDown, st.summary.MedianDown, st.lossyDn
	}
	code := rehearsal.CodeHubLoss
	for i := range k {
		before := j.steps[i].lossyUp
		if d == probes.DirectionDown {
			before = j.steps[i].lossyDn
		}
		if j.steps[i].summary.Results >= min(minForHub, j.steps[i].summary.Sites) && before < calmShare {
			code = rehearsal.CodeHubGrows
		}
	}
	n := st.summary.Results
	return rehearsal.Cell{Mark: band(loss), Why: rehearsal.Why{
		Code: code, Loss: loss, Direction: d, N: int(share*float64(n) + 0.5), Of: n, Sites: st.summary.Sites,
	}}
}

// band puts a loss into the bands of conference rooms.
func band(loss float64) rehearsal.Mark {
	switch {
	case loss > badLoss:
		return rehearsal.NoGo
	case loss >= riskLoss:
		return rehearsal.AtRisk
	}
	return rehearsal.Go
}

// notes says what a reader should know of the verdict as a whole.
func (j *judge) notes() {
	v := &j.verdict
	rooms, unproven, measured := 0, 0, 0
	for i := range v.Rows {
		if e := j.evidence[v.Rows[i].Site]; e != nil && len(e.Rooms) > 0 {
			rooms++
		}
		if v.Rows[i].Call.Unproven {
			unproven++
		}
		for _, s := range j.samples[v.Rows[i].Site] {
			if s.kind == kindMeasured {
				measured++
				break
			}
		}
	}
	if len(v.Rows) == 0 {
		return
	}
	if v.Hub.Why.Code == rehearsal.CodeFewResults {
		v.Notes = append(v.Notes, rehearsal.Note{Code: rehearsal.NoteFewResults, N: float64(measured), Of: float64(len(v.Rows))})
	}
	if rooms == 0 {
		v.Notes = append(v.Notes, rehearsal.Note{Code: rehearsal.NoteNoEndpoints})
	}
	if unproven > 0 {
		v.Notes = append(v.Notes, rehearsal.Note{Code: rehearsal.NoteUnprovenPaths, N: float64(unproven), Of: float64(len(v.Rows))})
	}
}

// Measured reports whether a result says something of the line: a call went through, and no end was too busy for it.
func Measured(r *rehearsal.Result) bool { return kindOf(r) == kindMeasured }

// Failed reports whether a call could not be set up, or broke, by no fault of the agent's own.
func Failed(r *rehearsal.Result) bool { return kindOf(r) == kindFailed }
