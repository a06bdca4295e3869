package catalogue

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"communewatch/inventory"
)

func load(tb testing.TB, local ...*Row) *Catalogue {
	tb.Helper()
	c, err := Load(local...)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestShippedCatalogue(t *testing.T) {
	rows, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	kinds, grades, statuses := map[string]int{}, map[string]int{}, map[string]int{}
	for _, r := range rows {
		kinds[r.Kind]++
		grades[r.Confidence]++
		statuses[r.Status()]++
		if r.ReviewedOn.IsZero() && r.Confidence != ConfU {
			t.Errorf("%s: nobody knows when its source was looked at", r.ID)
		}
	}
	if len(rows) != 511 || kinds["os"] != 105 || kinds["firmware"] != 127 || kinds["device"] != 279 {
		t.Errorf("%d rows: %v", len(rows), kinds)
	}
	if grades["A"] != 105 || grades["B"] != 327 || grades["C"] != 40 || grades["U"] != 39 {
		t.Errorf("confidences %v", grades)
	}
	if statuses["kev"] != 23 || statuses["kev-eol"] != 18 || statuses["kev-maybe-eol"] != 13 || statuses["platform-only"] != 42 {
		t.Errorf("statuses %v", statuses)
	}
}

// Every row is found by its own pattern: none is lost in the index.
func TestEveryRowIsFound(t *testing.T) {
	c := load(t)
	for _, r := range c.Rows() {
		if r.Class == classCPU || r.Class == classProtocol {
			if c.CPU(r.Pattern) != r && c.Protocol(r.Pattern) != r {
				t.Errorf("%s %s is not found", r.ID, r.Pattern)
			}
			continue
		}
		if r.Kind == KindOS {
			if r.Class == "office_suite" || r.Class == "browser" {
				continue // no operating systems: carried, not asked for
			}
			found := false
			sys := System{Name: r.Pattern, Windows: strings.HasPrefix(r.Pattern, "Windows")}
			if sys.Windows {
				name, edition, _ := strings.Cut(strings.TrimSuffix(r.Pattern, "*"), " (")
				sys = System{Name: release(name), Windows: true, Edition: Edition(strings.TrimSuffix(edition, ")"))}
			}
			hit, _ := c.Systems(sys)
			found = slices.Contains(hit.Rows, r)
			if !found {
				t.Errorf("%s %s is not found", r.ID, r.Pattern)
			}
			continue
		}
		if r.Match == MatchTrain || r.Match == MatchRange {
			name, tr, _ := parseTrain(r.Pattern)
			v := tr.version
			if tr.below {
				v.Numbers = append(slices.Clone(v.Numbers[:1]), v.Numbers[1]-1) // 6.41, 15.7
			}
			if hit := c.Firmware(Software{name, v}); !slices.Contains(hit.Rows, r) && !slices.Contains(c.Ranges(Software{name, v}).Rows, r) {
				t.Errorf("%s %s is not found", r.ID, r.Pattern)
			}
			continue
		}
		// Where a longer glob says more about the model, that one is found instead: DNS-320L before DNS-320.
		model := strings.NewReplacer("?", "2", "*", "").Replace(r.Pattern)
		found := false
		for topic := range topics {
			found = found || slices.Contains(c.Model(topic, r.Vendor, model, "").Rows, r)
		}
		if !found {
			t.Errorf("%s %s is not found as %q", r.ID, r.Pattern, model)
		}
	}
}

func TestModel(t *testing.T) {
	c := load(t)
	for _, tc := range []struct {
		vendor, model, hardware string
		topic                   Topic
		want                    string // the pattern of the row; "": nothing
	}{
		// Hyphens carry meaning.
		{"Cisco", "WS-C2960-24TT-L", "", TopicSupport, "WS-C2960-*"},
		{"Cisco", "WS-C2960X-24TS-L", "", TopicSupport, "WS-C2960X-*"},
		{"Cisco", "WS-C2960+24TC-L", "", TopicSupport, "WS-C2960+*"},
		{"Cisco", "WS-C2960CX-8TC-L", "", TopicSupport, ""},
		{"Cisco", "WS-C2960S-24TS-L", "", TopicSupport, ""},
		{"Cisco", "WS-C2960", "", TopicSupport, ""},
		{"Cisco", "WS-C2960C-8TC-L", "", TopicSupport, "WS-C2960C-*"},
		{"Cisco", "ws-c2960-24tt-l", "", TopicSupport, "WS-C2960-*"},
		{"Cisco Systems, Inc.", "Cisco WS-C2960-24TT-L", "", TopicSupport, "WS-C2960-*"},
		{"Dell", "WS-C2960-24TT-L", "", TopicSupport, ""},
		{"", "WS-C2960-24TT-L", "", TopicSupport, ""},
		{"Cisco", "ISR4331/K9", "", TopicSupport, "ISR4331*/K9"},
		{"Cisco", "ISR4331-SEC/K9", "", TopicSupport, "ISR4331*/K9"},
		// Names that begin alike.
		{"Cisco", "Room Kit", "", TopicTrain, "*Room Kit"},
		{"Cisco", "Cisco Webex Room Kit", "", TopicTrain, "*Room Kit"},
		{"Cisco", "Room Kit Pro", "", TopicTrain, ""},
		{"Cisco", "Cisco Room Kit Pro", "", TopicPlatform, "Cisco Room Kit Pro"},
		{"Cisco", "Room 70", "", TopicTrain, "*Room 70"},
		{"Cisco", "Cisco Webex Room 70 G2", "", TopicTrain, ""},
		{"Cisco", "TelePresence SX20", "", TopicTrain, "*SX20*"},
		{"Cisco", "SX200", "", TopicTrain, ""},
		{"Tandberg", "Cisco TelePresence MX300 G2", "", TopicTrain, "*MX300 G2*"},
		{"Cisco", "MX300", "", TopicTrain, ""},
		{"Tandberg", "6000 MXP", "", TopicSupport, "*6000 MXP*"},
		{"Cisco", "RV130", "", TopicSupport, "RV130"},
		{"Cisco", "RV130W-E-K9-G5", "", TopicSupport, "RV130W*"},
		{"Cisco", "RV132W", "", TopicSupport, ""},
		// The longer glob says more.
		{"D-Link", "DNS-320L", "", TopicExploits, "DNS-320L*"},
		{"D-Link", "DNS-320", "", TopicExploits, "DNS-320*"},
		{"D-Link", "DNS-3200", "", TopicExploits, ""},
		{"DLink", "DIR-600", "", TopicExploits, "DIR-600"},
		{"D-Link", "DIR-600M", "", TopicExploits, ""},
		{"Tenda", "AC1000", "", TopicExploits, ""},
		{"Grandstream", "UCM6202", "", TopicExploits, "UCM62?*"},
		// Aliases.
		{"Fortinet", "FortiGate-60E", "", TopicSupport, "FortiGate-60E"},
		{"Fortinet", "FortiGate 60E", "", TopicSupport, "FortiGate-60E"},
		{"Fortinet", "FG-60E", "", TopicSupport, "FortiGate-60E"},
		{"Fortinet", "FGT60E", "", TopicSupport, "FortiGate-60E"},
		{"Fortinet", "FortiGate-60E-POE", "", TopicSupport, ""},
		{"Fortinet", "FortiGate-60F", "", TopicSupport, ""},
		{"Sophos", "XG210", "", TopicSupport, "XG 210*"},
		{"DrayTek", "Vigor 2925", "", TopicMinimum, "Vigor2925*"},
		{"DrayTek", "Vigor2925n", "", TopicMinimum, "Vigor2925*"},
		// The hardware revision decides.
		{"TP-Link", "TL-WR841N", "V8", TopicExploits, "TL-WR841N V8"},
		{"TP-LINK", "TL-WR841N", "8.0", TopicExploits, "TL-WR841N V8"},
		{"TP-Link", "TL-WR841N v10", "", TopicExploits, "TL-WR841N V10"},
		{"TP-Link", "TL-WR841N", "V11", TopicExploits, ""},
		{"TP-Link", "TL-WR841N", "", TopicExploits, ""},
		// Makers that became one.
		{"Poly", "RealPresence Group 500", "", TopicSupport, "*RealPresence Group 500*"},
		{"Polycom", "Studio X30", "", TopicPlatform, "Poly Studio X30"},
		{"HPE", "HP Elite Slice for Meeting Rooms", "", TopicPlatform, "HP Elite Slice*"},
		{"Lifesize", "Icon 600", "", TopicSupport, "*Lifesize Icon*"},
		{"Yealink", "MeetingBar A20", "", TopicPlatform, "Yealink MeetingBar A20"},
	} {
		hit := c.Model(tc.topic, tc.vendor, tc.model, tc.hardware)
		got := ""
		if hit.Found() {
			got = hit.Rows[0].Pattern
		}
		if got != tc.want || len(hit.Rows) > 1 {
			t.Errorf("%s %s %s: found %q (%d rows), want %q", tc.vendor, tc.model, tc.hardware, got, len(hit.Rows), tc.want)
		}
	}
	if got := c.Revisions(TopicExploits, "TP-Link", "TL-WR841N"); !slices.Equal(got, []string{"V8", "V10"}) {
		t.Errorf("revisions %v", got)
	}
}

func TestFirmware(t *testing.T) {
	c := load(t)
	for _, tc := range []struct{ vendor, class, os, version, product, want string }{
		{"MikroTik", "router", "", "7.1.5", "RouterOS", "RouterOS 7.1"},
		{"MikroTik", "router", "", "7.10.2", "RouterOS", "RouterOS 7.10"},
		{"MikroTik", "router", "RouterOS", "6.49.6 (long-term)", "RouterOS", "RouterOS 6.49"},
		{"MikroTik", "router", "", "RouterOS 7.16rc1", "RouterOS", "RouterOS 7.16"},
		{"MikroTik", "router", "", "6.42", "RouterOS", "RouterOS 6.42"},
		{"MikroTik", "router", "", "6.30", "RouterOS", "RouterOS <6.42.1"},
		{"MikroTik", "router", "", "6.28", "RouterOS", ""}, // older than the flaw
		{"MikroTik", "router", "", "6.40.9", "RouterOS", "RouterOS 6.40"},
		{"MikroTik", "switch", "", "2.13", "", ""}, // SwOS has numbers of its own
		{"Fortinet", "firewall", "", "v7.0.12,build0523,230606 (GA.M)", "FortiOS", "FortiOS 7.0"},
		{"Fortinet", "switch", "", "7.0.4", "", ""}, // FortiSwitch too
		{"Fortinet", "firewall", "FortiOS", "7.2.8", "FortiOS", "FortiOS 7.2"},
		{"Cisco", "switch", "IOS-XE", "16.12.4", "IOS XE", "IOS XE 16.12"},
		{"Cisco", "router", "", "17.9.4a", "IOS XE", "IOS XE 17.9"},
		{"Cisco", "router", "", "17.1.1", "IOS XE", "IOS XE 17.1"},
		{"Cisco", "router", "", "15.9(3)M4", "IOS", "IOS 15.9"},
		{"Cisco", "switch", "", "15.0(2)SE11", "IOS", "IOS <15.8"},
		{"Cisco", "router", "IOS", "12.0(5)T", "IOS", "IOS 12.0T"},
		{"Cisco", "router", "IOS", "12.0(28)S", "IOS", "IOS <15.8"},
		{"Cisco", "router", "IOS XR", "6.5.3", "IOS XR", ""},
		{"Cisco", "firewall", "", "9.8(4)", "", ""}, // ASA
		{"Cisco", "videoconference", "", "ce9.15.0.8dfc8a2", "CE", "CE9"},
		{"Cisco", "videoconference", "", "CE9.15.17.4", "CE", "CE9"},
		{"Cisco", "videoconference", "", "ce11.32.7.0.1f2c9d4", "RoomOS", "RoomOS 11.32"}, // it went on under the old prefix
		{"Cisco", "videoconference", "", "ce26.7.2.2.7c1e0aa", "RoomOS", "RoomOS 26"},
		{"Cisco", "videoconference", "", "TC7.3.21.abc", "TC", "TC7"},
		{"Cisco", "videoconference", "RoomOS", "11.9.3.1", "RoomOS", "RoomOS 11.9"},
		{"Cisco", "videoconference", "", "RoomOS 10.19.5.6", "RoomOS", "RoomOS 10"},
		{"Cisco", "videoconference", "", "10.15.3", "RoomOS", "RoomOS 10.15"},
		{"Sophos", "firewall", "", "SFOS 19.5.3 MR-3-Build652", "SFOS", "SFOS 19.5"},
		{"Palo Alto Networks", "firewall", "", "10.1.9-h1", "PAN-OS", "PAN-OS 10.1"},
		{"TP-Link", "router", "OpenWrt 19.07.7", "", "OpenWrt", "OpenWrt 19.07"},
		{"DrayTek", "router", "", "4.4.5.8_BT", "", ""},
		{"", "", "", "7.1.5", "", ""},
	} {
		sw := c.Software(tc.vendor, tc.class, tc.os, tc.version)
		hit := c.Firmware(sw)
		got := ""
		if hit.Found() {
			got = hit.Rows[0].Pattern
		}
		if sw.Product != tc.product || got != tc.want {
			t.Errorf("%s %s %q %q: product %q row %q, want %q and %q", tc.vendor, tc.class, tc.os, tc.version, sw.Product, got, tc.product, tc.want)
		}
	}
}

func TestSystems(t *testing.T) {
	c := load(t)
	for _, tc := range []struct {
		os, edition, release, build string
		server                      bool
		want                        string // patterns of the rows
		open                        bool
		missing                     string
	}{
		{"Windows 10", "Pro", "22H2", "10.0.19045.4412", false, "Windows 10 22H2", false, ""},
		{"Windows 10", "", "", "19045", false, "Windows 10 22H2", false, ""},
		{"Windows 10 build 19045", "", "", "", false, "Windows 10 22H2", false, ""},
		{"Windows 10", "", "22H2", "", false, "Windows 10 22H2", false, ""},
		{"Microsoft Windows 10 Pro 22H2", "", "", "", false, "Windows 10 22H2", false, ""},
		{"Windows 10", "Pro", "", "", false, "", false, "os_release"},
		{"Windows 11", "Home", "23H2", "", false, "Windows 11 23H2 (Home/Pro)", false, ""},
		{"Windows 11", "Enterprise", "23H2", "", false, "Windows 11 23H2 (Enterprise/Education)", false, ""},
		{"Windows 11", "", "23H2", "", false, "Windows 11 23H2 (Enterprise/Education), Windows 11 23H2 (Home/Pro)", true, ""},
		{"Windows 10 Pro", "", "", "10.0.22631.3447", false, "Windows 11 23H2 (Home/Pro)", false, ""}, // the name is the old one
		{"Windows 10", "Enterprise LTSC", "21H2", "10.0.19044", false, "Windows 10 21H2 (Enterprise LTSC/LTSB)", false, ""},
		{"Windows 10", "IoT Enterprise LTSC", "21H2", "10.0.19044", false, "Windows 10 21H2 (IoT Enterprise LTSC)", false, ""},
		{"Windows 10", "EnterpriseS", "1809", "10.0.17763", false, "Windows 10 1809 (Enterprise LTSC/LTSB)", false, ""},
		{"Windows 10", "Education", "1909", "", false, "Windows 10 1909 (Enterprise/Education)", false, ""},
		{"Windows 10", "Pro", "1507", "", false, "Windows 10 1507", false, ""},
		{"Windows 7 Professional", "", "", "6.1.7601", false, "Windows 7 SP1*", false, ""},
		{"Windows 7", "", "", "", false, "Windows 7 SP1*", false, ""},
		{"Windows 8.1 Pro", "", "", "", false, "Windows 8.1*", false, ""},
		{"Windows 8", "", "", "", false, "Windows 8", false, ""},
		{"Windows XP SP3", "", "", "", false, "Windows XP SP3*", false, ""},
		{"Windows 10 Enterprise LTSC 2019", "", "", "", false, "Windows 10 1809 (Enterprise LTSC/LTSB)", false, ""},
		{"Windows 10 IoT Enterprise LTSC 2021", "", "", "", false, "Windows 10 21H2 (IoT Enterprise LTSC)", false, ""},
		{"Windows 10 1709", "Pro", "1809", "", false, "", false, "os_release"},
		{"Windows Server 2012 R2 Standard", "", "", "", true, "Windows Server 2012 R2", false, ""},
		{"Windows Server 2012", "", "", "", true, "Windows Server 2012", false, ""},
		{"Windows Server 2019", "Standard", "1809", "10.0.17763", true, "Windows Server 2019", false, ""},
		{"Windows", "", "", "17763", true, "Windows Server 2019", false, ""},
		{"Windows", "", "", "17763", false, "", false, "os"}, // a PC's or a server's
		{"Windows", "", "", "19045", false, "Windows 10 22H2", false, ""},
		{"Windows Version 6.3 (Build 19045 Multiprocessor Free)", "", "", "", false, "Windows 10 22H2", false, ""},
		{"Windows Embedded Standard 7 SP1", "", "", "", false, "Windows Embedded Standard 7 SP1", false, ""},
		{"Debian GNU/Linux 12 (bookworm)", "", "", "", true, "Debian 12", false, ""},
		{"Debian GNU/Linux 1", "", "", "", true, "", false, ""},
		{"Ubuntu 22.04.4 LTS", "", "", "", true, "Ubuntu 22.04", false, ""},
		{"Ubuntu", "", "20.04", "", true, "Ubuntu 20.04", false, ""},
		{"Ubuntu", "", "", "", true, "", false, "os_version"},
		{"CentOS Linux 7 (Core)", "", "", "", true, "CentOS 7", false, ""},
		{"VMware ESXi 6.7.0", "", "", "", true, "ESXi 6.7", false, ""},
		{"macOS 10.15.7", "", "", "", false, "macOS 10.15", false, ""},
		{"Android 10", "", "", "", false, "Android 10", false, ""},
		{"Linux 4.19", "", "", "", false, "", false, "os_known"},
		{"", "", "", "", false, "", false, "os"},
	} {
		sys := c.System(tc.os, tc.edition, tc.release, tc.build, tc.server)
		hit, open := c.Systems(sys)
		var got []string
		for _, r := range hit.Rows {
			got = append(got, r.Pattern)
		}
		if strings.Join(got, ", ") != tc.want || open != tc.open || sys.Missing != tc.missing {
			t.Errorf("%q %q %q %q: %v open %v missing %q, want %q open %v missing %q", tc.os, tc.edition, tc.release, tc.build, got, open, sys.Missing, tc.want, tc.open, tc.missing)
		}
	}
}

func TestProcessorsHaveRows(t *testing.T) {
	c := load(t)
	for _, name := range []string{"Ivy Bridge", "Haswell", "Broadwell", "Skylake", "Kaby Lake", "Coffee Lake", "Comet Lake", "Tiger Lake", "Rocket Lake", "Apollo Lake", "Gemini Lake", "Bay Trail", "Braswell"} {
		if c.CPU(name) == nil {
			t.Errorf("%s has no row", name)
		}
	}
}

func TestReadSaysAllMistakes(t *testing.T) {
	const head = "id,kind,vendor,pattern,match,end_of_support,source,confidence,status,min_fw,document,by,entered_on\n"
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"", []string{"x.csv: is empty"}},
		{"id,kind\n", []string{"column vendor: is missing", "column confidence: is missing"}},
		{"id,kind,vendor,pattern,match,source,confidence,colour\n", []string{"column colour: is no column of a catalogue"}},
		{head, nil},
		{head + "l1,device,Cisco,RV042,exact,31/12/2024,https://x,A,,,,,\n", nil},
		{head + "l1,thing,,R,exactly,2024-13-01,,Z,fine,x,,,\n", []string{`row 2, column end_of_support: "2024-13-01" is not a date`}},
		{head + "l1,thing,,R,exactly,,,Z,fine,x,,,\n", []string{"column vendor: is empty", `column kind: "thing" is not one of`, "less than two characters",
			`column status: "fine" is unknown`, `column min_fw: "x" is no version`, `column confidence: "Z"`}},
		{head + "l1,device,Cisco,RV*,exact,,https://x,A,,,,,\n", []string{"has * or ?"}},
		{head + "l1,device,Cisco,RV042,exact,,,A,,,,,\n", []string{"without a source the confidence is U"}},
		{head + "l1,device,Cisco,RV042,exact,,letter,A(local),,,,,\n", []string{"column document: is empty", "column by: is empty", "column entered_on: is empty"}},
		{head + "l1,device,Cisco,RV042,exact,,letter,A(local),,,12/CV,an,2026-08-01\nl1,device,Cisco,RV016,exact,,letter,A(local),,,12/CV,an,2026-08-01\n", []string{`row 3, column id: "l1" is also that of row 2`}},
		{strings.ReplaceAll(head, ",", ";") + "l1;device;Cisco;RV042;exact;31/12/2024;https://x, page 2;A;;;;;\n", nil},
		{head + "l1,device,Cisco\n", []string{"row 2: has 3 cells but there are 13 headings"}},
		{head + "l1,firmware,Cisco,IOS,train,,https://x,A,,,,,\n", []string{"is no product and version"}},
		{head + "l1,device,Cisco,\"RV042\n", []string{"quotes don't match"}},
		{head + "l1,device,\xff,RV042,exact,,https://x,A,,,,,\n", []string{"is not UTF-8"}},
	} {
		rows, err := Read("x.csv", []byte(tc.text))
		if len(tc.want) == 0 {
			if err != nil {
				t.Errorf("%q: %v", tc.text, err)
			}
			continue
		}
		var list *inventory.ListError
		if !errors.As(err, &list) || rows != nil {
			t.Errorf("%q is read: %v", tc.text, rows)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: the mistakes lack %q:\n%v", tc.text, want, err)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("id,kind,vendor,pattern,match,source,confidence\nl1,device,Cisco,RV*,glob,https://x,A\n"))
	f.Add(catalogueCSV[:2000])
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := Read("x.csv", data)
		if err != nil {
			if rows != nil {
				t.Fatal("rows beside an error")
			}
			return
		}
		c := New(rows)
		for _, r := range rows {
			for topic := range topics {
				c.Model(topic, r.Vendor, r.Pattern, "V1")
			}
			c.Firmware(c.Software(r.Vendor, r.Class, r.Pattern, r.Pattern))
			c.Systems(c.System(r.Pattern, "", "", "", false))
		}
	})
}

