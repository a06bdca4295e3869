package influxql

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"communewatch/probes"
)

// Kind is what a cell holds.
type Kind uint8

// The kinds of cells. Booleans are numbers, 0 and 1.
const (
	Null Kind = iota
	Number
	Text
)

// Column is the cells of one column of a Chunk. Numbers and Texts are as long as Kinds; the places of other kinds mean
// nothing. Texts is nil while the column has none.
type Column struct {
	Kinds   []Kind
	Numbers []float64
	Texts   []string
}

// Chunk is a stretch of one series. It is valid until the function it is given to returns; names and texts are kept
// beyond that.
type Chunk struct {
	Name    string
	Tags    probes.Tags // by rising key; those with an empty value are left out
	Names   []string    // of the columns
	Columns []Column    // as many as Names
	Rows    int
}

// Column returns the column called name, or nil.
func (c *Chunk) Column(name string) *Column {
	if i := slices.Index(c.Names, name); i >= 0 {
		return &c.Columns[i]
	}
	return nil
}

// ServerError is what the database says is wrong with a query, or with itself.
type ServerError struct{ Message string }

func (e *ServerError) Error() string { return e.Message }

// ErrAnswer is wrapped by the errors of answers that are none of a database's.
var ErrAnswer = errors.New("not an answer of InfluxDB")

// Bounds of an answer. No honest one comes near.
const (
	maxText    = 1 << 20
	maxTags    = 256
	maxColumns = 8192
	maxDepth   = 32
	maxIdle    = 64 << 20 // bytes without a row

	// chunkCells is how many cells a Chunk has at most, whatever the server calls a chunk.
	chunkCells = 1 << 16

	// chunkBytes is how many bytes of text, before the row that reaches it, which maxIdle bounds.
	chunkBytes = 4 << 20

	// keptTexts bounds the texts that are told to be one: outcomes and states come again and again.
	keptTexts = 4096
)

// Decode reads an answer to its end and calls each for every stretch of a series that has rows. It stops at the first
// error of each and returns it. A *ServerError is the database's own word. io.ErrUnexpectedEOF says that the answer
// broke off.
func Decode(r io.Reader, each func(*Chunk) error) error {
	d := &decoder{in: r, buf: make([]byte, 32<<10), each: each, texts: map[string]string{}}
	for docs := 0; ; docs++ {
		d.space()
		if _, more := d.peek(); !more {
			switch {
			case d.err == nil || d.err != io.EOF:
				return d.err
			case docs == 0 || d.unfinished:
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		if d.document(); d.err != nil {
			if d.err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			return d.err
		}
	}
}

type decoder struct {
	in         io.Reader
	buf        []byte
	from, to   int // of buf, what is not read yet
	idle       int // bytes since the last row
	err        error
	each       func(*Chunk) error
	texts      map[string]string
	scratch    []byte
	chunk      Chunk
	held       int  // bytes of text in chunk
	unfinished bool // the last document said that more comes
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrAnswer}, args...)...)
	}
}

// peek returns the next byte without taking it; false at the end and after an error.
func (d *decoder) peek() (byte, bool) {
	if d.from < d.to {
		return d.buf[d.from], d.err == nil
	}
	return d.fill()
}

func (d *decoder) fill() (byte, bool) {
	for empty := 0; d.err == nil; empty++ {
		n, err := d.in.Read(d.buf)
		if n > 0 {
			d.from, d.to = 0, n
			if d.idle += n; d.idle > maxIdle {
				d.fail("%d MiB without a row", maxIdle>>20)
				return 0, false
			}
			return d.buf[0], true // an error comes again
		}
		if err == nil && empty > 100 {
			err = io.ErrNoProgress
		}
		d.err = err
	}
	return 0, false
}

func (d *decoder) space() {
	for c, ok := d.peek(); ok && (c == ' ' || c == '\n' || c == '\r' || c == '\t'); c, ok = d.peek() {
		d.from++
	}
}

// take takes the byte c, after spaces, and reports whether it was there.
func (d *decoder) take(c byte) bool {
	d.space()
	got, ok := d.peek()
	if !ok || got != c {
		return false
	}
	d.from++
	return true
}

func (d *decoder) expect(c byte) {
	if !d.take(c) && d.err == nil {
		d.fail("%q expected, not %q", c, d.buf[d.from])
	}
}

