package machine

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"

	"github.com/google/go-cmp/cmp"
)

// tree makes a file system of names and contents.
func tree(content map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range content {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// values are the facts without their sources.
func values(facts []probes.Fact) map[probes.FactName]string {
	out := map[probes.FactName]string{}
	for _, f := range facts {
		if f.Confidence <= 0 || f.Confidence > 1 || f.Source == "" {
			panic("a fact without evidence: " + string(f.Name))
		}
		out[f.Name] = f.Value
	}
	return out
}

func dmi(content map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range content {
		out["sys/class/dmi/id/"+name] = text + "\n"
	}
	return out
}

func TestLinux(t *testing.T) {
	office := dmi(map[string]string{"sys_vendor": "LENOVO", "product_name": "10AYS0XX00", "product_version": "ThinkCentre M73", "product_serial": "PF0A1B2C",
		"board_vendor": "LENOVO", "board_name": "SHARKBAY", "bios_vendor": "LENOVO", "bios_version": "FCKT79AUS", "bios_date": "03/17/2015", "chassis_type": "3"})
	maps.Copy(office, map[string]string{
		"etc/os-release":                              "# comment\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='11'\nID=debian\n",
		"proc/sys/kernel/osrelease":                   "5.10.0-28-amd64\n",
		"proc/sys/kernel/hostname":                    "office-pc\n",
		"proc/cpuinfo":                                "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz\nflags\t\t: fpu vme sse2\n\nprocessor\t: 1\nmodel name\t: second\n",
		"proc/meminfo":                                "MemTotal:        3959180 kB\nMemFree: 1 kB\n",
		"sys/block/sda/size":                          "976773168\n",
		"sys/block/sda/removable":                     "0\n",
		"sys/block/sda/device/type":                   "0\n",
		"sys/block/sdb/size":                          "60000000\n",
		"sys/block/sdb/removable":                     "1\n",
		"sys/block/sdb/device/type":                   "0\n",
		"sys/block/loop0/size":                        "8000\n",
		"sys/class/tpm/tpm0/tpm_version_major":        "2\n",
		"sys/class/net/lo/address":                    "00:00:00:00:00:00\n",
		"sys/class/net/docker0/address":               "02:42:7f:00:00:01\n",
		"sys/class/net/wlan0/address":                 "00:1b:77:00:00:01\n",
		"sys/class/net/wlan0/device/vendor":           "x",
		"sys/class/net/wlan0/phy80211/name":           "phy0",
		"sys/class/net/enp3s0/address":                "44:8a:5b:12:34:56\n",
		"sys/class/net/enp3s0/device/vendor":          "0x10ec\n",
		"sys/class/net/enp4s0/address":                "44:8a:5b:12:34:99\n",
		"sys/class/net/enp4s0/device/vendor":          "0x10ec\n",
		"sys/class/net/bond0/address":                 "44:8a:5b:12:34:00\n",
		"sys/class/net/bonding_masters/device/strays": "",
	})
	shop := dmi(map[string]string{"sys_vendor": "To be filled by O.E.M.", "product_name": "To be filled by O.E.M.", "product_serial": "To be filled by O.E.M.",
		"board_vendor": "Gigabyte Technology Co., Ltd.", "board_name": "H61M-DS2", "bios_vendor": "American Megatrends Inc.", "bios_version": "F3", "bios_date": "bad", "chassis_type": "3"})
	shop["sys/class/tpm/.keep"] = "" // removed below: an empty folder
	shopFS := tree(shop)
	delete(shopFS, "sys/class/tpm/.keep")
	shopFS["sys/class/tpm"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
	guest := dmi(map[string]string{"sys_vendor": "VMware, Inc.", "product_name": "VMware Virtual Platform", "product_serial": "VMware-56 4d 1a", "chassis_type": "1", "bios_date": "11/12/2020"})
	hidden := map[string]string{"proc/cpuinfo": "flags : fpu hypervisor\n", "usr/lib/os-release": "NAME=Ubuntu\nVERSION_ID=\"22.04\"\n"}
	for _, tt := range []struct {
		name string
		root fstest.MapFS
		want map[probes.FactName]string
	}{
		{"office PC, read as root", tree(office), map[probes.FactName]string{
			"vendor": "Lenovo", "model": "ThinkCentre M73", "hardware": "10AYS0XX00", "serial": "PF0A1B2C", "class": "pc", "firmware": "Lenovo FCKT79AUS", "made": "2015-03-17",
			"os": "Debian GNU/Linux 11", "os_release": "11", "version": "11", "os_build": "5.10.0-28-amd64", "name": "office-pc",
			"cpu": "Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz", "ram_bytes": "4054200320", "disk_bytes": "500107862016", "tpm": "2.0", "mac": "44:8a:5b:12:34:56",
		}},
		{"PC from a shop, whose name plate nobody filled in, without a TPM", shopFS, map[probes.FactName]string{
			"vendor": "Gigabyte", "model": "H61M-DS2", "firmware": "American Megatrends F3", "class": "pc", "tpm": "none",
		}},
		{"virtual machine", tree(guest), map[probes.FactName]string{
			"vendor": "VMware", "model": "Virtual Platform", "serial": "VMware-56 4d 1a", "hardware": "virtual machine (VMware)", "made": "2020-11-12",
		}},
		{"virtual machine that hides its name plate", tree(hidden), map[probes.FactName]string{
			"hardware": "virtual machine", "os": "Ubuntu 22.04", "os_release": "22.04", "version": "22.04",
		}},
		{"board without DMI", tree(map[string]string{"proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\x00", "proc/device-tree/serial-number": "10000000a1b2c3d4\x00"}),
			map[probes.FactName]string{"model": "Raspberry Pi 4 Model B Rev 1.4", "serial": "10000000a1b2c3d4"}},
		{"nothing can be read", fstest.MapFS{}, map[probes.FactName]string{}},
		{"server", tree(dmi(map[string]string{"sys_vendor": "Dell Inc.", "product_name": "PowerEdge R740", "product_serial": "8G83G2S", "chassis_type": "23"})),
			map[probes.FactName]string{"vendor": "Dell", "model": "PowerEdge R740", "serial": "8G83G2S", "class": "server"}},
		{"maker's name in the model", tree(dmi(map[string]string{"sys_vendor": "HP", "product_name": "HP ProDesk 400 G3 SFF", "product_serial": "0123456789", "chassis_type": "4"})),
			map[probes.FactName]string{"vendor": "HP", "model": "ProDesk 400 G3 SFF", "class": "pc"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			facts, err := linuxFacts(t.Context(), tt.root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, values(facts)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLinuxTPM12(t *testing.T) {
	for content, want := range map[string]string{"sys/class/tpm/tpm0/tpm_version_major": "1", "sys/class/tpm/tpm0/device/caps": "Manufacturer: 0x49465800\nTCG version: 1.2\n"} {
		facts, _ := linuxFacts(t.Context(), tree(map[string]string{content: want}))
		if got := values(facts)["tpm"]; got != "1.2" {
			t.Errorf("%s: got %q", content, got)
		}
	}
	// A kernel that says neither has a TPM of some version: not "none", and no guess.
	if facts, _ := linuxFacts(t.Context(), tree(map[string]string{"sys/class/tpm/tpm0/dev": "10:224"})); len(facts) != 0 {
		t.Errorf("got %v", facts)
	}
}

// windowsBox is a Windows machine made of values.
type windowsBox struct {
	text   map[string]string
	number map[string]uint64
	smbios []byte
	tpm    string
	memory uint64
	cards  []card
}

func (w windowsBox) Text(_, value string) string           { return w.text[value] }
func (w windowsBox) Number(_, value string) (uint64, bool) { n, ok := w.number[value]; return n, ok }
func (w windowsBox) SMBIOS() []byte                        { return w.smbios }
func (w windowsBox) TPM() string                           { return w.tpm }
func (w windowsBox) Memory() uint64                        { return w.memory }
func (w windowsBox) Disks() uint64                         { return 0 }
func (w windowsBox) Cards() []card                         { return w.cards }
func (w windowsBox) HostName() string                      { return "PC-07" }
func (w windowsBox) facts(t *testing.T) map[probes.FactName]string {
	t.Helper()
	facts, err := windowsFacts(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return values(facts)
}

// structure makes one structure of a firmware table.
func structure(kind byte, fixed []byte, texts ...string) []byte {
	out := append([]byte{kind, byte(4 + len(fixed)), 0, 0}, fixed...)
	for _, s := range texts {
		out = append(append(out, s...), 0)
	}
	if len(texts) == 0 {
		out = append(out, 0)
	}
	return append(out, 0)
}

func officeTable() []byte {
	system := make([]byte, 23)
	copy(system, []byte{1, 2, 3, 4})
	module := make([]byte, 10)
	module[8], module[9] = 0x00, 0x10 // 4096 MiB
	return slices.Concat(
		structure(0, []byte{1, 2, 0, 0, 3}, "Dell Inc.", "A12", "07/01/2014"),
		structure(1, system, "Dell Inc.", "OptiPlex 3020", "01", "8G83G2S"),
		structure(2, []byte{1, 2}, "Dell Inc.", "040DDP"),
		structure(3, []byte{1, 0x80 | 6}, "Dell Inc."),
		structure(1, system, "Other", "Other", "Other", "Other"),
		structure(17, module), structure(17, module), structure(17, make([]byte, 10)),
		structure(127, nil),
	)
}

func TestWindows(t *testing.T) {
	w := windowsBox{
		text: map[string]string{"ProductName": "Windows 10 Pro", "EditionID": "Professional", "DisplayVersion": "22H2", "ReleaseId": "2009", "CurrentBuild": "19045",
			"InstallationType": "Client", "ProcessorNameString": "  Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz  "},
		number: map[string]uint64{"CurrentMajorVersionNumber": 10, "CurrentMinorVersionNumber": 0, "UBR": 4412},
		smbios: officeTable(), tpm: "none", memory: 1 << 32,
		cards: []card{{mac: []byte{0x00, 0x1b, 0x77, 0, 0, 1}, wireless: true}, {mac: []byte{0x44, 0x8a, 0x5b, 1, 2, 3}}},
	}
	want := map[probes.FactName]string{
		"vendor": "Dell", "model": "OptiPlex 3020", "serial": "8G83G2S", "class": "pc", "firmware": "Dell A12", "made": "2014-07-01", "os": "Windows 10",
		"os_edition": "Pro", "os_release": "22H2", "os_build": "10.0.19045.4412", "version": "10.0.19045.4412", "cpu": "Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz",
		"ram_bytes": "8589934592", "tpm": "none", "mac": "44:8a:5b:01:02:03", "name": "PC-07",
	}
	if diff := cmp.Diff(want, w.facts(t)); diff != "" {
		t.Error(diff)
	}

	// Without the firmware's table the registry has all but serial and chassis.
	w.smbios, w.tpm = nil, ""
	maps.Copy(w.text, map[string]string{"SystemManufacturer": "ASUSTeK COMPUTER INC.", "SystemProductName": "System Product Name", "BaseBoardManufacturer": "ASUSTeK COMPUTER INC.",
		"BaseBoardProduct": "P8H61-M LX", "BIOSVendor": "American Megatrends Inc.", "BIOSVersion": "0505", "BIOSReleaseDate": "02/16/2012"})
	got := w.facts(t)
	for name, value := range map[probes.FactName]string{"vendor": "ASUS", "model": "P8H61-M LX", "firmware": "American Megatrends 0505", "made": "2012-02-16", "ram_bytes": "4294967296", "serial": "", "tpm": "", "class": ""} {
		if got[name] != value {
			t.Errorf("%s: got %q, want %q", name, got[name], value)
		}
	}
}

func TestWindowsReleases(t *testing.T) {
	for _, tt := range []struct {
		product, edition, display, release, build, kind string
		want                                            string
	}{
		{"Windows 10 Pro", "Professional", "23H2", "2009", "22631", "Client", "Windows 11|Pro|23H2"},
		{"Windows 10 Home Single Language", "CoreSingleLanguage", "21H2", "2009", "19044", "Client", "Windows 10|Home|21H2"},
		{"Windows 10 Pro", "ProfessionalWorkstation", "", "1909", "18363", "Client", "Windows 10|Pro|1909"},
		{"Windows 10 Enterprise LTSC 2021", "EnterpriseS", "21H2", "2009", "19044", "Client", "Windows 10|Enterprise LTSC|21H2"},
		{"Windows 10 Enterprise 2016 LTSB", "EnterpriseS", "", "1607", "14393", "Client", "Windows 10|Enterprise LTSB|1607"},
		{"Windows 10 IoT Enterprise LTSC 2021", "IoTEnterpriseS", "21H2", "2009", "19044", "Client", "Windows 10|IoT Enterprise LTSC|21H2"},
		{"Windows 10 Enterprise N", "EnterpriseN", "22H2", "2009", "19045", "Client", "Windows 10|Enterprise|22H2"},
		{"Windows 10 Education", "Education", "22H2", "", "19045", "Client", "Windows 10|Education|22H2"},
		{"Windows 10 Pro", "Professional", "", "", "10240", "Client", "Windows 10|Pro|1507"},
		{"Windows Server 2019 Standard", "ServerStandard", "", "1809", "17763", "Server", "Windows Server 2019|Standard|1809"},
		{"Windows Server 2022 Datacenter Evaluation", "ServerDatacenterEval", "21H2", "", "20348", "Server Core", "Windows Server 2022|Datacenter|21H2"},
		{"Windows 7 Professional", "Professional", "", "", "7601", "Client", "Windows 7 SP1|Pro|"},
		{"Something new", "Nebula", "", "", "not a number", "Client", "Something new||"},
	} {
		r := readWindows(windowsBox{text: map[string]string{"ProductName": tt.product, "EditionID": tt.edition, "DisplayVersion": tt.display, "ReleaseId": tt.release,
			"CurrentBuild": tt.build, "InstallationType": tt.kind, "CurrentVersion": "6.1"}})
		if got := strings.Join([]string{r.name, r.edition, r.release}, "|"); got != tt.want {
			t.Errorf("%s (%s, %s): got %s, want %s", tt.product, tt.edition, tt.build, got, tt.want)
		}
	}
}

func TestVendorNames(t *testing.T) {
	for in, want := range map[string]string{"Hewlett-Packard": "HP", "HP": "HP", "Micro-Star International Co., Ltd.": "MSI", "Acer ": "Acer", "NECTEC Inc.": "NECTEC",
		"Some Maker Co., Ltd.": "Some Maker", "FPT Elead": "FPT", "Inc.": "Inc.", "SAMSUNG ELECTRONICS CO., LTD.": "Samsung", "Acme Corporation": "Acme"} {
		if got := vendorName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestProbeTellsChangesAndReminds(t *testing.T) {
	now := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	facts := []probes.Fact{{Name: probes.FactOS, Value: "Windows 10", Source: "machine x", Confidence: 1}}
	var fail error
	p := &probe{opts: DefaultOptions(), now: func() time.Time { return now }, read: func(context.Context) ([]probes.Fact, error) { return slices.Clone(facts), fail }}
	run := func() int {
		t.Helper()
		points, err := p.Probe(t.Context())
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
		for _, pt := range points {
			if pt.Tags.Get("device") != probes.SelfDevice || pt.Measurement != "equipment" {
				t.Errorf("row %+v", pt)
			}
		}
		return len(points)
	}
	for i, step := range []struct {
		change func()
		want   int
	}{
		{func() {}, 1},
		{func() { now = now.Add(time.Hour) }, 0},
		{func() { facts[0].Value = "Windows 11" }, 1},
		{func() { now = now.Add(5 * time.Hour) }, 0},
		{func() { now = now.Add(time.Hour) }, 1},
		{func() { fail = errors.New("no"); now = now.Add(9 * time.Hour) }, 0},
		{func() { fail = nil }, 1},
	} {
		step.change()
		if got := run(); got != step.want {
			t.Errorf("step %d: %d rows, want %d", i, got, step.want)
		}
	}
}

// The machine that runs the test, whatever it is, is described within bounds and without an error.
func TestThisMachine(t *testing.T) {
	p, err := New(probes.Target{Kind: probes.KindMachine}, bind.Binding{}, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" && len(points) < 2 {
		t.Errorf("only %d facts of a Linux machine", len(points))
	}
	for _, pt := range points {
		if f, _ := pt.Field("value"); f.Str == "" || len(f.Str) > probes.MaxText {
			t.Errorf("%v: value %q", pt.Tags, f.Str)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		address string
		o       Options
		want    string
	}{
		{"", DefaultOptions(), ""}, {"self", DefaultOptions(), ""}, {"10.0.0.1", DefaultOptions(), "address"},
		{"", Options{Timeout: time.Hour, Repeat: time.Hour}, "timeout"}, {"", Options{Timeout: time.Second}, "repeat"},
	} {
		var got []string
		tt.o.Validate(probes.Target{Address: tt.address}, func(at, _ string, _ ...any) { got = append(got, at) })
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q %+v: got %v, want %q", tt.address, tt.o, got, tt.want)
		}
	}
}

func FuzzSMBIOS(f *testing.F) {
	f.Add(officeTable())
	f.Add(officeTable()[:37])
	f.Add([]byte{1, 4, 0, 0, 0, 0})
	f.Add([]byte{17, 40, 0, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		facts, _ := windowsFacts(t.Context(), windowsBox{smbios: table})
		for _, fact := range facts {
			if fact.Value == "" || len(fact.Value) > probes.MaxText || strings.ContainsAny(fact.Value, "\n\x00") {
				t.Errorf("fact %+v", fact)
			}
		}
	})
}
