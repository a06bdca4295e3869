package rules

import (
	"strings"

	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

func (j *judging) conference() bool {
	return j.class == "videoconference" || j.class == "vc_peripheral"
}

// conferencing is R10 and R11: what conference equipment alone can be.
func (j *judging) conferencing() []terms.Finding {
	if j.class == "" && !j.model(catalogue.TopicTrain).Found() && !j.model(catalogue.TopicPlatform).Found() {
		return []terms.Finding{unknown("R10", terms.CodeNoInput, "class"), unknown("R11", terms.CodeNoInput, "class")}
	}
	if j.class != "" && !j.conference() {
		return []terms.Finding{notApplicable("R10", terms.CodeWrongKind), notApplicable("R11", terms.CodeWrongKind)}
	}
	return []terms.Finding{j.legacyTrain(), j.platform()}
}

// legacyTrain is R10.
func (j *judging) legacyTrain() terms.Finding {
	const rule = "R10"
	hit := j.model(catalogue.TopicTrain)
	if !hit.Found() {
		f := unknown(rule, terms.CodeNoRow, "software_line")
		f.Evidence = j.identity()
		return f
	}
	r := hit.Rows[0]
	f := j.with(terms.Finding{Rule: rule, Severity: terms.S2, Evidence: append(j.identity(), j.running()...),
		Args: args("remark", strings.Join(r.Remarks, "; "), "successor", r.Successor)}, hit.Match, r)
	switch {
	case r.Grade() == catalogue.ConfU:
		f.State, f.Code, f.Severity, f.Missing = terms.StateUnknown, terms.CodeUnsourced, terms.S0, []string{"software_line"}
	case r.Grade() == catalogue.ConfC:
		f.State, f.Code, f.Action = terms.StateReview, terms.CodeR10Legacy, terms.ActionVerify
	case r.Status() == catalogue.StatusPreviousGen: // the line it stays on is still supported
		f.State, f.Code = terms.StateDueSoon, terms.CodeR10Previous
	default:
		f.State, f.Code, f.Action = terms.StateOutdated, terms.CodeR10Legacy, terms.ActionReplace
	}
	return f
}

// platform is R11: certification by the conference platform that the unit is used with. It is not its maker's support.
func (j *judging) platform() terms.Finding {
	const rule = "R11"
	it := j.item
	if !it.Platform.Known() {
		return unknown(rule, terms.CodeNoInput, "platform")
	}
	used := strings.ToLower(it.Platform.Text)
	if !strings.Contains(used, "teams") && !strings.Contains(used, "zoom") {
		return notApplicable(rule, terms.CodeR11Other)
	}
	hit := j.model(catalogue.TopicPlatform)
	var rows []*catalogue.Row
	for _, r := range hit.Rows {
		brand, _, _ := strings.Cut(strings.ToLower(r.Note("platform")), " ")
		if strings.Contains(used, brand) {
			rows = append(rows, r)
		}
	}
	match := hit.Match
	// The Android that runs counts more than the one the model was certified with.
	if android, ok := strings.CutPrefix(strings.ToLower(it.OS.Text), "android "); ok && strings.Contains(used, "teams") {
		if r := j.cat.Platform("Teams Rooms on Android " + android); r != nil {
			rows, match = []*catalogue.Row{r}, catalogue.MatchTrain
		}
	}
	if len(rows) == 0 {
		f := unknown(rule, terms.CodeNoRow, "certification")
		f.Evidence = append(j.identity(), evidence("platform", it.Platform, "os", it.OS)...)
		return f
	}
	r := rows[0]
	certified, best := r.Date("cert_end"), r.Date("best_effort_end")
	if match == catalogue.MatchTrain {
		certified, best = r.Maint, r.Support
	}
	f := j.with(terms.Finding{Rule: rule, Evidence: append(j.identity(), evidence("platform", it.Platform, "os", it.OS)...),
		Args: args("platform", r.Note("platform"), "certified", certified.String(), "best_effort", best.String())}, match, r)
	if match == catalogue.MatchTrain {
		f.Args["platform"] = r.Pattern
	}
	switch {
	case certified.IsZero():
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoDate, []string{"certification"}
	case r.Grade() == catalogue.ConfU:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeUnsourced, []string{"certification"}
	case !j.past(certified):
		f.State, f.Code, f.Due = terms.StateOK, terms.CodeR11Certified, certified
	case !best.IsZero() && j.past(best):
		f.State, f.Code, f.Severity, f.Action, f.Due = terms.StateOutdated, terms.CodeR11Ended, terms.S2, terms.ActionReplace, best
	default:
		f.State, f.Code, f.Severity, f.Due = terms.StateDueSoon, terms.CodeR11BestEffort, terms.S1, best
	}
	if f.Fired() && r.Grade() == catalogue.ConfC {
		f.State, f.Action = terms.StateReview, terms.ActionVerify
	}
	return f
}
