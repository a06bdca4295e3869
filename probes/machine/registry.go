package machine

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"communewatch/probes"
)

// windowsSystem is what Windows is asked. The real one is in system_windows.go; tests bring their own.
type windowsSystem interface {
	Text(key, value string) string           // of the registry below HKEY_LOCAL_MACHINE; "" where it is not there
	Number(key, value string) (uint64, bool) // the same for numbers
	SMBIOS() []byte                          // the firmware's table without its header; nil where it can't be had
	TPM() string                             // "1.2", "2.0", "none"; "" where Windows does not say
	Memory() uint64                          // bytes of memory that Windows may use; 0: unknown
	Disks() uint64                           // bytes of all fixed volumes; 0: unknown
	Cards() []card
	HostName() string
}

const (
	keyVersion = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	keyBIOS    = `HARDWARE\DESCRIPTION\System\BIOS`
	keyCPU     = `HARDWARE\DESCRIPTION\System\CentralProcessor\0`
)

// windowsFacts describes a Windows machine.
func windowsFacts(ctx context.Context, w windowsSystem) ([]probes.Fact, error) {
	s := &sheet{}
	fw := parseSMBIOS(w.SMBIOS())
	at, names := `SMBIOS `, map[string]string(nil)
	if fw.vendor == "" && fw.product == "" {
		// The registry holds most of the same, but no serial and no chassis.
		at = `registry ` + keyBIOS + `\`
		names = map[string]string{"sys_vendor": "SystemManufacturer", "product_name": "SystemProductName", "product_version": "SystemVersion",
			"board_vendor": "BaseBoardManufacturer", "board_name": "BaseBoardProduct", "bios_version": "BIOSVersion", "bios_date": "BIOSReleaseDate"}
		bios := func(value string) string { return w.Text(keyBIOS, value) }
		fw.plate = plate{vendor: bios("SystemManufacturer"), product: bios("SystemProductName"), version: bios("SystemVersion"),
			family: bios("SystemFamily"), boardVendor: bios("BaseBoardManufacturer"), board: bios("BaseBoardProduct"),
			biosVendor: bios("BIOSVendor"), biosVersion: bios("BIOSVersion"), biosDate: bios("BIOSReleaseDate"), serial: fw.serial, chassis: fw.chassis}
	}
	s.describe(fw.plate, func(name string) string {
		if known, ok := names[name]; ok {
			name = known
		}
		return at + name
	})
	os := readWindows(w)
	reg := `registry ` + keyVersion + `\`
	s.put(probes.FactOS, os.name, reg+"CurrentBuild", 0.95)
	s.put(probes.FactOSEdition, os.edition, reg+"EditionID "+os.editionID, 0.95)
	s.put(probes.FactOSRelease, os.release, reg+"DisplayVersion", 0.95)
	s.put(probes.FactOSBuild, os.build, reg+"UBR", 0.95)
	s.put(probes.FactVersion, os.build, reg+"UBR", 0.9)
	if os.server && virtual(fw.plate) == "" && s.get(probes.FactClass) == "" {
		s.put(probes.FactClass, "server", reg+"InstallationType", 0.8)
	}
	s.put(probes.FactCPU, w.Text(keyCPU, "ProcessorNameString"), `registry `+keyCPU+`\ProcessorNameString`, 0.95)
	if fw.memory > 0 {
		s.put(probes.FactRAM, strconv.FormatUint(fw.memory, 10), "SMBIOS memory modules", 0.95)
	} else if n := w.Memory(); n > 0 {
		s.put(probes.FactRAM, strconv.FormatUint(n, 10), "GlobalMemoryStatusEx", 0.9)
	}
	if n := w.Disks(); n > 0 {
		s.put(probes.FactDisk, strconv.FormatUint(n, 10), "fixed volumes", 0.8)
	}
	s.put(probes.FactTPM, w.TPM(), "Tbsi_GetDeviceInfo", 0.95)
	s.card(w.Cards(), "network adapters")
	s.put(probes.FactSysName, w.HostName(), "host name", 0.9)
	return s.sorted(), ctx.Err()
}

// windowsRelease is a Windows as its support tables name it.
type windowsRelease struct {
	name      string // Windows 10, Windows Server 2019
	edition   string // Home, Pro, Enterprise LTSC
	editionID string // as the registry has it
	release   string // 22H2
	build     string // 10.0.19045.4412
	server    bool
}

func readWindows(w windowsSystem) windowsRelease {
	text := func(value string) string { return clean(w.Text(keyVersion, value)) }
	r := windowsRelease{editionID: text("EditionID"), release: text("DisplayVersion")}
	product, kind := text("ProductName"), text("InstallationType")
	r.server = strings.HasPrefix(kind, "Server") || strings.Contains(product, "Server")
	number := text("CurrentBuild")
	build, err := strconv.Atoi(number)
	if err != nil {
		r.name = product
		return r
	}
	major, ok := w.Number(keyVersion, "CurrentMajorVersionNumber")
	minor, _ := w.Number(keyVersion, "CurrentMinorVersionNumber")
	r.build = fmt.Sprintf("%d.%d.%d", major, minor, build)
	if !ok { // before Windows 10
		r.build = fmt.Sprintf("%s.%d", text("CurrentVersion"), build)
	}
	if ubr, ok := w.Number(keyVersion, "UBR"); ok {
		r.build += fmt.Sprintf(".%d", ubr)
	}
	r.name = windowsName(product, build, r.server)
	r.edition = windowsEdition(r.editionID, build)
	if r.release == "" {
		r.release = text("ReleaseId") // until 2004; from 21H1 on it stays at 2009
	}
	if r.release == "" && !r.server {
		r.release = map[int]string{10240: "1507", 10586: "1511"}[build]
	}
	return r
}

// windowsName goes by the build: the registry calls Windows 11 "Windows 10".
func windowsName(product string, build int, server bool) string {
	type from struct {
		build int
		name  string
	}
	table := []from{{22000, "Windows 11"}, {10240, "Windows 10"}, {9600, "Windows 8.1"}, {9200, "Windows 8"}, {7601, "Windows 7 SP1"}, {7600, "Windows 7"}}
	if server {
		table = []from{{26100, "Windows Server 2025"}, {20348, "Windows Server 2022"}, {17763, "Windows Server 2019"}, {14393, "Windows Server 2016"},
			{9600, "Windows Server 2012 R2"}, {9200, "Windows Server 2012"}, {7601, "Windows Server 2008 R2 SP1"}}
	}
	for _, f := range table {
		if build >= f.build {
			return f.name
		}
	}
	return product
}

// windowsEdition is the edition that support dates are given for. The variants of one edition end together (N, single
// language, workstations, Pro Education), so they are called by it; the source keeps the name in the registry.
func windowsEdition(id string, build int) string {
	base := strings.TrimSuffix(id, "Eval")
	if cut := strings.TrimSuffix(base, "N"); cut == "Core" || cut == "Professional" || cut == "Enterprise" || cut == "EnterpriseS" || cut == "Education" ||
		cut == "ProfessionalWorkstation" || cut == "ProfessionalEducation" {
		base = cut
	}
	switch base {
	case "Core", "CoreSingleLanguage", "CoreCountrySpecific":
		return "Home"
	case "Professional", "ProfessionalWorkstation", "ProfessionalEducation", "ProfessionalSingleLanguage":
		return "Pro"
	case "Enterprise", "Education":
		return base
	case "EnterpriseS":
		if build < 17763 {
			return "Enterprise LTSB" // the name until 2016
		}
		return "Enterprise LTSC"
	case "IoTEnterprise":
		return "IoT Enterprise"
	case "IoTEnterpriseS", "IoTEnterpriseSK":
		return "IoT Enterprise LTSC"
	case "IoTUAP":
		return "IoT"
	case "ServerStandard":
		return "Standard"
	case "ServerDatacenter":
		return "Datacenter"
	case "ServerSolution", "ServerEssentials":
		return "Essentials"
	}
	return id
}
