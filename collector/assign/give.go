package assign

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"communewatch/collector/assign/kinds"
	"communewatch/collector/assign/reach"
	"communewatch/collector/assign/values"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/settings"
)

// Bounds of what one agent is given.
const (
	maxAgentChecks = 2000    // as agents have it
	maxDocument    = 1 << 19 // bytes: with its secrets, and as JSON, it has to fit into a work.Work
)

// Given is what one agent is to do.
type Given struct {
	Site, Agent string // Agent is "" for whatever agent of the site has no part of its own
	Assigned    bool   // false: nothing, and the agent works by its own settings file
	Settings
	// Document is the settings as the agent gets them; nil where nothing is assigned.
	Document []byte
	Secrets  []string  // that the document names, sorted
	Notes    []Problem // what was left out, and why
	Problems []Problem // why the plan can't be applied
}

// Settings is what an agent's work says.
type Settings struct {
	SelfInterval time.Duration // 0: the agent's default
	Hops         map[probes.Path]Hop
	Meetings     []Meeting
	Checks       []Check
}

// Hop is the router that proves a path.
type Hop struct {
	TTL    int      `yaml:"ttl"`
	Expect []string `yaml:"expect,flow"`
	Refuse []string `yaml:"refuse,omitempty,flow"`
}

// Check is one check of an agent.
type Check struct {
	Name     string
	Kind     probes.Kind
	Address  string
	Path     probes.Path
	Layer    probes.Layer  // "": by kind and path
	Interval time.Duration // 0: by kind
	Options  map[string]any
	From     string // the template, "site" or "agent"
}

// Every is how often the check runs.
func (c *Check) Every() time.Duration {
	if c.Interval > 0 {
		return c.Interval
	}
	return kinds.Interval(c.Kind)
}

// Problem is something that people should know of a plan.
type Problem struct {
	At    string // place in the plan; "" for none
	Line  int    // of it; 0 for none
	Text  string
	Sites []string // where; nil: everywhere, or nowhere in particular
}

// String writes the problem with its place and the first of its sites.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.At != "" {
		b.WriteString(p.At + ": ")
	}
	b.WriteString(p.Text)
	const shown = 5
	switch n := len(p.Sites); {
	case n == 1:
		fmt.Fprintf(&b, " (site %s)", p.Sites[0])
	case n > shown:
		fmt.Fprintf(&b, " (%d sites: %s, ...)", n, strings.Join(p.Sites[:shown], ", "))
	case n > 1:
		fmt.Fprintf(&b, " (%d sites: %s)", n, strings.Join(p.Sites, ", "))
	}
	return b.String()
}

// For makes what an agent of a site is to do. has is what the site has, by people's list.
func (p *Plan) For(s inventory.Site, agentName string, has map[string][]string) Given {
	g := giver{plan: p, site: p.sites[s.ID], out: Given{Site: s.ID, Agent: agentName}, at: map[string]int{}}
	if g.site == nil {
		g.site = &site{}
	}
	part := g.site.agents[agentName]
	if part == nil {
		part = &agent{}
	}
	g.omit = slices.Concat(g.site.Omit, part.Omit)
	g.scope = &values.Scope{Declared: p.values, Own: map[string]string{values.NameSite: s.ID}, Used: map[string]bool{}}
	if agentName != "" {
		g.scope.Own[values.NameAgent] = agentName
	}
	g.scope.Layers = []map[string][]string{part.values, g.site.values, has}
	var names []string
	var groups []map[string][]string
	for _, group := range p.groups {
		if group.has(s, g.site.Tags) {
			names = append(names, group.Templates...)
			groups = append(groups, group.values)
		}
	}
	slices.Reverse(groups) // the last one counts
	g.scope.Layers = append(g.scope.Layers, groups...)
	names = append(names, g.site.Templates...)

	seen := map[string]bool{}
	for _, name := range names {
		if t := p.templates[name]; t != nil && !seen[name] {
			seen[name] = true
			g.template(name, t)
		}
	}
	g.own("site", "sites."+s.ID, g.site.SelfInterval, g.site.Paths, g.site.Meetings, g.site.Checks)
	g.own("agent", "", "", nil, nil, part.Checks)
	g.out.Assigned = len(seen) > 0 || len(g.site.Checks) > 0 || len(part.Checks) > 0
	if g.lacks && !g.omitted && len(g.out.Checks) == 0 {
		g.out.Assigned = false // it lacks all that it would take: better what its own file says than nothing
	}
	g.finish()
	return g.out
}

// has reports whether a site is in the group.
func (g *group) has(s inventory.Site, tags []string) bool {
	if slices.Contains(g.Except, s.ID) {
		return false
	}
	if g.All || slices.Contains(g.Sites, s.ID) {
		return true
	}
	if len(g.districts)+len(g.types)+len(g.Tags) == 0 {
		return false
	}
	return (len(g.districts) == 0 || slices.Contains(g.districts, inventory.Fold(s.Parent))) &&
		(len(g.types) == 0 || slices.Contains(g.types, inventory.Fold(s.Type))) &&
		(len(g.Tags) == 0 || slices.ContainsFunc(g.Tags, func(t string) bool { return slices.Contains(tags, t) }))
}

