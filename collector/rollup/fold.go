package rollup

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
)

// Fold puts numbers and finer windows into the windows of one level. Make one with NewFold.
type Fold struct {
	level    Level
	zone     *time.Location
	contract map[string]map[string]probes.FieldSpec
	series   map[string]*folded
}

// folded is one series under way.
type folded struct {
	measurement string
	tags        probes.Tags
	windows     map[int64]map[string]*Aggregate // by start and field
}

// NewFold returns an empty Fold. level is not Raw.
func NewFold(level Level, zone *time.Location) *Fold {
	f := &Fold{level: level, zone: zone, contract: map[string]map[string]probes.FieldSpec{}, series: map[string]*folded{}}
	for _, m := range probes.Schema() {
		fields := map[string]probes.FieldSpec{}
		for _, s := range m.Fields {
			fields[s.Key] = s
		}
		f.contract[m.Name] = fields
	}
	return f
}

// Add takes in the points of one field of a series, in order of time: values for a number, texts for a text. What is
// not in the contract is left out.
func (f *Fold) Add(measurement, field string, tags probes.Tags, times []int64, values []float64, texts []string) {
	spec, ok := f.contract[measurement][field]
	if !ok || (spec.Type == probes.TypeString) != (texts != nil) || texts != nil && spec.Enum == nil {
		return
	}
	s := f.of(measurement, tags)
	var window map[string]*Aggregate
	var start, end int64
	for i, t := range times {
		if window == nil || t < start || t >= end {
			begin := f.level.Start(time.UnixMilli(t), f.zone)
			start, end = begin.UnixMilli(), f.level.Next(begin, f.zone).UnixMilli()
			window = s.at(start)
		}
		if texts != nil {
			if slices.Contains(spec.Enum, texts[i]) {
				a := aggregate(window, field+"_"+texts[i])
				a.Total = true
				a.Sum++
			}
			continue
		}
		a := aggregate(window, field)
		if spec.Distribution && a.Sketch == nil {
			a.Sketch = new(Sketch)
		}
		a.Add(values[i])
	}
}

// Merge takes in a window of a finer level. Windows of a series come in order of time.
func (f *Fold) Merge(r *Row) {
	window := f.of(r.Measurement, r.Tags).at(f.level.Start(time.UnixMilli(r.Start), f.zone).UnixMilli())
	for i := range r.Fields {
		aggregate(window, r.Fields[i].Key).Merge(&r.Fields[i].Value)
	}
}

// Rows returns the windows by measurement, tags and time. The Fold is of no more use then.
func (f *Fold) Rows() []Row {
	var rows []Row
	for _, s := range f.series {
		for start, fields := range s.windows {
			if len(fields) == 0 {
				continue
			}
			r := Row{Measurement: s.measurement, Tags: s.tags, Start: start, Fields: make([]Field, 0, len(fields))}
			for key, a := range fields {
				r.Fields = append(r.Fields, Field{key, *a})
			}
			slices.SortFunc(r.Fields, func(a, b Field) int { return strings.Compare(a.Key, b.Key) })
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Measurement, b.Measurement), compareTags(a.Tags, b.Tags), cmp.Compare(a.Start, b.Start))
	})
	return rows
}

func compareTags(a, b probes.Tags) int {
	return slices.CompareFunc(a, b, func(a, b probes.Tag) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
	})
}

func (f *Fold) of(measurement string, tags probes.Tags) *folded {
	key := SeriesKey(measurement, tags)
	s := f.series[key]
	if s == nil {
		s = &folded{measurement, slices.Clone(tags), map[int64]map[string]*Aggregate{}}
		f.series[key] = s
	}
	return s
}

func (s *folded) at(start int64) map[string]*Aggregate {
	w := s.windows[start]
	if w == nil {
		w = map[string]*Aggregate{}
		s.windows[start] = w
	}
	return w
}

func aggregate(window map[string]*Aggregate, key string) *Aggregate {
	a := window[key]
	if a == nil {
		a = new(Aggregate)
		window[key] = a
	}
	return a
}

// SeriesKey is a series' identity as one string. Tags are by rising key.
func SeriesKey(measurement string, tags probes.Tags) string {
	var b strings.Builder
	b.WriteString(measurement)
	for _, t := range tags {
		b.WriteByte(0)
		b.WriteString(t.Key)
		b.WriteByte(0)
		b.WriteString(t.Value)
	}
	return b.String()
}
