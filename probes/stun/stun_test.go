package stun

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/peertest"

	pion "github.com/pion/stun/v3"
)

// ask runs one probe of the address.
func ask(t testing.TB, address string, edit func(*Options)) (probes.Point, error) {
	t.Helper()
	o := DefaultOptions()
	o.Timeout = 30 * time.Second
	if edit != nil {
		edit(&o)
	}
	p, err := New(probes.Target{Name: "x", Kind: probes.KindSTUN, Address: address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(context.Background())
	if len(points) != 1 || points[0].Measurement != "stun" {
		t.Fatalf("got %+v, %v", points, err)
	}
	return points[0], err
}

func text(p probes.Point, key string) string { f, _ := p.Field(key); return f.Str }

// serveUDP answers each datagram by what reply returns.
func serveUDP(t testing.TB, reply func(n int, request []byte, from netip.AddrPort) [][]byte) string {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for n := 1; ; n++ {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, r := range reply(n, buf[:size], from) {
				conn.WriteToUDPAddrPort(r, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// success is an answer made by another implementation.
func success(request []byte, mapped netip.AddrPort, more ...pion.Setter) []byte {
	var id [12]byte
	copy(id[:], request[8:])
	setters := append([]pion.Setter{pion.NewTransactionIDSetter(id), pion.BindingSuccess,
		&pion.XORMappedAddress{IP: mapped.Addr().AsSlice(), Port: int(mapped.Port())}}, more...)
	return pion.MustBuild(setters...).Raw
}

func TestMappedAddressAndNAT(t *testing.T) {
	elsewhere := netip.MustParseAddrPort("203.0.113.7:4711")
	for _, nat := range []bool{false, true} {
		at := serveUDP(t, func(_ int, r []byte, from netip.AddrPort) [][]byte {
			if !pion.IsMessage(r) || len(r) != 20 {
				t.Errorf("sent %x", r)
			}
			if nat {
				from = elsewhere
			}
			return [][]byte{success(r, from, pion.NewSoftware("Coturn-4.6.1 'Gorst'"), pion.Fingerprint)}
		})
		p, err := ask(t, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := p.Field("nat")
		if !ok || (f.Num == 1) != nat || (text(p, "mapped_address") == elsewhere.String()) != nat || text(p, "software") != "Coturn-4.6.1 'Gorst'" {
			t.Errorf("nat %v: %+v", nat, p.Fields)
		}
		if f, ok := p.Field("response_seconds"); !ok || f.Num <= 0 {
			t.Errorf("response_seconds = %+v", f)
		}
	}
}

func TestLostRequestIsSentAgainAndOthersAnswersArePassedOver(t *testing.T) {
	at := serveUDP(t, func(n int, r []byte, from netip.AddrPort) [][]byte {
		if n < 2 {
			return nil
		}
		other := bytes.Clone(r)
		other[12] ^= 1
		damaged := success(r, from, pion.Fingerprint)
		damaged[len(damaged)-12] ^= 1 // inside the address
		return [][]byte{nil, []byte("garbage"), r, success(other, from), damaged, success(r, from)}
	})
	p, err := ask(t, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := p.Field("retransmits"); f.Num < 1 {
		t.Errorf("retransmits = %v", f.Num)
	}
	if f, _ := p.Field("response_seconds"); f.Num < 0.5 {
		t.Errorf("answered after %v s; the second request goes out after 0.5 s", f.Num)
	}
	if f, _ := p.Field("nat"); f.Num != 0 {
		t.Errorf("a damaged answer was believed: %+v", p.Fields)
	}
}

func TestFailures(t *testing.T) {
	refuse := func(_ int, r []byte, _ netip.AddrPort) [][]byte {
		var id [12]byte
		copy(id[:], r[8:])
		return [][]byte{pion.MustBuild(pion.NewTransactionIDSetter(id), pion.BindingError, pion.ErrorCodeAttribute{Code: 420, Reason: []byte("Unknown\nAttribute")}).Raw}
	}
	empty := func(_ int, r []byte, _ netip.AddrPort) [][]byte {
		var id [12]byte
		copy(id[:], r[8:])
		return [][]byte{pion.MustBuild(pion.NewTransactionIDSetter(id), pion.BindingSuccess).Raw}
	}
	short := func(o *Options) { o.Timeout = 2 * time.Second }
	overTCP := func(o *Options) { o.Transport = "tcp" }
	shortTCP := func(o *Options) { short(o); overTCP(o) }
	const words = "the port takes connections but does not speak STUN: "
	read := func(conn net.Conn) { io.ReadFull(conn, make([]byte, headSize)) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	for _, tc := range []struct {
		name, at string
		edit     func(*Options)
		outcome  probes.Outcome
		in       string
	}{
		{"error response", serveUDP(t, refuse), nil, probes.OutcomeFailed, "the server refuses the request: 420 Unknown Attribute"},
		{"no address", serveUDP(t, empty), nil, probes.OutcomeFailed, "the answer does not say which address the server sees"},
		{"silent", serveUDP(t, func(int, []byte, netip.AddrPort) [][]byte { return nil }), short, probes.OutcomeTimeout, "no answer"},
		{"garbage", serveUDP(t, func(int, []byte, netip.AddrPort) [][]byte { return [][]byte{[]byte("x")} }), short, probes.OutcomeTimeout, "no answer; what came instead answers something else or is not STUN"},
		{"closed", u.LocalAddr().String(), nil, probes.OutcomeRefused, "refused: nothing listens on the UDP port"},
		{"silent port", peertest.ServeTCP(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }), shortTCP, probes.OutcomeTimeout, words + "no answer"},
		{"port that closes", peertest.ServeTCP(t, read), overTCP, probes.OutcomeFailed, words + "it closed without an answer"},
		{"another protocol", peertest.ServeTCP(t, func(conn net.Conn) { read(conn); conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }), overTCP, probes.OutcomeFailed, words + "its answer is something else"},
		{"closed port", l.Addr().String(), overTCP, probes.OutcomeRefused, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := ask(t, tc.at, tc.edit)
			if probes.OutcomeOf(err) != tc.outcome || tc.in != "" && err.Error() != tc.in {
				t.Errorf("%v (%v), want %v: %s", probes.OutcomeOf(err), err, tc.outcome, tc.in)
			}
		})
	}
}

func TestStreamInPieces(t *testing.T) {
	at := peertest.ServeTCP(t, func(conn net.Conn) {
		r := make([]byte, headSize)
		io.ReadFull(conn, r)
		from := netip.MustParseAddrPort(conn.RemoteAddr().String())
		other := bytes.Clone(r)
		other[9] ^= 1
		for _, c := range append(success(other, from), success(r, from)...) {
			conn.Write([]byte{c})
		}
	})
	p, err := ask(t, at, func(o *Options) { o.Transport = "tcp" })
	if f, ok := p.Field("nat"); err != nil || !ok || f.Num != 0 {
		t.Errorf("%+v, %v", p.Fields, err)
	}
	if _, ok := p.Field("connect_seconds"); !ok {
		t.Error("no connect_seconds")
	}
}

func TestStopsWhenCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	at := serveUDP(t, func(int, []byte, netip.AddrPort) [][]byte { cancel(); return nil })
	p, err := New(probes.Target{Address: at}, bind.Binding{}, DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.Probe(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	cancel()
}

// The sample responses of RFC 5769 2.2 and 2.3, with fingerprints.
func TestSamplesOfTheStandard(t *testing.T) {
	const head = "2112a442b7e7a701bc34d686fa87dfae" + "8022000b7465737420766563746f7220"
	for _, tc := range []struct{ message, want string }{
		{"0101003c" + head + "002000080001a147e112a643" + "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7" + "80280004c07d4c96", "192.0.2.1:32853"},
		{"01010048" + head + "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9" + "00080014a382954e4be67bf11784c97c8292c275bfe3ed41" + "80280004c8fb0b4c",
			"[2001:db8:1234:5678:11:2233:4455:6677]:32853"},
	} {
		b, err := hex.DecodeString(tc.message)
		if err != nil {
			t.Fatal(err)
		}
		a, err := parse(b, transaction(b[8:20]))
		if err != nil || a.mapped.String() != tc.want || a.software != "test vector" {
			t.Errorf("%+v (%v), want %s", a, err, tc.want)
		}
	}
}

// Attributes of every length, of whatever kind, in a buffer that ends where the message does.
func TestTightBuffers(t *testing.T) {
	for kind := range attrXORMapped + 1 {
		for length := range 40 {
			for _, family := range []byte{0, 1, 2, 3} {
				b := request(transaction{})
				b[0], b[1], b[3] = 1, 1, byte(4+(length+3)&^3)
				b = append(b, 0, byte(kind), 0, byte(length))
				b = append(b, make([]byte, (length+3)&^3)...)
				if length > 1 {
					b[25] = family
				}
				a, err := parse(b[:len(b):len(b)], transaction{})
				fits := (kind == attrMapped || kind == attrXORMapped) && (family == familyIPv4 && length == 8 || family == familyIPv6 && length == 20)
				if err != nil || a.mapped.IsValid() != fits {
					t.Errorf("kind %d, length %d, family %d: %+v, %v", kind, length, family, a, err)
				}
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, tc := range []struct{ address, transport, want string }{
		{"10.1.2.3", "", "{udp 10.1.2.3 3478}"},
		{"10.1.2.3", "tls", "{tls 10.1.2.3 5349}"},
		{"turn.example.gov.vn:443", "tcp", "{tcp turn.example.gov.vn 443}"},
		{"stun:10.1.2.3:19302", "", "{udp 10.1.2.3 19302}"},
		{"STUNS:turn.example.gov.vn", "", "{tls turn.example.gov.vn 5349}"},
		{"2001:db8::1", "", "{udp 2001:db8::1 3478}"},
		{"stun:[2001:db8::1]", "tcp", "{tcp 2001:db8::1 3478}"},
		{"stuns:10.1.2.3", "udp", ""}, {"turn:10.1.2.3", "", ""}, {"", "", ""}, {"stun:", "", ""}, {"10.1.2.3:x", "", ""}, {"http://a/", "", ""},
	} {
		s, err := parseAddress(tc.address, tc.transport)
		got := fmt.Sprint(s)
		if err != nil {
			got = ""
		}
		if got != tc.want {
			t.Errorf("%q: %q (%v), want %q", tc.address, got, err, tc.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		address, at string
		edit        func(*Options)
	}{
		{"10.0.0.1", "", nil},
		{"10 0 0 1", "address", nil},
		{"10.0.0.1", "transport", func(o *Options) { o.Transport = "sctp" }},
		{"10.0.0.1", "timeout", func(o *Options) { o.Timeout = time.Minute }},
		{"10.0.0.1", "ca_file", func(o *Options) { o.CAFile = "testdata/none.pem" }},
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
	}
}

// Whatever comes is bounded, and where it is read as an answer another implementation reads the same address.
func FuzzParse(f *testing.F) {
	id := transaction{1, 2, 3}
	ok := success(request(id), netip.MustParseAddrPort("192.0.2.1:3478"), pion.NewSoftware("x"))
	f.Add(ok)
	f.Add(success(request(id), netip.MustParseAddrPort("[2001:db8::1]:3478"), pion.Fingerprint))
	f.Add(ok[:len(ok)-1])
	f.Add(append(bytes.Clone(ok), 0, 0x20, 0, 0))
	f.Add(pion.MustBuild(pion.NewTransactionIDSetter(id), pion.BindingError, pion.CodeTryAlternate).Raw)
	f.Add(request(id))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= headSize {
			copy(data[8:], id[:])
		}
		a, err := parse(data[:len(data):len(data)], id)
		if err != nil {
			return
		}
		if len(a.software) > maxText || len(a.reason) > maxText || a.code != 0 && (a.code < 300 || a.code > 699) {
			t.Errorf("kept %+v", a)
		}
		m := &pion.Message{Raw: data}
		if err := m.Decode(); err != nil {
			t.Fatalf("%x was read; another implementation says %v", data, err)
		}
		var masked pion.XORMappedAddress
		if v, err := m.Get(pion.AttrXORMappedAddress); err == nil && len(v) >= 8 && a.code == 0 && masked.GetFrom(m) == nil {
			want, _ := netip.AddrFromSlice(masked.IP)
			if exact := len(v) == 4+len(masked.IP) && v[0] == 0; exact && a.mapped != netip.AddrPortFrom(want.Unmap(), uint16(masked.Port)) {
				t.Errorf("%x: %s, another implementation says %s", data, a.mapped, masked)
			}
		}
	})
}
