package identity

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"communewatch/inventory"
)

// Bounds of identifiers. Longer ones are no identifiers but mistakes.
const (
	maxValue   = 200
	minSerial  = 5
	maxSerial  = 64
	maxPerKind = 64 // serials or MAC addresses of one device: a stack has up to 16 members, a server some cards
)

// letters keeps the letters and digits of a text, in upper case.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return -1
	}, s[:min(len(s), maxValue)])
}

// NormalSerial reduces a serial to what two people who copied it would both have: letters and digits in upper case,
// without a heading such as "S/N:".
func NormalSerial(s string) string {
	s = strings.TrimSpace(s)
	upper := strings.ToUpper(s)
	for _, heading := range []string{"SERIAL NUMBER", "SERIAL NO", "SERIAL", "SỐ SERIAL", "SỐ SÊ-RI", "S/N", "SN"} {
		rest, ok := strings.CutPrefix(upper, heading)
		if rest = strings.TrimLeft(rest, " ."); ok && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "#")) {
			upper = rest
			break
		}
	}
	return letters(upper)
}

// junkSerials are what makers and vendors leave where a serial belongs, normalised.
func junkSerials() []string {
	return []string{"TOBEFILLEDBYOEM", "TOBEFILLEDBYOEM0", "DEFAULTSTRING", "SYSTEMSERIALNUMBER", "CHASSISSERIALNUMBER",
		"BASEBOARDSERIALNUMBER", "SERIALNUMBER", "SERIALNUMBER1", "SN123456", "SN1234567", "SN12345678", "SN123456789",
		"SN1234567890", "SN0123456789", "MB1234567890", "BSS0123456789", "BSN12345678901234567", "NB1234567890",
		"CSN12345678901234567", "123456789ABC", "123456789ABCDEF", "0123456789ABCDEF", "1234567890ABCDEF", "ABC12345",
		"ABC123", "ABC123456", "ABC1234567", "TEST123", "TEST1234", "DEADBEEF", "CAFEBABE", "1A2B3C4D", "A1B2C3D4", "OEM12345",
		"9876543210", "11223344", "1122334455", "112233445566", "12341234", "12345678901234567890", "XXXXXXXX00"}
}

// TrustedSerial reports whether a normalised serial may identify a device. Texts without a digit are not trusted: they
// are "None", "Default string" and their like, in all languages; nor are counts ("0123456789"), repetitions
// ("0000000", "ABABAB"), and what is nothing but zeros and one or two digits.
func TrustedSerial(s string) bool {
	if len(s) < minSerial || len(s) > maxSerial || !strings.ContainsAny(s, "0123456789") || slices.Contains(junkSerials(), s) {
		return false
	}
	significant := strings.TrimLeft(s, "0")
	if len(strings.Trim(significant, "0")) < 3 || repeats(s) || repeats(significant) || counts(s) || counts(significant) {
		return false
	}
	return true
}

// repeats reports whether s is one to three characters over and over.
func repeats(s string) bool {
	for n := 1; n <= 3 && 2*n <= len(s); n++ {
		if strings.HasPrefix(strings.Repeat(s[:n], len(s)/n+1), s) && (n == 1 || len(s) >= 3*n) {
			return true
		}
	}
	return false
}

// counts reports whether every character of s is one more, or one less, than the one before; 9 is followed by 0.
func counts(s string) bool {
	up, down := true, true
	for i := 1; i < len(s); i++ {
		a, b := s[i-1], s[i]
		up = up && (b == a+1 || a == '9' && b == '0')
		down = down && (b == a-1 || a == '0' && b == '9')
	}
	return len(s) > 1 && (up || down)
}

// NormalMAC writes a MAC address as aa:bb:cc:dd:ee:ff, whatever way it is written in: with colons, dashes, dots or
// nothing, zeros left out as some systems do. "" for what is none.
func NormalMAC(s string) string {
	s = strings.ToLower(strings.TrimSpace(s[:min(len(s), maxValue)]))
	s = strings.TrimPrefix(s, "0x")
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '-' || r == '.' || r == ' ' })
	switch len(parts) {
	case 6: // aa:b:cc:dd:ee:ff
		for i, p := range parts {
			if len(p) == 1 {
				parts[i] = "0" + p
			}
		}
	case 1, 2, 3: // aabbccddeeff, aabbcc-ddeeff, aabb.ccdd.eeff
	default:
		return ""
	}
	digits := strings.Join(parts, "")
	mac, err := hex.DecodeString(digits)
	if err != nil || len(mac) != 6 || len(parts) == 6 && slices.ContainsFunc(parts, func(p string) bool { return len(p) != 2 }) {
		return ""
	}
	var b strings.Builder
	for i := range 6 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(digits[2*i : 2*i+2])
	}
	return b.String()
}

// TrustedMAC reports whether a normalised MAC address may identify a device: not those of groups, not those that
// software made up (the "locally administered" bit, as Docker, virtual pairs and telephones that hide do), not those
// that routers share (VRRP, HSRP, GLBP), and not those that come from an empty memory chip.
func TrustedMAC(mac string) bool {
	b, err := hex.DecodeString(strings.ReplaceAll(mac, ":", ""))
	if err != nil || len(b) != 6 {
		return false
	}
	if b[0]&1 != 0 || b[0]&2 != 0 {
		return false
	}
	for _, shared := range []string{"00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:05:73:a0:0", "00:07:b4:00:", "00:00:00:00:"} {
		if strings.HasPrefix(mac, shared) {
			return false
		}
	}
	// What cheap network chips have when nobody programmed them, and what examples in manuals have.
	unset := []string{"00:11:22:33:44:55", "00:01:02:03:04:05", "00:12:34:56:78:9a", "00:12:34:56:78:90", "00:e0:4c:68:00:01",
		"00:e0:4c:36:00:01", "00:e0:4c:00:00:01", "88:88:88:88:87:88", "00:0b:0e:0f:00:ed", "00:90:4c:11:22:33", "00:50:43:00:00:00"}
	if slices.Contains(unset, mac) || repeats(strings.ReplaceAll(mac, ":", "")) {
		return false
	}
	return true
}

