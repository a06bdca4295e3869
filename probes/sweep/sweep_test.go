package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/fingerprint"
	"communewatch/probes/snmp/ask"

	"go.uber.org/goleak"
	"golang.org/x/time/rate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(allow ...string) Options {
	o := DefaultOptions()
	o.Allow, o.Rate, o.KnockTimeout, o.Timeout, o.Longest = allow, maxRate, time.Second, 2*time.Second, time.Minute
	return o
}

func newProbe(t *testing.T, prefix string, o Options, s SNMP) *probe {
	t.Helper()
	p, err := New(probes.Target{Name: "lan", Kind: probes.KindSweep, Path: probes.PathLAN, Address: prefix}, bind.Binding{}, o, s)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*probe)
}

// devices are the facts of a sweep's rows by device.
func devices(t *testing.T, points []probes.Point) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	for _, p := range points {
		name, fact := p.Tags.Get("device"), p.Tags.Get("fact")
		if err := probes.CheckName(name); err != nil || p.Measurement != "equipment" {
			t.Errorf("row %+v: %v", p, err)
		}
		if out[name] == nil {
			out[name] = map[string]string{}
		}
		if _, twice := out[name][fact]; twice {
			t.Errorf("%s of %s twice", fact, name)
		}
		f, _ := p.Field("value")
		out[name][fact] = f.Str
	}
	return out
}

func byAddress(all map[string]map[string]string) map[string]map[string]string {
	out := map[string]map[string]string{}
	for name, facts := range all {
		facts["device"] = name
		out[facts["address"]] = facts
	}
	return out
}

// serve listens on an address of loopback, on a port that the caller chose for all.
func serve(t *testing.T, addr string, handler http.Handler) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skip("this system has no loopback addresses but one:", err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return netip.MustParseAddrPort(l.Addr().String()).Port()
}

// TestSweepOfALittleNetwork: three hosts of seven addresses have something to say, one of them by SNMP.
func TestSweepOfALittleNetwork(t *testing.T) {
	port := serve(t, "127.9.0.3:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "Hikvision-Webs")
		w.Header().Set("Location", "http://127.9.0.200/elsewhere")
		w.WriteHeader(302)
	}))
	serve(t, fmt.Sprintf("127.9.0.4:%d", port), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<title>RouterOS router configuration page</title>")
	}))
	o := options("127.9.0.0/24")
	o.Knock, o.Ports = []uint16{port}, map[fingerprint.Service][]uint16{fingerprint.HTTP: {port}}
	o.Exclude = []string{"127.9.0.5"}
	closed := 0
	p := newProbe(t, "127.9.0.0/29", o, SNMP{
		Open: func(_ context.Context, host netip.Addr) (ask.Device, error) {
			if host.String() != "127.9.0.4" {
				return nil, errors.New("silent")
			}
			return &device{closed: &closed}, nil
		},
		Identify: func(context.Context, ask.Device) ([]probes.Fact, error) {
			return []probes.Fact{{Name: probes.FactVendor, Value: "MikroTik", Source: "snmp 1", Confidence: 0.95}, {Name: probes.FactModel, Value: "hEX", Source: "snmp 2", Confidence: 0.9},
				{Name: probes.FactSerial, Value: "HC0A1B2C", Source: "snmp 3", Confidence: 0.9}, {Name: probes.FactProtocols, Value: "snmpv2c", Source: "snmp", Confidence: 1}}, nil
		},
	})
	log := record(p)
	points, err := p.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := byAddress(devices(t, points))
	if len(got) != 5 { // .1 to .6 without the one left out: loopback refuses, so somebody is there
		t.Errorf("found %d hosts: %v", len(got), got)
	}
	for addr, want := range map[string]map[string]string{
		"127.9.0.3": {"vendor": "Hikvision", "http_server": "Hikvision-Webs", "protocols": "http"},
		"127.9.0.4": {"vendor": "MikroTik", "model": "hEX", "serial": "HC0A1B2C", "class": "router", "protocols": "http snmpv2c", "http_title": "RouterOS router configuration page"},
		"127.9.0.2": {"vendor": "", "protocols": ""},
	} {
		for fact, value := range want {
			if got[addr][fact] != value {
				t.Errorf("%s of %s: got %q, want %q", fact, addr, got[addr][fact], value)
			}
		}
	}
	if closed != 1 {
		t.Errorf("the device was closed %d times", closed)
	}
	for _, to := range log.all() {
		if !netip.MustParsePrefix("127.9.0.0/29").Contains(to) || to.String() == "127.9.0.0" || to.String() == "127.9.0.7" || to.String() == "127.9.0.5" {
			t.Errorf("a packet went to %s", to)
		}
	}

	// The same device at another address is the same device.
	again := newProbe(t, "127.9.0.0/29", o, p.snmp)
	again.snmp.Open = func(_ context.Context, host netip.Addr) (ask.Device, error) {
		if host.String() != "127.9.0.6" {
			return nil, errors.New("silent")
		}
		return &device{closed: &closed}, nil
	}
	points, err = again.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if moved := byAddress(devices(t, points)); moved["127.9.0.6"]["device"] != got["127.9.0.4"]["device"] || moved["127.9.0.4"]["device"] == got["127.9.0.4"]["device"] {
		t.Errorf("was %s, is %s", got["127.9.0.4"]["device"], moved["127.9.0.6"]["device"])
	}
}

