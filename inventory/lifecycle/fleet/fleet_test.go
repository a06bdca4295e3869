package fleet

import (
	"math"
	"testing"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
)

func day(s string) inventory.Date { d, _ := inventory.ParseDate(s); return d }

func item(id, site, class, vendor, model, version string) lifecycle.Item {
	v := func(s string) lifecycle.Value { return lifecycle.Value{Text: s, Method: lifecycle.MethodSNMP} }
	return lifecycle.Item{ID: id, Site: site, Class: v(class), Vendor: v(vendor), Model: v(model), Version: v(version), Protocols: v("ssh2"), Reachable: lifecycle.No}
}

func judge(t *testing.T, items []lifecycle.Item, asOf string) []lifecycle.Verdict {
	t.Helper()
	cat, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	var all []lifecycle.Verdict
	for _, it := range items {
		all = append(all, lifecycle.Judge(it, cat, day(asOf), lifecycle.Context{}))
	}
	return all
}

func fleetOf() []lifecycle.Item {
	return []lifecycle.Item{
		item("a", "s1", "switch", "Cisco", "WS-C2960-24TT-L", "15.0(2)SE11"),        // ended 2019-10-31
		item("b", "s1", "switch", "Cisco", "WS-C3560CX-8PC-S", "15.2(7)E4"),         // ends 2029-04-30
		item("c", "s2", "videoconference", "Polycom", "RealPresence Group 500", ""), // nobody knows
		item("d", "s2", "switch", "Cisco", "WS-C3650-24TS-S", "16.12.4"),            // ends 2026-10-31; its IOS XE ended 2023-07-31
		item("e", "s2", "switch", "Planet", "", ""),
	}
}

func TestThreeNumbers(t *testing.T) {
	verdicts := judge(t, fleetOf(), "2026-09-01")
	got := Count(verdicts)
	// The IOS of b is only said by a contributor to be out of support, so it has to be looked at.
	if want := (Totals{Outdated: 2, Unknown: 3, Review: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	by := CountBy(verdicts, func(v *lifecycle.Verdict) string { return v.Site })
	if by["s1"].All() != 2 || by["s2"].All() != 3 || by["s2"].Outdated != 1 {
		t.Errorf("by site %+v", by)
	}
}

func TestUnsupportedOnADay(t *testing.T) {
	verdicts := judge(t, fleetOf(), "2026-09-01")
	for _, tc := range []struct {
		on   string
		want []string
	}{
		{"2019-10-30", nil},
		{"2019-10-31", []string{"a"}},
		{"2026-09-01", []string{"a", "d"}},
		{"2029-04-30", []string{"a", "d", "b"}},
	} {
		list, unjudged := Unsupported(verdicts, day(tc.on))
		var got []string
		for _, e := range list {
			got = append(got, verdicts[e.Index].Item)
		}
		if len(got) != len(tc.want) {
			t.Errorf("on %s %v, want %v", tc.on, got, tc.want)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("on %s %v, want %v", tc.on, got, tc.want)
			}
		}
		if unjudged != 2 {
			t.Errorf("%d items without any day, want 2", unjudged)
		}
	}
}

func TestVariety(t *testing.T) {
	items := append(fleetOf(), item("f", "s3", "switch", "cisco", "ws-c3560cx-8pc-s", "15.2(7)E9"))
	if got, want := VarietyOf(items), (Variety{Items: 6, Models: 4, Versions: 5, Unnamed: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	used := MostUsed(items, func(it *lifecycle.Item) string { return it.Class.Text })
	if used[0] != (Share{"switch", 5}) {
		t.Errorf("most used %+v", used)
	}
}

func TestQuestionsGatherByModel(t *testing.T) {
	items := []lifecycle.Item{
		item("a", "s1", "videoconference", "Polycom", "RealPresence Group 500", ""),
		item("b", "s2", "videoconference", "polycom", "RealPresence  group 500", ""),
		item("c", "s2", "videoconference", "Sony", "PCS-XG80", ""),
	}
	for _, q := range Questions(items, judge(t, items, "2026-09-01")) {
		if q.Missing == "end_of_support" && q.Vendor == "Polycom" {
			if len(q.Items) != 2 {
				t.Errorf("asks for %v, want both", q.Items)
			}
			return
		}
	}
	t.Error("nobody asks for the end of support")
}

func near(got, want float64) bool { return math.Abs(got-want) < 5e-4 }

// The expected numbers are published ones: Wilson's for 0 of 10, 1 of 10 and 81 of 263 in Newcombe (Statistics in Medicine
// 17, 1998), Garwood's in any table of exact Poisson limits.
func TestIntervals(t *testing.T) {
	for _, tc := range []struct {
		hits, n   int
		low, high float64
	}{{0, 10, 0, 0.2775}, {1, 10, 0.0179, 0.4042}, {81, 263, 0.2553, 0.3662}, {10, 10, 0.7225, 1}, {0, 0, 0, 1}} {
		if got := Proportion(tc.hits, tc.n); !near(got.Low, tc.low) || !near(got.High, tc.high) {
			t.Errorf("%d of %d: %+v, want %v to %v", tc.hits, tc.n, got, tc.low, tc.high)
		}
	}
	for _, tc := range []struct {
		failures  int
		low, high float64
	}{{0, 0, 3.6889}, {1, 0.0253, 5.5716}, {2, 0.2422, 7.2247}, {10, 4.7954, 18.3904}, {100, 81.3640, 121.6268}} {
		if got := Rate(tc.failures, 1); !near(got.Low, tc.low) || !near(got.High, tc.high) {
			t.Errorf("%d failures: %+v, want %v to %v", tc.failures, got, tc.low, tc.high)
		}
		if got := Rate(tc.failures, 10); !near(got.High*10, tc.high) {
			t.Errorf("%d failures in 10 years: %+v", tc.failures, got)
		}
	}
	if got := Rate(3, 0); !math.IsInf(got.High, 1) {
		t.Errorf("without time in service: %+v", got)
	}
}
