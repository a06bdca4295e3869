package lifecycle

import (
	"testing"
	"time"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

func day(s string) inventory.Date {
	d, err := inventory.ParseDate(s)
	if err != nil {
		panic(err)
	}
	return d
}

func val(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{Text: text, Method: MethodSNMP, Source: "1.3.6.1.2.1.1.1.0", At: time.Date(2026, 8, 30, 2, 0, 0, 0, time.UTC), Confidence: 1}
}

// shipped is the catalogue that comes with the program.
func shipped(tb testing.TB, local ...*Row) *Catalogue {
	tb.Helper()
	c, err := catalogue.Load(local...)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func device(class, vendor, model string) Item {
	return Item{ID: "d1", Site: "s1", Class: val(class), Vendor: val(vendor), Model: val(model)}
}

// Of R01 to R04 and R05, against the shipped catalogue.
func TestSupport(t *testing.T) {
	cat := shipped(t)
	type want struct {
		rule  string
		state State
		code  string
		sev   Severity
	}
	for _, tc := range []struct {
		name string
		item Item
		asOf string
		want []want
	}{
		{"the day before the end", device("switch", "Cisco", "WS-C2960X-24TS-L"), "2027-10-30", []want{{"R01", StateOK, terms.CodeR01Supported, S0}, {"R02", StateDueSoon, terms.CodeR02Soon, S2}}},
		{"the day of the end", device("switch", "Cisco", "WS-C2960X-24TS-L"), "2027-10-31", []want{{"R01", StateOutdated, terms.CodeR01Ended, S3}, {"R02", StateNotApplicable, terms.CodeR02Past, S0}}},
		{"the day after the end", device("switch", "Cisco", "WS-C2960X-24TS-L"), "2027-11-01", []want{{"R01", StateOutdated, terms.CodeR01Ended, S3}}},
		{"an edge device", device("firewall", "Fortinet", "FortiGate-60E"), "2026-12-29", []want{{"R01", StateOutdated, terms.CodeR01Ended, S4}}},
		{"549 days before", device("switch", "Cisco", "WS-C2960X-24TS-L"), "2026-04-30", []want{{"R02", StateOK, terms.CodeR02Later, S0}}},
		{"548 days before", device("switch", "Cisco", "WS-C2960X-24TS-L"), "2026-05-01", []want{{"R02", StateDueSoon, terms.CodeR02Soon, S1}}},
		{"366 days before", device("switch", "Cisco", "WS-C2960X-24TS-L"), "2026-10-30", []want{{"R02", StateDueSoon, terms.CodeR02Soon, S1}}},
		{"365 days before", device("switch", "Cisco", "WS-C2960X-24TS-L"), "2026-10-31", []want{{"R02", StateDueSoon, terms.CodeR02Soon, S2}}},
		{"no row", device("switch", "Cisco", "WS-C2960S-24TS-L"), "2026-09-01", []want{{"R01", StateUnknown, terms.CodeNoRow, S0}, {"R04", StateUnknown, terms.CodeNoRow, S0}}},
		{"another vendor's pattern", device("switch", "Dell", "WS-C2960X-24TS-L"), "2028-09-01", []want{{"R01", StateUnknown, terms.CodeNoRow, S0}}},
		{"no model", device("switch", "Cisco", ""), "2028-09-01", []want{{"R01", StateUnknown, terms.CodeNoInput, S0}}},
		{"no source", device("videoconference", "Polycom", "RealPresence Group 500"), "2026-09-01", []want{{"R01", StateUnknown, terms.CodeUnsourced, S0}}},
		{"end-of-life without a day, by the press", device("router", "Linksys", "E1200"), "2026-09-01", []want{{"R01", StateReview, terms.CodeR01Undated, S4}}},
		{"retired without a day", device("videoconference", "Tandberg", "6000 MXP"), "2026-09-01", []want{{"R01", StateReview, terms.CodeR01Retired, S3}}},
		{"no operating system read", device("pc", "Dell", "OptiPlex 3020"), "2026-09-01", []want{{"R05", StateUnknown, terms.CodeNoInput, S0}}},
	} {
		v := Judge(tc.item, cat, day(tc.asOf), Context{})
		for _, w := range tc.want {
			f := v.Finding(w.rule)
			if f.State != w.state || f.Code != w.code || f.Severity != w.sev {
				t.Errorf("%s: %s is %s %s S%d, want %s %s S%d", tc.name, w.rule, f.State, f.Code, f.Severity, w.state, w.code, w.sev)
			}
		}
	}
}
