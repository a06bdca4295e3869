package doors

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"communewatch/collector/authority"
)

// maxAgentAddresses is what a join code has room for.
const maxAgentAddresses = 3

// Reach is how a collector is reached, as far as it can know by itself.
type Reach struct {
	Listen string   // address:port
	Names  []string // host names and addresses that the settings give
	URLs   []string // https://host:port that the settings give to agents
}

// AgentAddresses are the addresses that join codes give to agents: those of the settings, or else https and the port
// under the names of the settings, the host's full name and its own addresses.
func (r Reach) AgentAddresses() []string {
	if len(r.URLs) > 0 {
		return r.URLs
	}
	host, port, err := net.SplitHostPort(r.Listen)
	if err != nil {
		return nil
	}
	names := slices.Clone(r.Names)
	if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() || err != nil && host != "" {
		names = append(names, host)
	} else {
		if own := hostName(); strings.Contains(own, ".") {
			names = append(names, own)
		}
		names = append(names, ownAddresses()...)
	}
	var out []string
	for _, n := range names {
		a := "https://" + net.JoinHostPort(n, port)
		if len(out) < maxAgentAddresses && !slices.Contains(out, a) && authority.CheckAddresses([]string{a}) == nil {
			out = append(out, a)
		}
	}
	return out
}

// ServerNames are the names that the collector's certificate is made for: all under which it might be asked for.
func (r Reach) ServerNames() []string {
	names := slices.Clone(r.Names)
	if host, _, err := net.SplitHostPort(r.Listen); err == nil {
		names = append(names, host)
	}
	for _, text := range r.URLs {
		if u, err := url.Parse(text); err == nil {
			names = append(names, u.Hostname())
		}
	}
	names = append(names, hostName(), "localhost", "127.0.0.1", "::1")
	names = append(names, ownAddresses()...)
	var out []string
	for _, n := range names {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if a, err := netip.ParseAddr(n); err == nil && a.IsUnspecified() || !authority.CheckName(n) || slices.Contains(out, n) {
			continue
		}
		out = append(out, n)
	}
	return out
}

// hostName is the machine's name, "" where the system does not say.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// ownAddresses are the machine's IPv4 addresses. Those of IPv6 come and go by themselves, and a certificate would have to
// be made each time.
func ownAddresses() (out []string) {
	const most = 8
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() && len(out) < most {
			out = append(out, p.Addr().String())
		}
	}
	return out
}
