package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"communewatch/agent/allow"
	"communewatch/agent/identity"
	"communewatch/agent/kinds"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/settings"
	"communewatch/probes/work"
)

// Allow is what the agent may be given to do by the collector. The settings file alone says so.
type Allow struct {
	Work bool `yaml:"work"` // take checks from the collector at all
	// Addresses that such checks may speak to, as prefixes or addresses. Default: private networks and those of providers'
	// translators. What the file's own checks name as addresses, and what was allowed when the machine joined (agent/allow),
	// may be spoken to as well.
	Addresses []string `yaml:"addresses"`
	// Kinds that such checks may be of. Default: all but sweep, and those that the file's own checks are of.
	Kinds []probes.Kind `yaml:"kinds"`
}

// allow makes the guard of what comes from the collector.
func (v *validator) allow(c *Config) {
	c.guard = &bind.Guard{Allow: work.DefaultAllowed()}
	if c.Allow.Addresses != nil {
		c.guard.Allow = v.prefixes("allow.addresses", c.Allow.Addresses)
	}
	for i, p := range c.guard.Allow {
		if err := allow.Check(p); err != nil && c.Allow.Addresses != nil {
			v.doc.Problem(fmt.Sprintf("allow.addresses[%d]", i), "%v", err)
		}
	}
	if c.StateDir != "" {
		var kept []netip.Prefix
		kept, c.keptBroken = allow.Kept(identity.Folder(c.StateDir))
		c.guard.Allow = append(c.guard.Allow, kept...)
	}
	table := kinds.Table(v.kit)
	for i, k := range c.Allow.Kinds {
		if table[k] == nil {
			v.doc.Problem(fmt.Sprintf("allow.kinds[%d]", i), "%q is not a kind of check; use some of %s", k, join(slices.Sorted(maps.Keys(table))))
		}
	}
	c.allowed = map[probes.Kind]bool{}
	for k := range table {
		c.allowed[k] = c.Allow.Kinds == nil && k != probes.KindSweep || slices.Contains(c.Allow.Kinds, k)
	}
	for i := range c.Checks {
		check := &c.Checks[i]
		if check.options.Hosts == nil {
			continue // of no kind
		}
		c.allowed[check.Kind] = c.allowed[check.Kind] || c.Allow.Kinds == nil
		for _, p := range check.speaksTo() {
			if !bind.Forbidden(p.Addr()) {
				c.guard.Allow = append(c.guard.Allow, p)
			}
		}
	}
}

