// Package reach says what a check speaks to, as far as its settings tell, and whether it may. What no check may speak to
// that was planned from afar is the agent's own machine, its link and groups: what listens there relies on nobody from
// outside reaching it. Names are looked up by agents alone, which guard every socket.
package reach

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"communewatch/probes"
)

// Prefix reads an address or a prefix.
func Prefix(s string) (netip.Prefix, error) {
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

// Wholly says what a prefix is of which no address may be spoken to; "" where some may.
func Wholly(p netip.Prefix) string {
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

// Place is what a check speaks to.
type Place struct {
	At   string // below the check: "address" or "options.gatekeeper_address"
	Text string
	Net  bool // a prefix, and not a host
}

// Places lists what a check speaks to, as far as it says.
func Places(kind probes.Kind, address string, options map[string]any) []Place {
	var out []Place
	add := func(at, text string) { out = append(out, Place{At: at, Text: text}) }
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
		out = append(out, Place{At: "address", Text: address, Net: true})
		allow, _ := options["allow"].([]any)
		for i, a := range allow {
			text, _ := a.(string)
			out = append(out, Place{At: fmt.Sprintf("options.allow[%d]", i), Text: text, Net: true})
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

// Rule is whom checks may speak to.
type Rule struct {
	Allow    []netip.Prefix
	Loopback bool // the agent's own machine too: a province on one machine
}

// Refuses says why a check may not speak to a place; "" where it may. Of names only agents can tell.
func (r *Rule) Refuses(at Place) string {
	if at.Net {
		prefix, err := Prefix(at.Text)
		if err != nil {
			return err.Error()
		}
		return r.prefix(prefix)
	}
	if a, err := netip.ParseAddr(at.Text); err == nil {
		if a.Zone() != "" {
			return fmt.Sprintf("%s is link-local, which no check from here may speak to", a)
		}
		a = a.Unmap()
		return r.prefix(netip.PrefixFrom(a, a.BitLen()))
	}
	name := strings.TrimSuffix(strings.ToLower(at.Text), ".")
	switch {
	case !Host(at.Text):
		return fmt.Sprintf("%.60q is neither an IP address nor a name that can be looked up", at.Text)
	case r.Loopback:
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		return fmt.Sprintf("%.60q is the agent's own machine, which no check from here may speak to", at.Text)
	}
	return ""
}

func (r *Rule) prefix(prefix netip.Prefix) string {
	text := prefix.String()
	if prefix.IsSingleIP() {
		text = prefix.Addr().String()
	}
	if r.Loopback && prefix.Addr().IsLoopback() {
		return ""
	}
	if why := forbiddenPrefix(prefix); why != "" {
		return fmt.Sprintf("%s is %s, which no check from here may speak to", text, why)
	}
	if !slices.ContainsFunc(r.Allow, func(a netip.Prefix) bool { return a.Bits() <= prefix.Bits() && a.Contains(prefix.Addr()) }) {
		return fmt.Sprintf("%s lies in none of the networks that the plan allows (%s); add it under allow if it is meant", text, prefixes(r.Allow))
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

// Host reports whether a text is an address or a name that can be looked up.
func Host(text string) bool {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Zone() == ""
	}
	labels := strings.Split(strings.TrimSuffix(text, "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(strings.ToLower(l), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	// Some systems read 127.1, 0x7f.1 and 2130706433 as addresses.
	last := strings.ToLower(labels[len(labels)-1])
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}
