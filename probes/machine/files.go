package machine

import (
	"context"
	"io"
	"io/fs"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"communewatch/probes"
)

// maxFile bounds what is read of one file: /proc/cpuinfo of a machine with a hundred cores is far smaller.
const maxFile = 1 << 20

// files reads a Linux machine through its files; root is "/".
type files struct{ root fs.FS }

// text returns a file's content; "" if it can't be read.
func (f files) text(name string) string {
	file, err := f.root.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return ""
	}
	return string(data)
}

func (f files) has(name string) bool {
	_, err := fs.Stat(f.root, name)
	return err == nil
}

// linuxFacts describes a Linux machine.
func linuxFacts(ctx context.Context, root fs.FS) ([]probes.Fact, error) {
	f, s := files{root}, &sheet{}
	const dmi = "sys/class/dmi/id/"
	chassis, _ := strconv.Atoi(strings.TrimSpace(f.text(dmi + "chassis_type")))
	s.describe(plate{
		vendor: f.text(dmi + "sys_vendor"), product: f.text(dmi + "product_name"), version: f.text(dmi + "product_version"),
		family: f.text(dmi + "product_family"), boardVendor: f.text(dmi + "board_vendor"), board: f.text(dmi + "board_name"),
		serial: f.text(dmi + "product_serial"), biosVendor: f.text(dmi + "bios_vendor"), biosVersion: f.text(dmi + "bios_version"),
		biosDate: f.text(dmi + "bios_date"), chassis: chassis,
	}, func(name string) string { return "/" + dmi + name })
	if s.get(probes.FactModel) == "" {
		// Boards without DMI, such as a Raspberry Pi, name themselves in the device tree.
		s.put(probes.FactModel, f.text("proc/device-tree/model"), "/proc/device-tree/model", 0.9)
		s.put(probes.FactSerial, f.text("proc/device-tree/serial-number"), "/proc/device-tree/serial-number", 0.9)
	}
	f.system(s)
	f.processor(s)
	f.disks(s)
	f.tpm(s)
	f.network(s)
	return s.sorted(), ctx.Err()
}

func (f files) system(s *sheet) {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		release := map[string]string{}
		for line := range strings.Lines(f.text(name)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if ok && !strings.HasPrefix(key, "#") {
				release[key] = unquote(value)
			}
		}
		if release["NAME"] == "" {
			continue
		}
		source := "/" + name
		s.put(probes.FactOS, strings.TrimSpace(release["NAME"]+" "+release["VERSION_ID"]), source, 0.95)
		s.put(probes.FactOSRelease, release["VERSION_ID"], source, 0.95)
		s.put(probes.FactOSEdition, release["VARIANT"], source, 0.9)
		s.put(probes.FactVersion, release["VERSION_ID"], source, 0.9)
		break
	}
	s.put(probes.FactOSBuild, f.text("proc/sys/kernel/osrelease"), "/proc/sys/kernel/osrelease", 0.95)
	s.put(probes.FactSysName, f.text("proc/sys/kernel/hostname"), "/proc/sys/kernel/hostname", 0.9)
}

// unquote takes the quotes of a shell assignment off (os-release(5)).
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' && s[0] != '\'' || s[len(s)-1] != s[0] {
		return s
	}
	inner := s[1 : len(s)-1]
	if s[0] == '\'' {
		return inner
	}
	return strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(inner)
}

func (f files) processor(s *sheet) {
	hypervisor := false
	for line := range strings.Lines(f.text("proc/cpuinfo")) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch strings.TrimSpace(key) {
		case "model name":
			if s.get(probes.FactCPU) == "" {
				s.put(probes.FactCPU, value, "/proc/cpuinfo", 0.95)
			}
		case "flags":
			hypervisor = hypervisor || slices.Contains(strings.Fields(value), "hypervisor")
		}
	}
	if hypervisor && !strings.HasPrefix(s.get(probes.FactHardware), "virtual machine") {
		s.facts = slices.DeleteFunc(s.facts, func(f probes.Fact) bool { return f.Name == probes.FactClass || f.Name == probes.FactHardware })
		s.put(probes.FactHardware, "virtual machine", "/proc/cpuinfo flags", 0.9)
	}
	for line := range strings.Lines(f.text("proc/meminfo")) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "MemTotal:" {
			continue
		}
		if kib, err := strconv.ParseUint(words[1], 10, 44); err == nil && kib > 0 {
			// What the kernel may use: the memory installed, less some that firmware and kernel keep for themselves.
			s.put(probes.FactRAM, strconv.FormatUint(kib<<10, 10), "/proc/meminfo", 0.9)
		}
	}
}

// disks adds up the fixed disks: block devices with hardware behind them that can't be taken out.
func (f files) disks(s *sheet) {
	const dir = "sys/block"
	entries, err := fs.ReadDir(f.root, dir)
	if err != nil {
		return
	}
	var total uint64
	for _, e := range entries {
		disk := path.Join(dir, e.Name())
		if !f.has(path.Join(disk, "device")) || strings.TrimSpace(f.text(path.Join(disk, "removable"))) == "1" || strings.HasPrefix(e.Name(), "sr") ||
			strings.Contains(e.Name(), "boot") || strings.Contains(e.Name(), "rpmb") {
			continue
		}
		sectors, err := strconv.ParseUint(strings.TrimSpace(f.text(path.Join(disk, "size"))), 10, 50)
		if err == nil {
			total += sectors * 512 // sysfs counts in 512 bytes whatever the disk's own sectors are
		}
	}
	if total > 0 {
		s.put(probes.FactDisk, strconv.FormatUint(total, 10), "/"+dir, 0.9)
	}
}

// tpm says "none" only where the kernel knows of TPMs at all and shows none.
func (f files) tpm(s *sheet) {
	const dir = "sys/class/tpm"
	if !f.has(dir) {
		return // a kernel without TPM support can't tell
	}
	entries, err := fs.ReadDir(f.root, dir)
	if err != nil {
		return
	}
	if len(entries) == 0 {
		// A TPM that is switched off in the firmware is not to be seen either.
		s.put(probes.FactTPM, "none", "/"+dir+" is empty", 0.7)
		return
	}
	at := path.Join(dir, entries[0].Name())
	switch strings.TrimSpace(f.text(path.Join(at, "tpm_version_major"))) {
	case "1":
		s.put(probes.FactTPM, "1.2", "/"+path.Join(at, "tpm_version_major"), 0.95)
	case "2":
		s.put(probes.FactTPM, "2.0", "/"+path.Join(at, "tpm_version_major"), 0.95)
	default: // kernels before 5.6 don't say, but only a 1.2 has capabilities in that form
		if strings.Contains(f.text(path.Join(at, "device/caps")), "TCG version: 1.2") {
			s.put(probes.FactTPM, "1.2", "/"+path.Join(at, "device/caps"), 0.9)
		}
	}
}

// network takes the address of the machine's network card. Of several it is the lowest of the wired ones, which stays
// the same whatever order the system finds them in; cards that are software have no device behind them.
func (f files) network(s *sheet) {
	const dir = "sys/class/net"
	entries, err := fs.ReadDir(f.root, dir)
	if err != nil {
		return
	}
	var cards []card
	for _, e := range entries {
		at := path.Join(dir, e.Name())
		if mac, err := net.ParseMAC(strings.TrimSpace(f.text(path.Join(at, "address")))); err == nil && f.has(path.Join(at, "device")) {
			cards = append(cards, card{mac: mac, wireless: f.has(path.Join(at, "wireless")) || f.has(path.Join(at, "phy80211"))})
		}
	}
	s.card(cards, "/"+dir)
}
