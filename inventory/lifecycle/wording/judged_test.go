package wording

import (
	"strings"
	"testing"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

// Sentences get their arguments from the rules: whatever a rule says, no sentence may have a hole.
func TestNoSentenceHasAHole(t *testing.T) {
	cat, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	value := func(s string) lifecycle.Value { return lifecycle.Value{Text: s, Method: lifecycle.MethodHand} }
	seen := map[string]bool{}
	look := func(it lifecycle.Item, ctx lifecycle.Context) {
		for _, asOf := range []string{"2024-02-01", "2026-09-01", "2030-01-01"} {
			on, _ := inventory.ParseDate(asOf)
			for _, f := range lifecycle.Judge(it, cat, on, ctx).Findings {
				seen[f.Code] = true
				for _, l := range []Lang{Vietnamese, English} {
					if text := Finding(l, f); strings.ContainsAny(text, "?{}") || strings.Contains(text, "  ") || text == "" || strings.HasSuffix(text, ", ") {
						t.Errorf("%s (%s) of %s %s says %q", f.Rule, f.Code, it.Vendor.Text, it.Model.Text, text)
					}
				}
				for _, m := range f.Missing {
					if Input(English, m) == m {
						t.Errorf("%s misses %q, which has no words", f.Rule, m)
					}
				}
			}
		}
	}
	since, _ := inventory.ParseDate("2019-05-01")
	for _, r := range cat.Rows() {
		model := strings.NewReplacer("*", "", "?", "2").Replace(r.Pattern)
		it := lifecycle.Item{Vendor: value(r.Vendor), Model: value(model), Class: value(r.Class), OS: value(model), Version: value("1.0"),
			Platform: value("teams"), Protocols: value("telnet tls1.0 ssl3 ssh1 snmpv2c no_snmpv3"), Wifi: value("802.11n wep"), InService: since, Price: 9_000_000,
			InServiceFrom: value("HĐ 3"), Repair: 4_000_000, RepairFrom: value("báo giá"), ReplacePrice: 30_000_000, Flags: []lifecycle.Value{value("model_in_eol=true")}}
		look(it, lifecycle.Context{Post: "staff", Norm: &lifecycle.NormCount{Units: 9, Staff: 3, From: value("x")}, Surplus: &lifecycle.Surplus{Units: 1, From: value("x")}})
		if _, number, ok := strings.Cut(r.Pattern, " "); ok && r.Kind == "firmware" {
			it.Class, it.OS, it.Version, it.Price = value("router"), value(strings.TrimSuffix(r.Pattern, number)), value(strings.Trim(number, "<")), 30_000_000
			look(it, lifecycle.Context{})
		}
	}
	for _, os := range []string{"Windows 10", "Windows 11", "Windows 7", ""} {
		for _, cpu := range []string{"Intel(R) Core(TM) i3-4130", "Intel(R) Core(TM) i5-8400", "Intel(R) Core(TM) i7-7820HQ", ""} {
			for _, tpm := range []string{"2.0", "none", "1.2", ""} {
				look(lifecycle.Item{Class: value("pc"), OS: value(os), OSRelease: value("22H2"), CPU: value(cpu), TPM: value(tpm), InService: since, InServiceFrom: lifecycle.Value{Text: "BIOS", Method: lifecycle.MethodMachine},
					ReplacePrice: 22_000_000, FailuresFrom: value("x"), Failures: 4}, lifecycle.Context{})
			}
		}
	}
	look(lifecycle.Item{}, lifecycle.Context{})
	for _, code := range []string{terms.CodeR01Ended, terms.CodeR05Ended, terms.CodeR06Ended, terms.CodeR07Perhaps, terms.CodeR09EOL, terms.CodeR10Legacy, terms.CodeR11BestEffort,
		terms.CodeR12Both, terms.CodeR13Weak, terms.CodeR14Cipher, terms.CodeR15End, terms.CodeR16Repair, terms.CodeL01Expired, terms.CodeL02Dear, terms.CodeL04Over, terms.CodeL05TooDear, terms.CodeL06Transfer} {
		if !seen[code] {
			t.Errorf("no item made a rule say %s", code)
		}
	}
}
