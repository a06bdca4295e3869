package snmp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/snmp/ask"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func good() Options {
	o := DefaultOptions()
	o.Community = "thongtin"
	return o
}

func problems(o Options, address string) []string {
	var out []string
	o.Validate(probes.Target{Address: address}, func(at, format string, args ...any) {
		out = append(out, at+": "+fmt.Sprintf(format, args...))
	})
	return out
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	v3 := func(o *Options) { o.Community, o.V3.Name = "", "xem" }
	for _, c := range []struct {
		change  func(o *Options)
		address string
		want    string // "" is right
	}{
		{func(*Options) {}, "10.0.0.1", ""},
		{func(*Options) {}, "10.0.0.1:1161", ""},
		{func(*Options) {}, "2001:db8::1", ""},
		{func(*Options) {}, "[2001:db8::1]:161", ""},
		{func(*Options) {}, "switch.xa.example", ""},
		{func(o *Options) { o.Community, o.CommunityFile = "", file("community", "thongtin\n") }, "10.0.0.1", ""},
		{v3, "10.0.0.1", ""},
		{func(o *Options) { v3(o); o.V3.AuthKey, o.V3.PrivKey = "12345678", "12345678" }, "10.0.0.1", ""},

		{func(*Options) {}, "", "address: "},
		{func(*Options) {}, "10.0.0.1:0", "address: "},
		{func(*Options) {}, "10.0.0.1:snmp", "address: "},
		{func(*Options) {}, "10.0.0.0/24", "address: "},
		{func(o *Options) { o.Version = "2" }, "10.0.0.1", `version: "2" is not one of`},
		{func(o *Options) { o.Community = "" }, "10.0.0.1", "community: is missing"},
		{func(o *Options) { o.CommunityFile = file("c2", "x") }, "10.0.0.1", "not both"},
		{func(o *Options) { o.Community, o.CommunityFile = "", filepath.Join(dir, "no") }, "10.0.0.1", "community_file: "},
		{func(o *Options) { o.Community, o.CommunityFile = "", file("empty", "\n") }, "10.0.0.1", "is empty"},
		{func(o *Options) { o.Community, o.CommunityFile = "", file("long", strings.Repeat("x", 5000)) }, "10.0.0.1", "more than"},
		{func(o *Options) { o.Community, o.Version = "", "3" }, "10.0.0.1", "v3.user: "},
		{func(o *Options) { o.V3.Name = "xem" }, "10.0.0.1", "not communities"},
		{func(o *Options) { v3(o); o.V3.Auth = "sha" }, "10.0.0.1", "v3.auth: "},
		{func(o *Options) { v3(o); o.V3.Priv = "3des" }, "10.0.0.1", "v3.priv: "},
		{func(o *Options) { v3(o); o.V3.AuthKey = "short" }, "10.0.0.1", "at least 8"},
		{func(o *Options) { v3(o); o.V3.PrivKey = "12345678" }, "10.0.0.1", "v3.auth_key: is missing"},
		{func(o *Options) { o.Timeout = 0 }, "10.0.0.1", "timeout: "},
		{func(o *Options) { o.Retries = -1 }, "10.0.0.1", "retries: "},
		{func(o *Options) { o.Deadline = time.Hour }, "10.0.0.1", "deadline: "},
		{func(o *Options) { o.Deadline = 3 * time.Second }, "10.0.0.1", "deadline: is shorter than the 4s"},
		{func(o *Options) { o.MaxRows = 0 }, "10.0.0.1", "max_rows: "},
		{func(o *Options) { o.IdentifyEvery = time.Second }, "10.0.0.1", "identify_every: "},
		{func(o *Options) { o.Interfaces.Only = []string{"gi*", "["} }, "10.0.0.1", "interfaces.only[1]: "},
		{func(o *Options) { o.Profiles = filepath.Join(dir, "none") }, "10.0.0.1", "profiles: "},
		{func(o *Options) { o.Profiles = file("a-file", "") }, "10.0.0.1", "is not a folder"},
	} {
		o := good()
		c.change(&o)
		got := problems(o, c.address)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%q: %q, want %q", c.address, got, c.want)
		}
		if text := fmt.Sprint(got); strings.Contains(text, "thongtin") || strings.Contains(text, "12345678") {
			t.Errorf("a secret is told: %s", text)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	o := good()
	o.V3.AuthKey, o.V3.PrivKey = "mat khau 1", "mat khau 2"
	encoded, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("options", "options", o, "community", o.Community)
	for _, shown := range []string{fmt.Sprint(o), fmt.Sprintf("%+v", o), fmt.Sprintf("%#v", o), fmt.Sprintf("%s %q", o.Community, o.V3.AuthKey), string(encoded), log.String()} {
		if strings.Contains(shown, "thongtin") || strings.Contains(shown, "mat khau") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestDeviceTag(t *testing.T) {
	facts := func(kv ...string) (out []probes.Fact) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, probes.Fact{Name: probes.FactName(kv[i]), Value: kv[i+1]})
		}
		return out
	}
	cisco := facts("vendor", "Cisco", "serial", "FOC1234X0AB", "mac", "00:11:22:33:44:55", "address", "10.0.0.1")
	tag := DeviceTag(cisco)
	if err := probes.CheckName(tag); err != nil || len(tag) != 9 {
		t.Errorf("tag %q: %v", tag, err)
	}
	for _, same := range [][]probes.Fact{
		facts("vendor", "cisco", "serial", " FOC1234X0AB ", "address", "10.9.9.9"),
		facts("serial", "foc1234x0ab", "vendor", "CISCO"),
	} {
		if got := DeviceTag(same); got != tag {
			t.Errorf("%v is %s, want %s", same, got, tag)
		}
	}
	seen := map[string]string{tag: "cisco"}
	for _, other := range [][]probes.Fact{
		facts("vendor", "HP", "serial", "FOC1234X0AB"),
		facts("vendor", "Cisco", "serial", "FOC1234X0AC"),
		facts("vendor", "Cisco", "serial", "0123456789", "mac", "00:11:22:33:44:55"), // what is no serial number tells nothing apart
		facts("vendor", "Cisco", "serial", "None", "mac", "00:11:22:33:44:56"),
		facts("serial", "0000000000", "engine_id", "80001f8804", "address", "10.0.0.1"),
		facts("chassis_id", "00:11:22:33:44:55"),
		facts("mac", "00:00:00:00:00:00", "address", "10.0.0.1"),
		facts("serial", "To be filled by O.E.M.", "address", "10.0.0.2"),
		nil,
	} {
		got := DeviceTag(other)
		if was, taken := seen[got]; taken {
			t.Errorf("%v and %v have the tag %s", was, other, got)
		}
		seen[got] = fmt.Sprint(other)
	}
}

