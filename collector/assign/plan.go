package assign

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/assign/kinds"
	"communewatch/collector/assign/reach"
	"communewatch/collector/assign/values"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/settings"
	"communewatch/probes/work"
)

// Bounds of a plan.
const (
	MaxPlan      = 1 << 20 // bytes; that of a province has some 20 kB
	maxTemplates = 200
	maxGroups    = 500
	maxSites     = 20_000
	maxChecks    = 500 // of a template, a site or an agent, as they are written
	maxValues    = 200
	maxNote      = 500 // characters
)

// Plan is what the fleet is to do. Get one from Parse.
type Plan struct {
	file file
	doc  *settings.Doc
	rule reach.Rule

	values    map[string]*values.Value
	templates map[string]*template
	groups    []*group
	sites     map[string]*site
}

// file is a plan as it is written.
type file struct {
	Note      string                  `yaml:"note"`
	Allow     []string                `yaml:"allow"`
	Values    map[string]values.Value `yaml:"values"`
	Secrets   []string                `yaml:"secrets"`
	Templates map[string]template     `yaml:"templates"`
	Groups    []group                 `yaml:"groups"`
	Sites     map[string]site         `yaml:"sites"`
}

// template is what several sites do alike.
type template struct {
	Note         string                    `yaml:"note"`
	SelfInterval string                    `yaml:"self_interval"`
	Defaults     struct{ Interval string } `yaml:"defaults"`
	Paths        map[string]path           `yaml:"paths"`
	Meetings     []Meeting                 `yaml:"meetings"`
	Checks       []check                   `yaml:"checks"`

	at string // its place
}

// path is how a path proves itself. Devices and source addresses are each machine's own.
type path struct {
	Hop *hop `yaml:"hop"`
}

type hop struct {
	TTL    settings.Node `yaml:"ttl"`
	Expect settings.Node `yaml:"expect"`
	Refuse settings.Node `yaml:"refuse"`
}

// check is a check as it is written.
type check struct {
	Name      string        `yaml:"name"`
	Kind      probes.Kind   `yaml:"kind"`
	Address   string        `yaml:"address"`
	Path      probes.Path   `yaml:"path"`
	Layer     probes.Layer  `yaml:"layer"`
	Interval  string        `yaml:"interval"`
	Options   settings.Node `yaml:"options"`
	Each      string        `yaml:"each"`       // a value: one check for every entry of it
	IfMissing string        `yaml:"if_missing"` // a value: note (or empty), quiet, error

	at      string
	options map[string]any
}

// What becomes of a check at a site that lacks a value which it needs: it is left out, and ...
const (
	missingNote  = "note"  // ... the preview says so
	missingQuiet = "quiet" // ... nobody minds
	missingError = "error" // ... the plan can't be applied
)

// group is sites and what they get.
type group struct {
	Name      string                   `yaml:"name"`
	Note      string                   `yaml:"note"`
	All       bool                     `yaml:"all"`
	Sites     []string                 `yaml:"sites"`
	Districts []string                 `yaml:"districts"`
	Types     []string                 `yaml:"types"`
	Tags      []string                 `yaml:"tags"`
	Except    []string                 `yaml:"except"`
	Templates []string                 `yaml:"templates"`
	Values    map[string]settings.Node `yaml:"values"`

	values           map[string][]string
	districts, types []string // folded
}

// site is what is one site's alone.
type site struct {
	Note         string                   `yaml:"note"`
	Tags         []string                 `yaml:"tags"`
	Templates    []string                 `yaml:"templates"`
	Values       map[string]settings.Node `yaml:"values"`
	Omit         []string                 `yaml:"omit"`
	SelfInterval string                   `yaml:"self_interval"`
	Paths        map[string]path          `yaml:"paths"`
	Meetings     []Meeting                `yaml:"meetings"`
	Checks       []check                  `yaml:"checks"`
	Agents       map[string]agent         `yaml:"agents"`

	values map[string][]string
	agents map[string]*agent
}

// agent is what is one agent's alone.
type agent struct {
	Values map[string]settings.Node `yaml:"values"`
	Omit   []string                 `yaml:"omit"`
	Checks []check                  `yaml:"checks"`

	values map[string][]string
}

// Meeting is a time in which the line belongs to a meeting, in the words of an agent's settings.
type Meeting struct {
	Days []string `yaml:"days,omitempty,flow"`
	From string   `yaml:"from"`
	To   string   `yaml:"to"`
	TZ   string   `yaml:"tz,omitempty"`
	Note string   `yaml:"note,omitempty"`
}

