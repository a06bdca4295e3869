package stock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/paper"
	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/purchases"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// house is a stock over a real registry.
type house struct {
	t     testing.TB
	reg   *registry.Registry
	stock *stock.Stock
}

func open(t testing.TB) *house {
	t.Helper()
	clock := func() time.Time { return now }
	reg, err := registry.Open(context.Background(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := reg.ImportSites(context.Background(), []inventory.Site{
		{ID: "s1", Name: "Tích Sơn", Type: "phường", Parent: "Vĩnh Yên"}, {ID: "s2", Name: "Tam Sơn", Type: "xã", Parent: "Sông Lô"}}, false); err != nil {
		t.Fatal(err)
	}
	s, err := stock.New(stock.Options{Devices: reg.Devices(), Paper: reg.Paper(), Sites: reg, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return &house{t, reg, s}
}

// see takes a device of a site in: facts are "model=WS-C2960", with a confidence behind a bar: "model=X|0.4".
func (h *house) see(site, key string, at time.Time, facts ...string) {
	h.t.Helper()
	sg := devices.Sighting{Site: site, Agent: "pc", Target: "lan", Path: "lan", Key: key, Kind: "snmp", At: at}
	for _, f := range facts {
		name, rest, _ := strings.Cut(f, "=")
		value, sure, found := strings.Cut(rest, "|")
		confidence := 0.95
		if found {
			fmt.Sscan(sure, &confidence)
		}
		sg.Facts = append(sg.Facts, probes.Fact{Name: probes.FactName(name), Value: value, Source: "snmp 1.2.3", Confidence: confidence})
	}
	if err := h.reg.Devices().See(context.Background(), []devices.Sighting{sg}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) table(f stock.Filter) []stock.Row {
	h.t.Helper()
	rows, err := h.stock.Table(context.Background(), stock.Query{Filter: f})
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}

func (h *house) device(id string) stock.Device {
	h.t.Helper()
	d, err := h.stock.Device(context.Background(), id, stock.Query{})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *house) say(id devices.ID, name, value string) {
	h.t.Helper()
	if _, err := h.reg.Devices().Say(context.Background(), devices.Statement{Device: id, Name: name, Value: value, Source: "biên bản 7", By: "Lan"}); err != nil {
		h.t.Fatal(err)
	}
}

func date(t testing.TB, s string) inventory.Date {
	t.Helper()
	d, err := inventory.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTable(t *testing.T) {
	h := open(t)
	h.see("s1", "win", now, "class=pc", "vendor=Dell", "model=OptiPlex 3020", "serial=ABC1234", "os=Windows 10", "os_edition=Pro", "os_release=22H2", "os_build=10.0.19045.4412")
	h.see("s2", "odd", now, "class=printer", "vendor=Acme", "model=Nobody-Knows-9")
	rows := h.table(stock.Filter{})
	if len(rows) != 2 {
		t.Fatalf("%+v", rows)
	}
	win, odd := rows[0], rows[1]
	if win.SiteName != "phường Tích Sơn" || win.District != "Vĩnh Yên" || win.Standing != stock.Outdated || win.State != lifecycle.StateOutdated ||
		win.SupportEnds != date(t, "2025-10-14") || win.Reason == "" || win.Rule != "R05" {
		t.Errorf("%+v", win)
	}
	if odd.Standing != stock.Unknown || odd.State != lifecycle.StateUnknown {
		t.Errorf("%+v", odd)
	}
	for search, want := range map[string]int{"tich son": 1, "OPTIPLEX": 1, "vinh yen dell": 1, "nobody dell": 0, "d1": 1, "": 2, "sơn": 2} {
		if got := h.table(stock.Filter{Search: search}); len(got) != want {
			t.Errorf("%q finds %d, want %d", search, len(got), want)
		}
	}
	for _, c := range []struct {
		f    stock.Filter
		want int
	}{{stock.Filter{Site: "s1"}, 1}, {stock.Filter{District: "Sông Lô"}, 1}, {stock.Filter{Standing: stock.Outdated}, 1}, {stock.Filter{Class: "ups"}, 0},
		{stock.Filter{Phase: stock.NoPhase}, 2}, {stock.Filter{Unmatched: true}, 2}, {stock.Filter{OnlyGone: true}, 0}} {
		if got := h.table(c.f); len(got) != c.want {
			t.Errorf("%+v: %d, want %d", c.f, len(got), c.want)
		}
	}
	// In the past it was not outdated yet.
	past, err := h.stock.Table(t.Context(), stock.Query{AsOf: date(t, "2025-01-01"), Filter: stock.Filter{Site: "s1"}})
	if err != nil || len(past) != 1 || past[0].Standing == stock.Outdated {
		t.Errorf("%v %+v", err, past)
	}
	un, err := h.stock.Unsupported(t.Context(), stock.Query{})
	if err != nil || len(un) != 1 || un[0].ID != win.ID {
		t.Errorf("%v %+v", err, un)
	}
}

func TestSourcesStandSideBySide(t *testing.T) {
	h := open(t)
	h.see("s1", "sw", now.Add(-time.Hour), "vendor=Cisco", "model=WS-C2960", "serial=FOC1010X104", "version=12.2(55)SE", "class=switch|0.3")
	d := h.device("d1")
	if d.Model != "WS-C2960" || d.Class != "switch" || d.Unconfirmed || d.Conflicts != 0 {
		t.Errorf("%+v", d.Row)
	}
	other := devices.Sighting{Site: "s1", Agent: "pc", Target: "web", Path: "lan", Key: "x", Kind: "sweep", At: now, Facts: []probes.Fact{
		{Name: "serial", Value: "FOC1010X104", Source: "http body", Confidence: 0.9}, {Name: "vendor", Value: "Cisco", Source: "http title", Confidence: 0.9},
		{Name: "model", Value: "WS-C2960-24TT-L", Source: "http title", Confidence: 0.9},
		{Name: "version", Value: "15.0(2)SE", Source: "http body", Confidence: 0.9}}}
	if err := h.reg.Devices().See(t.Context(), []devices.Sighting{other}); err != nil {
		t.Fatal(err)
	}
	d = h.device("d1")
	if d.Model != "WS-C2960-24TT-L" || d.Conflicts != 1 || len(d.Sightings) != 2 {
		t.Errorf("the more exact of two that agree is used, the others conflict: %+v", d.Row)
	}
	h.say(1, "model", "WS-C2960-48TT-L")
	if d = h.device("d1"); d.Model != "WS-C2960-48TT-L" || d.Conflicts != 2 || d.Facts[2].By != "Lan" || !d.Facts[2].Used {
		t.Errorf("a person's word goes first, and that others differ shows: %+v\n%+v", d.Row, d.Facts)
	}
	if len(d.History) == 0 || d.History[0].By != "Lan" || d.History[0].To != "WS-C2960-48TT-L" || d.History[0].Source != "biên bản 7" {
		t.Errorf("%+v", d.History[0])
	}
	// A version changes by itself: a good reading that is newer goes before an older word.
	h.say(1, "version", "12.0")
	if d = h.device("d1"); d.Version != "12.0" {
		t.Error(d.Version)
	}
	h.see("s1", "sw", now.Add(time.Hour), "vendor=Cisco", "serial=FOC1010X104", "version=15.2(7)E")
	if d = h.device("d1"); d.Version != "15.2(7)E" {
		t.Error(d.Version)
	}
	if _, err := h.stock.Device(t.Context(), "d9", stock.Query{}); !errors.Is(err, stock.ErrNoDevice) {
		t.Error(err)
	}
	if _, err := h.stock.Device(t.Context(), "../etc", stock.Query{}); !errors.Is(err, stock.ErrNoDevice) {
		t.Error(err)
	}
}

func TestAWeakGuessIsShownAndNotJudged(t *testing.T) {
	h := open(t)
	h.see("s1", "x", now, "os=Windows 7|0.3", "model=WS-C2950-24|0.3", "vendor=Cisco|0.3", "mac=00:11:22:33:44:55")
	r := h.table(stock.Filter{})[0]
	if r.Model != "WS-C2950-24" || !r.Unconfirmed || r.State == lifecycle.StateOutdated {
		t.Errorf("%+v", r)
	}
}

func TestPurchases(t *testing.T) {
	h := open(t)
	h.see("s1", "sw", now, "vendor=Cisco", "model=WS-C2960-24TT-L", "serial=FOC1010X104", "class=switch")
	h.see("s2", "pr", now, "vendor=HP", "model=LaserJet P2035", "class=printer")
	units := []purchases.Purchase{
		{ID: "p1", Phase: "Đợt 1 năm 2016", Contract: "12/HĐ", Item: "Switch", Model: "WS-C2960-24TT-L", Vendor: "Cisco", Serial: "FOC1010X104", Class: "switch", Site: "s1", Received: date(t, "2016-05-01"), Price: 15_000_000, Row: 2},
		{ID: "p2", Phase: "Đợt 1 năm 2016", Contract: "12/HĐ", Item: "Máy in", Model: "LaserJet P2035", Vendor: "HP", Class: "printer", Site: "s1", Received: date(t, "2016-05-01"), Price: 4_000_000, Row: 3},
	}
	ctx := t.Context()
	dry, err := h.reg.Paper().ImportPurchases(ctx, units, "dot1.xlsx", "Lan", true)
	if err != nil || dry.Added != 2 {
		t.Fatal(err, dry)
	}
	if p, err := h.stock.Purchases(ctx, stock.Query{}); err != nil || len(p.Phases) != 0 || len(p.Unmatched) != 2 {
		t.Fatalf("after a dry run: %v %+v", err, p)
	}
	if _, err := h.reg.Paper().ImportPurchases(ctx, units, "dot1.xlsx", "Lan", false); err != nil {
		t.Fatal(err)
	}
	p, err := h.stock.Purchases(ctx, stock.Query{})
	if err != nil || len(p.Phases) != 1 || p.Phases[0].Units != 2 || p.Phases[0].Price != 19_000_000 || p.Phases[0].Contracts[0] != "12/HĐ" {
		t.Fatalf("%v %+v", err, p)
	}
	if p.Units[0].Device == "" {
		t.Fatal("the piece is not found by its serial number")
	}
	d := h.device("d1")
	if d.Phase != "Đợt 1 năm 2016" || d.Price != 15_000_000 || d.InService != date(t, "2016-05-01") || d.Link != purchases.ReasonSerial || d.Purchase == nil {
		t.Errorf("%+v", d.Row)
	}
	// A person says what the printer at the other site is; taken back, it is unmatched again.
	if err := h.reg.Paper().SetLink(ctx, paper.Link{Unit: "p2", Device: 2, Source: "biên bản 9", By: "Lan"}); err != nil {
		t.Fatal(err)
	}
	if d := h.device("d2"); d.Unit != "p2" || d.Link != purchases.ReasonHand || d.Purchase.By != "Lan" || !d.Purchase.Moved {
		t.Errorf("%+v", d.Row)
	}
	if err := h.reg.Paper().RemoveLinks(ctx, "p2", "Lan"); err != nil {
		t.Fatal(err)
	}
	if d := h.device("d2"); d.Unit != "" {
		t.Errorf("%+v", d.Row)
	}
	sum, err := h.stock.Summary(ctx, stock.Query{})
	if err != nil || len(sum.Phases) != 2 || sum.Phases[0].Key != "Đợt 1 năm 2016" || sum.Phases[1].Key != stock.NoPhase {
		t.Errorf("%v %+v", err, sum.Phases)
	}
}

// The three numbers add up, whatever there is.
func TestSummary(t *testing.T) {
	h := open(t)
	h.see("s1", "win", now, "class=pc", "vendor=Dell", "model=OptiPlex 3020", "serial=ABC1234", "os=Windows 10", "os_edition=Pro", "os_release=22H2", "os_build=10.0.19045.4412")
	h.see("s1", "win2", now, "class=pc", "vendor=Dell", "model=OptiPlex 7010", "serial=ABC1235", "os=Windows 11", "os_edition=Enterprise", "os_release=25H2", "os_build=10.0.26200.1")
	h.see("s2", "odd", now.AddDate(0, -9, 0), "class=printer", "vendor=Acme", "model=Nobody-Knows-9", "version=1")
	h.see("s2", "odd", now, "class=printer", "vendor=Acme", "model=Nobody-Knows-9", "version=1")
	day := date(t, "2026-05-01")
	for range 3 {
		if _, err := h.reg.Devices().AddTicket(t.Context(), devices.Ticket{Device: 3, Day: day, Kind: "failure", By: "Lan"}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := h.stock.Summary(t.Context(), stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]stock.Count{{s.Total}, s.Districts, s.Sites, s.Phases, s.Classes} {
		n := 0
		for _, c := range list {
			if c.Outdated+c.Fine+c.Unknown != c.Devices {
				t.Errorf("%+v", c)
			}
			n += c.Devices
		}
		if n != 3 {
			t.Errorf("%d devices in %+v", n, list)
		}
	}
	if s.Total.Outdated != 1 || s.Total.Models != 3 || len(s.Models) != 3 {
		t.Errorf("%+v", s.Total)
	}
	worst := s.Failures.ByModel[0]
	if worst.Key != "Acme Nobody-Knows-9" || worst.Failures != 3 || worst.Low >= worst.Rate || worst.High <= worst.Rate {
		t.Errorf("%+v", s.Failures.ByModel)
	}
	in := slices.IndexFunc(s.Districts, func(c stock.Count) bool { return c.Key == "Vĩnh Yên" })
	if in < 0 || s.Districts[in].Devices != 2 {
		t.Errorf("%+v", s.Districts)
	}
}

// many fills a province with 10,000 devices.
func many(b testing.TB, h *house, n int) {
	models := []string{"vendor=Cisco;model=WS-C2960-24TT-L;class=switch;version=12.2(55)SE", "vendor=MikroTik;model=RB750Gr3;class=router;version=6.49.10",
		"vendor=Dell;model=OptiPlex 3020;class=pc;os=Windows 10;os_edition=Pro;os_release=22H2;os_build=10.0.19045.4412;cpu=Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz",
		"vendor=HP;model=LaserJet P2035;class=printer", "vendor=Polycom;model=HDX 7000;class=videoconference;version=3.1.13", "vendor=Fortinet;model=FortiGate-60D;class=firewall;version=6.0.18"}
	var list []devices.Sighting
	for i := range n {
		sg := devices.Sighting{Site: fmt.Sprintf("s%d", i/75), Agent: "pc", Target: "lan", Path: "lan", Key: fmt.Sprint("k", i), Kind: "snmp", At: now}
		for _, f := range append(strings.Split(models[i%len(models)], ";"), fmt.Sprintf("serial=SN%07dX", i), "protocols=http snmpv2c telnet", fmt.Sprintf("address=10.%d.%d.%d", i>>16, i>>8&255, i&255)) {
			name, value, _ := strings.Cut(f, "=")
			sg.Facts = append(sg.Facts, probes.Fact{Name: probes.FactName(name), Value: value, Source: "snmp 1.2.3", Confidence: 0.95})
		}
		if list = append(list, sg); len(list) == 500 || i == n-1 {
			if err := h.reg.Devices().See(context.Background(), list); err != nil {
				b.Fatal(err)
			}
			list = nil
		}
	}
}

func BenchmarkTable(b *testing.B) {
	h := open(b)
	many(b, h, 10_000)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			s, err := stock.New(stock.Options{Devices: h.reg.Devices(), Paper: h.reg.Paper(), Sites: h.reg, Now: func() time.Time { return now }})
			if err != nil {
				b.Fatal(err)
			}
			if rows, err := s.Table(context.Background(), stock.Query{}); err != nil || len(rows) != 10_000 {
				b.Fatal(err, len(rows))
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			if rows := h.table(stock.Filter{}); len(rows) != 10_000 {
				b.Fatal(len(rows))
			}
		}
	})
	b.Run("other day", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := h.stock.Table(context.Background(), stock.Query{AsOf: inventory.DateOf(now.AddDate(0, 0, i%1000))}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one changed", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			h.see("s0", "k0", now.Add(time.Duration(i+1)*time.Second), "vendor=Cisco", "model=WS-C2960-24TT-L", "serial=SN0000000X")
			if rows := h.table(stock.Filter{}); len(rows) != 10_000 {
				b.Fatal(len(rows))
			}
		}
	})
	b.Run("summary", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.stock.Summary(context.Background(), stock.Query{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Readers of several days and languages ask while devices are seen, joined and judged.
func TestManyAskAtOnce(t *testing.T) {
	h := open(t)
	many(t, h, 400)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 5 {
				q := stock.Query{Lang: []string{"vi", "en"}[i%2], AsOf: inventory.DateOf(now.AddDate(i, 0, 0))}
				rows, err := h.stock.Table(context.Background(), q)
				if err != nil || len(rows) != 400 {
					t.Error(err, len(rows))
				}
				rows[0].Model = "the caller's own" // what is returned belongs to the caller
				if _, err := h.stock.Device(context.Background(), fmt.Sprintf("d%d", 1+i*5+n), q); err != nil {
					t.Error(err)
				}
				if _, err := h.stock.Summary(context.Background(), q); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for n := range 20 {
			h.see("s0", "k0", now.Add(time.Duration(n+1)*time.Second), "vendor=Cisco", "model=WS-C2960-24TT-L", "serial=SN0000000X", fmt.Sprint("version=", n))
		}
	})
	wg.Wait()
	for _, r := range h.table(stock.Filter{}) {
		if r.ID == "d1" && r.Version != "19" || r.Model == "the caller's own" {
			t.Errorf("%+v", r)
		}
	}
}

// A device that turned out to be another one is listed once, and its number leads to the other.
func TestTwoBecomeOne(t *testing.T) {
	h := open(t)
	h.see("s1", "x1", now, "mac=00:1b:0d:63:c2:26", "vendor=Cisco")
	h.see("s1", "x2", now.Add(time.Minute), "vendor=Cisco", "serial=FOC1010X104", "model=WS-C2960-24TT-L")
	if rows := h.table(stock.Filter{}); len(rows) != 2 {
		t.Fatalf("%+v", rows)
	}
	h.see("s1", "x2", now.Add(2*time.Minute), "vendor=Cisco", "serial=FOC1010X104", "model=WS-C2960-24TT-L", "mac=00:1b:0d:63:c2:26")
	if rows := h.table(stock.Filter{}); len(rows) != 1 || rows[0].ID != "d1" || rows[0].MAC == "" || rows[0].Serial == "" {
		t.Fatalf("%+v", rows)
	}
	if d := h.device("d2"); d.ID != "d1" || len(d.Sightings) != 2 {
		t.Errorf("%+v", d)
	}
}

// Verify asks for what would decide something, and says whom.
func TestVerify(t *testing.T) {
	h := open(t)
	h.see("s1", "a", now, "class=videoconference", "vendor=Acme", "model=Nobody-Knows-9", "serial=ZX81ZX81", "version=1")
	h.see("s1", "b", now, "mac=00:1b:0d:63:c2:26", "class=camera")
	all, err := h.stock.Verify(t.Context(), stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]stock.Question{}
	for _, q := range all {
		asked[q.ID+" "+q.Missing] = q
		if q.Text == "" || q.WhoText == "" || q.Who == "" {
			t.Errorf("%+v", q)
		}
	}
	if q := asked["d1 end_of_support"]; !strings.Contains(q.Letter, "Nobody-Knows-9") || !strings.Contains(q.Letter, "ZX81ZX81") {
		t.Errorf("%+v", q)
	}
	if _, ok := asked["d2 model"]; !ok {
		t.Errorf("%v", all)
	}
	if _, ok := asked["d2 end_of_support"]; ok {
		t.Error("nobody can ask a maker about a model that is not known")
	}
}

func TestReplacements(t *testing.T) {
	h := open(t)
	h.see("s1", "win", now, "class=pc", "vendor=Dell", "model=OptiPlex 3020", "serial=ABC1234", "os=Windows 10", "os_edition=Pro", "os_release=22H2",
		"os_build=10.0.19045.4412", "cpu=Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz", "tpm=none")
	h.say(1, "in_service", "2014-05-01")
	h.say(1, "price", "12000000")
	h.say(1, "reachable", "no")
	all, err := h.stock.Replacements(t.Context(), stock.Query{Lang: "en"})
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %+v", err, all)
	}
	r := all[0]
	if r.ReplaceText == "" || len(r.Findings) == 0 || len(r.LegalChecks) == 0 || len(r.Priority) == 0 || r.Score == 0 {
		t.Errorf("%+v", r)
	}
	sum := 0
	for _, p := range r.Priority {
		sum += p.Points
		if p.Text == "" {
			t.Errorf("%+v", p)
		}
	}
	if sum != r.Score {
		t.Errorf("parts make %d, the score is %d", sum, r.Score)
	}
	for _, f := range r.Findings {
		if len(f.Evidence) == 0 || f.Text == "" {
			t.Errorf("%+v", f)
		}
	}
}
