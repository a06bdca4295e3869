package lifecycle

import (
	"testing"

	"communewatch/inventory/lifecycle/legal"
	"communewatch/inventory/lifecycle/terms"
)

func owned(class, since string, price int64) Item {
	it := device(class, "Planet", "X")
	if since != "" {
		it.InService, it.InServiceFrom = day(since), Value{Text: "sổ tài sản 2019", Method: MethodLedger, Confidence: 1}
	}
	it.Price = price
	return it
}

func TestLegalRules(t *testing.T) {
	derived := owned("pc", "2010-06-01", 0)
	derived.InServiceFrom = Value{Text: "2010-06-01", Method: MethodMachine, Source: "BIOS date"}
	repair := func(repair, price, equivalent int64) Item {
		it := owned("printer", "", price)
		it.Repair, it.RepairFrom, it.EquivalentNew = repair, val("báo giá"), equivalent
		return it
	}
	ledger := owned("pc", "2023-01-01", 0)
	ledger.Life = 3
	proposed := func(class string, price int64) Item { it := owned(class, "", 0); it.ReplacePrice = price; return it }
	norm := func(units, staff int) Context {
		return Context{Norm: &NormCount{Units: units, Staff: staff, From: val("kiểm kê 2026")}}
	}
	for _, tc := range []struct {
		name string
		item Item
		asOf string
		ctx  Context
		want expected
	}{
		// TT 141/2025 from 2026: 7 years for computers, counted in calendar years.
		{"life ends next year", owned("pc", "2020-01-01", 0), "2026-12-31", Context{}, expected{"L01", StateNotYet, terms.CodeL01Running, S0, ActionNone}},
		{"life ends this year", owned("pc", "2019-12-31", 0), "2026-01-01", Context{}, expected{"L01", StateEligible, terms.CodeL01Expired, S0, ActionNone}},
		// TT 23/2023 until 2025: 5 years.
		{"the day before the regime changes", owned("pc", "2020-06-01", 0), "2025-12-31", Context{}, expected{"L01", StateEligible, terms.CodeL01Expired, S0, ActionNone}},
		{"the day it changes", owned("pc", "2020-06-01", 0), "2026-01-01", Context{}, expected{"L01", StateNotYet, terms.CodeL01Running, S0, ActionNone}},
		{"a network device of 5 years", owned("switch", "2021-06-01", 0), asOf, Context{}, expected{"L01", StateUnknown, terms.CodeL01Open, S0, ActionNone}},
		{"a network device of 7 years", owned("switch", "2019-06-01", 0), asOf, Context{}, expected{"L01", StateEligible, terms.CodeL01Expired, S0, ActionNone}},
		{"a conference unit of 4 years", owned("videoconference", "2022-06-01", 0), asOf, Context{}, expected{"L01", StateNotYet, terms.CodeL01Running, S0, ActionNone}},
		{"a switch under the old regime", owned("switch", "2016-06-01", 0), "2025-06-01", Context{}, expected{"L01", StateNotYet, terms.CodeL01Running, S0, ActionNone}},
		{"a life in the ledger", ledger, asOf, Context{}, expected{"L01", StateEligible, terms.CodeL01Expired, S0, ActionNone}},
		{"a date that is derived", derived, asOf, Context{}, expected{"L01", StateUnknown, terms.CodeL01Guess, S0, ActionNone}},
		{"no date", owned("pc", "", 0), asOf, Context{}, expected{"L01", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"no class", owned("", "2010-01-01", 0), asOf, Context{}, expected{"L01", StateUnknown, terms.CodeNoInput, S0, ActionNone}},

		{"30 % exactly", repair(3_000_000, 10_000_000, 0), asOf, Context{}, expected{"L02", StateNotYet, terms.CodeL02Cheap, S0, ActionNone}},
		{"more than 30 %", repair(3_000_001, 10_000_000, 0), asOf, Context{}, expected{"L02", StateEligible, terms.CodeL02Dear, S0, ActionNone}},
		{"the original price goes first", repair(3_000_001, 20_000_000, 10_000_000), asOf, Context{}, expected{"L02", StateNotYet, terms.CodeL02Cheap, S0, ActionNone}},
		{"of an equivalent new one", repair(3_000_001, 0, 10_000_000), asOf, Context{}, expected{"L02", StateEligible, terms.CodeL02Dear, S0, ActionNone}},
		{"no price", repair(3_000_001, 0, 0), asOf, Context{}, expected{"L02", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"no repair", owned("printer", "", 0), asOf, Context{}, expected{"L02", StateNotApplicable, terms.CodeL02None, S0, ActionNone}},

		{"below the threshold", owned("printer", "", 9_999_999), asOf, Context{}, expected{"L03", StateEligible, terms.CodeL03Small, S0, ActionNone}},
		{"at the threshold", owned("printer", "", 10_000_000), asOf, Context{}, expected{"L03", StateNotYet, terms.CodeL03Asset, S0, ActionNone}},
		{"no price", owned("printer", "", 0), asOf, Context{}, expected{"L03", StateUnknown, terms.CodeNoInput, S0, ActionNone}},

		{"one for each", owned("pc", "", 0), asOf, norm(20, 20), expected{"L04", StateOK, terms.CodeL04Within, S0, ActionNone}},
		{"one more", owned("pc", "", 0), asOf, norm(21, 20), expected{"L04", StateReview, terms.CodeL04Over, S0, ActionTransfer}},
		{"fractions round up", owned("scanner", "", 0), asOf, norm(2, 16), expected{"L04", StateOK, terms.CodeL04Within, S0, ActionNone}},
		{"and no further", owned("scanner", "", 0), asOf, norm(2, 15), expected{"L04", StateReview, terms.CodeL04Over, S0, ActionTransfer}},
		{"printers depend on the post", owned("printer", "", 0), asOf, norm(2, 15), expected{"L04", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"printers of staff", owned("printer", "", 0), asOf, Context{Norm: norm(6, 16).Norm, Post: legal.PostStaff}, expected{"L04", StateOK, terms.CodeL04Within, S0, ActionNone}},
		{"no norm for a firewall", owned("firewall", "", 0), asOf, norm(9, 1), expected{"L04", StateNotApplicable, terms.CodeL04NoNorm, S0, ActionNone}},
		{"not counted", owned("pc", "", 0), asOf, Context{}, expected{"L04", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"before the norm was in force", owned("pc", "", 0), "2026-03-08", norm(20, 20), expected{"L04", StateUnknown, terms.CodeL04NoTable, S0, ActionNone}},
		{"the day it came into force", owned("pc", "", 0), "2026-03-09", norm(20, 20), expected{"L04", StateOK, terms.CodeL04Within, S0, ActionNone}},

		{"at the maximum", proposed("pc", 20_000_000), asOf, Context{}, expected{"L05", StateOK, terms.CodeL05Within, S0, ActionNone}},
		{"15 % more", proposed("pc", 23_000_000), asOf, Context{}, expected{"L05", StateReview, terms.CodeL05Head, S0, ActionNone}},
		{"more than 15 %", proposed("pc", 23_000_001), asOf, Context{}, expected{"L05", StateReview, terms.CodeL05Province, S0, ActionNone}},
		{"30 % more", proposed("pc", 26_000_000), asOf, Context{}, expected{"L05", StateReview, terms.CodeL05Province, S0, ActionNone}},
		{"more than 30 %", proposed("pc", 26_000_001), asOf, Context{}, expected{"L05", StateNotAllowed, terms.CodeL05TooDear, S0, ActionNone}},
		{"a leader's laptop", proposed("laptop", 25_000_000), asOf, Context{Post: legal.PostLeader}, expected{"L05", StateOK, terms.CodeL05Within, S0, ActionNone}},
		{"a laptop of staff", proposed("laptop", 25_000_000), asOf, Context{Post: legal.PostStaff}, expected{"L05", StateReview, terms.CodeL05Province, S0, ActionNone}},
		{"a laptop of somebody", proposed("laptop", 25_000_000), asOf, Context{}, expected{"L05", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
		{"a switch", proposed("switch", 1<<60), asOf, Context{}, expected{"L05", StateNotApplicable, terms.CodeL05Market, S0, ActionNone}},
		{"a price beyond all reason", proposed("pc", 1<<62), asOf, Context{}, expected{"L05", StateNotAllowed, terms.CodeL05TooDear, S0, ActionNone}},

		{"a surplus elsewhere", owned("pc", "", 0), asOf, Context{Surplus: &Surplus{Units: 2, Site: "s9", Item: "d9", From: val("kiểm kê")}}, expected{"L06", StateReview, terms.CodeL06Transfer, S0, ActionTransfer}},
		{"none elsewhere", owned("pc", "", 0), asOf, Context{Surplus: &Surplus{From: val("kiểm kê")}}, expected{"L06", StateOK, terms.CodeL06None, S0, ActionNone}},
		{"nobody looked", owned("pc", "", 0), asOf, Context{}, expected{"L06", StateUnknown, terms.CodeNoInput, S0, ActionNone}},
	} {
		check(t, tc.name, Judge(tc.item, shipped(t), day(tc.asOf), tc.ctx), tc.want)
	}
}

// A replacement needs both: technical evidence and a legal ground.
func TestReplacementNeedsBoth(t *testing.T) {
	ended := shipped(t, local("1", "A", "2026-01-01"))
	item := func(since string, price int64) Item {
		it := owned("switch", since, price)
		it.Vendor, it.Model = val("Acme"), val("Box")
		return it
	}
	broken := item("2024-01-01", 20_000_000)
	broken.Repair, broken.RepairFrom = 9_000_000, val("báo giá")
	isolated := item("2024-01-01", 20_000_000)
	isolated.Isolated = val("CV 12/2026")
	for _, tc := range []struct {
		name    string
		item    Item
		ctx     Context
		legal   LegalState
		replace Replacement
		action  Action
		offers  []Action
	}{
		{"life is over", item("2015-01-01", 20_000_000), Context{}, LegalEligible, ReplaceProposed, ActionReplace, nil},
		{"repair is too dear", broken, Context{}, LegalEligible, ReplaceProposed, ActionReplace, nil},
		{"no fixed asset", item("2024-01-01", 9_000_000), Context{}, LegalEligible, ReplaceProposed, ActionReplace, nil},
		{"too young", item("2024-01-01", 20_000_000), Context{}, LegalNotYet, ReplaceNotYet, ActionIsolate, []Action{ActionIsolate}},
		{"too young and isolated", isolated, Context{}, LegalNotYet, ReplaceNotYet, ActionNone, nil},
		{"date not known", item("", 20_000_000), Context{}, LegalCannotTell, ReplaceCannotTell, ActionVerify, []Action{ActionIsolate}},
		{"price not known", item("2024-01-01", 0), Context{}, LegalCannotTell, ReplaceCannotTell, ActionVerify, []Action{ActionIsolate}},
		{"a surplus elsewhere", item("2015-01-01", 20_000_000), Context{Surplus: &Surplus{Units: 1, Site: "s2", Item: "", From: val("kiểm kê")}}, LegalEligible, ReplaceProposed, ActionTransfer, []Action{ActionReplace}},
		{"too young, a surplus elsewhere", item("2024-01-01", 20_000_000), Context{Surplus: &Surplus{Units: 1, Site: "s2", Item: "", From: val("kiểm kê")}}, LegalNotYet, ReplaceNotYet, ActionTransfer, []Action{ActionTransfer, ActionIsolate}},
	} {
		v := Judge(tc.item, ended, day(asOf), tc.ctx)
		if v.State != StateOutdated || v.Legal != tc.legal || v.Replace != tc.replace || v.Action != tc.action || len(v.Offers) != len(tc.offers) {
			t.Errorf("%s: %s, legal %s, replacement %s, action %s %v; want %s, %s, %s %v", tc.name, v.State, v.Legal, v.Replace, v.Action, v.Offers, tc.legal, tc.replace, tc.action, tc.offers)
			continue
		}
		for i := range v.Offers {
			if v.Offers[i] != tc.offers[i] {
				t.Errorf("%s: offers %v, want %v", tc.name, v.Offers, tc.offers)
			}
		}
	}
	// A legal ground alone makes nothing outdated.
	v := Judge(owned("switch", "2020-01-01", 5_000_000), shipped(t), day(asOf), Context{})
	if v.Legal != LegalEligible || v.State == StateOutdated || v.Replace != ReplaceNone {
		t.Errorf("a cheap switch: %s, legal %s, replacement %q", v.State, v.Legal, v.Replace)
	}
	if v := Judge(item("2015-01-01", 20_000_000), ended, day(asOf), Context{}); !v.Unverified {
		t.Error("the table of useful lives was not compared with the gazette, and the verdict does not say so")
	}
}
