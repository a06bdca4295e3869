package purchases

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"communewatch/inventory"
	"communewatch/inventory/identity"
)

// Confidence of pairs without a serial. It falls with what is unknown or does not add up, and never reaches that of a
// serial.
const (
	sureModel    = 0.8
	surePart     = 0.65
	sureClass    = 0.5
	unequalLess  = 0.15 // bought and found are not the same number, so it may be another one of its kind
	noVendorLess = 0.05 // the vendor is unknown on one side
)

// Match pairs purchases with devices one to one. It is deterministic: the order of its arguments does not matter.
//
// Links of reviewers come first, then serials (the same letters and digits, zeros in front aside, where the vendors
// agree or one is unknown and nobody else has that serial), then, within each site, models: equal, then one containing
// the other, then, where one side does not know its model, vendor and class. Devices of another vendor, and devices
// with another serial, are never paired. Among units that nothing tells apart the order of ids decides.
func Match(bought []Purchase, found []Device, links []Link) Matching {
	m := matcher{
		bought: map[string]*wanted{}, found: map[string]*had{},
		not: map[[2]string]bool{},
	}
	for _, p := range bought {
		m.bought[p.ID] = newWanted(p)
	}
	for _, d := range found {
		m.found[d.ID] = newHad(d)
	}
	m.byHand(links)
	m.bySerial()
	m.bySite()
	for _, id := range slices.Sorted(maps.Keys(m.bought)) {
		if !m.bought[id].taken {
			m.out.Purchases = append(m.out.Purchases, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.found)) {
		if !m.found[id].taken {
			m.out.Devices = append(m.out.Devices, id)
		}
	}
	slices.SortFunc(m.out.Pairs, func(a, b Pair) int { return strings.Compare(a.Purchase, b.Purchase) })
	return m.out
}

// traits are what both sides are compared by.
type traits struct {
	id, site, vendor, model, serial, class string
	words                                  map[string]bool // of what the list says, to look for a model and a vendor in
	taken, doubtful                        bool
}

type (
	wanted struct{ traits }
	had    struct{ traits }
)

func newWanted(p Purchase) *wanted {
	w := &wanted{traits{id: p.ID, site: p.Site, vendor: identity.VendorKey(p.Vendor), model: identity.ModelKey(p.Vendor, p.Model),
		serial: serialKey(p.Serial), class: p.Class, words: map[string]bool{}}}
	for _, text := range []string{p.Item, p.Model, p.Vendor} {
		for _, word := range strings.FieldsFunc(inventory.Fold(text), func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;()/", r) }) {
			if key := identity.ModelKey("", word); key != "" {
				w.words[key] = true
			}
		}
	}
	return w
}

func newHad(d Device) *had {
	return &had{traits{id: d.ID, site: d.Site, vendor: identity.VendorKey(d.Vendor), model: identity.ModelKey(d.Vendor, d.Model),
		serial: serialKey(d.Serial), class: d.Class}}
}

// serialKey is a serial as both sides would write it: zeros in front are lost where Excel takes it for a number. ""
// for what identifies nothing.
func serialKey(s string) string {
	n := identity.NormalSerial(s)
	if !identity.TrustedSerial(n) {
		return ""
	}
	return strings.TrimLeft(n, "0")
}

type matcher struct {
	bought map[string]*wanted
	found  map[string]*had
	not    map[[2]string]bool
	out    Matching
}

func (m *matcher) pair(w *wanted, h *had, p Pair) {
	w.taken, h.taken = true, true
	p.Purchase, p.Device, p.Moved = w.id, h.id, w.site != "" && h.site != "" && w.site != h.site
	m.out.Pairs = append(m.out.Pairs, p)
}

func (m *matcher) byHand(links []Link) {
	links = slices.Clone(links)
	slices.SortFunc(links, func(a, b Link) int {
		return cmp.Or(strings.Compare(a.Purchase, b.Purchase), strings.Compare(a.Device, b.Device), compareBool(a.Not, b.Not))
	})
	links = slices.Compact(links)
	for _, l := range links {
		if l.Not {
			m.not[[2]string{l.Purchase, l.Device}] = true
		}
	}
	for _, l := range links {
		w, h := m.bought[l.Purchase], m.found[l.Device]
		switch {
		case w == nil || h == nil:
			m.out.Stale = append(m.out.Stale, l)
		case l.Not:
		case w.taken || h.taken || m.not[[2]string{l.Purchase, l.Device}]:
			m.out.Stale = append(m.out.Stale, l)
		default:
			m.pair(w, h, Pair{Reason: ReasonHand, Confidence: 1})
		}
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// vendorsAgree reports whether two sides may be of one maker, and whether both say so.
func vendorsAgree(w *wanted, h *had) (may, sure bool) {
	switch {
	case h.vendor == "":
		return true, false
	case w.vendor == "":
		return true, w.words[strings.ToUpper(h.vendor)]
	}
	return w.vendor == h.vendor, true
}

func (m *matcher) bySerial() {
	type side struct {
		bought []*wanted
		found  []*had
	}
	serials := map[string]*side{}
	at := func(serial string) *side {
		if serials[serial] == nil {
			serials[serial] = &side{}
		}
		return serials[serial]
	}
	for _, id := range slices.Sorted(maps.Keys(m.bought)) {
		if w := m.bought[id]; w.serial != "" && !w.taken {
			at(w.serial).bought = append(at(w.serial).bought, w)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.found)) {
		if h := m.found[id]; h.serial != "" && !h.taken {
			at(h.serial).found = append(at(h.serial).found, h)
		}
	}
	for _, serial := range slices.Sorted(maps.Keys(serials)) {
		s := serials[serial]
		// Who fits whom; a pair is sure only where both fit nobody else.
		fits := map[*wanted][]*had{}
		fitted := map[*had][]*wanted{}
		for _, w := range s.bought {
			for _, h := range s.found {
				if may, _ := vendorsAgree(w, h); may && !m.not[[2]string{w.id, h.id}] {
					fits[w] = append(fits[w], h)
					fitted[h] = append(fitted[h], w)
				}
			}
		}
		var doubt Ambiguity
		for _, w := range s.bought {
			if len(fits[w]) == 0 {
				continue
			}
			if h := fits[w][0]; len(fits[w]) == 1 && len(fitted[h]) == 1 {
				m.pair(w, h, Pair{Reason: ReasonSerial, Confidence: 1})
				continue
			}
			doubt.Purchases = append(doubt.Purchases, w.id)
			w.doubtful = true
			for _, h := range fits[w] {
				h.doubtful = true
				if !slices.Contains(doubt.Devices, h.id) {
					doubt.Devices = append(doubt.Devices, h.id)
				}
			}
		}
		if len(doubt.Purchases) > 0 {
			doubt.Serial = serial
			slices.Sort(doubt.Devices)
			m.out.Ambiguous = append(m.out.Ambiguous, doubt)
		}
	}
}

// likeness says how alike two groups are; zero: not at all.
func likeness(w *wanted, h *had) (Reason, float64) {
	may, sure := vendorsAgree(w, h)
	if !may {
		return "", 0
	}
	less := 0.0
	if !sure {
		less = noVendorLess
	}
	if h.model != "" {
		switch {
		case w.model == h.model:
			return ReasonModel, sureModel - less
		case w.model != "" && part(w.model, h.model), w.words[h.model], w.model == "" && partOfWords(w.words, h.model):
			return ReasonPart, surePart - less
		case w.model != "":
			return "", 0
		}
	}
	// One side does not know its model, or the list's text names none that is like it: then both must say the vendor.
	if sure && w.class != "" && w.class == h.class && (w.model == "" || h.model == "") && !namesModel(w) {
		return ReasonClass, sureClass
	}
	return "", 0
}

// minPart is how many letters and digits a model must have to count as part of a longer one.
const minPart = 4

func part(a, b string) bool {
	short, long := a, b
	if len(short) > len(long) {
		short, long = long, short
	}
	return len(short) >= minPart && strings.ContainsAny(short, "0123456789") && strings.Contains(long, short)
}

func partOfWords(words map[string]bool, model string) bool {
	for word := range words {
		if part(word, model) {
			return true
		}
	}
	return false
}

// namesModel reports whether the text of a purchase without a model has a word that looks like one: then a device of
// another model is another device.
func namesModel(w *wanted) bool {
	if w.model != "" {
		return false
	}
	for word := range w.words {
		if len(word) >= minPart+1 && strings.ContainsAny(word, "0123456789") && strings.IndexFunc(word, unicode.IsLetter) >= 0 {
			return true
		}
	}
	return false
}

// group is units of one site that nothing but serials tells apart.
type group[T any] struct {
	first           T
	key             string
	serial, without []T
	size            int // with those that are taken: how many there are
}

// groups sorts what a site has into groups, by key.
func groups[T any](all []T, traitsOf func(T) *traits, key func(T) string) []*group[T] {
	by := map[string]*group[T]{}
	for _, one := range all {
		k := key(one)
		g := by[k]
		if g == nil {
			g = &group[T]{first: one, key: k}
			by[k] = g
		}
		g.size++
		switch t := traitsOf(one); {
		case t.taken || t.doubtful:
		case t.serial != "":
			g.serial = append(g.serial, one)
		default:
			g.without = append(g.without, one)
		}
	}
	var out []*group[T]
	for _, k := range slices.Sorted(maps.Keys(by)) {
		out = append(out, by[k])
	}
	return out
}

func (m *matcher) bySite() {
	bought, found := map[string][]*wanted{}, map[string][]*had{}
	for _, id := range slices.Sorted(maps.Keys(m.bought)) {
		w := m.bought[id]
		bought[w.site] = append(bought[w.site], w)
	}
	for _, id := range slices.Sorted(maps.Keys(m.found)) {
		h := m.found[id]
		found[h.site] = append(found[h.site], h)
	}
	delete(bought, "") // bought for nobody: only a serial can tell where it went
	for _, site := range slices.Sorted(maps.Keys(bought)) {
		ws := groups(bought[site], func(w *wanted) *traits { return &w.traits }, func(w *wanted) string {
			return strings.Join([]string{w.vendor, w.model, w.class, strings.Join(slices.Sorted(maps.Keys(w.words)), " ")}, "\x00")
		})
		hs := groups(found[site], func(h *had) *traits { return &h.traits }, func(h *had) string {
			return strings.Join([]string{h.vendor, h.model, h.class}, "\x00")
		})
		m.assign(ws, hs)
	}
}

// assign pairs the units of one site, the most alike groups first.
func (m *matcher) assign(ws []*group[*wanted], hs []*group[*had]) {
	type alike struct {
		w          *group[*wanted]
		h          *group[*had]
		reason     Reason
		confidence float64
	}
	var all []alike
	for _, w := range ws {
		for _, h := range hs {
			if reason, confidence := likeness(w.first, h.first); confidence > 0 {
				all = append(all, alike{w, h, reason, confidence})
			}
		}
	}
	// How many of a kind there are counts all that are like the other side in the same way.
	type side struct {
		key    string
		reason Reason
		bought bool
	}
	sizes := map[side]int{}
	for _, a := range all {
		sizes[side{a.w.key, a.reason, true}] += a.h.size
		sizes[side{a.h.key, a.reason, false}] += a.w.size
	}
	slices.SortStableFunc(all, func(a, b alike) int { return cmp.Compare(b.confidence, a.confidence) })
	for _, a := range all {
		bought, found := sizes[side{a.h.key, a.reason, false}], sizes[side{a.w.key, a.reason, true}]
		confidence := a.confidence
		if bought != found {
			confidence -= unequalLess
		}
		p := Pair{Reason: a.reason, Confidence: float64(int(confidence*100+0.5)) / 100, Bought: bought, Found: found}
		// Two different serials are two devices, so who has one looks for who has none.
		m.zip(&a.w.without, &a.h.serial, p)
		m.zip(&a.w.serial, &a.h.without, p)
		m.zip(&a.w.without, &a.h.without, p)
	}
}

// zip pairs two lists from the front, as far as both go, and takes what it paired out of them.
func (m *matcher) zip(ws *[]*wanted, hs *[]*had, p Pair) {
	var left []*wanted
	for _, w := range *ws {
		i := slices.IndexFunc(*hs, func(h *had) bool { return !m.not[[2]string{w.id, h.id}] })
		if i < 0 {
			left = append(left, w)
			continue
		}
		m.pair(w, (*hs)[i], p)
		*hs = slices.Delete(*hs, i, i+1)
	}
	*ws = left
}

// String formats the pair for messages.
func (p Pair) String() string {
	return fmt.Sprintf("%s = %s (%s, %.2f)", p.Purchase, p.Device, p.Reason, p.Confidence)
}
