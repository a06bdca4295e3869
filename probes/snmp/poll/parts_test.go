package poll

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
)

// What devices of several makes say of their parts. The recordings are of the tests' own making.
func TestPartsOfDevices(t *testing.T) {
	sys := func(objectID string) string {
		return "1.3.6.1.2.1.1.2.0|6|" + objectID + "\n1.3.6.1.2.1.1.3.0|67|100\n"
	}
	const keys = "cpu_ratio memory_used_ratio memory_bytes temperature_celsius storage_used_ratio storage_name"
	const linux = `1.3.6.1.2.1.25.3.3.1.2.196608|2|10
1.3.6.1.2.1.25.3.3.1.2.196609|2|30
1.3.6.1.2.1.25.2.3.1.2.1|6|1.3.6.1.2.1.25.2.1.2
1.3.6.1.2.1.25.2.3.1.3.1|4|Physical memory
1.3.6.1.2.1.25.2.3.1.4.1|2|1024
1.3.6.1.2.1.25.2.3.1.5.1|2|1000000
1.3.6.1.2.1.25.2.3.1.6.1|2|900000
1.3.6.1.2.1.25.2.3.1.2.31|6|1.3.6.1.2.1.25.2.1.4
1.3.6.1.2.1.25.2.3.1.3.31|4|/
1.3.6.1.2.1.25.2.3.1.4.31|2|4096
1.3.6.1.2.1.25.2.3.1.5.31|2|-1000
1.3.6.1.2.1.25.2.3.1.6.31|2|2147483147
1.3.6.1.2.1.25.2.3.1.2.36|6|1.3.6.1.2.1.25.2.1.4
1.3.6.1.2.1.25.2.3.1.3.36|4|/snap/core/1
1.3.6.1.2.1.25.2.3.1.4.36|2|4096
1.3.6.1.2.1.25.2.3.1.5.36|2|100
1.3.6.1.2.1.25.2.3.1.6.36|2|100
`
	const ucd = `1.3.6.1.4.1.2021.4.5.0|2|1000000
1.3.6.1.4.1.2021.4.6.0|2|100000
1.3.6.1.4.1.2021.4.14.0|2|100000
1.3.6.1.4.1.2021.4.15.0|2|300000
`
	for _, c := range []struct{ name, lines, want string }{
		{"Linux by HOST-RESOURCES", sys("1.3.6.1.4.1.99") + linux, "0.2 0.9 1.024e+09 - 0.5 /"},
		{"net-snmp counts caches as free", sys("1.3.6.1.4.1.8072.3.2.10") + linux + ucd, "0.2 0.5 1.024e+09 - 0.5 /"},
		{"net-snmp without hrProcessorLoad", sys("1.3.6.1.4.1.8072.3.2.10") + ucd + "1.3.6.1.4.1.2021.11.11.0|2|75\n", "0.25 0.5 1.024e+09 - - -"},
		{"Cisco", sys("1.3.6.1.4.1.9.1.1208") + "1.3.6.1.4.1.9.9.109.1.1.1.1.7.1|66|0\n1.3.6.1.4.1.9.9.48.1.1.1.5.1|66|250\n1.3.6.1.4.1.9.9.48.1.1.1.6.1|66|750\n" +
			"1.3.6.1.4.1.9.9.48.1.1.1.5.11|66|88\n1.3.6.1.4.1.9.9.48.1.1.1.6.11|66|12\n1.3.6.1.4.1.9.9.13.1.3.1.3.1|66|30\n1.3.6.1.4.1.9.9.13.1.3.1.3.2|66|48\n", "0 0.25 - 48 - -"},
		{"old Cisco", sys("1.3.6.1.4.1.9.1.324") + "1.3.6.1.4.1.9.2.1.57.0|2|33\n", "0.33 - - - - -"},
		{"Cisco small business", sys("1.3.6.1.4.1.9.6.1.83.28.1") + "1.3.6.1.4.1.9.6.1.101.1.8.0|2|12\n", "0.12 - - - - -"},
		{"Cisco small business that does not measure", sys("1.3.6.1.4.1.9.6.1.83.28.1") + "1.3.6.1.4.1.9.6.1.101.1.8.0|2|101\n", "- - - - - -"},
		{"MikroTik", sys("1.3.6.1.4.1.14988.1") + "1.3.6.1.2.1.25.3.3.1.2.1|2|7\n1.3.6.1.4.1.14988.1.1.3.10.0|2|345\n", "0.07 - - 34.5 - -"},
		{"Huawei", sys("1.3.6.1.4.1.2011.2.23.339") + "1.3.6.1.4.1.2011.5.25.31.1.1.1.1.5.1|2|0\n1.3.6.1.4.1.2011.5.25.31.1.1.1.1.5.9|2|44\n" +
			"1.3.6.1.4.1.2011.5.25.31.1.1.1.1.7.9|2|61\n1.3.6.1.4.1.2011.5.25.31.1.1.1.1.11.1|2|2147483647\n1.3.6.1.4.1.2011.5.25.31.1.1.1.1.11.9|2|41\n", "0.44 0.61 - 41 - -"},
		{"H3C", sys("1.3.6.1.4.1.25506.11.1.5") + "1.3.6.1.4.1.25506.2.6.1.1.1.1.6.8|2|8\n1.3.6.1.4.1.25506.2.6.1.1.1.1.8.8|2|47\n1.3.6.1.4.1.25506.2.6.1.1.1.1.12.8|2|65535\n", "0.08 0.47 - - - -"},
		{"Fortinet", sys("1.3.6.1.4.1.12356.101.1.641") + "1.3.6.1.4.1.12356.101.4.1.3.0|66|5\n1.3.6.1.4.1.12356.101.4.1.4.0|66|52\n1.3.6.1.4.1.12356.101.4.1.5.0|66|1000000\n", "0.05 0.52 1.024e+09 - - -"},
		{"TP-Link", sys("1.3.6.1.4.1.11863.5.33") + "1.3.6.1.4.1.11863.6.4.1.1.1.1.3.1|2|9\n1.3.6.1.4.1.11863.6.4.1.2.1.1.2.1|2|39\n", "0.09 0.39 - - - -"},
		{"D-Link", sys("1.3.6.1.4.1.171.10.113.1.3") + "1.3.6.1.4.1.171.12.1.1.6.2.0|2|21\n", "0.21 - - - - -"},
		{"Ruijie", sys("1.3.6.1.4.1.4881.1.1.10.1.100") + "1.3.6.1.4.1.4881.1.1.10.2.36.1.1.2.0|66|14\n1.3.6.1.4.1.4881.1.1.10.2.35.1.1.1.3.1|2|66\n", "0.14 0.66 - - - -"},
		{"airOS", sys("1.3.6.1.4.1.10002.1") + "1.3.6.1.4.1.10002.1.1.1.1.1.0|66|62000\n1.3.6.1.4.1.10002.1.1.1.1.2.0|66|30000\n1.3.6.1.4.1.10002.1.1.1.1.3.0|66|1000\n", "- 0.5 6.3488e+07 - - -"},
		{"a sensor in thousandths", sys("1.3.6.1.4.1.99") + "1.3.6.1.2.1.99.1.1.1.1.5|2|8\n1.3.6.1.2.1.99.1.1.1.2.5|2|8\n1.3.6.1.2.1.99.1.1.1.3.5|2|0\n1.3.6.1.2.1.99.1.1.1.4.5|2|28875\n1.3.6.1.2.1.99.1.1.1.5.5|2|1\n", "- - - 28.875 - -"},
		{"a sensor with decimals, and a broken one", sys("1.3.6.1.4.1.99") + "1.3.6.1.2.1.99.1.1.1.1.5|2|8\n1.3.6.1.2.1.99.1.1.1.2.5|2|9\n1.3.6.1.2.1.99.1.1.1.3.5|2|1\n1.3.6.1.2.1.99.1.1.1.4.5|2|-55\n1.3.6.1.2.1.99.1.1.1.5.5|2|1\n" +
			"1.3.6.1.2.1.99.1.1.1.1.6|2|8\n1.3.6.1.2.1.99.1.1.1.2.6|2|9\n1.3.6.1.2.1.99.1.1.1.3.6|2|0\n1.3.6.1.2.1.99.1.1.1.4.6|2|100\n1.3.6.1.2.1.99.1.1.1.5.6|2|3\n", "- - - -5.5 - -"},
		{"an unknown maker", sys("1.3.6.1.4.1.99"), "- - - - - -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			points, _ := poll(t, device(t, c.lines), Options{}, nil, begin)
			want(t, find(t, points, "snmp_device", ""), keys, c.want)
		})
	}
}

