// Package identity answers one question: which of the known devices is it that was just seen? A device that got a new
// address, or was carried to another commune, stays the same device; another device at the same address is another
// one, whatever the address says.
//
// What identifies, best first: a serial together with its vendor, an LLDP chassis id that is a MAC address, a MAC
// address, an SNMP engine id together with vendor and model, and last, weakly, the place: the same check of the same
// agent, or the same address at the same site, with nothing that speaks against it. Each has ways to lie. Makers ship
// boards whose serial is "To be filled by O.E.M."; two routers share one virtual MAC address; cloned gear has one
// engine id. Such values are recognised and identify nothing (TrustedSerial, TrustedMAC, TrustedEngineID), and one
// that two living devices share is told as a conflict.
//
// Two devices whose trustworthy serials differ are never taken for one. In doubt there are two devices and a conflict
// that a person can see: two entries are easily joined, histories that were mixed can't be taken apart.
//
// Everything here is pure: no clock, no storage.
package identity

import "time"

// Fact is one thing that was read of a device; names are those of probes.FactName: "vendor", "serial", "mac".
type Fact struct {
	Name       string
	Value      string
	Confidence float64 // 0..1; facts below MinConfidence identify nothing
}

// MinConfidence is how sure a fact must be to tell devices apart or to join them.
const MinConfidence = 0.5

// Sighting is what one run of one check found of one device.
type Sighting struct {
	Site    string
	Agent   string
	Check   string
	Device  string // tells apart what one check finds: the tag "device" of its rows; may be empty
	Address string // where it answered; "" where a fact "address" says it, or nobody knows
	At      time.Time
	// Interval is the time between two runs of the check: who was seen within it is taken to be there at the same
	// time. Zero: DefaultInterval.
	Interval time.Duration
	Facts    []Fact
}

// DefaultInterval is the Interval of a sighting that has none.
const DefaultInterval = 10 * time.Minute

// Device is a known device, as far as it serves to know it again. Lists come from stacks (a serial per member) and
// from machines with several network cards. The zero value of everything but ID is unknown.
type Device struct {
	ID      string
	Site    string
	Agent   string // of the last sighting, as Check, Device tag and Address are
	Check   string
	Tag     string
	Address string

	Vendor, Model, Class, SysName string
	Serials                       []string  // normalised (NormalSerial), trusted, sorted
	ChassisIDs, MACs              []string  // normalised (NormalMAC), trusted, sorted
	EngineIDs                     []string  // normalised, trusted, sorted
	LastSeen                      time.Time // when anything of it last answered, by whichever check
}

// Kind is the kind of a decision.
type Kind string

// The kinds of a decision.
const (
	KindSame      Kind = "same"      // it is Decision.Device
	KindNew       Kind = "new"       // nobody knew it
	KindAmbiguous Kind = "ambiguous" // it may be any of Decision.Candidates; a person must say
)

// Reason says what a decision rests on.
type Reason string

// The reasons, best first, and then those of new devices.
const (
	ReasonSerial   Reason = "serial"   // same serial and vendor
	ReasonChassis  Reason = "chassis"  // same chassis id
	ReasonMAC      Reason = "mac"      // same MAC address
	ReasonEngine   Reason = "engine"   // same engine id, vendor and model
	ReasonPlace    Reason = "place"    // same check of the same agent, nothing against it; weak
	ReasonAddress  Reason = "address"  // same site and address, same vendor or model, nothing against it; weaker
	ReasonUnknown  Reason = "unknown"  // new: nothing matches
	ReasonReplaced Reason = "replaced" // new: another device stood at its place
	ReasonApart    Reason = "apart"    // new: an identifier is shared with a device that is another one
	ReasonManyFit  Reason = "many_fit" // ambiguous: several devices fit equally well
)

// Decision is what became of a sighting.
type Decision struct {
	Kind       Kind
	Device     string // the known device, for KindSame
	Reason     Reason
	Confidence float64 // 0..1, that the device is this one; for KindNew, that it is none of the known

	// Joins are other known devices that this sighting shows to be the same one: they match by a trusted identifier
	// and contradict in nothing, such as one known by its MAC address alone beside one known by its serial.
	Joins      []string
	Replaces   string   // another device that stood at this place before: it is gone, or moved
	Candidates []string // for KindAmbiguous, sorted

	MovedFrom       string // the site it was known at, where that is another; else ""
	AddressedBefore string // the address it was known at, where that is another; else ""

	Conflicts []Conflict
}

// ConflictKind says what is wrong with an identifier.
type ConflictKind string

// The kinds of conflict.
const (
	ConflictSerial  ConflictKind = "duplicate_serial" // one serial on two living devices
	ConflictChassis ConflictKind = "duplicate_chassis"
	ConflictMAC     ConflictKind = "duplicate_mac"
	ConflictEngine  ConflictKind = "duplicate_engine" // as on cloned gear
)

// Conflict is an identifier that a sighting shares with a known device which it is not, or may not be.
type Conflict struct {
	Kind   ConflictKind
	Device string // the known device
	Value  string // the identifier, normalised
	Why    string // what tells the two apart: "serial", "hardware", "model", "vendor", "together", "other"
}
