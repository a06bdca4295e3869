package orders_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	hub "communewatch/collector/orders"
	"communewatch/probes/orders"
)

// Of a run every check that is over is heard of, once, however often it is said.
func TestReportsOfARunAreHeardCheckByCheck(t *testing.T) {
	c := newCentre(t, hub.Options{})
	heard := make(chan int, 100)
	c.hub.OnReport(func(_, _ string, r orders.Report) { heard <- r.Rank() })
	ch := c.connect("s1", "pc", "")
	o := orders.Order{ID: "run-1", Kind: orders.KindRun, Expires: orders.Seconds(20 * time.Second), Run: &orders.Run{Checks: []string{"a", "b"}}}
	if err := c.hub.TellAgent("s1", "pc", o); err != nil {
		t.Fatal(err)
	}
	if got := ch.next(); got != "run-1" {
		t.Fatalf("told %q", got)
	}
	say := func(phase orders.Phase, over int) {
		t.Helper()
		r := orders.Report{Order: "run-1", Phase: phase, Ran: []orders.Ran{{Check: "a", Phase: orders.PhaseStarted}, {Check: "b", Phase: orders.PhaseAccepted}}}
		for i := range over {
			r.Ran[i] = orders.Ran{Check: r.Ran[i].Check, Phase: orders.PhaseDone, Outcome: "ok"}
		}
		if phase == orders.PhaseDone {
			r.Outcome = "ok"
		}
		text, _ := json.Marshal(r)
		if status, answer := c.post("s1", "pc", text); status != 204 {
			t.Errorf("%s with %d over: %d %s", phase, over, status, answer)
		}
	}
	say(orders.PhaseAccepted, 0)
	say(orders.PhaseStarted, 0)
	say(orders.PhaseStarted, 1)
	say(orders.PhaseStarted, 1)
	say(orders.PhaseStarted, 0)
	say(orders.PhaseDone, 2)
	say(orders.PhaseDone, 2)
	close(heard)
	last, n := 0, 0
	for rank := range heard {
		if n++; rank <= last {
			t.Errorf("heard %d after %d", rank, last)
		}
		last = rank
	}
	if n != 4 {
		t.Errorf("heard %d reports, want 4", n)
	}
}

func TestAgentsAreToldToLook(t *testing.T) {
	c := newCentre(t, hub.Options{})
	one, other := c.connect("s1", "a", ""), c.connect("s1", "b", "")
	if err := c.hub.Look("s1", "", orders.LookWork); err != nil {
		t.Fatal(err)
	}
	for _, ch := range []channel{one, other} {
		if id := ch.next(); !strings.HasPrefix(id, "look-work-") {
			t.Errorf("told %q", id)
		}
	}
	if err := c.hub.Look("s1", "b", orders.LookTrust); err != nil || !strings.HasPrefix(other.next(), "look-trust-") {
		t.Errorf("one of them: %v", err)
	}
	if err := c.hub.Look("s2", "", orders.LookWork); !errors.Is(err, hub.ErrNotConnected) {
		t.Errorf("nobody there: %v", err)
	}
	if err := c.hub.Look("s1", "a", "password"); err == nil {
		t.Error("told to look for something that is nothing")
	}
}
