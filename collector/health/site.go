package health

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"time"

	"communewatch/collector/health/rules"
	"communewatch/probes"
)

// site is one site's checks and what follows from them.
type site struct {
	id     string
	listed bool // named by SetSites
	cal    *rules.Calendar
	closed bool
	maint  *rules.Maintenance

	checks []*check // by compareChecks
	agents []*agent // by name
	layers [4]LayerStatus
	state  State
	since  int64
	reason Reason

	lastAt    int64 // newest run
	published int64 // newest run as the status says it; see refresh
	version   uint64
}

// agent is what one agent says about itself.
type agent struct {
	name    string
	version string
	seenAt  int64 // newest run or report
	selfAt  int64
	facts   map[string]float64
	// stoppedAt is when it said that it stops, and stopped why; 0 while it runs, as far as it has said.
	stoppedAt int64
	stopped   string
	late      uint16 // its newest runs, one bit each, the newest lowest: set where it was late by lateLimit
}

// An agent is overloaded when it was late by lateLimit in overloadRuns of its newest overloadOf runs, of whatever
// check. That is twice the smallest limit on a round trip: judging then forgives it nearly everything.
const (
	lateLimit    = 100 * time.Millisecond
	overloadRuns = 5
	overloadOf   = 10
)

func (a *agent) overloaded() bool { return bits.OnesCount16(a.late) >= overloadRuns }

// ran takes in how late the agent was during a run, and reports whether that changed its being overloaded.
func (a *agent) ran(late time.Duration) (changed bool) {
	was := a.overloaded()
	a.late = a.late << 1 & (1<<overloadOf - 1)
	if late > lateLimit {
		a.late |= 1
	}
	return a.overloaded() != was
}

// refresh is how far a site's status may lag behind its newest run when nothing else changes: a site with twenty
// checks would otherwise be a changed site every second.
const refresh = 15 * time.Second

var layers = probes.Layers()

// compareChecks orders the checks of a site by target, then by what tells namesakes apart. It does so without cmp.Or,
// which makes all four comparisons whatever the first says: this runs several times per observation.
func compareChecks(a, b CheckID) int {
	switch {
	case a.Target != b.Target:
		return cmp.Compare(a.Target, b.Target)
	case a.Agent != b.Agent:
		return cmp.Compare(a.Agent, b.Agent)
	case a.Kind != b.Kind:
		return cmp.Compare(a.Kind, b.Kind)
	}
	return cmp.Compare(a.Path, b.Path)
}

// sameCheck compares all but the layer, which an observation of facts does not know.
func sameCheck(a, b CheckID) bool {
	return a.Target == b.Target && a.Agent == b.Agent && a.Kind == b.Kind && a.Path == b.Path
}

func (s *site) find(id CheckID) (int, bool) {
	return slices.BinarySearchFunc(s.checks, id, func(c *check, id CheckID) int { return compareChecks(c.id, id) })
}

func (s *site) agent(name string) *agent {
	i, ok := slices.BinarySearchFunc(s.agents, name, func(a *agent, name string) int { return cmp.Compare(a.name, name) })
	if !ok {
		s.agents = slices.Insert(s.agents, i, &agent{name: name})
	}
	return s.agents[i]
}

// heard is when any agent of the site was heard of last.
func (s *site) heard() (at int64) {
	for _, a := range s.agents {
		at = max(at, a.seenAt)
	}
	return at
}

// forget drops a check, and its agent if that was the last one.
func (s *site) forget(c *check) {
	s.checks = slices.DeleteFunc(s.checks, func(o *check) bool { return o == c })
	if !slices.ContainsFunc(s.checks, func(o *check) bool { return o.agent == c.agent }) {
		s.agents = slices.DeleteFunc(s.agents, func(a *agent) bool { return a == c.agent && a.seenAt < s.heard() })
	}
}

// settle works out what is to be shown after a change, and records every change of state as of at.
func (s *shard) settle(site *site, at int64, only *check) {
	changed := false
	for _, c := range site.checks {
		if only != nil && c != only || c.id.Layer == "" { // without a verdict yet: nothing to show, and nowhere
			continue
		}
		if state, reason := c.look(site); state != c.shown {
			c.since = max(at, c.since)
			s.transitions = append(s.transitions, Transition{Site: site.id, Layer: c.id.Layer, Check: c.id,
				From: c.shown, To: state, At: stamp(c.since), Reason: reason})
			c.shown = state
		}
	}
	for i, name := range layers {
		now := site.layer(name)
		was := &site.layers[i]
		now.Since = was.Since
		if now.State != was.State {
			now.Since = later(at, was.Since)
			s.transitions = append(s.transitions, Transition{Site: site.id, Layer: name,
				From: was.State, To: now.State, At: now.Since, Reason: now.Reason})
		}
		if now != *was {
			*was, changed = now, true
		}
	}
	state, reason := site.worst()
	if state != site.state {
		site.since = max(at, site.since)
		s.transitions = append(s.transitions, Transition{Site: site.id, From: site.state, To: state, At: stamp(site.since), Reason: reason})
	}
	if state != site.state || reason != site.reason {
		site.state, site.reason, changed = state, reason, true
	}
	if changed {
		s.bump(site)
	}
}

func later(at int64, was time.Time) time.Time {
	if t := stamp(at); t.After(was) {
		return t
	}
	return was
}

