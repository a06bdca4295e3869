package health

import (
	"math"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
)

// compiled is Rules made ready for judging. It never changes.
type compiled struct {
	Rules
	kinds     map[probes.Kind]*kindRules
	calendars []*calendar
}

// kindRules is what the rules look at in one measurement. Facts of a run are kept in slots, one per field.
type kindRules struct {
	kind   probes.Kind
	fields []string   // of the slots
	below  []bool     // the smaller of several rows of a run is the worse one
	limits [][]*Limit // candidates by slot, in order; a ratio's are in the slot of its denominator
	full   []string   // "icmp.rtt_p95_seconds" by slot, and the ratio's name in the slot of its denominator
	num    int        // slots of a ratio's counts; -1 without one
	den    int
}

func compile(r Rules) *compiled {
	c := &compiled{Rules: r, kinds: map[probes.Kind]*kindRules{}}
	for _, l := range slices.Concat(r.Overrides, r.Limits) {
		measurement, field, ok := strings.Cut(l.Field, ".")
		if !ok {
			continue
		}
		k := c.kinds[probes.Kind(measurement)]
		if k == nil {
			k = &kindRules{kind: probes.Kind(measurement), num: -1, den: -1}
			c.kinds[k.kind] = k
		}
		var slot int
		if ratio, isRatio := ratios[l.Field]; isRatio {
			// The slot name of a count that makes up a ratio differs from the field's own, so that a limit on
			// the bare count may exist beside it.
			k.num = k.slot(ratio.Numerator, "")
			k.den = k.slot(ratio.Denominator, "")
			slot = k.den
			k.full[slot] = l.Field
		} else {
			slot = k.slot(field, l.Field)
			k.below[slot] = l.Below
		}
		k.limits[slot] = append(k.limits[slot], &l)
	}
	for _, o := range r.OfficeHours {
		cal, _ := newCalendar(o) // its problems are Validate's to report
		c.calendars = append(c.calendars, cal)
	}
	return c
}

func (k *kindRules) slot(field, full string) int {
	i := slices.Index(k.fields, field)
	if i < 0 {
		i = len(k.fields)
		k.fields = append(k.fields, field)
		k.below = append(k.below, false)
		k.limits = append(k.limits, nil)
		k.full = append(k.full, full)
	}
	if full != "" {
		k.full[i] = full
	}
	return i
}

// pick returns the limit that holds for a check, by slot; nil where none does.
func (k *kindRules) pick(id CheckID) []*Limit {
	out := make([]*Limit, len(k.fields))
	for i, candidates := range k.limits {
		for _, l := range candidates {
			if l.matches(id) {
				out[i] = l
				break
			}
		}
	}
	return out
}

// calendar returns the office hours of a site; nil is always open.
func (c *compiled) calendar(site string) *calendar {
	for _, cal := range c.calendars {
		if len(cal.sites) == 0 || slices.Contains(cal.sites, site) {
			return cal
		}
	}
	return nil
}

// maintenance returns the entry that mutes a site at a time, or nil.
func (c *compiled) maintenance(site string, t int64) *Maintenance {
	for i := range c.Maintenance {
		m := &c.Maintenance[i]
		if t >= m.From.UnixMilli() && t < m.To.UnixMilli() && (len(m.Sites) == 0 || slices.Contains(m.Sites, site)) {
			return m
		}
	}
	return nil
}

// never is a time that does not come.
const never = math.MaxInt64

// boundary returns the first time after t at which an office opens or closes or maintenance begins or ends.
func (c *compiled) boundary(t int64) int64 {
	first := int64(never)
	for i := range c.Maintenance {
		for _, b := range [2]int64{c.Maintenance[i].From.UnixMilli(), c.Maintenance[i].To.UnixMilli()} {
			if b > t {
				first = min(first, b)
			}
		}
	}
	for _, cal := range c.calendars {
		if b := cal.next(time.UnixMilli(t)); !b.IsZero() {
			first = min(first, b.UnixMilli())
		}
	}
	return first
}
