// Package readiness says how far a room's conference endpoint is known to be ready for a meeting: a ladder of five
// rungs, each of which promises more than the one below.
//
//	0  it answers at all: pings, or anything above
//	1  its signalling port takes connections, or its web page loads
//	2  it answers SIP, or takes H.323 signalling connections
//	3  it says what it is, and that it is registered (SNMP)
//	4  it said how the last call was, and that was well (SNMP)
//
// A room that only answers pings must never look like one that has been in a call. So the rung reached is told together
// with the highest one that the site's checks could show at all, and with what stops the next.
//
// Everything here is a function of what the judge and the store say; nothing is asked of anybody.
package readiness

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"communewatch/collector/health"
	"communewatch/probes"
)

// Level is a rung of the ladder.
type Level int

// The rungs.
const (
	None         Level = iota - 1 // not even the lowest
	Ping                          // answers at all
	Port                          // a port or the web page answers
	Signalling                    // SIP answers, or a connection to H.323's signalling port is taken, which is no call
	Registration                  // says what it is, and is registered
	Quality                       // a call of the last day went well
)

// Levels is how many rungs there are.
const Levels = int(Quality) + 1

// State is what is known of one rung.
type State string

// The states of a rung.
const (
	StateReached   State = "reached"
	StateFailed    State = "failed"
	StateUnknown   State = "unknown"   // checked, but nothing fresh is known
	StateUnchecked State = "unchecked" // no check of the site looks at it
)

// Code says why a rung is not reached.
type Code string

// The codes.
const (
	CodeNone           Code = ""
	CodeUnchecked      Code = "unchecked"       // nothing looks at it
	CodeStale          Code = "stale"           // the check tells nothing now: silent, muted or the agent's own trouble
	CodeNoAnswer       Code = "no_answer"       // the check says no: Outcome
	CodeUnregistered   Code = "unregistered"    // neither gatekeeper nor registrar has it
	CodeNoRegistration Code = "no_registration" // registration is switched off in its settings
	CodeNotTold        Code = "not_told"        // it answers SNMP, but not this question
	CodeNoCall         Code = "no_call"         // no call in the last day
	CodeBadCall        Code = "bad_call"        // the newest call lost Loss of its packets
)

// CallAge is how long the statistics of a call speak for a room: meetings that matter are rehearsed the day before.
const CallAge = 24 * time.Hour

// BadLoss is the share of packets above which a call was not well: the upper band of conference rooms.
const BadLoss = 0.05

// Endpoint is one room's ladder.
type Endpoint struct {
	Name  string
	Known bool // false: nothing fresh is known of any rung, and Level means nothing
	// Level is the highest rung reached. A rung that a check denies, or of which it tells nothing now, ends the ladder
	// there, whatever is above; only pings and ports may be closed to who answers SIP, H.323 or SNMP all the same. A
	// rung that nothing looks at does not end it.
	Level    Level
	Possible Level     // the highest rung that a check of the site looks at; None if none does
	At       time.Time // when the run began that Level rests on; zero if Level is None
	Stop     Rung      // what stops the ladder: of CodeNone when the highest rung is reached
	Rungs    [Levels]Rung
}

// Rung is one rung with its evidence.
type Rung struct {
	Level   Level
	State   State
	Code    Code
	Target  string         // of the check that says so, or that should
	Kind    probes.Kind    // of it
	At      time.Time      // when the run began that says so
	Outcome probes.Outcome // with CodeNoAnswer
	Loss    float64        // with CodeBadCall, 0 to 1
}

// Facts is what the newest rows of a check say. The zero value says nothing.
type Facts struct {
	At time.Time // of the newest row; zero: none

	Code       int    // sip: status code of a final response; 0: none came
	Connected  bool   // sip and h323: the signalling port took a connection
	Signalling bool   // h323: the signalling port was looked at, whether or not it took a connection
	Gatekeeper string // h323: "confirmed" and so on; of another machine than the endpoint

	Endpoint  bool   // snmp: it is a conference endpoint (measurement snmp_endpoint)
	H323, SIP string // registered, unregistered, failed, disabled; "": not told
	// The newest statistics of a call, from At CallAt; zero: none.
	CallAt time.Time
	Loss   float64 // worse direction
}

