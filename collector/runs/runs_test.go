package runs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/audit"
	hub "communewatch/collector/orders"
	"communewatch/collector/people"
	"communewatch/collector/runs"
	"communewatch/probes"
	"communewatch/probes/orders"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// centre is a hub and a record without anything behind them.
type centre struct {
	mu     sync.Mutex
	there  []hub.Agent
	told   []orders.Order
	to     []string
	record []audit.Entry
	full   error // of the record
}

func (c *centre) tell(site, agent string, o orders.Order) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.there) == 0 {
		return hub.ErrNotConnected
	}
	c.told, c.to = append(c.told, o), append(c.to, site+"/"+agent)
	return o.Validate()
}

func (c *centre) connected() []hub.Agent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.there
}

func (c *centre) Record(_ context.Context, e audit.Entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full == nil {
		c.record = append(c.record, e)
	}
	return c.full
}

func newService(agents ...string) (*runs.Service, *centre) {
	c := &centre{}
	for _, a := range agents {
		site, agent, _ := strings.Cut(a, "/")
		c.there = append(c.there, hub.Agent{Site: site, Agent: agent})
	}
	return runs.New(runs.Options{Tell: c.tell, Connected: c.connected, Record: c}), c
}

func as(ctx context.Context, name string, role people.Role) context.Context {
	return people.With(ctx, people.Caller{Name: name, Role: role, Via: "session", Address: "10.0.0.9"})
}

func TestRunIsFollowedToItsEnd(t *testing.T) {
	s, c := newService("s1/pc", "s2/pc")
	ctx := as(t.Context(), "lan", people.RoleOperator)
	r, err := s.Start(ctx, "s1", "", []string{"hub", "portal"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Agent != "pc" || r.By != "lan" || r.Phase != "" || r.Over || len(r.Checks) != 2 || c.to[0] != "s1/pc" || c.told[0].ID != r.ID {
		t.Errorf("got %+v, told %v", r, c.told)
	}
	if e := c.record[0]; e.Who != "lan" || e.Act != "run.start" || e.What != "s1/pc" || e.Detail != "hub portal" || !e.OK || e.Via != "screen" || e.Address != "10.0.0.9" {
		t.Errorf("on record: %+v", e)
	}
	report := func(p orders.Phase, hub, portal orders.Ran) {
		hub.Check, portal.Check = "hub", "portal"
		rep := orders.Report{Order: r.ID, Phase: p, Ran: []orders.Ran{hub, portal}}
		go s.Hear("s1", "pc", rep)
	}
	next := func(before runs.Run) runs.Run {
		t.Helper()
		now, err := s.Next(t.Context(), r.ID, before)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	s.Hear("s2", "pc", orders.Report{Order: r.ID, Phase: orders.PhaseDone}) // another site's agent
	s.Hear("s1", "pc", orders.Report{Order: "r9", Phase: orders.PhaseDone})
	report(orders.PhaseStarted, orders.Ran{Phase: orders.PhaseStarted}, orders.Ran{Phase: orders.PhaseAccepted})
	now := next(r)
	if now.Phase != orders.PhaseStarted || now.Checks[0].Phase != orders.PhaseStarted || now.Over {
		t.Errorf("got %+v", now)
	}
	done := orders.Ran{Phase: orders.PhaseDone, Outcome: "timeout", Reason: "no answer", Took: orders.Seconds(time.Second), Path: probes.PathDedicated, Proof: probes.ProofProved}
	report(orders.PhaseStarted, done, orders.Ran{Phase: orders.PhaseStarted})
	now = next(now)
	if got := now.Checks[0]; got.Outcome != "timeout" || got.Took != time.Second || got.Path != probes.PathDedicated || got.Reason != "no answer" || now.Over {
		t.Errorf("got %+v", now)
	}
	report(orders.PhaseDone, done, orders.Ran{Phase: orders.PhaseRefused, Reason: "the agent has no such check"})
	now = next(now)
	if !now.Over || now.Checks[1].Phase != orders.PhaseRefused {
		t.Errorf("got %+v", now)
	}
	s.Hear("s1", "pc", orders.Report{Order: r.ID, Phase: orders.PhaseStarted})
	if again, err := s.Get(r.ID); err != nil || again.Phase != orders.PhaseDone {
		t.Errorf("after the end: %+v, %v", again, err)
	}
}

func TestRunsAreRefusedWithTheirReason(t *testing.T) {
	s, c := newService("s1/pc", "s2/a", "s2/b")
	operator := as(t.Context(), "lan", people.RoleOperator)
	many := make([]string, orders.MaxRuns+1)
	for i := range many {
		many[i] = fmt.Sprintf("c%d", i)
	}
	for name, step := range map[string]struct {
		ctx         context.Context
		site, agent string
		checks      []string
		want        error
	}{
		"a viewer":             {as(t.Context(), "xem", people.RoleViewer), "s1", "pc", []string{"hub"}, runs.ErrForbidden},
		"nobody":               {people.With(t.Context(), people.Caller{}), "s1", "pc", []string{"hub"}, runs.ErrForbidden},
		"not connected":        {operator, "s3", "", []string{"hub"}, runs.ErrNotConnected},
		"another agent":        {operator, "s1", "laptop", []string{"hub"}, runs.ErrNotConnected},
		"which of two":         {operator, "s2", "", []string{"hub"}, runs.ErrWhichAgent},
		"nothing":              {operator, "s1", "pc", nil, runs.ErrInvalid},
		"too many":             {operator, "s1", "pc", many, runs.ErrInvalid},
		"an address":           {operator, "s1", "pc", []string{"10.0.0.1"}, nil}, // is a name as good as any: the agent has no such check
		"a command":            {operator, "s1", "pc", []string{"hub; reboot"}, runs.ErrInvalid},
		"what could be markup": {operator, "s1", "pc", []string{"<script>"}, runs.ErrInvalid},
	} {
		if _, err := s.Start(step.ctx, step.site, step.agent, step.checks); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", name, err, step.want)
		}
	}
	if len(c.told) != 1 {
		t.Errorf("%d orders were told", len(c.told))
	}
	refused := 0
	for _, e := range c.record {
		if !e.OK {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d attempts of people who may not are on record, want 2", refused)
	}
	c.full = errors.New("disk full")
	if _, err := s.Start(operator, "s1", "pc", []string{"hub"}); err == nil || len(c.told) != 1 {
		t.Errorf("what can't be put on record is done: %v", err)
	}
	if _, err := s.Get("run-x"); !errors.Is(err, runs.ErrUnknown) {
		t.Error(err)
	}
}

func TestNobodyAsksWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newService("s1/pc")
		ask := func(name string) error {
			_, err := s.Start(as(t.Context(), name, people.RoleOperator), "s1", "pc", []string{"hub"})
			return err
		}
		for i := range 20 {
			if err := ask("lan"); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
		}
		if err := ask("lan"); !errors.Is(err, runs.ErrTooMany) {
			t.Errorf("once more: %v", err)
		}
		if len(c.record) != 20 {
			t.Errorf("%d entries of the record for 20 runs and a refusal", len(c.record))
		}
		if err := ask("minh"); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		time.Sleep(time.Minute)
		if err := ask("lan"); err != nil {
			t.Errorf("a minute later: %v", err)
		}
		if len(c.told) != 22 {
			t.Errorf("told %d", len(c.told))
		}
	})
}

func TestSilenceEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newService("s1/pc")
		ctx := as(t.Context(), "lan", people.RoleOperator)
		r, err := s.Start(ctx, "s1", "pc", []string{"hub"})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		now, err := s.Next(t.Context(), r.ID, r)
		if err != nil || !now.Over || !strings.Contains(now.Reason, "did not answer") || time.Since(begin) > 40*time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(begin), now, err)
		}
		r, err = s.Start(ctx, "s1", "pc", []string{"slow"})
		if err != nil {
			t.Fatal(err)
		}
		s.Hear("s1", "pc", orders.Report{Order: r.ID, Phase: orders.PhaseStarted, Ran: []orders.Ran{{Check: "slow", Phase: orders.PhaseStarted}}})
		now, err = s.Next(t.Context(), r.ID, r)
		if err != nil || now.Over {
			t.Errorf("%+v, %v", now, err)
		}
		if now, err = s.Next(t.Context(), r.ID, now); err != nil || !now.Over || !strings.Contains(now.Reason, "longer") {
			t.Errorf("%+v, %v", now, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		other, err := s.Start(ctx, "s1", "pc", []string{"hub"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(gone, other.ID, other); !errors.Is(err, context.Canceled) {
			t.Errorf("who went away: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err := s.Start(ctx, "s1", "pc", []string{"hub"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(r.ID); !errors.Is(err, runs.ErrUnknown) {
			t.Errorf("long after: %v", err)
		}
	})
}
