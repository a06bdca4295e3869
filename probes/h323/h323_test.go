package h323

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"communewatch/probes"
	"communewatch/probes/bind"
)

// confirm and reject build answers as gatekeepers write them.
func confirm(seq uint16, id string, vendor bool) []byte {
	return build(gatekeeperConfirm, seq, id, vendor, 0, 0)
}

func reject(seq uint16, reason uint, bits int) []byte {
	return build(gatekeeperReject, seq, "gk", false, reason, bits)
}

func build(kind uint, seq uint16, id string, vendor bool, reason uint, reasonBits int) []byte {
	bit := func(b bool) uint {
		if b {
			return 1
		}
		return 0
	}
	var w writer
	w.bits(kind, 6)
	w.bits(0, 1)
	w.bits(bit(vendor), 1)
	w.bits(bit(id != ""), 1)
	w.uint16(seq - 1)
	w.octets([]byte{6, 0, 8, 0x91, 0x4A, 0, 6})
	if vendor { // h221NonStandard of country 181, maker 0x4C54, with three octets
		w.bits(1, 2)
		w.bits(0, 1)
		w.octets([]byte{181, 0, 0x4C, 0x54, 3, 1, 2, 3})
	}
	if units := utf16.Encode([]rune(id)); len(units) > 0 {
		w.bits(uint(len(units)-1), 7)
		var octets []byte
		for _, u := range units {
			octets = binary.BigEndian.AppendUint16(octets, u)
		}
		w.octets(octets)
	}
	if kind == gatekeeperReject {
		w.bits(reason, reasonBits)
		if reasonBits == 8 {
			w.octets([]byte{1, 0}) // what was added later comes with its length
		}
	} else {
		w.bits(0, 4)
		w.octets([]byte{192, 0, 2, 1, 1719 >> 8, 1719 & 0xFF})
	}
	return w.b
}

func TestAnswersAreRead(t *testing.T) {
	long := strings.Repeat("ộ", 128)
	for _, tc := range []struct {
		name string
		b    []byte
		want answer
		err  error
	}{
		{"confirm", confirm(7, "", false), answer{confirmed: true}, nil},
		{"confirm with name", confirm(7, "Hội nghị", false), answer{confirmed: true, id: "Hội nghị"}, nil},
		{"confirm with maker's own", confirm(7, "gk1", true), answer{confirmed: true, id: "gk1"}, nil},
		{"longest name", confirm(7, long, false), answer{confirmed: true, id: long[:126]}, nil},
		{"line breaks", confirm(7, "a\n\x00b", false), answer{confirmed: true, id: "a b"}, nil},
		{"reject", reject(7, 1, 3), answer{id: "gk", reason: "terminalExcluded"}, nil},
		{"reject, no resources", reject(7, 0, 3), answer{id: "gk", reason: "resourceUnavailable"}, nil},
		{"reject, added later", reject(7, 0x80, 8), answer{id: "gk", reason: "securityDenial"}, nil},
		{"reject, unheard of", reject(7, 0x80|9, 8), answer{id: "gk", reason: "a reason that is not known"}, nil},
		{"another's", confirm(8, "gk", false), answer{}, errForeign},
		{"the request itself", encodeRequest(7, netip.MustParseAddrPort("10.0.0.1:5000")), answer{}, errForeign},
		{"cut in the name", confirm(7, "gatekeeper", false)[:20], answer{}, errNotRAS},
		{"cut after the number", confirm(7, "", false)[:4], answer{}, errNotRAS},
		{"nothing", nil, answer{}, errNotRAS},
	} {
		if got, err := parse(tc.b, 7); got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s: %+v, %v; want %+v, %v", tc.name, got, err, tc.want, tc.err)
		}
	}
}

