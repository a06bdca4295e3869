package lines

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/influxql"
	"communewatch/probes/wire"
)

// keysField names, in each row of a window, the fields that the window has. Writing a row again leaves fields of the old
// one where they are that the new one does not have; this tells which they are.
const keysField = "keys"

// The endings of a field's name in a window, by what they hold.
var endings = [...]string{"_count", "_sum", "_min", "_max", "_total", "_p95", "_sketch"}

const (
	endCount = iota
	endSum
	endMin
	endMax
	endTotal
	endP95
	endSketch
)

// EncodeWindow adds a window as a line. It returns an error for one that can't be stored, and adds nothing then.
func EncodeWindow(dst []byte, r *rollup.Row) ([]byte, error) {
	if reason := checkSeries(&wire.Series{Measurement: r.Measurement, Tags: r.Tags}); reason != "" {
		return dst, fmt.Errorf("window of %.80q: %s", r.Measurement, reason)
	}
	start := len(dst)
	dst = appendMeasurement(dst, Stored(r.Measurement))
	for _, t := range r.Tags {
		if t.Value == "" {
			continue
		}
		dst = append(dst, ',')
		dst = appendName(dst, Stored(t.Key))
		dst = append(dst, '=')
		dst = appendName(dst, Stored(t.Value))
	}
	dst = append(dst, ` keys="`...)
	for i := range r.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, url.QueryEscape(r.Fields[i].Key)...) // the keys of the contract as they are
	}
	dst = append(dst, '"')
	for i := range r.Fields {
		f, a := &r.Fields[i], &r.Fields[i].Value
		if reason := checkField([]byte(f.Key)); reason != "" {
			return dst[:start], fmt.Errorf("window of %.80q: %s", r.Measurement, reason)
		}
		for _, v := range [...]float64{a.Sum, a.Min, a.Max} {
			if v-v != 0 {
				return dst[:start], fmt.Errorf("window of %.80q: field %q is not finite", r.Measurement, f.Key)
			}
		}
		name := string(appendName(nil, Stored(f.Key)))
		number := func(end int, v float64) {
			dst = append(append(append(append(dst, ','), name...), endings[end]...), '=')
			dst = appendNumber(dst, v)
		}
		if a.Total {
			number(endTotal, a.Sum)
		} else {
			number(endCount, float64(a.Count))
			number(endSum, a.Sum)
		}
		if a.Total && a.Count != 0 {
			number(endCount, float64(a.Count))
		}
		if !a.Total || a.Count != 0 || a.Min != 0 || a.Max != 0 { // zeroes too: they are in place of what was there before
			number(endMin, a.Min)
			number(endMax, a.Max)
		}
		if a.Sketch != nil {
			if p95, ok := a.Quantile(0.95); ok {
				number(endP95, p95)
			}
			dst = append(append(append(append(dst, ','), name...), endings[endSketch]...), '=')
			dst = appendText(dst, a.Sketch.Text())
		}
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, r.Start, 10)
	return append(dst, '\n'), nil
}

// WindowColumns returns the columns that hold some fields of windows, as they lie in the database.
func WindowColumns(keys []string) []string {
	columns := []string{keysField}
	for _, key := range keys {
		for end, ending := range endings {
			if end != endP95 {
				columns = append(columns, Stored(key)+ending)
			}
		}
	}
	return columns
}

// TotalColumn returns the column that holds a field's total.
func TotalColumn(key string) string { return Stored(key) + endings[endTotal] }

// ClassOfColumn is what a column of windows holds; false for one that no window has.
func ClassOfColumn(name string) (Class, bool) {
	if name == keysField {
		return Text, true
	}
	for end, ending := range endings {
		if key, ok := strings.CutSuffix(name, ending); ok && key != "" {
			if end == endSketch {
				return Text, true
			}
			return Number, true
		}
	}
	return Number, false
}

// Windows reads windows out of the columns of a chunk.
type Windows struct {
	chunk *influxql.Chunk
	keys  *influxql.Column
	parts []part
	valid map[string]bool // of the last row's keys
	last  string
}

// part is the columns of one field.
type part struct {
	key     string
	columns [len(endings)]*influxql.Column
}

// NewWindows prepares a chunk to be read. want is the fields asked for, nil for all.
func NewWindows(c *influxql.Chunk, want []string) *Windows {
	w := &Windows{chunk: c}
	at := map[string]int{}
	for i, name := range c.Names {
		if name == keysField {
			w.keys = &c.Columns[i]
			continue
		}
		name = Named(name)
		for end, ending := range endings {
			key, ok := strings.CutSuffix(name, ending)
			if !ok || key == "" || want != nil && !slices.Contains(want, key) {
				continue
			}
			n, ok := at[key]
			if !ok {
				n = len(w.parts)
				at[key] = n
				w.parts = append(w.parts, part{key: key})
			}
			w.parts[n].columns[end] = &c.Columns[i]
		}
	}
	slices.SortFunc(w.parts, func(a, b part) int { return cmp.Compare(a.key, b.key) })
	return w
}

// Row returns the fields of the window in row i of the chunk. What is none of ours is left out: fields of others'
// making, those of a window before, sketches that can't be read.
func (w *Windows) Row(i int) []rollup.Field {
	if w.keys != nil && w.keys.Kinds[i] == influxql.Text {
		w.know(w.keys.Texts[i])
	} else {
		w.valid, w.last = nil, ""
	}
	fields := make([]rollup.Field, 0, len(w.parts))
	for n := range w.parts {
		p := &w.parts[n]
		if w.valid != nil && !w.valid[p.key] {
			continue
		}
		if a, ok := p.aggregate(i); ok {
			fields = append(fields, rollup.Field{Key: p.key, Value: a})
		}
	}
	return fields
}

func (w *Windows) know(keys string) {
	if w.valid != nil && keys == w.last {
		return
	}
	w.last, w.valid = keys, map[string]bool{}
	for k := range strings.SplitSeq(keys, ",") {
		if key, err := url.QueryUnescape(k); err == nil {
			w.valid[key] = true
		}
	}
}

func (p *part) number(end, row int) (float64, bool) {
	c := p.columns[end]
	if c == nil || c.Kinds[row] != influxql.Number {
		return 0, false
	}
	return c.Numbers[row], true
}

// maxCount is the largest count that floats tell from its neighbours.
const maxCount = 1 << 53

func (p *part) aggregate(row int) (a rollup.Aggregate, ok bool) {
	total, isTotal := p.number(endTotal, row)
	count, counted := p.number(endCount, row)
	if !isTotal && !counted || count < 0 || count > maxCount || count != math.Trunc(count) {
		return a, false
	}
	a.Total, a.Count = isTotal, int64(count)
	if isTotal {
		a.Sum = total
	} else if a.Sum, ok = p.number(endSum, row); !ok {
		return a, false
	}
	a.Min, _ = p.number(endMin, row)
	a.Max, _ = p.number(endMax, row)
	if c := p.columns[endSketch]; c != nil && c.Kinds[row] == influxql.Text {
		if s, err := rollup.ParseSketch(c.Texts[row]); err == nil {
			a.Sketch = s
		}
	}
	return a, true
}