type device struct{ closed *int }

func (*device) Get(context.Context, ...ask.OID) ([]ask.Var, error)    { return nil, nil }
func (*device) Walk(context.Context, ask.OID, int) ([]ask.Var, error) { return nil, nil }
func (d *device) Close()                                              { *d.closed++ }

// packets notes where packets go.
type packets struct {
	mu   sync.Mutex
	list []netip.Addr
	at   []time.Time
	open int
	most int
}

func (p *packets) all() []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

func (p *packets) note(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, a)
	p.at = append(p.at, time.Now())
}

// record puts itself behind the guard, where packets leave.
func record(p *probe) *packets {
	log, connect, open := &packets{}, p.connect, p.snmp.Open
	p.connect = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		log.note(to.Addr())
		return connect(ctx, network, to)
	}
	if open != nil {
		p.snmp.Open = func(ctx context.Context, host netip.Addr) (ask.Device, error) {
			log.note(host)
			return open(ctx, host)
		}
	}
	return log
}

// TestNoPacketLeavesTheAllowList: whatever the prefix, what is allowed and what is left out, packets go to addresses
// that all three agree on, or nowhere.
func TestNoPacketLeavesTheAllowList(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(least, most int) netip.Prefix {
		bits := least + rng.IntN(most-least+1)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(4)), byte(rng.IntN(256))}), bits).Masked()
	}
	ran, refused := 0, 0
	base := newProbe(t, "10.0.0.0/24", options("10.0.0.0/24"), SNMP{})
	for range 300 {
		prefix, allow, exclude := random(22, 32), random(16, 32), random(24, 32)
		o := options(allow.String())
		o.Exclude, o.Knock = []string{exclude.String()}, []uint16{80}
		o.Rate = 1e9
		g, err := o.guard(prefix.String())
		if err != nil {
			refused++
			if allow.Bits() <= prefix.Bits() && allow.Contains(prefix.Addr()) {
				t.Errorf("%s within %s was refused: %v", prefix, allow, err)
			}
			continue
		}
		ran++
		p := &probe{opts: o, path: probes.PathLAN, guard: g, rules: base.rules, // as New does, which reads the rules each time
			snmp: SNMP{Open: func(context.Context, netip.Addr) (ask.Device, error) { return nil, errors.New("silent") }}}
		p.connect = func(context.Context, string, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		p.neighbours = func() map[netip.Addr]neighbour { return nil }
		p.opts.Ports = map[fingerprint.Service][]uint16{fingerprint.SSH: {22}, fingerprint.SIP: {5060}}
		log := record(p)
		if _, err := p.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, to := range log.all() {
			if !allow.Contains(to) || !prefix.Contains(to) || exclude.Contains(to) {
				t.Fatalf("sweep of %s, allowed %s, without %s: a packet to %s", prefix, allow, exclude, to)
			}
			if !prefix.IsSingleIP() && prefix.Bits() < 31 && (to == prefix.Addr() || to == last(prefix)) {
				t.Fatalf("sweep of %s: a packet to %s, the network's own or broadcast address", prefix, to)
			}
		}
	}
	if ran < 20 || refused < 20 {
		t.Errorf("%d sweeps ran and %d were refused: this says little", ran, refused)
	}
}