// The requests to the letter; Wireshark reads them as the test below says.
func TestRequest(t *testing.T) {
	for _, tc := range []struct {
		seq  uint16
		ras  string
		want string
	}{
		{1, "10.1.2.3:5000", "000000000600089 14a0004 00 0a010203 1388 0200"},
		{65535, "[2001:db8::1]:5000", "0000fffe0600089 14a0004 30 20010db8000000000000000000000001 1388 0200"},
	} {
		want := strings.ReplaceAll(tc.want, " ", "")
		if got := hex.EncodeToString(encodeRequest(tc.seq, netip.MustParseAddrPort(tc.ras))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Another implementation reads requests and the answers that the tests are made of.
func TestWiresharkAgrees(t *testing.T) {
	for _, tool := range []string{"tshark", "text2pcap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed; what it read is in TestRequest and TestAnswersAreRead")
		}
	}
	messages := []struct {
		b    []byte
		want []string
	}{
		{encodeRequest(4711, netip.MustParseAddrPort("10.1.2.3:5000")), []string{"gatekeeperRequest (0)", "requestSeqNum: 4711", "0.0.8.2250.0.4", "ip: 10.1.2.3", "port: 5000", "terminal", "mc: False", "undefinedNode: False"}},
		{encodeRequest(65535, netip.MustParseAddrPort("[2001:db8::1]:5000")), []string{"gatekeeperRequest (0)", "requestSeqNum: 65535", "ip6Address", "ip: 2001:db8::1", "port: 5000"}},
		{confirm(4711, "Hội nghị", false), []string{"gatekeeperConfirm (1)", "requestSeqNum: 4711", "gatekeeperIdentifier: Hội nghị", "ip: 192.0.2.1", "port: 1719"}},
		{confirm(1, "gk1", true), []string{"gatekeeperConfirm (1)", "requestSeqNum: 1", "manufacturerCode: 19540", "data: 3 octets", "Data: 010203", "gatekeeperIdentifier: gk1", "port: 1719"}},
		{confirm(2, strings.Repeat("ộ", 128), false), []string{"gatekeeperIdentifier", strings.Repeat("ộ", 50), "port: 1719"}},
		{reject(4711, 1, 3), []string{"gatekeeperReject (2)", "gatekeeperIdentifier: gk", "terminalExcluded (1)"}},
		{reject(4711, 0x80, 8), []string{"gatekeeperReject (2)", "securityDenial (4)"}},
	}
	var dump strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&dump, "0000 % x\n", m.b)
	}
	capture := t.TempDir() + "/ras.pcap"
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pack := exec.CommandContext(ctx, "text2pcap", "-q", "-u", "1719,1719", "-", capture)
	pack.Stdin = strings.NewReader(dump.String())
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("text2pcap: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(ctx, "tshark", "-r", capture, "-V", "-O", "h225_ras,h225").Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, out)
	}
	read := strings.Split(string(out), "\nFrame ")
	if len(read) != len(messages) {
		t.Fatalf("read %d messages of %d:\n%s", len(read), len(messages), out)
	}
	for i, m := range messages {
		for _, want := range append(m.want, "H.225.0 RAS") {
			if !strings.Contains(read[i], want) {
				t.Errorf("%x: no %q in\n%s", m.b, want, read[i])
			}
		}
		if strings.Contains(read[i], "Malformed") {
			t.Errorf("%x is malformed:\n%s", m.b, read[i])
		}
	}
}