func TestAKnownDeviceStaysWhenAnAnswerLacksItsSerialNumber(t *testing.T) {
	serial := probes.Fact{Name: probes.FactSerial, Value: "FOC1234X0AB"}
	mac := probes.Fact{Name: probes.FactMAC, Value: "00:11:22:33:44:55"}
	var e equipment
	e.tag, e.best = e.device([]probes.Fact{serial, mac})
	if tag, _ := e.device([]probes.Fact{mac}); tag != e.tag {
		t.Error("it became another device")
	}
	serial.Value = "FOC1234X0AC"
	if tag, _ := e.device([]probes.Fact{serial, mac}); tag == e.tag {
		t.Error("a device that was exchanged is the old one")
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.1": "10.0.0.1:161", "10.0.0.1:1161": "10.0.0.1:1161", "::1": "[::1]:161", "[::1]:99": "[::1]:99", "sw": "sw:161", "a:b": "", ":161": "", "": ""} {
		if got, err := Address(in); got != want || (err == nil) != (want != "") {
			t.Errorf("Address(%q) = %q, %v", in, got, err)
		}
	}
}

func TestInterfacesWanted(t *testing.T) {
	if (Interfaces{}).wanted() != nil {
		t.Error("no filter filters")
	}
	w := Interfaces{Only: []string{"gi*", "te1"}, Except: []string{"gi*.100"}}.wanted()
	for tag, want := range map[string]bool{"gi1": true, "te1": true, "te10": false, "gi1.100": false, "gi1.10": true} {
		if w(tag) != want {
			t.Errorf("%s: %v", tag, !want)
		}
	}
	if w := (Interfaces{Except: []string{"vlan*"}}).wanted(); w("vlan1") || !w("gi1") {
		t.Error("except alone")
	}
}

// counter is an Identifier that counts, and may fail.
type counter struct {
	asked int
	facts []probes.Fact
	err   error
}

func (c *counter) Identify(context.Context, ask.Device) ([]probes.Fact, error) {
	c.asked++
	return slices.Clone(c.facts), c.err
}

