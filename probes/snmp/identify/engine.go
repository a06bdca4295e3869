package identify

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
)

//go:embed profiles/*.yaml
var builtIn embed.FS

//go:embed enterprises.txt
var enterprises string

// Engine identifies devices. It may be used concurrently.
type Engine struct {
	profiles []*Profile
	makers   map[string]string // enterprise number -> name
	patterns patterns
}

// builtInEngine is the engine of those who have no profiles of their own: it never changes, and a process that runs many
// agents, as the lab does, should read it once.
var builtInEngine = sync.OnceValues(func() (*Engine, error) {
	folder, err := fs.Sub(builtIn, "profiles")
	if err != nil {
		return nil, err
	}
	e := newEngine()
	e.profiles, err = load(folder, false)
	return e, err
})

func newEngine() *Engine {
	e := &Engine{makers: makersOf(enterprises)}
	e.patterns.known = map[string]*regexp.Regexp{}
	return e
}

// New returns an engine with the built-in profiles and, before them, those of the user's folder (nil: none). Mistakes
// in the user's are all reported, with file and line.
func New(user fs.FS) (*Engine, error) {
	known, err := builtInEngine()
	if err != nil || user == nil {
		return known, err
	}
	own, err := load(user, true)
	if err != nil {
		return nil, err
	}
	e := newEngine()
	e.profiles = slices.Concat(own, known.profiles)
	return e, nil
}

// makersOf reads lines of a number and a name.
func makersOf(text string) map[string]string {
	makers := map[string]string{}
	for line := range strings.Lines(text) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && !strings.HasPrefix(number, "#") {
			makers[number] = name
		}
	}
	return makers
}

// Identity is what a device is. Facts that nothing was found for are left out.
type Identity struct {
	Profiles []string      // that fit, the closest first
	Facts    []probes.Fact // in the order of probes.FactNames
}

// Fact returns what is known by a name; the zero Fact if nothing is.
func (id *Identity) Fact(name probes.FactName) probes.Fact {
	for _, f := range id.Facts {
		if f.Name == name {
			return f
		}
	}
	return probes.Fact{}
}

// Variables that every device is asked for.
const (
	sysDescr    = ask.OID("1.3.6.1.2.1.1.1.0")
	sysObjectID = ask.OID("1.3.6.1.2.1.1.2.0")
	sysName     = ask.OID("1.3.6.1.2.1.1.5.0")
	sysLocation = ask.OID("1.3.6.1.2.1.1.6.0")
	private     = ask.OID("1.3.6.1.4.1")
)

// Identify asks a device what it is. An error means that it did not answer at all; one that stopped answering half-way
// gives what is known until then.
func (e *Engine) Identify(ctx context.Context, dev ask.Device) (Identity, error) {
	r := &reading{dev: dev, scalars: map[ask.OID]ask.Value{}, columns: map[ask.OID][]ask.Var{}, tables: map[ask.OID]bool{}}
	r.fetch(ctx, []ask.OID{sysDescr, sysObjectID, sysName, sysLocation})
	if r.failed > 0 {
		return Identity{}, r.err
	}
	r.said, r.sysName = plain(r.scalars[sysDescr]), plain(r.scalars[sysName])
	r.descr = e.withoutHost(r.said)
	switch v := r.scalars[sysObjectID]; v.Type {
	case ask.ObjectID, ask.Octets: // some write it as a text
		if id, err := ask.ParseOID(v.Text()); err == nil {
			r.objectID = id
		}
	}
	chain := e.choose(ctx, r)
	r.fetch(ctx, r.scalarsOf(chain))

	id := Identity{}
	for _, p := range chain {
		id.Profiles = append(id.Profiles, p.Name)
	}
	vendor := ""
	for _, name := range probes.FactNames() { // the vendor first: its name is taken off the model
		f, ok := e.find(ctx, r, chain, name, vendor)
		if !ok {
			f, ok = e.fallback(r, chain, name)
		}
		if !ok {
			continue
		}
		if name == probes.FactVendor {
			vendor = f.Value
		}
		id.Facts = append(id.Facts, f)
	}
	return id, ctx.Err()
}

// find tries the sources of a fact, profile by profile.
func (e *Engine) find(ctx context.Context, r *reading, chain []*Profile, name probes.FactName, vendor string) (probes.Fact, bool) {
	for _, p := range chain {
		for i := range p.Facts[name] {
			for _, f := range e.read(ctx, r, &p.Facts[name][i]) {
				if value := clean(name, f.value, vendor); value != "" {
					return probes.Fact{Name: name, Value: value, Source: f.source, Confidence: f.confidence}, true
				}
			}
		}
		if slices.Contains(p.Final, name) {
			return probes.Fact{}, false
		}
		if name == probes.FactClass && p.Class != "" {
			return probes.Fact{Name: name, Value: p.Class, Source: "profile " + p.Name, Confidence: confidenceDescr}, true
		}
		if name == probes.FactVendor && p.Vendor != "" {
			return probes.Fact{Name: name, Value: p.Vendor, Source: "profile " + p.Name, Confidence: confidenceDescr}, true
		}
	}
	return probes.Fact{}, false
}

// fallback is what needs no profile: what the device says of itself, and its enterprise number.
func (e *Engine) fallback(r *reading, chain []*Profile, name probes.FactName) (probes.Fact, bool) {
	fact := func(value, source string, confidence float64) (probes.Fact, bool) {
		return probes.Fact{Name: name, Value: value, Source: source, Confidence: confidence}, value != ""
	}
	switch name {
	case probes.FactVendor:
		if len(chain) > 0 && slices.Contains(chain[0].Final, probes.FactVendor) {
			return probes.Fact{}, false
		}
		number, _, _ := strings.Cut(r.objectID.Index(private), ".")
		return fact(e.makers[number], "snmp sysObjectID "+string(r.objectID), confidenceText)
	case probes.FactDescr:
		return fact(r.said, "snmp sysDescr", 1)
	case probes.FactObjectID:
		return fact(string(r.objectID), "snmp sysObjectID", 1)
	case probes.FactSysName:
		return fact(r.sysName, "snmp sysName", 1)
	case probes.FactLocation:
		return fact(plain(r.scalars[sysLocation]), "snmp sysLocation", 1)
	}
	return probes.Fact{}, false
}

// scalarsOf lists the variables that the profiles name, so that they are asked for together.
func (r *reading) scalarsOf(chain []*Profile) (oids []ask.OID) {
	var add func(s *Source)
	add = func(s *Source) {
		if s.OID != "" {
			oids = append(oids, s.OID)
		}
		if o := r.under(s.Under); s.Under != "" && strings.HasSuffix(string(o), ".0") {
			oids = append(oids, o)
		}
		for i := range s.Join {
			add(&s.Join[i])
		}
	}
	for _, p := range chain {
		for _, sources := range p.Facts {
			for i := range sources {
				add(&sources[i])
			}
		}
	}
	slices.SortFunc(oids, ask.OID.Compare)
	return slices.Compact(oids)
}

// String lists the identity for people.
func (id Identity) String() string {
	var b strings.Builder
	for _, f := range id.Facts {
		fmt.Fprintf(&b, "%-11s %s  (%s, %.2f)\n", f.Name, f.Value, f.Source, f.Confidence)
	}
	return b.String()
}