func ask(t testing.TB, address string, edit func(*Options)) (probes.Point, error) {
	t.Helper()
	o := DefaultOptions()
	o.Timeout = 30 * time.Second
	if edit != nil {
		edit(&o)
	}
	p, err := New(probes.Target{Name: "x", Kind: probes.KindH323, Address: address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(context.Background())
	if len(points) != 1 || points[0].Measurement != "h323" {
		t.Fatalf("got %+v, %v", points, err)
	}
	return points[0], err
}

// gatekeeper answers each request by what reply returns.
func gatekeeper(t testing.TB, reply func(n int, seq uint16) [][]byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for n := 1; ; n++ {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			seq := binary.BigEndian.Uint16(buf[2:]) + 1
			if want := encodeRequest(seq, netip.MustParseAddrPort(from.String())); !bytes.Equal(buf[:size], want) {
				t.Errorf("got the request %x, want %x", buf[:size], want)
			}
			for _, b := range reply(n, seq) {
				conn.WriteTo(b, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestSignallingPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ask(t, l.Addr().String(), nil)
	connected, _ := p.Field("connected")
	took, ok := p.Field("connect_seconds")
	if err != nil || connected.Num != 1 || !ok || took.Num <= 0 {
		t.Errorf("open: %+v, %v", p.Fields, err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || probes.OutcomeOf(err) == probes.OutcomeTimeout || probes.OutcomeOf(err) == probes.OutcomeRefused {
		t.Errorf("the endpoint got %d bytes (%v), want an orderly end", n, err)
	}
	conn.Close()
	l.Close()
	p, err = ask(t, l.Addr().String(), nil)
	connected, _ = p.Field("connected")
	if _, ok := p.Field("connect_seconds"); probes.OutcomeOf(err) != probes.OutcomeRefused || connected.Num != 0 || ok {
		t.Errorf("closed: %+v, %v", p.Fields, err)
	}
}

func TestGatekeeper(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	for _, tc := range []struct {
		name    string
		at      string
		timeout time.Duration
		outcome probes.Outcome
		in      string
		want    string
	}{
		{"confirms", gatekeeper(t, func(_ int, seq uint16) [][]byte {
			return [][]byte{confirm(seq+1, "no", false), confirm(seq, "gk1", true)}
		}),
			0, probes.OutcomeOK, "", "gatekeeper=confirmed gatekeeper_id=gk1"},
		{"rejects", gatekeeper(t, func(_ int, seq uint16) [][]byte { return [][]byte{reject(seq, 1, 3)} }),
			0, probes.OutcomeOK, "", "gatekeeper=rejected gatekeeper_id=gk gatekeeper_reason=terminalExcluded"},
		{"loses the first request", gatekeeper(t, func(n int, seq uint16) [][]byte {
			if n == 1 {
				return nil
			}
			return [][]byte{confirm(seq, "gk", false)}
		}), 0, probes.OutcomeOK, "", "gatekeeper=confirmed gatekeeper_id=gk"},
		{"is silent", gatekeeper(t, func(int, uint16) [][]byte { return nil }),
			2 * time.Second, probes.OutcomeTimeout, "no gatekeeper answers", "gatekeeper=silent"},
		{"answers others", gatekeeper(t, func(_ int, seq uint16) [][]byte { return [][]byte{confirm(seq+1, "gk", false)} }),
			2 * time.Second, probes.OutcomeFailed, "the gatekeeper's answer to a gatekeeper request can't be read", "gatekeeper=unreadable"},
		{"talks nonsense", gatekeeper(t, func(_ int, seq uint16) [][]byte { return [][]byte{confirm(seq, "gk", true)[:14]} }),
			0, probes.OutcomeFailed, "the gatekeeper's answer to a gatekeeper request can't be read", "gatekeeper=unreadable"},
		{"is not there", u.LocalAddr().String(), 0, probes.OutcomeRefused, "gatekeeper: refused: nothing listens on the UDP port", "gatekeeper=silent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := ask(t, "127.0.0.1", func(o *Options) {
				o.Signalling, o.Gatekeeper, o.GatekeeperAddress = false, true, tc.at
				if tc.timeout > 0 {
					o.Timeout = tc.timeout
				}
			})
			var got []string
			for _, f := range p.Fields {
				if f.Type == probes.TypeString {
					got = append(got, f.Key+"="+f.Str)
				}
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if probes.OutcomeOf(err) != tc.outcome || text != tc.in || strings.Join(got, " ") != tc.want {
				t.Errorf("%v (%v), %s; want %v (%s), %s", probes.OutcomeOf(err), err, got, tc.outcome, tc.in, tc.want)
			}
		})
	}
}

// A gatekeeper is asked though nobody takes calls, and both are told.
func TestBothAreLookedAt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	at := gatekeeper(t, func(_ int, seq uint16) [][]byte { return [][]byte{confirm(seq, "gk", false)} })
	p, err := ask(t, l.Addr().String(), func(o *Options) { o.Gatekeeper, o.GatekeeperAddress = true, at })
	connected, _ := p.Field("connected")
	if f, _ := p.Field("gatekeeper"); probes.OutcomeOf(err) != probes.OutcomeRefused || connected.Num != 0 || f.Str != "confirmed" {
		t.Errorf("%+v, %v", p.Fields, err)
	}
}

func TestValidateAndHosts(t *testing.T) {
	for _, tc := range []struct {
		address, at, hosts string
		edit               func(*Options)
	}{
		{"10.0.0.1", "", "[10.0.0.1]", nil},
		{"10.0.0.1:1721", "", "[10.0.0.1]", func(o *Options) { o.Gatekeeper = true }},
		{"10.0.0.1", "", "[10.0.0.1 10.0.0.2]", func(o *Options) { o.Gatekeeper, o.GatekeeperAddress = true, "10.0.0.2:1718" }},
		{"10.0.0.1", "", "[10.0.0.2]", func(o *Options) { o.Signalling, o.Gatekeeper, o.GatekeeperAddress = false, true, "10.0.0.2" }},
		{"10 0 0 1", "address", "[]", nil},
		{"10.0.0.1", "timeout", "[10.0.0.1]", func(o *Options) { o.Timeout = time.Hour }},
		{"10.0.0.1", "signalling", "[]", func(o *Options) { o.Signalling = false }},
		{"10.0.0.1", "gatekeeper_address", "[]", func(o *Options) { o.Gatekeeper, o.GatekeeperAddress = true, "a b" }},
		{"10.0.0.1", "gatekeeper_address", "[10.0.0.1]", func(o *Options) { o.GatekeeperAddress = "10.0.0.2" }},
	} {
		o := DefaultOptions()
		if tc.edit != nil {
			tc.edit(&o)
		}
		var places []string
		o.Validate(probes.Target{Address: tc.address}, func(at, _ string, _ ...any) { places = append(places, at) })
		if got := strings.Join(places, " "); got != tc.at {
			t.Errorf("%q: problems at %q, want %q", tc.address, got, tc.at)
		}
		if got := fmt.Sprint(o.Hosts(tc.address)); got != tc.hosts {
			t.Errorf("%q: hosts %s, want %s", tc.address, got, tc.hosts)
		}
	}
}

// Whatever comes, an answer counts only with the request's number, and what is kept of it is bounded.
func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{confirm(7, "gk", true), confirm(7, "", false), reject(7, 1, 3), reject(7, 0x80, 8), encodeRequest(7, netip.MustParseAddrPort("10.0.0.1:1")), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parse(data, 7)
		if err != nil {
			return
		}
		if binary.BigEndian.Uint16(data[2:]) != 6 || len(a.id) > maxID || len(a.reason) > maxID || a.confirmed != (a.reason == "") {
			t.Errorf("%x: kept %+v", data, a)
		}
	})
}
