package machine

import "encoding/binary"

// Bounds of a firmware table: real ones have some kilobytes and at most a few hundred structures.
const (
	maxTable      = 256 << 10
	maxStructures = 4096
)

// firmware is what the SMBIOS table says (DSP0134): types 1 (system), 2 (board), 3 (chassis), 0 (BIOS) and 17 (memory).
type firmware struct {
	plate
	memory uint64 // bytes of all memory modules; 0: not told
}

// parseSMBIOS reads the structures of a table, without its entry point. It takes what is sound and stops at what is not.
func parseSMBIOS(table []byte) firmware {
	var out firmware
	if len(table) > maxTable {
		table = table[:maxTable]
	}
	var seen [4]bool // of types 0 to 3 the first counts: later ones are of parts such as a blade's enclosure
	for range maxStructures {
		// A structure: type, length of its fixed part, handle; the fixed part; its texts, each ended by a zero; a zero.
		if len(table) < 4 {
			return out
		}
		kind, size := table[0], int(table[1])
		if size < 4 || size > len(table) || kind == 127 {
			return out
		}
		fixed, rest := table[:size], table[size:]
		var texts []string
		start, end := 0, -1
		for i := 0; i+1 < len(rest); i++ {
			if rest[i] != 0 {
				continue
			}
			if i > start || len(texts) > 0 {
				texts = append(texts, string(rest[start:i]))
			}
			start = i + 1
			if rest[i+1] == 0 {
				end = i + 2
				break
			}
		}
		if end < 0 {
			return out
		}
		text := func(offset int) string {
			if offset >= size || fixed[offset] == 0 || int(fixed[offset]) > len(texts) {
				return ""
			}
			return texts[fixed[offset]-1]
		}
		if kind == 17 {
			out.memory += moduleBytes(fixed)
		}
		if kind < 4 && !seen[kind] {
			seen[kind] = true
			switch kind {
			case 0:
				out.biosVendor, out.biosVersion, out.biosDate = text(4), text(5), text(8)
			case 1:
				out.vendor, out.product, out.version, out.serial, out.family = text(4), text(5), text(6), text(7), text(26)
			case 2:
				out.boardVendor, out.board = text(4), text(5)
			case 3:
				if size > 5 {
					out.chassis = int(fixed[5] & 0x7f) // the top bit says that it has a lock
				}
			}
		}
		table = rest[end:]
	}
	return out
}

// moduleBytes is the size of a memory module (DSP0134 7.18).
func moduleBytes(fixed []byte) uint64 {
	if len(fixed) < 14 {
		return 0
	}
	n := binary.LittleEndian.Uint16(fixed[12:])
	switch {
	case n == 0 || n == 0xffff: // empty slot, unknown
		return 0
	case n == 0x7fff && len(fixed) >= 32: // too large for the old field
		return uint64(binary.LittleEndian.Uint32(fixed[28:])&0x7fffffff) << 20
	case n&0x8000 != 0:
		return uint64(n&0x7fff) << 10
	}
	return uint64(n) << 20
}
