package sweep

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/fingerprint"
)

// Options of a sweep check.
type Options struct {
	Allow        []string                         `yaml:"allow"`         // the networks that a sweep may look through: its prefix must lie inside one
	Exclude      []string                         `yaml:"exclude"`       // addresses and prefixes that are left alone
	Rate         float64                          `yaml:"rate"`          // questions (connections, requests) begun per second
	Parallel     int                              `yaml:"parallel"`      // hosts looked at together, each with one connection
	Knock        []uint16                         `yaml:"knock"`         // TCP ports that are tried to see whether somebody is there
	KnockTimeout time.Duration                    `yaml:"knock_timeout"` // for one of these
	Ports        map[fingerprint.Service][]uint16 `yaml:"ports"`         // services looked at, each on its ports
	Timeout      time.Duration                    `yaml:"timeout"`       // for one conversation
	Longest      time.Duration                    `yaml:"longest"`       // for the sweep
	SNMP         *Credentials                     `yaml:"snmp"`          // nil: nobody is asked over SNMP
	Rules        string                           `yaml:"rules"`         // folder of rules that go before the built-in ones; "" for none
}

// DefaultOptions returns the options of a check that says nothing: nothing is allowed.
func DefaultOptions() Options {
	return Options{Rate: 20, Parallel: 8, Knock: []uint16{80, 443, 22, 23}, KnockTimeout: time.Second, Ports: fingerprint.DefaultPorts(),
		Timeout: 3 * time.Second, Longest: 30 * time.Minute}
}

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration { return o.Longest }

// Interval is how often a network is looked through where the check does not say.
func (o Options) Interval() time.Duration { return 24 * time.Hour }

// Bounds of the options.
const (
	maxRate     = 500
	maxParallel = 32
	maxPorts    = 64 // of all services together
)

// Validate reports what is wrong with the options or with the target's address, which is a prefix.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if len(o.Allow) == 0 {
		problem("allow", "name the networks that may be looked through, for example [192.168.1.0/24]")
	}
	sound := len(o.Allow) > 0
	for i, s := range o.Allow {
		p, err := parsePrefix(s)
		switch {
		case err != nil:
			problem(fmt.Sprintf("allow[%d]", i), "%v", err)
			sound = false
		case !inside(p, private()) && p.Addr().BitLen()-p.Bits() > maxHostBits:
			problem(fmt.Sprintf("allow[%d]", i), "%s is not a private range; a public one must be named as the /%d or smaller that is the office's own", p, p.Addr().BitLen()-maxHostBits)
			sound = false
		}
	}
	for i, s := range o.Exclude {
		if _, err := parsePrefix(s); err != nil {
			problem(fmt.Sprintf("exclude[%d]", i), "%v", err)
			sound = false
		}
	}
	if !(o.Rate >= 0.1 && o.Rate <= maxRate) {
		problem("rate", "must be from 0.1 to %d questions a second, for example 20", maxRate)
		sound = false
	}
	if o.Parallel < 1 || o.Parallel > maxParallel {
		problem("parallel", "must be from 1 to %d hosts, for example 8", maxParallel)
	}
	between := func(at string, d, least, most time.Duration, example string) {
		if d < least || d > most {
			problem(at, "must be between %s and %s, for example %s", least, most, example)
		}
	}
	between("knock_timeout", o.KnockTimeout, 50*time.Millisecond, 10*time.Second, "1s")
	between("timeout", o.Timeout, 100*time.Millisecond, 30*time.Second, "3s")
	between("longest", o.Longest, time.Second, 12*time.Hour, "30m")
	if len(o.Knock) == 0 || len(o.Knock) > 16 || slices.Contains(o.Knock, 0) {
		problem("knock", "name 1 to 16 ports from 1 to 65535, for example [80, 443, 22, 23]")
		sound = false
	}
	o.validatePorts(problem)
	if o.SNMP != nil {
		o.SNMP.Validate(func(at, format string, args ...any) { problem("snmp."+at, format, args...) })
	}
	if o.Rules != "" {
		if _, err := o.rules(); err != nil {
			problem("rules", "%v", err)
		}
	}
	if !sound {
		if _, err := parsePrefix(t.Address); err != nil {
			problem("address", "%v", err)
		}
		return
	}
	g, err := o.guard(t.Address)
	if err != nil {
		problem("address", "%v", err)
		return
	}
	n := g.count()
	if n == 0 {
		problem("address", "%s: nothing is left to look at", g.prefix)
	}
	if least := time.Duration(float64(n*len(o.Knock)) / o.Rate * float64(time.Second)); least > o.Longest {
		problem("longest", "%d addresses at %v questions a second take %s at least; raise longest or rate, or sweep a smaller prefix", n, o.Rate, least.Round(time.Second))
	}
}

func (o Options) validatePorts(problem func(at, format string, args ...any)) {
	total := 0
	for _, service := range slices.Sorted(maps.Keys(o.Ports)) {
		ports := o.Ports[service]
		if !slices.Contains(fingerprint.Services(), service) {
			var names []string
			for _, s := range fingerprint.Services() {
				names = append(names, string(s))
			}
			problem("ports."+string(service), "%.40q is no service; use some of %s", service, strings.Join(names, ", "))
		}
		if slices.Contains(ports, 0) {
			problem("ports."+string(service), "ports are from 1 to 65535")
		}
		total += len(ports)
	}
	if total > maxPorts {
		problem("ports", "%d ports are too many; the most is %d", total, maxPorts)
	}
}

// Hosts returns the hosts that stand for the address when the path is proved: the first that the sweep looks at.
func (o Options) Hosts(address string) []string {
	g, err := o.guard(address)
	if err != nil {
		return nil
	}
	var first netip.Addr
	for a := range g.all() {
		first = a
		break
	}
	if !first.IsValid() {
		return nil
	}
	return []string{first.String()}
}
