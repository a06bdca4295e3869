package lifecycle

import (
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/catalogue"
)

// Days before the end of support at which R02 begins to speak, and at which it speaks louder.
const (
	soonDays   = 548 // 18 months
	nearDays   = 365
	urgentDays = 180
)

// hardware is R01 to R04: what the maker says of the model.
func (j *judging) hardware() []Finding {
	rules := []string{"R01", "R02", "R03", "R04"}
	all := make([]Finding, len(rules))
	blank := Finding{}
	switch {
	case !j.item.Vendor.Known() || !j.item.Model.Known():
		var missing []string
		if !j.item.Vendor.Known() {
			missing = append(missing, "vendor")
		}
		if !j.item.Model.Known() {
			missing = append(missing, "model")
		}
		blank = unknown("", CodeNoInput, missing...)
	case !j.support.Found():
		blank = unknown("", CodeNoRow, "end_of_support")
		if revisions := j.cat.Revisions(catalogue.TopicSupport, j.item.Vendor.Text, j.item.Model.Text); revisions != nil {
			blank = unknown("", CodeRevision, "hardware")
			blank.Args = args("revisions", strings.Join(revisions, ", "))
		}
	default:
		return []Finding{j.endOfSupport(), j.endingSoon(), j.endOfMaintenance(), j.endOfSale()}
	}
	blank.Evidence = j.identity()
	for i, r := range rules {
		all[i] = blank
		all[i].Rule = r
	}
	return all
}

func supportDay(r *Row) inventory.Date { return r.Support }
func maintDay(r *Row) inventory.Date   { return r.Maint }
func saleDay(r *Row) inventory.Date    { return r.Sale }

// undecided is the finding where rows give no day.
func (j *judging) undecided(rule string, d dated) Finding {
	f := j.with(Finding{Rule: rule, State: StateUnknown, Code: d.code, Evidence: j.identity(), Missing: []string{"end_of_support"}}, j.support.Match, d.rows...)
	if d.code == CodeDisagree {
		f.State, f.Missing, f.Action, f.Severity = StateReview, nil, ActionVerify, S1
		var days []string
		for _, r := range d.rows {
			for _, day := range []inventory.Date{r.Support} {
				if s := day.String(); s != "" {
					days = append(days, s)
				}
			}
		}
		f.Args = args("dates", strings.Join(days, ", "))
	}
	return f
}

func (j *judging) hardwareSeverity() Severity {
	switch {
	case j.edge():
		return S4
	case j.network():
		return S3
	}
	return S2
}

// endOfSupport is R01.
func (j *judging) endOfSupport() Finding {
	const rule = "R01"
	d := pick(j.support.Rows, supportDay)
	if d.code == CodeNoDate {
		return j.undated(rule, d)
	}
	if d.code != "" {
		return j.undecided(rule, d)
	}
	f := j.with(Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String(), "days", itoa(-j.days(d.date)))}, j.support.Match, d.rows...)
	f.Args["successor"] = d.rows[0].Successor
	switch {
	case j.past(d.date) && d.weak:
		f.State, f.Code, f.Severity, f.Action = StateReview, CodeR01Perhaps, j.hardwareSeverity(), ActionVerify
	case j.past(d.date):
		f.State, f.Code, f.Severity, f.Action = StateOutdated, CodeR01Ended, j.hardwareSeverity(), ActionReplace
	case d.weak:
		f.State, f.Code, f.Missing = StateUnknown, CodeR01Weak, []string{"end_of_support"}
	default:
		f.State, f.Code = StateOK, CodeR01Supported
	}
	return f
}

