package lifecycle

import (
	"slices"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/rules"
)

// LegalState answers whether the item may be disposed of or replaced.
type LegalState string

// The answers. The zero LegalState is that it cannot be told.
const (
	LegalCannotTell LegalState = "unknown"
	LegalEligible   LegalState = "eligible"
	LegalNotYet     LegalState = "not_yet"
)

// Replacement answers whether "replace" may be proposed: it needs technical evidence and a legal ground.
type Replacement string

// The answers.
const (
	ReplaceNone       Replacement = ""            // nothing technical asks for it
	ReplacePlan       Replacement = "plan"        // only its age, or sources that may be wrong, speak for it: to plan with, not to buy by
	ReplaceProposed   Replacement = "proposed"    // technical evidence, and L01, L02 or L03
	ReplaceNotYet     Replacement = "not_yet"     // outdated, not yet legally replaceable
	ReplaceCannotTell Replacement = "cannot_tell" // outdated; a fact is missing to tell whether the law allows it
)

// Bucket is one of the three numbers of every total.
type Bucket string

// The three numbers.
const (
	BucketOutdated Bucket = "outdated"
	BucketFine     Bucket = "fine"
	BucketUnknown  Bucket = "unknown" // cannot tell
)

// Verdict is all that the rules say of an item on one date.
type Verdict struct {
	Item     string // its ID
	Site     string
	AsOf     inventory.Date
	Class    string    // of the item, or else of the row that was found; "": not known
	Findings []Finding // one per rule, R01 to R17 and L01 to L06, in this order

	State        State          // technical: see Judge
	Support      inventory.Date // the end of support of its hardware (R01), past or to come; zero: not known
	Software     inventory.Date // the end of support of what runs on it (R05, R06), which an upgrade may cure; zero: not known
	Bucket       Bucket
	Priority     Priority
	Action       Action   // what is proposed
	Offers       []Action // what is offered instead, where it is outdated and may not be replaced yet
	Legal        LegalState
	Unverified   bool // the legal answer rests on a table that was not verified against the gazette
	Replace      Replacement
	Quality      Quality
	Completeness Completeness
}

// Quality is what the findings that fired rest on; it stands beside the priority and is never added to it.
type Quality struct {
	Grades map[string]int // "A": 2, "C": 1
	Stale  bool           // a source was last looked at more than StaleDays ago
}

// Finding returns what a rule says, and the zero Finding (unknown) where the verdict does not have it.
func (v *Verdict) Finding(rule string) Finding {
	for i := range v.Findings {
		if v.Findings[i].Rule == rule {
			return v.Findings[i]
		}
	}
	return Finding{Rule: rule, State: StateUnknown}
}

// Judge applies all rules to an item. It is a pure function: the same arguments give the same verdict.
//
// The technical State is the worst of what the technical rules say, in the order outdated, review, due_soon, ok. It is
// ok only where a rule about support (R01, R05, R06 or R17) says so: that a device is young and well kept does not mean
// that its maker stands behind it. Findings whose action is to reconfigure make an item due_soon at most, since the
// equipment is not what is outdated. Where no rule can say anything it is unknown.
func Judge(item Item, cat *Catalogue, asOf inventory.Date, ctx Context) Verdict {
	applied := rules.Apply(&item, cat, asOf, ctx)
	v := Verdict{Item: item.ID, Site: item.Site, AsOf: asOf, Class: applied.Class, Findings: applied.Findings, Completeness: applied.Completeness}
	v.conclude(&item)
	return v
}

func stateOf(findings []Finding) State {
	rank := []State{StateUnknown, StateOK, StateDueSoon, StateReview, StateOutdated}
	worst := StateUnknown
	for _, f := range findings {
		s := f.State
		switch {
		case f.Legal() || s == StateNotApplicable:
			continue
		case s == StateOK && !aboutSupport(f.Rule):
			continue
		case f.Fired() && f.Action == ActionReconfigure:
			s = StateDueSoon
		}
		if slices.Index(rank, s) > slices.Index(rank, worst) {
			worst = s
		}
	}
	return worst
}

// aboutSupport reports whether a rule answers whether somebody still stands behind the item.
func aboutSupport(rule string) bool {
	switch rule {
	case "R01", "R05", "R06", "R17":
		return true
	}
	return false
}

// supportOf returns the earliest end of support that some of the rules state.
func supportOf(findings []Finding, rules ...string) inventory.Date {
	var first inventory.Date
	for _, f := range findings {
		if slices.Contains(rules, f.Rule) && !f.Due.IsZero() && (first.IsZero() || f.Due.Before(first.Time)) {
			first = f.Due
		}
	}
	return first
}
