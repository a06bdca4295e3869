package catalogue

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"communewatch/inventory/lifecycle/version"
)

// Topic is what a question to the catalogue is about. Rows answer questions of their own topics alone: that a model is
// certified for Teams until some day must not hide the row with its maker's dates.
type Topic uint8

// The topics of device rows, and of firmware rows that name a model.
const (
	TopicSupport  Topic = iota // end of sale, maintenance, support
	TopicExploits              // known exploited vulnerabilities
	TopicTrain                 // what software line it can run
	TopicPlatform              // certification by a conference platform
	TopicMinimum               // least safe firmware
	topics
)

// topicsOf returns what a row says something about.
func topicsOf(r *Row) []Topic {
	var all []Topic
	switch s := r.Status(); {
	case r.Class == classCPU || r.Class == classProtocol:
		return nil
	case r.Kind == KindFirmware:
		if r.Note("min_fw") != "" && (r.Match == MatchExact || r.Match == MatchGlob) {
			all = append(all, TopicMinimum)
		}
		return all
	case s == StatusPlatformOnly:
		all = append(all, TopicPlatform)
	case s == StatusLegacyTrain || s == StatusPreviousGen:
		all = append(all, TopicTrain, TopicSupport)
	case strings.HasPrefix(s, StatusKEV):
		all = append(all, TopicExploits)
		if !r.Sale.IsZero() || !r.Maint.IsZero() || !r.Support.IsZero() {
			all = append(all, TopicSupport)
		}
	default:
		all = append(all, TopicSupport)
	}
	if r.Note("platform") != "" && !slices.Contains(all, TopicPlatform) {
		all = append(all, TopicPlatform)
	}
	if r.Note("min_fw") != "" {
		all = append(all, TopicMinimum)
	}
	return all
}

// Catalogue is the rows, ready to be searched. It does not change and may be used by many at once.
type Catalogue struct {
	rows    []*Row
	byID    map[string]*Row
	names   *names
	shelves map[shelf]*models
	soft    *software
	systems *systems
	cpus    map[string]*Row
	other   map[string]*Row // by pattern: protocols
}

type shelf struct {
	vendor string // group
	topic  Topic
}

type models struct {
	exact map[string][]*Row
	globs []glob // longest first
}

type glob struct {
	pattern string
	weight  int
	row     *Row
}

// New makes a catalogue of rows, which must have passed Check and must not be changed afterwards. Rows entered by
// reviewers stand beside those that came with the program: where they disagree, both are found.
func New(lists ...[]*Row) *Catalogue {
	c := &Catalogue{byID: map[string]*Row{}, names: loadNames(), shelves: map[shelf]*models{}, cpus: map[string]*Row{}, other: map[string]*Row{}}
	for _, rows := range lists {
		c.rows = append(c.rows, rows...)
	}
	c.soft = loadSoftware(c.names)
	c.systems = loadSystems()
	for _, r := range c.rows {
		c.byID[r.ID] = r
		switch {
		case r.Class == classCPU:
			c.cpus[normal(r.Pattern)] = r
			continue
		case r.Class == classProtocol:
			c.other[r.Pattern] = r
			continue
		case r.Kind == KindOS:
			c.systems.add(r)
			continue
		case r.Match == MatchTrain || r.Match == MatchRange || r.Kind == KindFirmware && r.Note("released") != "":
			c.soft.add(r)
			continue
		}
		for _, t := range topicsOf(r) {
			c.shelve(r, t)
		}
	}
	for _, m := range c.shelves {
		slices.SortStableFunc(m.globs, func(a, b glob) int { return b.weight - a.weight })
	}
	return c
}

// Load returns the catalogue that comes with the program, with local rows added.
func Load(local ...*Row) (*Catalogue, error) {
	rows, err := Embedded()
	if err != nil {
		return nil, err
	}
	return New(rows, local), nil
}

