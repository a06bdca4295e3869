package health

import (
	"testing"
	"time"
)

// reasons is what a site shows, and why: of the site, its LAN and the check.
func reasons(t *testing.T, j *Judge) (State, ReasonCode, string) {
	t.Helper()
	site, checks, ok := j.Site("s1")
	if !ok || len(checks) != 1 {
		t.Fatal(site, checks, ok)
	}
	if site.Reason != checks[0].Reason || site.Layers[0].Reason != checks[0].Reason {
		t.Errorf("site %+v, layer %+v, check %+v", site.Reason, site.Layers[0].Reason, checks[0].Reason)
	}
	return site.State, checks[0].Reason.Code, checks[0].Reason.Text
}

// An agent that said it stops is told from one that fell silent, whether it said so before or after the silence was seen.
func TestSwitchedOffIsToldFromSilent(t *testing.T) {
	for _, late := range []bool{false, true} {
		j := New(DefaultRules(), t0)
		j.Observe(result(ping, t0, '.'))
		stop := t0.Add(20 * time.Second)
		if !late {
			j.ObserveStop("s1", "pc", stop, "shutdown")
			if state, code, _ := reasons(t, j); state != StateOK || code != ReasonNone {
				t.Error("the last word alone changed", state, code)
			}
		}
		tickTo(j, t0.Add(5*time.Minute))
		if late {
			if state, code, _ := reasons(t, j); state != StateNoData || code != ReasonSilent {
				t.Error("before it was known:", state, code)
			}
			j.ObserveStop("s1", "pc", stop, "shutdown")
		}
		if state, code, text := reasons(t, j); state != StateNoData || code != ReasonStopped || text != "shutdown" {
			t.Errorf("late %t: %v %v %q", late, state, code, text)
		}
		if _, checks, _ := j.Site("s1"); checks[0].Reason.Value != float64(stop.Unix()) {
			t.Error("stopped at", checks[0].Reason.Value)
		}
		j.ObserveStop("s1", "pc", time.Time{}, "")
		if _, code, _ := reasons(t, j); code != ReasonSilent {
			t.Error("it runs again, and nothing comes:", code)
		}
	}
}

func TestALastWordIsOverOnceResultsCome(t *testing.T) {
	j := New(DefaultRules(), t0)
	j.Observe(result(ping, t0, '.'))
	j.ObserveStop("s1", "pc", t0.Add(time.Second), "service")
	j.ObserveStop("s1", "another", t0.Add(time.Second), "service")
	j.ObserveStop("s9", "pc", t0.Add(time.Second), "service")
	tickTo(j, t0.Add(10*time.Minute))
	j.Observe(result(ping, t0.Add(10*time.Minute), '.')) // an agent that does not say that it started
	tickTo(j, t0.Add(20*time.Minute))
	if state, code, _ := reasons(t, j); state != StateNoData || code != ReasonSilent {
		t.Error(state, code)
	}
	site, _, _ := j.Site("s1")
	if len(site.Agents) != 1 {
		t.Error("who has measured nothing is listed:", site.Agents)
	}
	if _, _, ok := j.Site("s9"); ok {
		t.Error("a site came of a last word")
	}
}
