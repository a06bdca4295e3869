package e2e

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector/api/equipment"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/fleet"
	"communewatch/deploy/lab/gear"
	"communewatch/deploy/lab/gear/snmp"
	"communewatch/deploy/lab/scenario"
)

// prepareDevices makes the files of a lab with n sites whose devices are polled every ten seconds.
func prepareDevices(t *testing.T, n int) (*province, gear.Block) {
	t.Helper()
	block := gear.Block(firstBlock + nextBlock.Add(1) - 1)
	pv := &province{t: t, dir: shortDir(t), listen: freeAddress(t), begun: time.Now()}
	cfg := lab.Config{Dir: pv.dir, Listen: pv.listen, Sites: n, Block: block, Interval: 15 * time.Second, Devices: true, Poll: 10 * time.Second,
		Log: slog.New(slog.DiscardHandler)}
	var err error
	if pv.p, err = lab.Prepare(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	pv.sites = pv.p.Sites()
	return pv, block
}

// found is what the inventory has of a site, by the devices' own names.
func (pv *province) found(site string) map[string][]equipment.Device {
	list, err := ask[equipment.Devices](pv, "/api/v1/inventory/devices?limit=1000&lang=en&site="+site)
	if err != nil {
		return nil
	}
	devices := map[string][]equipment.Device{}
	for _, d := range list.Devices {
		devices[d.Name] = append(devices[d.Name], d)
	}
	return devices
}

// TestDevicesBecomeAnInventory follows devices from their answers over SNMP to the inventory with its findings.
func TestDevicesBecomeAnInventory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; run without -short")
	}
	t.Parallel()
	pv, block := prepareDevices(t, 4)
	pv.start(lab.Parts{Gear: true, Collector: true, Agents: pv.sites})

	// Every device that tells the truth is there, once, as what it is.
	honest := func(d fleet.Device) bool {
		return d.Own.Quirk.Lie == snmp.Truth && d.Table.Expect.Vendor != ""
	}
	odd := ""
	eventually(t, 90*time.Second, "every device is in the inventory", func() bool {
		odd = ""
		for _, d := range pv.p.Devices() {
			if !honest(d) {
				continue
			}
			e, unit := d.Table.Expect, pv.lab.Gear().Device(d.Site, d.Name)
			got := pv.found(pv.sites[d.Site])[unit.Name()]
			if len(got) != 1 || !strings.Contains(got[0].Model, e.Model) || !strings.Contains(got[0].Version, e.Version) || got[0].Vendor != e.Vendor ||
				got[0].Class != e.Class || got[0].Serial != unit.Serial() || got[0].Address != block.Addr(d.Site, d.Host).String() {
				odd += fmt.Sprintf("\n%s of %s is %+v", d.Name, pv.sites[d.Site], got)
			}
		}
		return odd == ""
	}, func() string { return odd })

	standing, links := map[string]int{}, map[string]int{}
	for _, site := range pv.sites {
		for _, list := range pv.found(site) {
			standing[list[0].Standing]++
			links[list[0].Link]++
		}
	}
	if standing["outdated"] == 0 || standing["unknown"] == 0 || links["serial"] == 0 || links["site_model"] == 0 {
		t.Errorf("standing %v, purchases %v", standing, links)
	}
	old := pv.only(3, "switch")
	if old.Model != "WS-C2960-24TT-L" || old.State != "outdated" || old.Due == nil || *old.Due != "2019-10-31" || old.Phase != "Đợt 1/2016" {
		t.Errorf("the old switch: %+v", old)
	}

	// One device gets another address, another is replaced where it stands.
	replaced := pv.only(0, "switch")
	pv.do(agentOrder(pv.sites[3], "stop"))
	if err := pv.lab.Gear().MoveDevice(3, "switch", block, 77); err != nil {
		t.Fatal(err)
	}
	pv.readdress(3, block.Addr(3, 11).String(), block.Addr(3, 77).String())
	pv.do(agentOrder(pv.sites[3], "start"), scenario.Order{Do: scenario.DoDevice, Sites: pv.sites[:1], Device: "switch", Mode: gear.DeviceReplaced})
	var moved, next []equipment.Device
	eventually(t, 90*time.Second, "both changes are in the inventory", func() bool {
		moved = pv.found(pv.sites[3])[old.Name]
		next = pv.found(pv.sites[0])[replaced.Name]
		return len(moved) == 1 && moved[0].Address == block.Addr(3, 77).String() && len(next) == 2
	}, func() string { return fmt.Sprintf("\nmoved %+v\nreplaced %+v", moved, next) })
	if moved[0].ID != old.ID || moved[0].Serial != old.Serial {
		t.Errorf("%s %s under its new address is %s %s", old.ID, old.Serial, moved[0].ID, moved[0].Serial)
	}
	serial := pv.lab.Gear().Device(0, "switch").Serial()
	seen := 0
	for _, d := range next {
		if d.ID == replaced.ID && d.Serial == replaced.Serial || d.ID != replaced.ID && d.Serial == serial {
			seen++
		}
	}
	if seen != 2 {
		t.Errorf("want %s and a new device %s, found %+v", replaced.Serial, serial, next)
	}
	pv.audited()
}

// only returns the one device of a name that a site has in the inventory.
func (pv *province) only(site int, name string) equipment.Device {
	pv.t.Helper()
	list := pv.found(pv.sites[site])[pv.lab.Gear().Device(site, name).Name()]
	if len(list) != 1 {
		pv.t.Fatalf("site %d has %d devices that are its %s: %+v", site, len(list), name, list)
	}
	return list[0]
}

// readdress changes an address in the settings of a site's agent.
func (pv *province) readdress(site int, from, to string) {
	pv.t.Helper()
	file := filepath.Join(pv.dir, "agents", pv.sites[site], "agent.yaml")
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.ReplaceAll(string(data), from+":", to+":")), 0o600)
	}
	if err != nil {
		pv.t.Fatal(err)
	}
}
