package assign

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"communewatch/probes"
)

// parsePrefix reads an address or a prefix.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%.60q is neither an address nor a prefix such as 10.1.0.0/16", s)
	}
	return p.Masked(), nil
}

// never lists what no check may speak to that was planned from afar, whatever a plan allows, with what it is.
func never() []struct {
	prefix netip.Prefix
	what   string
} {
	type entry = struct {
		prefix netip.Prefix
		what   string
	}
	p := netip.MustParsePrefix
	return []entry{
		{p("127.0.0.0/8"), "the agent's own machine"}, {p("::1/128"), "the agent's own machine"},
		{p("0.0.0.0/8"), "no address of anybody"}, {p("::/128"), "no address of anybody"},
		{p("169.254.0.0/16"), "link-local"}, {p("fe80::/10"), "link-local"},
		{p("224.0.0.0/4"), "multicast"}, {p("ff00::/8"), "multicast"},
		{p("255.255.255.255/32"), "broadcast"},
		{p("64:ff9b::/96"), "an address behind a translator"}, {p("2002::/16"), "an address behind a tunnel"}, // either could hide any of the others
	}
}

// wholly says what a prefix is of which no address may be spoken to; "" where some may.
func wholly(p netip.Prefix) string {
	for _, n := range never() {
		if n.prefix.Bits() <= p.Bits() && n.prefix.Contains(p.Addr()) {
			return n.what
		}
	}
	return ""
}

// forbiddenPrefix says what of a prefix no check may speak to; "" for nothing.
func forbiddenPrefix(p netip.Prefix) string {
	for _, n := range never() {
		if p.Overlaps(n.prefix) {
			return n.what
		}
	}
	return ""
}

// place is what a check speaks to.
type place struct {
	at   string // below the check: "address" or "options.gatekeeper_address"
	text string
	net  bool // a prefix, and not a host
}

// places lists what a check speaks to, as far as it says.
func places(kind probes.Kind, address string, options map[string]any) []place {
	var out []place
	add := func(at, text string) { out = append(out, place{at: at, text: text}) }
	switch kind {
	case probes.KindMachine:
	case probes.KindDNS: // asks about the address
		resolvers, _ := options["resolvers"].([]any)
		for i, r := range resolvers {
			if m, ok := r.(map[string]any); ok {
				text, _ := m["address"].(string)
				add(fmt.Sprintf("options.resolvers[%d].address", i), hostOf(text))
			}
		}
	case probes.KindSweep:
		out = append(out, place{at: "address", text: address, net: true})
		allow, _ := options["allow"].([]any)
		for i, a := range allow {
			text, _ := scalarText(a)
			out = append(out, place{at: fmt.Sprintf("options.allow[%d]", i), text: text, net: true})
		}
	case probes.KindHTTP, probes.KindWebRTC:
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			add("address", "")
		} else {
			add("address", u.Hostname())
		}
	case probes.KindSIP, probes.KindSTUN:
		text := address
		for _, scheme := range []string{"sip:", "sips:", "stun:", "stuns:"} {
			if len(text) > len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
				text = text[len(scheme):]
				break
			}
		}
		text, _, _ = strings.Cut(text, ";")
		text, _, _ = strings.Cut(text, "?")
		if _, after, ok := strings.Cut(text, "@"); ok {
			text = after
		}
		add("address", hostOf(text))
	case probes.KindH323:
		add("address", hostOf(address))
		if text, ok := options["gatekeeper_address"].(string); ok && text != "" {
			add("options.gatekeeper_address", hostOf(text))
		}
	default:
		add("address", hostOf(address))
	}
	return out
}

// hostOf takes a port off.
func hostOf(text string) string {
	if _, err := netip.ParseAddr(text); err == nil {
		return text // IPv6 without brackets
	}
	if h, _, err := net.SplitHostPort(text); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
}

// refuses says why the plan does not let a check speak to a place; "" where it does. Of names only agents can tell.
func (p *Plan) refuses(at place) string {
	if at.net {
		prefix, err := parsePrefix(at.text)
		if err != nil {
			return err.Error()
		}
		return p.refusesPrefix(prefix)
	}
	if a, err := netip.ParseAddr(at.text); err == nil {
		if a.Zone() != "" {
			return fmt.Sprintf("%s is link-local, which no check from here may speak to", a)
		}
		a = a.Unmap()
		return p.refusesPrefix(netip.PrefixFrom(a, a.BitLen()))
	}
	name := strings.TrimSuffix(strings.ToLower(at.text), ".")
	switch {
	case !host(at.text):
		return fmt.Sprintf("%.60q is neither an IP address nor a name that can be looked up", at.text)
	case p.loopback:
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		return fmt.Sprintf("%.60q is the agent's own machine, which no check from here may speak to", at.text)
	}
	return ""
}

func (p *Plan) refusesPrefix(prefix netip.Prefix) string {
	text := prefix.String()
	if prefix.IsSingleIP() {
		text = prefix.Addr().String()
	}
	if p.loopback && prefix.Addr().IsLoopback() {
		return ""
	}
	if why := forbiddenPrefix(prefix); why != "" {
		return fmt.Sprintf("%s is %s, which no check from here may speak to", text, why)
	}
	if !slices.ContainsFunc(p.allow, func(a netip.Prefix) bool { return a.Bits() <= prefix.Bits() && a.Contains(prefix.Addr()) }) {
		return fmt.Sprintf("%s lies in none of the networks that the plan allows (%s); add it under allow if it is meant", text, prefixes(p.allow))
	}
	return ""
}

func prefixes(list []netip.Prefix) string {
	const shown = 6
	var words []string
	for _, p := range list[:min(len(list), shown)] {
		words = append(words, p.String())
	}
	if len(list) > shown {
		words = append(words, "...")
	}
	return strings.Join(words, ", ")
}
