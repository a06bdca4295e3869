package identify

import (
	"strings"
	"unicode"

	"communewatch/probes"
)

// junk is what devices say when they have nothing to say, folded.
var junk = map[string]bool{
	"": true, "unknown": true, "none": true, "(none)": true, "n/a": true, "na": true, "null": true, "(null)": true, "nil": true,
	"not available": true, "not applicable": true, "not specified": true, "not set": true, "unavailable": true, "undefined": true,
	"default": true, "default string": true, "to be filled by o.e.m.": true, "system serial number": true, "system product name": true,
	"o.e.m": true, "oem": true, "invalid": true, "no serial": true, "unspecified": true, "empty": true, "tbd": true, "test": true,
	"model": true, "serial": true, "version": true, "-": true, "--": true, "---": true, "?": true, ".": true, "\"\"": true, "''": true,
	"0123456789": true, "123456789": true, "1234567890": true, "12345678": true, "123456": true, "not defined": true, "unknow": true,
	"<private>": true, "private": true, "no such object": true, "nosuchobject": true, "nosuchinstance": true, "no such instance": true, "not supported": true,
}

// clean makes a value fit to be shown as a fact, "" if it says nothing. vendor is the vendor's name, if known.
func clean(name probes.FactName, value, vendor string) string {
	value = strings.TrimSpace(strings.Trim(strings.TrimSpace(value), "\"'\x00"))
	value = strings.TrimRight(value, ",;")
	if junk[strings.ToLower(value)] {
		return ""
	}
	switch name {
	case probes.FactSerial:
		value = cutLabel(value, "s/n", "sn", "serial number", "serial no", "serial")
		if len(value) < 4 || sameCharacter(value) || !strings.ContainsFunc(value, unicode.IsDigit) && len(value) < 6 {
			return ""
		}
		if junk[strings.ToLower(value)] || len(value) > 64 {
			return ""
		}
	case probes.FactModel:
		if len(value) > 100 || sameCharacter(value) {
			return ""
		}
		if rest, ok := cutFold(value, vendor); ok && vendor != "" && strings.HasPrefix(rest, " ") {
			value = strings.TrimSpace(rest)
		}
	case probes.FactVersion:
		value = cutLabel(value, "firmware version", "software version", "version", "firmware", "ver", "fw")
		if !strings.ContainsFunc(value, unicode.IsDigit) || len(value) > 80 || strings.Trim(value, "0.") == "" {
			return ""
		}
	}
	return value
}

// cutLabel takes a label such as "S/N:" off the front of a value.
func cutLabel(value string, labels ...string) string {
	for _, label := range labels {
		if rest, ok := cutFold(value, label); ok && rest != "" && strings.ContainsRune(": .=#", rune(rest[0])) {
			return strings.TrimLeft(rest, ": .=#")
		}
	}
	return value
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func sameCharacter(s string) bool {
	return len(s) > 1 && strings.Trim(s, s[:1]) == ""
}
