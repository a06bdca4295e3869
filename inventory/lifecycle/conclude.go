package lifecycle

import (
	"slices"

	"communewatch/inventory/lifecycle/terms"
)

// conclude fills what follows from the findings.
func (v *Verdict) conclude(it *Item) {
	v.State = stateOf(v.Findings)
	v.Support, v.Software = supportOf(v.Findings, "R01"), supportOf(v.Findings, "R05", "R06")
	wanted := technicalAction(v.Findings, v.State)
	v.Priority = priorityOf(it, v.Findings, wanted)
	v.Legal, v.Unverified = legalOf(v.Findings)
	v.Quality = qualityOf(v.Findings)
	v.Action = wanted
	v.Bucket = bucketOf(v)
	if wanted == ActionReplace {
		v.replacement(it)
	}
}

// technicalAction is what the gravest finding proposes. That nobody stands behind the hardware any more decides before
// all else: new firmware for it will not come.
func technicalAction(findings []Finding, state State) Action {
	order := []Action{ActionNone, ActionVerify, ActionReconfigure, ActionUpgradeFirmware, ActionUpgradeOS, ActionReplace}
	best, action := S0, ActionNone
	for _, f := range findings {
		if !weighs(f) || f.Action == ActionNone {
			continue
		}
		if f.State == StateOutdated && f.Action == ActionReplace && slices.Contains([]string{"R01", "R09", "R12", "R17"}, f.Rule) {
			return ActionReplace
		}
		if f.Severity > best || f.Severity == best && slices.Index(order, f.Action) > slices.Index(order, action) {
			best, action = f.Severity, f.Action
		}
	}
	if action == ActionNone && (state == StateUnknown || state == StateReview) {
		return ActionVerify
	}
	return action
}

// legalOf answers from L01, L02 and L03: one ground is enough.
func legalOf(findings []Finding) (state LegalState, unverified bool) {
	state = LegalNotYet
	for _, f := range findings {
		if f.Rule != "L01" && f.Rule != "L02" && f.Rule != "L03" {
			continue
		}
		switch f.State {
		case StateEligible:
			if state != LegalEligible {
				unverified = f.Args["verified"] == "no"
			} else {
				unverified = unverified && f.Args["verified"] == "no"
			}
			state = LegalEligible
		case StateUnknown:
			if state != LegalEligible {
				state = LegalCannotTell
			}
		case StateNotYet:
			if state == LegalNotYet && f.Args["verified"] == "no" {
				unverified = true
			}
		}
	}
	if state == LegalCannotTell {
		unverified = false
	}
	return state, unverified
}

// grounded reports whether technical evidence asks for a replacement: a finding that says outdated, or that the maker's
// support will end within a year. Age alone, and what a source calls only possible, is something to plan with.
func (v *Verdict) grounded() bool {
	for _, f := range v.Findings {
		soon := f.Rule == "R02" && f.State == StateDueSoon
		if weighs(f) && f.Action == ActionReplace && (f.State == StateOutdated || soon) {
			return true
		}
	}
	return false
}

// replacement decides whether a replacement that is wanted may be proposed, and what is offered instead.
func (v *Verdict) replacement(it *Item) {
	if !v.grounded() {
		v.Replace, v.Action = ReplacePlan, ActionVerify
		return
	}
	over, reuse := v.Finding("L04").Code == terms.CodeL04Over, v.Finding("L06").Code == terms.CodeL06Transfer
	switch v.Legal {
	case LegalEligible:
		v.Replace = ReplaceProposed
		if over || reuse { // a unit of another office, or of this one, comes before a new one
			v.Action, v.Offers = ActionTransfer, []Action{ActionReplace}
			if over {
				v.Offers = nil
			}
		}
		return
	case LegalNotYet:
		v.Replace = ReplaceNotYet
	default:
		v.Replace = ReplaceCannotTell
	}
	if reuse || over {
		v.Offers = append(v.Offers, ActionTransfer)
	}
	for _, f := range v.Findings {
		upgrade := f.Action == ActionUpgradeFirmware || f.Action == ActionUpgradeOS && !weighs(v.Finding("R12"))
		if weighs(f) && upgrade && !slices.Contains(v.Offers, f.Action) {
			v.Offers = append(v.Offers, f.Action)
		}
	}
	if !it.Isolated.Known() {
		v.Offers = append(v.Offers, ActionIsolate)
	}
	switch {
	case v.Replace == ReplaceCannotTell:
		v.Action = ActionVerify
	case len(v.Offers) > 0:
		v.Action = v.Offers[0]
	default:
		v.Action = ActionNone
	}
}

func qualityOf(findings []Finding) Quality {
	q := Quality{Grades: map[string]int{}}
	for _, f := range findings {
		if !weighs(f) {
			continue
		}
		if f.Grade != "" {
			q.Grades[f.Grade]++
		}
		q.Stale = q.Stale || f.Stale
	}
	return q
}

// enough is the share of inputs below which an item without findings is not called fine.
const enough = 0.6

// bucketOf sorts an item into the three numbers. What is to be reviewed is not fine and not outdated; neither is what
// is merely young, or hardly known.
func bucketOf(v *Verdict) Bucket {
	if v.State == StateOutdated {
		return BucketOutdated
	}
	supported := false
	for _, f := range v.Findings {
		supported = supported || aboutSupport(f.Rule) && (f.State == StateOK || f.State == StateDueSoon)
	}
	switch {
	case v.State != StateOK && v.State != StateDueSoon, !supported, v.Priority.Score == 0 && v.Completeness.Ratio() < enough:
		return BucketUnknown
	}
	return BucketFine
}
