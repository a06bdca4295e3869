package agent

import (
	"context"
	"fmt"

	"communewatch/agent/checks"
	"communewatch/agent/orders"
	"communewatch/agent/schedule"
	said "communewatch/probes/orders"
)

// doing is what an agent does at a time: the checks of its settings file or of its work.
type doing struct {
	*checks.Set
	cfg *Config
}

// current is what the agent does now.
func (a *Agent) current() doing {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

// prepare makes the checks of a config, ready to run; those of before that are to be as they are stay the same.
func (a *Agent) prepare(cfg *Config, before *checks.Set) (doing, error) {
	var specs []checks.Spec
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		b := cfg.binding(c.Path)
		specs = append(specs, checks.Spec{Target: c.target(), Interval: c.Interval, Options: c.options, Text: c.Options.Text(), Binding: b.Binding, Hop: b.hop})
	}
	set, err := a.maker.Make(specs, before)
	return doing{set, cfg}, err
}

// jobs is what the schedule is to do.
func (a *Agent) jobs(d doing) []schedule.Job {
	self := schedule.Job{Name: "agent itself", Interval: d.cfg.SelfInterval, Timeout: selfTimeout, Run: a.reportSelf}
	return append([]schedule.Job{self}, a.maker.Jobs(d.Set)...)
}

// adopt puts other checks in force. What is under way goes on to its end.
func (a *Agent) adopt(next doing) {
	a.mu.Lock()
	a.now = next
	a.mu.Unlock()
	a.gate.SetMeetings(next.cfg.meetings)
	a.sched.Replace(a.jobs(next))
	if a.orders != nil {
		a.orders.SetCallers(next.Calls())
	}
}

// takeOrders puts the media tests behind the gate, and makes the client that has calls made of them and checks run.
func (a *Agent) takeOrders(gate *orders.Gate) {
	a.gate = gate
	if a.cfg.holds != "" {
		gate.KeepHold(a.cfg.holds, a.log)
	}
	now := a.current().Set
	a.maker.BehindGate(gate, now)
	if a.cfg.Orders.Enabled && len(a.cfg.Collectors) > 0 {
		a.orders = orders.New(orders.Options{
			Collectors: a.cfg.ways(), Agent: a.cfg.Agent, Callers: now.Calls(), Gate: gate,
			MaxBPS: 1000 * float64(a.cfg.Orders.MaxKbps), Run: a.runNow, Look: a.looks(), Log: a.log,
		})
	}
}

// looks is what the agent looks for when it is told to.
func (a *Agent) looks() map[string]func(context.Context) error {
	looks := map[string]func(context.Context) error{}
	if a.given != nil {
		looks[said.LookWork] = a.given.Look
	}
	if k := a.herald.keeper; k != nil {
		looks[said.LookTrust] = k.Look
	}
	if a.cfg.Updates.On() {
		looks[said.LookRelease] = func(context.Context) error { a.updater.Look(); return nil }
	}
	return looks
}

// runNow runs a check because somebody waits for its result, which so is sent at once.
func (a *Agent) runNow(ctx context.Context, name string, started func()) said.Ran {
	ran := said.Ran{Phase: said.PhaseRefused, Reason: "the agent has no such check"}
	err := a.sched.RunNow(ctx, name, func(ctx context.Context) {
		check := a.current().Find(name)
		if check == nil {
			return
		}
		started()
		res := a.maker.Runner.Run(ctx, check)
		a.take(res)
		_ = a.spool.Seal(true) // whoever empties the spool says what is wrong with it
		ran = said.Ran{Phase: said.PhaseDone, Outcome: res.Outcome.String(), Reason: res.Error, Took: said.Seconds(res.Took),
			Path: res.Target.Path, Proof: res.Proof}
	})
	if err != nil {
		ran.Reason = err.Error()
	}
	return ran
}

// Bounds of what is set about orders and meetings.
const (
	minOrderKbps = 50 // less carries no speech
	maxOrderKbps = 100_000
	maxMeetings  = 200
)

func (v *validator) orders(c *Config) {
	if k := c.Orders.MaxKbps; k < minOrderKbps || k > maxOrderKbps {
		v.doc.Problem("orders.max_kbps", "%d is out of range; use %d to %d", k, minOrderKbps, maxOrderKbps)
	}
	if len(c.Meetings) > maxMeetings {
		v.doc.Problem("meetings", "%d meetings are too many; the most is %d", len(c.Meetings), maxMeetings)
		return
	}
	for i, m := range c.Meetings {
		parsed, err := orders.ParseMeeting(m.Days, m.From, m.To, m.TZ, m.Note)
		if err != nil {
			v.doc.Problem(fmt.Sprintf("meetings[%d]", i), "%v", err)
			continue
		}
		c.meetings = append(c.meetings, parsed)
	}
}
