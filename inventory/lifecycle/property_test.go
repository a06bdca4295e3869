package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/legal"
)

// maker makes items of all that the catalogue knows, of what it does not, and with anything missing.
type maker struct {
	*rand.Rand
	rows []*Row
}

func newMaker(seed uint64, cat *Catalogue) maker {
	rows := cat.Rows()
	for range 10 { // rows of reviewers, and what few rows are about, come up often enough
		for _, r := range cat.Rows() {
			if r.Vendor == "Acme" || r.Note("released") != "" || r.Note("latest") != "" && r.Support.IsZero() {
				rows = append(rows, r)
			}
		}
	}
	return maker{rand.New(rand.NewPCG(seed, 7)), rows}
}

func (m maker) one(texts ...string) string { return texts[m.IntN(len(texts))] }

// perhaps returns a value, or none.
func (m maker) perhaps(texts ...string) Value {
	if m.IntN(4) == 0 {
		return Value{}
	}
	v := val(m.one(texts...))
	if v.Known() {
		v.Method = []Method{MethodSNMP, MethodHand, MethodMachine, MethodMAC, MethodLedger}[m.IntN(5)]
		v.Confidence = m.Float64()
	}
	return v
}

func (m maker) day(from, to int) inventory.Date {
	return inventory.DateOf(time.Date(from+m.IntN(to-from), time.Month(1+m.IntN(12)), 1+m.IntN(31), 0, 0, 0, 0, time.UTC))
}

func (m maker) item() Item {
	r := m.rows[m.IntN(len(m.rows))]
	vendor, model := r.Vendor, r.Pattern
	switch m.IntN(8) {
	case 0:
		vendor = m.one("Dell", "Planet", "Tandberg", "HPE", "cisco systems, inc.", "\x00", "Việt")
	case 1:
		model = m.one("X", "WS-C2960", "*", "Room", "TL-WR841N", strings.Repeat("A1", 300))
	}
	model = strings.NewReplacer("*", m.one("", "-24TS", " Pro", "9", "W"), "?", "2").Replace(model)
	it := Item{ID: "d", Site: "s", Vendor: m.perhaps(vendor), Model: m.perhaps(model), Hardware: m.perhaps("V1", "V8", "8.0", "B1", "rev 2"),
		Class:   m.perhaps("router", "switch", "firewall", "access_point", "videoconference", "printer", "ups", "camera", "server", "pc", "pc", "other", r.Class, "?"),
		Version: m.perhaps("7.1.5", "6.42", "v7.0.12,build1", "15.2(7)E4", "ce9.15.3", "4.4.3.1", "garbage", m.version(r.Pattern), m.version(r.Pattern), "3.9.8.2"),
		Serial:  m.perhaps("0123456789"), OS: m.perhaps("Windows 10", "Windows 11", "Windows", "Windows 7", "Windows Server 2016", "Linux", "RouterOS", "Ubuntu 20.04", "Android 10", r.Pattern),
		OSEdition: m.perhaps("Pro", "Enterprise", "Enterprise LTSC", "IoT Enterprise LTSC", "?"), OSRelease: m.perhaps("22H2", "21H2", "23H2", "1809"),
		OSBuild: m.perhaps("10.0.19045.1", "22631", "17763", "1"), CPU: m.perhaps("Intel(R) Core(TM) i3-4130", "Intel(R) Core(TM) i5-8400", "AMD Ryzen 5 2600", "?"),
		TPM: m.perhaps("none", "1.2", "2.0", "?"), Protocols: m.perhaps("telnet", "ssh2 tls1.2", "tls1.0", "ssl3 ssh1", "snmpv2c no_snmpv3", ""),
		Wifi: m.perhaps("802.11n wpa2", "802.11g wep", "802.11ax wpa3", "wpa", "?"), Platform: m.perhaps("teams", "zoom", "sip"),
		RepairFrom: m.perhaps("báo giá"), FailuresFrom: m.perhaps("phiếu"), Failures: m.IntN(6),
		Reachable: Tri(m.IntN(3)), OnlyUplink: Tri(m.IntN(3)), Service: Tri(m.IntN(3))}
	if m.IntN(3) > 0 {
		it.InService, it.InServiceFrom = m.day(2005, 2032), m.perhaps("hóa đơn")
	}
	if m.IntN(4) == 0 {
		it.Isolated = val("CV 1")
	}
	if m.IntN(4) == 0 {
		it.Flags = []Value{val(m.one("model_in_eol=true", "model_in_lts=true", "model_in_eol=false", "paid_extension_until=2028-01-01", "control_hub_lifecycle=x"))}
	}
	money := []int64{0, 0, 1, 9_999_999, 10_000_000, 30_000_000, 1 << 62}
	it.Price, it.EquivalentNew, it.ReplacePrice, it.Repair = money[m.IntN(7)], money[m.IntN(7)], money[m.IntN(7)], money[m.IntN(7)]
	it.Life = []int{0, 0, 0, 5, -3}[m.IntN(5)]
	return it
}

