package agent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"communewatch/agent/allow"
	"communewatch/agent/checks"
	"communewatch/agent/collectors"
	"communewatch/agent/identity"
	"communewatch/agent/kinds"
	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/settings"
	"communewatch/probes/snmp"
)

// Bounds of a config.
const (
	maxChecks = 2000 // far more than a commune office has; a file with more was made by a mistake

	minInterval = time.Second
	maxInterval = 24 * time.Hour
)

// validator checks a decoded config, notes every mistake, and fills in what follows from the config.
type validator struct {
	doc     *settings.Doc
	dir     string // of the settings file
	oneShot bool   // a single run: without schedule
	unread  bool   // there is an identity that can't be read
	kit     *snmp.Kit
}

// enrolling is how a machine comes by an identity.
const enrolling = "`communewatch-agent enroll CODE`"

func (v *validator) identity(c *Config) {
	if !v.enrolled(c) {
		return // what is missing would have come from there
	}
	v.name("site", c.Site, "enrol this machine with "+enrolling+", or give the id of the site, as `communewatch-collector sites list` shows it")
	c.Agent = cmp.Or(c.Agent, HostName())
	v.name("agent", c.Agent, "give the agent a name that is unique within its site")
	if c.StateDir == "" {
		v.doc.Problem("state_dir", "is empty; name a folder that the agent may write to, for example %s", defaultStateDir())
	}
	v.between("self_interval", c.SelfInterval, minInterval, time.Hour)
	v.between("defaults.interval", c.Defaults.Interval, minInterval, maxInterval)
}

// enrolled fills in what the settings leave to the agent's identity. It reports false where there is one that can't be
// read.
func (v *validator) enrolled(c *Config) bool {
	asks := slices.IndexFunc(c.Collectors, func(to collectors.Collector) bool { return to.Identity })
	if c.StateDir == "" || asks < 0 && c.Site != "" && len(c.Collectors) > 0 {
		return true
	}
	set, err := identity.Read(identity.Folder(c.StateDir))
	if errors.Is(err, identity.ErrNone) {
		if asks >= 0 {
			v.doc.Problem(fmt.Sprintf("collectors[%d].identity", asks), "there is none in %s; %s makes one", c.StateDir, enrolling)
		}
		return true
	}
	if err != nil {
		v.doc.Problem("state_dir", "%v", err)
		v.unread = true
		return false
	}
	c.enrolled = set
	for _, name := range []struct{ at, given, ours string }{{"site", c.Site, set.Name.Site}, {"agent", c.Agent, set.Name.Agent}} {
		if name.given != "" && name.given != name.ours {
			v.doc.Problem(name.at, "is %q, and the machine is enrolled as %q; leave it out, or enrol the machine again", name.given, name.ours)
		}
	}
	c.Site, c.Agent = set.Name.Site, set.Name.Agent
	if len(c.Collectors) == 0 {
		for _, address := range set.Collectors {
			c.Collectors = append(c.Collectors, collectors.Collector{URL: address, Identity: true})
		}
	}
	return true
}

func (v *validator) name(at, name, fix string) {
	if name == "" {
		v.doc.Problem(at, "is missing; %s", fix)
	} else if err := probes.CheckName(name); err != nil {
		v.doc.Problem(at, "%v", err)
	}
}

func (v *validator) between(at string, d, least, most time.Duration) bool {
	if d >= least && d <= most {
		return true
	}
	v.doc.Problem(at, "%s is out of range; use %s to %s", short(d), short(least), short(most))
	return false
}

func (v *validator) delivery(c *Config) {
	if len(c.Collectors) == 0 && !v.unread || len(c.Collectors) > collectors.Most {
		v.doc.Problem("collectors", "name 1 to %d collectors, each with url and token", collectors.Most)
	}
	for i := range c.Collectors {
		at, to := fmt.Sprintf("collectors[%d]", i), &c.Collectors[i]
		if to.Path != "" {
			v.path(at+".path", to.Path)
		}
		to.Validate(v.dir, func(key, format string, args ...any) {
			if key != "" {
				key = "." + key
			}
			v.doc.Problem(at+key, format, args...)
		})
	}
	for _, name := range []struct{ at, value string }{{"org", c.Org}, {"bucket", c.Bucket}} {
		if name.value == "" || len(name.value) > 100 || strings.ContainsFunc(name.value, func(r rune) bool { return r < ' ' }) {
			v.doc.Problem(name.at, "must be 1 to 100 characters, for example communewatch")
		}
	}
	if c.Spool.MaxBytes < 1<<20 || c.Spool.MaxBytes > 1<<40 {
		v.doc.Problem("spool.max_bytes", "%d is out of range; use 1048576 (1 MiB) to 1099511627776 (1 TiB)", c.Spool.MaxBytes)
	}
	v.between("spool.max_age", c.Spool.MaxAge, time.Minute, 10*365*24*time.Hour)
	v.between("spool.seal_after", c.Spool.SealAfter, 100*time.Millisecond, 10*time.Minute)
	if !(c.Spool.MinFree >= 0 && c.Spool.MinFree <= 0.95) {
		v.doc.Problem("spool.min_free", "must be a share of the disk from 0 to 0.95, for example 0.1")
	}
	if c.BacklogBytesPerSecond < 1024 || c.BacklogBytesPerSecond > 1<<30 {
		v.doc.Problem("backlog_bytes_per_second", "%d is out of range; use 1024 to 1073741824", c.BacklogBytesPerSecond)
	}
}

