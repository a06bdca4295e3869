package bind

import (
	"context"
	"net"
	"net/netip"
	"time"

	"communewatch/probes"
)

// Resolve turns a host into one address. A literal is returned as it is; a name is looked up with the system's
// resolvers over the path, and the first address that the binding's source can talk to is taken. A name that can't be
// resolved is OutcomeUnresolved: the target itself was never asked.
func (b Binding) Resolve(ctx context.Context, host string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap(), nil
	}
	resolver := &net.Resolver{
		PreferGo: true, // the C library's resolver can't be bound to a path
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return b.Dialer(network, 5*time.Second).DialContext(ctx, network, address)
		},
	}
	network := "ip"
	if b.Source.IsValid() {
		network = "ip4"
		if b.Source.Is6() && !b.Source.Is4In6() {
			network = "ip6"
		}
	}
	addrs, err := resolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return netip.Addr{}, probes.Errorf(probes.OutcomeUnresolved, "resolve %q: %w", host, err)
	}
	if len(addrs) == 0 {
		return netip.Addr{}, probes.Errorf(probes.OutcomeUnresolved, "resolve %q: no address", host)
	}
	return addrs[0].Unmap(), nil
}