func FuzzMatch(f *testing.F) {
	c := load(f)
	f.Add("Cisco", "WS-C2960-24TT-L", "V1", "IOS", "15.2(7)E4", "10.0.19045")
	f.Fuzz(func(t *testing.T, vendor, model, hardware, os, version, build string) {
		for topic := range topics {
			c.Model(topic, vendor, model, hardware)
			c.Revisions(topic, vendor, model)
		}
		c.Firmware(c.Software(vendor, "firewall", os, version))
		c.Systems(c.System(os, vendor, version, build, false))
	})
}

// Every mistake of a file is told at once: what can't be read, and what was read and makes no sense.
func TestAllMistakesAreTold(t *testing.T) {
	data := "id,kind,vendor,pattern,match,source,confidence,end_of_support\n" +
		"a,device,Acme,X-1,exact,https://example.com/a,B,2020-13-45\n" + // no such day
		"a,device,,X-2,exact,https://example.com/a,B,2020-01-01\n" + // an id twice, no vendor
		"b,device,Acme\n" + // cut short
		"c,gadget,Acme,X-3,exact,https://example.com/a,Q,2020-01-01\n" // no such kind, no such grade
	rows, err := Read("local.csv", []byte(data))
	if err == nil || rows != nil {
		t.Fatalf("read %d rows, error %v", len(rows), err)
	}
	for _, want := range []string{"row 2, column end_of_support", "row 3, column id", "row 3, column vendor", "row 4: has 3 cells", "row 5, column kind", "row 5, column confidence"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told:\n%v", want, err)
		}
	}
}
