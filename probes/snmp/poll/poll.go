// Package poll reads how a device is: the rows snmp_device, snmp_if, snmp_neighbour, snmp_ups, snmp_printer and
// snmp_endpoint of the contract, from the standard MIBs and from what makers keep in branches of their own.
//
// A counter says nothing by itself; two readings of it and the time between them are a rate. So a poll takes the state
// of the poll before and gives its own, as values: nothing is kept in between, and a poll can be tried on recordings.
// What counters do besides counting decides whether a rate is true. They wrap: one of 32 bits does so every 34 seconds
// on a full gigabit line (RFC 2863, 3.1.6). They begin anew when the device restarts, when the maker resets them
// (ifCounterDiscontinuityTime), and when an interface is given another index. See the room counter.
//
// Devices leave out what they like, and lie. A field is only given where the device said it and it can be true; a
// table that was not read to its end is named in snmp_device.partial_tables, and what was read of it still counts.
package poll

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
)

// Options of a poll. The zero Options read everything, within bounds.
type Options struct {
	MaxRows int                    // of one table; 0 means 1,000
	UpOnly  bool                   // no rows for interfaces that are switched off or not in operation
	Wanted  func(name string) bool // which interfaces get rows, by tag; nil: all
}

const (
	defaultRows = 1000

	// A table that the device does not have is not asked for again for so long: old gear is slow to say no.
	missingFor = time.Hour
)

// State is what a poll must know of the one before. It belongs to one device and is not changed once given.
type State struct {
	at      time.Time // when the counters were read, by our clock
	uptime  uptime
	ifs     map[string]iface      // by tag
	missing map[ask.OID]time.Time // tables that were not there, until when not to look
	has     map[ask.OID]bool      // tables that were there once
}

// Poll reads a device. prev is the state of the poll before, nil for the first; now is when this one began. The state
// is for the next poll and is prev itself when the device could not be read at all. The error is about the device as a
// whole: it stopped answering. The points read until then are given nevertheless.
func Poll(ctx context.Context, dev ask.Device, o Options, prev *State, now time.Time) ([]probes.Point, *State, error) {
	o.MaxRows = cmp.Or(o.MaxRows, defaultRows)
	r := &reader{ctx: ctx, dev: dev, rows: o.MaxRows, now: now, begun: time.Now(),
		state: &State{missing: map[ask.OID]time.Time{}, has: map[ask.OID]bool{}, ifs: map[string]iface{}}}
	if prev != nil {
		for root, until := range prev.missing {
			if until.After(now) {
				r.state.missing[root] = until
			}
		}
		for root := range prev.has {
			r.state.has[root] = true
		}
	}
	sys := r.scalars(oidDescr, oidObjectID, oidUpTime, oidIfNumber, oidEngineBoots, oidEngineTime, oidHrUptime)
	if r.lost != nil && len(sys) == 0 {
		return nil, prev, r.lost
	}
	r.state.at = r.clock()
	r.vendor = ask.OID(sys[oidObjectID].Text())
	device := probes.Point{Measurement: "snmp_device"}
	restarted := r.uptime(&device, sys, prev)
	if restarted {
		clear(r.state.missing) // perhaps with a new firmware
	}
	points := r.interfaces(&device, o, sys, prev, restarted)
	r.health(&device)
	points = append(points, r.neighbours(&device)...)
	points = append(points, r.ups()...)
	points = append(points, r.printer()...)
	points = append(points, r.endpoint()...)

	device.Fields = append(device.Fields, probes.Bool("partial", len(r.partial) > 0))
	if len(r.partial) > 0 {
		slices.Sort(r.partial)
		device.Fields = append(device.Fields, probes.String("partial_tables", strings.Join(slices.Compact(r.partial), " ")))
	}
	return append([]probes.Point{device}, points...), r.state, r.lost
}

// Variables of every device.
const (
	oidDescr       ask.OID = "1.3.6.1.2.1.1.1.0"
	oidObjectID    ask.OID = "1.3.6.1.2.1.1.2.0"
	oidUpTime      ask.OID = "1.3.6.1.2.1.1.3.0"
	oidIfNumber    ask.OID = "1.3.6.1.2.1.2.1.0"
	oidEngineBoots ask.OID = "1.3.6.1.6.3.10.2.1.2.0"
	oidEngineTime  ask.OID = "1.3.6.1.6.3.10.2.1.3.0"
	oidHrUptime    ask.OID = "1.3.6.1.2.1.25.1.1.0"
)