// layer derives a layer's state from its checks: down when all that are judged are down, degraded when some are not
// ok, no data when more than half of those that should report are silent. So one forgotten check does not hide a
// layer, and one that still reports does not speak for many that do not.
//
// Checks of equipment are no witnesses of the line (rules.OfEquipment): beside others they only make what would be ok
// degraded. Where a layer has nothing else, they are what is known of it.
func (s *site) layer(name probes.Layer) LayerStatus {
	var line, equipment tally
	for _, c := range s.checks {
		switch {
		case c.id.Layer != name:
		case rules.OfEquipment(c.id.Kind):
			equipment.add(c)
		default:
			line.add(c)
		}
	}
	state, from := line.verdict()
	switch c := equipment.first[StateDegraded]; {
	case state == StateNone:
		state, from = equipment.verdict()
	case state == StateOK && c != nil:
		state, from = StateDegraded, c
	}
	if from == nil {
		return LayerStatus{State: state}
	}
	_, reason := from.look(s)
	return LayerStatus{State: state, Reason: reason}
}

// tally counts checks by what they show, and keeps the one that has shown it longest.
type tally struct {
	n     [StateDown + 1]int
	first [StateDown + 1]*check
}

func (t *tally) add(c *check) {
	t.n[c.shown]++
	if f := t.first[c.shown]; f == nil || c.since < f.since {
		t.first[c.shown] = c
	}
}

// verdict is the state that the checks amount to, and the check that decides it; nil where all is well or nothing known.
func (t *tally) verdict() (State, *check) {
	judged := t.n[StateOK] + t.n[StateDegraded] + t.n[StateDown]
	switch {
	case t.n[StateNoData] > judged:
		return StateNoData, t.first[StateNoData]
	case t.n[StateDown] > 0 && t.n[StateDown] == judged:
		return StateDown, t.first[StateDown]
	case t.n[StateDown] > 0:
		return StateDegraded, t.first[StateDown]
	case t.n[StateDegraded] > 0:
		return StateDegraded, t.first[StateDegraded]
	case t.n[StateOK] > 0:
		return StateOK, nil
	case t.n[StateNoData] > 0:
		return StateNoData, t.first[StateNoData]
	case t.n[StateMuted] > 0:
		return StateMuted, t.first[StateMuted]
	}
	return StateNone, nil
}

// worst derives the site's state: that of its worst layer. The order of the states is the order of worse.
func (s *site) worst() (State, Reason) {
	var worst *LayerStatus
	for i := range s.layers {
		if l := &s.layers[i]; worst == nil || l.State > worst.State {
			worst = l
		}
	}
	if worst.State != StateNone {
		return worst.State, worst.Reason
	}
	if s.maint != nil {
		return StateMuted, Reason{Code: ReasonMaintenance, Text: s.maint.Note}
	}
	if s.listed {
		return StateNoData, Reason{Code: ReasonNeverSeen}
	}
	return StateNone, Reason{}
}

func (s *site) status() SiteStatus {
	out := SiteStatus{Site: s.id, State: s.state, Since: stamp(s.since), Reason: s.reason, Layers: s.layers,
		LastSeen: stamp(s.published), Version: s.version, Agents: make([]AgentStatus, len(s.agents))}
	for i, a := range s.agents {
		out.Agents[i] = AgentStatus{Name: a.name, LastSeen: stamp(a.selfAt), Version: a.version, Facts: a.facts}
		for _, c := range s.checks {
			if c.agent != a || c.silent {
				continue
			}
			if c.state == StateNoData {
				_, reason := c.look(&site{}) // its own words, also during maintenance
				out.Agents[i].Trouble = reason
				break
			}
			if a.overloaded() {
				out.Agents[i].Trouble = Reason{Code: ReasonOverloaded, Check: CheckID{Site: s.id, Agent: a.name}}
			}
		}
	}
	return out
}

// ObserveAgent takes an agent's report about itself; facts are the number fields of measurement "agent".
func (j *Judge) ObserveAgent(siteID, name string, at time.Time, version string, facts map[string]float64) {
	sh := j.shard(siteID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	site := sh.site(j, siteID, at.UnixMilli())
	a := site.agent(name)
	t := at.UnixMilli()
	if t <= a.selfAt {
		return
	}
	a.selfAt, a.seenAt = t, max(a.seenAt, t)
	a.version, a.facts = version, maps.Clone(facts)
	if t-site.published >= refresh.Milliseconds() {
		site.published = max(site.published, site.lastAt)
		sh.bump(site)
	}
}

// stopSlack is how long after an agent's last word a run may seem to have begun: clocks are compared to seconds.
const stopSlack = 30 * time.Second

// ObserveStop says that an agent told at a time that it stops, and why; the zero time says that it runs. It changes no
// state, only the reason of silence that follows. It is of no use for an agent of which nothing is known yet: what was
// told before this judge was made is to be told after Restore.
func (j *Judge) ObserveStop(siteID, name string, at time.Time, reason string) {
	sh := j.shard(siteID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	site := sh.sites[siteID]
	if site == nil {
		return
	}
	i := slices.IndexFunc(site.agents, func(a *agent) bool { return a.name == name })
	if i < 0 {
		return
	}
	a := site.agents[i]
	a.stoppedAt, a.stopped = 0, ""
	if !at.IsZero() {
		a.stoppedAt, a.stopped = at.UnixMilli(), clip(reason)
	}
	sh.settle(site, sh.now, nil)
}
