package identify

import (
	"strings"
	"unicode"

	"communewatch/probes"
)

// silence is what devices put where they have nothing to say, beyond probes.Placeholder; folded.
var silence = map[string]bool{
	"unavailable": true, "tbd": true, "unknow": true, "private": true, "no serial": true, "not supported": true, "?": true,
	"no such object": true, "nosuchobject": true, "nosuchinstance": true, "no such instance": true, "--": true, "---": true,
}

func says(value string) bool {
	return !probes.Placeholder(value) && !silence[strings.ToLower(strings.Trim(value, "<>()[] "))]
}

// noModel is what stands for any device in the place of a model, noVendor in that of a make.
var (
	noModel = map[string]bool{
		"chassis": true, "stack": true, "switch": true, "router": true, "system": true, "device": true, "unit": true, "server": true,
		"printer": true, "ups": true, "ap": true, "mainboard": true, "main board": true, "motherboard": true, "module": true, "fixed": true,
		"card": true, "board": true, "snmp agent": true, "generic": true, "virtual stack": true, "vcstack": true, "product name": true, "model name": true,
	}
	noVendor = map[string]bool{
		"ups": true, "manufacturer": true, "vendor": true, "generic": true, "other": true, "snmp": true, "power": true, "company": true,
		"vendor name": true, "ups manufacturer": true,
	}
)

// clean makes a value fit to be shown as a fact, "" if it says nothing. vendor is the vendor's name, if known.
func clean(name probes.FactName, value, vendor string) string {
	value = strings.TrimSpace(strings.Trim(strings.TrimSpace(value), "\"'\x00"))
	value = strings.TrimRight(value, ",;")
	if value == "" || name != probes.FactVersion && !says(value) { // 1.2.3.4.5 is a version
		return ""
	}
	switch name {
	case probes.FactVendor:
		if noVendor[strings.ToLower(value)] || len(value) > 64 || !strings.ContainsFunc(value, unicode.IsLetter) {
			return ""
		}
	case probes.FactSerial:
		value = cutLabel(value, "system mac", "s/n", "sn", "serial number", "serial no", "serial")
		if len(value) < 4 || strings.Trim(value, "0-:. ") == "" || !strings.ContainsFunc(value, unicode.IsDigit) && (len(value) < 6 || strings.Contains(value, " ")) {
			return ""
		}
		if !says(value) || len(value) > 64 {
			return ""
		}
	case probes.FactModel:
		if len(value) < 2 || len(value) > 100 || noModel[strings.ToLower(value)] {
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
