package probes

import "strings"

// Placeholder reports whether a text that hardware says of itself is no more than what its maker forgot to fill in:
// "To be filled by O.E.M.", "Default string", "0123456789", "None", zeros. Many machines share such a serial, so whoever
// takes one for an identity merges them into one.
func Placeholder(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	switch strings.Trim(s, "<>[]() .") {
	case "", "-", "none", "null", "nil", "n/a", "na", "not available", "not applicable", "not specified", "not present",
		"not set", "not defined", "unknown", "undefined", "unspecified", "invalid", "empty", "default", "default string",
		"oem", "o.e.m", "o.e.m.", "standard", "test", "x.x", "type1family", "type1productconfigid", "type2 - board version",
		"system manufacturer", "system product name", "system version", "system serial number", "system name", "sku", "family",
		"system sku", "chassis manufacture", "chassis version", "chassis serial number", "base board serial number",
		"board serial number", "serial number", "serialnumber", "serial", "sn", "product name", "model", "all series",
		"no enclosure", "no asset tag", "no asset information", "asset tag", "version", "string", "noserial", "no serial number",
		"bsn12345678901234567", "mb-1234567890", "12345678901234567", "0123456789abcdef", "abcdefghij":
		return true
	}
	if strings.Contains(s, "to be filled") || strings.Contains(s, "to be set by oem") || strings.Contains(s, "filled by o.e.m") {
		return true
	}
	// One character over and over, whatever stands between: 00000000, xxxx-xxxx, FF:FF:FF:FF:FF:FF.
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-:._/ ", r) {
			return -1
		}
		return r
	}, s)
	if plain == "" || strings.Trim(plain, plain[:1]) == "" && (len(plain) > 3 || strings.ContainsAny(plain[:1], "0x")) {
		return true
	}
	// The digits in their order, from 0 or 1: 123456789, 0123456789, 1234567890123.
	if len(plain) < 5 {
		return false
	}
	for i := 1; i < len(plain); i++ {
		if plain[0] != '0' && plain[0] != '1' || plain[i] != '0'+(plain[0]-'0'+byte(i))%10 {
			return false
		}
	}
	return true
}
