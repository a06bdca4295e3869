package lifecycle

import (
	"testing"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/terms"
)

// local makes a device row for "Acme Box", changed by the functions.
func local(id, confidence, support string, change ...func(*Row)) *Row {
	r := &Row{ID: id, Kind: "device", Vendor: "Acme", Pattern: "Box", Match: MatchExact, Class: "switch", Source: "https://press.example/1",
		Confidence: confidence, ReviewedOn: day("2026-08-01"), Notes: map[string]string{}}
	r.Support, _ = inventory.ParseDate(support)
	for _, c := range change {
		c(r)
	}
	return r
}

func source(s string) func(*Row)           { return func(r *Row) { r.Source = s } }
func reviewed(s string) func(*Row)         { return func(r *Row) { r.ReviewedOn = inventoryDay(s) } }
func note(k, v string) func(*Row)          { return func(r *Row) { r.Notes[k] = v } }
func inventoryDay(s string) inventory.Date { d, _ := inventory.ParseDate(s); return d }
func with(it Item, set func(*Item)) Item   { set(&it); return it }
func acme(class string) Item               { return device(class, "Acme", "Box") }
func pc(os, edition, release, b string) Item {
	it := device("pc", "Dell", "OptiPlex 3060")
	it.OS, it.OSEdition, it.OSRelease, it.OSBuild = val(os), val(edition), val(release), val(b)
	return it
}

type expected struct {
	rule   string
	state  State
	code   string
	sev    Severity
	action Action
}

func check(t *testing.T, name string, v Verdict, want expected) Finding {
	t.Helper()
	f := v.Finding(want.rule)
	if f.State != want.state || f.Code != want.code || f.Severity != want.sev || f.Action != want.action {
		t.Errorf("%s: %s is %s %s S%d %q, want %s %s S%d %q", name, want.rule, f.State, f.Code, f.Severity, f.Action, want.state, want.code, want.sev, want.action)
	}
	return f
}

const asOf = "2026-09-01"

func TestSourcesDecideHowMuchIsSaid(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rows  []*Row
		want  expected
		cited int
	}{
		{"A", []*Row{local("1", "A", "2026-01-01")}, expected{"R01", StateOutdated, terms.CodeR01Ended, S3, ActionReplace}, 1},
		{"B", []*Row{local("1", "B", "2026-01-01")}, expected{"R01", StateOutdated, terms.CodeR01Ended, S3, ActionReplace}, 1},
		{"entered by a reviewer", []*Row{local("1", "A(local)", "2026-01-01")}, expected{"R01", StateOutdated, terms.CodeR01Ended, S3, ActionReplace}, 1},
		{"C", []*Row{local("1", "C", "2026-01-01")}, expected{"R01", StateReview, terms.CodeR01Perhaps, S3, ActionVerify}, 1},
		{"C with a second source", []*Row{local("1", "C", "2026-01-01"), local("2", "C", "2026-01-01", source("https://other.example/2"))},
			expected{"R01", StateOutdated, terms.CodeR01Ended, S3, ActionReplace}, 2},
		{"C twice from one publisher", []*Row{local("1", "C", "2026-01-01"), local("2", "C", "2026-01-01", source("https://www.press.example/2"))},
			expected{"R01", StateReview, terms.CodeR01Perhaps, S3, ActionVerify}, 2},
		{"C that has not ended", []*Row{local("1", "C", "2029-01-01")}, expected{"R01", StateUnknown, terms.CodeR01Weak, S0, ActionNone}, 1},
		{"U", []*Row{local("1", "U", "2026-01-01")}, expected{"R01", StateUnknown, terms.CodeUnsourced, S0, ActionNone}, 1},
		{"U twice", []*Row{local("1", "U", "2026-01-01"), local("2", "U", "2026-01-01", source("https://other.example"))}, expected{"R01", StateUnknown, terms.CodeUnsourced, S0, ActionNone}, 2},
		{"different days", []*Row{local("1", "A", "2026-01-01"), local("2", "B", "2027-01-01")}, expected{"R01", StateReview, terms.CodeDisagree, S1, ActionVerify}, 2},
		{"B and C differ: the better one counts", []*Row{local("1", "B", "2026-01-01"), local("2", "C", "2027-01-01")}, expected{"R01", StateOutdated, terms.CodeR01Ended, S3, ActionReplace}, 1},
		{"no day", []*Row{local("1", "A", "")}, expected{"R01", StateUnknown, terms.CodeNoDate, S0, ActionNone}, 1},
		{"asked, nothing announced", []*Row{local("1", "A", "", note("status", "none-announced"))}, expected{"R01", StateOK, terms.CodeR01Checked, S0, ActionNone}, 1},
		{"nothing announced, nobody knows when it was asked", []*Row{local("1", "A", "", note("status", "none-announced"), reviewed(""))}, expected{"R01", StateUnknown, terms.CodeNoDate, S0, ActionNone}, 1},
		{"supported, says the press", []*Row{local("1", "C", "", note("status", "supported"))}, expected{"R01", StateUnknown, terms.CodeNoDate, S0, ActionNone}, 1},
	} {
		v := Judge(acme("switch"), shipped(t, tc.rows...), day(asOf), Context{})
		f := check(t, tc.name, v, tc.want)
		if len(f.Rows) != tc.cited {
			t.Errorf("%s: rests on %d rows, want %d", tc.name, len(f.Rows), tc.cited)
		}
	}
}

