package bind

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"communewatch/probes"
)

// Resolver returns a resolver that asks the system's name servers over the path. A name server on this very
// machine (systemd-resolved, dnsmasq) is asked without binding, since no line leads to it.
func (b Binding) Resolver(timeout time.Duration) *net.Resolver {
	b.Guard = nil // name servers are the machine's own
	return &net.Resolver{
		PreferGo: true, // the C library's resolver would choose the way itself
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if ap, err := netip.ParseAddrPort(address); err == nil && ap.Addr().IsLoopback() {
				return (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, address)
			}
			return b.Dialer(network, timeout).DialContext(ctx, network, address)
		},
	}
}

// Resolve returns the address of host: itself if it is a literal address, else one found over the path. network is
// "ip4", "ip6", or "ip" (or "") for the source address's family, and without one for IPv4 if the name has such an
// address. A failure has the outcome "unresolved"; an address that the guard refuses is an error of its own.
func (b Binding) Resolve(ctx context.Context, network, host string, timeout time.Duration) (netip.Addr, error) {
	a, err := netip.ParseAddr(host)
	if err != nil {
		if a, err = b.lookup(ctx, network, host, timeout); err != nil {
			return netip.Addr{}, err
		}
	}
	a = a.Unmap()
	if err := b.Guard.Check(a); err != nil {
		if literal := a.String(); literal != host {
			err = fmt.Errorf("%s: %w", host, err)
		}
		return netip.Addr{}, err
	}
	return a, nil
}

// lookup finds the address of a name.
func (b Binding) lookup(ctx context.Context, network, host string, timeout time.Duration) (netip.Addr, error) {
	if network == "" {
		network = "ip"
	}
	if network == "ip" && b.Source.IsValid() {
		network = "ip6"
		if b.Source.Unmap().Is4() {
			network = "ip4"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	find := b.Resolver(timeout).LookupNetIP
	if b.Guard != nil && b.Guard.Lookup != nil {
		find = b.Guard.Lookup
	}
	addrs, err := find(ctx, network, host)
	if err != nil {
		if cause := context.Cause(ctx); cause == context.Canceled {
			return netip.Addr{}, cause
		}
		return netip.Addr{}, probes.Errorf(probes.OutcomeUnresolved, "resolve %q over path %s: %w", host, b.Path, err)
	}
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			return a, nil
		}
	}
	if len(addrs) == 0 {
		return netip.Addr{}, probes.Errorf(probes.OutcomeUnresolved, "resolve %q over path %s: no address found", host, b.Path)
	}
	return addrs[0], nil
}