// Parse reads a plan. The error, if any, is a *settings.Error with every mistake that can be told without knowing the
// sites. name is the file's, for messages.
func Parse(name string, text []byte) (*Plan, error) {
	p := &Plan{}
	if len(text) > MaxPlan {
		return nil, &settings.Error{Problems: []settings.Problem{{File: name, Text: fmt.Sprintf("the plan is larger than %d bytes", MaxPlan)}}}
	}
	if !utf8.Valid(text) {
		return nil, &settings.Error{Problems: []settings.Problem{{File: name, Text: "the plan is not UTF-8"}}}
	}
	p.doc = settings.Read(name, text, &p.file)
	r := reader{Plan: p, doc: p.doc, secrets: map[string]bool{}}
	r.head()
	r.readTemplates()
	r.readGroups()
	r.readSites()
	if err := p.doc.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// Note is what the plan says of itself.
func (p *Plan) Note() string { return p.file.Note }

// AllowLoopback lets checks speak to the agent's own machine, for a province on one machine. It is not to be called while
// others use the plan.
func (p *Plan) AllowLoopback() { p.rule.Loopback = true }

// Secrets lists the secrets that the plan's checks may name.
func (p *Plan) Secrets() []string { return slices.Sorted(slices.Values(p.file.Secrets)) }

// Values lists the declared values by name.
func (p *Plan) Values() map[string]values.Value {
	out := make(map[string]values.Value, len(p.values))
	for name, v := range p.values {
		out[name] = *v
	}
	return out
}

// reader is the reading of one plan.
type reader struct {
	*Plan
	doc     *settings.Doc
	secrets map[string]bool
}

func (r *reader) problem(at, format string, args ...any) { r.doc.Problem(at, format, args...) }

// name checks a name by the rule that all names follow.
func (r *reader) name(at, name string) {
	if err := probes.CheckName(name); err != nil {
		r.problem(at, "%v", err)
	}
}

func (r *reader) note(at, note string) {
	if utf8.RuneCountInString(note) > maxNote || strings.ContainsFunc(note, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }) {
		r.problem(at, "use at most %d characters of plain text", maxNote)
	}
}

func (r *reader) head() {
	f := &r.file
	r.note("note", f.Note)
	r.rule.Allow = work.DefaultAllowed()
	if f.Allow != nil {
		r.rule.Allow = nil
	}
	for i, text := range f.Allow {
		at := fmt.Sprintf("allow[%d]", i)
		p, err := reach.Prefix(text)
		if err != nil {
			r.problem(at, "%v", err)
			continue
		}
		if why := reach.Wholly(p); why != "" {
			r.problem(at, "%s is %s, which no check from here may speak to", p, why)
			continue
		}
		r.rule.Allow = append(r.rule.Allow, p)
	}
	for i, name := range f.Secrets {
		r.name(fmt.Sprintf("secrets[%d]", i), name)
		if r.secrets[name] {
			r.problem(fmt.Sprintf("secrets[%d]", i), "%q is listed twice", name)
		}
		r.secrets[name] = true
	}
	r.values = make(map[string]*values.Value, len(f.Values))
	if len(f.Values) > maxValues {
		r.problem("values", "%d values are too many; the most is %d", len(f.Values), maxValues)
	}
	for _, name := range sorted(f.Values) {
		v := f.Values[name]
		at := "values." + name
		r.valueName(at, name)
		r.note(at+".note", v.Note)
		if v.Type == "" {
			v.Type = values.TypeText
		}
		if !slices.Contains(values.Types(), v.Type) {
			r.problem(at+".type", "%.40q is no type of a value; use one of %s", string(v.Type), joinAll(values.Types()))
			v.Type = values.TypeText
		}
		r.values[name] = &v
	}
	for name, v := range r.values { // when all are known, secrets too
		if !v.Default.IsZero() {
			v.Fallback = r.entries("values."+name+".default", name, v.Default)
		}
	}
}

// valueName refuses names that have a meaning of their own.
func (r *reader) valueName(at, name string) {
	r.name(at, name)
	if slices.Contains(values.OwnNames(), name) {
		r.problem(at, "%q has a meaning of its own in checks; choose another name", name)
	}
}