func TestStaleAfter180Days(t *testing.T) {
	for days, stale := range map[string]bool{"2026-03-05": false, "2026-03-04": true, "": true} { // 180, 181, unknown
		v := Judge(acme("switch"), shipped(t, local("1", "A", "2026-01-01", reviewed(days))), day(asOf), Context{})
		f := v.Finding("R01")
		if f.Stale != stale || f.State != StateOutdated {
			t.Errorf("reviewed on %q: stale %v, state %s; it has to be kept and marked", days, f.Stale, f.State)
		}
	}
}

func TestSeverityByPlace(t *testing.T) {
	for _, tc := range []struct {
		class     string
		reachable Tri
		want      Severity
	}{{"router", No, S4}, {"firewall", Unknown, S4}, {"access_point", No, S4}, {"modem", No, S4}, {"switch", Yes, S3}, {"videoconference", No, S3},
		{"videoconference", Yes, S4}, {"camera", Unknown, S2}, {"camera", Yes, S4}, {"nvr", Yes, S4}, {"printer", Yes, S2}, {"ups", No, S2}, {"", Unknown, S3}} {
		it := acme(tc.class)
		it.Reachable = tc.reachable
		check(t, tc.class, Judge(it, shipped(t, local("1", "A", "2026-01-01")), day(asOf), Context{}), expected{"R01", StateOutdated, terms.CodeR01Ended, tc.want, ActionReplace})
	}
}

func TestMaintenanceAndSale(t *testing.T) {
	maint := func(s string) func(*Row) { return func(r *Row) { r.Maint = day(s) } }
	sale := func(s string) func(*Row) { return func(r *Row) { r.Sale = day(s) } }
	for _, tc := range []struct {
		name  string
		class string
		row   *Row
		asOf  string
		want  expected
	}{
		{"before", "switch", local("1", "A", "2027-01-01", maint("2026-09-02")), asOf, expected{"R03", StateOK, terms.CodeR03Running, S0, ActionNone}},
		{"on the day", "switch", local("1", "A", "2027-01-01", maint("2026-09-01")), asOf, expected{"R03", StateDueSoon, terms.CodeR03Ended, S2, ActionVerify}},
		{"at the edge", "router", local("1", "A", "2027-01-01", maint("2026-09-01")), asOf, expected{"R03", StateDueSoon, terms.CodeR03Ended, S3, ActionVerify}},
		{"support is over too", "router", local("1", "A", "2027-01-01", maint("2026-09-01")), "2027-01-01", expected{"R03", StateNotApplicable, terms.CodeR03Past, S0, ActionNone}},
		{"end of support not known", "switch", local("1", "A", "", maint("2026-08-31")), asOf, expected{"R03", StateDueSoon, terms.CodeR03Open, S2, ActionVerify}},
		{"no day", "switch", local("1", "A", "2027-01-01"), asOf, expected{"R03", StateUnknown, terms.CodeNoDate, S0, ActionNone}},
		{"on sale", "switch", local("1", "A", "", sale("2026-09-02")), asOf, expected{"R04", StateOK, terms.CodeR04OnSale, S0, ActionNone}},
		{"sale ended", "switch", local("1", "A", "", sale("2026-09-01")), asOf, expected{"R04", StateReview, terms.CodeR04Ended, S1, ActionVerify}},
		{"sale ended, support known", "switch", local("1", "A", "2030-01-01", sale("2026-09-01")), asOf, expected{"R04", StateNotApplicable, terms.CodeR04Later, S0, ActionNone}},
	} {
		v := Judge(acme(tc.class), shipped(t, tc.row), day(tc.asOf), Context{})
		check(t, tc.name, v, tc.want)
		if v.Replace == ReplaceProposed || v.Action == ActionReplace {
			t.Errorf("%s: %s is no reason to replace", tc.name, tc.want.rule)
		}
	}
}