// NormalEngineID writes an SNMP engine id as hex digits in lower case; "" for what is none.
func NormalEngineID(s string) string {
	s = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s[:min(len(s), maxValue)])), "0x")
	s = strings.NewReplacer(":", "", " ", "", "-", "").Replace(s)
	if b, err := hex.DecodeString(s); err != nil || len(b) < 5 || len(b) > 32 {
		return ""
	}
	return s
}

// TrustedEngineID reports whether a normalised engine id may identify a device. One made from an IP address (RFC 3411
// 5, formats 1 and 2) may not: every office has a 192.168.1.1. One made from a MAC address is as good as that is.
func TrustedEngineID(s string) bool {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) < 5 || len(b) > 32 {
		return false
	}
	rest := b[4:]
	if b[0]&0x80 != 0 {
		switch format := b[4]; {
		case format == 1 || format == 2:
			return false
		case format == 3 && len(b) == 11:
			return TrustedMAC(NormalMAC(hex.EncodeToString(b[5:])))
		}
		rest = b[5:]
	}
	if len(rest) < 3 {
		return false
	}
	digits := hex.EncodeToString(rest)
	return !repeats(digits) && !counts(digits) && !strings.HasPrefix(digits, "0102030405") &&
		strings.Trim(digits, "0") != "" && len(strings.Trim(digits, "0")) >= 3
}

// VendorKey reduces a vendor's name so that "Hewlett-Packard Company", "HPE" and "HP" are equal: folded, without the
// words for a company, and with the names a maker had before or sells under as one. "" for no name.
func VendorKey(vendor string) string {
	words := strings.FieldsFunc(inventory.Fold(vendor[:min(len(vendor), maxValue)]), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	// Names of two words are one.
	for i := 0; i+1 < len(words); i++ {
		if pair := words[i] + words[i+1]; slices.Contains([]string{"tplink", "dlink", "hewlettpackard", "cyberpower",
			"alliedtelesis", "wattbox", "konicaminolta", "mikrotikls"}, pair) {
			words = slices.Replace(words, i, i+2, pair)
		}
	}
	var kept []string
	for _, w := range words {
		switch w {
		case "co", "ltd", "inc", "corp", "corporation", "company", "limited", "llc", "gmbh", "ag", "bv", "sa", "the", "cong", "ty",
			"technologies", "technology", "systems", "system", "networks", "networking", "network", "communications",
			"communication", "electronics", "electronic", "international", "group", "hang", "viet", "nam", "vietnam":
		default:
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		kept = words
	}
	for i := len(kept) - 1; i >= 0; i-- { // from the end: "HP Poly" is Poly, "Fuji Xerox" Xerox
		if known := maker(kept[i]); known != "" {
			return known
		}
	}
	return strings.Join(kept, "")
}

// maker returns the one name of makers that are written in several ways.
func maker(word string) string {
	switch word {
	case "hp", "hpe", "hewlettpackard", "hewlett", "aruba", "procurve":
		return "hp"
	case "cisco", "tandberg", "meraki":
		return "cisco"
	case "poly", "polycom", "plantronics":
		return "poly"
	case "mikrotik", "mikrotikls", "routerboard":
		return "mikrotik"
	case "ubiquiti", "ubnt", "unifi":
		return "ubiquiti"
	case "apc", "schneider":
		return "apc"
	case "hikvision", "hikvison":
		return "hikvision"
	case "tplink", "omada":
		return "tplink"
	case "ruckus", "commscope":
		return "ruckus"
	case "dlink", "draytek", "huawei", "zte", "juniper", "fortinet", "sophos", "watchguard", "netgear", "zyxel", "dell",
		"extreme", "ruijie", "h3c", "lifesize", "sony", "avaya", "yealink", "aver", "canon", "ricoh", "brother", "kyocera",
		"xerox", "epson", "cyberpower", "eaton", "santak", "synology", "qnap", "dahua", "axis", "logitech", "lenovo", "samsung",
		"planet", "alliedtelesis", "microsoft", "asus", "acer", "lexmark", "oki", "konicaminolta", "toshiba", "panasonic":
		return word
	}
	return ""
}

// ModelKey reduces a model's name to letters and digits in upper case, without the vendor's name before it, whichever
// of its names that is: of "HP LaserJet 400" by Hewlett-Packard it leaves LASERJET400.
func ModelKey(vendor, model string) string {
	key, maker := letters(model), VendorKey(vendor)
	if maker == "" {
		return key
	}
	if words := strings.Fields(model[:min(len(model), maxValue)]); len(words) > 1 && VendorKey(words[0]) == maker {
		return letters(strings.Join(words[1:], ""))
	}
	for _, name := range []string{letters(vendor), strings.ToUpper(maker)} {
		if rest, ok := strings.CutPrefix(key, name); ok && len(rest) >= 3 {
			return rest
		}
	}
	return key
}

// normalAddress writes an IP address in one way; other texts are left as they are.
func normalAddress(s string) string {
	if a, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return strings.TrimSpace(s[:min(len(s), maxValue)])
}
