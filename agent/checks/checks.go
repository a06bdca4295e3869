// Package checks makes checks ready to run: from what settings or work say of them into probes with proof of path, behind
// the gate where they send media, as jobs of a schedule.
//
// The checks that an agent has at a time are a Set. When it is given others, a new Set is made from the old: a check of
// which nothing has changed is the same object in both, with all that it has learned (how much a device can be asked at
// once, that it has been silent, which outcome it had last), and one that has changed goes on where its former self ends.
package checks

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/agent/kinds"
	"communewatch/agent/orders"
	"communewatch/agent/schedule"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
	"communewatch/probes/webrtc"
	"communewatch/probes/webrtc/report"
)

const (
	// Grace is how long a run may go on after its own timeouts before it is cut off.
	Grace = time.Second
	// proveBound is how long proving a path may delay a run: what bind.Prove takes at most, and a second to resolve
	// a name.
	proveBound = 3 * time.Second
)

// Spec is what there is to know of one check.
type Spec struct {
	Target   probes.Target
	Interval time.Duration
	Options  kinds.Options
	Text     string // of the options as they were given, by which a change is noticed
	Binding  bind.Binding
	Hop      bind.Hop
}

// Longest is how long a run of a check may take, from proving the path to being cut off; bound is how long by its own
// timeouts.
func Longest(bound time.Duration, hop bind.Hop) time.Duration {
	d := bound + Grace
	if hop.TTL > 0 {
		d += proveBound
	}
	return d
}

func (s *Spec) longest() time.Duration { return Longest(s.Options.Bound, s.Hop) }

// Maker makes sets. Its fields are to be set before the first.
type Maker struct {
	Runner *schedule.Runner
	Take   func(schedule.Result)
	Fleet  connect.Fleet                         // what checks of the agent's own collectors have for them
	Child  []string                              // command that makes one conference call; see webrtc.Serve
	OnCall func(check string, call *report.Call) // nil for nobody

	gate *orders.Gate // nil before BehindGate
}

// Set is checks ready to run. It is not changed once it is in use.
type Set struct {
	Checks []*schedule.Check // in the order of the specs they were made of

	specs   []Spec
	callers []*orders.Caller // nil for checks that no calls are ordered of
	marks   []mark
}

// mark is a hash over all that a check is made of.
type mark [sha256.Size]byte

var errUnvalidated = errors.New("config was not validated: get it from ReadConfig or ParseConfig")

// Make makes a set. What is in before as it is to be now stays the same; nil: there was none.
func (m *Maker) Make(specs []Spec, before *Set) (*Set, error) {
	next, prover := &Set{specs: specs}, newProver()
	for i := range specs {
		spec := &specs[i]
		if spec.Options.Open == nil {
			return nil, errUnvalidated
		}
		is := spec.mark()
		old := before.index(spec.Target.Name)
		if old >= 0 && before.marks[old] == is {
			next.add(before.Checks[old], before.callers[old], is)
			continue
		}
		check, err := m.make(spec, prover)
		if err != nil {
			return nil, fmt.Errorf("check %q: %w", spec.Target.Name, err)
		}
		if old >= 0 {
			check.Succeeds(before.Checks[old])
		}
		next.add(check, nil, is)
		m.behindGate(next, i)
	}
	return next, nil
}

func (s *Set) add(check *schedule.Check, caller *orders.Caller, is mark) {
	s.Checks, s.callers, s.marks = append(s.Checks, check), append(s.callers, caller), append(s.marks, is)
}

func (s *Set) index(name string) int {
	if s == nil {
		return -1
	}
	return slices.IndexFunc(s.Checks, func(c *schedule.Check) bool { return c.Target.Name == name })
}

// Find returns the check of that name; nil: there is none.
func (s *Set) Find(name string) *schedule.Check {
	if i := s.index(name); i >= 0 {
		return s.Checks[i]
	}
	return nil
}

// mark is what tells whether the check has changed.
func (s *Spec) mark() mark {
	return sha256.Sum256(fmt.Appendf(nil, "%q %v %q %q %v %v %v", s.Target, s.Interval, s.Text, s.Binding.Device, s.Binding.Source, s.Hop, s.Binding.Guard != nil))
}

func (m *Maker) make(s *Spec, prover *prover) (*schedule.Check, error) {
	probe, err := s.Options.Open(s.Target, s.Binding)
	if err != nil {
		return nil, err
	}
	check := &schedule.Check{
		Target: s.Target, Interval: s.Interval, Timeout: s.Options.Bound + Grace,
		Probe: probe, Bound: s.Binding.Proof(), Ready: s.Binding.Check,
	}
	if hosts := s.Options.Hosts(s.Target.Address); s.Hop.TTL > 0 && len(hosts) > 0 {
		check.Prove = func(ctx context.Context) (probes.Proof, error) { return prover.proveAll(ctx, s.Binding, s.Hop, hosts) }
	}
	if p, ok := probe.(interface{ At(connect.Fleet) }); ok {
		p.At(m.Fleet)
	}
	if p, ok := probe.(*webrtc.Probe); ok {
		p.RunIn(m.Child)
		if m.OnCall != nil {
			p.OnCall(func(call *report.Call) { m.OnCall(s.Target.Name, call) })
		}
	}
	return check, nil
}

// Jobs is what a schedule is to do for a set.
func (m *Maker) Jobs(s *Set) (jobs []schedule.Job) {
	for i, c := range s.Checks {
		spec := &s.specs[i]
		jobs = append(jobs, schedule.Job{
			Name: c.Target.Name, Interval: c.Interval, Timeout: spec.longest() + spec.patience(spec.Target.Kind),
			Run:    func(ctx context.Context) { m.Take(m.Runner.Run(ctx, c)) },
			Missed: func() { m.Take(m.Runner.Missed(c)) },
		})
	}
	return jobs
}

// Calls lists the checks that calls can be ordered of.
func (s *Set) Calls() (list []orders.Caller) {
	for _, c := range s.callers {
		if c != nil {
			list = append(list, *c)
		}
	}
	return list
}
