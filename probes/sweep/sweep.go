// Package sweep looks through a small network for equipment that nobody has listed: it finds the hosts that are there
// and says what each is, by SNMP where it answers and by fingerprint where not.
//
// An agent is not a scanner. A sweep sends only to the addresses of one prefix of at most 1,024, which must lie inside
// what the settings file allows by name, and never to a network's own or broadcast address. Every packet passes one
// guard that knows these addresses and no others, so that no page, redirect or device can lead it elsewhere. It is slow
// on purpose: a few questions a second, a few hosts at a time, once a day.
//
// A host is there if it accepts or refuses a connection (a refusal too comes from somebody), if it is in the table of
// neighbours (ARP), or if it answers SNMP. An address in the same network that no neighbour has claims no further
// packets.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/fingerprint"
	"communewatch/probes/snmp/ask"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// SNMP is how devices are asked. The zero SNMP asks none.
type SNMP struct {
	// Open passes a device's gate: an error means that it does not answer. A device that has a method Close is closed.
	Open func(ctx context.Context, host netip.Addr) (ask.Device, error)
	// Identify says what a device is.
	Identify func(ctx context.Context, d ask.Device) ([]probes.Fact, error)
}

// New returns a sweep of the target's address, which is a prefix.
func New(t probes.Target, b bind.Binding, o Options, snmp SNMP) (probes.Probe, error) {
	g, err := o.guard(t.Address)
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	rules, err := o.rules()
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "rules: %w", err)
	}
	g.add(ownNetworks())
	return &probe{
		opts: o, path: t.Path, guard: g, rules: rules, snmp: snmp, neighbours: neighbours,
		connect: func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
			return b.Dialer(network, o.Timeout).DialContext(ctx, network, to.String())
		},
	}, nil
}

type probe struct {
	opts       Options
	path       probes.Path
	guard      guard
	rules      *fingerprint.Rules
	snmp       SNMP
	neighbours func() map[netip.Addr]neighbour
	connect    func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
}

// run is the state of one sweep.
type run struct {
	*probe
	pace *rate.Limiter

	mu    sync.Mutex // guards the fields below
	found []host
	own   error // trouble of ours that kept packets from being sent
}

// host is one that is there.
type host struct {
	addr  netip.Addr
	mac   net.HardwareAddr // nil where it is not known
	facts []probes.Fact    // as fingerprint.Merge gives them
}

// Probe looks at each address once. What was found until ctx ended, or until the time for a sweep was over, is returned:
// a part of the equipment is worth more than nothing. The error is about packets that could not be sent.
func (p *probe) Probe(ctx context.Context) ([]probes.Point, error) {
	limited, cancel := context.WithTimeout(ctx, p.opts.Longest)
	defer cancel()
	r := &run{probe: p, pace: rate.NewLimiter(rate.Limit(p.opts.Rate), 1)}
	var visits errgroup.Group
	visits.SetLimit(p.opts.Parallel)
	for addr := range p.guard.all() {
		if limited.Err() != nil {
			break
		}
		visits.Go(func() error {
			r.visit(limited, addr)
			return nil
		})
	}
	_ = visits.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	points := r.points()
	if len(points) > 0 {
		return points, nil
	}
	if limited.Err() != nil {
		return nil, probes.Errorf(probes.OutcomeOverrun, "nothing was found before the time was over (%s): raise longest or rate, or sweep a smaller prefix", p.opts.Longest)
	}
	return nil, r.own
}

// dial is the one way out: through the guard, at the sweep's pace.
func (r *run) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	if err := r.guard.check(to.Addr()); err != nil {
		return nil, err
	}
	if err := r.pace.Wait(ctx); err != nil {
		return nil, fmt.Errorf("cut off: %w", cause(ctx, err))
	}
	return r.connect(ctx, network, to)
}

// cause prefers why the context ended to the limiter's word that it would end.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w (%w)", context.DeadlineExceeded, err)
}

