package wire

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"communewatch/probes"
)

// Append appends p as one line of line protocol, newline included, and returns the extended slice.
//
// What the wire can't carry is left out or cleaned, so that one odd value never costs a whole run: fields that are
// NaN or infinite, fields and tags without a name, and tags without a value are dropped; control characters become
// spaces; invalid UTF-8 becomes U+FFFD; text longer than probes.MaxText is cut at a rune's edge; a backslash at the
// end of a name or tag value, which line protocol cannot express, is dropped. Nothing is appended when no field is
// left. A zero time leaves the timestamp out.
func Append(dst []byte, p *probes.Point) []byte {
	start := len(dst)
	name := strings.TrimLeft(cleanName(p.Measurement), "#") // a line that begins with # is a comment
	if name == "" {
		return dst
	}
	dst = AppendMeasurement(dst, name)
	for _, t := range p.Tags {
		key, value := cleanName(t.Key), cleanName(t.Value)
		if key == "" || value == "" {
			continue
		}
		dst = append(dst, ',')
		dst = AppendName(dst, key)
		dst = append(dst, '=')
		dst = AppendName(dst, value)
	}
	separator := byte(' ')
	for i := range p.Fields {
		f := &p.Fields[i]
		key := cleanName(f.Key)
		if key == "" || f.Type != probes.TypeString && (math.IsNaN(f.Num) || math.IsInf(f.Num, 0)) {
			continue
		}
		dst = append(dst, separator)
		dst = AppendName(dst, key)
		dst = append(dst, '=')
		dst = appendValue(dst, f)
		separator = ','
	}
	if separator == ' ' {
		return dst[:start]
	}
	if year := p.Time.Year(); !p.Time.IsZero() && year > 1677 && year < 2262 { // what 64 bits of nanoseconds hold
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Time.UnixNano(), 10)
	}
	return append(dst, '\n')
}

func appendValue(dst []byte, f *probes.Field) []byte {
	switch f.Type {
	case probes.TypeInt:
		dst = strconv.AppendInt(dst, wholeNumber(f.Num), 10)
		return append(dst, 'i')
	case probes.TypeBool:
		return strconv.AppendBool(dst, f.Num != 0)
	case probes.TypeString:
		dst = append(dst, '"')
		text := cleanText(f.Str)
		for i := 0; i < len(text); i++ {
			if text[i] == '"' || text[i] == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, text[i])
		}
		return append(dst, '"')
	}
	// Plain digits are shorter to write and quicker to read than an exponent, within reason.
	format := byte('f')
	if a := math.Abs(f.Num); a != 0 && (a < 1e-6 || a >= 1e15) {
		format = 'g'
	}
	return strconv.AppendFloat(dst, f.Num, format, -1, 64)
}

// wholeNumber converts without the undefined results that Go leaves to the processor beyond 64 bits.
func wholeNumber(v float64) int64 {
	switch {
	case v >= math.MaxInt64:
		return math.MaxInt64
	case v <= math.MinInt64:
		return math.MinInt64
	}
	return int64(v)
}

// AppendMeasurement appends a measurement's name as a line writes it. Nothing is cleaned: what no line can say does not
// come back from ParseKey.
func AppendMeasurement(dst []byte, s string) []byte {
	return appendEscaped(dst, s, isMeasurementEscape)
}

// AppendName does the same with the name of a tag or field, and with the value of a tag.
func AppendName(dst []byte, s string) []byte { return appendEscaped(dst, s, isKeyEscape) }

func appendEscaped(dst []byte, s string, special func(byte) bool) []byte {
	for i := 0; i < len(s); i++ {
		if special(s[i]) {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}

func isMeasurementEscape(c byte) bool { return c == ',' || c == ' ' }
func isKeyEscape(c byte) bool         { return c == ',' || c == ' ' || c == '=' }

func cleanName(s string) string {
	if !isClean(s) {
		s = clean(s)
	}
	return strings.TrimRight(s, `\`)
}

func cleanText(s string) string {
	if !isClean(s) {
		s = clean(s)
	}
	if len(s) <= probes.MaxText {
		return s
	}
	cut := probes.MaxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

func isClean(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 { // C0, DEL and C1
			return ' '
		}
		return r // strings.Map hands over U+FFFD for invalid bytes
	}, s)
}
