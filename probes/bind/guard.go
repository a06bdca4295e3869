package bind

import (
	"context"
	"net/netip"

	"communewatch/probes"
)

// Guard says which addresses sockets may speak to. It is for checks that were given from afar, so that whoever holds
// the collector can't make a scanner of an agent. It stands at the socket, where names, redirects and the answers of
// servers have become addresses, and can't be led around. A nil Guard lets everything pass.
//
// Whatever it allows, this machine itself, its link, groups and everybody are out of bounds: what listens on loopback
// relies on nobody from outside reaching it, and routers' link-local services do so too.
type Guard struct {
	Allow []netip.Prefix `json:"allow"`
	// Loopback allows this machine itself, for tests and a province on one machine.
	Loopback bool `json:"loopback,omitempty"`
	// Lookup finds the addresses of a name in the place of the system's name servers; nil for those.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error) `json:"-"`
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122 3.2.1.3; a connection to 0.0.0.0 is one to this machine
	everybody   = netip.MustParseAddr("255.255.255.255") // RFC 919
	translated  = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052: an IPv4 address behind a translator
	tunnelled   = netip.MustParsePrefix("2002::/16")     // RFC 3056: the same
)

// Forbidden reports whether an address may never be spoken to by order from afar.
func Forbidden(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is6() && (translated.Contains(a.WithZone("")) || tunnelled.Contains(a.WithZone(""))) {
		return true // one could hide any of the others
	}
	return !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() ||
		a == everybody || thisNetwork.Contains(a)
}

// Check returns nil if the address may be spoken to, else an error with the outcome "bad_config": what was given is
// wrong, and says nothing of the target.
func (g *Guard) Check(a netip.Addr) error {
	switch a = a.Unmap(); {
	case g == nil || g.Loopback && a.IsLoopback():
		return nil
	case Forbidden(a):
		return probes.Errorf(probes.OutcomeBadConfig, "forbidden: %s is this machine, its link or a group, and can't be a target of checks from the collector", a)
	case !within(g.Allow, a):
		return probes.Errorf(probes.OutcomeBadConfig, "forbidden: %s is not among allow.addresses of the agent's own settings, so no check from the collector may speak to it", a)
	}
	return nil
}

// WithLoopback returns the guard with another value of Loopback.
func (g *Guard) WithLoopback(allowed bool) *Guard {
	if g == nil {
		return nil
	}
	other := *g
	other.Loopback = allowed
	return &other
}

// Contains reports whether all of a prefix is allowed.
func (g *Guard) Contains(p netip.Prefix) bool {
	if g == nil {
		return true
	}
	switch {
	case !p.IsValid():
		return false
	case p.Addr().IsLoopback():
		return g.Loopback
	case Forbidden(p.Masked().Addr()):
		return false
	}
	for _, a := range g.Allow {
		if a.Bits() <= p.Bits() && a.Contains(p.Addr()) {
			return true
		}
	}
	return false
}
