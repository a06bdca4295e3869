package fleet

import (
	"fmt"
	"strings"
)

// firstPort is the interface number of a switch's first port, for models that speak LLDP; 0: this one does not.
func firstPort(model string) int {
	switch model {
	case "cisco-2960x-24ts", "cisco-c9200l-24t":
		return 10101
	case "cisco-2960plus-24tc":
		return 10001
	case "aruba-2530-24g":
		return 1
	case "huawei-s5720-28p":
		return 5
	case "tplink-t1600g-28ts":
		return 49153
	}
	return 0
}

// uplink is how a device calls the port that leads to the switch.
func uplink(d *Device) string {
	switch d.Table.Expect.Vendor {
	case "MikroTik":
		return "ether2"
	case "DrayTek":
		return "LAN1"
	case "Fortinet":
		return "internal1"
	case "Sophos":
		return "Port1"
	case "Huawei":
		return "GigabitEthernet0/0/1"
	case "Cisco":
		if d.Name == "router" {
			return "GigabitEthernet0/1/0"
		}
	}
	return "eth0"
}

// seeNeighbours lets the switch of a site see by LLDP what is plugged into it: the site's own router, firewall, access
// point and conference endpoint. Printers, power supplies and PCs don't speak it.
func seeNeighbours(site []Device) error {
	for i := range site {
		sw := &site[i]
		port := firstPort(sw.Table.Name)
		if port == 0 {
			continue
		}
		var rows strings.Builder
		n := 0
		for j := range site {
			d := &site[j]
			switch d.Name {
			case "router", "firewall", "ap", "endpoint":
			default:
				continue
			}
			mac := d.Own.MAC(d.Table)
			index := fmt.Sprintf("0.%d.%d", port+n, n+1) // time mark, local port, number
			n++
			put := func(column int, tag, value string) {
				fmt.Fprintf(&rows, "1.0.8802.1.1.2.1.4.1.1.%d.%s|%s|%s\n", column, index, tag, value)
			}
			put(4, "2", "4") // the chassis is named by a MAC address
			put(5, "4x", fmt.Sprintf("%x", mac[:]))
			put(6, "2", "5") // the port by the interface's name
			put(7, "4", uplink(d))
			put(8, "4", uplink(d))
			put(9, "4", d.Own.Name)
			put(10, "4", strings.TrimSpace(d.Table.Expect.Vendor+" "+d.Table.Expect.Model))
		}
		var err error
		if sw.Table, err = sw.Table.With([]byte(rows.String())); err != nil {
			return err
		}
	}
	return nil
}
