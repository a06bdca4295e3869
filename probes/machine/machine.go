// Package machine describes the machine that the agent itself runs on: an office PC is equipment like any other, and
// the one piece of which everything can be known without asking over a network.
//
// A PC says who made it in a table that its firmware leaves in memory (DMI, also called SMBIOS, DSP0134). Linux shows
// it as files below /sys/class/dmi/id, of which serial numbers are for root alone; Windows keeps the names in the
// registry and hands out the raw table to anyone. Whatever can't be read, for want of a right or because the machine has
// no such thing, is left out and is no error: a fact that is missing is "unknown", never a fault of the machine.
//
// Makers of small PCs often leave the table as they got it ("To be filled by O.E.M."); such values are left out too.
// Windows 11 calls itself "Windows 10" in its registry, so the build number decides.
package machine

import (
	"context"
	"slices"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
)

// Options of a machine check.
type Options struct {
	Timeout time.Duration `yaml:"timeout"` // for reading everything
	Repeat  time.Duration `yaml:"repeat"`  // after which facts that stay the same are written again
}

// DefaultOptions returns the options of a check that says nothing.
func DefaultOptions() Options { return Options{Timeout: 10 * time.Second, Repeat: 6 * time.Hour} }

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration { return o.Timeout }

// Interval is how often a machine is looked at where the check does not say.
func (o Options) Interval() time.Duration { return time.Hour }

// Validate reports what is wrong with the options or with the target's address, which is empty or "self".
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if o.Timeout < 100*time.Millisecond || o.Timeout > time.Minute {
		problem("timeout", "must be between 100ms and 1m, for example 10s")
	}
	if o.Repeat < time.Minute || o.Repeat > 7*24*time.Hour {
		problem("repeat", "must be between 1m and 168h, for example 6h")
	}
	if t.Address != "" && t.Address != probes.SelfDevice {
		problem("address", "%q: a machine check describes the agent's own machine only; leave the address out, or write self", t.Address)
	}
}

type probe struct {
	opts Options
	read func(ctx context.Context) ([]probes.Fact, error)
	now  func() time.Time

	told []probes.Fact // as written last
	at   time.Time     // when that was; zero before the first run
}

// New returns a probe of this machine. Nothing is sent, so the binding is of no use to it.
func New(_ probes.Target, _ bind.Binding, o Options) (probes.Probe, error) {
	return &probe{opts: o, read: Facts, now: time.Now}, nil
}

// Probe reads the machine. Its rows come at the first run, when a fact has changed, and when Repeat is over.
func (p *probe) Probe(ctx context.Context) ([]probes.Point, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	facts, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	if now := p.now(); p.at.IsZero() || now.Sub(p.at) >= p.opts.Repeat || !slices.Equal(facts, p.told) {
		p.told, p.at = facts, now
		return probes.EquipmentPoints(probes.SelfDevice, facts), nil
	}
	return nil, nil
}

// sheet gathers the facts of one machine.
type sheet struct{ facts []probes.Fact }

// put notes a fact, unless there is nothing to it.
func (s *sheet) put(name probes.FactName, value, source string, confidence float64) {
	if value = clean(value); value == "" || probes.Placeholder(value) && name != probes.FactTPM {
		return
	}
	s.facts = append(s.facts, probes.Fact{Name: name, Value: value, Source: "machine " + source, Confidence: confidence})
}

func (s *sheet) get(name probes.FactName) string {
	for _, f := range s.facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// sorted returns the facts in the order of probes.FactNames.
func (s *sheet) sorted() []probes.Fact {
	var out []probes.Fact
	for _, name := range probes.FactNames() {
		for _, f := range s.facts {
			if f.Name == name {
				out = append(out, f)
				break
			}
		}
	}
	return out
}
