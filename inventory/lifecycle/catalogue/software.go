package catalogue

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"

	"communewatch/inventory/lifecycle/version"
)

//go:embed products.csv
var productsCSV string

// software knows products with version numbers (RouterOS, FortiOS, IOS XE), and the rows of their trains.
type software struct {
	names    *names
	products []*product
	byName   map[string]*product
	trains   map[string][]train // by folded product name
	releases map[string][]train // single versions and the day they came out
}

type product struct {
	name    string
	vendor  string   // group
	names   []string // lower case, how it is written where it is named outright; longest first
	classes []string // classes whose versions may be taken for its, where it is not named
	majors  []int
}

type train struct {
	version version.Version
	below   bool // a range: all versions below
	row     *Row
}

func loadSoftware(n *names) *software {
	s := &software{names: n, byName: map[string]*product{}, trains: map[string][]train{}, releases: map[string][]train{}}
	for _, r := range records(productsCSV) {
		p := &product{name: r[0], vendor: n.of(r[1]), classes: split(r[3])}
		for _, name := range split(r[2]) {
			p.names = append(p.names, strings.ToLower(name))
		}
		for _, m := range split(r[4]) {
			major, _ := strconv.Atoi(m)
			p.majors = append(p.majors, major)
		}
		s.products = append(s.products, p)
		s.byName[strings.ToLower(p.name)] = p
	}
	return s
}

// parseTrain takes "RouterOS 7.21", "CE9", "IOS 12.0T" or "RouterOS <6.42.1" apart.
func parseTrain(pattern string) (product string, t train, ok bool) {
	at := strings.LastIndexAny(pattern, " <") + 1
	if at == 0 { // CE9
		at = strings.IndexAny(pattern, "0123456789")
		if at < 1 {
			return "", train{}, false
		}
	}
	t.version, ok = version.Parse(pattern[at:])
	product = strings.TrimRight(pattern[:at], " ")
	product, t.below = strings.CutSuffix(product, "<")
	product = strings.TrimSpace(product)
	return product, t, ok && product != ""
}

func (s *software) add(r *Row) {
	name, t, ok := parseTrain(r.Pattern)
	if !ok {
		return // Check does not let such a row pass
	}
	t.row = r
	key := strings.ToLower(name)
	if r.Match == MatchExact {
		s.releases[key] = append(s.releases[key], t)
		return
	}
	s.trains[key] = append(s.trains[key], t)
	if s.byName[key] == nil { // a product of a local row: found where it is named outright
		p := &product{name: name, vendor: s.names.of(r.Vendor), names: []string{key}}
		s.products = append(s.products, p)
		s.byName[key] = p
	}
}

// Software is a product and the version of it that runs.
type Software struct {
	Product string // "" : not known
	Version version.Version
}

// Software tells which product a device runs and in which version. os and version are what was read of it; a product
// is taken from the vendor and class alone only where the major version is one of its own.
func (c *Catalogue) Software(vendor, class, os, version string) Software {
	if len(os) > maxModel || len(version) > maxModel {
		return Software{}
	}
	return c.soft.find(c.names.of(vendor), class, os, version)
}

func (s *software) find(vendor, class, os, text string) Software {
	lowOS, low := strings.ToLower(os), strings.ToLower(strings.TrimSpace(text))
	var best *product
	var rest string
	bestLen := 0
	for _, p := range s.products {
		for _, n := range p.names {
			if len(n) <= bestLen {
				continue
			}
			if p.vendor != vendor && len(n) < 4 { // "IOS" and "CE" are words of other makers too
				continue
			}
			if after, ok := cutWord(low, n); ok {
				best, bestLen, rest = p, len(n), after
			} else if _, ok := cutWord(lowOS, n); ok {
				best, bestLen, rest = p, len(n), low
			}
		}
	}
	if best != nil {
		if v, ok := version.Parse(strings.TrimLeft(rest, " v,:[]abcdefghijklmnopqrstuvwxyz")); ok {
			return Software{s.goneOn(best, v), v}
		}
		if after, ok := cutWord(lowOS, best.names[0]); ok {
			if v, ok := version.Parse(strings.TrimLeft(after, " ")); ok {
				return Software{best.name, v}
			}
		}
		return Software{Product: best.name}
	}
	v, ok := version.Parse(low)
	if !ok || vendor == "" {
		return Software{Version: v}
	}
	for _, p := range s.products {
		if p.vendor == vendor && slices.Contains(p.majors, v.Numbers[0]) && (len(p.classes) == 0 || slices.Contains(p.classes, class)) {
			return Software{p.name, v}
		}
	}
	return Software{Version: v}
}

