package lifecycle

import (
	"slices"
	"strconv"

	"communewatch/inventory/lifecycle/rules"
)

// Priority is the replacement priority of an item, 0 to 100, with its parts. The numbers are a proposal of the rules,
// not a standard.
type Priority struct {
	Score int
	Band  Band
	Parts []Part // in the order in which they were added; their sum is Score
}

// Part is one addend of a score.
type Part struct {
	Points int
	Code   string // one of the Part constants; names the sentence
	Rule   string // the finding it comes from; "": the item's surroundings
}

// The codes of parts.
const (
	PartBase     = "base"     // the gravest finding
	PartFurther  = "further"  // one more, independent finding of S2 or above
	PartExposure = "exposure" // reachable from outside
	PartUplink   = "uplink"   // the site's only uplink
	PartService  = "service"  // carries the conference or the one-stop desk
	PartUrgent   = "urgent"   // at most 180 days left
	PartNear     = "near"     // at most 365 days left
	PartIsolated = "isolated" // isolated, and documented
	PartCap      = "cap"      // to be upgraded or reconfigured, not bought
	PartLimit    = "limit"    // 100 at most, 0 at least
)

// Parts lists the codes of parts.
func Parts() []string {
	return []string{PartBase, PartFurther, PartExposure, PartUplink, PartService, PartUrgent, PartNear, PartIsolated, PartCap, PartLimit}
}

// Band is what a score means for the budget.
type Band string

// The bands.
const (
	BandFirst    Band = "replace_first" // 70 and more
	BandThisYear Band = "this_year"     // 50 to 69: this budget year
	BandNextYear Band = "next_year"     // 30 to 49: plan for the next year
	BandWatch    Band = "watch"         // 10 to 29
	BandNone     Band = "none"
)

// Bands lists the bands, the most urgent first.
func Bands() []Band { return []Band{BandFirst, BandThisYear, BandNextYear, BandWatch, BandNone} }

func bandOf(score int) Band {
	switch {
	case score >= 70:
		return BandFirst
	case score >= 50:
		return BandThisYear
	case score >= 30:
		return BandNextYear
	case score >= 10:
		return BandWatch
	}
	return BandNone
}

// Points of a priority.
const (
	perFurther  = 5
	mostFurther = 15
	forExposure = 10
	forService  = 5
	forUrgent   = 10
	forNear     = 5
	forIsolated = -20
	capUpgrade  = 40
	mostScore   = 100
)

func basePoints(s Severity) int {
	switch s {
	case S4:
		return 70
	case S3:
		return 50
	case S2:
		return 30
	case S1:
		return 10
	}
	return 0
}

// cause groups the rules that speak of one and the same thing: findings within a group count once.
func cause(rule string) string {
	switch rule {
	case "R01", "R02", "R03", "R04", "R06":
		return "R01"
	case "R05", "R12":
		return "R05"
	case "R07", "R09": // a version below the safe one is what the list of exploited vulnerabilities is about
		return "R07"
	}
	return rule
}

// weighs reports whether a finding is part of the priority.
func weighs(f Finding) bool { return f.Fired() && !f.Legal() && f.Severity > S0 }

// priorityOf computes the priority from findings that have evidence. Without any it is 0, wherever the item stands.
func priorityOf(it *Item, findings []Finding, action Action) Priority {
	var p Priority
	add := func(points int, code, rule string) {
		p.Parts = append(p.Parts, Part{points, code, rule})
		p.Score += points
	}
	var top Finding
	for _, f := range findings {
		if weighs(f) && f.Severity > top.Severity {
			top = f
		}
	}
	if top.Severity == S0 {
		p.Band = BandNone
		return p
	}
	add(basePoints(top.Severity), PartBase, top.Rule)
	counted := []string{cause(top.Rule)}
	for _, f := range findings {
		if !weighs(f) || f.Severity < S2 || slices.Contains(counted, cause(f.Rule)) || (len(counted)-1)*perFurther >= mostFurther {
			continue
		}
		counted = append(counted, cause(f.Rule))
		add(perFurther, PartFurther, f.Rule)
	}
	switch {
	case it.Reachable == Yes:
		add(forExposure, PartExposure, "")
	case it.OnlyUplink == Yes:
		add(forExposure, PartUplink, "")
	}
	if it.Service == Yes {
		add(forService, PartService, "")
	}
	if rule, days, ok := nearest(findings); ok {
		switch {
		case days <= rules.UrgentDays:
			add(forUrgent, PartUrgent, rule)
		case days <= rules.NearDays:
			add(forNear, PartNear, rule)
		}
	}
	if it.Isolated.Known() {
		add(forIsolated, PartIsolated, "")
	}
	if (action == ActionUpgradeFirmware || action == ActionUpgradeOS || action == ActionReconfigure) && p.Score > capUpgrade {
		add(capUpgrade-p.Score, PartCap, "")
	}
	if over := max(0, min(mostScore, p.Score)) - p.Score; over != 0 {
		add(over, PartLimit, "")
	}
	p.Band = bandOf(p.Score)
	return p
}

// nearest returns the days left until the end of support, where R02 or R03 speak.
func nearest(findings []Finding) (rule string, days int, ok bool) {
	for _, f := range findings {
		if (f.Rule == "R02" || f.Rule == "R03") && weighs(f) {
			d, err := strconv.Atoi(f.Args["days"])
			if err == nil && d > 0 && (!ok || d < days) {
				rule, days, ok = f.Rule, d, true
			}
		}
	}
	return rule, days, ok
}
