package bind

import (
	"context"
	"net/netip"
	"time"

	"communewatch/probes"
)

// Hop says which router on the way proves the path: the one at which packets with the given TTL (hop limit in IPv6)
// run out. The zero Hop proves nothing and asks nobody.
//
// Where the machine has one network card for all lines, TTL 2 is typical: hop 1 is the site's own router, and hop 2
// is the first router of the provider whose line was chosen.
type Hop struct {
	TTL    int            // 1 to 255; 0 for no such check
	Expect []netip.Prefix // a router with one of these addresses proves the path
	Refuse []netip.Prefix // a router with one of these addresses belongs to another path
}

const (
	// proveTries and proveWait bound Prove. Routers limit the rate of their ICMP errors, so one try is too few; a
	// first hop that takes a second is as good as silent.
	proveTries = 2
	proveWait  = time.Second

	// provePort is the first of the ports that traceroute uses, which nobody listens on, so that a destination
	// nearer than TTL answers with "port unreachable" and is known as the hop it is.
	provePort = 33434
)

// Prove sends a small UDP packet towards dst that dies at hop h.TTL, and judges the path by the router that says so;
// seen is that router, the zero Addr if none answered. It takes at most 2 s. On Linux no capability is needed;
// elsewhere the answer is Proof's.
//
// The error says why nothing could be sent; silence is not an error, since many routers are silent by design. The
// proof is valid with an error too.
func Prove(ctx context.Context, b Binding, dst netip.Addr, h Hop) (proof probes.Proof, seen netip.Addr, err error) {
	if h.TTL <= 0 {
		return b.Proof(), netip.Addr{}, nil
	}
	if h.TTL > 255 {
		return b.Proof(), netip.Addr{}, probes.Errorf(probes.OutcomeBadConfig, "hop %d: a packet can't travel further than 255 hops", h.TTL)
	}
	for try := range proveTries {
		to := netip.AddrPortFrom(dst.Unmap(), uint16(provePort+try))
		seen, err = askHop(ctx, b, to, h.TTL, proveWait)
		if seen.IsValid() || err != nil || ctx.Err() != nil {
			break
		}
	}
	return h.judge(seen, b.Proof()), seen, err
}

// judge turns the router seen into a proof. A refused one wins over an expected one: a false "proved" would hide
// that results belong to another line.
func (h Hop) judge(seen netip.Addr, otherwise probes.Proof) probes.Proof {
	switch {
	case within(h.Refuse, seen):
		return probes.ProofWrong
	case within(h.Expect, seen):
		return probes.ProofProved
	}
	return otherwise
}

func within(prefixes []netip.Prefix, a netip.Addr) bool {
	a = a.WithZone("")
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
