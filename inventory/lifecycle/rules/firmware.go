package rules

import (
	"slices"
	"strings"

	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
	"communewatch/inventory/lifecycle/version"
)

// staleMonths is how much older than the newest of its train a version may be (R08). Without a source.
const staleMonths = 12

// firmware is R06, R07 and R08: the software of what is no computer.
func (j *judging) firmware() []terms.Finding {
	if j.computer() {
		return []terms.Finding{notApplicable("R06", terms.CodeWrongKind), notApplicable("R07", terms.CodeWrongKind), notApplicable("R08", terms.CodeWrongKind)}
	}
	it := j.item
	sw := j.cat.Software(it.Vendor.Text, j.class, it.OS.Text, it.Version.Text)
	return []terms.Finding{j.train(sw), j.minimum(sw), j.newest(sw)}
}

func (j *judging) running() []terms.Evidence {
	return evidence("version", j.item.Version, "os", j.item.OS)
}

// noTrain is the finding where the running train is not found.
func (j *judging) noTrain(rule string, sw catalogue.Software) (terms.Finding, bool) {
	var f terms.Finding
	switch {
	case len(sw.Version.Numbers) == 0:
		f = unknown(rule, terms.CodeNoInput, "version")
	case sw.Product == "":
		f = unknown(rule, terms.CodeNoRow, "end_of_support")
	default:
		return f, false
	}
	f.Evidence = j.running()
	return f, true
}

// train is R06.
func (j *judging) train(sw catalogue.Software) terms.Finding {
	const rule = "R06"
	if f, none := j.noTrain(rule, sw); none {
		return f
	}
	hit := j.cat.Firmware(sw)
	d := pick(hit.Rows, supportDay)
	f := j.with(terms.Finding{Rule: rule, Evidence: j.running(), Args: args("product", sw.Product, "version", j.item.Version.Text)}, hit.Match, hit.Rows...)
	severity := terms.S2
	if j.edge() {
		severity = terms.S3
	}
	switch {
	case d.code == terms.CodeNoDate:
		return j.undatedTrain(f, d.rows, severity)
	case d.code == terms.CodeDisagree:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeDisagree, terms.S1, terms.ActionVerify
		f.Args["dates"] = datesOf(d.rows)
		return f
	case d.code != "":
		f.State, f.Code, f.Missing = terms.StateUnknown, d.code, []string{"end_of_support"}
		return f
	}
	f = j.with(f, hit.Match, d.rows...)
	f.Due = d.date
	f.Args["train"], f.Args["date"], f.Args["successor"] = d.rows[0].Pattern, d.date.String(), d.rows[0].Successor
	switch {
	case !j.past(d.date) && d.weak:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeR01Weak, []string{"end_of_support"}
	case !j.past(d.date):
		f.State, f.Code = terms.StateOK, terms.CodeR06Supported
	case d.weak:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR06Perhaps, severity, terms.ActionVerify
	default:
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR06Ended, severity, terms.ActionUpgradeFirmware
	}
	return f
}

// undatedTrain is R06 where the rows speak of a train without the day on which its support ends.
func (j *judging) undatedTrain(f terms.Finding, rows []*catalogue.Row, severity terms.Severity) terms.Finding {
	for _, r := range rows {
		if r.Grade() == catalogue.ConfU {
			continue
		}
		f = j.with(f, f.Match, r)
		f.Args["train"], f.Args["successor"] = r.Pattern, r.Successor
		switch s := r.Status(); {
		case (s == catalogue.StatusSupported || s == catalogue.StatusUnannounced) && !r.ReviewedOn.IsZero() && r.Grade() != catalogue.ConfC:
			f.State, f.Code, f.Args["checked_on"] = terms.StateOK, terms.CodeR06Checked, r.ReviewedOn.String()
			return f
		case s == catalogue.StatusEOLUndated || s == catalogue.StatusRetired:
			f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR06Undated, severity, terms.ActionUpgradeFirmware
			return f
		case !r.Maint.IsZero() && j.past(r.Maint):
			f.State, f.Code, f.Severity, f.Action, f.Args["date"] = terms.StateReview, terms.CodeR06Maintenance, terms.S1, terms.ActionUpgradeFirmware, r.Maint.String()
			return f
		}
	}
	f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoDate, []string{"end_of_support"}
	return f
}

// minimum is R07: the running version against the least safe one, of the model or of the product.
func (j *judging) minimum(sw catalogue.Software) terms.Finding {
	const rule = "R07"
	hit := j.model(catalogue.TopicMinimum)
	for _, r := range j.cat.Ranges(sw).Rows {
		if r.Note("min_fw") != "" {
			hit.Rows, hit.Match = append(hit.Rows, r), catalogue.MatchRange
		}
	}
	if !hit.Found() {
		f := unknown(rule, terms.CodeNoRow, "min_fw")
		f.Evidence = j.running()
		return f
	}
	f := j.with(terms.Finding{Rule: rule, Evidence: append(j.identity(), j.running()...)}, hit.Match, hit.Rows...)
	if len(sw.Version.Numbers) == 0 {
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoInput, []string{"version"}
		return f
	}
	f.State, f.Code = terms.StateOK, terms.CodeR07Fine
	f.Args = args("version", j.item.Version.Text, "min_fw", hit.Rows[0].Note("min_fw"))
	best := slices.Clone(hit.Rows)
	slices.SortStableFunc(best, func(a, b *catalogue.Row) int { return strings.Compare(a.Grade(), b.Grade()) })
	for _, r := range best {
		below, known := sw.Version.Below(r.Note("min_fw"))
		switch {
		case r.Grade() == catalogue.ConfU:
		case !known && f.State == terms.StateOK:
			f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeR07Between, []string{"min_fw"}
		case below:
			f = j.with(f, hit.Match, r)
			f.State, f.Code, f.Severity, f.Action, f.Missing = terms.StateOutdated, terms.CodeR07Below, terms.S3, terms.ActionUpgradeFirmware, nil
			if r.Grade() == catalogue.ConfC {
				f.State, f.Code = terms.StateReview, terms.CodeR07Perhaps
			}
			f.Args = args("version", j.item.Version.Text, "min_fw", r.Note("min_fw"), "cve", r.Note("cve"))
			if strings.HasPrefix(r.Status(), catalogue.StatusKEV) || j.model(catalogue.TopicExploits).Found() {
				f.Severity = terms.S4
			}
			return f
		}
	}
	if f.State == terms.StateOK && f.Grade == catalogue.ConfU {
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeUnsourced, []string{"min_fw"}
	}
	return f
}

