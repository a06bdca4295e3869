package lines_test

import (
	"net/netip"
	"testing"

	"communewatch/deploy/lab/lines"
	"communewatch/probes"
	"communewatch/probes/bind"
)

// TestIPv6 repeats the essentials over IPv6, with a router in between.
func TestIPv6(t *testing.T) {
	lines.Need(t)
	for mode, open := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			const pings = 200
			onCalmMachine(t, func(v *verdict) {
				site, router, far := lines.New(t).IPv6(t), lines.New(t).IPv6(t).Router(t), lines.New(t).IPv6(t)
				site.Cable(t, "wan", "fd00:1::2/64", router, "site", "fd00:1::1/64")
				router.Cable(t, "on", "fd00:2::1/64", far, "far", "fd00:2::2/64")
				site.Route(t, "::/0", "fd00:1::1", "wan", 1)
				far.Route(t, "::/0", "fd00:2::1", "far", 1)
				site.AllowPing(t, open)
				far.Filter(t, `table ip6 truth { counter requests {}; counter dropped {};
				chain in { type filter hook input priority 0; icmpv6 type echo-request counter name requests
					icmpv6 type echo-request numgen inc mod 20 10-12 counter name dropped drop; }; }`)
				b := bind.Binding{Path: probes.PathBroadband, Device: "wan", Source: netip.MustParseAddr("fd00:1::2")}
				o := options(pings)
				o.DFSize = 1500
				r := ping(t, site, "fd00:2::2", b, o)
				truth := far.Counters(t)
				if r.Outcome != "ok" || r.count("sent") != pings || r.count("lost") != 30 || r.Fields["df_ok"] != 1 {
					v.Errorf("got %v", r)
				}
				if truth["requests"] < pings || truth["dropped"] < 30 {
					v.Errorf("counted %v", truth)
				}
				o.DFSize, o.Count = 1501, 5
				if r := ping(t, site, "fd00:2::2", b, o); r.Fields["df_ok"] != 0 || r.count("sent") != 5 {
					v.Errorf("1501 bytes: got %v", r)
				}

				var proof probes.Proof
				var seen netip.Addr
				err := site.Do(func() (err error) {
					proof, seen, err = bind.Prove(t.Context(), b, netip.MustParseAddr("fd00:2::2"), bind.Hop{TTL: 1, Expect: prefixes("fd00:1::/64")})
					return err
				})
				if err != nil || proof != probes.ProofProved || seen != netip.MustParseAddr("fd00:1::1") {
					v.Errorf("got %s by %v, %v", proof, seen, err)
				}
			})
		})
	}
}
