package icmp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
)

// New returns a probe that pings t over b. It opens nothing yet.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	var problems []string
	o.Validate(t, func(at, format string, args ...any) {
		problems = append(problems, at+": "+fmt.Sprintf(format, args...))
	})
	if a, err := netip.ParseAddr(t.Address); err == nil && b.Source.IsValid() && a.Unmap().Is4() != b.Source.Unmap().Is4() {
		problems = append(problems, fmt.Sprintf("address: %s can't be reached from the source address %s of path %s: one is IPv4, the other IPv6", a, b.Source, b.Path))
	}
	if len(problems) > 0 {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "ping %s: %s", t.Name, strings.Join(problems, "; "))
	}
	b.Source = b.Source.Unmap()
	return &prober{target: t, via: b, options: o}, nil
}

type prober struct {
	target  probes.Target
	via     bind.Binding
	options Options
}

// Probe sends one burst. Some loss is a result, not an error; without a single answer the outcome is "timeout", or
// "unreachable" if the system found no way to send any request.
func (p *prober) Probe(ctx context.Context) ([]probes.Point, error) {
	ctx, cancel := context.WithTimeout(ctx, p.options.Bound())
	defer cancel()
	if err := p.via.Check(); err != nil {
		return nil, err
	}
	to, err := p.via.Resolve(ctx, p.options.Network, p.target.Address, lookupTimeout)
	if err != nil {
		return nil, err
	}

	o := p.options
	main := burst{to: to, via: p.via, count: o.Count, interval: o.Interval, wait: o.Wait, size: o.Size}
	l, mode, err := p.start(ctx, &main)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		l.settle(time.Now(), o.Wait)
		if len(l.attempts) == 0 {
			return nil, probes.Errorf(probes.OutcomeOverrun, "ping %s: the machine was too slow to finish a single request within %v", to, o.Bound())
		}
	case err != nil:
		return nil, err
	}
	fields := l.fields()
	if o.DFSize > 0 && l.received() > 0 && ctx.Err() == nil {
		b := o.sizeBurst(to, p.via)
		dl, err := b.send(ctx, mode)
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		if ok, known := b.fits(l, dl, err, time.Now()); known {
			fields = append(fields, probes.Int("df_size_bytes", int64(o.DFSize)), probes.Bool("df_ok", ok))
		}
	}
	err = p.verdict(l, to)
	if probes.OutcomeOf(err).Own() {
		return nil, err
	}
	return []probes.Point{{Measurement: string(probes.KindICMP), Fields: fields}}, err
}

// start sends the burst with the first kind of socket that the system allows.
func (p *prober) start(ctx context.Context, b *burst) (*ledger, socketMode, error) {
	var refusals []error
	for _, mode := range socketModes() {
		l, err := b.send(ctx, mode)
		switch {
		case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return l, mode, err
		case !notAllowed(err):
			return l, mode, probes.Errorf(probes.OutcomeOverrun, "ping %s: the system gives no socket: %w", b.to, err)
		}
		refusals = append(refusals, err)
	}
	return nil, modeRaw, probes.Errorf(probes.OutcomeNoPermission, "ping %s: %w (%s)", b.to, errors.Join(refusals...), permissionHint)
}

// sizeBurst is the don't-fragment check: packets of the configured size, which must get through and back whole.
func (o Options) sizeBurst(to netip.Addr, via bind.Binding) *burst {
	const icmpHeader, ip4Header, ip6Header = 8, 20, 40
	payload := o.DFSize - icmpHeader - ip6Header
	if to.Is4() {
		payload = o.DFSize - icmpHeader - ip4Header
	}
	return &burst{to: to, via: via, count: dfCount, interval: dfInterval, wait: o.dfWait(), size: payload, whole: true}
}

// fits is the result of a don't-fragment check that ended with err, after a burst of plain requests. It is known when
// an answer came, and when the system said that the packet is too long. Silence is a result only where the plain
// requests were answered to the last and every long one went out and had its full time: whatever else kept a request
// from being sent or answered, an outage or a slow machine, is no word about the size of packets.
func (b *burst) fits(plain, long *ledger, err error, end time.Time) (ok, known bool) {
	refused, _ := long.refusals()
	switch {
	case long.received() > 0:
		return true, true
	case long.tooLong():
		return false, true
	case err != nil, refused > 0, len(long.attempts) < b.count, !plain.answeredLast():
		return false, false
	}
	last := long.attempts[len(long.attempts)-1]
	return false, end.Sub(last.at) >= b.wait
}

// verdict says how a finished burst ended.
func (p *prober) verdict(l *ledger, to netip.Addr) error {
	if l.received() > 0 {
		return nil
	}
	refused, why := l.refusals()
	sent := len(l.attempts)
	if refused < sent {
		return probes.Errorf(probes.OutcomeTimeout, "no ping to %s was answered within %v", to, p.options.Wait)
	}
	if err := p.via.Check(); err != nil {
		return err
	}
	if lineDown(why) {
		return probes.Errorf(probes.OutcomeUnreachable, "no ping to %s could be sent: %w", to, why)
	}
	return probes.Errorf(probes.OutcomeTimeout, "no ping to %s could be sent: %w (if it says \"not permitted\", look for a rule in the local firewall)", to, why)
}
