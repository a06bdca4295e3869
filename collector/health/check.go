package health

import (
	"math"
	"time"

	"communewatch/collector/health/loss"
	"communewatch/collector/health/rules"
	"communewatch/probes"
)

// check is the judge's memory of one check: its newest run, the state that its results amount to, and how far a
// change of that state has come. What is shown may differ from it: silence and maintenance lie over it.
type check struct {
	id    CheckID
	agent *agent
	kind  *rules.Kind    // nil when no rule looks at this kind
	limit []*rules.Limit // by slot of kind; shared between checks with the same
	loss  loss.Rows

	pending   []float64 // facts of the run at pendingAt by slot; NaN where there is none
	rows      []string  // that these are of, by slot; nil where runs have one row
	pendingAt int64

	lastAt   int64 // start of the newest run, Unix milliseconds; 0 before the first
	interval time.Duration
	proof    probes.Proof
	outcome  probes.Outcome

	state State // by results alone: none until there is one that counts, ok, degraded, down, or no_data for own trouble
	why   why

	// Runs in a row that were at least degraded [0] or down [1], and when the first of them began.
	worse   [2]uint8
	worseAt [2]int64
	// Runs in a row that were better than state, the first of them, and the worst among them.
	better      uint8
	betterAt    int64
	betterWorst State
	betterWhy   why
	own         uint8 // runs in a row that ended by the agent's own trouble
	flaps       uint8 // times it got worse since flapsAt
	flapsAt     int64
	recovering  bool // the run before this one failed, so the next burst may hold the tail of the outage

	silent bool  // no result for too long
	asleep bool  // and that began, or goes on, while the office is closed
	base   int64 // silence counts from here if that is later than the last run: the office opened
	queued int64 // when the judge looks at it again; entries of the queue with another time are stale

	shown State
	since int64
}

// why is a Reason without what the check knows anyway.
type why struct {
	code    ReasonCode
	outcome probes.Outcome
	slot    uint8
	row     string
	value   float64
	limit   float64
	text    string
}

// facts keeps what was measured until the verdict of the same run comes. The worst of several rows of a run counts.
func (c *check) facts(t int64, facts []Fact) {
	if c.kind == nil || t <= c.lastAt || t < c.pendingAt {
		return
	}
	if c.pending == nil {
		c.pending = make([]float64, len(c.kind.Fields))
	}
	if t != c.pendingAt {
		for i := range c.pending {
			c.pending[i] = math.NaN()
		}
		c.loss.Begin()
		c.pendingAt = t
	}
	for i := range facts {
		f := &facts[i]
		if math.IsNaN(f.Value) {
			continue
		}
		for slot, name := range c.kind.Fields {
			if name != f.Field || c.kind.Rows[slot] != f.Measurement {
				continue
			}
			switch slot {
			case c.kind.Den:
				c.loss.Sent(f.Row, f.Value)
			case c.kind.Num:
				c.loss.Lost(f.Row, f.Value)
			}
			have := c.pending[slot]
			if math.IsNaN(have) || c.kind.Below[slot] && f.Value < have || !c.kind.Below[slot] && f.Value > have {
				c.pending[slot] = f.Value
				if f.Row != "" && c.rows == nil {
					c.rows = make([]string, len(c.pending))
				}
				if c.rows != nil {
					c.rows[slot] = f.Row
				}
			}
			break
		}
	}
}

// judge weighs one run: the state that it alone means, why, and whether that has lasted already.
func (c *check) judge(r *rules.Compiled, o *Observation, t int64) (level State, reason why, lasted bool) {
	if o.Outcome != probes.OutcomeOK {
		c.loss.Clear() // what got lost while it was down is told by its being down
		c.recovering = true
		return c.most(), why{code: ReasonOutcome, outcome: o.Outcome, text: clip(o.Error)}, false
	}
	level = StateOK
	recovering := c.recovering
	c.recovering = false
	if c.kind == nil || c.pending == nil || c.pendingAt != t {
		return level, reason, false
	}
	for slot, l := range c.limit {
		v := c.pending[slot]
		if math.IsNaN(v) {
			continue
		}
		long, row := false, ""
		if c.rows != nil {
			row = c.rows[slot]
		}
		if slot == c.kind.Den {
			if recovering {
				continue
			}
			var ok bool
			if v, row, long, ok = c.loss.Judge(r.LossRuns, r.Worse.Runs); !ok {
				continue
			}
		}
		if l == nil {
			continue
		}
		trusted := v
		if c.kind.Timed[slot] {
			// Both ends of what was measured, the sending and the reading of the answer, may have waited for the
			// agent's own machine. What is past a limit only by that much says nothing about the line.
			trusted -= 2 * max(o.Late, 0).Seconds()
		}
		grade, limit := l.Grade(trusted)
		if s := [...]State{StateOK, StateDegraded, StateDown}[grade]; s > level {
			level, lasted = min(s, c.most()), long
			reason = why{code: ReasonThreshold, slot: uint8(slot), row: row, value: v, limit: limit}
		}
	}
	return level, reason, lasted
}

// most is the worst that a run can mean; see rules.OfEquipment.
func (c *check) most() State {
	if rules.OfEquipment(c.id.Kind) {
		return StateDegraded
	}
	return StateDown
}

