package rules

import (
	_ "embed"
	"encoding/csv"
	"strconv"
	"strings"

	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/legal"
	"communewatch/inventory/lifecycle/terms"
)

//go:embed ages.csv
var agesCSV string

// span is how long equipment of a class is commonly used, in years. The numbers are the trade's, not the law's: those
// of L01 stand beside them.
type span struct {
	class        string
	refresh, end int
	grade        string
	source       string
}

var spans = func() map[string]span {
	rows, err := csv.NewReader(strings.NewReader(agesCSV)).ReadAll()
	if err != nil || len(rows) == 0 {
		panic("lifecycle: the table of ages that comes with the program can't be read")
	}
	all := map[string]span{}
	for _, r := range rows[1:] {
		refresh, _ := strconv.Atoi(r[1])
		end, _ := strconv.Atoi(r[2])
		all[r[0]] = span{r[0], refresh, end, r[3], r[4]}
	}
	return all
}()

// guessed reports whether a day of service is derived rather than written down: from a BIOS date, a MAC address, a
// serial number.
func guessed(from terms.Value) bool {
	return from.Method == terms.MethodMAC || from.Method == terms.MethodMachine || from.Known() && from.Confidence > 0 && from.Confidence < 0.5
}

// inService is the evidence for the day on which the item was put into service.
func (j *judging) inService() []terms.Evidence {
	v := j.item.InServiceFrom
	if v.Source == "" {
		v.Source = v.Text
	}
	v.Text = j.item.InService.String()
	return []terms.Evidence{{Label: "in_service", Value: v}}
}

// age is R15. It is for planning alone and never weighs more than S2.
func (j *judging) age() []terms.Finding {
	const rule = "R15"
	if j.item.InService.IsZero() {
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "in_service")}
	}
	if j.class == "" {
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "class")}
	}
	if j.item.InService.After(j.asOf.Time) {
		f := unknown(rule, terms.CodeR15Future, "in_service")
		f.Evidence = j.inService()
		return []terms.Finding{f}
	}
	s, ok := spans[j.class]
	if !ok {
		return []terms.Finding{notApplicable(rule, terms.CodeWrongKind)}
	}
	years := yearsBetween(j.item.InService.Time, j.asOf.Time)
	guess := guessed(j.item.InServiceFrom)
	f := terms.Finding{Rule: rule, Evidence: j.inService(), Grade: s.grade,
		Args: args("in_service", j.item.InService.String(), "years", itoa(years), "refresh", itoa(s.refresh), "end", itoa(s.end), "class", j.class, "source", s.source)}
	switch {
	case years >= s.end:
		// The spans are the trade's custom, from press and sellers: reason enough to plan, and not to call equipment
		// outdated that its maker still stands behind.
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR15End, terms.S2, terms.ActionReplace
		if s.grade < catalogue.ConfC {
			f.State = terms.StateOutdated
		}
	case years >= s.refresh:
		f.State, f.Code, f.Severity = terms.StateDueSoon, terms.CodeR15Refresh, terms.S1
	default:
		f.State, f.Code = terms.StateOK, terms.CodeR15Young
		return []terms.Finding{f}
	}
	switch {
	case s.class == "ups": // the span is that of batteries, which may have been changed
		f.State, f.Code, f.Action = terms.StateDueSoon, terms.CodeR15Battery, terms.ActionVerify
	case years >= s.end && guess:
		f.State, f.Code, f.Action = terms.StateReview, terms.CodeR15Guess, terms.ActionVerify
	case years >= s.end && s.grade == catalogue.ConfU: // a span without a source says "perhaps" at most
		f.State, f.Code, f.Action = terms.StateReview, terms.CodeR15End, terms.ActionVerify
	}
	return []terms.Finding{f}
}

// manyFailures is how many failures within 12 months are many. It has no source; the limit for repairs is that of L02.
const manyFailures = 3

// condition is R16.
func (j *judging) condition() []terms.Finding {
	const rule = "R16"
	it := j.item
	price, label, priceFrom := j.price()
	f := terms.Finding{Rule: rule, Evidence: evidence("repair", it.RepairFrom, "failures", it.FailuresFrom)}
	quoted := it.Repair > 0 && it.RepairFrom.Known()
	switch {
	case quoted && price > 0 && legal.RepairTooDear(it.Repair, price):
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR16Repair, terms.S2, terms.ActionReplace
		f.Args = args("repair", vnd(it.Repair), "price", vnd(price), "price_kind", label, "percent", percent(it.Repair, price))
		f.Evidence = append(f.Evidence, terms.Evidence{Label: label, Value: priceFrom})
	case it.FailuresFrom.Known() && it.Failures >= manyFailures:
		f.State, f.Code, f.Severity, f.Action, f.Grade = terms.StateReview, terms.CodeR16Failures, terms.S2, terms.ActionVerify, catalogue.ConfU
		f.Args = args("failures", itoa(it.Failures))
	case quoted && price == 0:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoInput, []string{"price"}
	case it.FailuresFrom.Known() || quoted:
		f.State, f.Code = terms.StateOK, terms.CodeR16Fine
		f.Args = args("failures", itoa(it.Failures))
	default:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoInput, []string{"failures"}
	}
	return []terms.Finding{f}
}

// price is what a repair is compared with: the original price, or else that of an equivalent new item.
func (j *judging) price() (vnd int64, label string, from terms.Value) {
	from = j.item.PriceFrom
	if !from.Known() {
		from = j.item.InServiceFrom
	}
	if from.Source == "" {
		from.Source = from.Text
	}
	switch {
	case j.item.Price > 0:
		vnd, label = j.item.Price, "price"
	case j.item.EquivalentNew > 0:
		vnd, label = j.item.EquivalentNew, "equivalent_new"
	default:
		return 0, "", terms.Value{}
	}
	from.Text = strconv.FormatInt(vnd, 10)
	return vnd, label, from
}

func vnd(n int64) string { return strconv.FormatInt(n, 10) }

func percent(part, whole int64) string {
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64)
}
