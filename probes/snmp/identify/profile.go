package identify

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"communewatch/probes"
	"communewatch/probes/settings"
	"communewatch/probes/snmp/ask"
)

// A file of profiles. docs/profiles.md describes the format for those who write one.
type file struct {
	Vendor   string    `yaml:"vendor"` // of all profiles that do not name theirs
	Profiles []Profile `yaml:"profiles"`
}

// Profile says how to tell one line of devices, and where they keep which fact.
type Profile struct {
	Name   string                       `yaml:"name"` // unique, for messages
	Match  Match                        `yaml:"match"`
	Rank   int                          `yaml:"rank"`   // in place of the computed one; 0: computed
	Vendor string                       `yaml:"vendor"` // where no source gives one
	Class  string                       `yaml:"class"`  // likewise
	Facts  map[probes.FactName][]Source `yaml:"facts"`
	Final  []probes.FactName            `yaml:"final"` // not looked for in profiles that fit less well

	OwnersDescr bool `yaml:"owners_descr"` // sysDescr is what its owner wrote: profiles of other makers that go by it alone do not count

	user bool // from a folder of the user's: goes before all that are built in
}

// Match says which devices a profile is for. What is left out does not matter; all that is given must hold.
type Match struct {
	ObjectID []ask.OID `yaml:"object_id"` // sysObjectID is one of these or below
	Descr    []string  `yaml:"descr"`     // one of these patterns is in sysDescr
	Not      []string  `yaml:"not"`       // and none of these
	Answers  []ask.OID `yaml:"answers"`   // the device has one of these variables, or something below
}

// Source is one place where a fact may stand. Exactly one of the first group is given.
type Source struct {
	OID      ask.OID           `yaml:"oid"`       // a variable
	Column   ask.OID           `yaml:"column"`    // a table's column: its first value that is not junk
	Under    ask.OID           `yaml:"under"`     // what stands below the device's own sysObjectID: a variable if it ends in .0, else a column
	Entity   string            `yaml:"entity"`    // a column of ENTITY-MIB's entPhysicalTable by name, of the chassis
	Descr    string            `yaml:"descr"`     // a pattern on sysDescr
	SysName  string            `yaml:"sys_name"`  // a pattern on sysName
	ObjectID map[string]string `yaml:"object_id"` // sysObjectID -> value; a key ending in .* is a prefix
	Text     string            `yaml:"text"`      // always this
	Join     []Source          `yaml:"join"`      // several, put together; nothing if one of them is

	Of    string  `yaml:"of"`    // for entity: chassis (also when empty: stack, then the first of all) or any
	Row   string  `yaml:"row"`   // for column: the index; empty: any
	Where *Where  `yaml:"where"` // for column: only rows where another column is so
	With  *string `yaml:"with"`  // for join: between the parts; one space when left out

	Match string            `yaml:"match"` // a pattern: its first group that took part is the value, or all it matched
	To    string            `yaml:"to"`    // for match, descr and sys_name: the value, with ${1} and so on
	Not   string            `yaml:"not"`   // a pattern that the value must not have
	Map   map[string]string `yaml:"map"`   // value -> what to say instead; "" says nothing; what is not listed is left as it is
	Only  bool              `yaml:"only"`  // for map: what is not listed is nothing
	As    string            `yaml:"as"`    // mac: six octets are a MAC address; hex: octets in hex digits; number: a number is taken too

	Confidence float64 `yaml:"confidence"` // 0: by the kind of source
}

// Where picks rows of a table by another column.
type Where struct {
	Column ask.OID `yaml:"column"`
	Is     string  `yaml:"is"` // a pattern
}

// entityColumns are the columns of entPhysicalTable that a source may name.
var entityColumns = map[string]ask.OID{
	"descr": entPhysical + ".2", "name": entPhysical + ".7", "hardware": entPhysical + ".8", "firmware": entPhysical + ".9",
	"software": entPhysical + ".10", "serial": entPhysical + ".11", "mfg": entPhysical + ".12", "model": entPhysical + ".13",
}

const (
	entPhysical = ask.OID("1.3.6.1.2.1.47.1.1.1.1")
	entClass    = entPhysical + ".5"
)

// maxFiles bounds the profile files of a folder.
const maxFiles = 500

