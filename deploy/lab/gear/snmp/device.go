package snmp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"communewatch/deploy/lab/gear/snmp/ber"
)

// Own is what tells a device apart from others of its model. Zero values leave what the recording shows.
type Own struct {
	Number    int    // of the device among all of the lab: from it come serial number and MAC addresses
	Name      string // sysName
	Location  string // sysLocation
	Community string // "" is public
	User      *User  // of version 3; nil: version 3 is answered as by a device without users
	OnlyV3    bool   // does not answer the older versions
	Serial    string // instead of the one made from Number; "-" leaves the recording's
	Quirk     Quirk
}

// Quirk is how a device is odd. The zero Quirk is a device as the RFCs want it.
type Quirk struct {
	Delay    time.Duration // before every answer
	V1Only   bool          // does not answer version 2c
	BulkOver int           // does not answer GetBulk for more repetitions than this; 0: answers all
	MaxSize  int           // answers of at most so many bytes; 0: DefaultSize
	Lie      Lie
}

// DefaultSize is what fits an Ethernet frame.
const DefaultSize = 1472

// Lie is how a device answers untruthfully.
type Lie string

// The lies. The zero Lie is the truth.
const (
	Truth    Lie = ""
	Silence  Lie = "dead"     // no answer at all
	Garbage  Lie = "garbage"  // bytes that are no SNMP, answers cut short, and answers to other questions
	Types    Lie = "types"    // texts for numbers and numbers for texts
	Disorder Lie = "disorder" // now and then a variable from further back
	Endless  Lie = "endless"  // a table that never ends
)

// Lies lists them.
func Lies() []Lie { return []Lie{Silence, Garbage, Types, Disorder, Endless} }

// Device is one device. Its methods may be called concurrently.
type Device struct {
	table *Table
	own   Own
	raw   map[int][]byte // what differs from the table
	clock clock
	since atomic.Int64 // when it started in the lab, Unix nanoseconds
	quirk atomic.Pointer[Quirk]
	asked atomic.Uint64
}

