package rules

import (
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

// Days before the end of support at which R02 begins to speak, and at which it weighs more.
const (
	SoonDays   = 548 // 18 months
	NearDays   = 365
	UrgentDays = 180
)

// hardware is R01 to R04: what the maker says of the model.
func (j *judging) hardware() []terms.Finding {
	rules := []string{"R01", "R02", "R03", "R04"}
	all := make([]terms.Finding, len(rules))
	blank := terms.Finding{}
	switch {
	case !j.item.Vendor.Known() || !j.item.Model.Known():
		var missing []string
		if !j.item.Vendor.Known() {
			missing = append(missing, "vendor")
		}
		if !j.item.Model.Known() {
			missing = append(missing, "model")
		}
		blank = unknown("", terms.CodeNoInput, missing...)
	case !j.support.Found():
		blank = unknown("", terms.CodeNoRow, "end_of_support")
		if revisions := j.cat.Revisions(catalogue.TopicSupport, j.item.Vendor.Text, j.item.Model.Text); revisions != nil {
			blank = unknown("", terms.CodeRevision, "hardware")
			blank.Args = args("revisions", strings.Join(revisions, ", "))
		}
	default:
		return []terms.Finding{j.endOfSupport(), j.endingSoon(), j.endOfMaintenance(), j.endOfSale()}
	}
	blank.Evidence = j.identity()
	for i, r := range rules {
		all[i] = blank
		all[i].Rule = r
	}
	return all
}

func supportDay(r *catalogue.Row) inventory.Date { return r.Support }
func maintDay(r *catalogue.Row) inventory.Date   { return r.Maint }
func saleDay(r *catalogue.Row) inventory.Date    { return r.Sale }

// undecided is the finding where rows give no day.
func (j *judging) undecided(rule string, d dated) terms.Finding {
	f := j.with(terms.Finding{Rule: rule, State: terms.StateUnknown, Code: d.code, Evidence: j.identity(), Missing: []string{"end_of_support"}}, j.support.Match, d.rows...)
	if d.code == terms.CodeDisagree {
		f.State, f.Missing, f.Action, f.Severity = terms.StateReview, nil, terms.ActionVerify, terms.S1
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

func (j *judging) hardwareSeverity() terms.Severity {
	switch {
	case j.edge():
		return terms.S4
	case j.network():
		return terms.S3
	}
	return terms.S2
}

// endOfSupport is R01.
func (j *judging) endOfSupport() terms.Finding {
	const rule = "R01"
	d := pick(j.support.Rows, supportDay)
	if d.code == terms.CodeNoDate {
		return j.undated(rule, d)
	}
	if d.code != "" {
		return j.undecided(rule, d)
	}
	f := j.with(terms.Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String(), "days", itoa(-j.days(d.date)))}, j.support.Match, d.rows...)
	f.Args["successor"] = d.rows[0].Successor
	switch {
	case j.past(d.date) && d.weak:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR01Perhaps, j.hardwareSeverity(), terms.ActionVerify
	case j.past(d.date):
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR01Ended, j.hardwareSeverity(), terms.ActionReplace
	case d.weak:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeR01Weak, []string{"end_of_support"}
	default:
		f.State, f.Code = terms.StateOK, terms.CodeR01Supported
	}
	return f
}

// undated is R01 where a row speaks of support without a day.
func (j *judging) undated(rule string, d dated) terms.Finding {
	var best *catalogue.Row
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
	f := j.with(terms.Finding{Rule: rule, Evidence: j.identity()}, j.support.Match, best)
	switch best.Status() {
	case catalogue.StatusEOLUndated:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR01Undated, j.hardwareSeverity(), terms.ActionVerify
	case catalogue.StatusRetired:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR01Retired, j.hardwareSeverity(), terms.ActionVerify
	default:
		if best.ReviewedOn.IsZero() || best.Grade() == catalogue.ConfC {
			return j.undecided(rule, d)
		}
		f.State, f.Code, f.Args = terms.StateOK, terms.CodeR01Checked, args("checked_on", best.ReviewedOn.String(), "status", best.Status())
	}
	return f
}

// endingSoon is R02.
func (j *judging) endingSoon() terms.Finding {
	const rule = "R02"
	d := pick(j.support.Rows, supportDay)
	if d.code != "" || d.weak {
		if d.code == "" {
			d.code = terms.CodeR01Weak
		}
		if d.code == terms.CodeDisagree {
			f := j.undecided(rule, d)
			f.State, f.Severity, f.Action, f.Missing = terms.StateUnknown, terms.S0, terms.ActionNone, []string{"end_of_support"} // R01 asks for the review
			return f
		}
		return j.undecided(rule, d)
	}
	days := j.days(d.date)
	f := j.with(terms.Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String(), "days", itoa(days))}, j.support.Match, d.rows...)
	switch {
	case days <= 0:
		return notApplicable(rule, terms.CodeR02Past)
	case days > SoonDays:
		f.State, f.Code = terms.StateOK, terms.CodeR02Later
	default:
		f.State, f.Code, f.Severity = terms.StateDueSoon, terms.CodeR02Soon, terms.S1
		if days <= NearDays {
			f.Severity, f.Action = terms.S2, terms.ActionReplace
		}
		if ext := d.rows[0].Note("last_extension"); ext != "" {
			f.Args["last_extension"] = ext
		}
	}
	return f
}

// endOfMaintenance is R03.
func (j *judging) endOfMaintenance() terms.Finding {
	const rule = "R03"
	d := pick(j.support.Rows, maintDay)
	support := pick(j.support.Rows, supportDay)
	switch {
	case support.code == "" && j.past(support.date):
		return notApplicable(rule, terms.CodeR03Past)
	case d.code != "":
		f := j.undecided(rule, d)
		f.State, f.Severity, f.Action, f.Missing = terms.StateUnknown, terms.S0, terms.ActionNone, []string{"end_of_maintenance"}
		return f
	}
	f := j.with(terms.Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String(), "support", support.date.String())}, j.support.Match, d.rows...)
	switch {
	case !j.past(d.date):
		f.State, f.Code = terms.StateOK, terms.CodeR03Running
		if d.weak {
			f.State, f.Missing = terms.StateUnknown, []string{"end_of_maintenance"}
		}
		return f
	case d.weak:
		f.State = terms.StateReview
	default:
		f.State = terms.StateDueSoon
	}
	f.Severity, f.Action, f.Code = terms.S2, terms.ActionVerify, terms.CodeR03Ended
	if j.edge() {
		f.Severity = terms.S3
	}
	if support.code != "" {
		f.Code = terms.CodeR03Open
	} else {
		f.Args["days"] = itoa(j.days(support.date))
	}
	return f
}

// endOfSale is R04.
func (j *judging) endOfSale() terms.Finding {
	const rule = "R04"
	d := pick(j.support.Rows, saleDay)
	if d.code != "" {
		f := j.undecided(rule, d)
		f.State, f.Severity, f.Action, f.Missing = terms.StateUnknown, terms.S0, terms.ActionNone, []string{"end_of_sale"}
		return f
	}
	for _, r := range j.support.Rows {
		if !r.Maint.IsZero() || !r.Support.IsZero() {
			return notApplicable(rule, terms.CodeR04Later)
		}
	}
	f := j.with(terms.Finding{Rule: rule, Evidence: j.identity(), Due: d.date, Args: args("date", d.date.String())}, j.support.Match, d.rows...)
	if !j.past(d.date) {
		f.State, f.Code = terms.StateOK, terms.CodeR04OnSale
		return f
	}
	f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR04Ended, terms.S1, terms.ActionVerify
	return f
}