func TestUPS(t *testing.T) {
	const keys = "on_battery on_battery_seconds battery_status battery_replace charge_ratio runtime_seconds load_ratio input_volts output_volts battery_celsius alarms"
	const standard = `1.3.6.1.2.1.33.1.2.1.0|2|3
1.3.6.1.2.1.33.1.2.2.0|2|120
1.3.6.1.2.1.33.1.2.3.0|2|4
1.3.6.1.2.1.33.1.2.4.0|2|15
1.3.6.1.2.1.33.1.2.7.0|2|31
1.3.6.1.2.1.33.1.3.3.1.3.1|2|230
1.3.6.1.2.1.33.1.3.3.1.3.2|2|0
1.3.6.1.2.1.33.1.4.1.0|2|5
1.3.6.1.2.1.33.1.4.4.1.2.1|2|229
1.3.6.1.2.1.33.1.4.4.1.5.1|2|40
1.3.6.1.2.1.33.1.4.4.1.5.2|2|60
1.3.6.1.2.1.33.1.6.1.0|66|2
`
	for _, c := range []struct{ name, lines, want string }{
		{"UPS-MIB, the mains are out", standard, "true 120 low - 0.15 240 0.6 0 229 31 2"},
		{"UPS-MIB without an output source", "1.3.6.1.2.1.33.1.2.2.0|2|0\n1.3.6.1.2.1.33.1.2.1.0|2|2\n", "false 0 normal - - - - - - - -"},
		{"APC", `1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.318.1.3.27
1.3.6.1.4.1.318.1.1.1.2.1.1.0|2|2
1.3.6.1.4.1.318.1.1.1.2.1.2.0|67|1500
1.3.6.1.4.1.318.1.1.1.2.2.1.0|66|98
1.3.6.1.4.1.318.1.1.1.2.2.2.0|66|25
1.3.6.1.4.1.318.1.1.1.2.2.3.0|67|180000
1.3.6.1.4.1.318.1.1.1.2.2.4.0|2|2
1.3.6.1.4.1.318.1.1.1.3.2.1.0|66|0
1.3.6.1.4.1.318.1.1.1.4.1.1.0|2|3
1.3.6.1.4.1.318.1.1.1.4.2.1.0|66|230
1.3.6.1.4.1.318.1.1.1.4.2.3.0|66|17
`, "true 15 normal true 0.98 1800 0.17 0 230 25 -"},
		{"APC's old card speaks UPS-MIB only", "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.318.1.3.27\n" + standard, "true 120 low - 0.15 240 0.6 0 229 31 2"},
		{"CyberPower", `1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.3808.1.1.1
1.3.6.1.4.1.3808.1.1.1.2.1.1.0|2|2
1.3.6.1.4.1.3808.1.1.1.2.2.1.0|66|100
1.3.6.1.4.1.3808.1.1.1.2.2.3.0|66|36
1.3.6.1.4.1.3808.1.1.1.2.2.4.0|67|174000
1.3.6.1.4.1.3808.1.1.1.2.2.5.0|2|1
1.3.6.1.4.1.3808.1.1.1.3.2.1.0|66|2195
1.3.6.1.4.1.3808.1.1.1.4.1.1.0|2|2
1.3.6.1.4.1.3808.1.1.1.4.2.1.0|66|2202
1.3.6.1.4.1.3808.1.1.1.4.2.3.0|66|24
`, "false - normal false 1 1740 0.24 219.5 220.2 36 -"},
		{"Eaton", `1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.534.1
1.3.6.1.4.1.534.1.2.1.0|2|26311
1.3.6.1.4.1.534.1.2.4.0|2|100
1.3.6.1.4.1.534.1.3.4.1.2.1|2|238
1.3.6.1.4.1.534.1.4.1.0|2|12
1.3.6.1.4.1.534.1.4.4.1.2.1|2|229
1.3.6.1.4.1.534.1.4.5.0|2|3
1.3.6.1.4.1.534.1.7.1.0|66|0
`, "false - - - 1 26311 0.12 238 229 - 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			points, _ := poll(t, device(t, c.lines), Options{}, nil, begin)
			want(t, find(t, points, "snmp_ups", ""), keys, c.want)
		})
	}
}

