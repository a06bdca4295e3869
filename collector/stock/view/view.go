// Package view is the shape of what the inventory answers: rows, devices, counts, proposals. Screens, exports and the API
// are built against it; package stock fills it in.
package view

import (
	"time"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/purchases"
)

// Query says what is asked for.
type Query struct {
	AsOf   inventory.Date // zero: today
	Lang   string         // "vi" (also when empty) or "en", of the sentences
	Filter Filter
}

// Filter narrows what is listed. Its zero value lets everything through; every field that is set must fit.
type Filter struct {
	Site, District        string // as in Row
	Class, Vendor, Model  string // as in Row
	Phase                 string // as in Row; NoPhase: devices without a purchase
	Standing              Standing
	State                 lifecycle.State
	Band                  lifecycle.Band // as in Row
	Action                lifecycle.Action
	Legal                 lifecycle.LegalState
	Search                string // words that must all occur in some text of the row, without regard to accents and case
	OnlyGone, WithoutGone bool   // devices not seen for GoneAfter
	Unmatched             bool   // only devices that no purchase is known of
}

// NoPhase is the Filter.Phase of devices that belong to no known purchase.
const NoPhase = "-"

// GoneAfter is for how long a device is not seen until it counts as gone: it is still listed, and says so.
const GoneAfter = 30 * 24 * time.Hour

// Standing is what a device counts as in the three numbers of a summary.
type Standing = lifecycle.Bucket

// The standings. Unknown is never fine and never outdated.
const (
	Outdated = lifecycle.BucketOutdated
	Fine     = lifecycle.BucketFine    // ok, or due soon
	Unknown  = lifecycle.BucketUnknown // nothing known, to be reviewed, or too little known to call it fine
)

// Row is one device as a table shows it. Texts are empty where nothing is known.
type Row struct {
	ID                       string
	Site, SiteName, District string
	Name                     string // what its owners called it
	Class, Vendor, Model     string
	Hardware, Version, OS    string
	Serial, Address, MAC     string
	FirstSeen, LastSeen      time.Time // zero: only on paper, never seen
	Gone                     bool      // not seen for GoneAfter
	Phase, Contract, Unit    string    // of its purchase; Unit is the id of the bought piece
	Price                    int64     // VND; 0: unknown
	WarrantyUntil, InService inventory.Date
	Link                     purchases.Reason // how its purchase was found; empty: none is known
	LinkConfidence           float64          // 0..1; 0 without a link
	State                    lifecycle.State
	Standing                 Standing
	Legal                    lifecycle.LegalState
	Severity                 lifecycle.Severity
	Replace                  lifecycle.Replacement // whether "replace" may be proposed
	Unverified               bool                  // the legal answer rests on a table that was not verified against the gazette
	Score                    int                   // replacement priority, 0..100
	Band                     lifecycle.Band
	Rule                     string // of the main finding; empty when there is none
	Reason, LegalReason      string // sentences
	Action                   lifecycle.Action
	Due                      inventory.Date // the date the main finding turns on
	SupportEnds              inventory.Date // the earliest end of support that is known of it; zero: none
	HardwareEnds             inventory.Date // the same of its hardware alone
	SoftwareEnds             inventory.Date // the same of what runs on it, which an upgrade may cure
	Evidence                 string         // quality of the sources: "A", "B", "C", mixed "AB"; empty without any
	Stale                    bool           // a source was last looked at long ago
	Completeness             float64        // share of inputs known, 0..1
	Failures                 int            // tickets in the 12 months before as-of
	Conflicts, Duplicates    int            // facts that sources disagree on; other devices that may be this one
	Unconfirmed              bool           // identified with little confidence
}

// Device is all that is known of one device.
type Device struct {
	Row
	Facts       []Fact   // by fact in the order of probes.FactNames; within one, the value in use first
	History     []Change // newest first
	Findings    []Finding
	LegalChecks []Finding
	Priority    []Points // what the score is made of
	Purchase    *Purchase
	Candidates  []Purchase // bought pieces that it may be, when none is linked
	Sightings   []Sighting
	Duplicates  []Duplicate
	Tickets     []Ticket
	Notes       []Note
	Questions   []Question
}

// Fact is one value that one source says.
type Fact struct {
	Name       string // as probes.FactName
	Value      string
	Source     string // an OID, a header, a document
	Method     lifecycle.Method
	Confidence float64
	Since      time.Time // when this value was first read
	At         time.Time // when it was last read
	Agent      string    // who read it; empty for what people entered
	Check      string
	By         string // who entered it
	Used       bool   // this is the value that rules go by
	Conflict   bool   // another source of like confidence says something else
}

// Change is one change of a fact.
type Change struct {
	At       time.Time
	Fact     string
	From, To string // empty From: it became known; empty To: it was taken back
	Source   string
	By       string // agent, or the person who entered it
}