// load reads all profile files of a folder. All mistakes of all files are reported.
func load(folder fs.FS, user bool) ([]*Profile, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, err
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%d profile files, more than %d", len(names), maxFiles)
	}
	var all []*Profile
	var problems []settings.Problem
	seen := map[string]string{}
	for _, name := range names {
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		var f file
		doc := settings.Read(name, data, &f)
		for i := range f.Profiles {
			p := &f.Profiles[i]
			at := fmt.Sprintf("profiles[%d]", i)
			p.user = user
			if p.Vendor == "" {
				p.Vendor = f.Vendor
			}
			p.validate(doc, at)
			if other, ok := seen[p.Name]; ok {
				doc.Problem(at+".name", "%s is also the name of a profile in %s; names are unique", p.Name, other)
			}
			seen[p.Name] = name
			all = append(all, p)
		}
		if err := doc.Err(); err != nil {
			var e *settings.Error
			if !asError(err, &e) {
				return nil, err
			}
			problems = append(problems, e.Problems...)
		}
	}
	if len(problems) > 0 {
		return nil, &settings.Error{Problems: problems}
	}
	return all, nil
}

func (p *Profile) validate(doc *settings.Doc, at string) {
	if p.Name == "" {
		doc.Problem(at, "a profile needs a name, for example acme-switch")
	}
	if p.Class != "" && !slices.Contains(probes.Classes(), p.Class) {
		doc.Problem(at+".class", "%q is none of %s", p.Class, strings.Join(probes.Classes(), ", "))
	}
	oids := func(at string, list ...ask.OID) {
		for i := range list {
			if list[i] == "" {
				continue
			}
			if _, err := ask.ParseOID(string(list[i])); err != nil {
				doc.Problem(at, "%v", err)
			}
		}
	}
	patterns := func(at string, list ...string) {
		for _, s := range list {
			if _, err := regexp.Compile(s); err != nil {
				doc.Problem(at, "not a pattern: %v", err)
			}
		}
	}
	oids(at+".match.object_id", p.Match.ObjectID...)
	oids(at+".match.answers", p.Match.Answers...)
	if p.user { // the built-in ones are compiled when they are needed; a test compiles them all
		patterns(at+".match.descr", p.Match.Descr...)
		patterns(at+".match.not", p.Match.Not...)
	}
	for _, name := range p.Final {
		if !slices.Contains(probes.FactNames(), name) {
			doc.Problem(at+".final", "%q is no fact; facts are %s", name, factList())
		}
	}
	for name, sources := range p.Facts {
		place := at + ".facts." + string(name)
		if !slices.Contains(probes.FactNames(), name) {
			doc.Problem(place, "%q is no fact; facts are %s", name, factList())
		}
		for i := range sources {
			sources[i].validate(doc, fmt.Sprintf("%s[%d]", place, i), p.user, oids, patterns)
		}
	}
}

func (s *Source) validate(doc *settings.Doc, at string, user bool, oids func(string, ...ask.OID), patterns func(string, ...string)) {
	given := 0
	for _, is := range []bool{s.OID != "", s.Column != "", s.Under != "", s.Entity != "", s.Descr != "", s.SysName != "", s.ObjectID != nil, s.Text != "", s.Join != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		doc.Problem(at, "give exactly one of oid, column, under, entity, descr, sys_name, object_id, text, join")
	}
	oids(at, s.OID, s.Column, s.Under)
	if s.Where != nil {
		oids(at+".where", s.Where.Column)
	}
	if user {
		patterns(at, s.Descr, s.SysName, s.Match, s.Not)
		if s.Where != nil {
			patterns(at+".where", s.Where.Is)
		}
	}
	if _, ok := entityColumns[s.Entity]; s.Entity != "" && !ok {
		doc.Problem(at+".entity", "%q is none of descr, name, hardware, firmware, software, serial, mfg, model", s.Entity)
	}
	if s.Of != "" && s.Of != "chassis" && s.Of != "any" {
		doc.Problem(at+".of", "must be chassis or any")
	}
	if s.As != "" && s.As != "mac" && s.As != "hex" && s.As != "number" {
		doc.Problem(at+".as", "must be mac, hex or number")
	}
	if s.Confidence < 0 || s.Confidence > 1 {
		doc.Problem(at+".confidence", "must be between 0 and 1")
	}
	for i := range s.Join {
		s.Join[i].validate(doc, fmt.Sprintf("%s.join[%d]", at, i), user, oids, patterns)
	}
}

func factList() string {
	var names []string
	for _, n := range probes.FactNames() {
		names = append(names, string(n))
	}
	return strings.Join(names, ", ")
}