func TestPrinter(t *testing.T) {
	const keys = "status trouble pages supply_lowest supply_lowest_ratio alerts"
	const table = `1.3.6.1.2.1.25.3.5.1.1.1|2|3
1.3.6.1.2.1.25.3.5.1.2.1|4x|2840
`
	points, _ := poll(t, device(t, table+`1.3.6.1.2.1.43.10.2.1.4.1.1|65|4321
1.3.6.1.2.1.43.11.1.1.4.1.1|2|3
1.3.6.1.2.1.43.11.1.1.6.1.1|4|Mực đen
1.3.6.1.2.1.43.11.1.1.8.1.1|2|2000
1.3.6.1.2.1.43.11.1.1.9.1.1|2|500
1.3.6.1.2.1.43.11.1.1.4.1.2|2|4
1.3.6.1.2.1.43.11.1.1.6.1.2|4|Waste toner
1.3.6.1.2.1.43.11.1.1.8.1.2|2|100
1.3.6.1.2.1.43.11.1.1.9.1.2|2|90
1.3.6.1.2.1.43.11.1.1.6.1.3|4|Drum
1.3.6.1.2.1.43.11.1.1.8.1.3|2|-2
1.3.6.1.2.1.43.11.1.1.9.1.3|2|-3
1.3.6.1.2.1.43.18.1.1.2.1.1|2|3
1.3.6.1.2.1.43.18.1.1.2.1.2|2|4
`), Options{}, nil, begin)
	want(t, find(t, points, "snmp_printer", ""), keys, "idle low toner, door open, output tray missing 4321 Waste toner 0.1 1")

	points, _ = poll(t, device(t, table), Options{}, nil, begin)
	for _, p := range points {
		if p.Measurement == "snmp_printer" {
			t.Errorf("a PC with a printer installed is a printer: %v", p)
		}
	}
}