// object calls each with every key; it takes the value.
func (d *decoder) object(each func(key string)) {
	d.expect('{')
	if d.take('}') {
		return
	}
	for d.err == nil {
		key := d.text()
		d.expect(':')
		if d.err != nil {
			return
		}
		each(key)
		if !d.take(',') {
			d.expect('}')
			return
		}
	}
}

// array calls each for every element; it takes the element.
func (d *decoder) array(each func()) {
	if d.isNull() {
		return
	}
	d.expect('[')
	if d.take(']') {
		return
	}
	for d.err == nil {
		each()
		if !d.take(',') {
			d.expect(']')
			return
		}
	}
}

func (d *decoder) isNull() bool {
	d.space()
	if c, ok := d.peek(); !ok || c != 'n' {
		return false
	}
	d.word("null")
	return true
}

func (d *decoder) word(w string) {
	for i := range len(w) {
		c, ok := d.peek()
		if !ok || c != w[i] {
			d.fail("%q expected", w)
			return
		}
		d.from++
	}
}

func (d *decoder) document() {
	d.unfinished = false
	d.object(func(key string) {
		switch key {
		case "results":
			d.array(func() {
				partial := false
				d.object(func(key string) {
					switch key {
					case "series":
						d.array(d.series)
					case "partial":
						partial = d.boolean()
					case "error":
						d.serverError()
					default:
						d.skip(0)
					}
				})
				d.unfinished = d.unfinished || partial
			})
		case "error":
			d.serverError()
		default:
			d.skip(0)
		}
	})
}

func (d *decoder) serverError() {
	if d.isNull() {
		return
	}
	if message := d.text(); d.err == nil {
		d.err = &ServerError{message}
	}
}

func (d *decoder) boolean() bool {
	d.space()
	if c, _ := d.peek(); c == 't' {
		d.word("true")
		return true
	}
	d.word("false")
	return false
}

func (d *decoder) series() {
	c := &d.chunk
	*c = Chunk{Columns: c.Columns[:0]}
	d.object(func(key string) {
		switch key {
		case "name":
			c.Name = d.text()
		case "tags":
			d.tags()
		case "columns":
			d.array(func() {
				if c.Names = append(c.Names, d.text()); len(c.Names) > maxColumns {
					d.fail("more than %d columns", maxColumns)
				}
			})
			c.Columns = slices.Grow(c.Columns[:0], len(c.Names))[:len(c.Names)]
			d.clear()
		case "values":
			d.array(d.row)
		case "partial":
			d.boolean() // of the series; whether the answer goes on is said behind it
		default:
			d.skip(0)
		}
	})
	d.flush()
}

func (d *decoder) tags() {
	if d.isNull() {
		return
	}
	c := &d.chunk
	d.object(func(key string) {
		if value := d.text(); value != "" {
			c.Tags = append(c.Tags, probes.Tag{Key: key, Value: value})
		}
		if len(c.Tags) > maxTags {
			d.fail("more than %d tags", maxTags)
		}
	})
	slices.SortFunc(c.Tags, func(a, b probes.Tag) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(c.Tags); i++ {
		if c.Tags[i].Key == c.Tags[i-1].Key {
			d.fail("tag %.40q twice", c.Tags[i].Key)
		}
	}
}

func (d *decoder) clear() {
	for i := range d.chunk.Columns {
		col := &d.chunk.Columns[i]
		col.Kinds, col.Numbers, col.Texts = col.Kinds[:0], col.Numbers[:0], nil
	}
	d.chunk.Rows, d.held = 0, 0
}

func (d *decoder) flush() {
	if d.err == nil && d.chunk.Rows > 0 {
		d.err = d.each(&d.chunk)
		d.clear()
	}
}

func (d *decoder) row() {
	c := &d.chunk
	if len(c.Columns) == 0 {
		d.fail("values before their columns")
		return
	}
	i := 0
	d.array(func() {
		if i >= len(c.Columns) {
			d.fail("a row of more than %d values", len(c.Columns))
			return
		}
		d.cell(&c.Columns[i], c.Rows)
		i++
	})
	if i < len(c.Columns) {
		d.fail("a row of %d values, not %d", i, len(c.Columns))
	}
	c.Rows++
	d.idle = 0
	if c.Rows*len(c.Columns) >= chunkCells || d.held >= chunkBytes {
		d.flush()
	}
}

func (d *decoder) cell(col *Column, row int) {
	d.space()
	b, ok := d.peek()
	kind, number, text := Number, 0.0, ""
	switch {
	case !ok:
		return
	case b == 'n':
		d.word("null")
		kind = Null
	case b == 't':
		d.word("true")
		number = 1
	case b == 'f':
		d.word("false")
	case b == '"':
		kind, text = Text, d.text()
		d.held += len(text)
	default:
		number = d.number()
	}
	col.Kinds = append(col.Kinds, kind)
	col.Numbers = append(col.Numbers, number)
	if col.Texts == nil && kind == Text {
		col.Texts = make([]string, row, row+16)
	}
	if col.Texts != nil {
		col.Texts = append(col.Texts, text)
	}
}

func (d *decoder) number() float64 {
	b := d.scratch[:0]
	for c, ok := d.peek(); ok && (c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'); c, ok = d.peek() {
		if b = append(b, c); len(b) > 400 {
			d.fail("a number of more than 400 digits")
			return 0
		}
		d.from++
	}
	d.scratch = b
	if d.err != nil && d.err != io.EOF {
		return 0
	}
	if n, ok := whole(b); ok {
		return n
	}
	// The text is not kept: strconv says so of the good ones, and the error is ours.
	n, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 64)
	if err != nil || n-n != 0 {
		d.fail("a value expected, not %.40q", string(b))
		return 0
	}
	return n
}

