package stun

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"

	"communewatch/probes/connect"
)

// What a message is made of (RFC 8489 5, 14 and 18).
const (
	headSize = 20
	cookie   = 0x2112A442

	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	bindingError   = 0x0111

	attrMapped      = 0x0001
	attrErrorCode   = 0x0009
	attrXORMapped   = 0x0020
	attrXORMapped2  = 0x8020 // of drafts before RFC 5389, still sent by some
	attrSoftware    = 0x8022
	attrFingerprint = 0x8028
	fingerprintMask = 0x5354554E
	familyIPv4      = 1
	familyIPv6      = 2
	maxText         = 120 // bytes of a name or a reason that are kept
	maxMessageBytes = 16 << 10
)

// transaction is the id by which request and answer are matched.
type transaction [12]byte

// answer is what a server said.
type answer struct {
	mapped   netip.AddrPort // the address that it saw; not valid when it names none
	software string
	code     int // of an error response, 300 to 699; 0 in a success response
	reason   string
}

var (
	errNotSTUN = errors.New("not STUN")
	errForeign = errors.New("it answers another request")
)

// request returns a binding request without attributes.
func request(id transaction) []byte {
	b := make([]byte, headSize)
	binary.BigEndian.PutUint16(b, bindingRequest)
	binary.BigEndian.PutUint32(b[4:], cookie)
	copy(b[8:], id[:])
	return b
}

// size reads from the first headSize bytes how long a message is altogether.
func size(head []byte) (int, error) {
	n := int(binary.BigEndian.Uint16(head[2:]))
	if head[0]&0xC0 != 0 || n%4 != 0 || binary.BigEndian.Uint32(head[4:]) != cookie {
		return 0, errNotSTUN
	}
	return headSize + n, nil
}

// parse reads an answer to the request with the id: errNotSTUN for what is no STUN message, errForeign for one that is
// no answer to it. Of an attribute that is there twice the first counts (RFC 8489 14). What the server adds that is not
// known is passed over, even where RFC 8489 would have a client give up: it is a probe, and the server is there.
func parse(b []byte, id transaction) (answer, error) {
	var a answer
	if len(b) < headSize {
		return a, errNotSTUN
	}
	n, err := size(b)
	if err != nil || n > len(b) {
		return a, errNotSTUN
	}
	kind := binary.BigEndian.Uint16(b)
	if kind != bindingSuccess && kind != bindingError || transaction(b[8:headSize]) != id {
		return a, errForeign
	}
	var plain, masked, masked2 netip.AddrPort
	seen := map[uint16]bool{}
	for at := headSize; at < n; {
		if n-at < 4 {
			return a, errNotSTUN
		}
		attr, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		start := at
		at += 4
		if n-at < length {
			return a, errNotSTUN
		}
		value := b[at : at+length]
		at += (length + 3) &^ 3
		if seen[attr] {
			continue
		}
		seen[attr] = true
		switch attr {
		case attrMapped:
			plain = address(value, nil)
		case attrXORMapped:
			masked = address(value, b[4:headSize])
		case attrXORMapped2:
			masked2 = address(value, b[4:headSize])
		case attrSoftware:
			a.software = connect.Text(string(value), maxText)
		case attrErrorCode:
			if len(value) >= 4 {
				a.code = int(value[2]&7)*100 + int(value[3])
				a.reason = connect.Text(string(value[4:]), maxText)
			}
		case attrFingerprint:
			if len(value) != 4 || binary.BigEndian.Uint32(value) != crc32.ChecksumIEEE(b[:start])^fingerprintMask {
				return a, errNotSTUN // damaged on the way
			}
		}
	}
	if kind == bindingError {
		if a.code < 300 || a.code > 699 {
			return a, errNotSTUN // it must say why (RFC 8489 14.8)
		}
		return a, nil
	}
	a.code, a.reason = 0, ""
	for _, m := range []netip.AddrPort{masked, masked2, plain} {
		if m.IsValid() && !a.mapped.IsValid() {
			a.mapped = m
		}
	}
	return a, nil
}

// address reads a mapped address; mask is cookie and transaction id where it is masked by them, else nil. What is no
// address is the zero AddrPort.
func address(value, mask []byte) netip.AddrPort {
	if len(value) < 4 {
		return netip.AddrPort{}
	}
	size := map[byte]int{familyIPv4: 4, familyIPv6: 16}[value[1]]
	if size == 0 || len(value) != 4+size {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(value[2:])
	ip := append([]byte(nil), value[4:]...)
	if mask != nil {
		port ^= cookie >> 16
		for i := range ip {
			ip[i] ^= mask[i]
		}
	}
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port)
}