// entries reads what a value is set to, in the plan.
func (r *reader) entries(at, name string, n settings.Node) []string {
	v, ok := r.values[name]
	if !ok {
		r.problem(at, "there is no value %q%s", name, values.Near(name, sorted(r.values)))
		return nil
	}
	var list []string
	switch got := r.doc.Plain(n, at).(type) {
	case nil:
		return nil
	case []any:
		if !v.List {
			r.problem(at, "%s is one value and no list, unless its declaration says list: true", name)
			return nil
		}
		for _, e := range got {
			text, ok := values.ScalarText(e)
			if !ok {
				r.problem(at, "expected single values in the list")
				return nil
			}
			list = append(list, text)
		}
	default:
		text, ok := values.ScalarText(got)
		if !ok {
			r.problem(at, "expected a single value or a list of them")
			return nil
		}
		list = []string{text}
	}
	if err := v.Check(list, r.secrets); err != nil {
		r.problem(at, "%v", err)
		return nil
	}
	return list
}

func (r *reader) sets(at string, values map[string]settings.Node) map[string][]string {
	out := make(map[string][]string, len(values))
	for _, name := range sorted(values) {
		if list := r.entries(at+"."+name, name, values[name]); list != nil {
			out[name] = list
		}
	}
	return out
}

func (r *reader) readTemplates() {
	r.templates = make(map[string]*template, len(r.file.Templates))
	if len(r.file.Templates) > maxTemplates {
		r.problem("templates", "%d templates are too many; the most is %d", len(r.file.Templates), maxTemplates)
		return
	}
	for _, name := range sorted(r.file.Templates) {
		t := r.file.Templates[name]
		t.at = "templates." + name
		r.name(t.at, name)
		r.note(t.at+".note", t.Note)
		r.duration(t.at+".self_interval", t.SelfInterval, time.Second, time.Hour)
		r.duration(t.at+".defaults.interval", t.Defaults.Interval, minInterval, maxInterval)
		r.paths(t.at+".paths", t.Paths)
		r.meetings(t.at+".meetings", t.Meetings)
		r.checks(t.at+".checks", t.Checks)
		r.templates[name] = &t
	}
}

// duration checks one that is written out; what holds values is checked where they are known.
func (r *reader) duration(at, text string, least, most time.Duration) {
	if text == "" {
		return
	}
	r.tree(at, text, false)
	if parts, err := values.Split(text); err != nil || len(parts) > 1 || parts[0].Name != "" {
		return // known when its values are
	}
	if _, err := parseInterval(text, least, most); err != nil {
		r.problem(at, "%v", err)
	}
}

func (r *reader) paths(at string, paths map[string]path) {
	for _, name := range sorted(paths) {
		if at := at + "." + name; !probes.Path(name).Valid() {
			r.problem(at, "%.40q is not a path; use one of %s", name, joinAll(probes.Paths()))
		} else if h := paths[name].Hop; h == nil {
			r.problem(at, "give the hop that proves this path: hop: {ttl: 2, expect: [10.100.0.0/16]}; devices and source addresses are each machine's own settings")
		} else {
			r.tree(at+".hop.ttl", r.doc.Plain(h.TTL, at+".hop.ttl"), false)
			r.tree(at+".hop.expect", r.doc.Plain(h.Expect, at+".hop.expect"), false)
			r.tree(at+".hop.refuse", r.doc.Plain(h.Refuse, at+".hop.refuse"), false)
			if h.TTL.IsZero() || h.Expect.IsZero() {
				r.problem(at+".hop", "give ttl and expect, such as {ttl: 2, expect: [10.100.0.0/16]}")
			}
		}
	}
}

func (r *reader) meetings(at string, list []Meeting) {
	for i, m := range list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if m.From == "" || m.To == "" {
			r.problem(at, `give from and to, such as {days: [mon], from: "07:30", to: "11:30"}`)
		}
		for _, d := range m.Days {
			if !slices.Contains([]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, d) {
				r.problem(at+".days", "%.20q is not a day; use mon to sun", d)
			}
		}
		if m.TZ != "" {
			if _, err := time.LoadLocation(m.TZ); err != nil {
				r.problem(at+".tz", "%.60q is not a time zone such as Asia/Ho_Chi_Minh", m.TZ)
			}
		}
		r.note(at+".note", m.Note)
	}
}

func (r *reader) checks(at string, list []check) {
	if len(list) > maxChecks {
		r.problem(at, "%d checks are too many here; the most is %d", len(list), maxChecks)
		return
	}
	names := map[string]int{}
	for i := range list {
		c := &list[i]
		c.at = fmt.Sprintf("%s[%d]", at, i)
		if first, taken := names[c.Name]; taken && c.Name != "" {
			r.problem(c.at+".name", "%q is taken by the check in place %d", c.Name, first+1)
		}
		names[c.Name] = i
		r.check(c)
	}
}

