package health

import (
	"testing"
	"time"

	"communewatch/collector/health/rules"
	"communewatch/probes"
)

// ordered is what a call of a rehearsal leaves behind: facts, and no verdict.
func ordered(at time.Time, facts []Fact) Observation {
	o := Observation{Check: hub, Time: at, Facts: facts}
	o.Check.Layer = ""
	return o
}

// A rehearsal may overload the hub on purpose. What its calls lose speaks neither against the site then, nor is it put
// down to the call that the schedule makes next.
func TestFactsWithoutAVerdictAreNotJudged(t *testing.T) {
	awful := flows(map[string][2]float64{"up/video": {4000, 3000}, "down/video": {4000, 3000}, "up/audio": {100, 90}})
	slow := append(awful, Fact{"webrtc", "setup_seconds", 20, ""}, Fact{"webrtc", "mos_audio", 1, ""})
	for _, tc := range []struct {
		name  string
		facts []Fact // of the scheduled calls
	}{
		{"calls without numbers", nil},
		{"calls of their own numbers", flows(map[string][2]float64{"up/video": {4000, 0}})},
		{"calls too short to tell by themselves", flows(map[string][2]float64{"up/audio": {100, 0}})},
	} {
		j := New(DefaultRules(), t0)
		for i := range 6 {
			at := t0.Add(time.Duration(i) * quarter)
			tickTo(j, at)
			run := Observation{Check: hub, Time: at, Interval: quarter}
			j.Observe([]Observation{ordered(at, tc.facts), run})
			for step := range 4 { // of a rehearsal, until the next scheduled call
				at := at.Add(time.Duration(step+1) * 2 * time.Minute)
				tickTo(j, at)
				j.Observe([]Observation{ordered(at, slow)})
			}
			s, checks, _ := j.Site("s1")
			if len(checks) != 1 || checks[0].State != StateOK || s.State != StateOK {
				t.Errorf("%s, run %d: %+v", tc.name, i, checks)
			}
			if seen := checks[0].LastSeen; !seen.Equal(at) {
				t.Errorf("%s, run %d: last seen at %v, want %v, the scheduled call", tc.name, i, seen, at)
			}
		}
	}
}

// Left out for the rehearsal, the schedule's calls say that the check is alive; the rehearsal's alone don't.
func TestFactsWithoutAVerdictAreNoSignOfLife(t *testing.T) {
	j := New(DefaultRules(), t0)
	j.Observe([]Observation{{Check: hub, Time: t0, Interval: quarter}})
	for at := t0; at.Before(t0.Add(4 * time.Hour)); at = at.Add(5 * time.Minute) {
		tickTo(j, at)
		j.Observe([]Observation{ordered(at, flows(map[string][2]float64{"up/video": {4000, 0}}))})
	}
	if _, checks, _ := j.Site("s1"); checks[0].State != StateNoData || checks[0].Reason.Code != ReasonSilent {
		t.Errorf("the schedule has been silent for hours: %+v", checks[0])
	}
	at := t0.Add(4 * time.Hour)
	j.Observe([]Observation{{Check: hub, Time: at, Interval: quarter, Outcome: probes.OutcomeHeld}, {Check: hub, Time: at.Add(quarter), Interval: quarter}})
	if _, checks, _ := j.Site("s1"); checks[0].State != StateOK {
		t.Errorf("it goes on: %+v", checks[0])
	}
}

// A check that is known by ordered calls alone is none: nothing is said of it, whatever time passes.
func TestFactsAloneMakeNoCheck(t *testing.T) {
	r := DefaultRules()
	r.Maintenance = []rules.Maintenance{{From: t0.Add(10 * time.Hour), To: t0.Add(20 * time.Hour), Note: "power works"}}
	j := New(r, t0)
	for i := range 100 {
		at := t0.Add(time.Duration(i) * time.Hour)
		for _, c := range j.Tick(at) {
			if c.Layer != "" || c.Check != (CheckID{}) {
				t.Fatalf("change %+v", c)
			}
		}
		j.Observe([]Observation{ordered(at, flows(map[string][2]float64{"up/video": {4000, 3000}}))})
	}
	s, checks, _ := j.Site("s1")
	if len(checks) != 0 || s.State != StateNone {
		t.Errorf("site %v, checks %+v", s.State, checks)
	}
	h := Replay(r, []Observation{ordered(t0, flows(map[string][2]float64{"up/video": {4000, 3000}}))}, t0, t0.Add(time.Hour))
	if s := h.Sites["s1"]; s != nil && (len(s.Checks) > 0 || len(s.Site) > 1) {
		t.Errorf("the replay says %+v", s)
	}
}
