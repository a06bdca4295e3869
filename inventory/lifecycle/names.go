package lifecycle

import (
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

// The terms of the rules; package terms explains them.
type (
	Item         = terms.Item
	Value        = terms.Value
	Finding      = terms.Finding
	State        = terms.State
	Severity     = terms.Severity
	Action       = terms.Action
	Evidence     = terms.Evidence
	Method       = terms.Method
	Tri          = terms.Tri
	Context      = terms.Context
	NormCount    = terms.NormCount
	Surplus      = terms.Surplus
	Completeness = terms.Completeness
)

// The catalogue's; package catalogue explains them.
type (
	Row       = catalogue.Row
	MatchKind = catalogue.MatchKind
	Catalogue = catalogue.Catalogue
)

// The kinds of match, best first.
const (
	MatchNone  = catalogue.MatchNone
	MatchExact = catalogue.MatchExact
	MatchGlob  = catalogue.MatchGlob
	MatchTrain = catalogue.MatchTrain
	MatchRange = catalogue.MatchRange
)

// States.
const (
	StateUnknown       = terms.StateUnknown
	StateOK            = terms.StateOK
	StateDueSoon       = terms.StateDueSoon
	StateOutdated      = terms.StateOutdated
	StateReview        = terms.StateReview
	StateNotApplicable = terms.StateNotApplicable
	StateEligible      = terms.StateEligible
	StateNotYet        = terms.StateNotYet
	StateNotAllowed    = terms.StateNotAllowed
)

// Severities.
const (
	S0 = terms.S0
	S1 = terms.S1
	S2 = terms.S2
	S3 = terms.S3
	S4 = terms.S4
)

// Actions.
const (
	ActionNone            = terms.ActionNone
	ActionUpgradeFirmware = terms.ActionUpgradeFirmware
	ActionUpgradeOS       = terms.ActionUpgradeOS
	ActionReconfigure     = terms.ActionReconfigure
	ActionIsolate         = terms.ActionIsolate
	ActionReplace         = terms.ActionReplace
	ActionTransfer        = terms.ActionTransfer
	ActionVerify          = terms.ActionVerify
)

// Methods.
const (
	MethodSNMP    = terms.MethodSNMP
	MethodHTTP    = terms.MethodHTTP
	MethodSSH     = terms.MethodSSH
	MethodSIP     = terms.MethodSIP
	MethodMAC     = terms.MethodMAC
	MethodMachine = terms.MethodMachine
	MethodHand    = terms.MethodHand
	MethodLedger  = terms.MethodLedger
)

// Values of a Tri.
const (
	Unknown = terms.Unknown
	No      = terms.No
	Yes     = terms.Yes
)

// StaleDays is the age above which the review of a source is stale.
const StaleDays = terms.StaleDays

// Codes lists the codes of findings; package terms has them by name.
func Codes() []string { return terms.Codes() }
