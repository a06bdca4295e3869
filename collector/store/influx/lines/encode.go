package lines

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"communewatch/collector/store"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// Encoder writes rows as lines, and knows which can't be stored. It may be used concurrently.
type Encoder struct {
	ask Ask

	mu           sync.RWMutex
	series       map[string]*series
	measurements map[string]*measurement
}

// series is what is known of a row's key.
type series struct {
	written string // as the lines begin
	of      *measurement
}

// NewEncoder returns an Encoder that asks for the fields of measurements by ask.
func NewEncoder(ask Ask) *Encoder {
	return &Encoder{ask: ask, series: map[string]*series{}, measurements: map[string]*measurement{}}
}

// Rules say which rows can be stored now.
type Rules struct {
	Oldest, Newest int64  // Unix milliseconds
	TooOld, Ahead  string // the reasons given for rows beyond
	Apart          bool   // no tag and field of one name
}

// Batch is rows as lines. It is used again and again; the zero value is empty.
type Batch struct {
	Body     []byte
	Ends     []int // of the lines in Body
	Rows     []int // which row each line is of
	Rejected []store.Rejected
	Values   int // in Body

	found []*series
}

// Reset empties b.
func (b *Batch) Reset() {
	clear(b.found)
	*b = Batch{Body: b.Body[:0], Ends: b.Ends[:0], Rows: b.Rows[:0], found: b.found[:0]}
}

// Line returns the lines from..to, to not included.
func (b *Batch) Line(from, to int) []byte {
	start := 0
	if from > 0 {
		start = b.Ends[from-1]
	}
	return b.Body[start:b.Ends[to-1]]
}

// Encode fills b, which is empty. It fails when the database has to be asked for fields and does not answer.
func (e *Encoder) Encode(ctx context.Context, b *Batch, rows []wire.Row, rules *Rules) error {
	e.mu.RLock()
	for i := range rows {
		b.found = append(b.found, e.series[string(rows[i].Key)])
	}
	e.mu.RUnlock()
	for i := range rows {
		start := len(b.Body)
		reason, err := e.row(ctx, b, &rows[i], b.found[i], rules)
		if err != nil {
			return err
		}
		if reason != "" {
			b.Body = b.Body[:start]
			b.Rejected = append(b.Rejected, store.Rejected{Index: i, Reason: reason})
			continue
		}
		b.Ends = append(b.Ends, len(b.Body))
		b.Rows = append(b.Rows, i)
		b.Values += len(rows[i].Fields)
	}
	return nil
}

// TimeOf is the time of a line that Encode made.
func TimeOf(line []byte) int64 {
	text := bytes.TrimSuffix(line, []byte{'\n'})
	t, _ := strconv.ParseInt(string(text[bytes.LastIndexByte(text, ' ')+1:]), 10, 64)
	return t
}

// MeasurementOf is the measurement of a line that Encode made.
func MeasurementOf(line []byte) string {
	var name []byte
	for i := 0; i < len(line) && line[i] != ',' && line[i] != ' '; i++ {
		if line[i] == '\\' && i+1 < len(line) && (line[i+1] == ',' || line[i+1] == ' ') {
			i++
		}
		name = append(name, line[i])
	}
	return Named(string(name))
}

// FloorMillis cuts Unix nanoseconds to milliseconds, downwards for times before 1970 too.
func FloorMillis(ns int64) int64 {
	ms := ns / 1e6
	if ns%1e6 < 0 {
		ms--
	}
	return ms
}

// row adds one line. A reason says that the row can't be stored now or later.
func (e *Encoder) row(ctx context.Context, b *Batch, r *wire.Row, s *series, rules *Rules) (reason string, err error) {
	t := FloorMillis(r.Time)
	switch {
	case t < rules.Oldest:
		return rules.TooOld, nil
	case t > rules.Newest:
		return rules.Ahead, nil
	case len(r.Fields) == 0:
		return "no fields", nil
	}
	if s == nil {
		if s = e.met(r.Key); s == nil { // a row before it may just have been the first
			if s, reason = e.meet(r.Key); reason != "" {
				return reason, nil
			}
		}
	}
	b.Body = append(b.Body, s.written...)
	known := s.of.known.Load()
	separator, at := byte(' '), -1
	for i := range r.Fields {
		f := &r.Fields[i]
		c := Number
		if f.Type == probes.TypeString {
			c = Text
		}
		var ok bool
		if at, ok = known.find(f.Key, at+1); !ok {
			if reason := checkField(f.Key); reason != "" {
				return reason, nil
			}
			if known, err = s.of.learn(ctx, e.ask, string(f.Key), c); err != nil {
				return "", err
			}
			at, ok = known.find(f.Key, 0)
		}
		b.Body = append(b.Body, separator)
		separator = ','
		name := len(b.Body)
		switch {
		case !ok:
			b.Body = append(appendName(b.Body, Stored(string(f.Key))), '=')
		case known.classes[at] != c:
			return fmt.Sprintf("field type conflict: field %q is a %s here but was a %s before", f.Key, c, known.classes[at]), nil
		default:
			b.Body = append(b.Body, known.written[at]...)
		}
		if rules.Apart && hasTag(s.written, b.Body[name:]) {
			return fmt.Sprintf("field %q is a tag too, which InfluxDB 3 can't store; give one of them another name", f.Key), nil
		}
		if c == Text {
			b.Body = appendText(b.Body, f.Str)
		} else if f.Num-f.Num != 0 { // NaN or infinite
			return fmt.Sprintf("field %q is not a finite number", f.Key), nil
		} else {
			b.Body = appendNumber(b.Body, f.Num)
		}
	}
	b.Body = append(b.Body, ' ')
	b.Body = strconv.AppendInt(b.Body, t, 10)
	b.Body = append(b.Body, '\n')
	return "", nil
}

