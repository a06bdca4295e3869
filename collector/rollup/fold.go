package rollup

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/probes"
)

// Fold puts numbers and finer windows into the windows of one level. Make one with NewFold; it is for one goroutine.
//
// What comes out depends on the set of points alone: not on the order of series and fields, nor on how the points of a
// field are split over calls. It relies on what a store gives: the points of a field of a series come in order of time
// over all calls, each once. (Sums are added up in that order, so that they are the same to the last bit.)
type Fold struct {
	level    Level
	zone     *time.Location
	contract map[string]*measurement
	series   map[string]*folded
	last     *folded // of the call before: fields of a series come together
	key      []byte  // scratch
	keys     []int32 // scratch
}

// measurement is what Fold needs to know of one.
type measurement struct {
	fields map[string]*field
	most   int // fields that a window can have, enumerated texts not counted
}

type field struct {
	text         bool
	values       []string // the closed set of a text; nil: it is not kept
	totals       []string // the field that counts each
	distribution bool
}

// contract is probes.Schema by name, made once: it costs as much as folding a thousand points.
var contract = sync.OnceValue(func() map[string]*measurement {
	all := map[string]*measurement{}
	for _, m := range probes.Schema() {
		fields := make(map[string]*field, len(m.Fields))
		for _, s := range m.Fields {
			f := &field{text: s.Type == probes.TypeString, values: s.Enum, distribution: s.Distribution}
			for _, v := range s.Enum {
				f.totals = append(f.totals, TotalKey(s.Key, v))
			}
			fields[s.Key] = f
		}
		all[m.Name] = &measurement{fields, len(m.Fields)}
	}
	return all
})

// TotalKey is the field of a window that counts how often a text field had one of its values.
func TotalKey(field, value string) string { return field + "_" + value }

// folded is one series under way.
type folded struct {
	measurement string
	tags        probes.Tags
	windows     []window // by rising start
}

type window struct {
	start  int64
	fields []Field // in the order they came in
}

// NewFold returns an empty Fold. level is not Raw.
func NewFold(level Level, zone *time.Location) *Fold {
	return &Fold{level: level, zone: zone, contract: contract(), series: map[string]*folded{}}
}

// Add takes in points of one field of a series, in order of time: values for a number, texts for a text. What is not in
// the contract is left out.
func (f *Fold) Add(measurement, field string, tags probes.Tags, times []int64, values []float64, texts []string) {
	m := f.contract[measurement]
	if m == nil || len(times) == 0 {
		return
	}
	spec := m.fields[field]
	if spec == nil || spec.text != (texts != nil) || spec.text && spec.values == nil {
		return
	}
	s := f.of(measurement, tags)
	at := 0
	for i := 0; i < len(times); {
		start, end := f.level.bounds(times[i], f.zone)
		j := i + 1
		for j < len(times) && times[j] < end {
			j++
		}
		w := s.at(&at, start, m.most)
		if texts != nil {
			w.count(spec, texts[i:j])
		} else {
			a := w.aggregate(field)
			if spec.distribution && a.Count == 0 && a.Sketch == nil {
				a.Sketch = new(Sketch)
			}
			f.keys = a.addAll(values[i:j], f.keys)
		}
		i = j
	}
}

// count adds to the totals of a closed set.
func (w *window) count(spec *field, texts []string) {
	last, n := -1, 0
	flush := func() {
		if n > 0 {
			a := w.aggregate(spec.totals[last])
			a.Total = true
			a.Sum = finite(a.Sum + float64(n))
		}
		n = 0
	}
	for _, t := range texts {
		if last < 0 || spec.values[last] != t {
			flush()
			if last = slices.Index(spec.values, t); last < 0 {
				continue
			}
		}
		n++
	}
	flush()
}

// Merge takes in a window of a finer level. Windows of a series come in order of time.
func (f *Fold) Merge(r *Row) {
	s := f.of(r.Measurement, r.Tags)
	start, _ := f.level.bounds(r.Start, f.zone)
	at := max(len(s.windows)-1, 0)
	w := s.at(&at, start, len(r.Fields))
	for i := range r.Fields {
		f := &r.Fields[i]
		if i < len(w.fields) && w.fields[i].Key == f.Key { // most windows have the fields of the one before
			w.fields[i].Value.Merge(&f.Value)
		} else {
			w.aggregate(f.Key).Merge(&f.Value)
		}
	}
}

// Rows returns the windows by measurement, tags and time. The Fold is of no more use then.
func (f *Fold) Rows() []Row {
	all := make([]*folded, 0, len(f.series))
	n := 0
	for _, s := range f.series {
		all = append(all, s)
		n += len(s.windows)
	}
	slices.SortFunc(all, func(a, b *folded) int {
		return cmp.Or(strings.Compare(a.measurement, b.measurement), compareTags(a.tags, b.tags))
	})
	rows := make([]Row, 0, n)
	for _, s := range all {
		for _, w := range s.windows {
			if len(w.fields) == 0 {
				continue
			}
			slices.SortFunc(w.fields, func(a, b Field) int { return strings.Compare(a.Key, b.Key) })
			rows = append(rows, Row{Measurement: s.measurement, Tags: s.tags, Start: w.start, Fields: w.fields})
		}
	}
	return rows
}

func compareTags(a, b probes.Tags) int {
	return slices.CompareFunc(a, b, func(a, b probes.Tag) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
	})
}

func (f *Fold) of(measurement string, tags probes.Tags) *folded {
	if s := f.last; s != nil && s.measurement == measurement && slices.Equal(s.tags, tags) {
		return s
	}
	f.key = appendKey(f.key[:0], measurement, tags)
	s := f.series[string(f.key)]
	if s == nil {
		s = &folded{measurement: measurement, tags: slices.Clone(tags)}
		f.series[string(f.key)] = s
	}
	f.last = s
	return s
}

// at returns the window that begins at start, looked for from the index at on, which becomes its index. A new one gets
// room for so many fields.
func (s *folded) at(at *int, start int64, room int) *window {
	i := *at
	for i < len(s.windows) && s.windows[i].start < start {
		i++
	}
	if i == *at && i > 0 && s.windows[i-1].start >= start { // not in order of time after all
		i, _ = slices.BinarySearchFunc(s.windows, start, func(w window, start int64) int { return cmp.Compare(w.start, start) })
	}
	if i == len(s.windows) || s.windows[i].start != start {
		s.windows = slices.Insert(s.windows, i, window{start: start, fields: make([]Field, 0, room)})
	}
	*at = i
	return &s.windows[i]
}

func (w *window) aggregate(key string) *Aggregate {
	for i := range w.fields {
		if w.fields[i].Key == key {
			return &w.fields[i].Value
		}
	}
	w.fields = append(w.fields, Field{Key: key})
	return &w.fields[len(w.fields)-1].Value
}

// SeriesKey is a series' identity as one string. Tags are by rising key.
func SeriesKey(measurement string, tags probes.Tags) string {
	return string(appendKey(nil, measurement, tags))
}

func appendKey(b []byte, measurement string, tags probes.Tags) []byte {
	b = append(b, measurement...)
	for _, t := range tags {
		b = append(append(b, 0), t.Key...)
		b = append(append(b, 0), t.Value...)
	}
	return b
}