// version makes a version of a train, or one beside it.
func (m maker) version(pattern string) string {
	_, v, _ := strings.Cut(pattern, " ")
	return strings.Trim(v, "<*") + m.one("", ".1", "0", "(3)M2", ".99")
}

func (m maker) context() Context {
	c := Context{Post: m.one("", legal.PostLeader, legal.PostStaff, "?")}
	if m.IntN(2) == 0 {
		c.Norm = &NormCount{Units: m.IntN(40), Staff: m.IntN(40), From: m.perhaps("kiểm kê")}
	}
	if m.IntN(2) == 0 {
		c.Surplus = &Surplus{Units: m.IntN(3), Site: "s2", From: m.perhaps("kiểm kê")}
	}
	return c
}

func allRules() []string {
	var all []string
	for i := 1; i <= 17; i++ {
		all = append(all, fmt.Sprintf("R%02d", i))
	}
	for i := 1; i <= 6; i++ {
		all = append(all, fmt.Sprintf("L%02d", i))
	}
	return all
}

// inputsOf lists the inputs of which a rule needs at least one to say anything.
func inputsOf(rule string, it *Item) []Value {
	service := Value{Text: it.InService.String()}
	price := Value{}
	if it.Price > 0 {
		price.Text = "known"
	}
	return map[string][]Value{"R01": {it.Model}, "R02": {it.Model}, "R03": {it.Model}, "R04": {it.Model}, "R05": {it.OS, it.OSBuild}, "R06": {it.Version, it.OS},
		"R07": {it.Version, it.OS}, "R08": {it.Version, it.OS}, "R09": {it.Model, it.Version, it.OS}, "R10": {it.Model}, "R11": {it.Platform}, "R12": {it.OS, it.OSBuild},
		"R13": {it.Protocols}, "R14": {it.Wifi}, "R15": {service}, "R16": {it.RepairFrom, it.FailuresFrom}, "R17": it.Flags, "L01": {service},
		"L02": {it.RepairFrom}, "L03": {price}}[rule]
}

// byRow lists the rules that rest on a row of the catalogue.
func byRow(rule string) bool {
	return slices.Contains([]string{"R01", "R02", "R03", "R04", "R05", "R06", "R07", "R08", "R09", "R10", "R11"}, rule)
}