// Finding is a finding with its sentence.
type Finding struct {
	lifecycle.Finding
	Text       string
	ActionText string // empty where nothing is proposed
}

// Points is one part of a priority, with its sentence.
type Points struct {
	lifecycle.Part
	Text string
}

// Purchase is one bought piece, as its list has it, and the device it is.
type Purchase struct {
	purchases.Purchase
	SiteName   string
	Device     string           // the device it is; empty when not found
	Link       purchases.Reason // how that was found; empty when it was not
	Confidence float64          // 1 for a serial or a person's word
	Moved      bool             // the device is at another site than the piece was bought for
	By, Source string           // who linked it by what document, for purchases.ReasonHand
}

// Sighting is one check that sees a device.
type Sighting struct {
	Site, Agent, Target, Path string
	Kind                      string // of the check
	Key                       string // tells apart what one check finds
	First, Last               time.Time
}

// Duplicate is another device that may be the same one, or that claims the same serial number.
type Duplicate struct{ ID, Why string }

// Ticket is a repair or a failure.
type Ticket struct {
	ID      int64
	Date    inventory.Date
	Kind    string // "failure", "repair", "quote"
	Cost    int64  // VND; 0: unknown
	Note    string
	By      string
	Written time.Time
}

// Note is something that a person said of a device and no probe can see.
type Note struct {
	Kind             string // "isolated", "reachable", "only_uplink", "service", "platform", "replace_price", ...
	Value            string
	Source, By, Text string
	At               time.Time
}

// Summary counts devices.
type Summary struct {
	AsOf      inventory.Date
	Total     Count
	Districts []Count
	Sites     []Count
	Phases    []Count // in the order of purchase; NoPhase last
	Classes   []Count
	Models    []Use
	Versions  []Use // firmware in use, per model
	Failures  FailureRates
}

// Count is three numbers that add up to Devices, and what is inside them.
type Count struct {
	Key, Label              string
	Devices                 int
	Outdated, Fine, Unknown int
	DueSoon                 int // of Fine
	Review                  int // of Unknown
	ReplaceFirst            int // in the highest band
	Eligible                int // outdated, and may be replaced by law
	Models, Versions        int // how many different ones
	Price                   int64
}

// Use says how many devices are of one model, or run one version.
type Use struct {
	Vendor, Model, Version  string // Version is empty in Summary.Models
	Class                   string
	Devices, Sites          int
	Versions                int // different ones of this model
	Outdated, Fine, Unknown int
}

// FailureRates are per purchase phase and per model.
type FailureRates struct{ ByPhase, ByModel []FailureRate }

// MinYears is how many device-years it takes for a failure rate to say anything.
const MinYears = 0.5

// FailureRate is how often devices failed, by the tickets, in the twelve months before as-of.
type FailureRate struct {
	Key, Label        string
	Devices, Failures int
	Years             float64 // device-years observed
	Rate, Low, High   float64 // failures per device and year, with the 95 % interval (exact, Poisson)
	Thin              bool    // less than MinYears were observed: the rate is noise, and such come last
}

// Replacement is one proposal to replace.
type Replacement struct {
	Row
	Findings    []Finding // those that speak for it
	LegalChecks []Finding
	Priority    []Points
	ReplaceText string   // may it be proposed, as a sentence
	Offers      []string // what is offered instead, where it may not be replaced yet
}

// Question is a fact that nobody knows yet.
type Question struct {
	Row
	Missing string // input: "end_of_support", "model", "version", ...
	Text    string // what is missing, as a sentence
	Who     string // who can say: "vendor", "distributor", "controller", "nameplate", "ledger", "office"
	WhoText string
	Letter  string // a letter to send
}

// Purchases are the phases with their pieces.
type Purchases struct {
	Phases []Phase
	Units  []Purchase // of the filter's phase, or all
	// Unmatched are devices that no purchase is known of.
	Unmatched []Row
	// Ambiguous are serial numbers that do not tell which piece is which device.
	Ambiguous []purchases.Ambiguity
	// Stale are links by people to what is no more.
	Stale []purchases.Link
}

// Phase is one purchase phase (đợt cấp).
type Phase struct {
	Name                            string
	Contracts, Decisions            []string
	First, Last                     inventory.Date // when its pieces were received; zero: unknown
	Units, Matched, Weak, Unmatched int            // Weak: of Matched, with a confidence below WeakLink
	Price                           int64          // of all pieces whose price is known
	File                            string         // that it was imported from
	ImportedBy                      string
	Imported                        time.Time
}

// WeakLink is the confidence below which a link to a purchase wants a person's look.
const WeakLink = 0.8

// Choices lists what can be filtered by.
type Choices struct {
	Sites                                       []Choice
	Districts, Classes, Vendors, Models, Phases []string
	Bands                                       []lifecycle.Band
	Actions                                     []lifecycle.Action
}

// Choice is a value with its name.
type Choice struct{ Value, Label string }
