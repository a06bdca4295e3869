package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"communewatch/probes"
)

// Limits bounds what a Parser takes. A line past a limit is bad; the lines around it are not. Lengths are in bytes
// as written, escapes included. A limit of zero or less takes its value from DefaultLimits.
type Limits struct {
	Lines         int // lines of one body that hold points, good or bad
	LineBytes     int
	Tags          int // per line
	TagKeyBytes   int // also of a measurement's name
	TagValueBytes int
	Fields        int // per line
	FieldKeyBytes int
	TextBytes     int // of a string field
	BadLines      int // bad lines described; more are only counted (see Parser.Rejected)
}

// DefaultLimits returns bounds that no honest client meets: Telegraf sends batches of 1,000 lines, influxdb-client-go
// of 5,000, our agents of 256 KiB.
func DefaultLimits() Limits {
	return Limits{
		Lines:         1_000_000,
		LineBytes:     64 << 10,
		Tags:          32,
		TagKeyBytes:   256,
		TagValueBytes: 512,
		Fields:        256,
		FieldKeyBytes: 256,
		TextBytes:     64 << 10,
		BadLines:      100,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ have, want *int }{
		{&l.Lines, &d.Lines}, {&l.LineBytes, &d.LineBytes}, {&l.Tags, &d.Tags}, {&l.TagKeyBytes, &d.TagKeyBytes},
		{&l.TagValueBytes, &d.TagValueBytes}, {&l.Fields, &d.Fields}, {&l.FieldKeyBytes, &d.FieldKeyBytes},
		{&l.TextBytes, &d.TextBytes}, {&l.BadLines, &d.BadLines},
	} {
		if *f.have <= 0 {
			*f.have = *f.want
		}
	}
	return l
}

// BadLine says what is wrong with a line.
type BadLine struct {
	Line   int    // 1-based line number in the body
	Text   string // its beginning, fit to be shown
	Reason string
}

// Parser reads bodies of line protocol. It keeps its buffers from one body to the next, so a warm parser allocates
// nothing for good lines. It is not safe for concurrent use.
type Parser struct {
	limits Limits

	body      []byte
	at        int // the next byte to read
	line      int // the line it is on
	precision time.Duration
	noTime    int64 // for lines without a timestamp
	lines     int   // lines with points so far
	rejected  int

	rows   []Row
	fields []Field // arena of the rows' fields
	text   []byte  // arena of what had to be unescaped
	bad    []BadLine
}

// NewParser returns a Parser with limits l.
func NewParser(l Limits) *Parser { return &Parser{limits: l.withDefaults()} }

// Parse reads the whole body. A line without a timestamp gets defaultTime (Unix nanoseconds); the others' timestamps
// are in units of precision, zero meaning nanoseconds. Rows and bad lines are in order and valid until the parser is
// used again; rows point into body.
//
// After a bad line the parser goes on with the next one. What ends a bad line is still read by the grammar: a
// newline within a quoted string does not end it, so nothing hidden in a text is ever taken for a line.
func (p *Parser) Parse(body []byte, precision time.Duration, defaultTime int64) (rows []Row, bad []BadLine) {
	p.Reset(body, precision, defaultTime)
	rows, bad, _ = p.Next(0)
	return rows, bad
}

// Reset makes the parser read body from its beginning by calls of Next.
func (p *Parser) Reset(body []byte, precision time.Duration, defaultTime int64) {
	if precision <= 0 {
		precision = time.Nanosecond
	}
	p.body, p.at, p.line, p.lines, p.rejected = body, 0, 1, 0, 0
	p.precision, p.noTime = precision, defaultTime
}

// Next reads on until it has max rows or 16 times as many fields, or to the end of the body if max is 0 or less; more
// says whether it stopped short of the end. Rows and bad lines are those since the call before and are valid until
// the next call. Reading a large body in portions keeps the memory of its rows, many times its own size, within
// bounds.
func (p *Parser) Next(max int) (rows []Row, bad []BadLine, more bool) {
	clear(p.rows) // so that a pooled parser holds on to no body
	p.rows, p.fields, p.text, p.bad = p.rows[:0], p.fields[:0], p.text[:0], nil
	for p.at < len(p.body) && (max <= 0 || len(p.rows) < max && len(p.fields) < 16*max) {
		p.next()
	}
	return p.rows, p.bad, p.at < len(p.body)
}

// Rejected returns the number of bad lines since Reset, also of those beyond Limits.BadLines that were not described.
func (p *Parser) Rejected() int { return p.rejected }

// Lines returns the number of lines with points since Reset, good and bad.
func (p *Parser) Lines() int { return p.lines }

