package rules

import (
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

// computer reports whether the item is of a kind whose operating system has a life of its own.
func (j *judging) computer() bool {
	switch j.class {
	case "pc", "laptop", "desktop", "server", "tablet":
		return true
	}
	return false
}

// system is R05: the operating system.
func (j *judging) system() []terms.Finding {
	const rule = "R05"
	it := j.item
	values := evidence("os", it.OS, "os_edition", it.OSEdition, "os_release", it.OSRelease, "os_build", it.OSBuild)
	if !it.OS.Known() && !it.OSBuild.Known() {
		if j.computer() || j.class == "" {
			return []terms.Finding{unknown(rule, terms.CodeNoInput, "os")}
		}
		return []terms.Finding{notApplicable(rule, terms.CodeWrongKind)}
	}
	sys := j.cat.System(it.OS.Text, it.OSEdition.Text, it.OSRelease.Text, it.OSBuild.Text, j.class == "server")
	switch {
	case sys.Missing == "os_known" && !j.computer():
		return []terms.Finding{notApplicable(rule, terms.CodeWrongKind)} // R06 looks at the firmware
	case sys.Missing == "os_known":
		f := unknown(rule, terms.CodeNoRow, "end_of_support")
		f.Evidence = values
		return []terms.Finding{f}
	case sys.Missing != "":
		f := unknown(rule, terms.CodeNoInput, sys.Missing)
		f.Evidence = values
		return []terms.Finding{f}
	}
	hit, open := j.cat.Systems(sys)
	d := pick(hit.Rows, supportDay)
	switch {
	case open && d.code == terms.CodeDisagree:
		f := j.with(unknown(rule, terms.CodeR05Edition, "os_edition"), hit.Match, hit.Rows...)
		f.Evidence, f.Args = values, args("system", sys.Name, "dates", datesOf(hit.Rows))
		return []terms.Finding{f}
	case d.code == terms.CodeDisagree:
		f := j.with(terms.Finding{Rule: rule, State: terms.StateReview, Severity: terms.S1, Action: terms.ActionVerify, Code: terms.CodeDisagree, Evidence: values,
			Args: args("system", sys.Name, "dates", datesOf(hit.Rows))}, hit.Match, hit.Rows...)
		return []terms.Finding{f}
	case d.code != "":
		f := j.with(unknown(rule, d.code, "end_of_support"), hit.Match, hit.Rows...)
		f.Evidence, f.Args = values, args("system", sys.Name)
		return []terms.Finding{f}
	}
	f := j.with(terms.Finding{Rule: rule, Evidence: values, Due: d.date,
		Args: args("system", sys.Name, "edition", string(sys.Edition), "date", d.date.String(), "days", itoa(-j.days(d.date)))}, hit.Match, d.rows...)
	extended, paid := j.paidExtension(d.rows)
	switch {
	case !j.past(d.date) && d.weak:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeR01Weak, []string{"end_of_support"}
	case !j.past(d.date):
		f.State, f.Code = terms.StateOK, terms.CodeR05Supported
	case !extended.IsZero() && !j.past(extended):
		f.State, f.Code, f.Severity, f.Action, f.Due = terms.StateDueSoon, terms.CodeR05Extended, terms.S1, terms.ActionUpgradeOS, extended
		f.Args["until"] = extended.String()
		f.Evidence = append(f.Evidence, terms.Evidence{Label: "paid_extension", Value: paid})
	default:
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR05Ended, terms.S3, terms.ActionUpgradeOS
		if j.item.Reachable == terms.Yes {
			f.Severity = terms.S4
		}
		if d.weak {
			f.State, f.Code, f.Action = terms.StateReview, terms.CodeR05Perhaps, terms.ActionVerify
		}
		if d.rows[0].Class == "os_mobile" { // the maker of the device may go on longer than the maker of the system
			f.State, f.Code, f.Action = terms.StateReview, terms.CodeR05Embedded, terms.ActionVerify
		}
	}
	return []terms.Finding{f}
}

func datesOf(rows []*catalogue.Row) string {
	var all []string
	for _, r := range rows {
		if !r.Support.IsZero() {
			all = append(all, r.Support.String())
		}
	}
	return strings.Join(all, ", ")
}

// paidExtension returns the end of an extension that somebody proved by the flag paid_extension_until=2027-10-12, at
// most until the day that the catalogue knows for extensions.
func (j *judging) paidExtension(rows []*catalogue.Row) (inventory.Date, terms.Value) {
	for _, flag := range j.item.Flags {
		text, ok := strings.CutPrefix(flag.Text, "paid_extension_until=")
		if !ok {
			continue
		}
		until, err := inventory.ParseDate(text)
		if err != nil || until.IsZero() {
			continue
		}
		if last := rows[0].Date("paid_until"); !last.IsZero() && until.After(last.Time) {
			until = last
		}
		return until, flag
	}
	return inventory.Date{}, terms.Value{}
}
