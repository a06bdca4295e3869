package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"communewatch/probes"
)

// DeviceName is the tag of a piece of equipment. It stays with the equipment, not with its address, as long as there is
// something to know it by: its serial, its chassis id, its network card, in this order. Otherwise it is its address on
// its path. The facts are those of fingerprint.Best.
func DeviceName(path probes.Path, facts []probes.Fact) string {
	value := func(name probes.FactName) string {
		for _, f := range facts {
			if f.Name == name && f.Confidence >= 0.5 {
				return strings.ToLower(f.Value)
			}
		}
		return ""
	}
	key := "address|" + string(path) + "|" + value(probes.FactAddress)
	if serial := value(probes.FactSerial); !probes.Placeholder(serial) {
		key = "serial|" + value(probes.FactVendor) + "|" + serial
	} else if chassis := value(probes.FactChassisID); !probes.Placeholder(chassis) {
		key = "chassis|" + chassis
	} else if mac := value(probes.FactMAC); !probes.Placeholder(mac) {
		key = "mac|" + mac
	}
	sum := sha256.Sum256([]byte(key))
	return "d" + hex.EncodeToString(sum[:8])
}