func (v *validator) path(at string, p probes.Path) {
	if p == "" {
		v.doc.Problem(at, "is missing; use one of %s", join(probes.Paths()))
	} else if !p.Valid() {
		v.doc.Problem(at, "%q is not a path; use one of %s", p, join(probes.Paths()))
	}
}

func (v *validator) paths(c *Config) {
	c.bindings = map[probes.Path]binding{}
	for _, path := range slices.Sorted(maps.Keys(c.Paths)) {
		p, at := c.Paths[path], "paths."+string(path)
		v.path(at, path)
		b := binding{Binding: bind.Binding{Path: path, Device: p.Device}}
		if p.Device != "" && runtime.GOOS != "linux" {
			v.doc.Problem(at+".device", "binding to a device works on Linux only; give the path's source address instead")
		} else if len(p.Device) > 15 || strings.ContainsAny(p.Device, " /\t\n") {
			v.doc.Problem(at+".device", "%q is not the name of a network device; `ip link` lists them", p.Device)
		}
		if p.Source != "" {
			source, err := netip.ParseAddr(p.Source)
			if err != nil {
				v.doc.Problem(at+".source", "%q is not an IP address", p.Source)
			}
			b.Source = source.Unmap()
		}
		if p.Hop != nil {
			b.hop = v.hop(at+".hop", *p.Hop)
		}
		c.bindings[path] = b
	}
}

func (v *validator) hop(at string, h Hop) bind.Hop {
	if h.TTL < 1 || h.TTL > 255 {
		v.doc.Problem(at+".ttl", "must be from 1 (the first router) to 255")
	}
	if len(h.Expect) == 0 {
		v.doc.Problem(at+".expect", "name the addresses or prefixes of the router that proves this path")
	}
	return bind.Hop{TTL: h.TTL, Expect: v.prefixes(at+".expect", h.Expect), Refuse: v.prefixes(at+".refuse", h.Refuse)}
}

func (v *validator) prefixes(at string, list []string) []netip.Prefix {
	var out []netip.Prefix
	for i, s := range list {
		p, err := allow.ParsePrefix(s)
		if err != nil {
			v.doc.Problem(fmt.Sprintf("%s[%d]", at, i), "%v", err)
			continue
		}
		out = append(out, p)
	}
	return out
}

func (v *validator) checks(c *Config) {
	if len(c.Checks) > maxChecks {
		v.doc.Problem("checks", "%d checks are too many for one agent; the most is %d", len(c.Checks), maxChecks)
		return
	}
	table, names := kinds.Table(v.kit), map[string]int{}
	for i := range c.Checks {
		at, check := fmt.Sprintf("checks[%d]", i), &c.Checks[i]
		v.name(at+".name", check.Name, "every check needs a name that is unique within the agent")
		if first, taken := names[check.Name]; taken {
			v.doc.Problem(at+".name", "%q is taken by checks[%d]", check.Name, first)
		} else if check.Name != "" {
			names[check.Name] = i
		}
		v.path(at+".path", check.Path)
		if check.Layer == "" {
			check.Layer = probes.LayerOf(check.Kind, check.Path)
		} else if !check.Layer.Valid() {
			v.doc.Problem(at+".layer", "%q is not a layer; use one of %s", check.Layer, join(probes.Layers()))
		}
		kind, ok := table[check.Kind]
		if !ok {
			v.doc.Problem(at+".kind", "%q is not a kind of check; use one of %s", check.Kind, join(slices.Sorted(maps.Keys(table))))
			continue
		}
		check.options = kind(v.doc, check.Options, at+".options")
		check.options.Validate(check.target(), func(place, format string, args ...any) {
			if place == "" || place == "address" {
				v.doc.Problem(at+".address", format, args...)
			} else {
				v.doc.Problem(at+".options."+place, format, args...)
			}
		})
		if !v.oneShot {
			v.interval(at+".interval", c, check)
		}
	}
}

// interval refuses a check that can only overrun.
func (v *validator) interval(at string, c *Config, check *Check) {
	if check.Interval == 0 {
		check.Interval = cmp.Or(check.options.Interval, c.Defaults.Interval)
	}
	if !v.between(at, check.Interval, minInterval, maxInterval) {
		return
	}
	if longest := check.longest(c.binding(check.Path)); check.Interval < longest {
		v.doc.Problem(at, "%s is too short: a run may take %s by the check's timeouts; raise the interval or lower the timeouts",
			short(check.Interval), short(longest))
	}
}

// longest is how long a run may take, from proving the path to being cut off.
func (c *Check) longest(b binding) time.Duration { return checks.Longest(c.options.Bound, b.hop) }

func (c *Check) target() probes.Target {
	return probes.Target{Name: c.Name, Kind: c.Kind, Path: c.Path, Layer: c.Layer, Address: c.Address}
}

func join[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// short prints a duration without the zeros that String adds: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