func TestOperatingSystem(t *testing.T) {
	flag := func(it Item, s string) Item { it.Flags = []Value{val(s)}; return it }
	outside := func(it Item) Item { it.Reachable = Yes; return it }
	for _, tc := range []struct {
		name string
		item Item
		asOf string
		want expected
	}{
		{"the day before", pc("Windows 10", "Pro", "22H2", ""), "2025-10-13", expected{"R05", StateOK, terms.CodeR05Supported, S0, ActionNone}},
		{"the day", pc("Windows 10", "Pro", "22H2", ""), "2025-10-14", expected{"R05", StateOutdated, terms.CodeR05Ended, S3, ActionUpgradeOS}},
		{"by build alone", pc("Windows", "", "", "19045"), "2025-10-14", expected{"R05", StateOutdated, terms.CodeR05Ended, S3, ActionUpgradeOS}},
		{"reachable from outside", outside(pc("Windows 7", "", "", "")), asOf, expected{"R05", StateOutdated, terms.CodeR05Ended, S4, ActionUpgradeOS}},
		{"a paid extension", flag(pc("Windows 10", "Pro", "22H2", ""), "paid_extension_until=2027-10-12"), asOf, expected{"R05", StateDueSoon, terms.CodeR05Extended, S1, ActionUpgradeOS}},
		{"a paid extension that ended", flag(pc("Windows 10", "Pro", "22H2", ""), "paid_extension_until=2026-08-31"), asOf, expected{"R05", StateOutdated, terms.CodeR05Ended, S3, ActionUpgradeOS}},
		{"an extension longer than any", flag(pc("Windows Server 2012", "", "", ""), "paid_extension_until=2030-01-01"), "2026-10-13", expected{"R05", StateOutdated, terms.CodeR05Ended, S3, ActionUpgradeOS}},
		{"an extension that is no day", flag(pc("Windows 10", "Pro", "22H2", ""), "paid_extension_until=soon"), asOf, expected{"R05", StateOutdated, terms.CodeR05Ended, S3, ActionUpgradeOS}},
		{"the edition decides", pc("Windows 11", "", "23H2", ""), asOf, expected{"R05", StateUnknown, terms.CodeR05Edition, S0, ActionNone}},
		{"Pro", pc("Windows 11", "Pro", "23H2", ""), asOf, expected{"R05", StateOutdated, terms.CodeR05Ended, S3, ActionUpgradeOS}},
		{"Enterprise", pc("Windows 11", "Enterprise", "23H2", ""), asOf, expected{"R05", StateOK, terms.CodeR05Supported, S0, ActionNone}},
		{"LTSC", pc("Windows 10", "IoT Enterprise LTSC", "21H2", ""), asOf, expected{"R05", StateOK, terms.CodeR05Supported, S0, ActionNone}},
		{"an edition that was never sold so", pc("Windows 11", "Enterprise LTSC", "23H2", ""), asOf, expected{"R05", StateUnknown, terms.CodeNoRow, S0, ActionNone}},
		{"no release", pc("Windows 10", "Pro", "", ""), asOf, expected{"R05", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"nothing", pc("", "", "", ""), asOf, expected{"R05", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"a system nobody catalogued", pc("Plan 9", "", "", ""), asOf, expected{"R05", StateUnknown, terms.CodeNoRow, S0, ActionNone}},
		{"a router's", with(device("router", "MikroTik", "RB750"), func(it *Item) { it.OS = val("RouterOS") }), asOf, expected{"R05", StateNotApplicable, terms.CodeWrongKind, S0, ActionNone}},
		{"Android of a conference unit", with(device("videoconference", "Yealink", "MeetingBar A20"), func(it *Item) { it.OS = val("Android 10") }), asOf,
			expected{"R05", StateReview, terms.CodeR05Embedded, S3, ActionVerify}},
		{"a server", with(device("server", "Dell", "R740"), func(it *Item) { it.OS = val("Ubuntu 20.04.6 LTS") }), asOf, expected{"R05", StateOutdated, terms.CodeR05Ended, S3, ActionUpgradeOS}},
	} {
		check(t, tc.name, Judge(tc.item, shipped(t), day(tc.asOf), Context{}), tc.want)
	}
}

func running(class, vendor, model, os, version string) Item {
	it := device(class, vendor, model)
	it.OS, it.Version = val(os), val(version)
	return it
}

func TestFirmware(t *testing.T) {
	release := &Row{ID: "l1", Kind: "firmware", Vendor: "MikroTik", Pattern: "RouterOS 7.21.1", Match: MatchExact, Source: "https://mikrotik.com/download/changelogs", Confidence: "A",
		ReviewedOn: day("2026-08-01"), Notes: map[string]string{"released": "2025-07-05"}}
	recent := &Row{ID: "l2", Kind: "firmware", Vendor: "MikroTik", Pattern: "RouterOS 7.21.2", Match: MatchExact, Source: "https://mikrotik.com/download/changelogs", Confidence: "A",
		ReviewedOn: day("2026-08-01"), Notes: map[string]string{"released": "2025-07-06"}}
	for _, tc := range []struct {
		name string
		item Item
		asOf string
		want expected
	}{
		{"the day before", running("firewall", "Fortinet", "FortiGate-60F", "", "v7.2.8,build1639"), "2026-09-29", expected{"R06", StateOK, terms.CodeR06Supported, S0, ActionNone}},
		{"the day", running("firewall", "Fortinet", "FortiGate-60F", "", "v7.2.8,build1639"), "2026-09-30", expected{"R06", StateOutdated, terms.CodeR06Ended, S3, ActionUpgradeFirmware}},
		{"not at the edge", running("videoconference", "Cisco", "Room Kit Pro", "RoomOS", "10.19.5.6"), asOf, expected{"R06", StateOutdated, terms.CodeR06Ended, S2, ActionUpgradeFirmware}},
		{"7.1 is not 7.10", running("router", "MikroTik", "RB750", "", "7.10.2"), "2023-08-14", expected{"R06", StateOK, terms.CodeR06Supported, S0, ActionNone}},
		{"checked, still supported", running("router", "MikroTik", "RB750", "", "7.21.5"), asOf, expected{"R06", StateOK, terms.CodeR06Checked, S0, ActionNone}},
		{"end-of-life without a day", running("router", "MikroTik", "RB750", "", "6.48.1"), asOf, expected{"R06", StateReview, terms.CodeR06Undated, S3, ActionUpgradeFirmware}},
		{"withdrawn", running("videoconference", "Cisco", "Room Bar", "RoomOS", "11.14.2.3"), asOf, expected{"R06", StateReview, terms.CodeR06Maintenance, S1, ActionUpgradeFirmware}},
		{"a contributor says", running("switch", "Cisco", "WS-C3560CX-8PC-S", "", "15.2(7)E4"), asOf, expected{"R06", StateReview, terms.CodeR06Undated, S2, ActionUpgradeFirmware}},
		{"no version", running("router", "MikroTik", "RB750", "", ""), asOf, expected{"R06", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"a product without rows", running("switch", "Planet", "GS-4210", "", "1.2.3"), asOf, expected{"R06", StateUnknown, terms.CodeNoRow, S0, ActionNone}},
		{"a PC", pc("Windows 10", "Pro", "22H2", ""), asOf, expected{"R06", StateNotApplicable, terms.CodeWrongKind, S0, ActionNone}},

		{"below, says a reseller", running("router", "DrayTek", "Vigor2925", "", "3.9.8.2"), asOf, expected{"R07", StateReview, terms.CodeR07Perhaps, S3, ActionUpgradeFirmware}},
		{"at the least safe one", running("router", "DrayTek", "Vigor2925", "", "3.9.8.3"), asOf, expected{"R07", StateOK, terms.CodeR07Fine, S0, ActionNone}},
		{"of two trains", running("router", "DrayTek", "Vigor3910", "", "4.4.3.1"), asOf, expected{"R07", StateReview, terms.CodeR07Perhaps, S3, ActionUpgradeFirmware}},
		{"exploited", running("router", "MikroTik", "RB750", "", "6.42"), asOf, expected{"R07", StateOutdated, terms.CodeR07Below, S4, ActionUpgradeFirmware}},
		{"just fixed", running("router", "MikroTik", "RB750", "", "6.42.1"), asOf, expected{"R07", StateUnknown, terms.CodeNoRow, S0, ActionNone}},
		{"version not known", running("router", "DrayTek", "Vigor2925", "", ""), asOf, expected{"R07", StateUnknown, terms.CodeNoInput, S0, ActionNone}},

		{"the newest", running("router", "MikroTik", "RB750", "", "7.21.5"), asOf, expected{"R08", StateOK, terms.CodeR08Newest, S0, ActionNone}},
		{"behind, nobody knows how far", running("router", "MikroTik", "RB750", "", "7.21.3"), asOf, expected{"R08", StateUnknown, terms.CodeR08Behind, S0, ActionNone}},
		{"more than 12 months", running("router", "MikroTik", "RB750", "", "7.21.1"), asOf, expected{"R08", StateDueSoon, terms.CodeR08Stale, S1, ActionUpgradeFirmware}},
		{"12 months", running("router", "MikroTik", "RB750", "", "7.21.2"), asOf, expected{"R08", StateOK, terms.CodeR08Recent, S0, ActionNone}},
		{"a train that ended", running("router", "MikroTik", "RB750", "", "7.19.1"), asOf, expected{"R08", StateNotApplicable, terms.CodeR08Ended, S0, ActionNone}},

		{"listed, end-of-life", device("router", "D-Link", "DIR-645"), asOf, expected{"R09", StateOutdated, terms.CodeR09EOL, S4, ActionReplace}},
		{"listed, perhaps end-of-life", device("router", "D-Link", "DIR-859"), asOf, expected{"R09", StateReview, terms.CodeR09MaybeEOL, S3, ActionVerify}},
		{"listed, can be fixed", device("router", "TP-Link", "Archer AX21"), asOf, expected{"R09", StateReview, terms.CodeR09Fixable, S2, ActionUpgradeFirmware}},
		{"listed, to be compared", running("router", "TP-Link", "Archer AX21", "", "1.1.4"), asOf, expected{"R09", StateReview, terms.CodeR09Compare, S2, ActionUpgradeFirmware}},
		{"a vulnerable version", running("router", "MikroTik", "RB750", "", "6.40.4"), asOf, expected{"R09", StateOutdated, terms.CodeR09Vulnerable, S4, ActionUpgradeFirmware}},
		{"fixed in the bugfix train", running("router", "MikroTik", "RB750", "", "6.40.8"), asOf, expected{"R09", StateUnknown, terms.CodeNoRow, S0, ActionNone}},
		{"just before it", running("router", "MikroTik", "RB750", "", "6.40.7"), asOf, expected{"R07", StateOutdated, terms.CodeR07Below, S4, ActionUpgradeFirmware}},
		{"the hardware revision is not known", device("router", "TP-Link", "TL-WR841N"), asOf, expected{"R09", StateUnknown, terms.CodeRevision, S0, ActionNone}},
		{"not listed says nothing", device("camera", "Hikvision", "DS-2CD2042WD"), asOf, expected{"R09", StateUnknown, terms.CodeNoRow, S0, ActionNone}},
	} {
		check(t, tc.name, Judge(tc.item, shipped(t, release, recent), day(tc.asOf), Context{}), tc.want)
	}
}

func TestConference(t *testing.T) {
	used := func(vendor, model, platform, os string) Item {
		it := device("videoconference", vendor, model)
		it.Platform, it.OS = val(platform), val(os)
		return it
	}
	for _, tc := range []struct {
		name string
		item Item
		asOf string
		want expected
	}{
		{"an old line", device("videoconference", "Cisco", "TelePresence SX20"), asOf, expected{"R10", StateOutdated, terms.CodeR10Legacy, S2, ActionReplace}},
		{"the line before", device("videoconference", "Cisco", "Room Kit Mini"), asOf, expected{"R10", StateDueSoon, terms.CodeR10Previous, S2, ActionNone}},
		{"not in that group", device("videoconference", "Cisco", "Room 70 G2"), asOf, expected{"R10", StateUnknown, terms.CodeNoRow, S0, ActionNone}},
		{"a switch", device("switch", "Cisco", "SX20"), asOf, expected{"R10", StateNotApplicable, terms.CodeWrongKind, S0, ActionNone}},

		{"the day before", used("Poly", "Studio X30", "teams", ""), "2025-09-02", expected{"R11", StateOK, terms.CodeR11Certified, S0, ActionNone}},
		{"certification ended", used("Poly", "Studio X30", "teams", ""), "2025-09-03", expected{"R11", StateDueSoon, terms.CodeR11BestEffort, S1, ActionNone}},
		{"best effort ended", used("Poly", "Studio X30", "teams", ""), "2027-09-03", expected{"R11", StateOutdated, terms.CodeR11Ended, S2, ActionReplace}},
		{"a newer Android", used("Poly", "Studio X30", "teams", "Android 12"), asOf, expected{"R11", StateOK, terms.CodeR11Certified, S0, ActionNone}},
		{"an older Android", used("Yealink", "VC210", "teams", "Android 9"), asOf, expected{"R11", StateOutdated, terms.CodeR11Ended, S2, ActionReplace}},
		{"not used with Teams", used("Poly", "Studio X30", "sip", ""), "2028-01-01", expected{"R11", StateNotApplicable, terms.CodeR11Other, S0, ActionNone}},
		{"nobody knows what it is used with", used("Poly", "Studio X30", "", ""), "2028-01-01", expected{"R11", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"the press", used("HP", "HP Elite Slice G2", "teams", ""), asOf, expected{"R11", StateReview, terms.CodeR11BestEffort, S1, ActionVerify}},
	} {
		check(t, tc.name, Judge(tc.item, shipped(t), day(tc.asOf), Context{}), tc.want)
	}
}

func TestWindows11(t *testing.T) {
	machine := func(os, release, cpu, tpm string) Item {
		it := pc(os, "Pro", release, "")
		it.CPU, it.TPM = val(cpu), val(tpm)
		return it
	}
	const old, young = "Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz", "Intel(R) Core(TM) i5-8400 CPU @ 2.80GHz"
	for _, tc := range []struct {
		name string
		item Item
		want expected
	}{
		{"an old processor", machine("Windows 10", "22H2", old, ""), expected{"R12", StateOutdated, terms.CodeR12CPU, S3, ActionReplace}},
		{"no TPM", machine("Windows 10", "22H2", young, "none"), expected{"R12", StateReview, terms.CodeR12TPM, S3, ActionReplace}},
		{"TPM 1.2", machine("Windows 7", "", young, "1.2"), expected{"R12", StateReview, terms.CodeR12TPM, S3, ActionReplace}},
		{"both", machine("Windows 10", "22H2", old, "1.2"), expected{"R12", StateOutdated, terms.CodeR12Both, S3, ActionReplace}},
		{"fits", machine("Windows 10", "22H2", young, "2.0"), expected{"R12", StateOK, terms.CodeR12Fits, S0, ActionNone}},
		{"TPM not known", machine("Windows 10", "22H2", young, ""), expected{"R12", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"processor not known", machine("Windows 10", "22H2", "", "2.0"), expected{"R12", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"a processor for the list", machine("Windows 10", "22H2", "Intel(R) Core(TM) i7-7820HQ CPU", "2.0"), expected{"R12", StateUnknown, terms.CodeR12Unclear, S0, ActionNone}},
		{"Windows 11", machine("Windows 11", "23H2", old, "none"), expected{"R12", StateNotApplicable, terms.CodeR12Newer, S0, ActionNone}},
		{"Linux", machine("Ubuntu 20.04", "", old, "none"), expected{"R12", StateNotApplicable, terms.CodeR12Newer, S0, ActionNone}},
		{"system not known", machine("", "", old, "none"), expected{"R12", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"supported for long", with(machine("Windows 10", "21H2", old, "none"), func(it *Item) { it.OSEdition = val("IoT Enterprise LTSC") }), expected{"R12", StateDueSoon, terms.CodeR12Both, S3, ActionReplace}},
	} {
		check(t, tc.name, Judge(tc.item, shipped(t), day(asOf), Context{}), tc.want)
	}
	v := Judge(machine("Windows 10", "22H2", young, "2.0"), shipped(t), day(asOf), Context{})
	if v.Action != ActionUpgradeOS || v.Priority.Score != 40 {
		t.Errorf("a PC that can be upgraded: %s, score %d; want an upgrade, capped at 40", v.Action, v.Priority.Score)
	}
}

func TestServices(t *testing.T) {
	offers := func(s string, reachable Tri) Item {
		it := device("switch", "Planet", "GS-4210")
		it.Protocols, it.Reachable = val(s), reachable
		return it
	}
	radio := func(s string) Item { it := device("access_point", "Planet", "WAP"); it.Wifi = val(s); return it }
	newest := running("router", "MikroTik", "RB750", "", "7.21.5")
	newest.Protocols = val("https tls1.0")
	flag := func(s ...string) Item {
		it := device("switch", "Ubiquiti", "US-8")
		for _, f := range s {
			it.Flags = append(it.Flags, val(f))
		}
		return it
	}
	for _, tc := range []struct {
		name string
		item Item
		want expected
	}{
		{"old TLS alone", offers("https ssh2 tls1.0 tls1.1", No), expected{"R13", StateOutdated, terms.CodeR13Weak, S2, ActionReconfigure}},
		{"old TLS, reachable", offers("https ssh2 tls1.0", Yes), expected{"R13", StateOutdated, terms.CodeR13Weak, S3, ActionReconfigure}},
		{"old TLS beside new", offers("https ssh2 tls1.0 tls1.2", Yes), expected{"R13", StateOK, terms.CodeR13Fine, S0, ActionNone}},
		{"SSL 3", offers("https ssl3 tls1.2", No), expected{"R13", StateOutdated, terms.CodeR13Weak, S2, ActionReconfigure}},
		{"Telnet alone", offers("http telnet", No), expected{"R13", StateOutdated, terms.CodeR13Weak, S2, ActionReconfigure}},
		{"Telnet beside SSH", offers("ssh2 telnet", No), expected{"R13", StateOK, terms.CodeR13Fine, S0, ActionNone}},
		{"SSH 1", offers("ssh1", No), expected{"R13", StateOutdated, terms.CodeR13Weak, S2, ActionReconfigure}},
		{"SNMP v2c, v3 refused", offers("no_snmpv3 snmpv2c", No), expected{"R13", StateOutdated, terms.CodeR13Weak, S2, ActionReconfigure}},
		{"SNMP v2c, nobody asked for v3", offers("snmpv2c", No), expected{"R13", StateOK, terms.CodeR13Fine, S0, ActionNone}},
		{"SNMP v3 too", offers("snmpv2c snmpv3", No), expected{"R13", StateOK, terms.CodeR13Fine, S0, ActionNone}},
		{"not looked at", offers("", Yes), expected{"R13", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"even the newest firmware", newest, expected{"R13", StateOutdated, terms.CodeR13Newest, S2, ActionReplace}},

		{"n", radio("802.11g 802.11n wpa2"), expected{"R14", StateDueSoon, terms.CodeR14Generation, S1, ActionNone}},
		{"ac", radio("802.11n 802.11ac wpa2"), expected{"R14", StateOK, terms.CodeR14Fine, S0, ActionNone}},
		{"WEP", radio("802.11b 802.11g wep"), expected{"R14", StateOutdated, terms.CodeR14Cipher, S3, ActionReplace}},
		{"TKIP of newer radios", radio("802.11ac wpa tkip"), expected{"R14", StateOutdated, terms.CodeR14Cipher, S3, ActionReconfigure}},
		{"TKIP beside WPA2", radio("802.11ac wpa tkip wpa2"), expected{"R14", StateOK, terms.CodeR14Fine, S0, ActionNone}},
		{"radio not known", radio(""), expected{"R14", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"no radio", device("switch", "Planet", "GS-4210"), expected{"R14", StateNotApplicable, terms.CodeWrongKind, S0, ActionNone}},

		{"the controller says so", flag("model_in_eol=true", "model_in_lts=false"), expected{"R17", StateOutdated, terms.CodeR17EOL, S3, ActionReplace}},
		{"long-term support", flag("model_in_eol=false", "model_in_lts=true"), expected{"R17", StateDueSoon, terms.CodeR17LTS, S1, ActionNone}},
		{"neither", flag("model_in_eol=false", "model_in_lts=false"), expected{"R17", StateOK, terms.CodeR17Fine, S0, ActionNone}},
		{"Control Hub", flag("control_hub_lifecycle=END_OF_SUPPORT"), expected{"R17", StateOutdated, terms.CodeR17EOL, S3, ActionReplace}},
		{"no controller", flag(), expected{"R17", StateNotApplicable, terms.CodeR17None, S0, ActionNone}},
		{"another flag", flag("colour=blue"), expected{"R17", StateNotApplicable, terms.CodeR17None, S0, ActionNone}},
	} {
		check(t, tc.name, Judge(tc.item, shipped(t), day(asOf), Context{}), tc.want)
	}
}

func TestAgeAndCondition(t *testing.T) {
	aged := func(class, since string) Item {
		it := device(class, "Planet", "X")
		it.InService, it.InServiceFrom = day(since), Value{Text: "HĐ 12/2019", Method: MethodLedger, Confidence: 1}
		return it
	}
	guess := aged("pc", "2015-01-01")
	guess.InServiceFrom = Value{Text: "2015-01-01", Method: MethodMachine, Source: "BIOS date", Confidence: 0.3}
	repaired := func(repair, price, equivalent int64, failures int) Item {
		it := device("printer", "Canon", "LBP2900")
		it.Repair, it.Price, it.EquivalentNew, it.Failures = repair, price, equivalent, failures
		if repair > 0 {
			it.RepairFrom = val("báo giá 7")
		}
		if failures >= 0 {
			it.FailuresFrom = val("phiếu sửa")
		}
		return it
	}
	for _, tc := range []struct {
		name string
		item Item
		want expected
	}{
		{"a day too young", aged("pc", "2022-09-02"), expected{"R15", StateOK, terms.CodeR15Young, S0, ActionNone}},
		{"refresh", aged("pc", "2022-09-01"), expected{"R15", StateDueSoon, terms.CodeR15Refresh, S1, ActionNone}},
		{"a day before the end", aged("pc", "2021-09-02"), expected{"R15", StateDueSoon, terms.CodeR15Refresh, S1, ActionNone}},
		{"end of useful life", aged("pc", "2021-09-01"), expected{"R15", StateReview, terms.CodeR15End, S2, ActionReplace}},
		{"never graver", aged("firewall", "1999-01-01"), expected{"R15", StateReview, terms.CodeR15End, S2, ActionReplace}},
		{"a switch lives longer", aged("switch", "2017-09-01"), expected{"R15", StateDueSoon, terms.CodeR15Refresh, S1, ActionNone}},
		{"a span without a source", aged("videoconference", "2010-01-01"), expected{"R15", StateReview, terms.CodeR15End, S2, ActionVerify}},
		{"batteries", aged("ups", "2020-01-01"), expected{"R15", StateDueSoon, terms.CodeR15Battery, S2, ActionVerify}},
		{"a date that is derived", guess, expected{"R15", StateReview, terms.CodeR15Guess, S2, ActionVerify}},
		{"not yet in service", aged("pc", "2026-09-02"), expected{"R15", StateUnknown, terms.CodeR15Future, S0, ActionNone}},
		{"no date", device("pc", "Dell", "X"), expected{"R15", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"a kind without a span", aged("sensor", "2000-01-01"), expected{"R15", StateNotApplicable, terms.CodeWrongKind, S0, ActionNone}},

		{"30 % exactly", repaired(3_000_000, 10_000_000, 0, -1), expected{"R16", StateOK, terms.CodeR16Fine, S0, ActionNone}},
		{"a dong more", repaired(3_000_001, 10_000_000, 0, -1), expected{"R16", StateOutdated, terms.CodeR16Repair, S2, ActionReplace}},
		{"against an equivalent new one", repaired(3_000_001, 0, 10_000_000, -1), expected{"R16", StateOutdated, terms.CodeR16Repair, S2, ActionReplace}},
		{"no price", repaired(3_000_001, 0, 0, -1), expected{"R16", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"2 failures", repaired(0, 0, 0, 2), expected{"R16", StateOK, terms.CodeR16Fine, S0, ActionNone}},
		{"3 failures", repaired(0, 0, 0, 3), expected{"R16", StateReview, terms.CodeR16Failures, S2, ActionVerify}},
		{"nobody counts", repaired(0, 0, 0, -1), expected{"R16", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
	} {
		check(t, tc.name, Judge(tc.item, shipped(t), day(asOf), Context{}), tc.want)
	}
}
