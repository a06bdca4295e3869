package bind_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"communewatch/probes"
	"communewatch/probes/bind"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func TestGuardLetsNothingOutOfItsBounds(t *testing.T) {
	narrow := &bind.Guard{Allow: prefixes("10.20.0.0/16", "fd00::/8")}
	wide := &bind.Guard{Allow: prefixes("0.0.0.0/0", "::/0")}
	for address, c := range map[string]struct{ narrow, wide bool }{
		"10.20.1.2":          {true, true},
		"::ffff:10.20.1.2":   {true, true},
		"fd00::1":            {true, true},
		"10.21.0.1":          {false, true},
		"203.113.131.1":      {false, true},
		"2001:db8::1":        {false, true},
		"127.0.0.1":          {},
		"::ffff:127.0.0.1":   {},
		"::1":                {},
		"0.0.0.0":            {},
		"0.1.2.3":            {},
		"::":                 {},
		"169.254.169.254":    {},
		"fe80::1":            {},
		"fe80::1%eth0":       {},
		"224.0.0.251":        {},
		"ff02::fb":           {},
		"255.255.255.255":    {},
		"64:ff9b::127.0.0.1": {},
		"2002:7f00:1::1":     {},
	} {
		a := netip.MustParseAddr(address)
		for name, g := range map[string]struct {
			guard *bind.Guard
			want  bool
		}{"narrow": {narrow, c.narrow}, "wide": {wide, c.wide}} {
			err := g.guard.Check(a)
			if (err == nil) != g.want {
				t.Errorf("%s, %s guard: %v", address, name, err)
			}
			if err != nil && (probes.OutcomeOf(err) != probes.OutcomeBadConfig || !strings.Contains(err.Error(), "forbidden")) {
				t.Errorf("%s: %v with outcome %v", address, err, probes.OutcomeOf(err))
			}
		}
		if err := (*bind.Guard)(nil).Check(a); err != nil {
			t.Errorf("%s: nobody guards, and still %v", address, err)
		}
	}
}

func TestGuardContainsWholeNetworks(t *testing.T) {
	g := &bind.Guard{Allow: prefixes("10.20.0.0/16")}
	for p, want := range map[string]bool{"10.20.3.0/24": true, "10.20.0.0/16": true, "10.0.0.0/8": false, "10.21.0.0/24": false, "127.0.0.0/24": false, "0.0.0.0/0": false} {
		if got := g.Contains(netip.MustParsePrefix(p)); got != want {
			t.Errorf("%s: %v", p, got)
		}
	}
}

// rebinding is a name server that leads every name to one address.
func rebinding(t *testing.T, to [4]byte) func(context.Context, string, string) ([]netip.Addr, error) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			q.Response, q.Additionals = true, nil
			if q.Questions[0].Type == dnsmessage.TypeA {
				q.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: to}}}
			}
			if answer, err := q.Pack(); err == nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	}()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
	return r.LookupNetIP
}

// A name of a harmless look leads into a forbidden network: nothing is sent there.
func TestNamesDoNotLeadAroundTheGuard(t *testing.T) {
	for _, to := range [][4]byte{{127, 0, 0, 1}, {10, 99, 0, 1}, {169, 254, 169, 254}} {
		b := bind.Binding{Path: probes.PathLAN, Guard: &bind.Guard{Allow: prefixes("10.20.0.0/16"), Lookup: rebinding(t, to)}}
		_, err := b.Resolve(t.Context(), "ip4", "portal.test.", 5*time.Second)
		if probes.OutcomeOf(err) != probes.OutcomeBadConfig || !strings.Contains(err.Error(), "portal.test") {
			t.Errorf("%v: %v", to, err)
		}
	}
	b := bind.Binding{Path: probes.PathLAN, Guard: &bind.Guard{Allow: prefixes("10.20.0.0/16"), Lookup: rebinding(t, [4]byte{10, 20, 0, 7})}}
	if a, err := b.Resolve(t.Context(), "ip4", "portal.test.", 5*time.Second); err != nil || a.String() != "10.20.0.7" {
		t.Errorf("%v, %v", a, err)
	}
}

// Whatever a probe dials, the guard stands at the socket.
func TestGuardedSocketsDoNotConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := bind.Binding{Path: probes.PathLAN, Guard: &bind.Guard{Allow: prefixes("0.0.0.0/0")}}
	for _, network := range []string{"tcp", "udp"} {
		_, err := b.Dialer(network, time.Second).DialContext(t.Context(), network, l.Addr().String())
		var own *probes.Error
		if !errors.As(err, &own) || own.Outcome != probes.OutcomeBadConfig {
			t.Errorf("%s: %v", network, err)
		}
	}
	b.Guard.Loopback = true
	c, err := b.Dialer("tcp", time.Second).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