// TestTheGuardHasTheLastWord: even what asks for other addresses through the sweep's own dialer is refused.
func TestTheGuardHasTheLastWord(t *testing.T) {
	p := newProbe(t, "10.1.0.0/29", options("10.1.0.0/16"), SNMP{})
	p.guard.add([]netip.Prefix{netip.MustParsePrefix("10.1.0.2/30")})
	r := &run{probe: p}
	log := record(p)
	for _, to := range []string{"10.1.0.8", "10.1.0.0", "10.1.0.7", "10.1.1.1", "8.8.8.8", "255.255.255.255", "::1", "::ffff:10.1.0.9",
		"10.1.0.2", "10.1.0.3"} { // the machine itself, and the broadcast address of its own network
		_, err := r.dial(t.Context(), "udp", netip.AddrPortFrom(netip.MustParseAddr(to), 161))
		if probes.OutcomeOf(err) != probes.OutcomeBadConfig {
			t.Errorf("%s: got %v", to, err)
		}
	}
	if len(log.all()) != 0 {
		t.Errorf("packets to %v", log.all())
	}
	if err := p.guard.check(netip.MustParseAddr("::ffff:10.1.0.1")); err != nil {
		t.Error(err)
	}
}

func TestGuardCounts(t *testing.T) {
	for prefix, want := range map[string]int{"10.0.0.0/24": 254, "10.0.0.0/22": 1016, "10.0.0.0/30": 2, "10.0.0.0/31": 2, "10.0.0.7": 1, "10.0.0.255/32": 1,
		"10.0.0.128/25": 126, "fd00::/120": 255, "fd00::/127": 2} {
		g, err := options("10.0.0.0/8", "fd00::/8").guard(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if n := g.count(); n != want {
			t.Errorf("%s: %d addresses, want %d", prefix, n, want)
		}
	}
}

// TestSweepKeepsItsPace: twenty questions a second are no more than that, whatever the network does.
func TestSweepKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := DefaultOptions()
		o.Allow = []string{"10.0.0.0/24"}
		p := newProbe(t, "10.0.0.0/26", o, SNMP{Open: func(context.Context, netip.Addr) (ask.Device, error) { return nil, errors.New("silent") }})
		p.neighbours = func() map[netip.Addr]neighbour { return nil }
		log := &packets{}
		p.connect = func(ctx context.Context, _ string, to netip.AddrPort) (net.Conn, error) {
			log.mu.Lock()
			log.open++
			log.most = max(log.most, log.open)
			log.mu.Unlock()
			<-ctx.Done() // nobody is there
			log.mu.Lock()
			log.open--
			log.mu.Unlock()
			return nil, ctx.Err()
		}
		inner := p.connect
		p.connect = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
			log.note(to.Addr())
			return inner(ctx, network, to)
		}
		start := time.Now()
		points, err := p.Probe(t.Context())
		if err != nil || len(points) != 0 {
			t.Errorf("got %d rows, %v", len(points), err)
		}
		if asked := len(log.at); asked != 62*len(o.Knock) {
			t.Errorf("%d questions, want %d: none may be lost by waiting for its turn", asked, 62*len(o.Knock))
		}
		for i := 20; i < len(log.at); i++ {
			if d := log.at[i].Sub(log.at[i-20]); d < 990*time.Millisecond {
				t.Fatalf("21 questions within %v", d)
			}
		}
		if log.most > o.Parallel {
			t.Errorf("%d hosts at once, want at most %d", log.most, o.Parallel)
		}
		if took := time.Since(start); took > o.Longest/2 {
			t.Errorf("took %v", took)
		}
	})
}

func TestSweepStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ string, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		p := newProbe(t, "10.0.0.0/24", options("10.0.0.0/24"), SNMP{Open: func(ctx context.Context, _ netip.Addr) (ask.Device, error) { <-ctx.Done(); return nil, ctx.Err() }})
		p.connect, p.neighbours = hang, func() map[netip.Addr]neighbour { return nil }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		if _, err := p.Probe(ctx); !errors.Is(err, context.Canceled) || time.Since(start) > 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}

		// When the time for a sweep is over, that is not the network's fault.
		p.opts.Longest = 5 * time.Second
		start = time.Now()
		_, err := p.Probe(t.Context())
		if probes.OutcomeOf(err) != probes.OutcomeOverrun || time.Since(start) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestKnocking(t *testing.T) {
	there := netip.MustParseAddr("10.0.0.9")
	for _, tt := range []struct {
		name  string
		err   error
		table neighbour
		known bool
		there bool
		more  bool
		asked int
	}{
		{"accepts", nil, neighbour{}, false, true, true, 1},
		{"refuses", syscall.ECONNREFUSED, neighbour{}, false, true, true, 1},
		{"silent and far away", context.DeadlineExceeded, neighbour{}, false, false, true, 4},
		{"silent, but a neighbour", context.DeadlineExceeded, neighbour{complete: true}, true, true, true, 1},
		{"no such neighbour", syscall.EHOSTUNREACH, neighbour{}, true, false, false, 1},
		{"the path's device is gone", probes.Errorf(probes.OutcomeUnbound, "no device"), neighbour{}, false, false, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProbe(t, "10.0.0.0/24", options("10.0.0.0/24"), SNMP{})
			asked := 0
			p.connect = func(context.Context, string, netip.AddrPort) (net.Conn, error) {
				asked++
				if tt.err != nil {
					return nil, tt.err
				}
				a, b := net.Pipe()
				b.Close()
				return a, nil
			}
			p.neighbours = func() map[netip.Addr]neighbour {
				if !tt.known {
					return nil
				}
				return map[netip.Addr]neighbour{there: tt.table}
			}
			r := &run{probe: p, pace: rate.NewLimiter(rate.Inf, 1)}
			there, more := r.knock(t.Context(), there)
			if there != tt.there || more != tt.more || asked != tt.asked {
				t.Errorf("there %v, more %v, asked %d", there, more, asked)
			}
		})
	}
}

func TestOwnTroubleIsTold(t *testing.T) {
	p := newProbe(t, "10.0.0.0/30", options("10.0.0.0/24"), SNMP{})
	p.connect = func(context.Context, string, netip.AddrPort) (net.Conn, error) {
		return nil, probes.Errorf(probes.OutcomeUnbound, "no device")
	}
	if _, err := p.Probe(t.Context()); probes.OutcomeOf(err) != probes.OutcomeUnbound {
		t.Errorf("got %v", err)
	}
}

