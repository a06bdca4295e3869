package export

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"

	"communewatch/collector/rollup"
	"communewatch/collector/store/portion"
	"communewatch/probes"
)

// kind is what a column holds.
type kind uint8

const (
	kindTime kind = iota
	kindTag
	kindFloat
	kindInt
	kindBool
	kindText
)

// column is one column of a table.
type column struct {
	name string
	kind kind
}

// cell is a value of a column. The zero value is that of a column that a row does not have.
type cell struct {
	set bool
	num float64 // numbers and truth values; of the time Unix milliseconds, exact until the year 287396
	str string
}

// shape is the columns of a measurement: its time, its tags, its fields, each by name where the contract gives no order.
type shape struct {
	measurement string
	columns     []column
	tags        map[string]int
	fields      map[string]int
	contract    bool // the columns are the contract's, and there are no others
}

// timeColumn is the first column: the time of a row, the start of a window.
const timeColumn = "time"

func newShape(measurement string) *shape {
	return &shape{measurement: measurement, columns: []column{{timeColumn, kindTime}}, tags: map[string]int{}, fields: map[string]int{}}
}

func (s *shape) add(into map[string]int, key string, k kind) {
	name := key
	for slices.ContainsFunc(s.columns, func(c column) bool { return c.name == name }) {
		name += "_" // a foreign field may be called as a tag
	}
	into[key] = len(s.columns)
	s.columns = append(s.columns, column{name, k})
}

// shapes finds out which columns each measurement has. The contract says it for rows of agents; all others are read
// once for it, since a table's columns come before its rows.
func (e *exporter) shapes(ctx context.Context, known []string) ([]*shape, error) {
	wanted := e.r.Range.Measurements
	if len(wanted) == 0 {
		wanted = known
	}
	found := map[string]*shape{}
	var foreign []string
	if e.r.Level == rollup.Raw {
		for _, m := range probes.Schema() {
			if slices.Contains(wanted, m.Name) {
				found[m.Name] = ofContract(&m)
			}
		}
		for _, m := range wanted {
			if found[m] == nil {
				foreign = append(foreign, m)
			}
		}
		if len(foreign) == 0 {
			return sorted(found), nil
		}
	} else {
		foreign = e.r.Range.Measurements // of all there may be windows that no rows are left of
	}
	seen := map[string]*seen{}
	r := e.r.Range
	r.Measurements = foreign
	look := &exporter{src: e.src, r: e.r}
	look.r.Progress = nil
	err := look.each(ctx, r, "", func(en *entry) error {
		s := seen[en.measurement()]
		if s == nil {
			s = newSeen()
			seen[en.measurement()] = s
		}
		return s.add(en)
	})
	if err != nil {
		return nil, err
	}
	for m, s := range seen {
		found[m] = s.shape(m)
	}
	return sorted(found), nil
}

func sorted(found map[string]*shape) []*shape {
	var out []*shape
	for _, m := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[m])
	}
	return out
}

func ofContract(m *probes.MeasurementSpec) *shape {
	s := newShape(m.Name)
	s.contract = true
	for _, t := range m.Tags {
		s.add(s.tags, t.Key, kindTag)
	}
	for _, f := range m.Fields {
		k := kindFloat
		switch f.Type {
		case probes.TypeInt:
			k = kindInt
		case probes.TypeBool:
			k = kindBool
		case probes.TypeString:
			k = kindText
		}
		s.add(s.fields, f.Key, k)
	}
	return s
}

// seen is the tags and fields that occur.
type seen struct {
	tags   map[string]bool
	fields map[string]kind
	last   *portion.Series
}

func newSeen() *seen { return &seen{tags: map[string]bool{}, fields: map[string]kind{}} }

// maxColumns is beyond what any reader of a table bears: somebody writes data into names.
const maxColumns = 2000

func (s *seen) add(e *entry) error {
	if e.row != nil {
		if e.row.Series != s.last {
			s.last = e.row.Series
			s.tag(s.last.Tags)
		}
		for i := range e.row.Fields {
			f := &e.row.Fields[i]
			k := kindFloat
			if f.Type == probes.TypeString {
				k = kindText
			}
			s.fields[f.Key] = k
		}
	} else {
		s.tag(e.window.Tags)
		for i := range e.window.Fields {
			eachPart(&e.window.Fields[i], func(name string, k kind, _ cell) { s.fields[name] = k })
		}
	}
	if len(s.tags)+len(s.fields) > maxColumns {
		return fmt.Errorf("%.80q has more than %d tags and fields, too many for a table; export it as lp", e.measurement(), maxColumns)
	}
	return nil
}

func (s *seen) tag(tags probes.Tags) {
	for _, t := range tags {
		s.tags[t.Key] = true
	}
}

func (s *seen) shape(measurement string) *shape {
	out := newShape(measurement)
	for _, t := range slices.Sorted(maps.Keys(s.tags)) {
		out.add(out.tags, t, kindTag)
	}
	for _, f := range slices.Sorted(maps.Keys(s.fields)) {
		out.add(out.fields, f, s.fields[f])
	}
	return out
}

// eachPart calls part for what a window keeps of a field, each under the name that an InfluxDB of ours has it under.
func eachPart(f *rollup.Field, part func(name string, k kind, c cell)) {
	a := &f.Value
	if a.Total {
		part(f.Key+"_total", kindFloat, cell{set: true, num: a.Sum})
		return
	}
	part(f.Key+"_count", kindInt, cell{set: true, num: float64(a.Count)})
	part(f.Key+"_sum", kindFloat, cell{set: true, num: a.Sum})
	part(f.Key+"_min", kindFloat, cell{set: true, num: a.Min})
	part(f.Key+"_max", kindFloat, cell{set: true, num: a.Max})
	if a.Sketch != nil {
		if p95, ok := a.Quantile(0.95); ok {
			part(f.Key+"_p95", kindFloat, cell{set: true, num: p95})
		}
		part(f.Key+"_sketch", kindText, cell{set: true, str: a.Sketch.Text()})
	}
}

// fill puts an entry into cells, one for each column.
func (s *shape) fill(cells []cell, e *entry) error {
	var unknown string
	put := func(into map[string]int, key string, c cell) {
		if i, ok := into[key]; ok {
			cells[i] = c
		} else {
			unknown = key
		}
	}
	tags := func(tags probes.Tags) {
		for _, t := range tags {
			put(s.tags, t.Key, cell{set: true, str: t.Value})
		}
	}
	if r := e.row; r != nil {
		cells[0] = cell{set: true, num: float64(r.Time)}
		tags(r.Series.Tags)
		for i := range r.Fields {
			f := &r.Fields[i]
			put(s.fields, f.Key, cell{set: true, num: f.Num, str: f.Str})
		}
	} else {
		cells[0] = cell{set: true, num: float64(e.window.Start)}
		tags(e.window.Tags)
		for i := range e.window.Fields {
			eachPart(&e.window.Fields[i], func(name string, _ kind, c cell) { put(s.fields, name, c) })
		}
	}
	if unknown == "" {
		return nil
	}
	if s.contract {
		return fmt.Errorf("%s has %.80q, which the contract of this version does not know; export it as lp", s.measurement, unknown)
	}
	return fmt.Errorf("%s got %.80q while it was exported; export it again, to a time that is over", s.measurement, unknown)
}

func hashOf(s string) uint64 { return xxhash.Sum64String(s) }
