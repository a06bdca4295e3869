// Package contract holds what agents send against probes.Schema and translates it for the judge.
//
// A line is checked in two halves. Its key (measurement and tags) is checked in full once and then known: Cache finds
// it again by its raw bytes, for the price of one map lookup. Its fields are checked every time, which is a walk along
// the contract's list, because agents write fields in the contract's order and leave out what they could not measure.
package contract

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"communewatch/collector/health"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// Contract is probes.Schema made quick to look things up in.
type Contract struct {
	measurements map[string]*measurement
	names        string // for messages
}

type measurement struct {
	name   string
	kind   probes.Kind // of measurements that one kind of probe returns; "" for the others
	tags   []probes.TagSpec
	row    func(tag func(string) string) string
	fields []field // in the contract's order
	byKey  map[string]int
	judged bool // a field of it is
	names  string
}

type field struct {
	probes.FieldSpec
	enum   map[string]int // value -> its place in Enum
	judged bool           // a rule of the judge looks at it
	most   float64        // that a number may be
}

// New returns the contract. Only fields that rules use are handed to a judge.
func New(rules health.Rules) *Contract {
	c := &Contract{measurements: map[string]*measurement{}}
	var names []string
	for _, spec := range probes.Schema() {
		m := &measurement{name: spec.Name, kind: spec.Kind, tags: spec.Tags, row: spec.Row, byKey: map[string]int{}}
		var fields []string
		for i, s := range spec.Fields {
			f := field{FieldSpec: s, judged: m.kind != "" && s.Type != probes.TypeString && rules.Uses(spec.Name, s.Key), most: math.Inf(1)}
			if s.Unit == "ratio 0..1" {
				f.most = 1
			}
			if s.Enum != nil {
				f.enum = map[string]int{}
				for n, v := range s.Enum {
					f.enum[v] = n
				}
			}
			m.judged = m.judged || f.judged
			m.byKey[s.Key] = i
			m.fields = append(m.fields, f)
			fields = append(fields, s.Key)
		}
		m.names = strings.Join(fields, ", ")
		c.measurements[spec.Name] = m
		names = append(names, spec.Name)
	}
	c.names = strings.Join(names, ", ")
	return c
}

// maxSeen is how many fields a measurement may have for CheckFields to remember which it saw; a test holds the
// contract to it.
const maxSeen = 64

// CheckFields says what is wrong with a row's fields, "" if nothing, and which they are: bit n stands for the
// measurement's field n. Agents write them in the contract's order and
// leave out what they could not measure, so each is looked for where the one before was found.
func (s *Series) CheckFields(fields []wire.Field) (seen uint64, reason string) {
	m := s.measurement
	next := 0
	for i := range fields {
		f := &fields[i]
		at := m.find(f.Key, next)
		if at < 0 {
			return 0, fmt.Sprintf("measurement %s has no field %q; it has %s", m.name, wire.Excerpt(f.Key), m.names)
		}
		if seen&(1<<at) != 0 {
			return 0, fmt.Sprintf("field %s twice", f.Key)
		}
		seen |= (1 << at)
		next = at + 1
		if reason := m.fields[at].check(f); reason != "" {
			return 0, reason
		}
	}
	return seen, ""
}

// find returns the place of a field in the contract, looking from next on first, or -1.
func (m *measurement) find(key []byte, next int) int {
	for at := next; at < len(m.fields); at++ {
		if m.fields[at].Key == string(key) {
			return at
		}
	}
	if at, ok := m.byKey[string(key)]; ok {
		return at
	}
	return -1
}

func (s *field) check(f *wire.Field) string {
	if f.Type != s.Type && (s.Type != probes.TypeFloat || f.Type != probes.TypeInt) {
		return fmt.Sprintf("field %s must be of type %v, not %v", s.Key, s.Type, f.Type)
	}
	if s.Type != probes.TypeString {
		if f.Num < 0 && !s.Signed || f.Num > s.most {
			return fmt.Sprintf("field %s can't be %v (%s)", s.Key, f.Num, s.Doc)
		}
		return ""
	}
	if s.enum != nil {
		if _, ok := s.enum[string(f.Str)]; !ok {
			return fmt.Sprintf("field %s: %q is none of %s", s.Key, wire.Excerpt(f.Str), strings.Join(s.Enum, ", "))
		}
	} else if len(f.Str) > probes.MaxText {
		return fmt.Sprintf("field %s: text of %d bytes is longer than %d", s.Key, len(f.Str), probes.MaxText)
	}
	return ""
}

// Has reports whether agents write a measurement of that name.
func (c *Contract) Has(name string) bool { return c.measurements[name] != nil }

// CheckKey takes the raw key of a row apart and says what is wrong with it, "" if nothing.
func (c *Contract) CheckKey(key []byte) (*Series, string) {
	parsed, err := wire.ParseKey(key)
	if err != nil {
		return nil, err.Error()
	}
	m := c.measurements[parsed.Measurement]
	if m == nil {
		return nil, fmt.Sprintf("unknown measurement %q; an agent writes %s", wire.Excerpt([]byte(parsed.Measurement)), c.names)
	}
	s := &Series{key: string(key), measurement: m}
	for _, spec := range m.tags {
		value := parsed.Tags.Get(spec.Key)
		if value == "" {
			return nil, fmt.Sprintf("measurement %s needs the tag %s (%s)", m.name, spec.Key, spec.Doc)
		}
		if spec.Enum == nil {
			if err := probes.CheckName(value); err != nil {
				return nil, fmt.Sprintf("tag %s: %v", spec.Key, err)
			}
		} else if n := slices.Index(spec.Enum, value); n >= 0 {
			value = spec.Enum[n] // one copy for all series
		} else {
			return nil, fmt.Sprintf("tag %s: %q is none of %s", spec.Key, wire.Excerpt([]byte(value)), strings.Join(spec.Enum, ", "))
		}
		switch spec.Key {
		case "site":
			s.Site = value
		case "agent":
			s.Agent = value
		case "target":
			s.target = value
		case "path":
			s.path = probes.Path(value)
		case "kind":
			s.kind = probes.Kind(value)
		case "layer":
			s.layer = probes.Layer(value)
		case "device":
			s.device = value
		case "fact":
			s.fact = probes.FactName(value)
		}
	}
	if len(parsed.Tags) > len(m.tags) {
		for _, t := range parsed.Tags {
			if !slices.ContainsFunc(m.tags, func(spec probes.TagSpec) bool { return spec.Key == t.Key }) {
				return nil, fmt.Sprintf("measurement %s has no tag %q", m.name, wire.Excerpt([]byte(t.Key)))
			}
		}
	}
	if m.kind != "" {
		s.kind = m.kind
		s.row = m.row(parsed.Tags.Get)
	}
	return s, ""
}