// TestACardOfSeveralAddresses: who answers ARP for others is not all of them.
func TestACardOfSeveralAddresses(t *testing.T) {
	router, own := net.HardwareAddr{0, 0x0c, 0x42, 1, 2, 3}, net.HardwareAddr{0, 0xe0, 0xdb, 1, 2, 3}
	p := newProbe(t, "10.0.0.0/29", options("10.0.0.0/24"), SNMP{})
	p.opts.Ports = map[fingerprint.Service][]uint16{}
	p.connect = func(context.Context, string, netip.AddrPort) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	p.neighbours = func() map[netip.Addr]neighbour {
		return map[netip.Addr]neighbour{netip.MustParseAddr("10.0.0.1"): {router, true}, netip.MustParseAddr("10.0.0.2"): {router, true}, netip.MustParseAddr("10.0.0.3"): {own, true}}
	}
	points, err := p.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := byAddress(devices(t, points))
	if len(got) != 6 {
		t.Errorf("%d devices, want 6", len(got))
	}
	if got["10.0.0.1"]["mac"] != "" || got["10.0.0.2"]["vendor"] != "" || got["10.0.0.3"]["mac"] != own.String() || got["10.0.0.3"]["vendor"] != "Polycom" {
		t.Errorf("got %v", got)
	}
}

func TestDeviceName(t *testing.T) {
	fact := func(name probes.FactName, value string) probes.Fact {
		return probes.Fact{Name: name, Value: value, Confidence: 0.9}
	}
	name := func(facts ...probes.Fact) string { return DeviceName(probes.PathLAN, facts) }
	serial, mac := fact("serial", "FOC1932X0AB"), fact("mac", "00:0c:42:01:02:03")
	a := name(fact("vendor", "Cisco"), serial, fact("address", "10.0.0.1"))
	if err := probes.CheckName(a); err != nil {
		t.Error(err)
	}
	if b := name(fact("vendor", "CISCO"), serial, mac, fact("address", "10.0.0.9")); a != b {
		t.Error("the name goes with the address")
	}
	if b := name(fact("vendor", "HP"), serial); a == b {
		t.Error("two makers' devices have one name")
	}
	if name(fact("serial", "0123456789"), mac) != name(mac) || name(fact("serial", "None"), mac) != name(fact("chassis_id", ""), mac) {
		t.Error("a serial that many devices have is a name")
	}
	if name(fact("address", "10.0.0.1")) == name(fact("address", "10.0.0.2")) || name(fact("address", "10.0.0.1")) == DeviceName(probes.PathDedicated, []probes.Fact{fact("address", "10.0.0.1")}) {
		t.Error("two addresses have one name")
	}
	if weak := (probes.Fact{Name: "serial", Value: "X1", Confidence: 0.2}); name(weak, mac) != name(mac) {
		t.Error("a guess is a name")
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		address string
		change  func(o *Options)
		want    string // "place: part of the text", joined by ;
	}{
		{"192.168.1.0/24", func(*Options) {}, ""},
		{"192.168.1.7", func(*Options) {}, ""},
		{"203.0.113.0/28", func(o *Options) { o.Allow = []string{"203.0.113.0/28"} }, ""},
		{"192.168.1.0/24", func(o *Options) { o.Allow = nil }, "allow: name the networks"},
		{"192.168.1.7/24", func(*Options) {}, "address: write 192.168.1.0/24"},
		{"192.168.0.0/20", func(*Options) {}, "address: more than 1024 addresses; sweep a /22"},
		{"10.0.0.0/24", func(*Options) {}, "address: not inside what allow names"},
		{"office", func(*Options) {}, "address: no prefix such as"},
		{"", func(o *Options) { o.Allow = []string{"x"} }, "allow[0]: no prefix; address: no prefix"},
		{"203.0.113.0/28", func(o *Options) { o.Allow = []string{"203.0.0.0/16"} }, "allow[0]: is not a private range"},
		{"192.168.1.0/24", func(o *Options) { o.Allow = []string{"0.0.0.0/0"} }, "allow[0]: is not a private range"},
		{"192.168.1.0/24", func(o *Options) { o.Exclude = []string{"192.168.1.0/24"} }, "address: nothing is left"},
		{"192.168.1.0/24", func(o *Options) { o.Exclude = []string{"printer"} }, "exclude[0]: no prefix"},
		{"192.168.1.0/24", func(o *Options) { o.Rate = 0 }, "rate: questions a second"},
		{"192.168.1.0/24", func(o *Options) { o.Rate = 1e6 }, "rate: questions a second"},
		{"192.168.1.0/24", func(o *Options) { o.Parallel = 0 }, "parallel: hosts"},
		{"192.168.1.0/24", func(o *Options) { o.Rate, o.Longest = 1, 5*time.Minute }, "longest: take 16m56s at least"},
		{"192.168.1.0/24", func(o *Options) { o.Knock = nil }, "knock: ports"},
		{"192.168.1.0/24", func(o *Options) { o.Ports = map[fingerprint.Service][]uint16{"gopher": {70}} }, "ports.gopher: no service; use some of http, https"},
		{"192.168.1.0/24", func(o *Options) { o.Timeout, o.KnockTimeout = 0, time.Hour }, "knock_timeout: between; timeout: between"},
		{"192.168.1.0/24", func(o *Options) { o.Longest = time.Millisecond }, "longest: between; longest: at least"},
	} {
		o := DefaultOptions()
		o.Allow = []string{"192.168.0.0/16"}
		tt.change(&o)
		var got []string
		o.Validate(probes.Target{Address: tt.address}, func(at, format string, args ...any) { got = append(got, at+": "+fmt.Sprintf(format, args...)) })
		var want []string
		if tt.want != "" {
			want = strings.Split(tt.want, "; ")
		}
		if tt.want == "address: more than 1024 addresses; sweep a /22" || strings.HasPrefix(tt.want, "ports.gopher") {
			want = []string{tt.want}
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %q, want %q", tt.address, got, want)
			continue
		}
		for i := range want {
			place, text, _ := strings.Cut(want[i], ": ")
			if !strings.HasPrefix(got[i], place+": ") || !strings.Contains(got[i], text) {
				t.Errorf("%s: got %q, want %q", tt.address, got[i], want[i])
			}
		}
	}
}

