package lab

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
)

// localChecks writes the checks of this machine and its own network: what the machine is, its gateway, reached over the device that leads
// there, and each of its name servers, asked for the root zone, which every one of them knows.
func localChecks() (string, error) {
	device, gateway, err := defaultRoute()
	if err != nil {
		return "", err
	}
	resolvers, err := nameServers("/etc/resolv.conf")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "paths: {lan: {device: %q}}\nchecks:\n", device)
	b.WriteString("  - {name: this-machine, kind: machine, path: lan}\n")
	fmt.Fprintf(&b, "  - {name: gateway, kind: icmp, path: lan, address: %q, options: {count: 5, interval: 200ms, wait: 1s}}\n", gateway)
	for i, r := range resolvers {
		fmt.Fprintf(&b, "  - {name: resolver-%d, kind: dns, path: lan, address: \".\", options: {type: NS, timeout: 2s, resolvers: [{name: resolver-%d, address: %q}]}}\n", i+1, i+1, r)
	}
	return b.String(), nil
}

// defaultRoute finds the device and the gateway that unknown destinations are sent to.
func defaultRoute() (device string, gateway netip.Addr, err error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return "", netip.Addr{}, fmt.Errorf("read the routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsUnspecified() || r.Gw == nil {
			continue
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			continue
		}
		gw, ok := netip.AddrFromSlice(r.Gw)
		if ok {
			return link.Attrs().Name, gw.Unmap(), nil
		}
	}
	return "", netip.Addr{}, fmt.Errorf("this machine has no default route")
}

// nameServers reads the addresses of a resolv.conf, at most three as the C library does.
func nameServers(file string) ([]netip.Addr, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []netip.Addr
	for sc := bufio.NewScanner(f); sc.Scan() && len(out) < 3; {
		words := strings.Fields(sc.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil && a.Zone() == "" {
			out = append(out, a)
		}
	}
	return out, nil
}
