package sweep

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"communewatch/probes/fingerprint"
	"communewatch/probes/snmp/ask"

	"golang.org/x/sys/unix"
)

// TestNothingElseIsOnTheWire listens on loopback itself while a sweep runs that is tempted to go elsewhere: by a
// redirect, and by prefixes that are allowed but not swept. Only the kernel's word counts.
func TestNothingElseIsOnTheWire(t *testing.T) {
	wire, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IP)))
	if err != nil {
		t.Skip("listening on the wire needs CAP_NET_RAW:", err)
	}
	defer unix.Close(wire)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	if err := unix.Bind(wire, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: lo.Index}); err != nil {
		t.Fatal(err)
	}
	_ = unix.SetsockoptInt(wire, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	_ = unix.SetsockoptTimeval(wire, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})

	// 127.77.0.0/16 is this test's own: nobody else on this machine uses it.
	ours := netip.MustParsePrefix("127.77.0.0/16")
	port := serve(t, "127.77.1.11:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.77.9.9/", http.StatusFound)
	}))
	o := options("127.77.1.0/24", "127.77.2.0/24")
	o.Knock, o.Exclude, o.Timeout = []uint16{port}, []string{"127.77.1.12/31"}, 300*time.Millisecond
	o.Ports = fingerprint.DefaultPorts()
	o.Ports[fingerprint.HTTP] = []uint16{port}
	p := newProbe(t, "127.77.1.8/29", o, SNMP{Open: func(ctx context.Context, host netip.Addr) (ask.Device, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "udp", netip.AddrPortFrom(host, 161).String())
		if err != nil {
			return nil, err
		}
		defer c.Close()
		c.Write([]byte("gate"))
		return nil, errors.New("silent")
	}})
	points, err := p.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(byAddress(devices(t, points))); n != 4 {
		t.Errorf("%d hosts, want 4: those of a /29 without its ends and without two", n)
	}

	seen := map[netip.Addr]int{}
	packet := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(wire, packet, 0)
		if err != nil {
			break // nothing more within the time set above
		}
		if n < 20 {
			continue
		}
		if to := netip.AddrFrom4([4]byte(packet[16:20])); ours.Contains(to) {
			seen[to]++
		}
	}
	want := []string{"127.77.1.9", "127.77.1.10", "127.77.1.11", "127.77.1.14"}
	for to, n := range seen {
		if !slices.Contains(want, to.String()) {
			t.Errorf("%d packets to %s", n, to)
		}
	}
	for _, to := range want {
		if seen[netip.MustParseAddr(to)] < len(fingerprint.Services())-1 {
			t.Errorf("only %d packets to %s: the listening says little", seen[netip.MustParseAddr(to)], to)
		}
	}
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }
