package snmp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"communewatch/deploy/lab/gear/snmp/ber"
)

// Expected is what an observer should make of a device; "" where nothing is expected.
type Expected struct {
	Vendor, Model, Version, Class string
}

// Web is what a device's own web page says; "" where it says nothing.
type Web struct{ Title, Server string }

// Table is a decoded recording. It does not change, so devices share it.
type Table struct {
	Name   string
	Serial string // as the recording shows it; "" if it shows none
	MAC    [6]byte
	Expect Expected
	Web    Web
	SIP    string // how it names itself in SIP; "" if it speaks none

	vary   int    // how many of the serial's last characters differ between devices
	uptime uint64 // sysUpTime of the recording, in hundredths of a second; never 0

	keys   []ber.Key
	values []value // beside keys
}

// value is one variable of a recording.
type value struct {
	oid  []byte // content of its OBJECT IDENTIFIER
	raw  []byte // the value as it is sent, unless it moves
	move motion
	num  uint64 // of what moves
	pair int    // of a 32-bit counter: where its 64-bit counterpart stands, or -1
}

// Bounds of a recording.
const (
	maxRecording = 4 << 20
	maxValue     = 60_000 // bytes; a datagram has room for no more
	maxPorts     = 512
)

// Len is the number of variables.
func (t *Table) Len() int { return len(t.keys) }

type row struct {
	arcs []uint32
	raw  []byte
	tag  byte
	num  uint64
}

// ParseTable reads a recording; see the package's description. Its error names the line.
func ParseTable(name string, text []byte) (*Table, error) {
	if len(text) > maxRecording {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxRecording)
	}
	t := &Table{Name: name, vary: 4, uptime: 100 * 86400 * 100}
	rows := map[ber.Key]row{}
	put := func(r row) { rows[ber.MakeKey(r.arcs)] = r }
	line := 0
	for l := range bytes.Lines(text) {
		line++
		s := strings.TrimRight(string(l), "\r\n")
		var err error
		switch {
		case strings.HasPrefix(s, "#! "):
			err = t.directive(s[3:], put)
		case s == "" || s[0] == '#':
		default:
			var r row
			if r, err = parseLine(s); err == nil {
				put(r)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	for k := range rows {
		t.keys = append(t.keys, k)
	}
	slices.Sort(t.keys)
	t.values = make([]value, len(t.keys))
	for i, k := range t.keys {
		r := rows[k]
		t.values[i] = value{oid: ber.AppendOID(nil, r.arcs), raw: r.raw, num: r.num, move: motionOf(k, r.tag)}
		if k == keySysUpTime() && r.num > 0 {
			t.uptime = r.num
		}
	}
	t.pairCounters()
	return t, nil
}

// With returns the table with more variables, in a recording's lines: what a device says of the site that it is at.
func (t *Table) With(text []byte) (*Table, error) {
	more, err := ParseTable(t.Name, text)
	if err != nil {
		return nil, err
	}
	out := *t
	out.keys, out.values = slices.Clone(t.keys), slices.Clone(t.values)
	for i, k := range more.keys {
		at, found := slices.BinarySearch(out.keys, k)
		if !found {
			out.keys, out.values = slices.Insert(out.keys, at, k), slices.Insert(out.values, at, value{})
		}
		out.values[at] = more.values[i]
	}
	out.pairCounters()
	return &out, nil
}

func parseArcs(s string) ([]uint32, error) {
	var arcs []uint32
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "."), ".") {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || len(arcs) == ber.MaxArcs {
			return nil, fmt.Errorf("%q is not an OID", s)
		}
		arcs = append(arcs, uint32(n))
	}
	if len(arcs) < 2 || arcs[0] > 2 || arcs[0] < 2 && arcs[1] > 39 {
		return nil, fmt.Errorf("%q is not an OID: it begins with 0.0 to 2.x", s)
	}
	return arcs, nil
}

func parseLine(s string) (row, error) {
	oid, rest, ok1 := strings.Cut(s, "|")
	tag, text, ok2 := strings.Cut(rest, "|")
	if !ok1 || !ok2 {
		return row{}, fmt.Errorf("%q is not OID|TAG|VALUE", s)
	}
	arcs, err := parseArcs(oid)
	if err != nil {
		return row{}, err
	}
	content := []byte(text)
	tag, isHex := strings.CutSuffix(tag, "x")
	if isHex {
		if content, err = hex.DecodeString(text); err != nil {
			return row{}, fmt.Errorf("%q is not hexadecimal", text)
		}
	}
	n, err := strconv.ParseUint(tag, 10, 8)
	if err != nil {
		return row{}, fmt.Errorf("%q is not a tag", tag)
	}
	r := row{arcs: arcs, tag: byte(n)}
	if len(content) > maxValue {
		return row{}, fmt.Errorf("a value of %d bytes does not fit a datagram", len(content))
	}
	switch r.tag {
	case ber.Integer:
		v, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return row{}, fmt.Errorf("%q is not a 32-bit integer", text)
		}
		r.raw, r.num = ber.AppendInt(nil, v), uint64(v)
	case ber.Counter32, ber.Gauge32, ber.TimeTicks, ber.Counter64:
		bits := 32
		if r.tag == ber.Counter64 {
			bits = 64
		}
		if r.num, err = strconv.ParseUint(text, 10, bits); err != nil {
			return row{}, fmt.Errorf("%q is not an unsigned number of %d bits", text, bits)
		}
		r.raw = ber.AppendUint(nil, r.tag, r.num)
	case ber.Octets, ber.Opaque:
		r.raw = ber.AppendTLV(nil, r.tag, content)
	case ber.Null:
		r.raw = []byte{ber.Null, 0}
	case ber.OID:
		v, err := parseArcs(text)
		if err != nil {
			return row{}, err
		}
		r.raw = ber.AppendTLV(nil, ber.OID, ber.AppendOID(nil, v))
	case ber.IPAddress:
		if !isHex {
			var a, b, c, d byte
			if _, err := fmt.Sscanf(text, "%d.%d.%d.%d", &a, &b, &c, &d); err != nil {
				return row{}, fmt.Errorf("%q is not an address", text)
			}
			content = []byte{a, b, c, d}
		}
		if len(content) != 4 {
			return row{}, fmt.Errorf("%q is not an address", text)
		}
		r.raw = ber.AppendTLV(nil, ber.IPAddress, content)
	default:
		return row{}, fmt.Errorf("tag %d is not one of SNMP's", n)
	}
	return r, nil
}

// directive carries out a line that begins with #!.
func (t *Table) directive(s string, put func(row)) error {
	what, rest, _ := strings.Cut(s, " ")
	words, err := settings(rest)
	if err != nil {
		return err
	}
	switch what {
	case "device":
		t.Serial = words.text("serial", "")
		t.vary = words.number("vary", 4)
		if mac := words.text("mac", ""); mac != "" {
			b, err := hex.DecodeString(mac)
			if err != nil || len(b) != 6 {
				return fmt.Errorf("mac %q: write 12 hexadecimal digits", mac)
			}
			t.MAC = [6]byte(b)
		}
		if t.vary < 0 || t.vary > len(t.Serial) && t.Serial != "" {
			return fmt.Errorf("vary=%d: the serial number has %d characters", t.vary, len(t.Serial))
		}
	case "expect":
		t.Expect = Expected{Vendor: words.text("vendor", ""), Model: words.text("model", ""), Version: words.text("version", ""), Class: words.text("class", "")}
	case "web":
		t.Web = Web{Title: words.text("title", ""), Server: words.text("server", "")}
	case "sip":
		t.SIP = words.text("agent", "")
	case "ports":
		if err := t.ports(words, put); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%q is not device, expect, web, sip or ports", what)
	}
	return words.unused()
}

// keyed is the words key=value of a directive; a value with spaces stands in quotes.
type keyed struct {
	values map[string]string
	asked  map[string]bool
	err    error
}

func settings(s string) (*keyed, error) {
	k := &keyed{values: map[string]string{}, asked: map[string]bool{}}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not key=value", s)
		}
		var v string
		if quoted, found := strings.CutPrefix(rest, `"`); found {
			if v, s, ok = strings.Cut(quoted, `"`); !ok {
				return nil, fmt.Errorf("%s: the quotation mark is not closed", name)
			}
		} else {
			v, s, _ = strings.Cut(rest, " ")
		}
		k.values[name] = v
	}
	return k, nil
}

func (k *keyed) text(name, otherwise string) string {
	k.asked[name] = true
	if v, ok := k.values[name]; ok {
		return v
	}
	return otherwise
}

func (k *keyed) number(name string, otherwise int) int {
	s := k.text(name, "")
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		k.err = fmt.Errorf("%s=%s is not a number", name, s)
		return otherwise
	}
	return n
}

func (k *keyed) unused() error {
	for name := range k.values {
		if !k.asked[name] {
			return fmt.Errorf("nothing is called %q here", name)
		}
	}
	return k.err
}

