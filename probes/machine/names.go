package machine

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/probes"
)

// clean makes a text that firmware or a file says fit to be a fact: one line, without padding, at most
// probes.MaxText bytes.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		if r == 0 || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	for len(s) > probes.MaxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// plate is what firmware says of who made a machine and what it is called.
type plate struct {
	vendor, product, version, family string
	boardVendor, board               string
	serial, biosVendor, biosVersion  string
	biosDate                         string
	chassis                          int // SMBIOS chassis type; 0: unknown
}

// describe turns a name plate into facts. at says where a value was read: the name of the file or of the registry value.
func (s *sheet) describe(p plate, at func(name string) string) {
	vendor, source, sure := vendorName(p.vendor), at("sys_vendor"), 0.95
	model, modelAt := p.product, at("product_name")
	if probes.Placeholder(clean(p.vendor)) || probes.Placeholder(clean(p.product)) {
		// A PC put together by a shop: its board is all that is known, and is what decides whether it can be upgraded.
		vendor, source, sure = vendorName(p.boardVendor), at("board_vendor"), 0.6
		model, modelAt = p.board, at("board_name")
	}
	hypervisor := virtual(p)
	s.put(probes.FactVendor, vendor, source, sure)
	// Lenovo writes its machine type where others write the name, and the name where others write a version.
	if vendor == "Lenovo" && strings.Contains(p.version, " ") && !probes.Placeholder(clean(p.version)) {
		s.put(probes.FactHardware, p.product, modelAt, 0.9)
		model, modelAt = p.version, at("product_version")
	}
	model = clean(model)
	if rest, ok := cutPrefixFold(model, vendor+" "); ok {
		model = rest
	}
	s.put(probes.FactModel, model, modelAt, sure)
	if hypervisor != "" {
		s.put(probes.FactHardware, "virtual machine ("+hypervisor+")", at("sys_vendor"), 0.95)
	}
	s.put(probes.FactSerial, p.serial, at("product_serial"), sure)
	if !probes.Placeholder(clean(p.biosVersion)) {
		bios := clean(p.biosVersion)
		if v := vendorName(p.biosVendor); !probes.Placeholder(v) {
			bios = v + " " + bios
		}
		s.put(probes.FactFirmware, bios, at("bios_version"), 0.95)
	}
	// A firmware update brings a new date, so as the machine's age it is a lower bound.
	s.put(probes.FactMade, biosDate(p.biosDate), at("bios_date"), 0.5)
	if class := chassisClass(p.chassis); class != "" && hypervisor == "" {
		s.put(probes.FactClass, class, at("chassis_type"), 0.9)
	}
}

// virtual names the hypervisor that a name plate is of; "" for a real machine.
func virtual(p plate) string {
	vendor, product := strings.ToLower(p.vendor), strings.ToLower(p.product)
	for _, known := range []struct{ vendor, product, name string }{
		{"qemu", "", "QEMU"}, {"", "kvm", "KVM"}, {"vmware", "", "VMware"}, {"innotek", "", "VirtualBox"}, {"", "virtualbox", "VirtualBox"},
		{"microsoft", "virtual machine", "Hyper-V"}, {"xen", "", "Xen"}, {"parallels", "", "Parallels"}, {"amazon ec2", "", "Amazon EC2"},
		{"google", "google compute engine", "Google Compute Engine"}, {"openstack", "", "OpenStack"}, {"red hat", "", "KVM"},
		{"bochs", "", "Bochs"}, {"nutanix", "ahv", "Nutanix AHV"},
	} {
		if strings.HasPrefix(vendor, known.vendor) && strings.HasPrefix(product, known.product) {
			return known.name
		}
	}
	return ""
}

// vendorName shortens a maker's legal name to the one on its name plates.
func vendorName(s string) string {
	s = clean(s)
	low := strings.ToLower(s)
	for _, known := range []struct{ prefix, name string }{
		{"dell", "Dell"}, {"hewlett-packard", "HP"}, {"hp inc", "HP"}, {"hewlett packard enterprise", "HPE"}, {"lenovo", "Lenovo"},
		{"asus", "ASUS"}, {"asustek", "ASUS"}, {"micro-star", "MSI"}, {"msi", "MSI"}, {"gigabyte", "Gigabyte"}, {"acer", "Acer"}, {"fujitsu", "Fujitsu"},
		{"super micro", "Supermicro"}, {"supermicro", "Supermicro"}, {"toshiba", "Toshiba"}, {"samsung", "Samsung"}, {"intel", "Intel"},
		{"microsoft", "Microsoft"}, {"vmware", "VMware"}, {"apple", "Apple"}, {"asrock", "ASRock"}, {"biostar", "Biostar"},
		{"foxconn", "Foxconn"}, {"huawei", "Huawei"}, {"inspur", "Inspur"}, {"american megatrends", "American Megatrends"},
		{"phoenix", "Phoenix"}, {"insyde", "Insyde"}, {"fpt", "FPT"}, {"cms", "CMS"}, {"sony", "Sony"}, {"panasonic", "Panasonic"},
		{"vaio", "VAIO"}, {"lg elec", "LG"}, {"nec", "NEC"}, {"ibm", "IBM"},
	} {
		if rest, ok := strings.CutPrefix(low, known.prefix); ok && (rest == "" || !isLetter(rest[0]) || len(known.prefix) > 4) {
			return known.name
		}
	}
	for again := true; again; {
		again = false
		for _, tail := range []string{" inc", " ltd", " co", " corp", " corporation", " gmbh", " llc", " company", " limited"} {
			trimmed := strings.TrimRight(s, " .,")
			if len(trimmed) > len(tail) && strings.EqualFold(trimmed[len(trimmed)-len(tail):], tail) {
				s, again = strings.TrimRight(trimmed[:len(trimmed)-len(tail)], " .,"), true
			}
		}
	}
	return s
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return strings.TrimSpace(s[len(prefix):]), true
	}
	return s, false
}

// biosDate turns a date as firmware writes it, mm/dd/yyyy, into 2015-03-17. What is no date is "".
func biosDate(s string) string {
	s = clean(s)
	for _, layout := range []string{"01/02/2006", "1/2/2006", "01/02/06", "2006-01-02", "2006/01/02", "20060102"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1990 && t.Year() < 2100 {
			return t.Format(time.DateOnly)
		}
	}
	return ""
}

// chassisClass is the class of an SMBIOS chassis type (DSP0134 7.4.1); "" where the type does not tell.
func chassisClass(n int) string {
	switch n {
	case 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 24, 30, 31, 32, 35, 36:
		return "pc"
	case 17, 23, 28, 29:
		return "server"
	}
	return ""
}

// card is a network card that is hardware.
type card struct {
	mac      []byte
	wireless bool
}

// card notes the address of the machine's network card; see files.network.
func (s *sheet) card(cards []card, source string) {
	best, wireless := "", false
	for _, c := range cards {
		text := macText(c.mac)
		if text != "" && (best == "" || wireless && !c.wireless || wireless == c.wireless && text < best) {
			best, wireless = text, c.wireless
		}
	}
	s.put(probes.FactMAC, best, source, 0.95)
}

// macText is a hardware address as facts write it; "" for one that identifies nothing: none, all zeros, or one that
// software made up (the bit "locally administered").
func macText(mac []byte) string {
	if len(mac) != 6 || mac[0]&3 != 0 || mac[0]|mac[1]|mac[2]|mac[3]|mac[4]|mac[5] == 0 {
		return ""
	}
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
}
