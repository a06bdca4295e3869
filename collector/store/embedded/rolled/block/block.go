// Package block writes windows of one series as a few bytes and reads them back, to the last bit. It is pure.
//
// A block is a byte for the form, a body, and the CRC-32C of both. The body is the number of windows, their starts,
// and a section for each field that any of them has: its number (names are kept elsewhere), its length, and its columns
// as bits: which windows have it, of what kind it is, then counts, smallest, largest and sums, and sketches. So fields
// that nobody asks for are skipped.
//
// What makes it small: columns that don't change take two bytes. What was measured in nanoseconds is written as a whole
// number of them, and sums of such numbers as that and the few last bits that adding up got wrong. The largest and the
// sum are written relative to the smallest. Noise takes the bits that noise must take (Golomb-Rice codes).
package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"communewatch/collector/rollup"
)

// form is the present form of a block, its first byte.
const form = 1

const (
	// MaxWindows bounds the windows of a block.
	MaxWindows = 1024
	// maxFields bounds its fields, and maxCells windows by fields: what a hostile block can make a reader allocate.
	maxFields = 1024
	maxCells  = 1 << 18
	// maxBuckets bounds the buckets of one window's sketch; rollup has fewer.
	maxBuckets = 8192
)

// Errors of Decode.
var (
	ErrDamaged = errors.New("damaged")
	ErrForm    = errors.New("written by a newer communewatch")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kinds of what is kept of a field.
const (
	plain = iota
	total
	sketched
)

// column collects what windows keep of one field.
type column struct {
	key              string
	kinds            []int64 // of the windows that have it
	has              []int64 // by window, 0 or 1
	totals           []float64
	counts           []int64
	mins, maxs, sums []float64
	sketches         []*rollup.Sketch
}

// Append writes windows, of which only Start and Fields are looked at, by rising start. number gives each field's key
// a number.
func Append(dst []byte, rows []rollup.Row, number func(key string) uint64) ([]byte, error) {
	if len(rows) == 0 || len(rows) > MaxWindows {
		return nil, fmt.Errorf("%d windows in a block, not 1 to %d", len(rows), MaxWindows)
	}
	columns := map[string]*column{}
	starts := make([]int64, len(rows))
	for i := range rows {
		starts[i] = rows[i].Start
		for j := range rows[i].Fields {
			f := &rows[i].Fields[j]
			c := columns[f.Key]
			if c == nil {
				c = &column{key: f.Key, has: make([]int64, len(rows))}
				columns[f.Key] = c
			}
			c.add(i, &f.Value)
		}
	}
	if len(columns) > maxFields || len(columns)*len(rows) > maxCells {
		return nil, fmt.Errorf("%d fields in %d windows are more than a block holds", len(columns), len(rows))
	}
	begin := len(dst)
	dst = append(dst, form)
	dst = binary.AppendUvarint(dst, uint64(len(rows)))
	var w writer
	w.integers(steps(starts))
	dst = section(dst, &w)
	dst = binary.AppendUvarint(dst, uint64(len(columns)))
	ordered := make([]*column, 0, len(columns))
	for _, c := range columns {
		ordered = append(ordered, c)
	}
	slices.SortFunc(ordered, func(a, b *column) int { return strings.Compare(a.key, b.key) })
	for _, c := range ordered {
		dst = binary.AppendUvarint(dst, number(c.key))
		c.write(&w)
		dst = section(dst, &w)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli)), nil
}

// steps turns starts into the first one and the distances, in place: windows of a length make a column of one number.
func steps(starts []int64) []int64 {
	for i := len(starts) - 1; i > 0; i-- {
		starts[i] -= starts[i-1]
	}
	return starts
}

// section appends what was written, with its length, and empties the writer.
func section(dst []byte, w *writer) []byte {
	b := w.end()
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	dst = append(dst, b...)
	w.b = b[:0]
	return dst
}

func (c *column) add(window int, a *rollup.Aggregate) {
	c.has[window] = 1
	if a.Total {
		c.kinds = append(c.kinds, total)
		c.totals = append(c.totals, a.Sum)
		return
	}
	kind := int64(plain)
	if a.Sketch != nil {
		kind = sketched
		c.sketches = append(c.sketches, a.Sketch)
	}
	c.kinds = append(c.kinds, kind)
	c.counts = append(c.counts, a.Count)
	c.mins, c.maxs, c.sums = append(c.mins, a.Min), append(c.maxs, a.Max), append(c.sums, a.Sum)
}

func (c *column) write(w *writer) {
	w.integers(c.has)
	w.integers(c.kinds)
	scratch := make([]int64, 2*max(len(c.totals), len(c.counts)))
	if len(c.totals) > 0 {
		p := power(c.totals)
		w.bits(uint64(p), 4)
		w.floats(c.totals, p, scratch, func(i int, n int64) int64 { return n })
	}
	if len(c.counts) > 0 {
		w.integers(c.counts)
		p := power(c.mins, c.maxs, c.sums)
		w.bits(uint64(p), 4)
		mins := make([]int64, len(c.counts))
		w.floats(c.mins, p, scratch, func(i int, n int64) int64 { mins[i] = n; return n })
		w.floats(c.maxs, p, scratch, func(i int, n int64) int64 { return n - mins[i] })
		w.floats(c.sums, p, scratch, func(i int, n int64) int64 { return n - expected(p, c.counts[i], mins[i]) })
	}
	if len(c.sketches) > 0 {
		writeSketches(w, c.sketches)
	}
}