const endpointKeys = "h323 sip in_call in_loss_ratio out_loss_ratio jitter_seconds latency_seconds camera microphone display"

func TestPolyEndpoint(t *testing.T) {
	state := func(h323, registration, sip string, lines ...string) string {
		out := "2.7.1.0|2|" + h323 + "\n2.7.2.0|2|" + registration + "\n2.8.1.0|2|" + sip + "\n"
		for i, line := range lines {
			out += fmt.Sprintf("2.8.3.1.1.%d|66|%d\n2.8.3.1.2.%d|2|%s\n", i+1, i+1, i+1, line)
		}
		return out
	}
	for _, c := range []struct{ name, lines, want string }{
		{"registered", state("2", "2", "2", "2"), "registered registered - - - - - - - -"},
		{"not meant to register", state("2", "1", "2", "1"), "disabled disabled - - - - - - - -"},
		{"refused", state("2", "3", "2", "3", "1"), "failed failed - - - - - - - -"},
		{"one line of two", state("2", "2", "2", "3", "2"), "registered registered - - - - - - - -"},
		{"services off", state("1", "2", "1", "2"), "disabled disabled - - - - - - - -"},
		{"services broken", state("3", "2", "3"), "failed failed - - - - - - - -"},
		{"a service that says nothing of registering", state("2", "9", "2"), ""},
		{"parts", "3.5.1.0|2|2\n3.6.1.0|2|3\n", "- - - - - - - failed ok -"},
		{"parts switched off", "3.5.1.0|2|1\n3.6.1.0|2|1\n5.1.0|66|0\n", "- - false - - - - - - -"},
		{"a call", "5.1.0|66|1\n4.1.1.1.1|66|1\n4.1.1.2.1|4|41\n4.1.1.16.1|66|3\n4.1.1.17.1|66|0\n", "- - true 0.03 0 - - - - -"},
		{"two calls, the worse counts", "3.5.1.0|2|2\n4.1.1.2.1|4|41\n4.1.1.2.2|4|42\n4.1.1.16.1|66|1\n4.1.1.16.2|66|12\n4.1.1.17.1|66|101\n", "- - true 0.12 - - - - ok -"},
	} {
		lines := "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.13885.101.1\n"
		for line := range strings.Lines(c.lines) {
			lines += "1.3.6.1.4.1.13885.101.1." + line
		}
		points, _ := poll(t, device(t, lines), Options{}, nil, begin)
		if c.want == "" {
			if slices.ContainsFunc(points, func(p probes.Point) bool { return p.Measurement == "snmp_endpoint" }) {
				t.Errorf("%s: a row of nothing", c.name)
			}
			continue
		}
		if got := fields(find(t, points, "snmp_endpoint", ""), strings.Fields(endpointKeys)...); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, endpointKeys, got, c.want)
		}
	}
}

