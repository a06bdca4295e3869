package kinds_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/agent/kinds"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/settings"
	"communewatch/probes/snmp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trap listens on one port of this machine, by TCP and UDP, and counts what arrives.
func trap(t *testing.T) (address string, touched *atomic.Int32) {
	t.Helper()
	touched = new(atomic.Int32)
	for range 20 { // until the same port is free for both
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close()
			continue
		}
		t.Cleanup(func() { l.Close(); u.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				touched.Add(1)
				c.Close()
			}
		}()
		go func() {
			for buf := make([]byte, 2048); ; {
				if _, _, err := u.ReadFrom(buf); err != nil {
					return
				}
				touched.Add(1)
			}
		}()
		return l.Addr().String(), touched
	}
	t.Fatal("no port is free for TCP and UDP")
	return "", nil
}

// document is the options of one check.
type document struct {
	Options settings.Node `yaml:"options"`
}

// Every kind that sends anything asks the guard, whether the forbidden address is given as a number or found by a name.
func TestEveryKindKeepsToTheGuard(t *testing.T) {
	address, touched := trap(t)
	_, port, _ := net.SplitHostPort(address)
	host := map[string]string{"number": "127.0.0.1", "name": "portal.test"}
	checks := map[probes.Kind]struct{ address, options string }{
		probes.KindICMP:   {"HOST", "{count: 1, wait: 100ms}"},
		probes.KindTCP:    {"HOST:PORT", "{timeout: 1s}"},
		probes.KindDNS:    {"a.test", "{resolvers: [{name: r, address: '127.0.0.1:PORT'}], timeout: 500ms, tries: 1}"},
		probes.KindHTTP:   {"http://HOST:PORT/", "{timeout: 1s}"},
		probes.KindSNMP:   {"HOST:PORT", "{community: c, timeout: 200ms, retries: 0, deadline: 5s}"},
		probes.KindSIP:    {"HOST:PORT", "{timeout: 1s}"},
		probes.KindSTUN:   {"HOST:PORT", "{timeout: 1s}"},
		probes.KindH323:   {"HOST:PORT", "{timeout: 1s}"},
		probes.KindWebRTC: {"http://HOST:PORT/whip", "{token: x, timeout: 1s, allow_plaintext: true}"},
		probes.KindSweep:  {"127.0.0.0/30", "{allow: [127.0.0.0/30], timeout: 200ms, rate: 100}"},
	}
	for kind, open := range kinds.Table(snmp.NewKit()) {
		if kind == probes.KindMachine {
			continue // sends nothing
		}
		c, ok := checks[kind]
		if !ok {
			t.Errorf("%s is not looked at: does it ask the guard?", kind)
			continue
		}
		for how, host := range host {
			t.Run(fmt.Sprintf("%s/%s", kind, how), func(t *testing.T) {
				fill := strings.NewReplacer("HOST", host, "PORT", port).Replace
				var d document
				doc := settings.Read("test.yaml", []byte("options: "+fill(c.options)), &d)
				o := open(doc, d.Options, "options")
				if err := doc.Err(); err != nil {
					t.Fatal(err)
				}
				target := probes.Target{Name: "x", Kind: kind, Path: probes.PathLAN, Layer: probes.LayerOf(kind, probes.PathLAN), Address: fill(c.address)}
				guard := &bind.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
					Lookup: func(context.Context, string, string) ([]netip.Addr, error) {
						return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
					}}
				probe, err := o.Open(target, bind.Binding{Path: probes.PathLAN, Guard: guard})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				before := touched.Load()
				_, err = probe.Probe(ctx)
				if kind != probes.KindSweep && (probes.OutcomeOf(err) != probes.OutcomeBadConfig || !strings.Contains(err.Error(), "forbidden")) {
					t.Errorf("the run came to %v: %v", probes.OutcomeOf(err), err)
				}
				if n := touched.Load() - before; n > 0 {
					t.Errorf("%d packets and connections came through", n)
				}
			})
		}
	}
}