// next reads one line, whatever it holds.
func (p *Parser) next() {
	b, i := p.body, p.at
	for i < len(b) && b[i] == ' ' {
		i++
	}
	switch {
	case i == len(b):
		p.at = i
		return
	case b[i] == '\n':
		p.at, p.line = i+1, p.line+1
		return
	case b[i] == '\r' && (i+1 == len(b) || b[i+1] == '\n'):
		p.at = i + 1
		return
	case b[i] == '#':
		p.at = i
		p.skipLine()
		return
	}
	start, line, fields := i, p.line, len(p.fields)
	p.lines++
	if p.lines > p.limits.Lines {
		p.reject(start, line, fmt.Sprintf("the body has more than %d lines; send it in parts", p.limits.Lines))
		p.at = len(b)
		return
	}
	p.at = i
	keyEnd, reason := p.key()
	if reason != "" {
		p.skipLine()
		p.reject(start, line, reason)
		return
	}
	reason, broken := p.values()
	t := p.noTime
	if !broken && p.at < len(b) && b[p.at] != '\n' {
		var r string
		if t, r, broken = p.timestamp(); reason == "" {
			reason = r
		}
	}
	if reason == "" && p.at-start > p.limits.LineBytes {
		reason = fmt.Sprintf("the line is longer than %d bytes", p.limits.LineBytes)
	}
	if broken {
		p.skipLine()
	} else if p.at < len(b) { // at its newline
		p.at, p.line = p.at+1, p.line+1
	}
	if reason != "" {
		p.fields = p.fields[:fields]
		p.reject(start, line, reason)
		return
	}
	p.rows = append(p.rows, Row{
		Key:    b[start:keyEnd:keyEnd],
		Fields: p.fields[fields:len(p.fields):len(p.fields)],
		Time:   t,
		Line:   line,
	})
}

// skipLine moves behind the next newline.
func (p *Parser) skipLine() {
	n := bytes.IndexByte(p.body[p.at:], '\n')
	if n < 0 {
		p.at = len(p.body)
		return
	}
	p.at, p.line = p.at+n+1, p.line+1
}

func (p *Parser) reject(start, line int, reason string) {
	p.rejected++
	if len(p.bad) < p.limits.BadLines && p.rejected <= p.limits.BadLines {
		p.bad = append(p.bad, BadLine{Line: line, Text: Excerpt(p.body[start:]), Reason: reason})
	}
}

// Classes of bytes that end or interrupt a token.
const (
	endsMeasurement = 1 << iota // , space backslash, control characters
	endsKey                     // the same and =
	endsValue                   // what ends a number or boolean: , space CR LF
	endsText                    // " \ LF
)

var class = func() (t [256]byte) {
	for c := range 256 {
		if c < ' ' || c == 0x7f {
			t[c] = endsMeasurement | endsKey
		}
	}
	t[','] = endsMeasurement | endsKey | endsValue
	t[' '] = endsMeasurement | endsKey | endsValue
	t['\\'] = endsMeasurement | endsKey | endsText
	t['='] = endsKey
	t['\r'] |= endsValue
	t['\n'] |= endsValue | endsText
	t['"'] = endsText
	return t
}()

// token scans from i to the end of a name or tag value. high holds a bit at 0x80 if a byte is not ASCII.
func token(b []byte, i int, ends byte) (end int, escaped bool, high byte) {
	for i < len(b) {
		c := b[i]
		if class[c]&ends == 0 {
			high |= c
			i++
			continue
		}
		if c != '\\' {
			break
		}
		i++
		if i < len(b) && isEscape(b[i], ends) {
			escaped = true
			i++
		}
	}
	return i, escaped, high
}

func isEscape(c, ends byte) bool {
	return c == ',' || c == ' ' || c == '=' && ends == endsKey
}

