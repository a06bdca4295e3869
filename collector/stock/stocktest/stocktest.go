// Package stocktest makes a province's equipment for tests of whatever shows it: a real registry and a real stock over
// it, filled with devices as communes have them, old and new, well known and hardly known, bought in phases, some seen
// at the wrong place, some with a serial number that many have. Everything follows from a site's number, so that the
// same devices come again in every run.
package stocktest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/purchases"
	"communewatch/probes"
)

// day is the moment at which a Province stands.
var day = time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)

// Province is equipment with the registry that it is kept in.
type Province struct {
	*stock.Stock
	Registry *registry.Registry
	Now      time.Time
}

// kind is a kind of equipment that communes have.
type kind struct {
	class, vendor, model, version string
	more                          []string // "fact=value"
	method                        string   // how it is read: snmp, http, machine
	every, from                   int      // at sites whose number leaves from when divided by every
	phase                         int      // of the phases below; -1: on no list
	price                         int64
}

func kinds() []kind {
	win10 := []string{"os=Windows 10", "os_edition=Pro", "os_release=22H2", "os_build=10.0.19045.4412", "tpm=none", "cpu=Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz", "ram_bytes=4294967296"}
	win11 := []string{"os=Windows 11", "os_edition=Pro", "os_release=25H2", "os_build=10.0.26200.6584", "tpm=2.0", "cpu=Intel(R) Core(TM) i5-12400", "ram_bytes=17179869184"}
	win7 := []string{"os=Windows 7 SP1", "os_edition=Professional", "os_build=6.1.7601", "cpu=Intel(R) Pentium(R) CPU G2030 @ 3.00GHz"}
	return []kind{
		{"router", "MikroTik", "RB750Gr3", "6.49.10", nil, "snmp", 3, 0, 1, 1_650_000},
		{"router", "MikroTik", "RB750Gr3", "7.24", nil, "snmp", 3, 1, 2, 1_750_000},
		{"router", "DrayTek", "Vigor2925", "3.8.9.8", nil, "snmp", 3, 2, 0, 6_900_000},
		{"switch", "Cisco", "WS-C2960-24TT-L", "12.2(55)SE7", []string{"descr=Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 12.2(55)SE7"}, "snmp", 2, 0, 0, 14_500_000},
		{"switch", "Cisco", "WS-C2960+24TC-L", "15.2(7)E11", nil, "snmp", 5, 3, 3, 18_700_000},
		{"pc", "Dell", "OptiPlex 7010", "", win11, "machine", 1, 0, 3, 15_200_000},
		{"switch", "HP", "J9776A", "YA.16.08.0003", nil, "snmp", 4, 1, 2, 9_800_000},
		{"switch", "TP-Link", "TL-SG1024D", "", nil, "http", 4, 3, -1, 0},
		{"firewall", "Fortinet", "FortiGate-70F", "v7.4.8", nil, "snmp", 6, 2, 3, 24_500_000},
		{"firewall", "Sophos", "XG 106", "SFOS 18.5.4", nil, "snmp", 9, 4, 1, 17_800_000},
		{"access_point", "Ubiquiti", "UAP-AC-LITE", "4.0.80.10875", nil, "snmp", 2, 1, 2, 2_900_000},
		{"videoconference", "Polycom", "RealPresence Group 500", "6.2.2.1", []string{"sip_agent=PolycomRealPresenceGroup500/6.2.2.1"}, "snmp", 3, 0, 0, 178_000_000},
		{"videoconference", "Cisco", "Room Kit", "RoomOS 10.19.5.6", nil, "http", 5, 1, 2, 165_000_000},
		{"videoconference", "AVer", "SVC100", "", nil, "http", 7, 3, 1, 92_000_000},
		{"printer", "HP", "LaserJet P2035", "20091118", nil, "snmp", 2, 0, 0, 3_900_000},
		{"printer", "Canon", "LBP6230", "", nil, "snmp", 3, 1, 1, 4_200_000},
		{"printer", "Brother", "HL-L2366DW", "1.19", nil, "snmp", 3, 2, 2, 4_600_000},
		{"ups", "APC", "Smart-UPS 1500", "UPS 09.8", nil, "snmp", 4, 0, 1, 12_400_000},
		{"camera", "Hikvision", "DS-2CD2143G0-I", "V5.5.53", nil, "http", 3, 2, -1, 0},
		{"nvr", "Dahua", "NVR4108HS", "", nil, "http", 8, 5, -1, 0},
		{"nas", "Synology", "DS218", "DSM 6.2-25556", nil, "snmp", 17, 6, 2, 8_900_000},
		{"pc", "Dell", "OptiPlex 3020", "", win10, "machine", 1, 0, 1, 11_800_000},
		{"pc", "Dell", "OptiPlex 3020", "", win10, "machine", 3, 1, 1, 11_800_000},
		{"pc", "HP", "Compaq Pro 6300", "", win7, "machine", 7, 2, 0, 10_900_000},
		{"pc", "Dell", "OptiPlex 7010", "", win11, "machine", 2, 0, 3, 15_200_000},
		{"server", "Dell", "PowerEdge T140", "", []string{"os=Windows Server 2012 R2", "os_edition=Standard"}, "machine", 23, 11, 1, 42_000_000},
		{"", "", "", "", []string{"mac=60:a4:b7:12:%02x:%02x"}, "mac", 4, 2, -1, 0},
		{"access_point", "TP-Link", "", "", []string{"http_title=TP-LINK Wireless Router"}, "http", 6, 5, -1, 0},
	}
}