func TestProbe(t *testing.T) {
	dev := startDevice(t)
	o := good()
	o.Timeout = time.Second
	made, err := New(probes.Target{Address: dev.address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	p := made.(*probe)
	id := &counter{facts: []probes.Fact{{Name: probes.FactVendor, Value: "Cisco", Source: "x", Confidence: 1}, {Name: probes.FactSerial, Value: "FOC1234X0AB", Source: "y", Confidence: 1}}}
	p.identifier = id
	run := func() (device probes.Point, equipment []string) {
		t.Helper()
		points, err := p.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range points {
			switch x.Measurement {
			case "snmp_device":
				device = x
			case "equipment":
				v, _ := x.Field("value")
				equipment = append(equipment, x.Tags.Get("fact")+"="+v.Str)
			}
		}
		return device, equipment
	}
	device, rows := run()
	version, _ := device.Field("snmp_version")
	requests, _ := device.Field("requests")
	host, _, _ := net.SplitHostPort(dev.address)
	if version.Str != "2c" || requests.Num < 5 || !slices.Equal(rows, []string{"vendor=Cisco", "serial=FOC1234X0AB", "address=" + host, "protocols=snmpv2c snmpv3"}) {
		t.Errorf("first run: %v, %v", device, rows)
	}
	if _, rows := run(); len(rows) != 0 || id.asked != 1 {
		t.Errorf("second run: %v, asked %d times", rows, id.asked)
	}
	dev.set("1.3.6.1.2.1.1.1.0|4|a newer firmware")
	if _, rows := run(); len(rows) != 0 || id.asked != 2 {
		t.Errorf("another description, the same facts: %v, asked %d times", rows, id.asked)
	}
	id.facts[0].Value = "HP"
	dev.set("1.3.6.1.2.1.1.1.0|4|a still newer firmware")
	if _, rows := run(); len(rows) != 4 {
		t.Errorf("other facts: %v", rows)
	}
	p.known.at = p.known.at.Add(-o.IdentifyEvery)
	if _, rows := run(); len(rows) != 4 {
		t.Errorf("after hours: %v", rows)
	}
	id.err = context.DeadlineExceeded
	p.known.at = p.known.at.Add(-o.IdentifyEvery)
	before := id.asked
	if _, rows := run(); len(rows) != 0 {
		t.Errorf("identification failed: %v", rows)
	}
	if _, rows := run(); len(rows) != 0 || id.asked != before+1 {
		t.Errorf("asked again at once after a failure")
	}
}

func TestADeviceWithoutVersionThreeIsToldAsSuch(t *testing.T) {
	dev := startDevice(t)
	dev.old = true
	o := good()
	o.Timeout = 50 * time.Millisecond
	p, err := New(probes.Target{Address: dev.address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range points {
		if x.Tags.Get("fact") == string(probes.FactProtocols) {
			value, _ := x.Field("value")
			source, _ := x.Field("source")
			if value.Str != "no_snmpv3 snmpv2c" || source.Str != "snmp discovery" {
				t.Errorf("%v", x)
			}
			return
		}
	}
	t.Errorf("no protocols in %v", points)
}

func TestProbeOfASilentAndOfAnAbsentDevice(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	o := good()
	o.Timeout, o.Retries = 100*time.Millisecond, 0
	for address, want := range map[string]probes.Outcome{silent.LocalAddr().String(): probes.OutcomeTimeout, gone.LocalAddr().String(): probes.OutcomeRefused} {
		p, err := New(probes.Target{Address: address}, bind.Binding{}, o)
		if err != nil {
			t.Fatal(err)
		}
		points, err := p.Probe(t.Context())
		if probes.OutcomeOf(err) != want || len(points) != 0 || strings.Contains(err.Error(), "thongtin") {
			t.Errorf("%v, %v, want %v", points, err, want)
		}
	}
	o.Community, o.CommunityFile = "", filepath.Join(t.TempDir(), "gone")
	p, err := New(probes.Target{Address: "127.0.0.1:1"}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Probe(t.Context()); probes.OutcomeOf(err) != probes.OutcomeBadConfig {
		t.Errorf("without its file: %v", err)
	}
}

// A device that is slow is not a device that is down: what it said within the deadline counts.
func TestADeadlineIsNoOutage(t *testing.T) {
	dev := startDevice(t)
	dev.stall("1.3.6.1.2.1.25") // from here on silent
	o := good()
	o.Timeout, o.Deadline = 5*time.Second, 2*time.Second
	p, err := New(probes.Target{Address: dev.address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(t.Context())
	if err != nil || len(points) == 0 {
		t.Fatalf("%v, %v", points, err)
	}
	partial, _ := points[0].Field("partial_tables")
	if !strings.Contains(partial.Str, "hrStorageTable") || strings.Contains(partial.Str, "ifTable") {
		t.Errorf("partial: %q", partial.Str)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := p.Probe(ctx); probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("cut off by the runner: %v", err)
	}
}
