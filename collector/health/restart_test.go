package health

import (
	"math/rand/v2"
	"testing"
	"time"

	"communewatch/probes"
)

func TestRestartDoesNotCallTheProvinceSilent(t *testing.T) {
	var stored []Observation
	for i := range 20 {
		at := t0.Add(time.Duration(i) * every)
		stored = append(stored, result(ping, at, '.')...)
		dead := ping
		dead.Target = "dead" // was silent long before the collector stopped
		if i < 3 {
			stored = append(stored, result(dead, at, '.')...)
		}
		down := ping
		down.Target = "down"
		stored = append(stored, result(down, at, 'x')...)
	}
	rand.Shuffle(len(stored), func(a, b int) { stored[a], stored[b] = stored[b], stored[a] })
	start := t0.Add(time.Hour) // away for 50 minutes
	j := New(DefaultRules(), start)
	j.SetSites([]string{"s0", "s1"})
	gone := ping
	gone.Site = "s0" // its agent died while the collector was still there
	j.Restore(result(gone, t0, '.'))
	j.Restore(stored)
	for _, tr := range j.Tick(start.Add(time.Second)) {
		if tr.Check.Target == "down" {
			t.Errorf("told again what was told in the life before: %+v", tr)
		}
	}
	if s, _, _ := j.Site("s0"); s.State != StateNoData || !s.Since.Equal(t0.Add(95*time.Second)) {
		t.Errorf("site that was silent before: %v since %v", s.State, s.Since)
	}
	states := func() string {
		_, checks, _ := j.Site("s1")
		var out []byte
		for _, c := range checks {
			out = append(out, letters[c.State])
		}
		return string(out)
	}
	if got := states(); got != "nDo" { // dead, down, gw
		t.Errorf("after the restart: %q", got)
	}
	tickTo(j, start.Add(94*time.Second))
	if got := states(); got != "nDo" {
		t.Errorf("before the grace is over: %q", got)
	}
	tickTo(j, start.Add(96*time.Second))
	if got := states(); got != "nnn" {
		t.Errorf("nothing came for 2.5 intervals and the grace: %q", got)
	}
}

// A machine that stalls, or a virtual one that is paused, makes nobody else silent.
func TestStallDoesNotCallTheProvinceSilent(t *testing.T) {
	j := New(DefaultRules(), t0)
	silent := ping
	silent.Target = "silent" // since long before the stall
	j.Observe(result(silent, t0, '.'))
	for i := range 10 {
		j.Observe(result(ping, t0.Add(time.Duration(i)*every), '.'))
		tickTo(j, t0.Add(time.Duration(i)*every+time.Second))
	}
	states := func() string {
		_, checks, _ := j.Site("s1")
		return string([]byte{letters[checks[0].State], letters[checks[1].State]}) // gw, silent
	}
	if got := states(); got != "on" {
		t.Fatalf("before the stall: %q", got)
	}
	woken := t0.Add(9*every + 10*time.Minute)
	for _, tr := range j.Tick(woken) {
		t.Errorf("the judge was away, and says %v -> %v", tr.From, tr.To)
	}
	if got := states(); got != "on" {
		t.Errorf("after the stall: %q", got)
	}
	if tickTo(j, woken.Add(94*time.Second)); states() != "on" {
		t.Errorf("before the grace is over: %q", states())
	}
	if tickTo(j, woken.Add(96*time.Second)); states() != "nn" {
		t.Errorf("still nothing after 2.5 intervals and the grace: %q", states())
	}
}

// A fault of three days ago did not begin with the half hour of results that a restart plays.
func TestSinceSurvivesARestart(t *testing.T) {
	var stored []Observation
	for i := range 20 {
		stored = append(stored, result(ping, t0.Add(time.Duration(i)*every), 'x')...)
	}
	j := New(DefaultRules(), t0.Add(20*every))
	j.Restore(stored)
	days := t0.Add(-72 * time.Hour)
	check := CheckID{Agent: ping.Agent, Target: ping.Target}
	j.Remember(Transition{Site: "s1", To: StateDown, At: days})
	j.Remember(Transition{Site: "s1", Layer: probes.LayerLAN, To: StateDown, At: days})
	j.Remember(Transition{Site: "s1", Layer: probes.LayerLAN, Check: check, To: StateOK, At: days}) // is another by now
	j.Remember(Transition{Site: "gone", To: StateDown, At: days})
	s, checks, _ := j.Site("s1")
	if s.State != StateDown || !s.Since.Equal(days) || !s.Layers[0].Since.Equal(days) {
		t.Errorf("site %v since %v, layer since %v", s.State, s.Since, s.Layers[0].Since)
	}
	if checks[0].Since.Before(t0) {
		t.Errorf("the check is down since %v, when it was announced ok", checks[0].Since)
	}
	for _, tr := range j.Tick(t0.Add(20*every + time.Second)) {
		t.Errorf("announced again: %+v", tr)
	}
}

// The PC of a site is replaced by one with another name: the old one's checks are seen silent for a week, then no more.
func TestReplacedAgentIsForgottenAfterAWeek(t *testing.T) {
	j := New(DefaultRules(), t0)
	j.Observe(result(CheckID{Site: "s1", Agent: "old", Target: "a", Kind: probes.KindTCP, Path: probes.PathLAN, Layer: probes.LayerLAN}, t0, '.'))
	j.Observe(result(CheckID{Site: "s1", Agent: "old", Target: "b", Kind: probes.KindTCP, Path: probes.PathLAN, Layer: probes.LayerLAN}, t0, '.'))
	for hour := range 8 * 24 {
		at := t0.Add(time.Duration(hour) * time.Hour)
		j.Observe([]Observation{{Check: ping, Time: at, Interval: time.Hour}})
		tickTo(j, at.Add(time.Second))
		s, checks, _ := j.Site("s1")
		if hour == 6*24 && (s.State != StateNoData || len(checks) != 3) {
			t.Errorf("after six days: %v, %d checks", s.State, len(checks))
		}
		if hour == 8*24-1 && (s.State != StateOK || len(checks) != 1 || len(s.Agents) != 1 || s.Agents[0].Name != "pc") {
			t.Errorf("after eight days: %v, %d checks, agents %+v", s.State, len(checks), s.Agents)
		}
	}
}

// When everybody was silent before the collector went away, the newest result does not say when that was.
func TestRestartAfterATotalOutage(t *testing.T) {
	start := t0.Add(time.Hour)
	j := New(DefaultRules(), start)
	j.Away(start.Add(-time.Minute)) // up for an hour after the last result
	j.Restore(result(ping, t0, '.'))
	j.Tick(start.Add(time.Second))
	if s, _, _ := j.Site("s1"); s.State != StateNoData || !s.Since.Equal(t0.Add(95*time.Second)) {
		t.Errorf("%v since %v", s.State, s.Since)
	}
}
