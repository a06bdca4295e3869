package bind

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name    string
		binding Binding
		want    string // part of the error; "" for none
	}{
		{"nothing to check", Binding{}, ""},
		{"loopback source", Binding{Source: netip.MustParseAddr("127.0.0.1")}, ""},
		{"another loopback source", Binding{Source: netip.MustParseAddr("127.9.8.7")}, ""},
		{"source that is not ours", Binding{Path: probes.PathBroadband, Source: netip.MustParseAddr("192.0.2.77")}, "source address 192.0.2.77 of path broadband is not on any network device"},
		{"no such device", Binding{Path: probes.PathDedicated, Device: "nosuchdev0"}, `network device "nosuchdev0"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.binding.Check()
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if probes.OutcomeOf(err) != probes.OutcomeUnbound || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want outcome unbound and %q", err, tt.want)
			}
		})
	}
}

func TestDialerFailsClosed(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		b := Binding{Path: probes.PathDedicated, Device: "nosuchdev0"}
		c, err := b.Dialer(network, time.Second).DialContext(t.Context(), network, "127.0.0.1:9")
		if err == nil {
			_ = c.Close()
		}
		if probes.OutcomeOf(err) != probes.OutcomeUnbound {
			t.Errorf("%s: got %v, want outcome unbound", network, err)
		}
	}
}

func TestDialerUsesSource(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := Binding{Source: netip.MustParseAddr("127.4.5.6")}
	c, err := b.Dialer("tcp", time.Second).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Skip("this system has no loopback addresses but one:", err)
	}
	defer c.Close()
	if host, _, _ := net.SplitHostPort(c.LocalAddr().String()); host != "127.4.5.6" {
		t.Errorf("connected from %s", host)
	}
}

func TestHopJudge(t *testing.T) {
	hop := Hop{TTL: 2,
		Expect: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fe80::/10")},
		Refuse: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("10.1.9.0/24")},
	}
	for _, tt := range []struct {
		seen string
		want probes.Proof
	}{
		{"10.1.2.3", probes.ProofProved}, {"10.2.2.3", probes.ProofWrong}, {"10.1.9.1", probes.ProofWrong},
		{"10.3.0.1", probes.ProofBound}, {"fe80::1%eth0", probes.ProofProved}, {"2001:db8::1", probes.ProofBound},
	} {
		if got := hop.judge(netip.MustParseAddr(tt.seen), probes.ProofBound); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.seen, got, tt.want)
		}
	}
	if got := hop.judge(netip.Addr{}, probes.ProofUnproven); got != probes.ProofUnproven {
		t.Errorf("silence: got %s", got)
	}
}

func TestProveRefusesAbsurdHop(t *testing.T) {
	proof, _, err := Prove(t.Context(), Binding{}, netip.MustParseAddr("127.0.0.1"), Hop{TTL: 256})
	if proof != probes.ProofUnproven || probes.OutcomeOf(err) != probes.OutcomeBadConfig {
		t.Errorf("got %s, %v", proof, err)
	}
}

func TestProveStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	proof, seen, err := Prove(ctx, Binding{}, netip.MustParseAddr("127.0.0.1"), Hop{TTL: 1})
	if canBindDevice && (proof != probes.ProofUnproven || seen.IsValid() || !errors.Is(err, context.Canceled)) {
		t.Errorf("got %s, %v, %v", proof, seen, err)
	}
}

func TestResolve(t *testing.T) {
	b := Binding{Path: probes.PathLAN}
	for _, literal := range []string{"192.0.2.1", "2001:db8::1", "fe80::1%lo"} {
		if a, err := b.Resolve(t.Context(), "", literal, time.Second); err != nil || a.String() != literal {
			t.Errorf("%s: got %v, %v", literal, a, err)
		}
	}
	if a, err := b.Resolve(t.Context(), "", "::ffff:192.0.2.1", time.Second); err != nil || a.String() != "192.0.2.1" {
		t.Errorf("mapped address: got %v, %v", a, err)
	}
	// The hosts file is read before any server is asked.
	if a, err := b.Resolve(t.Context(), "ip4", "localhost", time.Second); err != nil || !a.IsLoopback() {
		t.Errorf("localhost: got %v, %v", a, err)
	}
	// "invalid" never exists (RFC 6761), and a path without its device can't ask anyway.
	b.Device = "nosuchdev0"
	if _, err := b.Resolve(t.Context(), "", "host.invalid", time.Second); probes.OutcomeOf(err) != probes.OutcomeUnresolved {
		t.Errorf("host.invalid: got %v", err)
	}
}
