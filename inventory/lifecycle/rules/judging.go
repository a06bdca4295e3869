package rules

import (
	"slices"
	"strconv"
	"time"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

// judging is the judging of one item.
type judging struct {
	item     *terms.Item
	cat      *catalogue.Catalogue
	asOf     inventory.Date
	ctx      terms.Context
	class    string
	support  catalogue.Hit   // rows about the support of the model
	findings []terms.Finding // so far
}

// Judgement is what the rules say of an item, before anything is concluded from it.
type Judgement struct {
	Class        string          // of the item, or else of the row that was found; "": not known
	Findings     []terms.Finding // one per rule, R01 to R17 and L01 to L06, in this order
	Completeness terms.Completeness
}

// Apply applies all rules to an item.
func Apply(item *terms.Item, cat *catalogue.Catalogue, asOf inventory.Date, ctx terms.Context) Judgement {
	j := newJudging(item, cat, asOf, ctx)
	j.findings = make([]terms.Finding, 0, 23)
	for _, rule := range j.rules() {
		j.findings = append(j.findings, rule()...)
	}
	return Judgement{j.class, j.findings, j.completeness()}
}

func newJudging(item *terms.Item, cat *catalogue.Catalogue, asOf inventory.Date, ctx terms.Context) *judging {
	j := &judging{item: item, cat: cat, asOf: asOf, ctx: ctx, class: item.Class.Text}
	j.support = j.model(catalogue.TopicSupport)
	if j.class == "" && j.support.Found() {
		j.class = j.support.Rows[0].Class
	}
	return j
}

// rules lists the rules in the order of their numbers. Later ones may look at what earlier ones found.
func (j *judging) rules() []func() []terms.Finding {
	return []func() []terms.Finding{j.hardware, j.system, j.firmware, j.exploited, j.conferencing, j.windows11, j.protocols, j.wifi,
		j.age, j.condition, j.flags, j.expired, j.repair, j.small, j.count, j.unitPrice, j.reuse}
}

func (j *judging) model(t catalogue.Topic) catalogue.Hit {
	return j.cat.Model(t, j.item.Vendor.Text, j.item.Model.Text, j.item.Hardware.Text)
}

// found returns what an earlier rule found.
func (j *judging) found(rule string) terms.Finding {
	for _, f := range j.findings {
		if f.Rule == rule {
			return f
		}
	}
	return terms.Finding{}
}

// edge reports whether the item stands between the office and the outside, where a flaw is met first.
func (j *judging) edge() bool {
	switch j.class {
	case "router", "firewall", "access_point", "modem", "ont":
		return true
	case "videoconference", "conference_server", "camera", "nvr":
		return j.item.Reachable == terms.Yes
	}
	return false
}

// network reports whether the item is other network or conference equipment.
func (j *judging) network() bool {
	return slices.Contains([]string{"switch", "network", "wireless_controller", "videoconference", "vc_peripheral", "conference_server", "pbx", "phone"}, j.class)
}

func (j *judging) pc() bool { return j.class == "pc" || j.class == "laptop" || j.class == "desktop" }

// days returns the days from as-of to d; negative where d is past.
func (j *judging) days(d inventory.Date) int {
	return int(d.Sub(j.asOf.Time) / (24 * time.Hour))
}

// past reports whether d is as-of or before.
func (j *judging) past(d inventory.Date) bool { return !d.After(j.asOf.Time) }

// evidence lists the values that are known, under their labels.
func evidence(pairs ...any) []terms.Evidence {
	var all []terms.Evidence
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := pairs[i+1].(terms.Value); v.Known() {
			all = append(all, terms.Evidence{Label: pairs[i].(string), Value: v})
		}
	}
	return all
}

func (j *judging) identity() []terms.Evidence {
	return evidence("vendor", j.item.Vendor, "model", j.item.Model, "hardware", j.item.Hardware)
}

// with gives a finding the rows it rests on, and what follows from them: its grade, whether they are stale.
func (j *judging) with(f terms.Finding, match catalogue.MatchKind, rows ...*catalogue.Row) terms.Finding {
	f.Rows, f.Match, f.Grade, f.Stale = rows, match, "", false
	for _, r := range rows {
		if r.ReviewedOn.IsZero() || -j.days(r.ReviewedOn) > terms.StaleDays {
			f.Stale = true
		}
		f.Grade = max(f.Grade, r.Grade()) // A < B < C < U
	}
	return f
}

func unknown(rule, code string, missing ...string) terms.Finding {
	return terms.Finding{Rule: rule, State: terms.StateUnknown, Code: code, Missing: missing}
}

func notApplicable(rule, code string) terms.Finding {
	return terms.Finding{Rule: rule, State: terms.StateNotApplicable, Code: code}
}

func args(pairs ...string) map[string]string {
	m := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return m
}

func itoa(n int) string { return strconv.Itoa(n) }

// dated is the answer to: which day do these rows state?
type dated struct {
	date inventory.Date
	rows []*catalogue.Row // those that state it, or all of them where code is set
	code string           // why there is no day
	weak bool             // only sources that may say "perhaps"
}

// pick finds the day that rows agree on. Rows without a source never count, rows of press or resellers only where there
// is no better one; two of them from different publishers make one good one.
func pick(rows []*catalogue.Row, day func(*catalogue.Row) inventory.Date) dated {
	if len(rows) == 0 {
		return dated{code: terms.CodeNoRow}
	}
	var sure, weak []*catalogue.Row
	sourced := false
	for _, r := range rows {
		switch {
		case r.Grade() == catalogue.ConfU:
			continue
		case day(r).IsZero():
		case r.Grade() == catalogue.ConfC:
			weak = append(weak, r)
		default:
			sure = append(sure, r)
		}
		sourced = true
	}
	if !sourced {
		return dated{rows: rows, code: terms.CodeUnsourced}
	}
	use := sure
	if len(use) == 0 {
		use = weak
	}
	if len(use) == 0 {
		return dated{rows: rows, code: terms.CodeNoDate}
	}
	var publishers []string
	for _, r := range use {
		if !day(r).Equal(day(use[0]).Time) {
			return dated{rows: use, code: terms.CodeDisagree}
		}
		for _, p := range r.Publishers() {
			if !slices.Contains(publishers, p) {
				publishers = append(publishers, p)
			}
		}
	}
	return dated{date: day(use[0]), rows: use, weak: len(sure) == 0 && len(publishers) < 2}
}

// yearsBetween returns the full years from one day to another. Who came on 29 February is a year older on 1 March.
func yearsBetween(from, to time.Time) int {
	years := to.Year() - from.Year()
	if to.Month() < from.Month() || to.Month() == from.Month() && to.Day() < from.Day() {
		years--
	}
	return years
}
