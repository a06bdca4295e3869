package export

import (
	"math"
	"strconv"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/lines"
	"communewatch/collector/store/portion"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// lineWriter makes lines. The encoder of agents is not used for it: it cuts and cleans what it is given, and an export
// changes nothing.
type lineWriter struct {
	types map[string]map[string]probes.FieldType // of the contract, by measurement and field
	keys  map[*portion.Series][]byte             // of the portion under way
	buf   []byte
}

func newLineWriter() *lineWriter {
	w := &lineWriter{types: map[string]map[string]probes.FieldType{}, keys: map[*portion.Series][]byte{}}
	for _, m := range probes.Schema() {
		fields := map[string]probes.FieldType{}
		for _, f := range m.Fields {
			fields[f.Key] = f.Type
		}
		w.types[m.Name] = fields
	}
	return w
}

// maxKeys bounds the keys that are remembered: series are values of their own in each portion.
const maxKeys = 10_000

// of returns the line of an entry, good until the next call. Windows are written as an InfluxDB of ours has them.
func (w *lineWriter) of(e *entry) ([]byte, error) {
	if e.window != nil {
		return w.window(e.window)
	}
	r := e.row
	key := w.keys[r.Series]
	if key == nil {
		if len(w.keys) >= maxKeys {
			clear(w.keys)
		}
		var err error
		if key, err = r.Series.Key(); err != nil {
			return nil, err
		}
		w.keys[r.Series] = key
	}
	b := append(w.buf[:0], key...)
	types := w.types[r.Series.Measurement]
	for i := range r.Fields {
		f := &r.Fields[i]
		if i == 0 {
			b = append(b, ' ')
		} else {
			b = append(b, ',')
		}
		b = append(wire.AppendName(b, f.Key), '=')
		b = appendValue(b, f, types[f.Key])
	}
	b = append(b, ' ')
	b = strconv.AppendInt(b, r.Time, 10)
	w.buf = append(b, "000000\n"...) // nanoseconds
	return w.buf, nil
}

func (w *lineWriter) window(r *rollup.Row) ([]byte, error) {
	b, err := lines.EncodeWindow(w.buf[:0], r)
	if err != nil {
		return nil, err
	}
	w.buf = append(b[:len(b)-1], "000000\n"...) // it writes milliseconds
	return w.buf, nil
}

// appendValue writes a value as a field of type t: a number that is not what the contract says stays a float.
func appendValue(b []byte, f *probes.Field, t probes.FieldType) []byte {
	switch {
	case f.Type == probes.TypeString:
		b = append(b, '"')
		for i := range len(f.Str) {
			if c := f.Str[i]; c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, f.Str[i])
		}
		return append(b, '"')
	case t == probes.TypeInt && isWhole(f.Num):
		return append(strconv.AppendInt(b, int64(f.Num), 10), 'i')
	case t == probes.TypeBool && (f.Num == 0 || f.Num == 1):
		if f.Num == 1 {
			return append(b, 't')
		}
		return append(b, 'f')
	}
	return strconv.AppendFloat(b, f.Num, 'g', -1, 64)
}

// isWhole reports whether a number is one that an integer holds without loss.
func isWhole(v float64) bool { return v == math.Trunc(v) && math.Abs(v) <= 1<<53 }