// whole reads what times and counts are: few digits and nothing else.
func whole(b []byte) (float64, bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 15 || digits[0] == '0' && len(b) > 1 { // -0 is a float's
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(b) {
		n = -n
	}
	return float64(n), true
}

// text reads a string. Equal ones mostly are one.
func (d *decoder) text() string {
	d.expect('"')
	b := d.scratch[:0]
	for d.err == nil {
		if d.from == d.to {
			if _, ok := d.fill(); !ok {
				break
			}
		}
		piece := d.buf[d.from:d.to]
		i := 0
		for i < len(piece) && piece[i] != '"' && piece[i] != '\\' {
			i++
		}
		b = append(b, piece[:i]...)
		d.from += i
		if len(b) > maxText {
			d.fail("a text of more than %d bytes", maxText)
			break
		}
		if i == len(piece) {
			continue
		}
		d.from++
		if piece[i] == '"' {
			d.scratch = b
			return d.keep(b)
		}
		b = d.escaped(b)
	}
	d.scratch = b
	return ""
}

func (d *decoder) keep(b []byte) string {
	if s, ok := d.texts[string(b)]; ok {
		return s
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	if len(b) <= 64 {
		if len(d.texts) >= keptTexts {
			clear(d.texts)
		}
		d.texts[string(b)] = s
	}
	return s
}

// escaped reads what comes behind a backslash.
func (d *decoder) escaped(b []byte) []byte {
	c, ok := d.peek()
	if !ok {
		return b
	}
	d.from++
	switch c {
	case '"', '\\', '/':
		return append(b, c)
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		r := d.hex()
		if utf16.IsSurrogate(r) {
			low := utf8.RuneError
			if c, ok := d.peek(); ok && c == '\\' {
				d.from++
				d.word("u")
				low = d.hex()
			}
			r = utf16.DecodeRune(r, low)
		}
		return utf8.AppendRune(b, r)
	}
	d.fail("backslash before %q", c)
	return b
}

func (d *decoder) hex() rune {
	var r rune
	for range 4 {
		c, ok := d.peek()
		switch {
		case !ok:
			return 0
		case c >= '0' && c <= '9':
			r = r<<4 + rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 + rune(c|0x20-'a') + 10
		default:
			d.fail("%q is no hexadecimal digit", c)
			return 0
		}
		d.from++
	}
	return r
}

// skip reads past a value of any kind.
func (d *decoder) skip(depth int) {
	d.space()
	c, ok := d.peek()
	switch {
	case !ok:
	case depth > maxDepth:
		d.fail("more than %d levels", maxDepth)
	case c == '{':
		d.object(func(string) { d.skip(depth + 1) })
	case c == '[':
		d.array(func() { d.skip(depth + 1) })
	case c == '"':
		d.text()
	case c == 'n':
		d.word("null")
	case c == 't' || c == 'f':
		d.boolean()
	default:
		d.number()
	}
}
