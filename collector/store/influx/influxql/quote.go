package influxql

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Quotable reports whether a name or text can be said in a query. Control characters can't: the server's reader changes
// some and ends at others. Nothing that came in through the collector has any.
func Quotable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// Name quotes the name of a measurement, tag, field or database. It must be Quotable.
func Name(s string) string { return quote(s, '"') }

// Literal quotes a text. It must be Quotable.
func Literal(s string) string { return quote(s, '\'') }

func quote(s string, mark byte) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte(mark)
	for i := 0; i < len(s); i++ {
		if s[i] == mark || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte(mark)
	return b.String()
}

// The times that the server's 64 bits of nanoseconds hold.
var (
	earliest = time.Unix(0, -1<<63+1_000_000)
	latest   = time.Unix(0, 1<<63-1_000_000)
)

// Time writes t as nanoseconds since 1970, which is what a bare number is in a query. A time that the server can't say
// becomes the nearest that it can.
func Time(t time.Time) string {
	if t.Before(earliest) {
		t = earliest
	} else if t.After(latest) {
		t = latest
	}
	return strconv.FormatInt(t.UnixNano(), 10)
}
