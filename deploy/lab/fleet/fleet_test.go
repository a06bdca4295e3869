package fleet

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/deploy/lab/gear/snmp"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/snmp/identify"
	"communewatch/probes/snmp/session"
)

func sites(t *testing.T) []inventory.Site {
	t.Helper()
	data, err := os.ReadFile("../sites.csv")
	if err != nil {
		t.Fatal(err)
	}
	s, err := inventory.ReadSites("sites.csv", data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func plan(t *testing.T) []Device {
	t.Helper()
	d, err := Plan(sites(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryRecordingIsUsedAndSound(t *testing.T) {
	tables, err := Tables()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, p := range places() {
		for _, phase := range p.models {
			for _, m := range phase {
				used[m] = true
				if tables[m] == nil {
					t.Errorf("there is no recording %s", m)
				}
			}
		}
	}
	for name, table := range tables {
		if !used[name] {
			t.Errorf("nobody has a %s", name)
		}
		if c := table.Expect.Class; c != "" && !slices.Contains(probes.Classes(), c) {
			t.Errorf("%s: %q is no class of equipment", name, c)
		}
		if table.Len() < 20 {
			t.Errorf("%s has only %d variables", name, table.Len())
		}
	}
}

func TestThePlanIsBelievable(t *testing.T) {
	all := plan(t)
	if n := len(all); n < 136*5 || n > 136*9 {
		t.Errorf("%d devices", n)
	}
	now := time.Now()
	serials, macs, models, odd := map[string]string{}, map[[6]byte]bool{}, map[string]int{}, map[snmp.Lie]int{}
	for _, d := range all {
		r := d.Responder(now)
		models[d.Table.Name]++
		odd[d.Own.Quirk.Lie]++
		if macs[r.MAC()] {
			t.Errorf("two devices have the address %x", r.MAC())
		}
		macs[r.MAC()] = true
		if s := r.Serial(); s != "" && s != "0123456789" {
			id := d.Table.Name + " " + s
			if other, ok := serials[id]; ok {
				t.Errorf("site %d: %s has the serial of %s", d.Site, id, other)
			}
			serials[id] = fmt.Sprint("site ", d.Site)
		}
	}
	if len(models) < 35 {
		t.Errorf("only %d models: %v", len(models), models)
	}
	for m, n := range models {
		if n > len(all)/5 {
			t.Errorf("%d of %d devices are a %s", n, len(all), m)
		}
	}
	for _, lie := range snmp.Lies() {
		if odd[lie] != 1 {
			t.Errorf("%d devices are %q; one shows what it does, and more would make a healthy province look ill", odd[lie], lie)
		}
	}
	again := plan(t)
	for i := range all {
		a, b := all[i].Own, again[i].Own
		a.User, b.User = nil, nil
		if a != b || all[i].Table.Name != again[i].Table.Name {
			t.Fatalf("device %d differs from plan to plan", i)
		}
	}
}

// TestSwitchesSeeTheirOwnSite reads what switches say of their neighbours.
func TestSwitchesSeeTheirOwnSite(t *testing.T) {
	all := plan(t)
	seen := 0
	for _, sw := range all {
		if sw.Name != "switch" || firstPort(sw.Table.Name) == 0 || seen == 12 {
			continue
		}
		seen++
		unit := sw.Responder(time.Now())
		r, err := snmp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), unit)
		if err != nil {
			t.Fatal(err)
		}
		o := session.Options{Address: r.Addr().String(), Community: "public", Timeout: 3 * time.Second, Retries: 1}
		if sw.Own.OnlyV3 {
			o.Version, o.User = session.V3, session.User{Name: UserName, Auth: "sha256", AuthKey: AuthPhrase, Priv: "aes", PrivKey: PrivPhrase}
		}
		s := session.New(o)
		said, err := s.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		names, err := s.Walk(t.Context(), "1.0.8802.1.1.2.1.4.1.1.9", 100)
		if err != nil {
			t.Fatal(err)
		}
		macs, err := s.Walk(t.Context(), "1.0.8802.1.1.2.1.4.1.1.5", 100)
		if err != nil || len(macs) != len(names) {
			t.Fatal(len(macs), len(names), err)
		}
		for i := range names {
			got[string(names[i].Value.Bytes)] = fmt.Sprintf("%x", macs[i].Value.Bytes)
		}
		for _, d := range all {
			if d.Site != sw.Site || !slices.Contains([]string{"router", "firewall", "ap", "endpoint"}, d.Name) {
				continue
			}
			mac := d.Responder(time.Now()).MAC()
			if got[d.Own.Name] != fmt.Sprintf("%x", mac[:]) {
				t.Errorf("%s (%v) sees %v, want %s with %x", sw.Own.Name, said.Descr, got, d.Own.Name, mac)
			}
			delete(got, d.Own.Name)
		}
		if len(got) > 0 {
			t.Errorf("%s sees %v, which is not of its site", sw.Own.Name, got)
		}
		s.Close()
		r.Close()
	}
	if seen < 12 {
		t.Errorf("only %d switches speak LLDP", seen)
	}
}

func TestThePurchaseListMatchesThePlan(t *testing.T) {
	all, where := plan(t), sites(t)
	list, err := PurchaseList(all, where)
	if err != nil {
		t.Fatal(err)
	}
	rows := bytes.Count(list, []byte("\n")) - 1
	bought, none := 0, 0
	for _, d := range all {
		if d.Bought && d.Table.Expect.Model != "" {
			bought++
		} else {
			none++
		}
	}
	if rows <= bought || rows > bought*11/10 || none < 50 {
		t.Errorf("%d rows for %d bought devices; %d were not bought", rows, bought, none)
	}
	if !strings.Contains(string(list), ";119.500.000;") {
		t.Error("prices are not written as in Vietnam")
	}
}

// TestDevicesAreTakenForWhatTheyAre asks every model over the wire, odd ones as they are, and identifies it.
func TestDevicesAreTakenForWhatTheyAre(t *testing.T) {
	engine, err := identify.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range plan(t) {
		if seen[d.Table.Name] || d.Table.Expect.Vendor+d.Table.Expect.Class == "" || d.Own.Quirk.Lie != snmp.Truth {
			continue
		}
		seen[d.Table.Name] = true
		t.Run(d.Table.Name, func(t *testing.T) {
			t.Parallel()
			unit := d.Responder(time.Now())
			r, err := snmp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), unit)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			o := session.Options{Address: r.Addr().String(), Community: "public", Timeout: 3 * time.Second, Retries: 1}
			if d.Own.OnlyV3 {
				o.Version, o.User = session.V3, session.User{Name: UserName, Auth: "sha256", AuthKey: AuthPhrase, Priv: "aes", PrivKey: PrivPhrase}
			}
			s := session.New(o)
			if _, err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			id, err := engine.Identify(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			got := map[probes.FactName]string{}
			for _, f := range id.Facts {
				got[f.Name] = f.Value
			}
			e := d.Table.Expect
			for name, want := range map[probes.FactName]string{probes.FactVendor: e.Vendor, probes.FactModel: e.Model, probes.FactVersion: e.Version,
				probes.FactClass: e.Class, probes.FactSerial: unit.Serial(), probes.FactSysName: d.Own.Name} {
				if !strings.Contains(got[name], want) {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
		})
	}
	if len(seen) < 30 {
		t.Errorf("only %d models were asked", len(seen))
	}
}
