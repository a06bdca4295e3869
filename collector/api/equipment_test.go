package api

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/collector/api/equipment"
	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/purchases"
	"communewatch/probes"
)

// keepEquipment gives the house an inventory: a PC that is outdated and bought, a printer nobody knows.
func (h *house) keepEquipment(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	reg, err := registry.Open(ctx, filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler), Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	h.takeEquipment(t, reg, "self", "class=pc;vendor=Dell;model=OptiPlex 3020;serial=ABC1234;os=Windows 10;os_edition=Pro;os_release=22H2;os_build=10.0.19045.4412;cpu=Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz")
	h.takeEquipment(t, reg, "x1", "class=printer;vendor=Acme;model=Nobody-Knows-9")
	received, _ := inventory.ParseDate("2014-05-01")
	unit := purchases.Purchase{ID: "p1", Phase: "Đợt 1 năm 2014", Contract: "1/HĐ", Item: "Máy tính", Vendor: "Dell", Model: "OptiPlex 3020", Serial: "ABC1234", Class: "pc", Site: "s1", Received: received, Price: 12_000_000}
	missing := unit
	missing.ID, missing.Serial, missing.Model, missing.Class, missing.Vendor = "p2", "X1", "Máy in", "printer", ""
	if _, err := reg.Paper().ImportPurchases(ctx, []purchases.Purchase{unit, missing}, "dot1.csv", "Lan", false); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"failure", "quote"} {
		if _, err := reg.Devices().AddTicket(ctx, devices.Ticket{Device: 1, Day: inventory.DateOf(t0), Kind: kind, Cost: 5_000_000, By: "Lan"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reg.Devices().Say(ctx, devices.Statement{Device: 1, Name: "reachable", Value: "no", Source: "biên bản", By: "Lan"}); err != nil {
		t.Fatal(err)
	}
	s, err := stock.New(stock.Options{Devices: reg.Devices(), Paper: reg.Paper(), Sites: h.names, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	h.API = New(Options{Judge: h.judge, Store: h.store, Registry: h.names, Inventory: s, Now: h.clock, Log: slog.New(slog.DiscardHandler), Version: "test"})
	h.Handler = h.API.Handler()
}

func (h *house) takeEquipment(t testing.TB, reg *registry.Registry, key, facts string) {
	t.Helper()
	sg := devices.Sighting{Site: "s1", Agent: "pc", Target: "lan", Path: "lan", Key: key, Kind: "sweep", At: t0}
	for f := range strings.SplitSeq(facts, ";") {
		name, value, _ := strings.Cut(f, "=")
		sg.Facts = append(sg.Facts, probes.Fact{Name: probes.FactName(name), Value: value, Source: "machine x", Confidence: 0.95})
	}
	if err := reg.Devices().See(context.Background(), []devices.Sighting{sg}); err != nil {
		t.Fatal(err)
	}
}

func TestInventory(t *testing.T) {
	h := newHouse(t, 2)
	if w := h.get(t, "/api/v1/inventory/devices"); w.Code != 404 {
		t.Error("without an inventory:", w.Code)
	}
	h.keepEquipment(t)
	var list equipment.Devices
	if err := json.Unmarshal(h.get(t, "/api/v1/inventory/devices?lang=en").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if list.Total != 2 || len(list.Devices) != 2 || list.Devices[0].ID != "d1" || list.Devices[0].Standing != "outdated" || *list.Devices[0].SupportEnds != "2025-10-14" {
		t.Errorf("%+v", list)
	}
	var d equipment.DeviceDetail
	if err := json.Unmarshal(h.get(t, "/api/v1/inventory/devices/d1").Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Bought) != 1 || d.Bought[0].ID != "p1" || d.Purchase != "p1" || len(d.Facts) == 0 || len(d.History) == 0 || len(d.Findings) == 0 || len(d.Tickets) != 2 {
		t.Errorf("%+v", d)
	}
	for _, f := range d.Findings {
		if f.State == "outdated" && len(f.Evidence) == 0 {
			t.Errorf("%s without evidence", f.Rule)
		}
	}
	for url, code := range map[string]int{"/api/v1/inventory/devices/d99": 404, "/api/v1/inventory/devices/..%2f": 404, "/api/v1/inventory/devices?as_of=x": 400, "/api/v1/inventory/verify?limit=2": 400, "/api/v1/inventory/summary?as_of=2025-01-01;site=x": 400, "/api/v1/inventory/verify?site=s1&site=s2": 400} {
		if w := h.get(t, url); w.Code != code {
			t.Errorf("%s: %d, want %d", url, w.Code, code)
		}
	}
}

// A question with a parameter that it does not have is refused, and openapi.json lists exactly those that it has.
func TestUnknownParameters(t *testing.T) {
	h := newHouse(t, 2)
	h.keepEquipment(t)
	var doc struct {
		Paths map[string]struct {
			Get struct {
				Parameters []struct{ Name, In string }
			}
		}
	}
	if err := json.Unmarshal(h.get(t, "/api/v1/openapi.json").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for path, of := range doc.Paths {
		if !strings.HasPrefix(path, "/api/v1/inventory/") {
			continue
		}
		asked++
		url := strings.Replace(path, "{id}", "d1", 1)
		w := h.get(t, url+"?date=2028-01-01")
		if w.Code != 400 || !strings.Contains(w.Body.String(), `\"date\"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		values := map[string]string{"as_of": "2025-01-01", "lang": "en", "standing": "fine", "state": "ok", "legal": "eligible", "offset": "1", "limit": "1"}
		n := 0
		for _, p := range of.Get.Parameters {
			if p.In != "query" {
				continue
			}
			n++
			if !strings.Contains(w.Body.String(), p.Name) {
				t.Errorf("%s does not name %s: %s", path, p.Name, w.Body)
			}
			if w := h.get(t, url+"?"+p.Name+"="+cmp.Or(values[p.Name], "x")); w.Code != 200 {
				t.Errorf("%s with %s: %d %s", path, p.Name, w.Code, w.Body)
			}
		}
		if _, named, ok := strings.Cut(w.Body.String(), "it has "); !ok || n > 0 && strings.Count(named, ",") != n-1 {
			t.Errorf("%s has %d parameters, told are: %s", path, n, w.Body)
		}
	}
	if asked < 8 {
		t.Error("only", asked)
	}
}