func TestNothingIsSaidWithoutEvidence(t *testing.T) {
	noSource := local("l-unsourced", "U", "2020-01-01")
	press := local("l-press", "C", "2020-01-01", func(r *Row) { r.Pattern = "Press" })
	sold := local("l-sold", "A", "", func(r *Row) { r.Pattern, r.Sale = "Sold", day("2025-01-01") })
	kept := local("l-kept", "A", "2029-01-01", func(r *Row) { r.Pattern, r.Maint = "Kept", day("2025-01-01") })
	release := &Row{ID: "l-release", Kind: "firmware", Vendor: "MikroTik", Pattern: "RouterOS 7.21.1", Match: MatchExact, Source: "https://mikrotik.com/download/changelogs",
		Confidence: "A", ReviewedOn: day("2026-08-01"), Notes: map[string]string{"released": "2025-07-05"}}
	cat := shipped(t, noSource, press, sold, kept, release)
	m := newMaker(20260901, cat)
	rules := allRules()
	seen := map[string]map[State]int{}
	for range 5_000 {
		it, ctx, asOf := m.item(), m.context(), m.day(2024, 2031)
		v := Judge(it, cat, asOf, ctx)
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("%s\nitem %+v\nas of %s\ncontext %+v\nverdict %+v", fmt.Sprintf(format, args...), it, asOf, ctx, v)
		}
		if len(v.Findings) != len(rules) {
			fail("%d findings, want one of each rule", len(v.Findings))
		}
		for i, f := range v.Findings {
			if f.Rule != rules[i] {
				fail("finding %d is of %s, want %s", i, f.Rule, rules[i])
			}
			if seen[f.Rule] == nil {
				seen[f.Rule] = map[State]int{}
			}
			seen[f.Rule][f.State]++
			for _, e := range f.Evidence {
				if !e.Value.Known() {
					fail("%s cites %s, which is not known", f.Rule, e.Label)
				}
			}
			if (f.Severity > S0) != f.Fired() && !f.Legal() {
				fail("%s is %s with severity S%d", f.Rule, f.State, f.Severity)
			}
			if f.Code == "" || !slices.Contains(Codes(), f.Code) {
				fail("%s has the code %q, which nobody has words for", f.Rule, f.Code)
			}
			if f.State == StateUnknown || f.State == StateNotApplicable {
				if f.State == StateUnknown && len(f.Missing) == 0 {
					fail("%s is unknown and does not say what is missing", f.Rule)
				}
				continue
			}
			if len(f.Evidence) == 0 {
				fail("%s is %s without a value", f.Rule, f.State)
			}
			if byRow(f.Rule) {
				sourced := false
				for _, r := range f.Rows {
					sourced = sourced || r.Source != "" && r.Grade() != catalogue.ConfU
				}
				if !sourced {
					fail("%s is %s without a row that has a source", f.Rule, f.State)
				}
			}
			if f.State == StateOutdated && byRow(f.Rule) && f.Grade == catalogue.ConfC && len(f.Rows) == 1 && len(f.Rows[0].Publishers()) < 2 {
				fail("%s is outdated by one source of the press", f.Rule)
			}
			if needs := inputsOf(f.Rule, &it); needs != nil && !slices.ContainsFunc(needs, Value.Known) {
				fail("%s is %s and none of its inputs is known", f.Rule, f.State)
			}
			if (f.Rule == "R01" || f.Rule == "R06") && !f.Due.IsZero() && (f.State == StateOK) != f.Due.After(asOf.Time) {
				fail("%s is %s, its day is %s", f.Rule, f.State, f.Due)
			}
			if f.Rule == "R15" && f.Severity > S2 {
				fail("age alone gives S%d", f.Severity)
			}
		}
		if p := v.Priority; p.Score < 0 || p.Score > 100 {
			fail("score %d", p.Score)
		}
		sum, base := 0, false
		for _, part := range v.Priority.Parts {
			sum += part.Points
			base = base || part.Code == PartBase
		}
		if sum != v.Priority.Score || !base && len(v.Priority.Parts) > 0 {
			fail("parts %v of score %d", v.Priority.Parts, v.Priority.Score)
		}
		says := func(s State) bool {
			return slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.State == s && !f.Legal() })
		}
		if v.State == StateOutdated && !says(StateOutdated) || v.State == StateOK && (says(StateOutdated) || says(StateReview) || says(StateDueSoon)) {
			fail("it is %s, which its findings do not say", v.State)
		}
		if v.Bucket == BucketOutdated != (v.State == StateOutdated) || v.Bucket == BucketFine && (v.State == StateUnknown || v.State == StateReview) {
			fail("it is %s and counted as %s", v.State, v.Bucket)
		}
		if v.Replace == ReplaceProposed && (v.Legal != LegalEligible || v.Priority.Score == 0 && !it.Isolated.Known()) {
			fail("a replacement is proposed")
		}
		if v.Action == ActionReplace && v.Replace != ReplaceProposed {
			fail("the action is to replace")
		}
		if again := Judge(it, cat, asOf, ctx); !reflect.DeepEqual(v, again) {
			fail("judged again it is %+v", again)
		}
	}
	// The items have to reach what the checks are about.
	for _, rule := range rules {
		for _, s := range []State{StateUnknown} {
			if rule != "R17" && rule != "L05" && seen[rule][s] == 0 {
				t.Errorf("%s was never %s", rule, s)
			}
		}
		said := 0
		for s, n := range seen[rule] {
			if s != StateUnknown && s != StateNotApplicable {
				said += n
			}
		}
		if said < 5 {
			t.Errorf("%s said something %d times only: %v", rule, said, seen[rule])
		}
	}
}

// An item of which nothing is known is unknown in every respect.
func TestNothingKnown(t *testing.T) {
	v := Judge(Item{ID: "d"}, shipped(t), day(asOf), Context{})
	for _, f := range v.Findings {
		if f.State != StateUnknown && f.State != StateNotApplicable {
			t.Errorf("%s is %s", f.Rule, f.State)
		}
	}
	if v.State != StateUnknown || v.Bucket != BucketUnknown || v.Legal != LegalCannotTell || v.Priority.Score != 0 || v.Action != ActionVerify {
		t.Errorf("%+v", v)
	}
}

// Rules that must never exist: brand, country, serial numbers, a vendor's vulnerability without a version, absence.
func TestWhatNoRuleLooksAt(t *testing.T) {
	cat := shipped(t)
	for _, tc := range []struct{ class, vendor, model string }{
		{"camera", "Hikvision", "DS-2CD2143G0-I"}, {"nvr", "Dahua", "NVR4104"}, {"camera", "GeoVision", "GV-BX1500"}, {"router", "Huawei", "AR161"}, {"router", "ZTE", "F670L"},
	} {
		it := device(tc.class, tc.vendor, tc.model)
		it.Reachable, it.Serial = Yes, val("C12345678")
		if v := Judge(it, cat, day(asOf), Context{}); v.State != StateUnknown || v.Priority.Score != 0 {
			t.Errorf("%s %s: %s, score %d; nothing is known of it but its name", tc.vendor, tc.model, v.State, v.Priority.Score)
		}
	}
}

func BenchmarkJudge10000(b *testing.B) {
	cat := shipped(b)
	m := newMaker(1, cat)
	items := make([]Item, 10_000)
	for i := range items {
		items[i] = m.item()
	}
	on := day(asOf)
	b.ReportAllocs()
	for b.Loop() {
		for i := range items {
			Judge(items[i], cat, on, Context{})
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		shipped(b)
	}
}