// reader asks one device during one poll and keeps what went wrong.
type reader struct {
	ctx    context.Context
	dev    ask.Device
	rows   int
	now    time.Time // when the poll began, by the caller's clock
	begun  time.Time // the same moment by this machine's monotonic clock
	vendor ask.OID   // sysObjectID
	state  *State

	partial []string
	lost    error // it stopped answering
}

// clock is the present, on the caller's clock.
func (r *reader) clock() time.Time { return r.now.Add(time.Since(r.begun)) }

// gone notes an error that is about the device as a whole.
func (r *reader) gone(err error) {
	if err != nil && r.lost == nil && (r.ctx.Err() != nil || !errors.Is(err, ask.ErrPartial) || probes.OutcomeOf(err) == probes.OutcomeTimeout && !r.answers()) {
		r.lost = err
	}
}

// answers looks whether only one table or the whole device fell silent.
func (r *reader) answers() bool {
	_, err := r.dev.Get(r.ctx, oidUpTime)
	return err == nil
}

// values are variables by OID. What is not there is the zero Value, which says nothing.
type values map[ask.OID]ask.Value

func (v values) uint(oid ask.OID) (uint64, bool) { return v[oid].Uint() }

// number returns a value that is at most limit.
func (v values) number(oid ask.OID, limit uint64) (float64, bool) {
	n, ok := v[oid].Uint()
	return float64(n), ok && n <= limit
}

func (r *reader) scalars(oids ...ask.OID) values {
	out := values{}
	if r.lost != nil {
		return out
	}
	vars, err := r.dev.Get(r.ctx, oids...)
	r.gone(err)
	for _, v := range vars {
		out[v.OID] = v.Value
	}
	return out
}

// table is some columns of rows. Column "" is that of a walk of one column.
type table struct {
	cells   map[string]map[string]ask.Value // by column and index
	indexes []string                        // in the order of the device's first column
	partial bool
}

func (t table) at(column, index string) ask.Value { return t.cells[column][index] }

// walk reads a table, whose cells are root.COLUMN.INDEX. columns is how many it has, for the bound. A table that is
// not there is remembered.
func (r *reader) walk(name string, root ask.OID, columns int) table {
	return r.read(name, root, r.rows*columns, func(rest string) (string, string, bool) { return strings.Cut(rest, ".") })
}

// column reads one column, whose cells are root.INDEX.
func (r *reader) column(name string, root ask.OID) table {
	return r.read(name, root, r.rows, func(rest string) (string, string, bool) { return "", rest, rest != "" })
}

func (r *reader) read(name string, root ask.OID, limit int, cut func(rest string) (column, index string, ok bool)) table {
	t := table{cells: map[string]map[string]ask.Value{}}
	if _, missing := r.state.missing[root]; missing {
		return t
	}
	if r.lost != nil { // nobody knows whether it is there
		t.partial = true
		r.partial = append(r.partial, name)
		return t
	}
	vars, err := r.dev.Walk(r.ctx, root, limit)
	if err != nil {
		t.partial = true
		r.partial = append(r.partial, name)
		r.gone(err)
	}
	seen := map[string]bool{}
	for _, v := range vars {
		column, index, ok := cut(v.OID.Index(root))
		if !ok {
			continue
		}
		if t.cells[column] == nil {
			t.cells[column] = map[string]ask.Value{}
		}
		t.cells[column][index] = v.Value
		if !seen[index] {
			seen[index] = true
			t.indexes = append(t.indexes, index)
		}
	}
	switch {
	case len(vars) > 0:
		r.state.has[root] = true
	case err == nil && !r.state.has[root]: // what was there once is looked for again
		r.state.missing[root] = r.now.Add(missingFor)
	}
	return t
}

// of reports whether the device is of a branch of the tree of makers.
func (r *reader) of(enterprise string) bool {
	return r.vendor.Below("1.3.6.1.4.1." + ask.OID(enterprise))
}

// add appends a field if it is known.
func add(p *probes.Point, ok bool, f probes.Field) {
	if ok {
		p.Fields = append(p.Fields, f)
	}
}

// addText appends a text if there is one.
func addText(p *probes.Point, key string, v ask.Value) {
	if s := v.Text(); s != "" {
		p.Fields = append(p.Fields, probes.String(key, s))
	}
}

// percent returns a value from 0 to 100 as a ratio.
func percent(v ask.Value) (float64, bool) {
	n, ok := v.Uint()
	return float64(n) / 100, ok && n <= 100
}

// byIndex orders indexes as numbers.
func byIndex(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return cmp.Or(cmp.Compare(x, y), strings.Compare(a, b))
}