// ports puts the rows of the interface tables for some like ports.
func (t *Table) ports(w *keyed, put func(row)) error {
	first, count, number := w.number("first", 1), w.number("count", 1), w.number("number", 1)
	name, descr, alias := w.text("name", "port%d"), w.text("descr", ""), w.text("alias", "")
	kind, speed, up, hc := w.number("type", 6), w.number("speed", 1000), w.number("up", 1), w.number("hc", 1)
	mean, errs := w.number("kbps", 200), w.number("errors", 0)
	offset := w.number("mac", 0)
	if count > maxPorts || first > 1<<30 || number > 1<<20 || speed > 400_000 || mean > speed*1000 {
		return fmt.Errorf("that is no port of a device")
	}
	if descr == "" {
		descr = name
	}
	numbered := func(format string, n int) []byte { return []byte(strings.ReplaceAll(format, "%d", strconv.Itoa(n))) }
	for i := range count {
		index := uint32(first + i)
		cell := func(table []uint32, column uint32, tag byte, n uint64, text []byte) {
			arcs := append(slices.Clone(table), column, index)
			r := row{arcs: arcs, tag: tag, num: n}
			switch tag {
			case ber.Octets:
				r.raw = ber.AppendTLV(nil, tag, text)
			case ber.Integer:
				r.raw = ber.AppendInt(nil, int64(n))
			default:
				r.raw = ber.AppendUint(nil, tag, n)
			}
			put(r)
		}
		ifEntry, ifX := []uint32{1, 3, 6, 1, 2, 1, 2, 2, 1}, []uint32{1, 3, 6, 1, 2, 1, 31, 1, 1, 1}
		number32 := func(table []uint32, column uint32, tag byte, n uint64) { cell(table, column, tag, n, nil) }
		oper := uint64(2)
		var in, out uint64 // octets in the recording's uptime
		if i < up {
			oper = 1
			share := 1 + uint64(i*7%5) // ports are not alike
			in = uint64(mean) * 125 * (t.uptime / 100) * share / 3
			out = in * (6 - share) / 3
		}
		var bad uint64 // damaged packets: a bad cable has one port
		if i == 0 {
			bad = uint64(errs)
		}
		const packet = 700 // mean size in bytes of office traffic
		mac := t.MAC
		binary.BigEndian.PutUint32(mac[2:], binary.BigEndian.Uint32(mac[2:])+uint32(offset+i))
		number32(ifEntry, 1, ber.Integer, uint64(index))
		cell(ifEntry, 2, ber.Octets, 0, numbered(descr, number+i))
		number32(ifEntry, 3, ber.Integer, uint64(kind))
		number32(ifEntry, 4, ber.Integer, 1500)
		number32(ifEntry, 5, ber.Gauge32, min(uint64(speed)*1e6, 1<<32-1))
		cell(ifEntry, 6, ber.Octets, 0, mac[:])
		number32(ifEntry, 7, ber.Integer, 1)
		number32(ifEntry, 8, ber.Integer, oper)
		number32(ifEntry, 9, ber.TimeTicks, 3210+uint64(i)*17)
		number32(ifEntry, 10, ber.Counter32, in&max32)
		number32(ifEntry, 11, ber.Counter32, in/packet&max32)
		number32(ifEntry, 13, ber.Counter32, bad/4)
		number32(ifEntry, 14, ber.Counter32, bad)
		number32(ifEntry, 16, ber.Counter32, out&max32)
		number32(ifEntry, 17, ber.Counter32, out/packet&max32)
		number32(ifEntry, 19, ber.Counter32, 0)
		number32(ifEntry, 20, ber.Counter32, 0)
		if hc == 0 {
			continue
		}
		cell(ifX, 1, ber.Octets, 0, numbered(name, number+i))
		number32(ifX, 6, ber.Counter64, in)
		number32(ifX, 7, ber.Counter64, in/packet)
		number32(ifX, 8, ber.Counter64, in/packet/90)
		number32(ifX, 9, ber.Counter64, in/packet/70)
		number32(ifX, 10, ber.Counter64, out)
		number32(ifX, 11, ber.Counter64, out/packet)
		number32(ifX, 12, ber.Counter64, out/packet/80)
		number32(ifX, 13, ber.Counter64, out/packet/60)
		number32(ifX, 15, ber.Gauge32, uint64(speed))
		number32(ifX, 17, ber.Integer, 1)
		cell(ifX, 18, ber.Octets, 0, numbered(alias, number+i))
		number32(ifX, 19, ber.TimeTicks, 0)
		duplex := uint64(1) // unknown, while there is no link
		if oper == 1 {
			duplex = 3
		}
		number32([]uint32{1, 3, 6, 1, 2, 1, 10, 7, 2, 1}, 19, ber.Integer, duplex)
	}
	return nil
}

const max32 = 1<<32 - 1

// pairCounters finds the 64-bit counterparts of 32-bit counters.
func (t *Table) pairCounters() {
	ifEntry, ifX := keyOf(1, 3, 6, 1, 2, 1, 2, 2, 1), keyOf(1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
	for i := range t.values {
		t.values[i].pair = -1
	}
	for narrow, wide := range map[uint32]uint32{10: 6, 11: 7, 16: 10, 17: 11} {
		from, to := ifEntry+keyOf(narrow), ifX+keyOf(wide)
		for i, k := range t.keys {
			if !k.Below(from) || t.values[i].move != moveCounter32 {
				continue
			}
			if j, ok := t.find(to + k[len(from):]); ok && t.values[j].move == moveCounter64 {
				t.values[i].pair = j
			}
		}
	}
}

func keyOf(arcs ...uint32) ber.Key { return ber.MakeKey(arcs) }

func keySysUpTime() ber.Key { return keyOf(1, 3, 6, 1, 2, 1, 1, 3, 0) }

// find returns where a variable stands.
func (t *Table) find(k ber.Key) (int, bool) { return slices.BinarySearch(t.keys, k) }

// after returns where the first variable behind k stands; Len if there is none.
func (t *Table) after(k ber.Key) int {
	i, found := t.find(k)
	if found {
		i++
	}
	return i
}
