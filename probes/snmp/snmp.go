// Package snmp is the kind of check that polls one device over SNMP and says what it is.
//
// Each run opens a session of its own (probes/snmp/session), reads how the device is (probes/snmp/poll), and now and
// then what it is (probes/snmp/identify): at the first run, when the device says something new of itself or has
// restarted, and every few hours so that a collector that was set up anew learns it too. The rooms below it do the
// work and can be tried against recordings (probes/snmp/recording); this one holds the options and what must be
// remembered between runs.
//
// A device whose SNMP is silent need not be down: its agent may be off, busy or filtered while it forwards every
// packet. Whoever judges these results should say so.
package snmp

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"sync"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/identify"
	"communewatch/probes/snmp/poll"
	"communewatch/probes/snmp/session"
)

// Identifier says what a device is. An error means that it is not known, or not all of it; facts may be given with it.
type Identifier interface {
	Identify(ctx context.Context, dev ask.Device) ([]probes.Fact, error)
}

// Kit is what the probes of one agent share: what was learned of devices and models, and the knowledge of makers.
type Kit struct {
	memory *session.Memory

	mu      sync.Mutex            // guards the fields below
	engines map[string]Identifier // by folder of profiles
}

// NewKit returns a kit that knows nothing yet.
func NewKit() *Kit { return &Kit{memory: session.NewMemory(), engines: map[string]Identifier{}} }

// New returns a probe of the target, with a kit of its own.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	return NewKit().New(t, b, o)
}

// New returns a probe of the target.
func (k *Kit) New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	address, err := Address(t.Address)
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	p := &probe{kit: k, address: address, bind: b, opts: o}
	if o.IdentifyEvery > 0 {
		if p.identifier, err = k.engine(o.Profiles); err != nil {
			return nil, probes.Errorf(probes.OutcomeBadConfig, "profiles: %w", err)
		}
	}
	return p, nil
}

func (k *Kit) engine(folder string) (Identifier, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.engines[folder]; e != nil {
		return e, nil
	}
	e, err := newEngine(folder)
	if err == nil {
		k.engines[folder] = e
	}
	return e, err
}

// engine is an identify.Engine as an Identifier.
type engine struct{ *identify.Engine }

func newEngine(folder string) (Identifier, error) {
	if folder == "" {
		e, err := identify.New(nil)
		return engine{e}, err
	}
	if info, err := os.Stat(folder); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", folder)
	}
	e, err := identify.New(os.DirFS(folder))
	return engine{e}, err
}

// Identify gives the facts alone.
func (e engine) Identify(ctx context.Context, dev ask.Device) ([]probes.Fact, error) {
	id, err := e.Engine.Identify(ctx, dev)
	return id.Facts, err
}

type probe struct {
	kit        *Kit
	address    string
	bind       bind.Binding
	opts       Options
	identifier Identifier // nil: equipment is not asked for

	// What the runs before left. Runs of one probe don't overlap.
	state *poll.State
	known equipment
}

// equipment is what was found out about the device last.
type equipment struct {
	tag    string
	best   stableID
	facts  map[probes.FactName]string
	said   session.Greeting // what the device said of itself then
	spoken probes.Fact      // versions of SNMP that it speaks
	at     time.Time        // when; zero before the first time
	failed time.Time        // when it did not work out last
}

// retryAfter is how long a failed identification rests: what broke it may be the device's way.
const retryAfter = 10 * time.Minute

// Probe polls the device once.
func (p *probe) Probe(parent context.Context) ([]probes.Point, error) {
	ctx, cancel := context.WithTimeout(parent, p.opts.Deadline)
	defer cancel()
	o, err := p.opts.asking()
	if err != nil {
		return nil, err
	}
	o.Address, o.Bind, o.Memory = p.address, p.bind, p.kit.memory
	s := session.New(o)
	defer s.Close()
	now := time.Now()
	said, err := s.Open(ctx)
	if err != nil {
		return nil, err
	}
	points, state, err := poll.Poll(ctx, s, poll.Options{
		MaxRows: p.opts.MaxRows, UpOnly: p.opts.Interfaces.UpOnly, Wanted: p.opts.Interfaces.wanted(),
	}, p.state, now)
	p.state = state
	if err != nil && over(ctx) && !over(parent) && len(points) > 0 {
		err = nil // it answers, only not as quickly as it has things to say; the row says what is missing
	}
	restarted := false
	if len(points) > 0 {
		f, ok := points[0].Field("restarted")
		restarted = ok && f.Num != 0
	}
	if err == nil && !over(ctx) {
		points = append(points, p.identify(ctx, s, said, restarted, now)...)
	}
	for i := range points {
		if points[i].Measurement == "snmp_device" {
			st := s.Stats()
			points[i].Fields = append(points[i].Fields, probes.Int("requests", int64(st.Requests)), probes.Int("retries", int64(st.Retries)),
				probes.Int("variables", int64(st.Variables)), probes.String("snmp_version", string(said.Version)))
		}
	}
	return points, err
}

// over reports whether ctx has ended, or its time is up.
func over(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(end)
}

// identify asks what the device is, when it is time, and gives the rows of it.
func (p *probe) identify(ctx context.Context, s *session.Session, said session.Greeting, restarted bool, now time.Time) []probes.Point {
	if p.identifier == nil || now.Sub(p.known.failed) < retryAfter {
		return nil
	}
	due := p.known.at.IsZero() || now.Sub(p.known.at) >= p.opts.IdentifyEvery
	if !due && !restarted && said.Descr == p.known.said.Descr && said.ObjectID == p.known.said.ObjectID {
		return nil
	}
	facts, err := p.identifier.Identify(ctx, s)
	if err != nil || over(ctx) || s.Err() != nil {
		p.known.failed = now // half of it may be wrong: a serial number that is missing would make another device
		return nil
	}
	host, _, _ := net.SplitHostPort(p.address)
	spoken, sure := s.Protocols(ctx)
	if !sure && p.known.spoken.Value != "" && said.Version == p.known.said.Version { // not found out this time
		spoken = p.known.spoken
	}
	facts = append(facts, probes.Fact{Name: probes.FactAddress, Value: host, Source: "the check's address", Confidence: 1}, spoken)
	is := equipment{facts: map[probes.FactName]string{}, said: said, spoken: spoken, at: now}
	for _, f := range facts {
		is.facts[f.Name] = f.Value
	}
	is.tag, is.best = p.known.device(facts)
	write := due || !maps.Equal(is.facts, p.known.facts) || is.tag != p.known.tag
	if !due { // the hours count from when all was written
		is.at = p.known.at
	}
	if write {
		is.at = now
	}
	p.known = is
	if !write {
		return nil
	}
	return probes.EquipmentPoints(is.tag, facts)
}
