package standin

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// word is one piece of an InfluxQL text: where it is, and what it says without its quotes.
type word struct {
	from, to int
	text     string
	quote    byte // 0, ' or "
}

func (w word) is(keyword string) bool { return w.quote == 0 && strings.EqualFold(w.text, keyword) }

// words cuts a text into words, strings and signs. Unclosed quotes end with the text.
func words(q string) []word {
	var all []word
	for i := 0; i < len(q); {
		c := q[i]
		from := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '\'' || c == '"':
			var text strings.Builder
			for i++; i < len(q) && q[i] != c; i++ {
				if q[i] == '\\' && i+1 < len(q) {
					i++
				}
				text.WriteByte(q[i])
			}
			i = min(i+1, len(q))
			all = append(all, word{from, i, text.String(), c})
			continue
		case wordy(c):
			for i < len(q) && (wordy(q[i]) || q[i] >= 0x80) {
				i++
			}
		case strings.IndexByte("<>=!~", c) >= 0:
			for i < len(q) && strings.IndexByte("<>=!~", q[i]) >= 0 {
				i++
			}
		default:
			i++
		}
		all = append(all, word{from, i, q[from:i], 0})
	}
	return all
}

func wordy(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// statements splits words at semicolons.
func statements(all []word) [][]word {
	var out [][]word
	for len(all) > 0 {
		i := slices.IndexFunc(all, func(w word) bool { return w.is(";") })
		if i < 0 {
			i = len(all)
		}
		if i > 0 {
			out = append(out, all[:i])
		}
		all = all[min(i+1, len(all)):]
	}
	return out
}

// begins says whether a statement begins with these keywords.
func begins(st []word, keywords string) bool {
	for i, k := range strings.Fields(keywords) {
		if i >= len(st) || !st[i].is(k) {
			return false
		}
	}
	return true
}

// databases finds the names of databases in a text: after ON, and before two dots (db.rp.measurement, db..measurement).
func databases(all []word) []word {
	var out []word
	dot := func(i int) bool { return i < len(all) && all[i].is(".") }
	for i, w := range all {
		switch {
		case w.quote == '\'' || i > 0 && dot(i-1):
		case i > 0 && all[i-1].is("ON"), dot(i+1) && (dot(i+2) || dot(i+3)):
			out = append(out, w)
		}
	}
	return out
}

// rename puts the backend's names in the place of databases' names.
func (s *Server) rename(q string, all []word) string {
	var out strings.Builder
	at := 0
	for _, w := range databases(all) {
		out.WriteString(q[at:w.from])
		out.WriteString(strconv.Quote(s.behind(w.text)))
		at = w.to
	}
	return out.String() + q[at:]
}

// span is the range of time that a SELECT asks for by conditions on time joined with AND. ok is false without a lower
// bound, which means all there is.
func span(st []word, now time.Time) (d time.Duration, ok bool) {
	var from time.Time
	to := now
	for i := 0; i+2 < len(st); i++ {
		if st[i].quote == '\'' || !strings.EqualFold(st[i].text, "time") {
			continue
		}
		t, found := instant(st[i+2:], now)
		if !found {
			continue
		}
		switch st[i+1].text {
		case ">", ">=":
			if t.After(from) {
				from = t
			}
		case "<", "<=":
			if t.Before(to) {
				to = t
			}
		case "=":
			return 0, true
		}
	}
	return to.Sub(from), !from.IsZero()
}

// instant reads a time: a string, a number with a unit (none: nanoseconds), or now() with one duration added.
func instant(st []word, now time.Time) (time.Time, bool) {
	if st[0].quote == '\'' {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02"} {
			if t, err := time.Parse(layout, st[0].text); err == nil {
				return t, true
			}
		}
		return time.Time{}, false
	}
	if st[0].is("now") {
		if len(st) > 4 && (st[3].is("-") || st[3].is("+")) {
			d, ok := length(st[4].text)
			if st[3].is("-") {
				d = -d
			}
			return now.Add(d), ok
		}
		return now, true
	}
	negative := st[0].is("-") && len(st) > 1
	if negative {
		st = st[1:]
	}
	d, ok := length(st[0].text)
	if negative {
		d = -d
	}
	return time.Unix(0, int64(d)), ok
}

// length reads a number with one of InfluxQL's units.
func length(text string) (time.Duration, bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := map[string]time.Duration{
		"": 1, "ns": 1, "u": time.Microsecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
	}[text[len(digits):]]
	return time.Duration(n) * unit, ok && err == nil
}