func TestHosts(t *testing.T) {
	o := options("192.168.0.0/16")
	if got := o.Hosts("192.168.1.0/24"); fmt.Sprint(got) != "[192.168.1.1]" {
		t.Errorf("got %v", got)
	}
	if got := o.Hosts("8.8.8.0/24"); got != nil {
		t.Errorf("a path would be proved with packets to %v", got)
	}
}

func FuzzNeighbours(f *testing.F) {
	f.Add("IP address       HW type     Flags       HW address            Mask     Device\n192.168.1.1      0x1         0x2         00:0c:42:01:02:03     *        eth0\n192.168.1.9      0x1         0x0         00:00:00:00:00:00     *        eth0\n")
	f.Fuzz(func(t *testing.T, text string) {
		for addr, n := range parseNeighbours(strings.NewReader(text)) {
			if !addr.IsValid() || n.complete && len(n.mac) != 6 {
				t.Errorf("%s: %+v", addr, n)
			}
		}
	})
}

func TestNeighbours(t *testing.T) {
	got := parseNeighbours(strings.NewReader("IP address HW type Flags HW address Mask Device\n192.168.1.1 0x1 0x2 00:0c:42:01:02:03 * eth0\n192.168.1.9 0x1 0x0 00:00:00:00:00:00 * eth0\n192.168.1.10 0x1 0x6 00:0c:42:01:02:04 * eth0\nbad\n1.2.3.4 0x1 x y z w\n10.8.0.1 0x200 0x2 * * tun0\n"))
	if len(got) != 3 || !got[netip.MustParseAddr("192.168.1.1")].complete || got[netip.MustParseAddr("192.168.1.9")].complete || got[netip.MustParseAddr("192.168.1.10")].mac.String() != "00:0c:42:01:02:04" {
		t.Errorf("got %+v", got)
	}
}