// visit looks at one address.
func (r *run) visit(ctx context.Context, addr netip.Addr) {
	there, more := r.knock(ctx, addr)
	var snmp []probes.Fact
	if there || more {
		if facts, ok := r.ask(ctx, addr); ok {
			there, snmp = true, facts
		}
	}
	if !there || ctx.Err() != nil {
		return
	}
	h := host{addr: addr}
	if n, ok := r.neighbours()[addr]; ok && n.complete {
		h.mac = n.mac
	}
	seen, _ := fingerprint.Host(ctx, addr, fingerprint.Options{Dial: r.dial, Ports: r.opts.Ports, Timeout: r.opts.Timeout + r.patience(), Rules: r.rules, MAC: h.mac})
	h.facts = fingerprint.Merge(snmp, seen, []probes.Fact{{Name: probes.FactAddress, Value: addr.String(), Source: "sweep", Confidence: 1}})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found = append(r.found, h)
}

// knock finds out whether somebody is at an address. more is false if nobody can be: there is no neighbour, or packets
// could not be sent.
func (r *run) knock(ctx context.Context, addr netip.Addr) (there, more bool) {
	for i, port := range r.opts.Knock {
		trying, cancel := context.WithTimeout(ctx, r.opts.KnockTimeout+r.patience())
		conn, err := r.dial(trying, "tcp", netip.AddrPortFrom(addr, port))
		cancel()
		if err == nil {
			conn.Close()
			return true, true
		}
		switch outcome := probes.OutcomeOf(err); {
		case ctx.Err() != nil:
			return false, false
		case outcome == probes.OutcomeRefused:
			return true, true
		case outcome.Own():
			r.mu.Lock()
			r.own = err
			r.mu.Unlock()
			return false, false
		}
		if n, ok := r.neighbours()[addr]; ok && (n.complete || i == 0) {
			return n.complete, n.complete
		}
	}
	return false, true
}

// patience is what a question may wait for its turn: as long as all the hosts that are looked at together take theirs.
func (r *run) patience() time.Duration {
	return time.Duration(float64(time.Second) * float64(r.opts.Parallel+1) / r.opts.Rate)
}

// ask identifies a host by SNMP; ok is false if it does not answer.
func (r *run) ask(ctx context.Context, addr netip.Addr) (facts []probes.Fact, ok bool) {
	if r.snmp.Open == nil || r.guard.check(addr) != nil || r.pace.Wait(ctx) != nil {
		return nil, false
	}
	d, err := r.snmp.Open(ctx, addr)
	if err != nil {
		return nil, false
	}
	switch c := d.(type) { // a session is closed in silence, other devices may say something
	case interface{ Close() }:
		defer c.Close()
	case interface{ Close() error }:
		defer c.Close()
	}
	if r.snmp.Identify == nil {
		return nil, true
	}
	facts, _ = r.snmp.Identify(ctx, d) // what was learnt before an error is as good as without it
	return facts, true
}

// points makes the rows of all that was found.
func (r *run) points() []probes.Point {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.found, func(a, b host) int { return a.addr.Compare(b.addr) })
	byMAC := map[string]int{}
	for _, h := range r.found {
		byMAC[h.mac.String()]++
	}
	devices, order := map[string][]probes.Fact{}, []string(nil)
	for _, h := range r.found {
		facts := h.facts
		if h.mac != nil && byMAC[h.mac.String()] > 1 {
			// A router that answers for others (proxy ARP), or one device with several addresses: the card is nobody's mark.
			facts = withoutCard(facts, h.mac)
		}
		name := DeviceName(r.path, fingerprint.Best(facts))
		if _, ok := devices[name]; !ok {
			order = append(order, name)
		}
		devices[name] = fingerprint.Merge(devices[name], facts) // of several addresses the first counts
	}
	var points []probes.Point
	for _, name := range order {
		points = append(points, probes.EquipmentPoints(name, fingerprint.Best(devices[name]))...)
	}
	return points
}

// withoutCard leaves out what was concluded from a card's address.
func withoutCard(facts []probes.Fact, mac net.HardwareAddr) []probes.Fact {
	return slices.DeleteFunc(slices.Clone(facts), func(f probes.Fact) bool {
		return f.Source == "arp" || f.Source == "mac "+mac.String()[:8]
	})
}

func (o Options) rules() (*fingerprint.Rules, error) {
	if o.Rules == "" {
		return fingerprint.BuiltIn()
	}
	if _, err := os.ReadDir(o.Rules); err != nil {
		return nil, err
	}
	return fingerprint.Load(os.DirFS(o.Rules))
}
