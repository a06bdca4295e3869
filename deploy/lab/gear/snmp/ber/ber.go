// Package ber writes and reads the part of BER (ITU-T X.690) that SNMP uses: elements of a tag, a length and content, with
// definite lengths, integers in as few bytes as they take, and OIDs in base 128. It is for the lab's responder: small, and
// strict with what comes in.
package ber

import (
	"encoding/binary"
	"errors"
	"math"
)

// Tags of BER that SNMP uses.
const (
	Integer   = 0x02
	Octets    = 0x04
	Null      = 0x05
	OID       = 0x06
	Sequence  = 0x30
	IPAddress = 0x40
	Counter32 = 0x41
	Gauge32   = 0x42
	TimeTicks = 0x43
	Opaque    = 0x44
	Counter64 = 0x46

	NoSuchObject   = 0x80
	NoSuchInstance = 0x81
	EndOfMIBView   = 0x82
)

// MaxArcs is what RFC 2578 3.5 allows.
const MaxArcs = 128

// ErrMalformed is the error of whatever is no such element.
var ErrMalformed = errors.New("malformed")

// Next splits the first element off b.
func Next(b []byte) (tag byte, content, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, ErrMalformed
	}
	tag, n, head := b[0], int(b[1]), 2
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 3 || len(b) < 2+size { // indefinite lengths are not allowed; 16 MB are enough
			return 0, nil, nil, ErrMalformed
		}
		n = 0
		for _, c := range b[2 : 2+size] {
			n = n<<8 | int(c)
		}
		head += size
	}
	if len(b)-head < n {
		return 0, nil, nil, ErrMalformed
	}
	return tag, b[head : head+n], b[head+n:], nil
}

// Expect is Next for an element whose tag is known.
func Expect(b []byte, want byte) (content, rest []byte, err error) {
	tag, content, rest, err := Next(b)
	if err == nil && tag != want {
		err = ErrMalformed
	}
	return content, rest, err
}

// ExpectInt reads an INTEGER of at most 32 bits.
func ExpectInt(b []byte) (int32, []byte, error) {
	c, rest, err := Expect(b, Integer)
	if err != nil || len(c) == 0 || len(c) > 4 {
		return 0, nil, ErrMalformed
	}
	v := int32(int8(c[0]))
	for _, x := range c[1:] {
		v = v<<8 | int32(x)
	}
	return v, rest, nil
}

// A Key is an OID as four bytes per number, so that comparing keys as strings compares OIDs.
type Key string

func MakeKey(arcs []uint32) Key {
	b := make([]byte, 0, 4*len(arcs))
	for _, a := range arcs {
		b = binary.BigEndian.AppendUint32(b, a)
	}
	return Key(b)
}

func (k Key) Arcs() []uint32 {
	out := make([]uint32, 0, len(k)/4)
	for i := 0; i+4 <= len(k); i += 4 {
		out = append(out, binary.BigEndian.Uint32([]byte(k[i:i+4])))
	}
	return out
}

// Below reports whether k lies in the tree below root.
func (k Key) Below(root Key) bool { return len(k) > len(root) && k[:len(root)] == root }

// DecodeOID reads the content of an OBJECT IDENTIFIER.
func DecodeOID(c []byte) (Key, error) {
	if len(c) == 0 {
		return "", nil // what some managers send for the root
	}
	b := make([]byte, 0, 64)
	var v uint64
	arcs, open := 0, false
	for _, x := range c {
		v = v<<7 | uint64(x&0x7f)
		if v > math.MaxUint32+80 { // the first number holds two: 40 times the first plus the second
			return "", ErrMalformed
		}
		open = x&0x80 != 0
		if open {
			continue
		}
		if arcs == 0 {
			top := min(v/40, 2)
			b = binary.BigEndian.AppendUint32(b, uint32(top))
			v -= 40 * top
			arcs++
		}
		if v > math.MaxUint32 {
			return "", ErrMalformed
		}
		b = binary.BigEndian.AppendUint32(b, uint32(v))
		if arcs++; arcs > MaxArcs {
			return "", ErrMalformed
		}
		v = 0
	}
	if open {
		return "", ErrMalformed
	}
	return Key(b), nil
}

// AppendOID writes the content of an OBJECT IDENTIFIER.
func AppendOID(b []byte, arcs []uint32) []byte {
	switch len(arcs) {
	case 0:
		return append(b, 0)
	case 1:
		return appendBase128(b, uint64(arcs[0])*40)
	}
	b = appendBase128(b, uint64(arcs[0])*40+uint64(arcs[1]))
	for _, a := range arcs[2:] {
		b = appendBase128(b, uint64(a))
	}
	return b
}

func appendBase128(b []byte, v uint64) []byte {
	n := 1
	for x := v >> 7; x > 0; x >>= 7 {
		n++
	}
	for i := n - 1; i > 0; i-- {
		b = append(b, byte(v>>(7*i))|0x80)
	}
	return append(b, byte(v)&0x7f)
}

// AppendTLV writes one element.
func AppendTLV(b []byte, tag byte, content []byte) []byte {
	b = appendHead(b, tag, len(content))
	return append(b, content...)
}

func appendHead(b []byte, tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(b, tag, byte(n))
	case n < 0x100:
		return append(b, tag, 0x81, byte(n))
	case n < 0x10000:
		return append(b, tag, 0x82, byte(n>>8), byte(n))
	}
	return append(b, tag, 0x83, byte(n>>16), byte(n>>8), byte(n))
}

// AppendInt writes an INTEGER in as few bytes as it takes.
func AppendInt(b []byte, v int64) []byte {
	n := 1
	for n < 8 && (v < -1<<(8*n-1) || v >= 1<<(8*n-1)) {
		n++
	}
	b = append(b, Integer, byte(n))
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

// AppendUint writes one of the unsigned types in as few bytes as it takes.
func AppendUint(b []byte, tag byte, v uint64) []byte {
	n := 1
	for n < 9 && v>>(8*n-1) > 0 {
		n++
	}
	b = append(b, tag, byte(n))
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i))) // a ninth byte is zero: Go shifts out everything
	}
	return b
}

// Open begins an element whose length is not known yet; shut writes the length. It takes two bytes whatever it is,
// which BER allows and agents do.
func Open(b []byte, tag byte) (_ []byte, at int) {
	return append(b, tag, 0x82, 0, 0), len(b) + 4
}

func Shut(b []byte, at int) {
	n := len(b) - at
	b[at-2], b[at-1] = byte(n>>8), byte(n)
}