// Of makes the ladders of a site's endpoints, by name. Checks of an endpoint are those of layer conference over the
// office's own network, and those of devices that tell of themselves that they are one; what is reached over a line is
// a service somewhere else, and so is a gatekeeper. Checks of one endpoint share its name, as Name finds it.
func Of(checks []health.CheckStatus, facts map[health.CheckID]Facts, now time.Time) []Endpoint {
	rooms := map[string][]evidence{}
	var names []string
	for i := range checks {
		c := &checks[i]
		e := evidence{c, facts[bare(c.ID)]}
		if c.ID.Path != probes.PathLAN || c.ID.Layer != probes.LayerConference && !e.facts.Endpoint || !counts(c.ID.Kind) || e.gatekeepers() {
			continue
		}
		name := Name(c.ID.Target)
		if rooms[name] == nil {
			names = append(names, name)
		}
		rooms[name] = append(rooms[name], e)
	}
	slices.Sort(names)
	out := make([]Endpoint, 0, len(names))
	for _, name := range names {
		out = append(out, ladder(name, rooms[name], now))
	}
	return out
}

// bare is a check as the store's facts know it: without a layer.
func bare(id health.CheckID) health.CheckID {
	id.Layer = ""
	return id
}

// asks are the words of names that say how something is asked, the longer before those that they end with.
var asks = []string{"ping", "icmp", "call-port", "port", "tcp", "web", "https", "http", "sips", "sip", "options", "h323", "snmp"}

// Name is the endpoint that a check is of, by the check's name without one word at its end and one at its beginning that
// only say how it is asked: "room-ping", "room-sip", "snmp-room" and "room" are of "room".
func Name(target string) string {
	for _, s := range asks {
		if name, ok := strings.CutSuffix(target, "-"+s); ok && name != "" {
			target = name
			break
		}
	}
	for _, s := range asks {
		if name, ok := strings.CutPrefix(target, s+"-"); ok && name != "" {
			return name
		}
	}
	return target
}

// gatekeepers reports whether a check is answered by a gatekeeper alone: that is another machine than the endpoint.
func (e *evidence) gatekeepers() bool {
	return e.ID.Kind == probes.KindH323 && e.facts.Gatekeeper != "" && !e.facts.Signalling
}

// evidence is one check with what its newest rows say.
type evidence struct {
	*health.CheckStatus
	facts Facts
}

func counts(k probes.Kind) bool {
	switch k {
	case probes.KindICMP, probes.KindTCP, probes.KindHTTP, probes.KindSIP, probes.KindH323, probes.KindSNMP:
		return true
	}
	return false
}

// answers says whether a check's target answers, by its state, which has lasted, not by its newest run alone.
func (e *evidence) answers() Rung {
	r := Rung{State: StateUnknown, Code: CodeStale, Target: e.ID.Target, Kind: e.ID.Kind, At: e.LastSeen, Outcome: e.Outcome}
	switch bad := e.Reason.Code == health.ReasonOutcome; {
	case e.State == health.StateOK, e.State == health.StateDegraded && !bad:
		r.State, r.Code = StateReached, CodeNone
	case e.State == health.StateDegraded, e.State == health.StateDown && bad:
		r.State, r.Code, r.Outcome = StateFailed, CodeNoAnswer, e.Reason.Outcome
	case e.State == health.StateDown: // by a limit: it answers, far too badly
		r.State, r.Code = StateFailed, CodeNoAnswer
	}
	return r
}

// fresh reports whether facts are of the check's present: two missed runs are borne.
func (e *evidence) fresh(at time.Time) bool {
	interval := e.Interval
	if interval <= 0 {
		interval = time.Minute
	}
	return !at.IsZero() && e.LastSeen.Sub(at) <= interval*5/2
}

