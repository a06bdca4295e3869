package checks

import (
	"context"
	"errors"
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

// BehindGate puts the checks of a set that send media behind a gate, and lets calls be ordered of them. Sets that are
// made later are behind it from the start.
func (m *Maker) BehindGate(gate *orders.Gate, s *Set) {
	m.gate = gate
	for i := range s.Checks {
		m.behindGate(s, i)
	}
}

func (m *Maker) behindGate(s *Set, i int) {
	check, spec := s.Checks[i], &s.specs[i]
	if m.gate == nil || check.Target.Kind != probes.KindWebRTC {
		return
	}
	if c, ok := check.Probe.(caller); ok {
		caller := m.caller(check, c, spec.Options.Bound)
		s.callers[i] = &caller
	}
	g := gated{check.Probe, m.gate, spec.Options.Bound, spec.patience(check.Target.Kind)}
	check.Probe, check.Timeout = g, check.Timeout+g.patience
}

// patience is how long a run may wait for another test with media to end: as long as its interval has room for that.
func (s *Spec) patience(k probes.Kind) time.Duration {
	if k != probes.KindWebRTC {
		return 0
	}
	return max(0, min(orders.Patience, s.Interval-s.longest()))
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
	timed, cancel := context.WithTimeout(ctx, g.bound+Grace) // from here on: the run's own has room for waiting
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
func (m *Maker) caller(check *schedule.Check, c caller, bound time.Duration) orders.Caller {
	made := orders.Caller{Check: check.Target.Name, Path: check.Target.Path, Spare: bound + Grace}
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
		res := m.Runner.RunAs(ctx, check, probe, time.Duration(o.Duration)+bound+Grace)
		m.Take(res)
		return orders.Result{Outcome: res.Outcome, Reason: res.Error, Proof: res.Proof, Call: rep}
	}
	return made
}
