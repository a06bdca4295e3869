package lines

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Need skips the test unless it can build networks here.
func Need(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for network namespaces: run as root (`make test` says how)")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs the command nft for packet filters and counters: install the package nftables")
	}
}

// Space is a host of its own: a network namespace. It speaks IPv4 only until IPv6 is called, so that nothing is
// sent but what the test sends.
type Space struct {
	handle netns.NsHandle
	links  *netlink.Handle
	cables int
}

// New makes a host. It goes away when the test ends.
func New(t testing.TB) *Space {
	t.Helper()
	s := &Space{}
	err := onThread(func() error {
		var err error
		if s.handle, err = netns.New(); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		s.links, err = netlink.NewHandle()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.links.Close()
		_ = s.handle.Close()
	})
	s.Sysctl(t, "net/ipv6/conf/all/disable_ipv6", "1")
	s.Sysctl(t, "net/ipv6/conf/default/disable_ipv6", "1")
	// Replies may come in by another line than the one that the route back would take; tests look at counters, not
	// at what the kernel thinks of it.
	s.Sysctl(t, "net/ipv4/conf/all/rp_filter", "0")
	s.Sysctl(t, "net/ipv4/conf/default/rp_filter", "0")
	s.Sysctl(t, "net/ipv4/icmp_ratelimit", "0")
	s.Up(t, "lo")
	return s
}

// onThread runs f on a thread of its own. The thread is never given back, since f may have moved it to another
// namespace; it ends with its goroutine.
func onThread(f func() error) error {
	failed := make(chan error, 1)
	go func() {
		err := errors.New("the function left its goroutine")
		defer func() { failed <- err }()
		runtime.LockOSThread()
		err = f()
	}()
	return <-failed
}

// Do runs f on this host and waits for it. Sockets, commands and files under /proc/sys that f itself opens are
// the host's; goroutines that f starts are not on it. f must not call t.Fatal.
func (s *Space) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(s.handle); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return f()
	})
}

// Sysctl sets a kernel parameter of the host, named by its path under /proc/sys.
func (s *Space) Sysctl(t testing.TB, name, value string) {
	t.Helper()
	err := s.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644) })
	if err != nil {
		t.Fatal(err)
	}
}

// Router lets the host pass packets on.
func (s *Space) Router(t testing.TB) *Space {
	t.Helper()
	s.Sysctl(t, "net/ipv4/ip_forward", "1")
	s.Sysctl(t, "net/ipv6/conf/all/forwarding", "1")
	return s
}

// IPv6 switches IPv6 on, for devices made later. Addresses are usable at once, without looking for duplicates.
func (s *Space) IPv6(t testing.TB) *Space {
	t.Helper()
	for _, which := range []string{"all", "default"} {
		s.Sysctl(t, "net/ipv6/conf/"+which+"/accept_dad", "0")
		s.Sysctl(t, "net/ipv6/conf/"+which+"/disable_ipv6", "0")
	}
	s.Sysctl(t, "net/ipv6/icmp/ratelimit", "0")
	return s
}

// AllowPing opens ping sockets to everybody on the host, or closes them to everybody.
func (s *Space) AllowPing(t testing.TB, allow bool) {
	t.Helper()
	groups := "1 0"
	if allow {
		groups = "0 2147483647"
	}
	s.Sysctl(t, "net/ipv4/ping_group_range", groups)
}

// Cable connects device name on s with device peerName on peer. The addresses are prefixes such as 10.1.0.2/24.
func (s *Space) Cable(t testing.TB, name, address string, peer *Space, peerName, peerAddress string) {
	t.Helper()
	s.cables++
	err := s.links.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, MTU: 1500, Index: firstIndex + s.cables}, PeerName: peerName,
		PeerNamespace: netlink.NsFd(int(peer.handle)), PeerMTU: 1500,
	})
	if err != nil {
		t.Fatalf("lay a cable %s - %s: %v", name, peerName, err)
	}
	s.Address(t, name, address)
	peer.Address(t, peerName, peerAddress)
	s.Up(t, name)
	peer.Up(t, peerName)
	s.awaitSignal(t, name)
	peer.awaitSignal(t, peerName)
}

