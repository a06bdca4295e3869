package snmp

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"communewatch/probes"
)

// stableID is a text that stays with a piece of equipment, and what it is.
type stableID struct {
	name  probes.FactName
	value string
}

// DeviceTag names a device by what stays with it, however its address changes: by the best of serial number (with the
// vendor), LLDP chassis id, SNMP engine id, MAC address, and address where it has nothing better. It is the tag
// "device" of equipment rows: d and eight hexadecimal digits.
func DeviceTag(facts []probes.Fact) string { return bestID(facts).tag() }

func (id stableID) tag() string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", id.name, id.value)
	return fmt.Sprintf("d%08x", h.Sum32())
}

func bestID(facts []probes.Fact) stableID {
	for _, name := range idNames() {
		if value := idValue(facts, name); value != "" {
			return stableID{name, value}
		}
	}
	return stableID{}
}

func idNames() []probes.FactName {
	return []probes.FactName{probes.FactSerial, probes.FactChassisID, probes.FactEngineID, probes.FactMAC, probes.FactAddress}
}

// idValue is the value of a fact as an identity; "" if there is none that is worth something.
func idValue(facts []probes.Fact, name probes.FactName) string {
	get := func(name probes.FactName) string {
		for _, f := range facts {
			if f.Name == name {
				return strings.ToLower(strings.TrimSpace(f.Value))
			}
		}
		return ""
	}
	value := get(name)
	switch name {
	case probes.FactSerial:
		if !trustworthy(value) {
			return ""
		}
		return get(probes.FactVendor) + "\x00" + value
	case probes.FactChassisID, probes.FactEngineID, probes.FactMAC:
		if !trustworthy(value) {
			return ""
		}
	}
	return value
}

// trustworthy reports whether a text can be one device's own. Makers that give no serial numbers write the same text
// into every device.
func trustworthy(s string) bool {
	const least = 5
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" .:-_/", r) {
			return -1
		}
		return r
	}, s)
	if len(plain) < least || strings.Trim(plain, plain[:1]) == "" || strings.Contains("01234567890123456789", plain) ||
		strings.Contains("abcdefghijklmnopqrstuvwxyz", plain) {
		return false
	}
	return !slices.ContainsFunc([]string{"none", "unknown", "default", "serial", "filled", "invalid", "notspecified", "notavailable", "notapplicable", "system", "todo", "xxxx", "chassis"},
		func(junk string) bool { return strings.Contains(plain, junk) })
}

// device names the device that facts are about. It stays the one that was known before unless what told that one
// apart is another now: an answer that lacks the serial number once makes no new device.
func (e *equipment) device(facts []probes.Fact) (tag string, best stableID) {
	if e.best.name != "" {
		if now := idValue(facts, e.best.name); now == "" || now == e.best.value {
			return e.tag, e.best
		}
	}
	best = bestID(facts)
	return best.tag(), best
}