// newest is R08. The day on which the running version came out is rarely known: a row for that very version has it.
func (j *judging) newest(sw catalogue.Software) terms.Finding {
	const rule = "R08"
	if f, none := j.noTrain(rule, sw); none {
		return f
	}
	hit := j.cat.Firmware(sw)
	var latest *catalogue.Row
	for _, r := range hit.Rows {
		if r.Note("latest") != "" && r.Grade() != catalogue.ConfU && (latest == nil || r.ReviewedOn.After(latest.ReviewedOn.Time)) {
			latest = r
		}
	}
	switch {
	case latest == nil:
		f := j.with(unknown(rule, terms.CodeNoRow, "latest"), hit.Match, hit.Rows...)
		f.Evidence = j.running()
		return f
	case !latest.Support.IsZero() && j.past(latest.Support):
		return notApplicable(rule, terms.CodeR08Ended)
	}
	f := j.with(terms.Finding{Rule: rule, Evidence: j.running(), Args: args("version", j.item.Version.Text, "latest", latest.Note("latest"), "latest_on", latest.Note("latest_on"))}, hit.Match, latest)
	newest, _ := version.Parse(latest.Note("latest"))
	if sw.Version.Compare(newest) >= 0 {
		f.State, f.Code = terms.StateOK, terms.CodeR08Newest
		return f
	}
	on := latest.Date("latest_on")
	released := j.cat.Released(sw)
	switch {
	case on.IsZero() || released == nil:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeR08Behind, []string{"released"}
	case released.Date("released").AddDate(0, staleMonths, 0).Before(on.Time):
		f = j.with(f, hit.Match, latest, released)
		f.State, f.Code, f.Severity, f.Action = terms.StateDueSoon, terms.CodeR08Stale, terms.S1, terms.ActionUpgradeFirmware
		f.Args["released"] = released.Note("released")
	default:
		f = j.with(f, hit.Match, latest, released)
		f.State, f.Code = terms.StateOK, terms.CodeR08Recent
		f.Args["released"] = released.Note("released")
	}
	return f
}

// exploited is R09: the list of vulnerabilities known to be exploited. That an item is not in it says nothing.
func (j *judging) exploited() []terms.Finding {
	const rule = "R09"
	it := j.item
	hit := j.model(catalogue.TopicExploits)
	sw := j.cat.Software(it.Vendor.Text, j.class, it.OS.Text, it.Version.Text)
	vulnerable := false // by a version that is known
	if !hit.Found() && !j.computer() {
		for _, r := range j.cat.Ranges(sw).Rows {
			if r.Note("kev_added") != "" {
				hit.Rows, hit.Match, vulnerable = append(hit.Rows, r), catalogue.MatchRange, true
			}
		}
	}
	if !hit.Found() {
		f := unknown(rule, terms.CodeNoRow, "kev")
		if !it.Vendor.Known() || !it.Model.Known() {
			f = unknown(rule, terms.CodeNoInput, "vendor", "model")
		} else if revisions := j.cat.Revisions(catalogue.TopicExploits, it.Vendor.Text, it.Model.Text); revisions != nil {
			f = unknown(rule, terms.CodeRevision, "hardware")
			f.Args = args("revisions", strings.Join(revisions, ", "))
		}
		f.Evidence = j.identity()
		return []terms.Finding{f}
	}
	r := hit.Rows[0]
	f := j.with(terms.Finding{Rule: rule, Evidence: append(j.identity(), j.running()...),
		Args: args("cve", r.Note("cve"), "added", r.Note("kev_added"), "status", r.Status())}, hit.Match, hit.Rows...)
	switch {
	case r.Grade() == catalogue.ConfU:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeUnsourced, []string{"kev"}
	case vulnerable:
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR09Vulnerable, terms.S4, terms.ActionUpgradeFirmware
		f.Args["min_fw"] = r.Note("min_fw")
	case r.Status() == catalogue.StatusKEVEOL:
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR09EOL, terms.S4, terms.ActionReplace
	case r.Status() == catalogue.StatusKEVMaybeEOL:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR09MaybeEOL, terms.S3, terms.ActionVerify
	default:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR09Fixable, terms.S2, terms.ActionUpgradeFirmware
		if it.Version.Known() {
			f.Code = terms.CodeR09Compare // nobody wrote down from which version on it is fixed
		}
	}
	if f.State == terms.StateOutdated && r.Grade() == catalogue.ConfC {
		f.State = terms.StateReview
	}
	return []terms.Finding{f}
}