// Rows returns all rows, as they were given.
func (c *Catalogue) Rows() []*Row { return slices.Clone(c.rows) }

// Row returns the row called id, nil where there is none.
func (c *Catalogue) Row(id string) *Row { return c.byID[id] }

// SameVendor reports whether two names mean one vendor, as Tandberg and Cisco.
func (c *Catalogue) SameVendor(a, b string) bool { return c.names.of(a) == c.names.of(b) }

func (c *Catalogue) shelve(r *Row, t Topic) {
	group := c.names.of(r.Vendor)
	at := shelf{group, t}
	m := c.shelves[at]
	if m == nil {
		m = &models{exact: map[string][]*Row{}}
		c.shelves[at] = m
	}
	for _, p := range r.Patterns() {
		n := c.names.bare(group, p)
		if r.Match == MatchExact {
			m.exact[n] = append(m.exact[n], r)
			continue
		}
		m.globs = append(m.globs, glob{n, weight(n), r})
		// "*Lifesize Icon*" has to find "Icon 600" too, since models come without their maker's name.
		if rest, star := strings.CutPrefix(n, "*"); star {
			if b := c.names.bare(group, rest); b != rest {
				m.globs = append(m.globs, glob{b, weight(b), r})
			}
		}
	}
}

// Hit is what was found: rows that fit equally well. Several mean several sources.
type Hit struct {
	Rows  []*Row
	Match MatchKind
}

// maxModel bounds a model's name in bytes: what is longer is a description, and fits no row.
const maxModel = 200

// Found reports whether there is a row.
func (h Hit) Found() bool { return len(h.Rows) > 0 }

// Model finds the rows of a topic for a model. hardware, its revision, may be "". Rows for the revision come before
// rows for the model, exact ones before globs, and of the globs the longest alone.
func (c *Catalogue) Model(t Topic, vendor, model, hardware string) Hit {
	group := c.names.of(vendor)
	m := c.shelves[shelf{group, t}]
	if m == nil || model == "" || vendor == "" || len(model) > maxModel {
		return Hit{}
	}
	bare := c.names.bare(group, model)
	forms := []string{bare}
	if rev := revision(hardware); rev != "" && !strings.HasSuffix(bare, "-"+rev) {
		forms = []string{bare + "-" + rev, bare}
	}
	for _, f := range forms {
		if rows := m.exact[f]; len(rows) > 0 {
			return Hit{rows, MatchExact}
		}
	}
	best := 0
	var rows []*Row
	for _, g := range m.globs {
		if g.weight < best {
			break
		}
		if slices.Contains(rows, g.row) || !slices.ContainsFunc(forms, func(f string) bool { return globMatch(g.pattern, f) }) {
			continue
		}
		best = g.weight
		rows = append(rows, g.row)
	}
	if len(rows) == 0 {
		return Hit{}
	}
	return Hit{rows, MatchGlob}
}

// Revisions returns the hardware revisions of a model that a topic has rows for, where it has none for the model
// itself: knowing the revision would give an answer.
func (c *Catalogue) Revisions(t Topic, vendor, model string) []string {
	group := c.names.of(vendor)
	m := c.shelves[shelf{group, t}]
	if m == nil || model == "" || len(model) > maxModel {
		return nil
	}
	prefix := c.names.bare(group, model) + "-v"
	found := map[string]bool{}
	for pattern := range m.exact {
		if rest, ok := strings.CutPrefix(pattern, prefix); ok {
			if _, number := version.Parse(rest); number {
				found["V"+rest] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(len(a)-len(b), strings.Compare(a, b))
	})
}

// CPU returns the row of a processor generation by its code name, nil where there is none.
func (c *Catalogue) CPU(codeName string) *Row { return c.cpus[normal(codeName)] }

// Protocol returns the row of a protocol by its name, as "TLS 1.0", nil where there is none.
func (c *Catalogue) Protocol(name string) *Row { return c.other[name] }
