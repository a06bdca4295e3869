package poll

import (
	"fmt"
	"hash/fnv"
	"net/netip"

	"communewatch/probes/snmp/ask"
)

// Subtypes of LLDP's ids whose value is a MAC address.
const (
	macChassis = 4
	macPort    = 3
)

// identifier writes an LLDP id as people know it: addresses in their notation, other bytes as text.
func identifier(subtype, id ask.Value, mac uint64) string {
	kind, _ := subtype.Uint()
	switch {
	case len(id.Bytes) == 6 && (kind == mac || id.Text() == "" || !printable(id.Bytes)):
		b := id.Bytes
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
	case len(id.Bytes) == 5 && id.Bytes[0] == 1 && !printable(id.Bytes): // a network address: family, then the address
		a, _ := netip.AddrFromSlice(id.Bytes[1:])
		return a.String()
	}
	return id.Text()
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// hash makes a number that stays with its texts.
func hash(texts ...string) uint32 {
	h := fnv.New32a()
	for _, t := range texts {
		h.Write([]byte(t))
		h.Write([]byte{0})
	}
	return h.Sum32()
}