// key reads measurement and tags, up to the space that ends them, and moves onto the first field.
func (p *Parser) key() (end int, reason string) {
	b := p.body
	start := p.at
	i, _, high := token(b, start, endsMeasurement)
	switch {
	case i == start:
		p.at = i
		return 0, "no measurement: " + unexpected(b, i)
	case i-start > p.limits.TagKeyBytes:
		p.at = i
		return 0, fmt.Sprintf("measurement longer than %d bytes", p.limits.TagKeyBytes)
	}
	tags, sorted := 0, true
	var previous []byte
	for i < len(b) && b[i] == ',' {
		key := i + 1
		j, _, h := token(b, key, endsKey)
		high |= h
		if j == key || j >= len(b) || b[j] != '=' {
			p.at = j
			if j > key && j < len(b) && (b[j] == ' ' || b[j] == ',' || b[j] == '\n') {
				return 0, fmt.Sprintf("tag %s has no value", quote(b[key:j]))
			}
			return 0, "tag expected after a comma: " + unexpected(b, j)
		}
		value := j + 1
		i, _, h = token(b, value, endsKey)
		high |= h
		tags++
		switch name := b[key:j]; {
		case i == value:
			p.at = i
			return 0, fmt.Sprintf("tag %s has no value", quote(name))
		case j-key > p.limits.TagKeyBytes:
			p.at = i
			return 0, fmt.Sprintf("tag name %s longer than %d bytes", quote(name), p.limits.TagKeyBytes)
		case i-value > p.limits.TagValueBytes:
			p.at = i
			return 0, fmt.Sprintf("value of tag %s longer than %d bytes", quote(name), p.limits.TagValueBytes)
		case tags > p.limits.Tags:
			p.at = i
			return 0, fmt.Sprintf("more than %d tags", p.limits.Tags)
		default:
			sorted = sorted && bytes.Compare(previous, name) < 0
			previous = name
		}
	}
	p.at = i
	if i >= len(b) || b[i] != ' ' {
		if i >= len(b) || b[i] == '\n' || b[i] == '\r' {
			return 0, "no fields"
		}
		return 0, "in measurement and tags: " + unexpected(b, i)
	}
	if high >= utf8.RuneSelf && !utf8.Valid(b[start:i]) {
		return 0, "measurement and tags are not valid UTF-8"
	}
	if !sorted { // strictly rising names can't repeat; only the others are looked at closely
		if name, twice := repeatedTag(b[start:i]); twice {
			return 0, fmt.Sprintf("tag %s twice", quote(name))
		}
	}
	end = i
	for i < len(b) && b[i] == ' ' {
		i++
	}
	p.at = i
	return end, ""
}

func repeatedTag(key []byte) (name []byte, twice bool) {
	var names [][]byte
	i, _, _ := token(key, 0, endsMeasurement)
	for i < len(key) {
		j, _, _ := token(key, i+1, endsKey)
		name := key[i+1 : j] // a name has one spelling only, so raw bytes may be compared
		for _, n := range names {
			if bytes.Equal(n, name) {
				return name, true
			}
		}
		names = append(names, name)
		i, _, _ = token(key, j+1, endsKey)
	}
	return nil, false
}

// values reads the fields and stops at the line's end or its timestamp. A value that can't be taken gives a reason,
// but reading goes on to know where the line ends; broken means that its structure is lost.
func (p *Parser) values() (reason string, broken bool) {
	b, i := p.body, p.at
	first := len(p.fields)
	note := func(format string, args ...any) {
		if reason == "" {
			reason = fmt.Sprintf(format, args...)
		}
	}
	for {
		start := i
		var escaped bool
		var high byte
		i, escaped, high = token(b, start, endsKey)
		raw := b[start:i:i]
		if i == start || i >= len(b) || b[i] != '=' {
			p.at = i
			switch {
			case i > start && (i == len(b) || b[i] == ' ' || b[i] == ',' || b[i] == '\n' || b[i] == '\r'):
				note("field %s has no value", quote(raw))
			case start == p.at && (i == len(b) || b[i] == '\n' || b[i] == '\r') && len(p.fields) == first:
				note("no fields")
			default:
				note("field expected: %s", unexpected(b, i))
			}
			return reason, true
		}
		i++
		switch {
		case len(raw) > p.limits.FieldKeyBytes:
			note("field name %s longer than %d bytes", quote(raw), p.limits.FieldKeyBytes)
		case high >= utf8.RuneSelf && !utf8.Valid(raw):
			note("field name %s is not valid UTF-8", quote(raw))
		case len(p.fields)-first >= p.limits.Fields:
			note("more than %d fields", p.limits.Fields)
		}
		key := raw
		if escaped {
			key = p.unescape(raw, endsKey)
		}
		if i < len(b) && b[i] == '"' {
			text, end, why := p.quoted(i + 1)
			if end < 0 {
				p.at = len(b)
				note("field %s: the quoted string is not closed before the end of the body", quote(raw))
				return reason, true
			}
			if why != "" {
				note("field %s: %s", quote(raw), why)
			}
			i = end
			if reason == "" {
				p.fields = append(p.fields, Field{Key: key, Type: probes.TypeString, Str: text})
			}
		} else if num, kind, end, ok := number(b, i); ok {
			i = end
			if reason == "" {
				p.fields = append(p.fields, Field{Key: key, Type: kind, Num: num})
			}
		} else {
			end = i
			for end < len(b) && class[b[end]]&endsValue == 0 {
				end++
			}
			num, kind, why := value(b[i:end])
			if why != "" {
				note("field %s: %s", quote(raw), why)
			}
			i = end
			if reason == "" {
				p.fields = append(p.fields, Field{Key: key, Type: kind, Num: num})
			}
		}
		if i < len(b) && b[i] == ',' {
			i++
			continue
		}
		for i < len(b) && b[i] == ' ' {
			i++
		}
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' || i+1 == len(b) && b[i] == '\r' {
			i++
		}
		p.at = i
		if i < len(b) && b[i] != '\n' && b[i-1] != ' ' {
			note("after field %s: %s", quote(raw), unexpected(b, i))
			return reason, true
		}
		return reason, false
	}
}

