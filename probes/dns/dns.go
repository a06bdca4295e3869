// Package dns asks resolvers one question each and looks at what they answer.
//
// Every resolver is asked separately and gets a row of its own: the system's resolver would try the next server
// when the first is dead and report only the delay. A slow or lying resolver looks to the people in the office like a
// slow line, so both the time and the answer are checked.
//
// The question goes over UDP with EDNS(0) announcing 1232 bytes (the size that fits every path unfragmented), is
// repeated with a new id when no answer comes, and over TCP when the answer was cut (RFC 1035, RFC 6891, RFC 7766).
// Answers with another id, another question or from another address are ignored, not counted.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of the options, and the defaults that are not obvious.
const (
	maxResolvers = 16
	maxTries     = 5
	maxExpect    = 32

	// udpSize is the EDNS(0) buffer size recommended since DNS flag day 2020.
	udpSize = 1232
)

// Options of a dns check. The target's address is the name to ask for.
type Options struct {
	Resolvers []Resolver    `yaml:"resolvers"` // asked one after the other
	Type      string        `yaml:"type"`      // A, AAAA, CNAME, MX, NS, PTR, TXT or SRV
	Expect    []string      `yaml:"expect"`    // addresses, prefixes or names of which each answer must match one; empty: any answer will do
	Timeout   time.Duration `yaml:"timeout"`   // for one try
	Tries     int           `yaml:"tries"`     // questions sent to one resolver before it counts as silent
}

// Resolver is one server to ask.
type Resolver struct {
	Name    string `yaml:"name"`    // the tag "resolver"
	Address string `yaml:"address"` // IP address, with :port if it is not 53
}

// DefaultOptions returns the options of a check that says nothing.
func DefaultOptions() Options {
	return Options{Type: "A", Timeout: 2 * time.Second, Tries: 2}
}

// Bound is the longest a run may take: every resolver silent, and one more timeout for an answer over TCP.
func (o Options) Bound() time.Duration {
	return time.Duration(len(o.Resolvers)*(o.Tries+1)) * o.Timeout
}

// Hosts lists the addresses of the resolvers that a line leads to: those on this very machine are left out.
func (o Options) Hosts() []string {
	var hosts []string
	for _, r := range o.Resolvers {
		if ap, err := serverAddress(r.Address); err == nil && !ap.Addr().IsLoopback() {
			hosts = append(hosts, ap.Addr().String())
		}
	}
	return hosts
}

var recordTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME, "MX": dnsmessage.TypeMX,
	"NS": dnsmessage.TypeNS, "PTR": dnsmessage.TypePTR, "TXT": dnsmessage.TypeTXT, "SRV": dnsmessage.TypeSRV,
}

// Validate reports what is wrong with the options or with the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if _, err := dnsmessage.NewName(fqdn(t.Address)); err != nil || t.Address == "" || strings.ContainsAny(t.Address, " /:") {
		problem("address", "%q is not a name to ask for, for example portal.example.gov.vn", t.Address)
	}
	if _, ok := recordTypes[o.Type]; !ok {
		problem("type", "%q is not one of A, AAAA, CNAME, MX, NS, PTR, TXT, SRV", o.Type)
	}
	if o.Timeout < 10*time.Millisecond || o.Timeout > 30*time.Second {
		problem("timeout", "must be between 10ms and 30s, for example 2s")
	}
	if o.Tries < 1 || o.Tries > maxTries {
		problem("tries", "must be from 1 to %d", maxTries)
	}
	if len(o.Resolvers) == 0 || len(o.Resolvers) > maxResolvers {
		problem("resolvers", "name 1 to %d resolvers, each with name and address", maxResolvers)
	}
	names := map[string]bool{}
	for i, r := range o.Resolvers {
		if err := probes.CheckName(r.Name); err != nil {
			problem(fmt.Sprintf("resolvers[%d].name", i), "%v", err)
		} else if names[r.Name] {
			problem(fmt.Sprintf("resolvers[%d].name", i), "%q is taken by another resolver", r.Name)
		}
		names[r.Name] = true
		if _, err := serverAddress(r.Address); err != nil {
			problem(fmt.Sprintf("resolvers[%d].address", i), "%v", err)
		}
	}
	if len(o.Expect) > maxExpect {
		problem("expect", "at most %d values", maxExpect)
	}
	for i, e := range o.Expect {
		if _, err := netip.ParsePrefix(e); strings.Contains(e, "/") && err != nil && o.Type != "TXT" {
			problem(fmt.Sprintf("expect[%d]", i), "%q is not a prefix such as 10.1.0.0/16", e)
		}
	}
}

