package snmp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"
	"go.uber.org/goleak"

	"communewatch/deploy/lab/gear/snmp/ber"
)

// sample is a small switch with two ports, and something of every type.
const sample = `# a comment
#! device serial=FOC1531X2AB vary=4 mac=001de5a1b200
#! expect vendor=Cisco model=WS-C2960-24TT-L class=switch
#! ports first=10001 count=2 name=FastEthernet0/%d speed=100 up=1
1.3.6.1.2.1.1.1.0|4|Cisco IOS Software, SN FOC1531X2AB, MAC 00:1d:e5:a1:b2:00
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.716
1.3.6.1.2.1.1.3.0|67|8640000
1.3.6.1.2.1.1.4.0|4x|0061ff
1.3.6.1.2.1.1.5.0|4|sw
1.3.6.1.2.1.1.7.0|2|-6
1.3.6.1.2.1.4.20.1.1.10.0.0.1|64|10.0.0.1
1.3.6.1.2.1.25.3.3.1.2.1|2|40
1.3.6.1.4.1.99999.1.0|70|18446744073709551615
1.3.6.1.4.1.99999.2.4294967295|66|4294967295
`

func table(t testing.TB, text string) *Table {
	t.Helper()
	tab, err := ParseTable("sample", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// serve lets a device answer on loopback.
func serve(t testing.TB, text string, own Own) (*Responder, *gosnmp.GoSNMP) {
	t.Helper()
	r, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), NewDevice(table(t, text), own, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, dial(t, r, gosnmp.Version2c)
}

func dial(t testing.TB, r *Responder, version gosnmp.SnmpVersion) *gosnmp.GoSNMP {
	t.Helper()
	c := &gosnmp.GoSNMP{Target: "127.0.0.1", Port: r.Addr().Port(), Community: "public", Version: version, Timeout: 150 * time.Millisecond, MaxOids: 60, MaxRepetitions: 20}
	if err := c.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Conn.Close() })
	return c
}

