package terms

import (
	"time"

	"communewatch/inventory"
)

// Method says how a value was read. The zero Method is unknown.
type Method string

// The methods, as findings name them.
const (
	MethodSNMP    Method = "snmp"
	MethodHTTP    Method = "http"
	MethodSSH     Method = "ssh"
	MethodSIP     Method = "sip"
	MethodMAC     Method = "mac"     // derived from the MAC address
	MethodMachine Method = "machine" // read by the agent on its own machine
	MethodHand    Method = "hand"    // entered by a reviewer
	MethodLedger  Method = "ledger"  // from a purchase list
)

// Value is one thing known of an item, with its evidence. The zero Value is unknown.
type Value struct {
	Text       string
	Method     Method
	Source     string    // an OID, a header, a file, a document
	At         time.Time // when it was read
	Confidence float64   // 0..1
	By         string    // who entered it, for MethodHand
}

// Known reports whether there is a value.
func (v Value) Known() bool { return v.Text != "" }

// Tri is yes, no, or not known.
type Tri uint8

// The values of a Tri; the zero Tri is not known.
const (
	Unknown Tri = iota
	No
	Yes
)

// Item is one piece of equipment as the rules see it. Everything may be unknown.
type Item struct {
	ID   string // of the registry
	Site string

	Class, Vendor, Model, Hardware, Version, Serial Value // as probes.Fact names them
	OS, OSEdition, OSRelease, OSBuild               Value
	CPU, TPM                                        Value
	Protocols                                       Value   // what it offers, sorted, separated by spaces
	Wifi                                            Value   // radio generations and ciphers, as "802.11n wpa2"
	Platform                                        Value   // conference platform it is used with: teams, zoom
	Flags                                           []Value // the maker's own statements, as "model_in_eol=true"

	InService     inventory.Date // zero: unknown
	InServiceFrom Value          // where the date comes from: invoice, ledger, BIOS date (weak)
	Price         int64          // original price in VND, taxes included; 0: unknown
	PriceFrom     Value          // where the prices come from: invoice, ledger; unknown: taken from InServiceFrom
	ReplacePrice  int64          // proposed price of a replacement, VND; 0: none proposed
	EquivalentNew int64          // price of an equivalent new one, VND; 0: unknown
	Life          int            // useful life in years from the ledger; 0: by the legal table
	WarrantyUntil inventory.Date

	Repair       int64 // estimated repair, VND; 0: none
	RepairFrom   Value // the quote
	Failures     int   // within the 12 months before as-of
	FailuresFrom Value // the tickets; unknown: nobody counts them

	Reachable  Tri   // from outside
	OnlyUplink Tri   // of its site
	Service    Tri   // carries the conference or the one-stop desk
	Isolated   Value // documented isolation
}