// speaksTo lists the addresses and networks that a check names; names are known only when they are resolved.
func (c *Check) speaksTo() (list []netip.Prefix) {
	if c.Kind == probes.KindSweep {
		if p, err := allow.ParsePrefix(c.Address); err == nil {
			list = append(list, p)
		}
		return list
	}
	for _, host := range c.options.Hosts(c.Address) {
		if a, err := netip.ParseAddr(host); err == nil {
			a = a.Unmap().WithZone("")
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return list
}

// assigned is the keys of a settings file that the collector may give. Device and source of a path are the machine's.
type assigned struct {
	SelfInterval time.Duration                `yaml:"self_interval"`
	Defaults     Defaults                     `yaml:"defaults"`
	Paths        map[probes.Path]assignedPath `yaml:"paths"`
	Checks       []Check                      `yaml:"checks"`
	Meetings     []Meeting                    `yaml:"meetings"`
}

type assignedPath struct {
	Hop *Hop `yaml:"hop"`
}

// with returns the config with work in the place of its checks, or every reason for which that can't be. Meetings of the
// settings file stay: they protect the office.
func (c *Config) with(w *work.Work) (Config, error) {
	next := *c
	a := assigned{SelfInterval: c.SelfInterval, Defaults: c.Defaults}
	doc := settings.ReadWith(fmt.Sprintf("work %d", w.Version), []byte(w.Document), &a, secrets(w.Secrets).put)
	v := validator{doc: doc, kit: c.kit}
	next.SelfInterval, next.Defaults, next.Checks, next.Meetings = a.SelfInterval, a.Defaults, a.Checks, a.Meetings
	next.meetings = slices.Clone(c.meetings)
	v.between("self_interval", next.SelfInterval, minInterval, time.Hour)
	v.between("defaults.interval", next.Defaults.Interval, minInterval, maxInterval)
	next.bindings = map[probes.Path]binding{}
	for _, path := range probes.Paths() {
		b := c.binding(path)
		if p := a.Paths[path]; p.Hop != nil {
			b.hop = v.hop("paths."+string(path)+".hop", *p.Hop)
		}
		b.Guard = c.guard
		next.bindings[path] = b
	}
	for _, path := range slices.Sorted(maps.Keys(a.Paths)) {
		v.path("paths."+string(path), path)
	}
	v.checks(&next)
	v.orders(&next)
	v.allowed(&next)
	return next, secrets(w.Secrets).hide(doc.Err())
}

// allowed refuses checks that the agent's own settings do not let it be given.
func (v *validator) allowed(c *Config) {
	for i := range c.Checks {
		at, check := fmt.Sprintf("checks[%d]", i), &c.Checks[i]
		if check.options.Hosts == nil {
			continue // of no kind
		}
		if !c.allowed[check.Kind] {
			v.doc.Problem(at+".kind", "%s is forbidden: it is not among allow.kinds of the agent's own settings", check.Kind)
		}
		for _, p := range check.speaksTo() {
			if err := c.guard.Check(p.Addr()); err != nil && bind.Forbidden(p.Addr()) {
				v.doc.Problem(at+".address", "%v", err)
			} else if !c.guard.Contains(p) {
				named := strings.TrimSuffix(p.String(), fmt.Sprintf("/%d", p.Addr().BitLen()))
				v.doc.Problem(at+".address", "forbidden: %s is not among allow.addresses of the agent's own settings; `communewatch-agent allow add %s` on its machine lets checks speak to it", named, named)
			}
		}
	}
}

// secrets are the values that a document of work refers to by name.
type secrets map[string]string

const (
	secretBegin = "${secret:"
	secretEnd   = "}"
)

// put is for settings.ReadWith. It puts secrets where secrets belong, and refuses what would let the collector read this
// machine: names of files and variables, and secrets in places that show.
func (s secrets) put(at, value string) (string, error) {
	key := at[strings.LastIndexByte(at, '.')+1:]
	if strings.Contains(at, ".options.") && value != "" &&
		(strings.HasSuffix(key, "_file") || strings.HasSuffix(key, "_env") || strings.HasSuffix(at, ".options.profiles") || strings.HasSuffix(at, ".options.rules")) {
		return "", errors.New("is a file or variable of the agent's machine, which can't be named from the collector")
	}
	name, ok := strings.CutPrefix(value, secretBegin)
	if !ok {
		return value, nil
	}
	if name, ok = strings.CutSuffix(name, secretEnd); !ok {
		return "", fmt.Errorf("begins with %s and does not end with %s; a secret is the whole of a value", secretBegin, secretEnd)
	}
	if !slices.Contains([]string{"community", "auth_key", "priv_key", "token"}, key) && !strings.Contains(at, ".options.headers.") {
		return "", errors.New("is no place for a secret; use one as community, auth_key, priv_key, token or in headers")
	}
	secret, ok := s[name]
	if !ok {
		return "", fmt.Errorf("there is no secret called %.63q in this work", name)
	}
	return secret, nil
}

// hide takes secrets out of an error. They should not be in it; what it says goes to the collector and into the log.
func (s secrets) hide(err error) error {
	var all *settings.Error
	if !errors.As(err, &all) {
		return err
	}
	for i := range all.Problems {
		for name, value := range s {
			all.Problems[i].Text = strings.ReplaceAll(all.Problems[i].Text, value, secretBegin+name+secretEnd)
		}
	}
	return all
}

// assign puts work in force, or the settings file's own checks for nil, unless there is something wrong with it.
func (a *Agent) assign(w *work.Work) (problems []string) {
	cfg := &a.cfg
	if w != nil {
		next, err := a.cfg.with(w)
		var all *settings.Error
		switch {
		case errors.As(err, &all):
			for _, p := range all.Problems {
				problems = append(problems, p.String())
			}
			return problems
		case err != nil:
			return []string{err.Error()}
		}
		cfg = &next
	}
	next, err := a.prepare(cfg, a.current().Set)
	if err != nil {
		return []string{err.Error()}
	}
	a.adopt(next)
	return nil
}

// workStatus says what became of the work that the agent was given.
func (a *Agent) workStatus() work.Status {
	if a.given == nil {
		return work.Status{State: work.StateNone}
	}
	return a.given.Status()
}