func TestEveryTypeComesThrough(t *testing.T) {
	_, c := serve(t, sample, Own{Serial: "-"})
	p, err := c.Get([]string{"1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.4.0", "1.3.6.1.2.1.1.7.0",
		"1.3.6.1.2.1.4.20.1.1.10.0.0.1", "1.3.6.1.4.1.99999.2.4294967295"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		kind gosnmp.Asn1BER
		text string
	}{
		{gosnmp.OctetString, "Cisco IOS Software, SN FOC1531X2AB, MAC 00:1d:e5:00:01:00"}, // the MAC is the device's own
		{gosnmp.ObjectIdentifier, ".1.3.6.1.4.1.9.1.716"},
		{gosnmp.OctetString, "\x00a\xff"},
		{gosnmp.Integer, "-6"},
		{gosnmp.IPAddress, "10.0.0.1"},
		{gosnmp.Gauge32, "4294967295"},
	} {
		got := p.Variables[i]
		text := fmt.Sprint(got.Value)
		if b, ok := got.Value.([]byte); ok {
			text = string(b)
		}
		if got.Type != want.kind || text != want.text {
			t.Errorf("%s: %v %q, want %v %q", got.Name, got.Type, text, want.kind, want.text)
		}
	}
}

func TestWalksMeetEveryVariableInOrder(t *testing.T) {
	r, c := serve(t, sample, Own{})
	n := r.Device().Table().Len()
	var bulk, single []string
	if err := c.BulkWalk("1.3", func(p gosnmp.SnmpPDU) error { bulk = append(bulk, p.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := c.Walk("1.3", func(p gosnmp.SnmpPDU) error { single = append(single, p.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(bulk) != n || !slices.Equal(bulk, single) {
		t.Errorf("the table has %d variables, bulk met %d, one by one %d", n, len(bulk), len(single))
	}
	var v1 int
	if err := dial(t, r, gosnmp.Version1).Walk("1.3", func(p gosnmp.SnmpPDU) error {
		if p.Type == gosnmp.Counter64 {
			t.Errorf("%s: version 1 has no such type", p.Name)
		}
		v1++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if v1 >= n || v1 < n-20 {
		t.Errorf("version 1 met %d of %d", v1, n)
	}
}

func TestWhatIsMissing(t *testing.T) {
	r, c := serve(t, sample, Own{})
	p, err := c.Get([]string{"1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.99.1.0", "1.3.6.1.2.1.2.2.1.2.999"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Error != gosnmp.NoError || p.Variables[0].Type != gosnmp.OctetString || p.Variables[1].Type != gosnmp.NoSuchObject || p.Variables[2].Type != gosnmp.NoSuchInstance {
		t.Errorf("2c: %+v", p)
	}
	if p, err = c.GetNext([]string{"1.3.6.1.4.1.99999.3"}); err != nil || p.Variables[0].Type != gosnmp.EndOfMibView {
		t.Errorf("behind the last: %v, %+v", err, p)
	}
	v1 := dial(t, r, gosnmp.Version1)
	for _, tc := range []struct {
		oids  []string
		index uint8
	}{
		{[]string{"1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.99.1.0"}, 2},
		{[]string{"1.3.6.1.4.1.99999.1.0"}, 1}, // a Counter64
	} {
		p, err := v1.Get(tc.oids)
		if err != nil || p.Error != gosnmp.NoSuchName || p.ErrorIndex != tc.index {
			t.Errorf("version 1, %v: %v, %+v", tc.oids, err, p)
		}
	}
	if p, err := v1.GetNext([]string{"1.3.6.1.4.1.99999.3"}); err != nil || p.Error != gosnmp.NoSuchName {
		t.Errorf("version 1, behind the last: %v, %+v", err, p)
	}
	if p, err := c.Set([]gosnmp.SnmpPDU{{Name: "1.3.6.1.2.1.1.5.0", Type: gosnmp.OctetString, Value: "mine"}}); err != nil || p.Error != gosnmp.NotWritable {
		t.Errorf("set: %v, %+v", err, p)
	}
}

func TestAnswersKeepToTheirSize(t *testing.T) {
	long := "1.3.6.1.2.1.1.1.0|4|" + strings.Repeat("x", 300) + "\n1.3.6.1.2.1.1.5.0|4|" + strings.Repeat("y", 300) + "\n"
	_, c := serve(t, long, Own{Quirk: Quirk{MaxSize: 484}})
	if p, err := c.Get([]string{"1.3.6.1.2.1.1.1.0"}); err != nil || p.Error != gosnmp.NoError {
		t.Errorf("one fits: %v, %+v", err, p)
	}
	if p, err := c.Get([]string{"1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.5.0"}); err != nil || p.Error != gosnmp.TooBig {
		t.Errorf("two are too big: %v, %+v", err, p)
	}
	if p, err := c.GetBulk([]string{"1.3"}, 0, 20); err != nil || p.Error != gosnmp.NoError || len(p.Variables) != 1 {
		t.Errorf("bulk is cut: %v, %+v", err, p)
	}
}

func TestQuirks(t *testing.T) {
	defer goleak.VerifyNone(t)
	r, c := serve(t, sample, Own{})
	defer r.Close()
	defer c.Conn.Close()
	get := func() error {
		_, err := c.Get([]string{"1.3.6.1.2.1.1.5.0"})
		return err
	}
	d := r.Device()
	if err := get(); err != nil {
		t.Fatal(err)
	}
	for _, q := range []Quirk{{Lie: Silence}, {V1Only: true}, {Delay: 400 * time.Millisecond}, {Lie: Garbage}} {
		d.SetQuirk(q)
		if get() == nil {
			t.Errorf("%+v was answered in time", q)
		}
	}
	d.SetQuirk(Quirk{V1Only: true})
	if _, err := dial(t, r, gosnmp.Version1).Get([]string{"1.3.6.1.2.1.1.5.0"}); err != nil {
		t.Errorf("version 1: %v", err)
	}
	d.SetQuirk(Quirk{BulkOver: 10})
	if _, err := c.GetBulk([]string{"1.3"}, 0, 10); err != nil {
		t.Errorf("ten at once: %v", err)
	}
	if _, err := c.GetBulk([]string{"1.3"}, 0, 11); err == nil {
		t.Error("eleven at once were answered")
	}
	d.SetQuirk(Quirk{Delay: 30 * time.Millisecond})
	begin := time.Now()
	if err := get(); err != nil || time.Since(begin) < 30*time.Millisecond {
		t.Errorf("slow: %v after %v", err, time.Since(begin))
	}
	stop := errors.New("enough")
	d.SetQuirk(Quirk{Lie: Endless})
	n := 0
	if err := c.BulkWalk("1.3.6.1.2.1.2.2.1.2", func(p gosnmp.SnmpPDU) error {
		if n++; n > 500 {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) {
		t.Errorf("the endless table ended after %d: %v", n, err)
	}
	d.SetQuirk(Quirk{Lie: Disorder})
	if err := c.BulkWalk("1.3", func(gosnmp.SnmpPDU) error { return nil }); err == nil {
		t.Error("a walk through disorder found nothing odd")
	}
	d.SetQuirk(Quirk{Lie: Types})
	p, err := c.GetNext([]string{"1.3.6.1.2.1.1.1", "1.3.6.1.2.1.1.3"})
	if err != nil || p.Variables[0].Type != gosnmp.Integer || p.Variables[1].Type == gosnmp.TimeTicks && p.Variables[0].Type == gosnmp.OctetString {
		t.Errorf("types: %v, %+v", err, p)
	}
	d.Reset()
	c.Community = "secret"
	if get() == nil {
		t.Error("another community was answered")
	}
}

func TestDevicesOfOneModelDiffer(t *testing.T) {
	tab := table(t, sample)
	serials, macs := map[string]bool{}, map[[6]byte]bool{}
	const n = 2000
	for i := range n {
		d := NewDevice(tab, Own{Number: i}, time.Now())
		if len(d.Serial()) != len(tab.Serial) || !strings.HasPrefix(d.Serial(), "FOC1531") {
			t.Fatalf("serial %q", d.Serial())
		}
		serials[d.Serial()], macs[d.MAC()] = true, true
	}
	if len(serials) != n || len(macs) != n {
		t.Errorf("%d serials and %d addresses of %d devices", len(serials), len(macs), n)
	}
	_, c := serve(t, sample, Own{Number: 7, Name: "sw-7"})
	own := NewDevice(tab, Own{Number: 7}, time.Now())
	p, err := c.Get([]string{"1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.2.2.1.6.10002"})
	if err != nil {
		t.Fatal(err)
	}
	mac := own.MAC()
	if text := string(p.Variables[0].Value.([]byte)); !strings.Contains(text, own.Serial()) || !strings.Contains(text, fmt.Sprintf("00:1d:e5:%02x:%02x:00", mac[3], mac[4])) {
		t.Errorf("descr %q lacks %s or %x", text, own.Serial(), mac)
	}
	if name := string(p.Variables[1].Value.([]byte)); name != "sw-7" {
		t.Errorf("name %q", name)
	}
	if port := p.Variables[2].Value.([]byte); !bytes.Equal(port[:5], mac[:5]) || port[5] != 1 {
		t.Errorf("port address %x beside %x", port, mac)
	}
}

func TestWhatMoves(t *testing.T) {
	text := sample + "1.3.6.1.2.1.31.1.1.1.6.10001|70|90000000000000\n1.3.6.1.2.1.2.2.1.10.10001|65|123\n"
	tab := table(t, text)
	begin := time.Unix(1_800_000_000, 0)
	d := NewDevice(tab, Own{Number: 3}, begin)
	number := func(oid string, at time.Duration) uint64 {
		t.Helper()
		arcs, err := parseArcs(oid)
		if err != nil {
			t.Fatal(err)
		}
		i, ok := tab.find(ber.MakeKey(arcs))
		if !ok {
			t.Fatalf("no %s", oid)
		}
		_, c, _, err := ber.Next(d.appendValue(nil, i, begin.Add(at), Truth))
		if err != nil {
			t.Fatal(err)
		}
		var v uint64
		for _, x := range c {
			v = v<<8 | uint64(x)
		}
		return v
	}
	up := number("1.3.6.1.2.1.1.3.0", 0)
	if got := number("1.3.6.1.2.1.1.3.0", time.Minute); got-up != 6000 {
		t.Errorf("a minute is %d hundredths", got-up)
	}
	last := number("1.3.6.1.2.1.31.1.1.1.6.10001", 0)
	for s := range 3600 {
		now := number("1.3.6.1.2.1.31.1.1.1.6.10001", time.Duration(s+1)*time.Second)
		if now <= last {
			t.Fatalf("after %d s the counter went from %d to %d", s, last, now)
		}
		last = now
	}
	if narrow := number("1.3.6.1.2.1.2.2.1.10.10001", time.Hour); narrow != last&max32 {
		t.Errorf("the narrow counter says %d, the wide one %d", narrow, last&max32)
	}
	if load := number("1.3.6.1.2.1.25.3.3.1.2.1", time.Hour); load < 20 || load > 60 {
		t.Errorf("load %d", load)
	}
	d.Reboot(begin.Add(time.Hour))
	if got := number("1.3.6.1.2.1.1.3.0", time.Hour+10*time.Second); got != 1000 {
		t.Errorf("ten seconds after a reboot: %d hundredths", got)
	}
	if got := number("1.3.6.1.2.1.31.1.1.1.6.10001", time.Hour+10*time.Second); got >= last {
		t.Errorf("the counter went on over a reboot: %d, %d before", got, last)
	}
}

func TestBadRecordingsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"1.3.6|4":                                  "r:1: ",
		"\n1.3.x|4|a":                              "r:2: ",
		"1.3.6.1|4x|zz":                            "hexadecimal",
		"1.3.6.1|2|99999999999":                    "32-bit",
		"1.3.6.1|65|-1":                            "unsigned",
		"1.3.6.1|99|1":                             "tag 99",
		"1.3.6.1|6|9.9":                            "OID",
		"1.3.6.1|64|1.2.3":                         "address",
		"#! ports count=x":                         "not a number",
		"#! ports cuont=1":                         "cuont",
		"#! ports count=99999":                     "no port",
		"#! dance a=1":                             "dance",
		"#! device mac=12":                         "12 hexadecimal digits",
		"#! device serial=AB vary=3":               "2 characters",
		"#! expect model=\"x":                      "quotation",
		"1.3.6.1|4|" + strings.Repeat("x", 70_000): "datagram",
	} {
		if _, err := ParseTable("r", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRequest(f *testing.F) {
	tab := table(f, sample)
	for _, kind := range []gosnmp.PDUType{gosnmp.GetRequest, gosnmp.GetNextRequest, gosnmp.GetBulkRequest} {
		p := &gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: kind, MaxRepetitions: 5,
			Variables: []gosnmp.SnmpPDU{{Name: "1.3.6.1.2.1.1.1.0", Type: gosnmp.Null}, {Name: "1.3.6.1.2.1.2", Type: gosnmp.Null}}}
		b, err := p.MarshalMsg()
		if err != nil {
			f.Fatal(err)
		}
		for lie := range len(Lies()) + 1 {
			f.Add(b, uint8(lie))
		}
	}
	// A discovery of version 3, as it is sent before anything is known.
	f.Add([]byte("\x30\x3e\x02\x01\x03\x30\x11\x02\x04\x1b\x5a\x2c\x10\x02\x03\x00\xff\xe3\x04\x01\x04\x02\x01\x03\x04\x10\x30\x0e\x04\x00\x02\x01\x00\x02\x01\x00\x04\x00\x04\x00\x04\x00\x30\x14\x04\x00\x04\x00\xa0\x0e\x02\x04\x1b\x5a\x2c\x11\x02\x01\x00\x02\x01\x00\x30\x00"), uint8(0))
	user := NewUser("monitor", "authentic-pass", "private-pass")
	lies := append([]Lie{Truth}, Lies()...)
	now := time.Now()
	f.Fuzz(func(t *testing.T, b []byte, lie uint8) {
		d := NewDevice(tab, Own{User: user, Quirk: Quirk{Lie: lies[int(lie)%len(lies)]}}, now)
		answer, _ := d.answerTo(b, now)
		if len(answer) > DefaultSize+len(b) {
			t.Fatalf("an answer of %d bytes", len(answer))
		}
		if answer == nil || d.own.Quirk.Lie == Garbage {
			return
		}
		if _, _, rest, err := ber.Next(answer); err != nil || len(rest) > 0 {
			t.Fatalf("answer %x is not one message", answer)
		}
	})
}

func FuzzRecording(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, text []byte) {
		tab, err := ParseTable("f", text)
		if err != nil {
			return
		}
		if !slices.IsSorted(tab.keys) {
			t.Fatal("out of order")
		}
		d := NewDevice(tab, Own{Number: 5, Name: "x"}, time.Now())
		for i := range tab.keys {
			if _, _, rest, err := ber.Next(d.appendValue(nil, i, time.Now(), Truth)); err != nil || len(rest) > 0 {
				t.Fatalf("variable %d is not one value", i)
			}
		}
	})
}

func BenchmarkBulk(b *testing.B) {
	d := NewDevice(table(b, strings.Replace(sample, "count=2", "count=48", 1)), Own{}, time.Now())
	p := &gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: "public", PDUType: gosnmp.GetBulkRequest, MaxRepetitions: 25,
		Variables: []gosnmp.SnmpPDU{{Name: "1.3.6.1.2.1.2.2.1.10", Type: gosnmp.Null}}}
	req, err := p.MarshalMsg()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if a, _ := d.answerTo(req, now); len(a) == 0 {
			b.Fatal("silence")
		}
	}
}

func TestUsersOfVersion3(t *testing.T) {
	user := NewUser("monitor", "authentic-pass", "private-pass")
	r, v2 := serve(t, sample, Own{Serial: "-", User: user, OnlyV3: true})
	if _, err := v2.Get([]string{"1.3.6.1.2.1.1.5.0"}); err == nil {
		t.Error("version 2c was answered")
	}
	client := func(name, auth, priv string, flags gosnmp.SnmpV3MsgFlags) *gosnmp.GoSNMP {
		usm := &gosnmp.UsmSecurityParameters{UserName: name, AuthenticationProtocol: gosnmp.SHA256, AuthenticationPassphrase: auth}
		if priv != "" {
			usm.PrivacyProtocol, usm.PrivacyPassphrase = gosnmp.AES, priv
		}
		c := &gosnmp.GoSNMP{Target: "127.0.0.1", Port: r.Addr().Port(), Version: gosnmp.Version3, Timeout: 150 * time.Millisecond, MaxOids: 60, MaxRepetitions: 20,
			SecurityModel: gosnmp.UserSecurityModel, MsgFlags: flags, SecurityParameters: usm}
		if err := c.Connect(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Conn.Close() })
		return c
	}
	c := client("monitor", "authentic-pass", "private-pass", gosnmp.AuthPriv)
	n := 0
	if err := c.BulkWalk("1.3", func(gosnmp.SnmpPDU) error { n++; return nil }); err != nil || n != r.Device().Table().Len() {
		t.Errorf("a walk met %d of %d variables: %v", n, r.Device().Table().Len(), err)
	}
	for _, other := range []*gosnmp.GoSNMP{
		client("nobody", "authentic-pass", "private-pass", gosnmp.AuthPriv),
		client("monitor", "wrong-passphrase", "private-pass", gosnmp.AuthPriv),
		client("monitor", "authentic-pass", "", gosnmp.AuthNoPriv),
		client("monitor", "authentic-pass", "wrong-passphrase", gosnmp.AuthPriv),
	} {
		if _, err := other.Get([]string{"1.3.6.1.2.1.1.5.0"}); err == nil {
			t.Errorf("%v was answered", other.SecurityParameters.SafeString())
		}
	}
}

// TestNetSNMPReadsEveryValue lets the programs of net-snmp read a device, in every version.
func TestNetSNMPReadsEveryValue(t *testing.T) {
	if _, err := exec.LookPath("snmpbulkwalk"); err != nil {
		t.Skip("needs net-snmp's programs: deploy/setup/need.sh snmpbulkwalk:snmp")
	}
	r, _ := serve(t, sample, Own{Serial: "-", User: NewUser("monitor", "authentic-pass", "private-pass")})
	n := r.Device().Table().Len()
	for _, args := range [][]string{
		{"snmpwalk", "-v1", "-c", "public"},
		{"snmpbulkwalk", "-v2c", "-c", "public"},
		{"snmpbulkwalk", "-v3", "-u", "monitor", "-l", "authPriv", "-a", "SHA-256", "-A", "authentic-pass", "-x", "AES", "-X", "private-pass"},
	} {
		args = append(args, "-On", "-Oe", "-m", "", "-t", "1", r.Addr().String(), ".1.3")
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		lines := bytes.Count(append([]byte("\n"), out...), []byte("\n.")) - bytes.Count(out, []byte("No more variables"))
		want := n
		if args[1] == "-v1" {
			want -= 1 + 2*8 // Counter64 is unknown there
		}
		if err != nil || lines != want {
			t.Errorf("%v: %d variables of %d, %v\n%.600s", args, lines, want, err, out)
		}
		for _, text := range []string{".1.3.6.1.2.1.1.2.0 = OID: .1.3.6.1.4.1.9.1.716", ".1.3.6.1.2.1.1.7.0 = INTEGER: -6", "IpAddress: 10.0.0.1", "Gauge32: 4294967295"} {
			if !bytes.Contains(out, []byte(text)) {
				t.Errorf("%v: there is no %q in\n%.1500s", args, text, out)
			}
		}
	}
	for want, args := range map[string][]string{
		"Unknown user name":          {"-u", "nobody", "-l", "authPriv", "-A", "authentic-pass", "-X", "private-pass"},
		"Authentication failure":     {"-u", "monitor", "-l", "authPriv", "-A", "wrong-passphrase", "-X", "private-pass"},
		"Unsupported security level": {"-u", "monitor", "-l", "authNoPriv", "-A", "authentic-pass"},
		"Decryption error":           {"-u", "monitor", "-l", "authPriv", "-A", "authentic-pass", "-X", "wrong-passphrase"},
	} {
		args = append([]string{"-v3", "-a", "SHA-256", "-x", "AES", "-m", "", "-t", "1", "-r", "0"}, append(args, r.Addr().String(), ".1.3.6.1.2.1.1.5.0")...)
		if out, err := exec.CommandContext(t.Context(), "snmpget", args...).CombinedOutput(); err == nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%v: %v %s, want %q", args, err, out, want)
		}
	}
}