func (r *reader) check(c *check) {
	r.tree(c.at+".name", c.Name, false)
	parts, _ := values.Split(c.Name) // what is wrong with it was told
	switch {
	case c.Name == "":
		r.problem(c.at+".name", "is missing; every check needs a name")
	case len(parts) == 1 && parts[0].Name == "":
		r.name(c.at+".name", c.Name)
	}
	if !slices.Contains(probes.Kinds(), c.Kind) {
		r.problem(c.at+".kind", "%.40q is not a kind of check; use one of %s", string(c.Kind), joinAll(probes.Kinds()))
	}
	if !c.Path.Valid() {
		r.problem(c.at+".path", "%.40q is not a path; use one of %s", string(c.Path), joinAll(probes.Paths()))
	}
	if c.Layer != "" && !c.Layer.Valid() {
		r.problem(c.at+".layer", "%.40q is not a layer; use one of %s", string(c.Layer), joinAll(probes.Layers()))
	}
	if c.Address == "" && c.Kind != probes.KindMachine {
		r.problem(c.at+".address", "is missing")
	}
	r.tree(c.at+".address", c.Address, false)
	r.duration(c.at+".interval", c.Interval, minInterval, maxInterval)
	switch c.IfMissing {
	case "", missingNote, missingQuiet, missingError:
	default:
		r.problem(c.at+".if_missing", "%.40q is unknown; use %s, %s or %s", c.IfMissing, missingNote, missingQuiet, missingError)
	}
	if c.Each != "" {
		if v := r.values[c.Each]; v == nil {
			r.problem(c.at+".each", "there is no value %.60q%s", c.Each, values.Near(c.Each, sorted(r.values)))
		} else if !v.List {
			r.problem(c.at+".each", "%s is one value and no list, unless its declaration says list: true", c.Each)
		}
		if !slices.ContainsFunc(parts, func(p values.Part) bool { return p.Name == values.NameItem || p.Name == values.NameNumber }) {
			r.problem(c.at+".name", "needs ${item} or ${number}, since there is one check for each of %s", c.Each)
		}
	} else if slices.ContainsFunc(parts, func(p values.Part) bool { return p.Name == values.NameItem || p.Name == values.NameNumber }) {
		r.problem(c.at+".name", "${item} and ${number} are those of each, which is not given")
	}
	c.options, _ = r.doc.Plain(c.Options, c.at+".options").(map[string]any)
	if !c.Options.IsZero() && c.options == nil {
		r.problem(c.at+".options", "expected keys and values here")
	}
	r.options(c)
}

// options checks the keys of a check's options, and that no secret stands among them.
func (r *reader) options(c *check) {
	known := kinds.Options()[c.Kind]
	for _, key := range sorted(c.options) {
		if known != nil && !slices.Contains(known, key) {
			r.problem(c.at+".options."+key, "unknown option of %s checks%s", c.Kind, values.Near(key, known))
		}
	}
	r.tree(c.at+".options", c.options, true)
}

// tree checks the references in plain values, and what options may hold.
func (r *reader) tree(at string, v any, options bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sorted(v) {
			place := at + "." + key
			switch text, _ := v[key].(string); {
			case options && kinds.MachineFile(key, v[key]):
				r.problem(place, "names a file, folder or variable of the agent's machine, which can't be done from here; of what holds a secret write %s: ${secret:NAME}", strings.TrimSuffix(strings.TrimSuffix(key, "_file"), "_env"))
			case options && kinds.Secret(key) && v[key] != nil && !r.secretReference(text):
				r.problem(place, "is a secret and must not stand in a plan; write ${secret:NAME}, and keep it with: communewatch-collector work secret set NAME")
				continue
			}
			r.tree(place, v[key], options)
		}
	case []any:
		for i, e := range v {
			r.tree(fmt.Sprintf("%s[%d]", at, i), e, options)
		}
	case string:
		parts := r.references(at, v)
		for _, p := range parts {
			isSecret := p.Secret || r.values[p.Name] != nil && r.values[p.Name].Type == values.TypeSecret
			if isSecret && (!options || len(parts) > 1 || !kinds.SecretPlace(at)) {
				r.problem(at, "is no place for a secret; one is the whole of community, auth_key, priv_key, token, or of a header")
			}
		}
	}
}

