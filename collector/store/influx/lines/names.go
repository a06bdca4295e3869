// Package lines writes rows and windows as the lines of line protocol that lie in an InfluxDB (see the room influx), and
// reads windows back. Lines are written from rows without a step between; what is known of a series and of a
// measurement's fields is kept, so that a line costs little more than copying it.
package lines

import (
	"strings"

	"communewatch/probes/wire"
)

// mark stands for a backslash in names and tag values where the server would misread one. Line protocol escapes with
// backslashes but not the backslash itself, and the server's own readers differ on one that stands before a character
// with a meaning: one skips it with what follows, the other looks at what was before. A line made for the purpose would
// swallow those behind it. Elsewhere a backslash is only a character.
//
// It is the mark that Cygwin uses in file names, from the area of Unicode that belongs to nobody.
const mark = "\uf05c"

// Stored is the name of a measurement, tag or field, or the value of a tag, as it lies in the database.
func Stored(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '\\' && (i+1 == len(s) || strings.IndexByte(`\, ="`, s[i+1]) >= 0) {
			b.WriteString(mark)
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// Named is the inverse of Stored.
func Named(s string) string { return strings.ReplaceAll(s, mark, `\`) }

// appendMeasurement and appendName write what is Stored, escaped.
func appendMeasurement(dst []byte, s string) []byte { return wire.AppendMeasurement(dst, s) }
func appendName(dst []byte, s string) []byte        { return wire.AppendName(dst, s) }

// appendText writes the value of a text field.
func appendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