func serverAddress(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is not an IP address (with :port if it is not 53)", s)
	}
	return ap, nil
}

func fqdn(name string) string {
	if strings.HasSuffix(name, ".") {
		return name
	}
	return name + "."
}

type server struct {
	name string
	addr netip.AddrPort
}

type probe struct {
	name    dnsmessage.Name
	qtype   dnsmessage.Type
	bind    bind.Binding
	opts    Options
	servers []server
}

// New returns a probe that asks for the target's address.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	name, err := dnsmessage.NewName(fqdn(t.Address))
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "name %q: %w", t.Address, err)
	}
	p := &probe{name: name, qtype: recordTypes[o.Type], bind: b, opts: o}
	if p.qtype == 0 {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "unknown record type %q", o.Type)
	}
	for _, r := range o.Resolvers {
		addr, err := serverAddress(r.Address)
		if err != nil {
			return nil, probes.Errorf(probes.OutcomeBadConfig, "resolver %q: %w", r.Name, err)
		}
		p.servers = append(p.servers, server{r.Name, addr})
	}
	if len(p.servers) == 0 {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "no resolver to ask")
	}
	return p, nil
}

// Probe asks every resolver and returns a row for each. The error joins what was wrong with any of them, so one
// resolver that fails makes the run fail while the rows say which.
func (p *probe) Probe(ctx context.Context) ([]probes.Point, error) {
	var points []probes.Point
	var errs []error
	for _, s := range p.servers {
		a, err := p.ask(ctx, s.addr)
		point := probes.Point{Measurement: string(probes.KindDNS), Tags: probes.Tags{{Key: "resolver", Value: s.name}}}
		if err != nil {
			errs = append(errs, fmt.Errorf("resolver %s: %w", s.name, err))
			point.Fields = []probes.Field{probes.Bool("answer_ok", false)}
			points = append(points, point)
			continue
		}
		err = p.judge(a)
		point.Fields = []probes.Field{
			probes.Seconds("query_seconds", a.took),
			probes.Int("rcode", int64(a.rcode)),
			probes.Int("answers", int64(len(a.values))),
			probes.Bool("answer_ok", err == nil),
			probes.Bool("truncated", a.truncated),
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("resolver %s: %w", s.name, err))
		}
		points = append(points, point)
	}
	return points, errors.Join(errs...)
}

// shown is the name asked for as people write it.
func (p *probe) shown() string {
	if name := strings.TrimSuffix(p.name.String(), "."); name != "" {
		return name
	}
	return "the root"
}

// judge compares an answer with what the options expect.
func (p *probe) judge(a answer) error {
	if a.rcode != dnsmessage.RCodeSuccess {
		return probes.Errorf(probes.OutcomeFailed, "%s: %s", rcodeName(a.rcode), p.shown())
	}
	if len(a.values) == 0 {
		return probes.Errorf(probes.OutcomeFailed, "no %s record for %s", p.opts.Type, p.shown())
	}
	if len(p.opts.Expect) == 0 {
		return nil
	}
	// In order, since resolvers turn their answers round: the same wrong answer is to be the same text.
	for _, v := range slices.Sorted(slices.Values(a.values)) {
		if !slices.ContainsFunc(p.opts.Expect, func(e string) bool { return matches(v, e) }) {
			return probes.Errorf(probes.OutcomeFailed, "unexpected answer %.100q for %s; expected %s", v, p.shown(), strings.Join(p.opts.Expect, ", "))
		}
	}
	return nil
}

func matches(value, expect string) bool {
	if addr, err := netip.ParseAddr(value); err == nil {
		if prefix, err := netip.ParsePrefix(expect); err == nil {
			return prefix.Contains(addr)
		}
		want, err := netip.ParseAddr(expect)
		return err == nil && want == addr
	}
	return strings.EqualFold(strings.TrimSuffix(value, "."), strings.TrimSuffix(expect, "."))
}

// rcodeName says a response code (RFC 1035, 4.1.1) in words.
func rcodeName(r dnsmessage.RCode) string {
	switch r {
	case dnsmessage.RCodeNameError:
		return "no such name"
	case dnsmessage.RCodeServerFailure:
		return "the resolver failed (SERVFAIL)"
	case dnsmessage.RCodeRefused:
		return "the resolver refused to answer"
	}
	return strings.TrimPrefix(r.String(), "RCode")
}
