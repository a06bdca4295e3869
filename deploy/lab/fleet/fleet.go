package fleet

import (
	"embed"
	"fmt"
	"hash/fnv"
	"path"
	"slices"
	"strings"
	"time"

	"communewatch/deploy/lab/gear/snmp"
	"communewatch/inventory"
)

//go:embed recordings/*.snmprec
var recordings embed.FS

// Device is one device of a site.
type Device struct {
	Site   int    // number of the site
	Name   string // of the device within its site: router, switch, ...
	Host   byte   // of the address within the site's network
	Table  *snmp.Table
	Own    snmp.Own
	Phase  int  // the purchase phase that its model was given out in, from 1; 0: none
	Bought bool // the list of purchases has it
}

// Responder makes the device that answers.
func (d Device) Responder(now time.Time) *snmp.Device { return snmp.NewDevice(d.Table, d.Own, now) }

// The user of SNMP version 3 that newer devices want to be asked by; the others take the community "public".
const (
	UserName   = "giamsat"
	AuthPhrase = "lab-authentication"
	PrivPhrase = "lab-encryption"
)

// modern reports whether a model answers version 3 alone.
func modern(model string) bool {
	return slices.Contains([]string{"cisco-c1111-8p", "cisco-c1111-8p-1712", "cisco-c9200l-24t", "huawei-s5720-28p", "fortinet-60f", "fortinet-60f-74"}, model)
}

// place is where a kind of device stands in a site, how many sites have one, and of which models: those of the first
// phase, the second and the third.
type place struct {
	name   string
	host   byte
	share  int // of 100 sites
	models [3][]string
}

// places lists the kinds of devices. Hosts 1 and 4 are the router and the conference endpoint, whose other services the
// gear has.
func places() []place {
	return []place{
		{"router", 1, 100, [3][]string{
			{"draytek-vigor2912", "cisco-881", "mikrotik-rb750gr2-6", "draytek-vigor2912"},
			{"draytek-vigor2925", "mikrotik-rb750gr3-6", "huawei-ar161", "mikrotik-rb750gr3-7", "mikrotik-rb750gr3-724", "mikrotik-rb750gr3-724"},
			{"cisco-c1111-8p", "cisco-c1111-8p-1712", "mikrotik-rb5009-721", "draytek-vigor2927", "cisco-c1111-8p-1712"}}},
		{"endpoint", 4, 100, [3][]string{
			{"polycom-hdx7000", "cisco-c40", "cisco-sx20"},
			{"polycom-group500", "cisco-sx20", "aver-evc300", "cisco-roomkit-1132"},
			{"cisco-roomkit", "cisco-roomkit-1132", "cisco-roombar-26", "cisco-roombar-26", "yealink-vc500"}}},
		{"firewall", 10, 40, [3][]string{{"fortinet-60e", "fortinet-80e"}, {"fortinet-60e", "fortinet-60f", "fortinet-60f-74"}, {"fortinet-60f-74", "fortinet-70f", "sophos-xgs107"}}},
		{"switch", 11, 95, [3][]string{
			{"cisco-2960-24tt", "dlink-dgs1210-28", "cisco-2960-24tt"},
			{"cisco-2960x-24ts", "cisco-2960plus-24tc", "cisco-2960plus-24tc", "aruba-2530-24g", "tplink-t1600g-28ts", "cisco-c9200l-24t"},
			{"huawei-s5720-28p", "cisco-c9200l-24t", "cisco-c9200l-24t"}}},
		{"ap", 12, 55, [3][]string{{"ubiquiti-uap-ac-lr"}, {"ubiquiti-uap-ac-lr"}, {"tplink-eap225", "ubiquiti-u6-lite", "ubiquiti-u6-lite"}}},
		{"printer", 13, 80, [3][]string{
			{"hp-p2055dn"}, {"canon-lbp226dw", "brother-hl-l2366dw"}, {"hp-m404dn"}}},
		{"ups", 14, 40, [3][]string{{"apc-smart-ups-1500"}, {"santak-castle-2k"}, {"santak-castle-2k"}}},
		{"nvr", 15, 25, [3][]string{{"hikvision-ds7608ni"}, {"hikvision-ds7608ni"}, {"hikvision-ds7608ni"}}},
		{"nas", 16, 12, [3][]string{{"synology-ds218"}, {"synology-ds218"}, {"synology-ds218"}}},
		{"pc", 17, 55, [3][]string{{"windows10-22h2"}, {"windows10-22h2", "windows10-22h2", "windows11-25h2"}, {"windows11-25h2"}}},
		{"server", 18, 10, [3][]string{{"linux-server"}, {"linux-server", "windows-server-2022"}, {"cisco-isr4321", "ubuntu-2404", "windows-server-2022"}}},
		{"box", 19, 10, [3][]string{{"unknown-box", "junk-switch"}, {"unknown-box", "junk-switch"}, {"unknown-box"}}},
	}
}

