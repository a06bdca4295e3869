package sweep

import (
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"

	"communewatch/probes"
)

// maxHostBits bounds a sweep to 1,024 addresses: a /22 of IPv4.
const maxHostBits = 10

// guard knows where a sweep may send: inside the prefix, and not to what is left out of it.
type guard struct {
	prefix  netip.Prefix
	leftOut []netip.Prefix
}

// private are the ranges that belong to nobody else: RFC 1918, RFC 6598, link-local, loopback and their like in IPv6.
func private() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10", "::1/128"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// inside reports whether all of p lies in one of the prefixes.
func inside(p netip.Prefix, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
}

// parsePrefix reads a prefix, or an address as the prefix of itself.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%.60q is no prefix such as 192.168.1.0/24", s)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%.60q: write it as an IPv4 prefix", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits set behind its length; if the network is meant, write %s", s, p.Masked())
	}
	return p, nil
}

// guard makes the guard of a sweep of address, or says why there may be none.
func (o Options) guard(address string) (guard, error) {
	p, err := parsePrefix(address)
	if err != nil {
		return guard{}, err
	}
	if bits := p.Addr().BitLen() - p.Bits(); bits > maxHostBits {
		return guard{}, fmt.Errorf("%s has more than %d addresses; sweep a /%d or smaller", p, 1<<maxHostBits, p.Addr().BitLen()-maxHostBits)
	}
	if a := p.Addr(); a.IsMulticast() || a.IsUnspecified() {
		return guard{}, fmt.Errorf("%s holds no hosts", p)
	}
	var allow []netip.Prefix
	for _, s := range o.Allow {
		if q, err := parsePrefix(s); err == nil {
			allow = append(allow, q)
		}
	}
	if !inside(p, allow) {
		return guard{}, fmt.Errorf("%s is not inside what allow names (%s); name there the networks that are the office's own", p, strings.Join(o.Allow, ", "))
	}
	g := guard{prefix: p}
	for _, s := range o.Exclude {
		q, err := parsePrefix(s)
		if err != nil {
			return guard{}, fmt.Errorf("exclude: %w", err)
		}
		g.leftOut = append(g.leftOut, q)
	}
	return g, nil
}

// add leaves out the networks' own and broadcast addresses, and the machine's own.
func (g *guard) add(networks []netip.Prefix) {
	for _, n := range networks {
		g.leftOut = append(g.leftOut, single(n.Addr()))
		if n.Addr().Is4() && n.Bits() < 31 {
			g.leftOut = append(g.leftOut, single(n.Masked().Addr()), single(last(n)))
		}
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// last is the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		switch kept := p.Bits() - 8*i; {
		case kept <= 0:
			b[i] = 0xff
		case kept < 8:
			b[i] |= 0xff >> kept
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// check says whether a packet may go to an address.
func (g guard) check(a netip.Addr) error {
	a = a.Unmap()
	refuse := func(why string) error {
		return probes.Errorf(probes.OutcomeBadConfig, "a sweep of %s sends nothing to %s: %s", g.prefix, a, why)
	}
	switch {
	case !g.prefix.Contains(a):
		return refuse("it is not part of it")
	case slices.ContainsFunc(g.leftOut, func(p netip.Prefix) bool { return p.Contains(a) }):
		return refuse("it is left out")
	}
	if g.prefix.IsSingleIP() {
		return nil
	}
	if a.Is4() {
		// Inside a larger prefix there may be smaller networks, most of them with 256 addresses.
		end := a.As4()[3]
		if g.prefix.Bits() < 31 && (a == g.prefix.Masked().Addr() || a == last(g.prefix)) || g.prefix.Bits() <= 24 && (end == 0 || end == 255) {
			return refuse("it may be a network's own or broadcast address")
		}
	} else if g.prefix.Bits() < 127 && a == g.prefix.Masked().Addr() {
		return refuse("it is the routers' anycast address")
	}
	return nil
}

// all lists the addresses that a sweep looks at.
func (g guard) all() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for a := g.prefix.Masked().Addr(); a.IsValid() && g.prefix.Contains(a); a = a.Next() {
			if g.check(a) == nil && !yield(a) {
				return
			}
		}
	}
}

// count is how many that are.
func (g guard) count() int {
	n := 0
	for range g.all() {
		n++
	}
	return n
}

// ownNetworks lists the machine's addresses with their networks. Loopback has no broadcast, so its network counts as
// the address alone.
func ownNetworks() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if p.Addr().IsLoopback() {
			p = single(p.Addr())
		}
		out = append(out, p)
	}
	return out
}