// quoted reads a string from behind its opening quote and returns the index behind the closing one, or -1.
func (p *Parser) quoted(start int) (text []byte, end int, reason string) {
	b, i := p.body, start
	escaped := false
	var high byte
	for i < len(b) {
		c := b[i]
		if class[c]&endsText == 0 {
			high |= c
			i++
			continue
		}
		if c == '"' {
			break
		}
		i++
		if c == '\n' {
			p.line++
		} else if i < len(b) && textEscapes[b[i]] != 0 {
			escaped = true
			i++
		}
	}
	if i >= len(b) {
		return nil, -1, ""
	}
	text = b[start:i:i]
	switch {
	case len(text) > p.limits.TextBytes:
		reason = fmt.Sprintf("string longer than %d bytes", p.limits.TextBytes)
	case high >= utf8.RuneSelf && !utf8.Valid(text):
		reason = "string is not valid UTF-8"
	case escaped:
		text = p.unescape(text, endsText)
	}
	return text, i + 1, reason
}

var textEscapes = [256]byte{'"': '"', '\\': '\\', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape returns raw without its escaping backslashes, in the parser's own memory.
func (p *Parser) unescape(raw []byte, ends byte) []byte {
	start := len(p.text)
	p.text = appendUnescaped(p.text, raw, ends)
	return p.text[start:len(p.text):len(p.text)]
}

func appendUnescaped(dst, raw []byte, ends byte) []byte {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' && i+1 < len(raw) {
			next := raw[i+1]
			if ends == endsText {
				next = textEscapes[next]
			} else if !isEscape(next, ends) {
				next = 0
			}
			if next != 0 {
				c = next
				i++
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// timestamp reads the number at the end of a line and stops at the newline.
func (p *Parser) timestamp() (t int64, reason string, broken bool) {
	b, start := p.body, p.at
	i := start
	for i < len(b) && class[b[i]]&endsValue == 0 {
		i++
	}
	word := b[start:i]
	for i < len(b) && b[i] == ' ' {
		i++
	}
	if i < len(b) && b[i] == '\r' && (i+1 == len(b) || b[i+1] == '\n') {
		i++
	}
	p.at = i
	if i < len(b) && b[i] != '\n' {
		return 0, "after the timestamp: " + unexpected(b, i), true
	}
	t, ok := integer(word)
	if !ok {
		return 0, fmt.Sprintf("%s is no timestamp; it must be a whole number", quote(word)), false
	}
	t, ok = nanoseconds(t, p.precision)
	if !ok {
		return 0, fmt.Sprintf("timestamp %s is out of range for precision %v", word, p.precision), false
	}
	return t, "", false
}

// Excerpt returns the beginning of the first line of b, made fit to be shown: at most 80 bytes, without control
// characters and invalid UTF-8.
func Excerpt(b []byte) string {
	const most = 80
	if n := bytes.IndexByte(b[:min(len(b), most+1)], '\n'); n >= 0 {
		b = b[:n]
	}
	b = bytes.TrimRight(b[:min(len(b), most+1)], "\r")
	cut := ""
	if len(b) > most {
		b, cut = b[:most], "..."
		for n := 0; n < 3 && len(b) > 0; n++ { // leave no half rune behind
			if r, size := utf8.DecodeLastRune(b); r != utf8.RuneError || size != 1 {
				break
			}
			b = b[:len(b)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '.'
		}
		return r
	}, string(b)) + cut
}

func quote(b []byte) string { return strconv.Quote(Excerpt(b)) }

// unexpected describes the byte at i for a message.
func unexpected(b []byte, i int) string {
	switch {
	case i >= len(b):
		return "unexpected end"
	case b[i] == '\n' || b[i] == '\r':
		return "unexpected end of line"
	case b[i] < ' ' || b[i] == 0x7f:
		return fmt.Sprintf("control character %#02x", b[i])
	}
	r, _ := utf8.DecodeRune(b[i:])
	return fmt.Sprintf("unexpected %q", r)
}
