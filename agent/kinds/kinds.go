// Package kinds is the one table of the kinds of checks that an agent can run: how the options of each are decoded,
// checked and made into a probe.
package kinds

import (
	"net"
	"net/url"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/dns"
	"communewatch/probes/h323"
	"communewatch/probes/http"
	"communewatch/probes/icmp"
	"communewatch/probes/machine"
	"communewatch/probes/settings"
	"communewatch/probes/sip"
	"communewatch/probes/snmp"
	"communewatch/probes/stun"
	"communewatch/probes/sweep"
	"communewatch/probes/tcp"
	"communewatch/probes/webrtc"
)

// Kind is a kind of probe as far as settings are concerned: it decodes the options of a check strictly over the kind's
// defaults.
type Kind func(doc *settings.Doc, n settings.Node, at string) Options

// Options is the options of one check, whatever its kind.
type Options struct {
	Bound    time.Duration // the longest a run may take by its own timeouts
	Interval time.Duration // of a check that says none; 0: the config's default
	Validate func(t probes.Target, problem func(at, format string, args ...any))
	Open     func(t probes.Target, b bind.Binding) (probes.Probe, error)
	Hosts    func(address string) []string // the hosts that packets go to: a path is proved for each
	Allow    []string                      // networks that a sweep may look through
}

// Table is the kinds that checks can be of. The snmp checks among them share the kit: they learn from each other.
func Table(kit *snmp.Kit) map[probes.Kind]Kind {
	return map[probes.Kind]Kind{
		probes.KindICMP: kindOf(icmp.DefaultOptions, icmp.New, func(address string, _ icmp.Options) []string { return []string{address} }),
		probes.KindTCP: kindOf(tcp.DefaultOptions, tcp.New, func(address string, _ tcp.Options) []string {
			host, _, _ := net.SplitHostPort(address)
			return []string{host}
		}),
		probes.KindDNS: kindOf(dns.DefaultOptions, dns.New, func(_ string, o dns.Options) []string { return o.Hosts() }),
		probes.KindHTTP: kindOf(http.DefaultOptions, http.New, func(address string, _ http.Options) []string {
			u, err := url.Parse(address)
			if err != nil {
				return nil
			}
			return []string{u.Hostname()}
		}),
		probes.KindMachine: kindOf(machine.DefaultOptions, machine.New, func(string, machine.Options) []string { return nil }),
		probes.KindSNMP: kindOf(snmp.DefaultOptions, kit.New, func(address string, _ snmp.Options) []string {
			full, _ := snmp.Address(address)
			host, _, _ := net.SplitHostPort(full)
			return []string{host}
		}),
		probes.KindSweep: kindOf(sweep.DefaultOptions, openSweep, func(address string, o sweep.Options) []string { return o.Hosts(address) }),
		probes.KindSIP:   kindOf(sip.DefaultOptions, sip.New, func(address string, _ sip.Options) []string { return []string{sip.Host(address)} }),
		probes.KindSTUN:  kindOf(stun.DefaultOptions, stun.New, func(address string, _ stun.Options) []string { return []string{stun.Host(address)} }),
		probes.KindH323:  kindOf(h323.DefaultOptions, h323.New, func(address string, o h323.Options) []string { return o.Hosts(address) }),
		probes.KindWebRTC: kindOf(webrtc.DefaultOptions, webrtc.New, func(address string, _ webrtc.Options) []string {
			u, err := url.Parse(address)
			if err != nil {
				return nil
			}
			return []string{u.Hostname()}
		}),
	}
}

// probeOptions is what the options of all kinds have in common.
type probeOptions interface {
	Bound() time.Duration
	Validate(t probes.Target, problem func(at, format string, args ...any))
}

func kindOf[O probeOptions](
	defaults func() O,
	open func(probes.Target, bind.Binding, O) (probes.Probe, error),
	hosts func(address string, o O) []string,
) Kind {
	return func(doc *settings.Doc, n settings.Node, at string) Options {
		o := defaults()
		doc.Decode(n, at, &o)
		var interval time.Duration
		if own, ok := any(o).(interface{ Interval() time.Duration }); ok {
			interval = own.Interval() // of a kind that runs seldom
		}
		var allow []string
		if s, ok := any(o).(sweep.Options); ok {
			allow = s.Allow
		}
		return Options{
			Allow:    allow,
			Bound:    o.Bound(),
			Interval: interval,
			Validate: o.Validate,
			Open:     func(t probes.Target, b bind.Binding) (probes.Probe, error) { return open(t, b, o) },
			Hosts:    func(address string) []string { return hosts(address, o) },
		}
	}
}
