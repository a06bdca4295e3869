package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/stock"
	"communewatch/deploy/lab/fleet"
	"communewatch/deploy/lab/gear/snmp"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/probes"
	"communewatch/probes/snmp/identify"
	"communewatch/probes/snmp/session"
)

// identified asks one unit of a model over the wire what it is.
func identified(ctx context.Context, engine *identify.Engine, d fleet.Device) ([]probes.Fact, error) {
	d.Own.Quirk = snmp.Quirk{}
	unit := d.Responder(time.Now())
	r, err := snmp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), unit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	o := session.Options{Address: r.Addr().String(), Community: "public", Timeout: 3 * time.Second, Retries: 1}
	if d.Own.OnlyV3 {
		o.Version, o.User = session.V3, session.User{Name: fleet.UserName, Auth: "sha256", AuthKey: fleet.AuthPhrase, Priv: "aes", PrivKey: fleet.PrivPhrase}
	}
	s := session.New(o)
	if _, err := s.Open(ctx); err != nil {
		return nil, err
	}
	defer s.Close()
	id, err := engine.Identify(ctx, s)
	return append(id.Facts, probes.Fact{Name: probes.FactProtocols, Value: "snmpv2c", Source: "snmp", Confidence: 1}), err
}

// sightings is what the agents of a province would report: every device as one of its model says it is, with what is
// its own.
func sightings(t *testing.T, p *Province, at time.Time) []devices.Sighting {
	t.Helper()
	engine, err := identify.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	models := map[string][]probes.Fact{}
	serials := map[string]string{}
	var list []devices.Sighting
	for _, d := range p.Devices() {
		unit := d.Responder(at)
		if models[d.Table.Name] == nil {
			if models[d.Table.Name], err = identified(t.Context(), engine, d); err != nil {
				t.Fatalf("%s: %v", d.Table.Name, err)
			}
			serials[d.Table.Name] = unit.Serial()
		}
		seen := devices.Sighting{Site: p.sites[d.Site].ID, Agent: "pc-1", Target: "snmp-" + d.Name, Path: "lan", Key: d.Name, Kind: "snmp", At: at}
		for _, f := range models[d.Table.Name] {
			switch f.Name {
			case probes.FactSerial:
				if f.Value == serials[d.Table.Name] {
					f.Value = unit.Serial()
				}
			case probes.FactSysName:
				f.Value = d.Own.Name
			case probes.FactMAC:
				mac := unit.MAC()
				f.Value = fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
			case probes.FactChassisID, probes.FactEngineID, probes.FactDescr, probes.FactLocation:
				continue // may name the one that was asked
			}
			seen.Facts = append(seen.Facts, f)
		}
		list = append(list, seen)
	}
	return list
}

// TestTheDemoShowsAProvinceAsProvincesAre judges the equipment of the demo on a fixed day: about a third of it fine, about a
// third outdated, the rest not known, and failures that tell the phases apart.
func TestTheDemoShowsAProvinceAsProvincesAre(t *testing.T) {
	cfg := config(t, 136)
	cfg.Devices = true
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	p, err := Prepare(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	col, err := p.collectorConfig()
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.Context(), col.RegistryFile(), registry.Options{Log: cfg.Log, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	if err := reg.Devices().See(t.Context(), sightings(t, p, now.Add(-time.Minute))); err != nil {
		t.Fatal(err)
	}
	r := p.newReviewer(reg, inventory.DateOf(now))
	if err := r.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.waiting) > 0 {
		t.Errorf("%d devices of which there is something to say were not found", len(r.waiting))
	}
	st, err := stock.New(stock.Options{Devices: reg.Devices(), Paper: reg.Paper(), Sites: reg, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := st.Summary(t.Context(), stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	c := sum.Total
	t.Logf("%d devices: %d outdated, %d fine (%d due soon), %d unknown (%d review)", c.Devices, c.Outdated, c.Fine, c.DueSoon, c.Unknown, c.Review)
	share := func(what string, n, low, high int) {
		t.Helper()
		if percent := 100 * n / c.Devices; percent < low || percent > high {
			t.Errorf("%d %% of the devices are %s, want %d to %d %%", percent, what, low, high)
		}
	}
	share("outdated", c.Outdated, 20, 38)
	share("fine", c.Fine, 22, 38)
	share("unknown", c.Unknown, 30, 55)
	share("due soon", c.DueSoon, 3, 20)
	share("to review", c.Review, 5, 25)
	if c.ReplaceFirst < 3 {
		t.Errorf("%d devices are to be replaced first", c.ReplaceFirst)
	}
	for _, class := range sum.Classes {
		if slices.Contains([]string{"router", "switch", "firewall", "videoconference", "pc", "printer"}, class.Label) && (class.Outdated == 0 || class.Fine == 0) {
			t.Errorf("every class that reviewers look at has fine and outdated ones; %s has %d and %d", class.Label, class.Fine, class.Outdated)
		}
	}

	// Failures tell the phases apart: the confidence intervals of the first and the last do not meet.
	rate := map[string]stock.FailureRate{}
	failures := 0
	for _, f := range sum.Failures.ByPhase {
		t.Logf("%s: %d failures in %.0f years", f.Label, f.Failures, f.Years)
		rate[f.Label] = f
		failures += f.Failures
	}
	if old, young := rate["Đợt 1/2016"], rate["Đợt 3/2024"]; failures < 40 || failures > 100 || old.Low <= young.High || young.Failures == 0 {
		t.Errorf("%d failures; of the first phase %+v, of the last %+v", failures, old, young)
	}

	rows, err := st.Table(t.Context(), stock.Query{})
	if err != nil {
		t.Fatal(err)
	}
	dear, local, facts := 0, 0, map[string]int{}
	for _, row := range rows {
		d, err := st.Device(t.Context(), row.ID, stock.Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range d.LegalChecks {
			if f.Rule == "L02" && f.State == lifecycle.StateEligible {
				dear++
			}
		}
		for _, f := range d.Facts {
			if f.By != "" {
				facts[f.Name]++
			}
		}
		if strings.Contains(fmt.Sprint(d.Findings), "mô phỏng") {
			local++
		}
	}
	t.Logf("%d repairs above the limit, %d devices judged by local rows, said by people: %v", dear, local, facts)
	if dear < 2 || local < 20 {
		t.Errorf("%d repairs are too dear and %d devices are judged by local rows", dear, local)
	}
	for _, name := range []string{"in_service", "isolated", "reachable", "service", "os_edition", "flag", "platform"} {
		if facts[name] == 0 {
			t.Errorf("nobody says %s of any device", name)
		}
	}

	// Looking again says nothing twice.
	before, err := reg.Devices().Since(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.newReviewer(reg, inventory.DateOf(now)).look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, err := reg.Devices().Since(t.Context(), 0); err != nil || after.Revision != before.Revision {
		t.Errorf("a second look wrote more (%v)", err)
	}
}