func TestTelepresenceEndpoint(t *testing.T) {
	peripheral := func(index int, category, status string) string {
		return fmt.Sprintf("643.1.2.1.1.2.%d|4|part\n643.1.2.1.1.3.%d|2|%s\n643.1.2.1.1.4.%d|2|%s\n643.1.2.1.1.5.%d|66|1\n", index, index, status, index, category, index)
	}
	const none, camera, display, microphone = "0", "4", "5", "13"
	call := func(index int, state string, streams ...string) string {
		out := fmt.Sprintf("644.1.4.8.1.11.%d|2|%s\n", index, state)
		for i, s := range streams { // latency, lost out and in, jitter
			v := strings.Fields(s)
			out += fmt.Sprintf("644.1.4.9.1.2.%d.%d|66|%s\n644.1.4.10.1.6.%d.%d.2|66|%s\n644.1.4.10.1.14.%d.%d.2|66|%s\n644.1.4.10.1.22.%d.%d.2|70|%s\n",
				index, i+1, v[0], index, i+1, v[1], index, i+1, v[2], index, i+1, v[3])
		}
		return out
	}
	idle := peripheral(1, none, "0") + "644.1.4.3.0|66|12\n"
	for _, c := range []struct{ name, lines, want string }{
		{"idle", idle, "- - false - - - - - - -"},
		{"parts", peripheral(1, camera, "0") + peripheral(2, camera, "0") + peripheral(3, display, "3") + peripheral(4, microphone, "9"), "- - - - - - - ok unknown failed"},
		{"one camera of three", peripheral(1, camera, "0") + peripheral(2, camera, "7") + peripheral(3, camera, "9"), "- - - - - - - failed - -"},
		{"registered with the second of two", idle + "644.1.2.5.0|66|2\n644.1.2.6.1.4.1|2|6\n644.1.2.6.1.4.2|2|5\n", "- registered false - - - - - - -"},
		{"the one in use refuses", idle + "644.1.2.5.0|66|1\n644.1.2.6.1.4.1|2|6\n644.1.2.6.1.4.2|2|5\n", "- failed false - - - - - - -"},
		{"not registered", idle + "644.1.2.6.1.4.1|2|4\n", "- unregistered false - - - - - - -"},
		{"past calls", idle + call(1, "14", "0 0 0 0") + call(2, "12"), "- - false - - - - - - -"},
		{"a call", idle + call(1, "14", "9 9000000 9000000 9") + call(2, "8", "80 0 500000 12", "75 100000 2000000 4"), "- - true 0.02 0.001 0.012 0.08 - - -"},
		{"on hold", idle + call(7, "13"), "- - true - - - - - - -"},
		{"who knows", idle + call(7, "2"), "- - - - - - - - - -"},
		{"lies", idle + call(2, "8", "4294967295 100000001 4294967295 18446744073709551615"), "- - true - - - - - - -"},
	} {
		lines := "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.1755\n"
		for line := range strings.Lines(c.lines) {
			lines += "1.3.6.1.4.1.9.9." + line
		}
		points, _ := poll(t, device(t, lines), Options{}, nil, begin)
		got := strings.TrimSpace(strings.Repeat("- ", 10))
		if i := slices.IndexFunc(points, func(p probes.Point) bool { return p.Measurement == "snmp_endpoint" }); i >= 0 {
			got = fields(points[i], strings.Fields(endpointKeys)...)
		}
		if got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.name, endpointKeys, got, c.want)
		}
	}
}

