package identify

import (
	"context"
	"slices"
	"testing"
	"testing/fstest"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
)

// device answers from a map.
type device map[ask.OID]ask.Value

func (d device) Get(_ context.Context, oids ...ask.OID) ([]ask.Var, error) {
	var out []ask.Var
	for _, o := range oids {
		if v, ok := d[o]; ok {
			out = append(out, ask.Var{OID: o, Value: v})
		}
	}
	return out, nil
}

func (d device) Walk(_ context.Context, root ask.OID, most int) ([]ask.Var, error) {
	var out []ask.Var
	for o, v := range d {
		if o != root && o.Below(root) {
			out = append(out, ask.Var{OID: o, Value: v})
		}
	}
	sortVars(out)
	if len(out) > most {
		return out[:most], ask.ErrPartial
	}
	return out, nil
}

func text(s string) ask.Value   { return ask.Value{Type: ask.Octets, Bytes: []byte(s)} }
func number(n int) ask.Value    { return ask.Value{Type: ask.Integer, Num: uint64(n)} }
func object(s string) ask.Value { return ask.Value{Type: ask.ObjectID, Bytes: []byte(s)} }

func TestBuiltInProfilesAreSound(t *testing.T) {
	e, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	e.eachPattern(func(p *Profile, pattern string) {
		if e.patterns.get(pattern) == nil {
			t.Errorf("profile %s: not a pattern: %s", p.Name, pattern)
		}
	})
}

func TestAUsersProfileGoesFirst(t *testing.T) {
	folder := fstest.MapFS{"acme.yaml": {Data: []byte(`
vendor: Acme
profiles:
  - name: acme-switch
    class: switch
    match: {object_id: [1.3.6.1.4.1.99999], descr: ['^Acme']}
    facts:
      model: [{descr: '^Acme (\S+)'}]
      serial: [{oid: 1.3.6.1.4.1.99999.1.1.0, match: 'SN=(\w+)'}]
`)}}
	e, err := New(folder)
	if err != nil {
		t.Fatal(err)
	}
	id, err := e.Identify(context.Background(), device{
		sysDescr: text("Acme X-24 version 3"), sysObjectID: object("1.3.6.1.4.1.99999.7"),
		"1.3.6.1.4.1.99999.1.1.0": text("SN=AB1234"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[probes.FactName]string{"vendor": "Acme", "model": "X-24", "serial": "AB1234", "class": "switch", "version": ""} {
		if got := id.Fact(name).Value; got != want {
			t.Errorf("%s is %q, want %q\n%s", name, got, want, id)
		}
	}
}

func sortVars(vars []ask.Var) {
	slices.SortFunc(vars, func(a, b ask.Var) int { return a.OID.Compare(b.OID) })
}

// eachPattern calls do with every pattern of every profile.
func (e *Engine) eachPattern(do func(*Profile, string)) {
	var source func(p *Profile, s *Source)
	source = func(p *Profile, s *Source) {
		for _, pattern := range []string{s.Descr, s.SysName, s.Match, s.Not} {
			do(p, pattern)
		}
		if s.Where != nil {
			do(p, s.Where.Is)
		}
		for i := range s.Join {
			source(p, &s.Join[i])
		}
	}
	for _, p := range e.profiles {
		for _, pattern := range append(p.Match.Descr, p.Match.Not...) {
			do(p, pattern)
		}
		for _, sources := range p.Facts {
			for i := range sources {
				source(p, &sources[i])
			}
		}
	}
}

func TestVariablesBelowTheDevicesOwnObjectID(t *testing.T) {
	folder := fstest.MapFS{"acme.yaml": {Data: []byte(`
vendor: Acme
profiles:
  - name: acme
    match: {object_id: [1.3.6.1.4.1.99999]}
    facts:
      version: [{under: 1.4.0}]
      serial: [{under: "1.5"}]
`)}}
	e, err := New(folder)
	if err != nil {
		t.Fatal(err)
	}
	for objectID, want := range map[string]string{"1.3.6.1.4.1.99999.7": "1.2.3", "1.3.6.1.4.1.99999.8": "", "1.3.6.1.4.1.99999": ""} {
		id, err := e.Identify(context.Background(), device{
			sysDescr: text("x"), sysObjectID: object(objectID),
			"1.3.6.1.4.1.99999.7.1.4.0": text("1.2.3"), "1.3.6.1.4.1.99999.7.1.5.1": text("AB1234"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := id.Fact(probes.FactVersion).Value; got != want {
			t.Errorf("%s: version is %q, want %q\n%s", objectID, got, want, id)
		}
		if got := id.Fact(probes.FactSerial).Value; (got == "AB1234") != (want != "") {
			t.Errorf("%s: serial is %q\n%s", objectID, got, id)
		}
	}
}
