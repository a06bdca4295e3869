package lifecycle

import "communewatch/inventory"

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
)

// Severity is how much a finding weighs, from S0 (information) to S4 (critical).
type Severity uint8

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
	Rows     []*Row         // the catalogue rows it rests on; two with different dates where sources disagree
	Match    MatchKind      // how the row was found
	Due      inventory.Date // the date it turns on; zero where there is none
	Stale    bool           // the row's source was last looked at more than StaleDays before as-of
	Missing  []string       // inputs that would be needed, for StateUnknown
}