// hasTag reports whether a series has a tag of the field's name, which has = behind.
func hasTag(series string, field []byte) bool {
	for rest := series; ; {
		i := strings.Index(rest, string(field))
		if i < 0 {
			return false
		}
		// A comma that is a name's own has a backslash before it, and nothing else has: see Stored.
		if at := len(series) - len(rest) + i; at > 1 && series[at-1] == ',' && series[at-2] != '\\' {
			return true
		}
		rest = rest[i+1:]
	}
}

// appendNumber writes a float. Whole numbers and those of a few decimals are many, and quickly written.
func appendNumber(dst []byte, v float64) []byte {
	a := math.Abs(v)
	if a < 1e15 && v == math.Trunc(v) && (v != 0 || !math.Signbit(v)) {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	if a >= 1e-6 && a < 1e6 {
		// If the nearest billionth is read as v then it is v's shortest text: no two texts of 15 digits are read alike.
		if n := uint64(a*1e9 + 0.5); float64(n)/1e9 == a {
			return appendBillionths(dst, n, v < 0)
		}
	}
	// Plain digits are shorter to write and quicker to read than an exponent, within reason.
	format := byte('f')
	if a != 0 && (a < 1e-6 || a >= 1e15) {
		format = 'g'
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}

func (e *Encoder) met(key []byte) *series {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.series[string(key)]
}

// appendBillionths writes n billionths, which are no whole number.
func appendBillionths(dst []byte, n uint64, negative bool) []byte {
	if negative {
		dst = append(dst, '-')
	}
	dst = append(strconv.AppendUint(dst, n/1e9, 10), ".000000000"...)
	end := len(dst)
	for i, rest := end-1, n%1e9; rest != 0; i, rest = i-1, rest/10 {
		dst[i] = '0' + byte(rest%10)
	}
	for dst[end-1] == '0' {
		end--
	}
	return dst[:end]
}

// meet makes a series known whose key was not met before.
func (e *Encoder) meet(key []byte) (s *series, reason string) {
	parsed, err := wire.ParseKey(key)
	if err != nil {
		return nil, "series key: " + err.Error()
	}
	if reason := checkSeries(&parsed); reason != "" {
		return nil, reason
	}
	written := appendMeasurement(nil, Stored(parsed.Measurement))
	for _, t := range parsed.Tags {
		written = append(written, ',')
		written = appendName(written, Stored(t.Key))
		written = append(written, '=')
		written = appendName(written, Stored(t.Value))
	}
	k := string(key)
	s = &series{written: k}
	if !bytes.Equal(written, key) {
		s.written = string(written)
	}

	e.mu.Lock()
	defer e.mu.Unlock()
	if have := e.series[k]; have != nil {
		return have, ""
	}
	if s.of = e.measurements[parsed.Measurement]; s.of == nil {
		s.of = newMeasurement(parsed.Measurement)
		if len(e.measurements) < maxMeasurements {
			e.measurements[parsed.Measurement] = s.of
		}
	}
	if len(e.series) >= maxKeys {
		clear(e.series) // what still comes is known again soon
	}
	e.series[k] = s
	return s, ""
}

// reservedMark is what is wrong with a name that has the mark in it.
const reservedMark = "the character U+F05C is reserved"

// checkSeries returns what keeps a series from being stored.
func checkSeries(s *wire.Series) string {
	switch {
	case s.Measurement == "":
		return "no measurement"
	case s.Measurement[0] == '#':
		return "a measurement can't begin with #"
	case strings.Contains(s.Measurement, mark):
		return "measurement: " + reservedMark
	}
	for _, t := range s.Tags {
		switch {
		case t.Key == "":
			return "a tag without a key"
		case t.Key == "time" || t.Key == "_field" || t.Key == "_measurement":
			return "tag key " + t.Key + " is reserved; give the tag another name"
		case strings.Contains(t.Key, mark) || strings.Contains(t.Value, mark):
			return fmt.Sprintf("tag %q: %s", t.Key, reservedMark)
		}
	}
	return ""
}

func checkField(key []byte) string {
	switch {
	case len(key) == 0:
		return "a field without a key"
	case string(key) == "time":
		return "field key time is reserved; give the field another name"
	case bytes.ContainsFunc(key, func(r rune) bool { return r < ' ' }):
		return fmt.Sprintf("field key %q has control characters", key)
	case bytes.Contains(key, []byte(mark)):
		return fmt.Sprintf("field %q: %s", key, reservedMark)
	}
	return ""
}

// Forget drops what is known of a measurement's fields, because the database says otherwise.
func (e *Encoder) Forget(name string) {
	e.mu.RLock()
	m := e.measurements[name]
	e.mu.RUnlock()
	if m != nil {
		m.forget()
	}
}

// ForgetFields does so for all measurements.
func (e *Encoder) ForgetFields() {
	e.mu.RLock()
	all := slices.Collect(maps.Values(e.measurements))
	e.mu.RUnlock()
	for _, m := range all {
		m.forget()
	}
}