// NewDevice makes a device that answers as the table's recording does.
func NewDevice(t *Table, own Own, now time.Time) *Device {
	if own.Community == "" {
		own.Community = "public"
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", t.Name, own.Number)
	seed := h.Sum64()
	part := func(shift int) float64 { return float64(seed>>shift&0xffff) / 0x10000 }
	d := &Device{table: t, own: own, raw: map[int][]byte{}, clock: clock{
		recorded: float64(t.uptime) / 100, before: float64(t.uptime) / 100 * (0.2 + part(0)), busy: 0.3 + 1.4*part(16), phase: 2 * math.Pi * part(32),
	}}
	d.since.Store(now.UnixNano())
	d.quirk.Store(&own.Quirk)
	d.personalise()
	return d
}

// Serial is the serial number that the device shows; "" if it shows none.
func (d *Device) Serial() string {
	switch {
	case d.own.Serial == "-" || d.table.Serial == "":
		return d.table.Serial
	case d.own.Serial != "":
		return d.own.Serial
	}
	return vary(d.table.Serial, d.table.vary, d.own.Number)
}

// MAC is its first MAC address.
func (d *Device) MAC() [6]byte { return d.own.MAC(d.table) }

// MAC is the first MAC address of a device with this of its own; all zeros if the recording shows none.
func (o Own) MAC(t *Table) [6]byte {
	mac := t.MAC
	if mac != [6]byte{} {
		binary.BigEndian.PutUint16(mac[3:], uint16(o.Number*7+1))
	}
	return mac
}

// Table is the recording that the device answers from.
func (d *Device) Table() *Table { return d.table }

// Name is its sysName.
func (d *Device) Name() string { return d.own.Name }

// Asked counts the datagrams it was sent.
func (d *Device) Asked() uint64 { return d.asked.Load() }

// SetQuirk changes how the device is odd. Reset takes it back to what it was made with.
func (d *Device) SetQuirk(q Quirk) { d.quirk.Store(&q) }

// Reset takes back SetQuirk.
func (d *Device) Reset() { d.quirk.Store(&d.own.Quirk) }

// Reboot starts the device anew: its uptime and counters begin at zero.
func (d *Device) Reboot(now time.Time) { d.since.Store(-now.UnixNano()) } // below zero: nothing was before

// vary changes the last n letters and digits of a serial number, each within its kind. Different numbers give different
// serials as long as those places have room for them.
func vary(serial string, n, number int) string {
	b := []byte(serial)
	alphabet := func(c byte) string {
		switch {
		case c >= '0' && c <= '9':
			return "0123456789"
		case c >= 'A' && c <= 'Z':
			return "ABCDEFGHJKLMNPQRSTUVWXYZ"
		case c >= 'a' && c <= 'z':
			return "abcdefghjkmnpqrstuvwxyz"
		}
		return ""
	}
	room := uint64(1)
	var places []int
	for i := len(b) - 1; i >= 0 && len(places) < n; i-- {
		if a := alphabet(b[i]); a != "" && room < 1<<40 {
			places = append(places, i)
			room *= uint64(len(a))
		}
	}
	// 7919 is prime and divides none of the alphabets' sizes, so no two numbers meet within the room.
	x := (uint64(number)*7919 + 4711) % room
	for _, i := range places {
		a := alphabet(b[i])
		b[i] = a[x%uint64(len(a))]
		x /= uint64(len(a))
	}
	return string(b)
}

// personalise finds every variable that shows what is the device's own.
func (d *Device) personalise() {
	if d.own.Name != "" {
		d.setText(keyOf(1, 3, 6, 1, 2, 1, 1, 5, 0), d.own.Name)
	}
	if d.own.Location != "" {
		d.setText(keyOf(1, 3, 6, 1, 2, 1, 1, 6, 0), d.own.Location)
	}
	swaps := swaps(d.table.MAC, d.MAC())
	if serial := d.Serial(); serial != d.table.Serial {
		swaps = append(swaps, [2][]byte{[]byte(d.table.Serial), []byte(serial)})
	}
	for i := range d.table.values {
		raw := d.table.values[i].raw
		if len(raw) == 0 || raw[0] != ber.Octets || d.raw[i] != nil {
			continue
		}
		_, content, _, err := ber.Next(raw)
		if err != nil {
			continue
		}
		for _, s := range swaps {
			if bytes.Contains(content, s[0]) {
				content = bytes.ReplaceAll(content, s[0], s[1])
				d.raw[i] = ber.AppendTLV(nil, ber.Octets, content)
			}
		}
	}
}

// swaps lists the forms in which a MAC address's first five bytes may stand.
func swaps(from, to [6]byte) [][2][]byte {
	if from == to {
		return nil
	}
	out := [][2][]byte{{from[:5], to[:5]}}
	for _, sep := range []string{":", "-", ""} {
		form := func(m [6]byte) string {
			s := hex.EncodeToString(m[:5])
			if sep == "" {
				return s
			}
			return strings.Join([]string{s[0:2], s[2:4], s[4:6], s[6:8], s[8:10]}, sep)
		}
		out = append(out, [2][]byte{[]byte(form(from)), []byte(form(to))},
			[2][]byte{[]byte(strings.ToUpper(form(from))), []byte(strings.ToUpper(form(to)))})
	}
	return out
}

func (d *Device) setText(k ber.Key, text string) {
	if i, ok := d.table.find(k); ok {
		d.raw[i] = ber.AppendTLV(nil, ber.Octets, []byte(text))
	}
}

// uptime returns for how long the device has been in the lab since it started, and the clock to reckon with.
func (d *Device) uptime(now time.Time) (t float64, c clock) {
	c = d.clock
	since := d.since.Load()
	if since < 0 {
		since, c.before = -since, 0
	}
	return max(0, float64(now.UnixNano()-since)/1e9), c
}

// appendValue writes the value of the variable at place i as it is now.
func (d *Device) appendValue(b []byte, i int, now time.Time, lie Lie) []byte {
	v := &d.table.values[i]
	raw := v.raw
	if own := d.raw[i]; own != nil {
		raw = own
	}
	if lie == Types && i%3 == 0 {
		if raw[0] == ber.Octets {
			return ber.AppendInt(b, int64(len(raw)))
		}
		return ber.AppendTLV(b, ber.Octets, []byte("n/a"))
	}
	if v.move == still {
		return append(b, raw...)
	}
	t, c := d.uptime(now)
	signed := func(n float64) []byte {
		if raw[0] == ber.Integer {
			return ber.AppendInt(b, int64(math.Round(n)))
		}
		return ber.AppendUint(b, raw[0], uint64(max(0, math.Round(n))))
	}
	switch v.move {
	case moveTicks:
		return ber.AppendUint(b, ber.TimeTicks, uint64((c.before+t)*100)&max32)
	case moveSeconds:
		return ber.AppendInt(b, int64(c.before+t))
	case moveCounter32:
		if v.pair >= 0 {
			return ber.AppendUint(b, ber.Counter32, c.count(d.table.values[v.pair].num, v.pair, t)&max32)
		}
		return ber.AppendUint(b, ber.Counter32, c.count(v.num, i, t)&max32)
	case moveCounter64:
		return ber.AppendUint(b, ber.Counter64, c.count(v.num, i, t))
	case wavePercent:
		return signed(min(100, max(0, c.gauge(float64(int64(v.num)), 2+float64(v.num)/4, i, t))))
	case waveDegrees:
		return signed(c.gauge(float64(int64(v.num)), 2, i, t))
	}
	return signed(c.gauge(float64(int64(v.num)), 20, i, t))
}

// answerTo answers a datagram; nil is silence.
func (d *Device) answerTo(datagram []byte, now time.Time) (answer []byte, delay time.Duration) {
	d.asked.Add(1)
	q := *d.quirk.Load()
	if q.Lie == Silence {
		return nil, 0
	}
	size := q.MaxSize
	if size == 0 {
		size = DefaultSize
	}
	var b []byte
	switch r, err := decodeRequest(datagram); {
	case errors.Is(err, errVersion3) && !q.V1Only:
		b = d.answer3(datagram, now, q, size)
	case err != nil || d.own.OnlyV3 || string(r.community) != d.own.Community || q.silentFor(&r):
	default:
		b = r.response(make([]byte, 0, min(size, 4096)+64), size, func(b []byte, room int) ([]byte, int, int) {
			return d.bindings(b, room, &r, now, q.Lie)
		})
	}
	if b == nil {
		return nil, 0
	}
	if q.Lie == Garbage {
		b = spoil(b, d.asked.Load())
	}
	return b, q.Delay
}

// silentFor reports whether a device with this quirk does not answer a request.
func (q Quirk) silentFor(r *request) bool {
	return q.V1Only && r.version != version1 || r.kind == pduGetBulk && q.BulkOver > 0 && r.maxRepetitions > q.BulkOver
}

// spoil makes garbage of an answer, one kind after the other.
func spoil(b []byte, n uint64) []byte {
	switch n % 4 {
	case 0:
		return b[:len(b)/2]
	case 1:
		for i := range b {
			b[i] = byte(uint64(i)*2654435761 + n*40503)
		}
	case 2:
		b[len(b)-1] ^= 0xff
		b[1], b[2], b[3] = 0x84, 0xff, 0xff
	case 3:
		return []byte("HTTP/1.1 400 Bad Request\r\n\r\n")
	}
	return b
}

// bindings writes the variables of an answer.
func (d *Device) bindings(b []byte, room int, r *request, now time.Time, lie Lie) (_ []byte, status, index int) {
	switch r.kind {
	case pduSet:
		if r.version == version1 {
			return b, errReadOnly, 1
		}
		return b, errNotWritable, 1
	case pduGetBulk:
		return d.bulk(b, room, r, now, lie), 0, 0
	}
	for n, name := range r.names {
		if r.kind == pduGet {
			i, ok := d.table.find(name)
			switch {
			case ok && (r.version != version1 || d.table.values[i].move != moveCounter64):
				b = d.appendVar(b, i, now, lie)
			case r.version == version1:
				return b, errNoSuchName, n + 1
			default:
				b = appendBinding(b, ber.AppendOID(nil, name.Arcs()), d.missing(name), nil)
			}
		} else {
			var ok bool
			if b, _, ok = d.appendNext(b, name, r.version, now, lie); !ok {
				if r.version == version1 {
					return b, errNoSuchName, n + 1
				}
				b = appendBinding(b, ber.AppendOID(nil, name.Arcs()), ber.EndOfMIBView, nil)
			}
		}
		if len(b) > room {
			return b, errTooBig, 0
		}
	}
	return b, 0, 0
}

// missing tells a variable that the device does not know from a row that is not there.
func (d *Device) missing(name ber.Key) byte {
	for n := len(name) - 4; n >= 4*8; n -= 4 { // the shortest column's number has nine parts
		if i := d.table.after(name[:n]); i < d.table.Len() && d.table.keys[i].Below(name[:n]) {
			return ber.NoSuchInstance
		}
	}
	return ber.NoSuchObject
}

// bulk answers GetBulk: once what follows the first names, then as often as wanted and as fits what follows the others.
func (d *Device) bulk(b []byte, room int, r *request, now time.Time, lie Lie) []byte {
	at := slices.Clone(r.names)
	once := min(r.nonRepeaters, len(at))
	ended := make([]bool, len(at))
	step := func(n int) bool {
		before := len(b)
		var ok bool
		b, at[n], ok = d.appendNext(b, at[n], r.version, now, lie)
		if !ok {
			ended[n] = true
			b = appendBinding(b, ber.AppendOID(nil, at[n].Arcs()), ber.EndOfMIBView, nil)
		}
		if len(b) > room {
			b = b[:before] // an answer with less than was asked for is in order
			return false
		}
		return true
	}
	for n := range once {
		if !step(n) {
			return b
		}
	}
	for range r.maxRepetitions {
		all := true
		for n := once; n < len(at); n++ {
			if !step(n) {
				return b
			}
			all = all && ended[n]
		}
		if all {
			return b
		}
	}
	return b
}

// appendNext writes the variable that follows name, and returns its name; false if nothing follows.
func (d *Device) appendNext(b []byte, name ber.Key, version int32, now time.Time, lie Lie) ([]byte, ber.Key, bool) {
	i := d.table.after(name)
	for i < d.table.Len() && version == version1 && d.table.values[i].move == moveCounter64 {
		i++ // version 1 has no such type (RFC 3584 4.2.2.1)
	}
	switch {
	case lie == Endless && name.Below(endlessRoot()) && (i == d.table.Len() || !d.table.keys[i].Below(name[:min(len(name), len(endlessRoot())+4)])):
		arcs := name.Arcs()
		if last := len(arcs) - 1; arcs[last] < 1<<32-1 {
			arcs[last]++
		}
		return appendBinding(b, ber.AppendOID(nil, arcs), ber.Octets, []byte("port")), ber.MakeKey(arcs), true
	case lie == Disorder && i%16 == 15:
		i -= 9
	}
	if i >= d.table.Len() {
		return b, name, false
	}
	return d.appendVar(b, i, now, lie), d.table.keys[i], true
}

// endlessRoot is the table that does not end for Endless: ifEntry.
func endlessRoot() ber.Key { return keyOf(1, 3, 6, 1, 2, 1, 2, 2, 1) }

func (d *Device) appendVar(b []byte, i int, now time.Time, lie Lie) []byte {
	b, at := ber.Open(b, ber.Sequence)
	b = ber.AppendTLV(b, ber.OID, d.table.values[i].oid)
	b = d.appendValue(b, i, now, lie)
	ber.Shut(b, at)
	return b
}

func appendBinding(b, oid []byte, tag byte, content []byte) []byte {
	b, at := ber.Open(b, ber.Sequence)
	b = ber.AppendTLV(b, ber.OID, oid)
	b = ber.AppendTLV(b, tag, content)
	ber.Shut(b, at)
	return b
}
