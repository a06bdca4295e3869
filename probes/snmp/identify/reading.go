package identify

import (
	"context"
	"errors"
	"slices"
	"strings"

	"communewatch/probes/snmp/ask"
)

// reading is what one device has said so far. Nothing is asked twice.
type reading struct {
	dev      ask.Device
	objectID ask.OID
	said     string // sysDescr
	descr    string // the same as profiles see it
	sysName  string

	scalars map[ask.OID]ask.Value // asked: the zero Value where the device has none
	columns map[ask.OID][]ask.Var
	tables  map[ask.OID]bool // whether something is below
	chassis []string         // rows of entPhysicalTable to look at, best first; nil until asked
	failed  int              // questions that got no answer
	err     error            // the last of their errors
}

// Bounds of one identification.
const (
	maxColumn   = 64  // rows of a column that are looked at
	maxEntities = 400 // rows of entPhysicalClass: the chassis comes early
	maxChassis  = 4   // rows of entPhysicalTable that may be the device itself
	giveUp      = 2   // unanswered questions after which nothing more is asked
)

// fetch gets variables that were not asked for before.
func (r *reading) fetch(ctx context.Context, oids []ask.OID) {
	var want []ask.OID
	for _, o := range oids {
		if _, asked := r.scalars[o]; !asked {
			r.scalars[o] = ask.Value{}
			want = append(want, o)
		}
	}
	if len(want) == 0 || r.failed >= giveUp {
		return
	}
	vars, err := r.dev.Get(ctx, want...)
	r.note(err)
	for _, v := range vars {
		if slices.Contains(want, v.OID) { // a device that answers what it was not asked is not believed
			r.scalars[v.OID] = v.Value
		}
	}
}

func (r *reading) note(err error) {
	if err != nil && !errors.Is(err, ask.ErrPartial) {
		r.failed++
		r.err = err
	}
}

func (r *reading) scalar(ctx context.Context, o ask.OID) ask.Value {
	r.fetch(ctx, []ask.OID{o})
	return r.scalars[o]
}

func (r *reading) column(ctx context.Context, o ask.OID, most int) []ask.Var {
	rows, asked := r.columns[o]
	if !asked && r.failed < giveUp {
		var err error
		rows, err = r.dev.Walk(ctx, o, most)
		r.note(err)
		rows = slices.DeleteFunc(rows, func(v ask.Var) bool { return v.OID.Index(o) == "" }) // not believed either
		r.columns[o] = rows
	}
	return rows
}

// under returns what stands below the device's own sysObjectID, which for some makers is where the variables of a model
// are. It is "" for a device that names none of its maker's.
func (r *reading) under(o ask.OID) ask.OID {
	if !r.objectID.Below(private) || arcs(r.objectID) < arcs(private)+2 {
		return ""
	}
	return r.objectID + "." + o
}

// answers reports whether the device has a variable, or one below it.
func (r *reading) answers(ctx context.Context, o ask.OID) bool {
	if r.scalar(ctx, o).Type != 0 {
		return true
	}
	if strings.HasSuffix(string(o), ".0") {
		return false // nothing is below a scalar
	}
	has, asked := r.tables[o]
	if !asked && r.failed < giveUp {
		rows, err := r.dev.Walk(ctx, o, 1)
		r.note(err)
		has = len(rows) > 0 && rows[0].OID.Below(o)
		r.tables[o] = has
	}
	return has
}

// entity returns a column of ENTITY-MIB's rows that stand for the device itself: its chassis, else its stack, else the
// first rows of all.
func (r *reading) entity(ctx context.Context, column ask.OID) []ask.Var {
	if r.chassis == nil {
		r.chassis = []string{}
		var stacks, first []string
		for _, v := range r.column(ctx, entClass, maxEntities) {
			index := v.OID.Index(entClass)
			switch n, _ := v.Value.Int(); n {
			case 3: // chassis
				r.chassis = append(r.chassis, index)
			case 11: // stack
				stacks = append(stacks, index)
			case 6, 7, 8, 10, 12: // power supply, fan, sensor, port, processor: have serial numbers of their own
				continue
			}
			first = append(first, index)
		}
		r.chassis = append(r.chassis, stacks...)
		if len(r.chassis) == 0 {
			r.chassis = first
		}
		r.chassis = r.chassis[:min(len(r.chassis), maxChassis)]
	}
	if len(r.columns[entClass]) == 0 { // no classes told: then the first rows
		rows := r.column(ctx, column, maxColumn)
		return rows[:min(len(rows), maxChassis)]
	}
	var oids []ask.OID
	for _, index := range r.chassis {
		oids = append(oids, column+"."+ask.OID(index))
	}
	r.fetch(ctx, oids)
	var out []ask.Var
	for _, o := range oids {
		if v := r.scalars[o]; v.Type != 0 {
			out = append(out, ask.Var{OID: o, Value: v})
		}
	}
	return out
}