// undated is R01 where a row speaks of support without a day.
func (j *judging) undated(rule string, d dated) Finding {
	var best *Row
	for _, r := range d.rows {
		switch r.Status() {
		case catalogue.StatusSupported, catalogue.StatusUnannounced, catalogue.StatusEOLUndated, catalogue.StatusRetired:
			if best == nil || r.Grade() < best.Grade() {
				best = r
			}
		}
	}
	if best == nil || best.Grade() == catalogue.ConfU {
		return j.undecided(rule, d)
	}
	f := j.with(Finding{Rule: rule, Evidence: j.identity()}, j.support.Match, best)
	switch best.Status() {
	case catalogue.StatusEOLUndated:
		f.State, f.Code, f.Severity, f.Action = StateReview, CodeR01Undated, j.hardwareSeverity(), ActionVerify
	case catalogue.StatusRetired:
		f.State, f.Code, f.Severity, f.Action = StateReview, CodeR01Retired, j.hardwareSeverity(), ActionVerify
	default:
		if best.ReviewedOn.IsZero() || best.Grade() == catalogue.ConfC {
			return j.undecided(rule, d)
		}
		f.State, f.Code, f.Args = StateOK, CodeR01Checked, args("checked_on", best.ReviewedOn.String(), "status", best.Status())
	}
	return f
}

// endingSoon is R02.
func (j *judging) endingSoon() Finding {
	const rule = "R02"
	d := pick(j.support.Rows, supportDay)
	if d.code != "" || d.weak {
		if d.code == "" {
			d.code = CodeR01Weak
		}
		if d.code == CodeDisagree {
			f := j.undecided(rule, d)
			f.State, f.Severity, f.Action, f.Missing = StateUnknown, S0, ActionNone, []string{"end_of_support"} // R01 asks for the review
			return f
		}
		return j.undecided(rule, d)
	}
	days := j.days(d.date)
	f := j.with(Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String(), "days", itoa(days))}, j.support.Match, d.rows...)
	switch {
	case days <= 0:
		return notApplicable(rule, CodeR02Past)
	case days > soonDays:
		f.State, f.Code = StateOK, CodeR02Later
	default:
		f.State, f.Code, f.Severity = StateDueSoon, CodeR02Soon, S1
		if days <= nearDays {
			f.Severity, f.Action = S2, ActionReplace
		}
		if ext := d.rows[0].Note("last_extension"); ext != "" {
			f.Args["last_extension"] = ext
		}
	}
	return f
}

// endOfMaintenance is R03.
func (j *judging) endOfMaintenance() Finding {
	const rule = "R03"
	d := pick(j.support.Rows, maintDay)
	support := pick(j.support.Rows, supportDay)
	switch {
	case support.code == "" && j.past(support.date):
		return notApplicable(rule, CodeR03Past)
	case d.code != "":
		f := j.undecided(rule, d)
		f.State, f.Severity, f.Action, f.Missing = StateUnknown, S0, ActionNone, []string{"end_of_maintenance"}
		return f
	}
	f := j.with(Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String(), "support", support.date.String())}, j.support.Match, d.rows...)
	switch {
	case !j.past(d.date):
		f.State, f.Code = StateOK, CodeR03Running
		if d.weak {
			f.State, f.Missing = StateUnknown, []string{"end_of_maintenance"}
		}
		return f
	case d.weak:
		f.State = StateReview
	default:
		f.State = StateDueSoon
	}
	f.Severity, f.Action, f.Code = S2, ActionVerify, CodeR03Ended
	if j.edge() {
		f.Severity = S3
	}
	if support.code != "" {
		f.Code = CodeR03Open
	}
	return f
}

// endOfSale is R04.
func (j *judging) endOfSale() Finding {
	const rule = "R04"
	d := pick(j.support.Rows, saleDay)
	if d.code != "" {
		f := j.undecided(rule, d)
		f.State, f.Severity, f.Action, f.Missing = StateUnknown, S0, ActionNone, []string{"end_of_sale"}
		return f
	}
	for _, r := range j.support.Rows {
		if !r.Maint.IsZero() || !r.Support.IsZero() {
			return notApplicable(rule, CodeR04Later)
		}
	}
	f := j.with(Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String())}, j.support.Match, d.rows...)
	if !j.past(d.date) {
		f.State, f.Code = StateOK, CodeR04OnSale
		return f
	}
	f.State, f.Code, f.Severity, f.Action = StateReview, CodeR04Ended, S1, ActionVerify
	return f
}