// firstIndex keeps the numbers of the two ends of a cable apart. The kernel defers the news that a device has a
// signal by up to a second, and drops what is sent till then, unless the device's number differs from its peer's.
const firstIndex = 1000

// awaitSignal waits until the kernel lets packets out of a device.
func (s *Space) awaitSignal(t testing.TB, device string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if s.link(t, device).Attrs().OperState == netlink.OperUp {
			return
		}
	}
	t.Fatalf("device %s has had no signal for 10 s", device)
}

// Address gives a device of the host an address.
func (s *Space) Address(t testing.TB, device, address string) {
	t.Helper()
	addr, err := netlink.ParseAddr(address)
	if err == nil {
		err = s.links.AddrAdd(s.link(t, device), addr)
	}
	if err != nil {
		t.Fatalf("give %s the address %s: %v", device, address, err)
	}
}

func (s *Space) link(t testing.TB, device string) netlink.Link {
	t.Helper()
	l, err := s.links.LinkByName(device)
	if err != nil {
		t.Fatalf("find device %s: %v", device, err)
	}
	return l
}

// Up switches a device of the host on.
func (s *Space) Up(t testing.TB, device string) {
	t.Helper()
	if err := s.links.LinkSetUp(s.link(t, device)); err != nil {
		t.Fatalf("switch %s on: %v", device, err)
	}
}

// Down switches a device of the host off; at the other end of its cable that is a loss of signal. Routes over the
// device are gone for good.
func (s *Space) Down(t testing.TB, device string) {
	t.Helper()
	if err := s.links.LinkSetDown(s.link(t, device)); err != nil {
		t.Fatalf("switch %s off: %v", device, err)
	}
}

// MTU sets the largest packet that a device of the host takes, in bytes.
func (s *Space) MTU(t testing.TB, device string, mtu int) {
	t.Helper()
	if err := s.links.LinkSetMTU(s.link(t, device), mtu); err != nil {
		t.Fatalf("set the MTU of %s: %v", device, err)
	}
}

// Sent is the number of packets that a device of the host has sent.
func (s *Space) Sent(t testing.TB, device string) uint64 {
	t.Helper()
	return s.link(t, device).Attrs().Statistics.TxPackets
}

// Route adds a route to prefix by a router. Of several to the same prefix that with the lowest metric is used.
func (s *Space) Route(t testing.TB, prefix, router, device string, metric int) {
	t.Helper()
	dst, gw := netip.MustParsePrefix(prefix), netip.MustParseAddr(router)
	err := s.links.RouteAdd(&netlink.Route{
		LinkIndex: s.link(t, device).Attrs().Index, Priority: metric, Gw: gw.AsSlice(),
		Dst: &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen())},
	})
	if err != nil {
		t.Fatalf("add a route to %s by %s: %v", prefix, router, err)
	}
}

// Filter loads packet filter rules, in the language of nft.
func (s *Space) Filter(t testing.TB, rules string) {
	t.Helper()
	if _, err := s.run("nft", rules, "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// Counters returns the packets that each named counter of the host's filter has seen.
func (s *Space) Counters(t testing.TB) map[string]int {
	t.Helper()
	out, err := s.run("nft", "", "-j", "list", "counters")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Nftables []struct {
			Counter *struct {
				Name    string
				Packets int
			}
		}
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("read counters: %v", err)
	}
	counters := map[string]int{}
	for _, o := range answer.Nftables {
		if o.Counter != nil {
			counters[o.Counter.Name] = o.Counter.Packets
		}
	}
	return counters
}

// Command runs a command on the host.
func (s *Space) Command(t testing.TB, name string, args ...string) {
	t.Helper()
	if _, err := s.run(name, "", args...); err != nil {
		t.Fatal(err)
	}
}

// run runs a command on the host with input on its standard input.
func (s *Space) run(name, input string, args ...string) (out []byte, err error) {
	err = s.Do(func() error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(input)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		var err error
		if out, err = cmd.Output(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, stderr.String())
		}
		return nil
	})
	return out, err
}