// expected is what a sum is written relative to: so many times the smallest. Places of floats can't be added up.
func expected(p int, count, low int64) int64 {
	if p == noPower {
		return low
	}
	return count * low
}

// floats writes a column, each number less what is known of it.
func (w *writer) floats(v []float64, p int, scratch []int64, less func(i int, n int64) int64) {
	ns, offs := scratch[:len(v)], scratch[len(v):2*len(v)]
	for i, f := range v {
		if p == noPower {
			ns[i] = less(i, place(f))
			continue
		}
		n, off, _ := decimal(f, powers[p])
		ns[i], offs[i] = less(i, n), off
	}
	w.integers(ns)
	if p != noPower {
		w.integers(offs)
	}
}

// floats reads a column; plus is the inverse of less.
func (r *reader) floats(v []float64, p int, scratch []int64, plus func(i int, n int64) int64) {
	ns, offs := scratch[:len(v)], scratch[len(v):2*len(v)]
	r.integers(ns)
	if p == noPower {
		for i, n := range ns {
			v[i] = atPlace(plus(i, n))
		}
		return
	}
	r.integers(offs)
	for i, n := range ns {
		f := float64(plus(i, n)) / powers[p]
		if off := offs[i]; off != 0 {
			f = atPlace(place(f) + off)
		}
		v[i] = f
	}
}

func writeSketches(w *writer, sketches []*rollup.Sketch) {
	column := make([]int64, len(sketches))
	fill := func(of func(s *rollup.Sketch) int64) {
		for i, s := range sketches {
			column[i] = of(s)
		}
		w.integers(column)
	}
	fill((*rollup.Sketch).Zeros)
	fill(func(s *rollup.Sketch) int64 { return int64(s.Len()) })
	fill(func(s *rollup.Sketch) int64 {
		if s.Len() == 0 {
			return 0
		}
		return int64(s.Bucket(0).Key)
	})
	gaps, counts := newRice(0), newRice(0)
	for _, s := range sketches {
		last := int32(0)
		for i := range s.Len() {
			b := s.Bucket(i)
			if i > 0 {
				w.rice(&gaps, uint64(int64(b.Key)-int64(last)-1))
			}
			w.rice(&counts, uint64(b.Count-1))
			last = b.Key
		}
	}
}

func readSketches(r *reader, n int) ([]*rollup.Sketch, error) {
	columns := make([]int64, 3*n)
	zeros, lens, keys := columns[:n], columns[n:2*n], columns[2*n:]
	r.integers(zeros)
	r.integers(lens)
	r.integers(keys)
	all := int64(0)
	for _, l := range lens {
		if l < 0 || l > maxBuckets {
			return nil, fmt.Errorf("a sketch of %d buckets", l)
		}
		all += l
	}
	// Each takes a bit at least.
	if r.over() || all > int64(len(r.b))*8-int64(r.at) {
		return nil, errors.New("sketches end early")
	}
	buckets := make([]rollup.Bucket, all)
	gaps, counts := newRice(0), newRice(0)
	sketches := make([]*rollup.Sketch, n)
	for i := range sketches {
		mine := buckets[:lens[i]:lens[i]]
		buckets = buckets[lens[i]:]
		key := keys[i]
		for j := range mine {
			if j > 0 {
				key += int64(min(r.rice(&gaps), math.MaxInt32)) + 1
			}
			if key > math.MaxInt32 || key < math.MinInt32 {
				return nil, fmt.Errorf("a sketch's bucket %d", key)
			}
			mine[j] = rollup.Bucket{Key: int32(key), Count: int64(min(r.rice(&counts), math.MaxInt64-1)) + 1}
		}
		var err error
		if sketches[i], err = rollup.MakeSketch(zeros[i], mine); err != nil {
			return nil, err
		}
	}
	return sketches, nil
}

// Decode reads a block. name gives the key of a field by its number, and whether it is wanted; others are left out, and
// windows may be without any field then. Measurement and Tags of the rows are empty.
func Decode(b []byte, name func(number uint64) (key string, wanted bool, err error)) ([]rollup.Row, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrDamaged)
	}
	if b[0] != form {
		return nil, fmt.Errorf("%w: form %d, this program knows form %d", ErrForm, b[0], form)
	}
	if len(b) < 6 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	d := decoder{b: b[1 : len(b)-4]}
	rows := d.rows(name)
	if d.err != nil {
		return nil, d.err
	}
	return rows, nil
}

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
	}
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("ends in a number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) section() reader {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.fail("a section of %d bytes", n)
		return reader{}
	}
	r := reader{b: d.b[:n]}
	d.b = d.b[n:]
	return r
}

// cells is what a section says of one field.
type cells struct {
	key    string
	r      reader
	has    []int64
	number int // how many windows have it
}

func (d *decoder) rows(name func(uint64) (string, bool, error)) []rollup.Row {
	windows := d.number()
	if windows == 0 || windows > MaxWindows {
		d.fail("%d windows", windows)
		return nil
	}
	starts := make([]int64, windows)
	r := d.section()
	r.integers(starts)
	fields := d.number()
	if r.over() || fields > maxFields || fields*windows > maxCells {
		d.fail("%d fields of %d windows", fields, windows)
		return nil
	}
	wanted := make([]cells, 0, fields)
	perRow := make([]int, windows)
	all := 0
	for range fields {
		number := d.number()
		r := d.section()
		if d.err != nil {
			return nil
		}
		key, want, err := name(number)
		if err != nil {
			d.err = err
			return nil
		}
		if !want {
			continue
		}
		c := cells{key: key, r: r, has: make([]int64, windows)}
		c.r.integers(c.has)
		for i, h := range c.has {
			if h != 0 && h != 1 {
				d.fail("field %s is there %d times in a window", key, h)
				return nil
			}
			c.number += int(h)
			perRow[i] += int(h)
		}
		all += c.number
		wanted = append(wanted, c)
	}
	rows := make([]rollup.Row, windows)
	slab := make([]rollup.Field, all)
	start := int64(0)
	for i := range rows {
		if i > 0 && starts[i] <= 0 {
			d.fail("windows don't rise")
			return nil
		}
		start += starts[i]
		rows[i].Start = start
		rows[i].Fields = slab[:0:perRow[i]]
		slab = slab[perRow[i]:]
	}
	ints, floats := make([]int64, 6*windows), make([]float64, 4*windows)
	for i := range wanted {
		if err := wanted[i].read(rows, ints, floats); err != nil {
			d.fail("field %s: %v", wanted[i].key, err)
			return nil
		}
	}
	return rows
}

// read adds the field to the rows that have it. ints and floats are scratch.
func (c *cells) read(rows []rollup.Row, ints []int64, floats []float64) error {
	r := &c.r
	if c.number == 0 {
		return nil
	}
	n := len(rows)
	kinds := ints[:c.number]
	r.integers(kinds)
	var totals, numbers, sketches int
	for _, k := range kinds {
		switch k {
		case total:
			totals++
		case sketched:
			sketches++
			fallthrough
		case plain:
			numbers++
		default:
			return fmt.Errorf("kind %d", k)
		}
	}
	scratch := ints[n : 3*n]
	if totals > 0 {
		p := int(r.bits(4))
		if p >= len(powers) && p != noPower {
			return fmt.Errorf("power %d", p)
		}
		r.floats(floats[3*n:3*n+totals], p, scratch, func(_ int, n int64) int64 { return n })
	}
	counts, lows := ints[3*n:3*n+numbers], ints[4*n:4*n+numbers]
	mins, maxs, sums := floats[:numbers], floats[n:n+numbers], floats[2*n:2*n+numbers]
	if numbers > 0 {
		r.integers(counts)
		p := int(r.bits(4))
		if p >= len(powers) && p != noPower {
			return fmt.Errorf("power %d", p)
		}
		r.floats(mins, p, scratch, func(i int, n int64) int64 { lows[i] = n; return n })
		r.floats(maxs, p, scratch, func(i int, n int64) int64 { return n + lows[i] })
		r.floats(sums, p, scratch, func(i int, n int64) int64 { return n + expected(p, counts[i], lows[i]) })
	}
	var sketch []*rollup.Sketch
	if sketches > 0 {
		var err error
		if sketch, err = readSketches(r, sketches); err != nil {
			return err
		}
	}
	if r.over() {
		return errors.New("ends early")
	}
	at, nTotal, nNumber := 0, 0, 0
	for i, has := range c.has {
		if has == 0 {
			continue
		}
		var a rollup.Aggregate
		if kinds[at] == total {
			a = rollup.Aggregate{Total: true, Sum: floats[3*n+nTotal]}
			nTotal++
		} else {
			a = rollup.Aggregate{Count: counts[nNumber], Sum: sums[nNumber], Min: mins[nNumber], Max: maxs[nNumber]}
			if kinds[at] == sketched {
				a.Sketch, sketch = sketch[0], sketch[1:]
			}
			nNumber++
		}
		at++
		if bad := a.Sum + a.Min + a.Max; a.Count < 0 || bad-bad != 0 && !finite(a) {
			return errors.New("holds what no window can hold")
		}
		rows[i].Fields = append(rows[i].Fields, rollup.Field{Key: c.key, Value: a})
	}
	return nil
}

func finite(a rollup.Aggregate) bool {
	return a.Sum-a.Sum == 0 && a.Min-a.Min == 0 && a.Max-a.Max == 0
}
