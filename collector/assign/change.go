package assign

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is what becomes different for one agent.
type Change struct {
	Site, Agent string
	Begins      bool // nothing was assigned before
	Ends        bool // nothing will be: the agent goes back to its own settings file
	Added       []Check
	Removed     []Check
	Changed     []CheckChange
	Other       []FieldChange // of what is no check: self_interval, paths.*, meetings
}

// CheckChange is what becomes different of one check.
type CheckChange struct {
	Name   string
	Fields []FieldChange
}

// FieldChange is one value before and after; "" for none.
type FieldChange struct{ Field, Before, After string }

// Compare lists the agents whose work becomes another one, by site and agent, with what becomes different. An agent whose
// document stays the same to the byte is not among them.
func Compare(before, after []Given) []Change {
	type pair struct{ before, after *Given }
	all := map[[2]string]pair{}
	var order [][2]string
	for i := range before {
		id := [2]string{before[i].Site, before[i].Agent}
		all[id] = pair{before: &before[i]}
		order = append(order, id)
	}
	for i := range after {
		id := [2]string{after[i].Site, after[i].Agent}
		p, ok := all[id]
		if !ok {
			order = append(order, id)
		}
		p.after = &after[i]
		all[id] = p
	}
	slices.SortFunc(order, func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	var out []Change
	for _, id := range order {
		b, a := all[id].before, all[id].after
		none := Given{Site: id[0], Agent: id[1]}
		if b == nil {
			b = &none
		}
		if a == nil {
			a = &none
		}
		if bytes.Equal(b.Document, a.Document) {
			continue
		}
		out = append(out, compare(b, a))
	}
	return out
}

// compare says what becomes different between two works of one agent.
func compare(before, after *Given) Change {
	c := Change{Site: after.Site, Agent: after.Agent, Begins: !before.Assigned && after.Assigned, Ends: before.Assigned && !after.Assigned}
	was := map[string]*Check{}
	for i := range before.Checks {
		was[before.Checks[i].Name] = &before.Checks[i]
	}
	is := map[string]bool{}
	for i := range after.Checks {
		now := &after.Checks[i]
		is[now.Name] = true
		old, ok := was[now.Name]
		if !ok {
			c.Added = append(c.Added, *now)
			continue
		}
		if fields := fieldsOf(old.flat(), now.flat()); len(fields) > 0 {
			c.Changed = append(c.Changed, CheckChange{Name: now.Name, Fields: fields})
		}
	}
	for _, old := range before.Checks {
		if !is[old.Name] {
			c.Removed = append(c.Removed, old)
		}
	}
	c.Other = fieldsOf(before.flat(), after.flat())
	if before.Assigned && after.Assigned && len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Other) == 0 {
		c.Other = []FieldChange{{Field: "checks", Before: "in another order, or written otherwise"}}
	}
	return c
}

// flat writes a check as its fields.
func (c *Check) flat() map[string]string {
	out := map[string]string{"kind": string(c.Kind), "address": c.Address, "path": string(c.Path), "layer": string(c.Layer)}
	if c.Interval > 0 {
		out["interval"] = short(c.Interval)
	}
	flatten("options", reflect.ValueOf(c.Options), out)
	return out
}

// flat writes what is no check as fields.
func (s *Settings) flat() map[string]string {
	out := map[string]string{}
	if s.SelfInterval > 0 {
		out["self_interval"] = short(s.SelfInterval)
	}
	for p, h := range s.Hops {
		at := "paths." + string(p) + ".hop"
		out[at+".ttl"], out[at+".expect"], out[at+".refuse"] = fmt.Sprint(h.TTL), strings.Join(h.Expect, ", "), strings.Join(h.Refuse, ", ")
	}
	for i, m := range s.Meetings {
		out[fmt.Sprintf("meetings[%d]", i)] = strings.TrimSpace(strings.Join(m.Days, ",") + " " + m.From + " - " + m.To + " " + m.TZ + " " + m.Note)
	}
	return out
}

func flatten(at string, v reflect.Value, out map[string]string) {
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Map:
		for _, k := range v.MapKeys() {
			flatten(at+"."+k.String(), v.MapIndex(k), out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			flatten(fmt.Sprintf("%s[%d]", at, i), v.Index(i), out)
		}
	case reflect.Interface, reflect.Invalid:
		out[at] = "null"
	default:
		out[at] = fmt.Sprint(v.Interface())
	}
}

func fieldsOf(before, after map[string]string) (out []FieldChange) {
	names := map[string]bool{}
	for k := range before {
		names[k] = true
	}
	for k := range after {
		names[k] = true
	}
	for _, k := range sorted(names) {
		if before[k] != after[k] {
			out = append(out, FieldChange{Field: k, Before: before[k], After: after[k]})
		}
	}
	return out
}