var phases = []struct{ name, contract, decision, received string }{
	{"Đợt 1 năm 2013", "21/HĐ-STTTT", "1147/QĐ-UBND", "2013-11-20"},
	{"Đợt 2 năm 2017", "08/2017/HĐMS", "355/QĐ-UBND", "2017-06-15"},
	{"Đợt 1 năm 2021", "15/2021/HĐMS", "902/QĐ-UBND", "2021-09-30"},
	{"Đợt 1 năm 2024", "04/2024/HĐMS", "211/QĐ-STTTT", "2024-05-20"},
}

var sources = map[string]map[string]string{
	"snmp":    {"vendor": "snmp 1.3.6.1.2.1.1.2.0", "model": "snmp 1.3.6.1.2.1.47.1.1.1.1.13.1", "version": "snmp 1.3.6.1.2.1.1.1.0", "serial": "snmp 1.3.6.1.2.1.47.1.1.1.1.11.1", "": "snmp 1.3.6.1.2.1.1.1.0"},
	"http":    {"": "http title", "serial": "http /status.xml", "version": "http Server"},
	"machine": {"": "machine win32_computersystem", "os": "machine registry CurrentVersion"},
	"mac":     {"": "arp"},
}

// Open makes the equipment of sites, at a moment that stays the same.
func Open(t testing.TB, sites []inventory.Site) *Province {
	t.Helper()
	now := func() time.Time { return day }
	reg, err := registry.Open(context.Background(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Log: slog.New(slog.DiscardHandler), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &Province{Registry: reg, Now: day}
	if p.Stock, err = stock.New(stock.Options{Devices: reg.Devices(), Paper: reg.Paper(), Sites: reg, Now: now}); err != nil {
		t.Fatal(err)
	}
	if len(sites) == 0 {
		return p
	}
	ctx := context.Background()
	if _, err := reg.ImportSites(ctx, sites, false); err != nil {
		t.Fatal(err)
	}
	var seen []devices.Sighting
	var bought []purchases.Purchase
	n := 0
	for i, site := range sites {
		for k, kind := range kinds() {
			if i%kind.every != kind.from%kind.every {
				continue
			}
			n++
			serial := fmt.Sprintf("%c%c%c%04X%03d", 'A'+k%26, 'A'+i%26, 'A'+(i+k)%26, i*131+k*17, i)
			switch {
			case kind.model == "" || kind.class == "camera":
				serial = ""
			case i%41 == 7 && kind.class == "printer":
				serial = "0123456789" // as it left the works
			}
			sg := devices.Sighting{Site: site.ID, Agent: "pc", Target: kind.target(k), Path: "lan", Key: fmt.Sprintf("%s-%d", kind.target(k), k), Kind: kind.kindOfCheck(), At: day.Add(-time.Duration(i%50) * time.Minute)}
			if (i+k)%47 == 9 {
				sg.At = day.AddDate(0, 0, -60) // not seen for long
			}
			first := sg
			first.At = day.AddDate(0, -7, -(i % 40))
			first.Facts = kind.facts(i, k, serial, true)
			sg.Facts = kind.facts(i, k, serial, false)
			seen = append(seen, first, sg)
			if kind.class == "switch" && i%16 == 4 { // the page of it says something else
				web := sg
				web.Target, web.Key, web.Kind = "sweep-lan", fmt.Sprintf("web-%d", k), "sweep"
				web.At = sg.At.Add(-3 * time.Hour)
				web.Facts = []probes.Fact{{Name: "serial", Value: serial, Source: "http body", Confidence: 0.9}, {Name: "vendor", Value: kind.vendor, Source: "http title", Confidence: 0.9},
					{Name: "model", Value: kind.model, Source: "http title", Confidence: 0.9}, {Name: "version", Value: "15.0(2)SE11", Source: "http body", Confidence: 0.9}}
				seen = append(seen, web)
			}
			if kind.phase >= 0 && (i+k)%13 != 5 {
				bought = append(bought, kind.unit(i, k, serial, site.ID))
			}
		}
		if i%12 == 3 { // bought, and never seen
			bought = append(bought, kind{class: "projector", vendor: "Panasonic", model: "PT-LB303", phase: 1, price: 14_900_000}.unit(i, 90, fmt.Sprintf("PJ%05d", i), site.ID))
		}
	}
	if err := reg.Devices().See(ctx, seen); err != nil {
		t.Fatal(err)
	}
	for f, ph := range phases {
		var list []purchases.Purchase
		for _, u := range bought {
			if u.Phase == ph.name {
				u.Row = len(list) + 5
				list = append(list, u)
			}
		}
		if len(list) == 0 {
			continue
		}
		if _, err := reg.Paper().ImportPurchases(ctx, list, fmt.Sprintf("dot-cap-%d.xlsx", f+1), "Nguyễn Thị Lan", false); err != nil {
			t.Fatal(err)
		}
	}
	p.people(t, n)
	return p
}

// people adds what no probe can see.
func (p *Province) people(t testing.TB, n int) {
	ctx := context.Background()
	for id := 1; id <= n; id++ {
		d := devices.ID(id)
		say := func(name, value, source string) {
			if _, err := p.Registry.Devices().Say(ctx, devices.Statement{Device: d, Name: name, Value: value, Source: source, By: "Trần Văn Hùng"}); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case id%97 == 5:
			say("isolated", "VLAN 90, không ra ngoài", "Công văn 118/STTTT-CNTT")
		case id%53 == 3:
			say("service", "yes", "Biên bản khảo sát ngày 12/10/2026")
			say("only_uplink", "yes", "Biên bản khảo sát ngày 12/10/2026")
		case id%211 == 50:
			say("surplus", "yes", "Biên bản kiểm kê 2026")
		}
		for k := range (id * 7 % 31) / 10 * boolean(id%6 == 1) {
			ticket := devices.Ticket{Device: d, Day: inventory.DateOf(day.AddDate(0, -1-k*3, -id%20)), Kind: []string{"failure", "repair", "failure"}[k%3], Note: "Mất nguồn, thay tụ", By: "Trần Văn Hùng"}
			if ticket.Kind == "repair" {
				ticket.Cost = 850_000
			}
			if _, err := p.Registry.Devices().AddTicket(ctx, ticket); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (k kind) target(n int) string {
	if k.method == "machine" {
		return "self"
	}
	if k.class == "" {
		return "sweep-lan"
	}
	return fmt.Sprintf("%s-%d", k.class, n)
}

func (k kind) kindOfCheck() string {
	switch k.method {
	case "machine":
		return "machine"
	case "snmp":
		return "snmp"
	}
	return "sweep"
}

func (k kind) facts(site, n int, serial string, early bool) (out []probes.Fact) {
	add := func(name, value string, confidence float64) {
		if value == "" {
			return
		}
		source := sources[k.method][name]
		if source == "" {
			source = sources[k.method][""]
		}
		out = append(out, probes.Fact{Name: probes.FactName(name), Value: value, Source: source, Confidence: confidence})
	}
	add("vendor", k.vendor, 0.95)
	sure := 0.95
	if site%29 == 4 && k.method == "http" {
		sure = 0.4
	}
	add("model", k.model, sure)
	version := k.version
	if early && k.class == "router" {
		version = "6.45.9"
	}
	add("version", version, 0.95)
	add("serial", serial, 0.95)
	add("class", k.class, 0.9)
	add("address", fmt.Sprintf("192.168.%d.%d", site%250, 10+n), 1)
	if k.method != "mac" {
		add("mac", fmt.Sprintf("00:1b:%02x:%02x:%02x:%02x", n, site/256, site%256, n*3), 1)
	}
	if k.class == "pc" {
		add("name", fmt.Sprintf("PC-%03d-%d", site, n), 1)
	}
	for _, m := range k.more {
		for i := range m {
			if m[i] == '=' {
				value := m[i+1:]
				if m[:i] == "mac" {
					value = fmt.Sprintf(value, site/256, site%256)
				}
				add(m[:i], value, 0.95)
				break
			}
		}
	}
	return out
}

func (k kind) unit(site, n int, serial, id string) purchases.Purchase {
	ph := phases[k.phase]
	received, _ := inventory.ParseDate(ph.received)
	u := purchases.Purchase{ID: fmt.Sprintf("u%d-%d", site, n), Phase: ph.name, Contract: ph.contract, Decision: ph.decision, Item: k.vendor + " " + k.model,
		Model: k.model, Vendor: k.vendor, Serial: serial, Class: k.class, Site: id, Received: received, Price: k.price, WarrantyMonths: 24,
		WarrantyUntil: inventory.DateOf(received.AddDate(2, 0, 0)), N: 1}
	if (site+n)%5 == 2 { // the list does not say it
		u.Serial = ""
	}
	if site%19 == 3 {
		u.Roughly = true
	}
	return u
}