// giver makes one agent's work.
type giver struct {
	plan  *Plan
	site  *site
	scope *values.Scope
	omit  []string
	out   Given
	at    map[string]int // where a check is, by name
	from  []string       // the places in the plan that they come from

	lacks   bool // a check was left out since the site lacks something
	omitted bool // one was left out since the plan says so
}

func (g *giver) problem(at, format string, args ...any) {
	g.out.Problems = append(g.out.Problems, Problem{At: at, Text: fmt.Sprintf(format, args...)})
}

// failed tells why something could not be made, and reports whether it could.
func (g *giver) failed(at, ifMissing string, err error) bool {
	var m *values.Missing
	switch {
	case err == nil:
		return false
	case !errors.As(err, &m):
		g.problem(at, "%v", err)
	case ifMissing == missingError:
		g.problem(at, "%v, and is needed", err)
	case ifMissing != missingQuiet:
		g.out.Notes = append(g.out.Notes, Problem{At: at, Text: "left out: " + err.Error()})
	}
	return true
}

func (g *giver) template(name string, t *template) {
	g.selfInterval(t.at, t.SelfInterval, false)
	g.paths(t.at, t.Paths, false)
	g.out.Meetings = append(g.out.Meetings, t.Meetings...)
	for i := range t.Checks {
		g.check(&t.Checks[i], name, t.Defaults.Interval, false)
	}
}

// own takes in what is one site's or agent's alone: it replaces what templates say.
func (g *giver) own(from, at, selfInterval string, paths map[string]path, meetings []Meeting, checks []check) {
	g.selfInterval(at, selfInterval, true)
	g.paths(at, paths, true)
	g.out.Meetings = append(g.out.Meetings, meetings...)
	for i := range checks {
		g.check(&checks[i], from, "", true)
	}
}

func (g *giver) selfInterval(at, text string, replace bool) {
	if text == "" {
		return
	}
	at += ".self_interval"
	text, err := g.scope.Text(text)
	if g.failed(at, missingNote, err) {
		return
	}
	d, err := parseInterval(text, time.Second, time.Hour)
	if g.failed(at, missingNote, err) {
		return
	}
	if was := g.out.SelfInterval; was != 0 && was != d && !replace {
		g.problem(at, "another template says %s, and a site gets both; let one of them say it, or both the same", short(was))
	}
	g.out.SelfInterval = d
}

func (g *giver) paths(at string, paths map[string]path, replace bool) {
	for _, name := range sorted(paths) {
		at, h := at+".paths."+name+".hop", paths[name].Hop
		if h == nil {
			continue
		}
		hop, err := g.hop(h)
		if g.failed(at, missingNote, err) {
			continue
		}
		if was, ok := g.out.Hops[probes.Path(name)]; ok && !replace && !reflect.DeepEqual(was, hop) {
			g.problem(at, "another template has another hop for this path, and a site gets both; let one of them have it")
		}
		if g.out.Hops == nil {
			g.out.Hops = map[probes.Path]Hop{}
		}
		g.out.Hops[probes.Path(name)] = hop
	}
}

func (g *giver) hop(h *hop) (out Hop, err error) {
	tree := func(n settings.Node) (any, error) { return g.scope.Tree(g.plan.doc.Plain(n, "")) }
	ttl, err := tree(h.TTL)
	if err != nil {
		return out, err
	}
	n, ok := ttl.(int64)
	if !ok || n < 1 || n > 255 {
		return out, fmt.Errorf("ttl: %v is not from 1 (the first router) to 255", ttl)
	}
	out.TTL = int(n)
	for _, l := range []struct {
		from settings.Node
		into *[]string
	}{{h.Expect, &out.Expect}, {h.Refuse, &out.Refuse}} {
		v, err := tree(l.from)
		if err != nil {
			return out, err
		}
		list, many := v.([]any)
		if !many && v != nil {
			list = []any{v}
		}
		for _, e := range list {
			text, _ := values.ScalarText(e)
			if _, err := reach.Prefix(text); err != nil {
				return out, err
			}
			*l.into = append(*l.into, text)
		}
	}
	if len(out.Expect) == 0 {
		return out, errors.New("expect: name the addresses of the router that proves this path")
	}
	return out, nil
}

func (g *giver) check(c *check, from, interval string, replace bool) {
	if g.omits(c.Name) {
		return
	}
	before := len(g.out.Checks)
	defer func() { g.lacks = g.lacks || len(g.out.Checks) == before }()
	if c.Each == "" {
		g.one(g.scope, c, from, interval, replace)
		return
	}
	list, _ := g.scope.Lookup(c.Each)
	if len(list) == 0 {
		g.failed(c.at, c.IfMissing, &values.Missing{Name: c.Each})
		return
	}
	for i, item := range list {
		g.one(g.scope.With(item, i+1), c, from, interval, replace)
	}
}