// honestSites is how many of the first sites have no box that lies.
const honestSites = 24

// Names lists the names of devices that a site may have.
func Names() []string {
	var names []string
	for _, p := range places() {
		names = append(names, p.name)
	}
	return names
}

// Tables decodes every recording, by its name.
func Tables() (map[string]*snmp.Table, error) {
	files, err := recordings.ReadDir("recordings")
	if err != nil {
		return nil, err
	}
	tables := map[string]*snmp.Table{}
	for _, f := range files {
		text, err := recordings.ReadFile(path.Join("recordings", f.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(f.Name(), ".snmprec")
		if tables[name], err = snmp.ParseTable(name, text); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// dice is a stable choice for a site and a question.
type dice string

// below returns a number from 0 to n-1.
func (d dice) below(n int, question string) int {
	h := fnv.New64a()
	h.Write([]byte(string(d) + "/" + question))
	x := h.Sum64() // the low bits of FNV alone tell similar texts badly apart
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return int(x % uint64(n))
}

// Plan gives every site its devices: mostly those of the phase that the site was equipped in, some of another.
func Plan(sites []inventory.Site) ([]Device, error) {
	tables, err := Tables()
	if err != nil {
		return nil, err
	}
	var all []Device
	user := snmp.NewUser(UserName, AuthPhrase, PrivPhrase)
	liars := map[string][]snmp.Lie{
		"unknown-box": {snmp.Garbage, snmp.Silence, snmp.Endless},
		"junk-switch": {snmp.Types, snmp.Disorder},
	}
	for i, site := range sites {
		first := len(all)
		roll := dice(site.ID)
		main := phaseOf(roll.below(100, "phase"))
		for _, p := range places() {
			if roll.below(100, p.name) >= p.share {
				continue
			}
			phase := main
			if roll.below(100, p.name+" phase") < 25 {
				phase = 1 + roll.below(3, p.name+" other phase")
			}
			models := p.models[phase-1]
			model := models[roll.below(len(models), p.name+" model")]
			table := tables[model]
			if table == nil {
				return nil, fmt.Errorf("there is no recording %q", model)
			}
			d := Device{Site: i, Name: p.name, Host: p.host, Table: table, Phase: phase, Bought: roll.below(100, p.name+" bought") < 88}
			if slices.Contains([]string{"pc", "box"}, p.name) {
				d.Phase, d.Bought = 0, false // bought by the offices themselves, and in nobody's list
			}
			d.Own = snmp.Own{
				Number:   i*20 + int(p.host), // hosts are below 20
				Name:     sysName(p.name, site),
				Location: fmt.Sprintf("UBND %s %s", site.Type, site.Name),
				Quirk:    quirk(model),
			}
			// One liar of each kind is enough for a province whose other sites are to be well, and none for a small lab.
			if lies := liars[model]; len(lies) > 0 && i >= honestSites {
				d.Own.Quirk.Lie, liars[model] = lies[0], lies[1:]
			}
			if modern(model) {
				d.Own.User, d.Own.OnlyV3 = user, true
			}
			all = append(all, d)
		}
		if err := seeNeighbours(all[first:]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func phaseOf(percent int) int {
	switch {
	case percent < 40:
		return 1
	case percent < 72:
		return 2
	}
	return 3
}

// sysName is what a technician would have called the device.
func sysName(name string, site inventory.Site) string {
	return strings.ToUpper(name + "-" + strings.ReplaceAll(inventory.Fold(site.Name), " ", "") + "-" + site.Code)
}

// quirk is how devices of a model are odd.
func quirk(model string) snmp.Quirk {
	switch model {
	case "draytek-vigor2912":
		return snmp.Quirk{Delay: 40 * time.Millisecond, MaxSize: 900} // a slow processor
	case "hp-p2055dn":
		return snmp.Quirk{BulkOver: 10}
	case "brother-hl-l2366dw":
		return snmp.Quirk{V1Only: true}
	case "dlink-dgs1210-28":
		return snmp.Quirk{Delay: 15 * time.Millisecond, MaxSize: 484}
	}
	return snmp.Quirk{}
}
