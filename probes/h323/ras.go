package h323

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"unicode/utf16"

	"communewatch/probes/connect"
)

// Messages of RAS, as H.225.0 lists the alternatives of RasMessage.
const (
	gatekeeperRequest = 0
	gatekeeperConfirm = 1
	gatekeeperReject  = 2
)

const maxID = 128 // characters of a gatekeeper's name

var (
	errNotRAS  = errors.New("not RAS")
	errForeign = errors.New("it answers another request")
)

// h225v4 is the object identifier of H.225.0 version 4, {itu-t(0) recommendation(0) h(8) 2250 version(0) 4}, as PER
// writes it. Gatekeepers of other versions answer by theirs.
var h225v4 = []byte{0x00, 0x08, 0x91, 0x4A, 0x00, 0x04}

// encodeRequest returns a GatekeeperRequest of a terminal that wants its answer at ras. Nothing optional is in it: no
// alias, no vendor, no name of a gatekeeper.
func encodeRequest(seq uint16, ras netip.AddrPort) []byte {
	var w writer
	w.bits(gatekeeperRequest, 6) // no alternative that was added later
	w.bits(0, 5)                 // nothing that was added later; nonStandardData, gatekeeperIdentifier, callServices, endpointAlias
	w.uint16(seq - 1)            // INTEGER (1..65535)
	w.octets([]byte{byte(len(h225v4))})
	w.octets(h225v4)
	ip, port := ras.Addr().Unmap(), ras.Port()
	if ip.Is4() {
		w.bits(0, 4) // ipAddress
	} else {
		w.bits(3, 4) // ip6Address
		w.bits(0, 1) // nothing that was added later
	}
	w.octets(ip.AsSlice())
	w.uint16(port)
	w.bits(1, 7) // endpointType: nothing that was added later; nonStandardData, vendor, gatekeeper, gateway, mcu; terminal
	w.bits(0, 2) // terminal: nothing that was added later; nonStandardData
	w.bits(0, 2) // mc, undefinedNode
	return w.b
}

// answer is what a gatekeeper said.
type answer struct {
	confirmed bool
	id        string // the gatekeeper's name; "" when it does not say
	reason    string // of a rejection, as H.225.0 calls it
}

// parse reads an answer to the request with the number: errForeign for what answers another one, errNotRAS for what
// can't be read.
func parse(b []byte, seq uint16) (answer, error) {
	r := reader{b: b}
	kind := r.bits(6)
	r.bits(1) // what was added later comes at the end and is not looked at
	nonStandard, named := r.bits(1) == 1, r.bits(1) == 1
	number := r.uint16() + 1
	switch {
	case r.short:
		return answer{}, errNotRAS
	case kind != gatekeeperConfirm && kind != gatekeeperReject || number != seq || seq == 0:
		return answer{}, errForeign
	}
	r.octets(r.length()) // protocolIdentifier
	if nonStandard {
		r.nonStandard()
	}
	a := answer{confirmed: kind == gatekeeperConfirm}
	if named { // BMPString (SIZE (1..128))
		n := int(r.bits(7)) + 1
		units := make([]uint16, 0, maxID)
		for octets := r.octets(2 * n); len(octets) >= 2; octets = octets[2:] {
			units = append(units, binary.BigEndian.Uint16(octets))
		}
		a.id = connect.Text(string(utf16.Decode(units)), maxID)
	}
	if !a.confirmed {
		a.reason = r.rejection()
	}
	if r.short {
		return answer{}, errNotRAS
	}
	return a, nil
}

// rejection reads a GatekeeperRejectReason.
func (r *reader) rejection() string {
	reasons, n := []string{"resourceUnavailable", "terminalExcluded", "invalidRevision", "undefinedReason"}, 0
	if r.bits(1) == 0 {
		n = int(r.bits(2))
	} else { // added later: a "normally small" number
		reasons, n = []string{"securityDenial", "genericDataReason", "neededFeatureNotSupported", "securityError"}, int(r.bits(7))
	}
	if n < len(reasons) {
		return reasons[n]
	}
	return "a reason that is not known"
}

// nonStandard passes over a NonStandardParameter.
func (r *reader) nonStandard() {
	switch r.bits(2) {
	case 0: // object identifier
		r.octets(r.length())
	case 1: // h221NonStandard: country, extension, maker
		r.bits(1)
		r.octets(2)
		r.octets(2)
	default:
		r.octets(r.length()) // added later: the number was in the bits, its length tells
	}
	r.octets(r.length())
}

// writer writes the aligned variant of the packed encoding rules (PER, X.691).
type writer struct {
	b    []byte
	free int // unused bits of the last octet
}

// bits appends the low n bits of v.
func (w *writer) bits(v uint, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		w.free--
		w.b[len(w.b)-1] |= byte(v>>i&1) << w.free
	}
}

// octets appends whole octets, aligned.
func (w *writer) octets(b []byte) { w.b, w.free = append(w.b, b...), 0 }

func (w *writer) uint16(v uint16) { w.octets([]byte{byte(v >> 8), byte(v)}) }

// reader is the reverse of writer. Beyond the end there are zeros, and short is set.
type reader struct {
	b     []byte
	at    int // bits read
	short bool
}

func (r *reader) bits(n int) uint {
	var v uint
	for range n {
		v <<= 1
		if r.at/8 < len(r.b) {
			v |= uint(r.b[r.at/8]>>(7-r.at%8)) & 1
		} else {
			r.short = true
		}
		r.at++
	}
	return v
}

// octets reads n octets, aligned; nil when there are not as many.
func (r *reader) octets(n int) []byte {
	start := (r.at + 7) / 8
	if n < 0 || start > len(r.b) || n > len(r.b)-start {
		r.short = true
		return nil
	}
	r.at = 8 * (start + n)
	return r.b[start : start+n]
}

func (r *reader) uint16() uint16 {
	if b := r.octets(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// length reads a length determinant (X.691 10.9.3). Lengths from 16384, which come in pieces, are none that a datagram
// has.
func (r *reader) length() int {
	b := r.octets(1)
	switch {
	case b == nil:
		return 0
	case b[0] < 0x80:
		return int(b[0])
	case b[0] < 0xC0:
		if low := r.octets(1); low != nil {
			return int(b[0]&0x3F)<<8 | int(low[0])
		}
	}
	r.short = true
	return 0
}
