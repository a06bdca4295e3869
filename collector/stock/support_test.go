package stock_test

import (
	"fmt"
	"testing"

	"communewatch/collector/stock"
	"communewatch/collector/stock/stocktest"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

// What loses its hardware's support comes first, each with both of its dates.
func TestUnsupportedHardwareFirst(t *testing.T) {
	h := open(t)
	h.old(1, "s1", "a1")
	h.see("s2", "sw", now, "class=switch", "vendor=Cisco", "model=WS-C2960-24TT-L", "serial=FOC1010X104", "version=12.2(55)SE7")
	list, err := h.stock.Unsupported(t.Context(), stock.Query{AsOf: date(t, "2031-12-31")})
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %+v", err, list)
	}
	if sw := list[0]; sw.ID != "d2" || sw.HardwareEnds.IsZero() || sw.HardwareEnds.After(date(t, "2031-12-31").Time) {
		t.Errorf("%+v", sw)
	}
	if pc := list[1]; pc.ID != "d1" || pc.SoftwareEnds != date(t, "2025-10-14") || pc.SupportEnds != pc.SoftwareEnds {
		t.Errorf("%+v", pc)
	}
}

// The reason that a row tells asks for the action that it shows, or for the replacement that the action comes before.
func TestReasonAndActionAgree(t *testing.T) {
	var sites []inventory.Site
	for i := range 24 {
		sites = append(sites, inventory.Site{ID: fmt.Sprintf("s%05d", 8700+i), Name: fmt.Sprint("Xã ", i), Type: "xã", Parent: "Sông Lô"})
	}
	p := stocktest.Open(t, sites)
	rows, err := p.Table(t.Context(), stock.Query{})
	if err != nil || len(rows) == 0 {
		t.Fatal(err)
	}
	seen := map[lifecycle.Action]int{}
	for _, r := range rows {
		d, err := p.Device(t.Context(), r.ID, stock.Query{})
		if err != nil {
			t.Fatal(err)
		}
		wanted := map[lifecycle.Action]bool{r.Action: true}
		if r.Replace != lifecycle.ReplaceNone {
			wanted[lifecycle.ActionReplace] = true
		}
		asks := false // some finding that counts asks for what is shown
		for _, f := range d.Findings {
			asks = asks || f.Fired() && f.Severity > lifecycle.S0 && wanted[f.Action]
		}
		if r.Action == lifecycle.ActionNone || !asks {
			continue
		}
		for _, f := range d.Findings {
			if f.Rule == r.Rule && f.Text == r.Reason && !wanted[f.Action] {
				t.Errorf("%s: %s is shown, by %s which asks for %s: %s", r.ID, r.Action, r.Rule, f.Action, r.Reason)
			}
		}
		seen[r.Action]++
	}
	if len(seen) < 3 {
		t.Errorf("too few to tell: %v", seen)
	}
}

// A rate over some weeks is noise: it says so and comes last.
func TestThinRates(t *testing.T) {
	h := open(t)
	h.see("s1", "x", now.AddDate(0, 0, -20), "class=printer", "vendor=Acme", "model=New-1", "serial=ZX81ZX81")
	h.see("s1", "y", now.AddDate(0, -9, 0), "class=printer", "vendor=Acme", "model=Old-1", "serial=ZX81ZX82")
	h.failed(1)
	h.failed(2)
	s, err := h.stock.Summary(t.Context(), stock.Query{})
	if err != nil || len(s.Failures.ByModel) != 2 {
		t.Fatalf("%v %+v", err, s.Failures)
	}
	if a, b := s.Failures.ByModel[0], s.Failures.ByModel[1]; a.Thin || a.Key != "Acme Old-1" || !b.Thin || b.Rate < a.Rate {
		t.Errorf("%+v", s.Failures.ByModel)
	}
}
