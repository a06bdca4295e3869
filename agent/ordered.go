package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"communewatch/agent/orders"
	"communewatch/agent/schedule"
	"communewatch/probes"
	said "communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
)

// caller is what the probe of a webrtc check can do beyond running on schedule: make a call of another profile and
// length, as part of a rehearsal. It calls started when media flow. What it returns is as for a Probe, with the whole
// report of the call.
type caller interface {
	Call(ctx context.Context, p said.Profile, d time.Duration, started func()) ([]probes.Point, *report.Call, error)
}

// takeOrders puts the media tests behind the gate, and makes the client that has calls made of them.
func (a *Agent) takeOrders(gate *orders.Gate) {
	if a.cfg.holds != "" {
		gate.KeepHold(a.cfg.holds, a.log)
	}
	var callers []orders.Caller
	for i, check := range a.checks {
		if check.Target.Kind != probes.KindWebRTC {
			continue
		}
		bound := a.cfg.Checks[i].options.bound
		if c, ok := check.Probe.(caller); ok {
			callers = append(callers, a.caller(check, c, bound))
		}
		g := gated{check.Probe, gate, bound, a.cfg.patience(i)}
		check.Probe, check.Timeout = g, check.Timeout+g.patience
	}
	if a.cfg.Orders.Enabled && len(a.cfg.Collectors) > 0 {
		a.orders = orders.New(orders.Options{
			Collectors: a.cfg.ways(), Agent: a.cfg.Agent, Callers: callers, Gate: gate,
			MaxBPS: 1000 * float64(a.cfg.Orders.MaxKbps), Log: a.log,
		})
	}
}

// patience is how long a run of check i may wait for another test with media to end: as long as its interval has room
// for that.
func (c *Config) patience(i int) time.Duration {
	check := &c.Checks[i]
	if check.Kind != probes.KindWebRTC {
		return 0
	}
	return max(0, min(orders.Patience, check.Interval-check.longest(c.binding(check.Path))))
}

// gated is a probe that sends media, and does so only when the gate lets it.
type gated struct {
	probe    probes.Probe
	gate     *orders.Gate
	bound    time.Duration // the longest it may take
	patience time.Duration // the longest it may wait to begin
}

func (g gated) Probe(ctx context.Context) ([]probes.Point, error) {
	ctx, leave, err := g.gate.Test(ctx, g.bound, g.patience)
	if err != nil {
		return nil, err
	}
	defer leave()
	timed, cancel := context.WithTimeout(ctx, g.bound+grace) // from here on: the run's own has room for waiting
	defer cancel()
	points, err := g.probe.Probe(timed)
	if why := heldBack(ctx); why != nil {
		return nil, why // half a test is no measurement
	}
	return points, err
}

// heldBack is the reason for which a test's context was ended so that others may have the line; nil for none.
func heldBack(ctx context.Context) error {
	var why *probes.Error
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &why) && why.Outcome == probes.OutcomeHeld {
		return why
	}
	return nil
}

// probeFunc is a probe that is a function.
type probeFunc func(ctx context.Context) ([]probes.Point, error)

func (f probeFunc) Probe(ctx context.Context) ([]probes.Point, error) { return f(ctx) }

// caller makes a check's probe into one that calls can be ordered of. What they measure is kept as the check's, but
// they give no verdict: a rehearsal loads the hub on purpose, together with all other sites, and what that comes to is
// the rehearsal's to judge. The check's state is what its own, lonely calls say.
func (a *Agent) caller(check *schedule.Check, c caller, bound time.Duration) orders.Caller {
	made := orders.Caller{Check: check.Target.Name, Path: check.Target.Path, Spare: bound + grace}
	if check.Prove != nil {
		made.Prepare = func(ctx context.Context) { _, _ = check.Prove(ctx) } // it is remembered until the call begins
	}
	made.Call = func(ctx context.Context, o said.Call, started func()) orders.Result {
		var rep *report.Call
		probe := probeFunc(func(ctx context.Context) (points []probes.Point, err error) {
			points, rep, err = c.Call(ctx, o.Profile, time.Duration(o.Duration), started)
			if why := heldBack(ctx); why != nil {
				return nil, why
			}
			if errors.Is(context.Cause(ctx), context.Canceled) {
				return nil, context.Canceled // stopped: what there is of it goes into the report alone
			}
			return points, err
		})
		res := a.runner.RunAs(ctx, check, probe, time.Duration(o.Duration)+bound+grace)
		a.take(res)
		return orders.Result{Outcome: res.Outcome, Reason: res.Error, Proof: res.Proof, Call: rep}
	}
	return made
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
