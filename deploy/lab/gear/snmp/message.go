package snmp

import (
	"errors"

	"communewatch/deploy/lab/gear/snmp/ber"
)

// Versions as messages number them.
const (
	version1  = 0
	version2c = 1
)

// Kinds of PDU.
const (
	pduGet      = 0xa0
	pduGetNext  = 0xa1
	pduResponse = 0xa2
	pduSet      = 0xa3
	pduGetBulk  = 0xa5
)

// Error statuses (RFC 3416 3).
const (
	errTooBig      = 1
	errNoSuchName  = 2
	errReadOnly    = 4
	errGen         = 5
	errNotWritable = 17
)

// maxNames bounds the variables of a request; a manager asks for some 60.
const maxNames = 256

// request is a decoded question.
type request struct {
	version        int32
	community      []byte
	kind           byte
	id             int32
	nonRepeaters   int // of GetBulk
	maxRepetitions int // of GetBulk
	names          []ber.Key
	bindings       []byte // as they came, for answers that repeat them
}

// errVersion3 says that a message is none of the two older versions.
var errVersion3 = errors.New("version 3")

// decodeRequest reads a message of version 1 or 2c. What it returns points into b.
func decodeRequest(b []byte) (request, error) {
	var r request
	msg, _, err := ber.Expect(b, ber.Sequence)
	if err != nil {
		return r, err
	}
	if r.version, msg, err = ber.ExpectInt(msg); err != nil {
		return r, err
	}
	switch r.version {
	case version1, version2c:
	case version3:
		return r, errVersion3
	default:
		return r, ber.ErrMalformed
	}
	if r.community, msg, err = ber.Expect(msg, ber.Octets); err != nil {
		return r, err
	}
	tag, pdu, _, err := ber.Next(msg)
	if err != nil {
		return r, err
	}
	return r, r.decodePDU(tag, pdu)
}

func (r *request) decodePDU(tag byte, pdu []byte) (err error) {
	r.kind = tag
	switch tag {
	case pduGet, pduGetNext, pduSet:
	case pduGetBulk:
		if r.version == version1 {
			return ber.ErrMalformed
		}
	default:
		return ber.ErrMalformed
	}
	if r.id, pdu, err = ber.ExpectInt(pdu); err != nil {
		return err
	}
	var a, b int32
	if a, pdu, err = ber.ExpectInt(pdu); err != nil {
		return err
	}
	if b, pdu, err = ber.ExpectInt(pdu); err != nil {
		return err
	}
	r.nonRepeaters, r.maxRepetitions = int(max(a, 0)), int(max(b, 0))
	if r.bindings, _, err = ber.Expect(pdu, ber.Sequence); err != nil {
		return err
	}
	for rest := r.bindings; len(rest) > 0; {
		if len(r.names) == maxNames {
			return ber.ErrMalformed
		}
		var binding, oid []byte
		if binding, rest, err = ber.Expect(rest, ber.Sequence); err != nil {
			return err
		}
		if oid, binding, err = ber.Expect(binding, ber.OID); err != nil {
			return err
		}
		if _, _, _, err = ber.Next(binding); err != nil {
			return err
		}
		k, err := ber.DecodeOID(oid)
		if err != nil {
			return err
		}
		r.names = append(r.names, k)
	}
	return nil
}

// response writes an answer: the head, then what bindings writes, at most max bytes in all. Where that is too little it
// says so, as the versions want it said.
func (r *request) response(b []byte, max int, bindings func(b []byte, room int) (_ []byte, status, index int)) []byte {
	b, message := ber.Open(b, ber.Sequence)
	b = ber.AppendInt(b, int64(r.version))
	b = ber.AppendTLV(b, ber.Octets, r.community)
	b = r.pdu(b, pduResponse, max, bindings)
	ber.Shut(b, message)
	return b
}

func (r *request) pdu(b []byte, kind byte, max int, bindings func(b []byte, room int) (_ []byte, status, index int)) []byte {
	b, pdu := ber.Open(b, kind)
	b = ber.AppendInt(b, int64(r.id))
	errorAt := len(b)
	b = ber.AppendInt(ber.AppendInt(b, 0), 0) // three bytes each, as every status and index up to 127 takes
	b, list := ber.Open(b, ber.Sequence)
	start := len(b)
	b, status, index := bindings(b, max)
	if status != 0 {
		b = b[:start]
		if status != errTooBig || r.version == version1 {
			b = append(b, r.bindings...)
		}
		b[errorAt+2], b[errorAt+5] = byte(status), byte(min(index, 127))
	}
	ber.Shut(b, list)
	ber.Shut(b, pdu)
	return b
}
