package terms

import (
	"communewatch/inventory"
	"communewatch/inventory/lifecycle/catalogue"
)

// State is what a rule says of an item. The zero State is StateUnknown.
type State string

// The states, as rules.md of the legal and technical frame names them.
const (
	StateUnknown       State = "unknown" // no catalogue row, no date, or a missing input: neither ok nor outdated
	StateOK            State = "ok"
	StateDueSoon       State = "due_soon"
	StateOutdated      State = "outdated"
	StateReview        State = "review" // a source says "may be", or sources disagree
	StateNotApplicable State = "not_applicable"

	// Of legal rules alone.
	StateEligible   State = "eligible"    // a ground to dispose of it is met
	StateNotYet     State = "not_yet"     // it is not
	StateNotAllowed State = "not_allowed" // a maximum is exceeded by more than anybody may approve
)

// Severity is how much a finding weighs, from S0 (information) to S4 (critical).
type Severity uint8

// The severities. The zero Severity is S0.
const (
	S0 Severity = iota // information
	S1                 // low
	S2                 // medium
	S3                 // high
	S4                 // critical
)

// Action is what is proposed.
type Action string

// The actions.
const (
	ActionNone            Action = ""
	ActionUpgradeFirmware Action = "upgrade_firmware"
	ActionUpgradeOS       Action = "upgrade_os"
	ActionReconfigure     Action = "reconfigure"
	ActionIsolate         Action = "isolate"
	ActionReplace         Action = "replace"
	ActionTransfer        Action = "transfer"
	ActionVerify          Action = "verify"
)

// Evidence is one value that a finding rests on.
type Evidence struct {
	Label string // which input: "model", "version", "in_service"
	Value Value
}

// Finding is what one rule says of one item on one date.
type Finding struct {
	Rule     string // "R01", "L02"
	State    State
	Severity Severity
	Action   Action
	Code     string            // names the sentence that explains it; the screens word it in both languages
	Args     map[string]string // what goes into the sentence: dates as 2025-07-01, days, versions
	Evidence []Evidence
	Rows     []*catalogue.Row    // the catalogue rows it rests on; two with different dates where sources disagree
	Match    catalogue.MatchKind // how the row was found
	Due      inventory.Date      // the date it turns on; zero where there is none
	Stale    bool                // the row's source was last looked at more than StaleDays before as-of
	Missing  []string            // inputs that would be needed, for StateUnknown
	Grade    string              // the weakest source it rests on: A, B, C, U; "" where it rests on nothing but values
}

// Fired reports whether the finding says that something is to be done: it is then part of the priority.
func (f Finding) Fired() bool {
	return f.State == StateOutdated || f.State == StateDueSoon || f.State == StateReview
}

// Legal reports whether the finding is of a legal rule.
func (f Finding) Legal() bool { return len(f.Rule) > 0 && f.Rule[0] == 'L' }
