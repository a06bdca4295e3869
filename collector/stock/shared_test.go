package stock_test

import (
	"fmt"
	"strings"
	"testing"

	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

// old takes in a PC that is to be replaced, by law too.
func (h *house) old(id devices.ID, site, key string) {
	h.t.Helper()
	h.see(site, key, now, "class=pc", "vendor=Dell", "model=OptiPlex 3020", "serial=OLD12"+key, "os=Windows 10", "os_edition=Pro", "os_release=22H2",
		"os_build=10.0.19045.4412", "cpu=Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz", "tpm=none")
	h.say(id, "in_service", "2014-05-01")
}

// young takes in a PC that is fine.
func (h *house) young(site, key string) {
	h.t.Helper()
	h.see(site, key, now, "class=pc", "vendor=Dell", "model=OptiPlex 7010", "serial=NEW12"+key, "os=Windows 11", "os_edition=Enterprise", "os_release=25H2",
		"os_build=10.0.26200.1", "cpu=Intel(R) Core(TM) i5-12400", "tpm=2.0")
}

// failed writes down that a device failed some days ago.
func (h *house) failed(id devices.ID) {
	h.t.Helper()
	if _, err := h.reg.Devices().AddTicket(h.t.Context(), devices.Ticket{Device: id, Day: inventory.DateOf(now.AddDate(0, 0, -9)), Kind: "failure", By: "Lan"}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) finding(id, rule string) stock.Finding {
	h.t.Helper()
	d := h.device(id)
	for _, f := range append(d.Findings, d.LegalChecks...) {
		if f.Rule == rule {
			return f
		}
	}
	h.t.Fatalf("%s has no %s", id, rule)
	return stock.Finding{}
}

func TestSurplus(t *testing.T) {
	h := open(t)
	h.old(1, "s1", "a1")
	h.old(2, "s1", "a2")
	h.young("s1", "b3")
	h.young("s2", "b4")
	offered := func(id string) string { f := h.finding(id, "L06"); return string(f.State) + f.Args["item"] }
	before := h.table(stock.Filter{})
	if got := offered("d1"); got != "unknown" {
		t.Error("nobody said what is to give away:", got)
	}
	h.say(4, "surplus", "yes")
	// One unit is offered once, to the most urgent; the other is told that none is left, and what is fine is not asked.
	h.say(2, "reachable", "yes") // more urgent
	if h.device("d2").Score <= h.device("d1").Score {
		t.Fatal("the test wants d2 more urgent")
	}
	if a, b, c := offered("d1"), offered("d2"), offered("d3"); a != "ok" || b != "reviewd4" || c != "unknown" {
		t.Error(a, b, c)
	}
	if d := h.device("d2"); d.Action != lifecycle.ActionTransfer || !strings.Contains(h.finding("d2", "L06").Text, "Tam Sơn") {
		t.Errorf("%+v", d.Row)
	}
	// Lists agree with what devices say, also after the last unit is withdrawn.
	if err := h.reg.Devices().Withdraw(t.Context(), 4, "surplus", "Lan"); err != nil {
		t.Fatal(err)
	}
	if err := h.reg.Devices().Withdraw(t.Context(), 2, "reachable", "Lan"); err != nil {
		t.Fatal(err)
	}
	after := h.table(stock.Filter{})
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("%+v\nwas\n%+v", after[i], before[i])
		}
	}
	// What is outdated itself is no help, and an office is not offered what it has.
	h.say(1, "surplus", "yes")
	h.old(5, "s2", "a5")
	if got := offered("d5"); got != "ok" {
		t.Error("an outdated PC is offered:", got)
	}
	h.say(3, "surplus", "yes")
	if a, b := offered("d5"), offered("d2"); a != "reviewd3" || b != "ok" {
		t.Error(a, b)
	}
}

func TestNormCount(t *testing.T) {
	h := open(t)
	h.old(1, "s1", "a1")
	for i := range 3 {
		h.young("s1", fmt.Sprint("b", i))
	}
	h.young("s2", "c")
	f := h.finding("d1", "L04")
	if f.State != lifecycle.StateUnknown || f.Missing[0] != "norm_count" {
		t.Fatalf("%+v", f)
	}
	asked := func() (n int) {
		all, err := h.stock.Verify(t.Context(), stock.Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range all {
			if q.Missing == "norm_count" {
				n++
			}
		}
		return n
	}
	h.old(6, "s1", "a6")
	if asked() != 1 {
		t.Errorf("an office is asked %d times how many work there", asked())
	}
	said := paper.Office{Site: "s1", Name: "staff", Value: 4, Source: "quyết định biên chế 5", By: "Lan"}
	if err := h.reg.Paper().SayOffice(t.Context(), said); err != nil {
		t.Fatal(err)
	}
	// Five PCs for four people: none is bought, one is moved.
	if f = h.finding("d1", "L04"); f.Args["units"] != "5" || f.Args["most"] != "4" || f.Action != lifecycle.ActionTransfer || f.Evidence[0].Value.Source != said.Source {
		t.Fatalf("%+v", f)
	}
	if r := h.table(stock.Filter{Search: "d1"})[0]; r.Action != lifecycle.ActionTransfer {
		t.Errorf("%+v", r)
	}
	if asked() != 0 {
		t.Error("it is asked again")
	}
	said.Value = 5
	if err := h.reg.Paper().SayOffice(t.Context(), said); err != nil {
		t.Fatal(err)
	}
	if f = h.finding("d1", "L04"); f.State != lifecycle.StateOK {
		t.Errorf("%+v", f)
	}
	h.young("s1", "b9")
	if f = h.finding("d1", "L04"); f.Args["units"] != "6" || f.State != lifecycle.StateReview {
		t.Errorf("one PC more: %+v", f)
	}
	if err := h.reg.Paper().WithdrawOffice(t.Context(), "s1", "staff", "Lan"); err != nil {
		t.Fatal(err)
	}
	if f = h.finding("d1", "L04"); f.State != lifecycle.StateUnknown {
		t.Errorf("%+v", f)
	}
}

// Printers are counted by post: three of group VIII share one.
func TestNormCountByPost(t *testing.T) {
	h := open(t)
	for i := range 3 {
		h.see("s1", fmt.Sprint("p", i), now, "class=printer", "vendor=HP", "model=LaserJet P2035", fmt.Sprint("serial=VNB3X0000", i))
	}
	for name, n := range map[string]int{"staff": 14, "leaders": 1, "group_viii": 5} {
		if err := h.reg.Paper().SayOffice(t.Context(), paper.Office{Site: "s1", Name: name, Value: n, Source: "biên chế", By: "Lan"}); err != nil {
			t.Fatal(err)
		}
	}
	if f := h.finding("d1", "L04"); len(f.Missing) != 1 || f.Missing[0] != "post" {
		t.Fatalf("%+v", f)
	}
	h.say(1, "post", "leader")
	h.say(2, "post", "staff")
	h.say(3, "post", "staff")
	if f := h.finding("d1", "L04"); f.Args["units"] != "1" || f.Args["most"] != "1" || f.State != lifecycle.StateOK {
		t.Errorf("%+v", f)
	}
	if f := h.finding("d3", "L04"); f.Args["units"] != "2" || f.Args["most"] != "2" || f.State != lifecycle.StateOK {
		t.Errorf("%+v", f)
	}
}
