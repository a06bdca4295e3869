package rules

import (
	"math"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
)

// Compiled is Rules made ready for judging. It never changes.
type Compiled struct {
	Rules
	Kinds     map[probes.Kind]*Kind // those that a limit looks at
	calendars []*Calendar
}

// Kind is what the rules look at in the rows of one kind of probe. Facts of a run are kept in slots, one per field.
type Kind struct {
	Name     probes.Kind
	Rows     []string // the measurements of the slots
	Fields   []string // of the slots
	Below    []bool   // the smaller of several rows of a run is the worse one
	Timed    []bool   // a measured length of time with an upper limit: what delays the agent makes it longer
	Full     []string // "icmp.rtt_p95_seconds" by slot, and the ratio's name in the slot of its denominator
	Num, Den int      // slots of a ratio's counts; -1 without one

	limits [][]*Limit // candidates by slot, in order; a ratio's are in the slot of its denominator
}

// Compile makes rules ready.
func Compile(r Rules) *Compiled {
	c := &Compiled{Rules: r, Kinds: map[probes.Kind]*Kind{}}
	units, kinds := map[string]string{}, map[string]probes.Kind{}
	for _, m := range probes.Schema() {
		kinds[m.Name] = m.Kind
		for _, f := range m.Fields {
			units[m.Name+"."+f.Key] = f.Unit
		}
	}
	for _, l := range slices.Concat(r.Overrides, r.Limits) {
		measurement, field, ok := strings.Cut(l.Field, ".")
		kind := kinds[measurement]
		if !ok || kind == "" { // its mistakes are Validate's to report
			continue
		}
		k := c.Kinds[kind]
		if k == nil {
			k = &Kind{Name: kind, Num: -1, Den: -1}
			c.Kinds[k.Name] = k
		}
		var slot int
		if ratio, isRatio := ratios[l.Field]; isRatio {
			// The slot name of a count that makes up a ratio differs from the field's own, so that a limit on
			// the bare count may exist beside it.
			k.Num = k.slot(measurement, ratio.Numerator, "")
			k.Den = k.slot(measurement, ratio.Denominator, "")
			slot = k.Den
			k.Full[slot] = l.Field
		} else {
			slot = k.slot(measurement, field, l.Field)
			k.Below[slot] = l.Below
			// The time until a certificate expires is not measured with a stopwatch; its limits are lower ones.
			k.Timed[slot] = !l.Below && units[l.Field] == "seconds"
		}
		k.limits[slot] = append(k.limits[slot], &l)
	}
	for _, o := range r.OfficeHours {
		c.calendars = append(c.calendars, newCalendar(o, func(string, string, ...any) {})) // its mistakes are Validate's to report
	}
	return c
}

func (k *Kind) slot(measurement, field, full string) int {
	i := 0
	for i < len(k.Fields) && (k.Rows[i] != measurement || k.Fields[i] != field) {
		i++
	}
	if i == len(k.Fields) {
		k.Rows = append(k.Rows, measurement)
		k.Fields = append(k.Fields, field)
		k.Below = append(k.Below, false)
		k.Timed = append(k.Timed, false)
		k.limits = append(k.limits, nil)
		k.Full = append(k.Full, full)
	}
	if full != "" {
		k.Full[i] = full
	}
	return i
}

// Pick returns the limit that holds for a check, by slot; nil where none does.
func (k *Kind) Pick(site, target string, path probes.Path, layer probes.Layer) []*Limit {
	out := make([]*Limit, len(k.Fields))
	for i, candidates := range k.limits {
		for _, l := range candidates {
			if l.matches(site, target, path, layer) {
				out[i] = l
				break
			}
		}
	}
	return out
}

// matches reports whether the limit is for a check.
func (l *Limit) matches(site, target string, path probes.Path, layer probes.Layer) bool {
	return (l.Layer == "" || l.Layer == layer) && (l.Path == "" || l.Path == path) &&
		(l.Target == "" || l.Target == target) && (len(l.Sites) == 0 || slices.Contains(l.Sites, site))
}

// Grade is what a value means by itself, for those who hold it against a limit.
type Grade uint8

// The grades.
const (
	GradeOK Grade = iota
	GradeDegraded
	GradeDown
)

// Grade returns what a value means by itself, and the limit that it is past.
func (l *Limit) Grade(v float64) (Grade, float64) {
	past := func(limit *float64) bool {
		return limit != nil && (!l.Below && v > *limit || l.Below && v < *limit)
	}
	switch {
	case past(l.Down):
		return GradeDown, *l.Down
	case past(l.Bad):
		return GradeDegraded, *l.Bad
	case past(l.Degraded), !l.Below && l.Degraded != nil && v == *l.Degraded:
		return GradeDegraded, *l.Degraded
	}
	return GradeOK, 0
}

// Calendar returns the office hours of a site; nil is always open.
func (c *Compiled) Calendar(site string) *Calendar {
	for _, cal := range c.calendars {
		if len(cal.sites) == 0 || slices.Contains(cal.sites, site) {
			return cal
		}
	}
	return nil
}

// MaintenanceOf returns the entry that mutes a site at a time, in Unix milliseconds, or nil.
func (c *Compiled) MaintenanceOf(site string, t int64) *Maintenance {
	for i := range c.Maintenance {
		m := &c.Maintenance[i]
		if t >= m.From.UnixMilli() && t < m.To.UnixMilli() && (len(m.Sites) == 0 || slices.Contains(m.Sites, site)) {
			return m
		}
	}
	return nil
}

// Never is a time that does not come.
const Never = math.MaxInt64

// Boundary returns the first time after t, both in Unix milliseconds, at which an office opens or closes or maintenance begins or ends.
func (c *Compiled) Boundary(t int64) int64 {
	first := int64(Never)
	for i := range c.Maintenance {
		for _, b := range [2]int64{c.Maintenance[i].From.UnixMilli(), c.Maintenance[i].To.UnixMilli()} {
			if b > t {
				first = min(first, b)
			}
		}
	}
	for _, cal := range c.calendars {
		if b := cal.Next(time.UnixMilli(t)); !b.IsZero() {
			first = min(first, b.UnixMilli())
		}
	}
	return first
}