// one makes one check.
func (g *giver) one(s *values.Scope, c *check, from, interval string, replace bool) {
	name, err := s.Text(c.Name)
	if err == nil {
		err = probes.CheckName(name)
	}
	if g.failed(c.at, c.IfMissing, err) || g.omits(name) {
		return
	}
	before := s.Used
	s.Used = map[string]bool{}
	defer func() { s.Used = before }()
	out := Check{Name: name, Kind: c.Kind, Path: c.Path, Layer: c.Layer, From: from}
	if out.Address, err = s.Text(c.Address); g.failed(c.at, c.IfMissing, err) {
		return
	}
	every := c.Interval
	if every == "" && kinds.Own(c.Kind) == 0 {
		every = interval
	}
	if every != "" {
		text, err := s.Text(every)
		if err == nil {
			out.Interval, err = parseInterval(text, minInterval, maxInterval)
		}
		if g.failed(c.at+".interval", c.IfMissing, err) {
			return
		}
	}
	if len(c.options) > 0 {
		tree, err := s.Tree(c.options)
		if g.failed(c.at+".options", c.IfMissing, err) {
			return
		}
		out.Options, _ = tree.(map[string]any)
	}
	for _, p := range reach.Places(out.Kind, out.Address, out.Options) {
		if why := g.plan.rule.Refuses(p); why != "" {
			g.problem(c.at+"."+p.At, "%s: %s", name, why)
		}
	}
	for secret := range s.Used {
		before[secret] = true
	}
	g.add(out, c.at, replace)
}

func (g *giver) omits(name string) bool {
	omit := slices.ContainsFunc(g.omit, func(o string) bool {
		bare, any := strings.CutSuffix(o, "*")
		return o == name || any && strings.HasPrefix(name, bare)
	})
	g.omitted = g.omitted || omit
	return omit
}

func (g *giver) add(c Check, at string, replace bool) {
	i, taken := g.at[c.Name]
	switch {
	case taken && replace:
		g.out.Checks[i], g.from[i] = c, at
	case taken:
		g.problem(at+".name", "check %s comes from %s too, and a site gets both; rename one", c.Name, g.out.Checks[i].From)
	case len(g.out.Checks) == maxAgentChecks:
		g.problem(at, "an agent gets more than %d checks", maxAgentChecks)
	case len(g.out.Checks) < maxAgentChecks:
		g.at[c.Name] = len(g.out.Checks)
		g.out.Checks, g.from = append(g.out.Checks, c), append(g.from, at)
	}
}

// document is an agent's settings file as far as it comes from here.
type document struct {
	SelfInterval string                 `yaml:"self_interval,omitempty"`
	Paths        map[string]writtenPath `yaml:"paths,omitempty"`
	Meetings     []Meeting              `yaml:"meetings,omitempty"`
	Checks       []writtenCheck         `yaml:"checks"`
}

type writtenPath struct {
	Hop Hop `yaml:"hop,flow"`
}

type writtenCheck struct {
	Name     string         `yaml:"name"`
	Kind     probes.Kind    `yaml:"kind"`
	Address  string         `yaml:"address,omitempty"`
	Path     probes.Path    `yaml:"path"`
	Layer    probes.Layer   `yaml:"layer,omitempty"`
	Interval string         `yaml:"interval,omitempty"`
	Options  map[string]any `yaml:"options,omitempty"`
}

// intervals refuses checks that come round while they run: agents do.
func (g *giver) intervals() {
	for i := range g.out.Checks {
		c := &g.out.Checks[i]
		_, proved := g.out.Hops[c.Path]
		if longest := kinds.Longest(c.Kind, c.Options, proved); c.Every() < longest {
			g.problem(g.from[i]+".interval", "%s: every %s is too often: a run may take %s by the check's timeouts; raise the interval or lower the timeouts", c.Name, short(c.Every()), short(longest))
		}
	}
}

// finish writes the document and puts problems into order.
func (g *giver) finish() {
	out := &g.out
	g.intervals()
	if !out.Assigned {
		out.Settings = Settings{}
	} else {
		d := document{Meetings: out.Meetings, Checks: []writtenCheck{}}
		if out.SelfInterval > 0 {
			d.SelfInterval = short(out.SelfInterval)
		}
		for p, h := range out.Hops {
			if d.Paths == nil {
				d.Paths = map[string]writtenPath{}
			}
			d.Paths[string(p)] = writtenPath{Hop: h}
		}
		for _, c := range out.Checks {
			w := writtenCheck{Name: c.Name, Kind: c.Kind, Address: c.Address, Path: c.Path, Layer: c.Layer, Options: c.Options}
			if c.Interval > 0 {
				w.Interval = short(c.Interval)
			}
			d.Checks = append(d.Checks, w)
		}
		text, err := settings.Write(d)
		if err != nil {
			g.problem("", "%v", err)
		}
		if len(text) > maxDocument {
			g.problem("", "an agent's work has %d bytes, more than the %d that one may have", len(text), maxDocument)
		}
		out.Document = text
		out.Secrets = sorted(g.scope.Used)
	}
	for _, list := range [][]Problem{out.Problems, out.Notes} {
		for i := range list {
			list[i].Line, list[i].Sites = g.plan.doc.Line(list[i].At), []string{out.Site}
			if list[i].At == "" {
				list[i].Line = 0
			}
		}
	}
}