// run takes one run's verdict. It is newer than every run before it.
func (c *check) run(r *rules.Compiled, o *Observation, t int64) {
	c.lastAt = t
	c.outcome = o.Outcome
	c.proof = o.Proof
	if o.Interval > 0 {
		c.interval = o.Interval
	}
	if o.Outcome.Waived() {
		// Left out for a good reason: what was known still stands, and nobody is silent.
		if c.state == StateNone {
			c.why = why{code: ReasonWaived, outcome: o.Outcome, text: clip(o.Error)}
		}
		return
	}
	if o.Outcome.Own() {
		// Neither good nor bad: the target was not asked. One such run is no news, several are the agent's trouble.
		c.own = inc(c.own)
		if int(c.own) >= r.Worse.Runs {
			c.enter(StateNoData, why{code: ReasonAgent, outcome: o.Outcome, text: clip(o.Error)})
			c.forgetStreaks()
		}
		return
	}
	c.own = 0
	level, reason, lasted := c.judge(r, o, t)

	for i, floor := range [2]State{StateDegraded, StateDown} {
		switch {
		case level < floor:
			c.worse[i] = 0
			continue
		case c.worse[i] == 0:
			c.worseAt[i] = t
		}
		c.worse[i] = inc(c.worse[i])
		if lasted {
			c.worse[i] = max(c.worse[i], uint8(min(r.Worse.Runs, math.MaxUint8)))
		}
	}
	reached := StateOK
	switch {
	case c.lasted(r, 1, t):
		reached = StateDown
	case c.lasted(r, 0, t):
		reached = StateDegraded
	}

	if c.state == StateNone || c.state == StateNoData {
		// There is nothing to defend: a good run counts at once, a bad one has to last as always.
		if level == StateOK || reached > StateOK {
			c.enter(min(level, max(reached, StateOK)), reason)
		} else if c.state == StateNone {
			c.why = reason // shown as the reason why there is no verdict yet
		}
		return
	}
	switch {
	case reached > c.state:
		if c.state == StateOK {
			c.flap(r, t)
		}
		c.enter(reached, reason)
	case level < c.state:
		if c.better == 0 {
			c.betterAt, c.betterWorst, c.betterWhy = t, StateNone, why{}
		}
		c.better = inc(c.better)
		if level >= c.betterWorst {
			c.betterWorst, c.betterWhy = level, reason
		}
		hold := r.Better.For
		if r.Flapping.Changes > 0 && int(c.flaps) >= r.Flapping.Changes {
			hold = max(hold, r.Flapping.Hold)
		}
		if int(c.better) >= r.Better.Runs && t-c.betterAt >= hold.Milliseconds() {
			if c.betterWorst == StateOK && hold > r.Better.For {
				c.flaps = 0
			}
			c.enter(c.betterWorst, c.betterWhy)
		}
	default:
		c.better = 0
		if level == c.state {
			c.why = reason
		}
	}
}

// lasted reports whether runs at the level of i have lasted long enough to be shown.
func (c *check) lasted(r *rules.Compiled, i int, t int64) bool {
	n := int(c.worse[i])
	return n >= r.Worse.Runs || n > 1 && r.Worse.For > 0 && t-c.worseAt[i] >= r.Worse.For.Milliseconds()
}

func (c *check) enter(s State, reason why) {
	c.state, c.why, c.better = s, reason, 0
}

func (c *check) flap(r *rules.Compiled, t int64) {
	if t-c.flapsAt > r.Flapping.Within.Milliseconds() {
		c.flaps, c.flapsAt = 0, t
	}
	c.flaps = inc(c.flaps)
}

func (c *check) forgetStreaks() {
	c.worse, c.better = [2]uint8{}, 0
	c.loss.Clear()
	c.recovering = false
}

// fallSilent forgets the state: what comes after the silence begins anew.
func (c *check) fallSilent(closed bool) {
	c.silent, c.asleep = true, closed
	c.state, c.why, c.own = StateNone, why{}, 0
	c.forgetStreaks()
}

// allowance is how long the check may go without a result.
func (c *check) allowance(r *rules.Compiled) int64 {
	interval := c.interval
	if interval <= 0 {
		interval = r.Silence.Interval
	}
	return int64(r.Silence.Intervals*float64(interval.Milliseconds())) + r.Silence.Grace.Milliseconds()
}

// look returns what is to be shown, results and what lies over them.
func (c *check) look(s *site) (State, Reason) {
	switch {
	case s.maint != nil:
		return StateMuted, Reason{Code: ReasonMaintenance, Check: c.id, Text: s.maint.Note}
	case c.silent && c.asleep:
		return StateMuted, Reason{Code: ReasonClosed, Check: c.id, Value: float64(c.lastAt) / 1000}
	case c.silent && c.agent.stoppedAt > 0 && c.lastAt < c.agent.stoppedAt+stopSlack.Milliseconds():
		return StateNoData, Reason{Code: ReasonStopped, Check: c.id, Value: float64(c.agent.stoppedAt) / 1000, Text: c.agent.stopped}
	case c.silent:
		return StateNoData, Reason{Code: ReasonSilent, Check: c.id, Value: float64(c.lastAt) / 1000}
	}
	state := c.state
	if state == StateNone {
		state = StateNoData
	}
	if state == StateOK {
		return state, Reason{}
	}
	reason := Reason{Code: c.why.code, Check: c.id, Outcome: c.why.outcome, Value: c.why.value, Limit: c.why.limit, Text: c.why.text}
	if c.why.code == ReasonThreshold {
		reason.Field, reason.Row = c.kind.Full[c.why.slot], c.why.row
	}
	return state, reason
}

func (c *check) status(s *site) CheckStatus {
	_, reason := c.look(s)
	out := CheckStatus{ID: c.id, State: c.shown, Since: stamp(c.since), Reason: reason, Interval: c.interval, Proof: c.proof, Outcome: c.outcome}
	if c.lastAt > 0 {
		out.LastSeen = stamp(c.lastAt)
	}
	return out
}

// maxText is how many bytes of a reason's text are kept.
const maxText = 200

// clip cuts text to maxText, at a character's border.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "..."
}

func inc(n uint8) uint8 {
	if n == math.MaxUint8 {
		return n
	}
	return n + 1
}

func stamp(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