// A call that begins after a poll without one is seen at the next.
func TestACallIsSeenWhenItBegins(t *testing.T) {
	for name, lines := range map[string][2]string{
		"Poly":  {"1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.13885.101.1\n1.3.6.1.4.1.13885.101.1.5.1.0|66|0\n", "1.3.6.1.4.1.13885.101.1.4.1.1.2.1|4|41\n"},
		"Cisco": {"1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.1755\n1.3.6.1.4.1.9.9.643.1.2.1.1.3.1|2|0\n1.3.6.1.4.1.9.9.644.1.4.3.0|66|0\n", "1.3.6.1.4.1.9.9.644.1.4.8.1.11.1|2|8\n"},
	} {
		points, state := poll(t, device(t, lines[0]), Options{}, nil, begin)
		want(t, find(t, points, "snmp_endpoint", ""), "in_call", "false")
		points, state = poll(t, device(t, lines[0], lines[1]), Options{}, state, begin.Add(time.Minute))
		want(t, find(t, points, "snmp_endpoint", ""), "in_call", "true")
		points, _ = poll(t, device(t, lines[0]), Options{}, state, begin.Add(2*time.Minute))
		want(t, find(t, points, "snmp_endpoint", ""), "in_call", "false")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestNeighbours(t *testing.T) {
	lines := port{index: 49, name: "Gi1/0/1", oper: 1}.String() + `1.0.8802.1.1.2.1.3.7.1.2.1|2|5
1.0.8802.1.1.2.1.3.7.1.3.1|4|Gi1/0/1
1.0.8802.1.1.2.1.3.7.1.3.2|4|2
1.0.8802.1.1.2.1.3.7.1.4.2|4|Gi1/0/1
1.0.8802.1.1.2.1.4.1.1.4.0.1.1|2|4
1.0.8802.1.1.2.1.4.1.1.5.0.1.1|4x|00114466aabb
1.0.8802.1.1.2.1.4.1.1.6.0.1.1|2|5
1.0.8802.1.1.2.1.4.1.1.7.0.1.1|4|ether1
1.0.8802.1.1.2.1.4.1.1.9.0.1.1|4|router xã
1.0.8802.1.1.2.1.4.1.1.4.77.2.3|2|5
1.0.8802.1.1.2.1.4.1.1.5.77.2.3|4x|010a000001
1.0.8802.1.1.2.1.4.1.1.7.9.8|4|an index too short
`
	points, _ := poll(t, device(t, system, lines), Options{}, nil, begin)
	const keys = "chassis_id port_id sys_name"
	var got []string
	tags := map[string]bool{}
	for _, p := range points {
		if p.Measurement == "snmp_neighbour" {
			got = append(got, p.Tags.Get("interface")+" "+fields(p, "chassis_id", "port_id", "sys_name"))
			tags[p.Tags.Get("neighbour")] = true
		}
	}
	if len(got) != 2 || got[0] != "gi1-0-1 00:11:44:66:aa:bb ether1 router xã" || got[1] != "gi1-0-1 10.0.0.1 - -" || len(tags) != 2 {
		t.Errorf("%s: %q, tags %v", keys, got, tags)
	}
}