// secretReference reports whether a text is nothing but a reference to a secret.
func (r *reader) secretReference(text string) bool {
	parts, err := values.Split(text)
	if err != nil {
		return true // told elsewhere
	}
	if len(parts) != 1 {
		return false
	}
	v := r.values[parts[0].Name]
	return parts[0].Secret || v != nil && v.Type == values.TypeSecret && !v.List
}

// references takes a text apart and checks that what it refers to is declared. nil tells of a mistake.
func (r *reader) references(at, text string) []values.Part {
	parts, err := values.Split(text)
	if err != nil {
		r.problem(at, "%v", err)
		return nil
	}
	for _, p := range parts {
		switch {
		case p.Name == "" || slices.Contains(values.OwnNames(), p.Name) && !p.Secret:
		case p.Secret && !r.secrets[p.Name]:
			r.problem(at, "secret %q is not listed under secrets%s", p.Name, values.Near(p.Name, sorted(r.secrets)))
			return nil
		case !p.Secret && r.values[p.Name] == nil:
			r.problem(at, "there is no value %q%s; declare it under values", p.Name, values.Near(p.Name, sorted(r.values)))
			return nil
		}
	}
	return parts
}

func (r *reader) readGroups() {
	if len(r.file.Groups) > maxGroups {
		r.problem("groups", "%d groups are too many; the most is %d", len(r.file.Groups), maxGroups)
		return
	}
	names := map[string]bool{}
	for i := range r.file.Groups {
		g := &r.file.Groups[i]
		at := fmt.Sprintf("groups[%d]", i)
		r.name(at+".name", g.Name)
		if names[g.Name] {
			r.problem(at+".name", "%q is taken by another group", g.Name)
		}
		names[g.Name] = true
		r.note(at+".note", g.Note)
		if !g.All && len(g.Sites)+len(g.Districts)+len(g.Types)+len(g.Tags) == 0 {
			r.problem(at, "say which sites are in it: all: true, sites, districts, types or tags")
		}
		if g.All && len(g.Sites)+len(g.Districts)+len(g.Types)+len(g.Tags) > 0 {
			r.problem(at, "all: true stands alone; leave out sites, districts, types and tags, or all")
		}
		for _, d := range g.Districts {
			g.districts = append(g.districts, inventory.Fold(d))
		}
		for _, d := range g.Types {
			g.types = append(g.types, inventory.Fold(d))
		}
		r.templateNames(at+".templates", g.Templates)
		g.values = r.sets(at+".values", g.Values)
		r.groups = append(r.groups, g)
	}
}

func (r *reader) templateNames(at string, names []string) {
	for i, name := range names {
		if r.templates[name] == nil {
			r.problem(fmt.Sprintf("%s[%d]", at, i), "there is no template %.60q%s", name, values.Near(name, sorted(r.templates)))
		}
	}
}

func (r *reader) readSites() {
	r.sites = make(map[string]*site, len(r.file.Sites))
	if len(r.file.Sites) > maxSites {
		r.problem("sites", "%d sites are too many; the most is %d", len(r.file.Sites), maxSites)
		return
	}
	for _, id := range sorted(r.file.Sites) {
		s := r.file.Sites[id]
		at := "sites." + id
		r.name(at, id)
		r.note(at+".note", s.Note)
		for i, tag := range s.Tags {
			r.name(fmt.Sprintf("%s.tags[%d]", at, i), tag)
		}
		r.templateNames(at+".templates", s.Templates)
		s.values = r.sets(at+".values", s.Values)
		r.omit(at+".omit", s.Omit)
		r.duration(at+".self_interval", s.SelfInterval, time.Second, time.Hour)
		r.paths(at+".paths", s.Paths)
		r.meetings(at+".meetings", s.Meetings)
		r.checks(at+".checks", s.Checks)
		s.agents = map[string]*agent{}
		for _, name := range sorted(s.Agents) {
			a := s.Agents[name]
			at := at + ".agents." + name
			r.name(at, name)
			a.values = r.sets(at+".values", a.Values)
			r.omit(at+".omit", a.Omit)
			r.checks(at+".checks", a.Checks)
			s.agents[name] = &a
		}
		r.sites[id] = &s
	}
}

// omit checks names of checks to leave out. A trailing * stands for any end.
func (r *reader) omit(at string, list []string) {
	for i, name := range list {
		if bare := strings.TrimSuffix(name, "*"); bare != "" || name == "" {
			r.name(fmt.Sprintf("%s[%d]", at, i), bare)
		}
	}
}
