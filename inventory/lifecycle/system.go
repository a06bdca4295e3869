package lifecycle

import (
	"strings"

	"communewatch/inventory"
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
func (j *judging) system() []Finding {
	const rule = "R05"
	it := j.item
	values := evidence("os", it.OS, "os_edition", it.OSEdition, "os_release", it.OSRelease, "os_build", it.OSBuild)
	if !it.OS.Known() && !it.OSBuild.Known() {
		if j.computer() || j.class == "" {
			return []Finding{unknown(rule, CodeNoInput, "os")}
		}
		return []Finding{notApplicable(rule, CodeWrongKind)}
	}
	sys := j.cat.System(it.OS.Text, it.OSEdition.Text, it.OSRelease.Text, it.OSBuild.Text, j.class == "server")
	switch {
	case sys.Missing == "os_known" && !j.computer():
		return []Finding{notApplicable(rule, CodeWrongKind)} // R06 looks at the firmware
	case sys.Missing == "os_known":
		f := unknown(rule, CodeNoRow, "end_of_support")
		f.Evidence = values
		return []Finding{f}
	case sys.Missing != "":
		f := unknown(rule, CodeNoInput, sys.Missing)
		f.Evidence = values
		return []Finding{f}
	}
	hit, open := j.cat.Systems(sys)
	d := pick(hit.Rows, supportDay)
	switch {
	case open && d.code == CodeDisagree:
		f := j.with(unknown(rule, CodeR05Edition, "os_edition"), hit.Match, hit.Rows...)
		f.Evidence, f.Args = values, args("system", sys.Name, "dates", datesOf(hit.Rows))
		return []Finding{f}
	case d.code == CodeDisagree:
		f := j.with(Finding{Rule: rule, State: StateReview, Severity: S1, Action: ActionVerify, Code: CodeDisagree, Evidence: values,
			Args: args("system", sys.Name, "dates", datesOf(hit.Rows))}, hit.Match, hit.Rows...)
		return []Finding{f}
	case d.code != "":
		f := j.with(unknown(rule, d.code, "end_of_support"), hit.Match, hit.Rows...)
		f.Evidence, f.Args = values, args("system", sys.Name)
		return []Finding{f}
	}
	f := j.with(Finding{Rule: rule, Evidence: values, Due: d.date,
		Args: args("system", sys.Name, "edition", string(sys.Edition), "date", d.date.String(), "days", itoa(-j.days(d.date)))}, hit.Match, d.rows...)
	extended, paid := j.paidExtension(d.rows)
	switch {
	case !j.past(d.date) && d.weak:
		f.State, f.Code, f.Missing = StateUnknown, CodeR01Weak, []string{"end_of_support"}
	case !j.past(d.date):
		f.State, f.Code = StateOK, CodeR05Supported
	case !extended.IsZero() && !j.past(extended):
		f.State, f.Code, f.Severity, f.Action, f.Due = StateDueSoon, CodeR05Extended, S1, ActionUpgradeOS, extended
		f.Args["until"] = extended.String()
		f.Evidence = append(f.Evidence, Evidence{"paid_extension", paid})
	default:
		f.State, f.Code, f.Severity, f.Action = StateOutdated, CodeR05Ended, S3, ActionUpgradeOS
		if j.item.Reachable == Yes {
			f.Severity = S4
		}
		if d.weak {
			f.State, f.Code, f.Action = StateReview, CodeR05Perhaps, ActionVerify
		}
		if d.rows[0].Class == "os_mobile" { // the maker of the device may go on longer than the maker of the system
			f.State, f.Code, f.Action = StateReview, CodeR05Embedded, ActionVerify
		}
	}
	return []Finding{f}
}

func datesOf(rows []*Row) string {
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
func (j *judging) paidExtension(rows []*Row) (inventory.Date, Value) {
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
	return inventory.Date{}, Value{}
}