// goneOn names the product that a version is of where its number is none of p's: CE went on as RoomOS, and devices still
// write "ce11.9.2.4".
func (s *software) goneOn(p *product, v version.Version) string {
	if len(p.majors) == 0 || slices.Contains(p.majors, v.Numbers[0]) {
		return p.name
	}
	for _, q := range s.products {
		alike := func(class string) bool { return slices.Contains(p.classes, class) }
		if q.vendor == p.vendor && slices.Contains(q.majors, v.Numbers[0]) && slices.ContainsFunc(q.classes, alike) {
			return q.name
		}
	}
	return p.name
}

// cutWord returns what follows the word w in s. A digit may follow directly: "ce9.15".
func cutWord(s, w string) (after string, ok bool) {
	for from := 0; ; {
		i := strings.Index(s[from:], w)
		if i < 0 {
			return "", false
		}
		i += from
		after = s[i+len(w):]
		if (i == 0 || !letter(s[i-1])) && (after == "" || !letter(after[0]) && after[0] != '-' || len(w) > 3 && after[0] == '-') {
			return after, true
		}
		from = i + len(w)
	}
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' }

// Firmware finds the rows of the train that a version belongs to: the longest train, or else ranges it falls into.
func (c *Catalogue) Firmware(sw Software) Hit {
	var hit Hit
	longest := 0
	for _, t := range c.soft.trains[strings.ToLower(sw.Product)] {
		if t.below || !sw.Version.In(t.version) {
			continue
		}
		n := 2 * len(t.version.Numbers)
		if t.version.Rest != "" {
			n++
		}
		switch {
		case n > longest:
			longest, hit = n, Hit{[]*Row{t.row}, MatchTrain}
		case n == longest:
			hit.Rows = append(hit.Rows, t.row)
		}
	}
	if hit.Found() {
		return hit
	}
	return c.Ranges(sw)
}

// Ranges finds the rows that speak of all versions below one, and hold for this version.
func (c *Catalogue) Ranges(sw Software) Hit {
	var hit Hit
	for _, t := range c.soft.trains[strings.ToLower(sw.Product)] {
		if t.below && t.holds(sw.Version) {
			hit.Rows = append(hit.Rows, t.row)
			hit.Match = MatchRange
		}
	}
	return hit
}

// holds reports whether a version lies in a range: below its end and, where the row says more, below the least safe
// version of its own train and not older than the flaw.
func (t train) holds(v version.Version) bool {
	if len(v.Numbers) == 0 || v.Compare(t.version) >= 0 {
		return false
	}
	if below, known := v.Below(t.row.Note("min_fw")); known && !below {
		return false
	}
	from, ok := version.Parse(t.row.Note("affected_from"))
	return !ok || v.Compare(from) >= 0
}

// Platform finds the row of a conference platform's own train, as "Teams Rooms on Android 10".
func (c *Catalogue) Platform(name string) *Row {
	product, t, ok := parseTrain(name)
	if !ok {
		return nil
	}
	hit := c.Firmware(Software{product, t.version})
	if !hit.Found() {
		return nil
	}
	return hit.Rows[0]
}

// Released finds the row that says when this very version came out, nil where there is none.
func (c *Catalogue) Released(sw Software) *Row {
	for _, t := range c.soft.releases[strings.ToLower(sw.Product)] {
		if len(sw.Version.Numbers) > 0 && sw.Version.Compare(t.version) == 0 && sw.Version.Rest == t.version.Rest {
			return t.row
		}
	}
	return nil
}