// rungs is what a check says of each rung that it looks at.
func (e *evidence) rungs(now time.Time) []Rung {
	base := e.answers()
	on := func(l Level, s State, c Code) Rung {
		r := base
		r.Level, r.State, r.Code = l, s, c
		return r
	}
	same := func(l Level) Rung { return on(l, base.State, base.Code) }
	answered := base.State == StateReached
	var out []Rung
	if answered || e.ID.Kind == probes.KindICMP {
		out = append(out, same(Ping))
	}
	switch e.ID.Kind {
	case probes.KindTCP, probes.KindHTTP:
		out = append(out, same(Port))
	case probes.KindSIP, probes.KindH323:
		// That a run ended well says less than its row, which may not be there (any more).
		told, spoke := e.fresh(e.facts.At), e.facts.Code > 0
		if e.ID.Kind == probes.KindH323 {
			spoke = e.facts.Connected // which is all that is looked at: no call is made
		}
		switch {
		case answered && told && spoke:
			out = append(out, same(Port), same(Signalling))
		case e.ID.Kind == probes.KindH323 && base.State == StateFailed && told && spoke: // a gatekeeper did not answer, which is another machine
			out = append(out, on(Ping, StateReached, CodeNone), on(Port, StateReached, CodeNone), on(Signalling, StateReached, CodeNone))
		case answered:
			out = append(out, on(Signalling, StateUnknown, CodeStale))
		case base.State == StateFailed && told && e.facts.Connected: // somebody is there who does not speak
			out = append(out, on(Ping, StateReached, CodeNone), on(Port, StateReached, CodeNone), same(Signalling))
		default:
			out = append(out, same(Signalling))
		}
	case probes.KindSNMP:
		out = append(out, e.registration(base), e.quality(base, now))
	}
	return out
}

func (e *evidence) registration(r Rung) Rung {
	r.Level = Registration
	if r.State != StateReached {
		return r
	}
	f := &e.facts
	has := func(s string) bool { return f.H323 == s || f.SIP == s }
	switch {
	case !e.fresh(f.At) || f.H323 == "" && f.SIP == "":
		r.State, r.Code = StateUnknown, CodeNotTold
	case has("registered"):
	case has("unregistered"), has("failed"):
		r.State, r.Code = StateFailed, CodeUnregistered
	default:
		r.State, r.Code = StateFailed, CodeNoRegistration
	}
	if !f.At.IsZero() {
		r.At = f.At
	}
	return r
}

func (e *evidence) quality(r Rung, now time.Time) Rung {
	r.Level = Quality
	if r.State != StateReached {
		return r
	}
	f := &e.facts
	if !f.CallAt.IsZero() {
		r.At = f.CallAt
	}
	switch {
	case f.CallAt.IsZero(), now.Sub(f.CallAt) > CallAge:
		r.State, r.Code = StateUnknown, CodeNoCall
	case f.Loss > BadLoss:
		r.State, r.Code, r.Loss = StateFailed, CodeBadCall, f.Loss
	}
	return r
}

// rank orders what two checks say of one rung: one that answers is enough, as endpoints speak several protocols.
var rank = map[State]int{StateUnchecked: 0, StateUnknown: 1, StateFailed: 2, StateReached: 3}

func ladder(name string, checks []evidence, now time.Time) Endpoint {
	out := Endpoint{Name: name, Level: None, Possible: None}
	for l := range out.Rungs {
		out.Rungs[l] = Rung{Level: Level(l), State: StateUnchecked, Code: CodeUnchecked}
	}
	slices.SortFunc(checks, func(a, b evidence) int {
		return cmp.Or(cmp.Compare(a.ID.Target, b.ID.Target), cmp.Compare(a.ID.Kind, b.ID.Kind), cmp.Compare(a.ID.Agent, b.ID.Agent))
	})
	for i := range checks {
		for _, r := range checks[i].rungs(now) {
			out.Possible = max(out.Possible, r.Level)
			out.Known = out.Known || r.State == StateReached || r.State == StateFailed
			have := &out.Rungs[r.Level]
			if rank[r.State] > rank[have.State] || r.State == have.State && r.At.After(have.At) {
				*have = r
			}
		}
	}
	for _, r := range out.Rungs {
		if r.State == StateReached {
			out.Level, out.At = r.Level, r.At
		} else if r.State != StateUnchecked && r.Level > Port {
			break
		}
	}
	for _, r := range out.Rungs[out.Level+1:] {
		if out.Stop = r; r.State != StateUnchecked || r.Level > out.Possible {
			break
		}
	}
	return out
}
