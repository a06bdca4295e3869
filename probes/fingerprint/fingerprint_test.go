package fingerprint

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/probes"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line dials for real and notes what it was asked for.
type line struct {
	mu      sync.Mutex
	asked   []netip.AddrPort
	open    atomic.Int32
	atOnce  atomic.Int32
	foreign netip.Addr // any other address is a mistake
}

type counted struct {
	net.Conn
	once sync.Once
	line *line
}

func (c *counted) Close() error {
	c.once.Do(func() { c.line.open.Add(-1) })
	return c.Conn.Close()
}

func (l *line) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	l.mu.Lock()
	l.asked = append(l.asked, to)
	l.mu.Unlock()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	if n := l.open.Add(1); n > l.atOnce.Load() {
		l.atOnce.Store(n)
	}
	return &counted{Conn: conn, line: l}, nil
}

var host = netip.MustParseAddr("127.0.0.1")

// scan looks at this machine on the given ports.
func scan(t *testing.T, ports map[Service][]uint16) (map[probes.FactName]probes.Fact, *line) {
	t.Helper()
	l := &line{}
	facts, err := Host(t.Context(), host, Options{Dial: l.dial, Ports: ports, Rules: builtIn(t), Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	out := map[probes.FactName]probes.Fact{}
	for _, f := range Best(facts) {
		if f.Source == "" || f.Confidence <= 0 || f.Confidence > 1 || f.Value == "" {
			t.Errorf("fact without evidence: %+v", f)
		}
		out[f.Name] = f
	}
	for _, to := range l.asked {
		if to.Addr() != host {
			t.Errorf("a packet went to %s", to)
		}
	}
	if l.atOnce.Load() > 1 {
		t.Errorf("%d connections at once", l.atOnce.Load())
	}
	return out, l
}

func portOf(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

// greeter is a server that says one thing to everybody; it fails the test if it is told anything.
func greeter(t *testing.T, greeting string) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				io.WriteString(c, greeting)
				c.SetReadDeadline(time.Now().Add(5 * time.Second))
				if told, _ := io.ReadAll(c); len(told) > 0 {
					t.Errorf("the server was told %q", told)
				}
			})
		}
	})
	return portOf(l.Addr())
}

func closedPort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(l.Addr())
}

func want(t *testing.T, got map[probes.FactName]probes.Fact, values map[probes.FactName]string) {
	t.Helper()
	for name, value := range values {
		if got[name].Value != value {
			t.Errorf("%s: got %q, want %q", name, got[name].Value, value)
		}
	}
}

func TestWeb(t *testing.T) {
	var paths []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.Method != http.MethodGet {
			t.Errorf("sent %s %v", r.Method, r.Header)
		}
		w.Header().Set("Server", "ACME  1.0")
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/start", http.StatusFound)
		case "/start":
			io.WriteString(w, `<html><head><meta http-equiv="refresh" content="0; url=login.htm"></head></html>`)
		case "/login.htm":
			w.Header().Set("WWW-Authenticate", `Basic realm="NETGEAR DGN2200v4"`)
			w.WriteHeader(401)
			io.WriteString(w, "<TITLE lang=en>\n Polycom&nbsp;RealPresence\tGroup 500 </TITLE>")
		}
	}))
	defer srv.Close()
	got, _ := scan(t, map[Service][]uint16{HTTP: {portOf(srv.Listener.Addr()), closedPort(t)}})
	want(t, got, map[probes.FactName]string{"http_title": "Polycom RealPresence Group 500", "http_server": "ACME 1.0", "protocols": "http", "vendor": "Polycom",
		"model": "RealPresence Group 500", "class": "videoconference"})
	if got["model"].Confidence > MaxConfidence {
		t.Errorf("too sure: %+v", got["model"])
	}
	if fmt.Sprint(paths) != "[/ /start /login.htm]" {
		t.Errorf("asked for %v", paths)
	}
}

// TestWebLeadsElsewhere: where a page leads to another host, nobody goes there, by name or number, by redirect or
// refresh.
func TestWebLeadsElsewhere(t *testing.T) {
	for _, location := range []string{"http://127.0.0.2/login", "http://device.example/login", "https://[::1]/", "http://127.0.0.1@127.0.0.2/", "ftp://127.0.0.1/", "http://localhost/"} {
		for _, refresh := range []bool{false, true} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if refresh {
					fmt.Fprintf(w, "<meta http-equiv=refresh content='0;url=%s'>", location)
					return
				}
				w.Header().Set("Location", location)
				w.WriteHeader(302)
			}))
			got, l := scan(t, map[Service][]uint16{HTTP: {portOf(srv.Listener.Addr())}}) // fails on another address
			want(t, got, map[probes.FactName]string{"protocols": "http"})
			if len(l.asked) != 1 {
				t.Errorf("%s: %d connections", location, len(l.asked))
			}
			srv.Close()
		}
	}
}

func TestWebIsBounded(t *testing.T) {
	loops := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		loops++
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
	}))
	defer srv.Close()
	scan(t, map[Service][]uint16{HTTP: {portOf(srv.Listener.Addr())}})
	if loops > maxRedirects+2 {
		t.Errorf("went round %d times", loops)
	}
	flood := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 100000 {
			if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
		t.Error("all of a page of 100 MB was read")
	}))
	defer flood.Close()
	got, _ := scan(t, map[Service][]uint16{HTTP: {portOf(flood.Listener.Addr())}})
	want(t, got, map[probes.FactName]string{"protocols": "http"})
}

func certificate(t *testing.T, subject pkix.Name) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLSVersions(t *testing.T) {
	cert := certificate(t, pkix.Name{CommonName: "FGT60E4Q16012345", Organization: []string{"Fortinet"}})
	for _, tt := range []struct {
		least, most uint16
		want        string
	}{
		{tls.VersionTLS10, tls.VersionTLS10, "https tls1.0"}, {tls.VersionTLS10, tls.VersionTLS11, "https tls1.0 tls1.1"},
		{tls.VersionTLS12, tls.VersionTLS12, "https tls1.2"}, {tls.VersionTLS12, tls.VersionTLS13, "https tls1.2 tls1.3"},
		{tls.VersionTLS13, tls.VersionTLS13, "https tls1.3"}, {tls.VersionTLS10, tls.VersionTLS13, "https tls1.0 tls1.1 tls1.2 tls1.3"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<title>Web</title>") }))
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tt.least, MaxVersion: tt.most}
			srv.Config.ErrorLog = quietLog()
			srv.StartTLS()
			defer srv.Close()
			got, _ := scan(t, map[Service][]uint16{HTTPS: {portOf(srv.Listener.Addr())}})
			want(t, got, map[probes.FactName]string{"protocols": tt.want, "http_title": "Web"})
			if tt.least < tls.VersionTLS13 { // later it comes encrypted
				want(t, got, map[probes.FactName]string{"vendor": "Fortinet", "serial": "FGT60E4Q16012345", "class": "firewall"})
			}
		})
	}
	// A port that speaks something else is asked once.
	got, l := scan(t, map[Service][]uint16{HTTPS: {plainEcho(t)}})
	if len(got) != 0 || len(l.asked) != 1 {
		t.Errorf("got %v in %d connections", got, len(l.asked))
	}
}

// plainEcho says back what it hears, which is no TLS.
func plainEcho(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(5 * time.Second))
				io.WriteString(c, "400 what?\r\n")
				io.Copy(io.Discard, c)
			})
		}
	})
	return portOf(l.Addr())
}

func TestGreetings(t *testing.T) {
	for _, tt := range []struct {
		service  Service
		greeting string
		want     map[probes.FactName]string
	}{
		{SSH, "SSH-2.0-ROSSSH\r\n", map[probes.FactName]string{"protocols": "ssh2", "ssh_banner": "SSH-2.0-ROSSSH", "vendor": "MikroTik", "class": "router", "os": "RouterOS"}},
		{SSH, "No entry\r\nSSH-1.99-Cisco-1.25\n", map[probes.FactName]string{"protocols": "ssh1 ssh2", "vendor": "Cisco"}},
		{SSH, "SSH-1.5-OldBox\n", map[probes.FactName]string{"protocols": "ssh1", "ssh_banner": "SSH-1.5-OldBox"}},
		{SSH, "220 mail ready\r\n", map[probes.FactName]string{"protocols": "", "ssh_banner": ""}},
		{SSH, strings.Repeat("A", 1<<20), map[probes.FactName]string{"protocols": ""}},
		{Telnet, "\xff\xfd\x18\xff\xfb\x01\r\nMikroTik v6.49.7 (stable)\r\nLogin: ", map[probes.FactName]string{"protocols": "telnet", "vendor": "MikroTik", "version": "6.49.7", "descr": "MikroTik v6.49.7 (stable) Login:"}},
		{Telnet, "\xff\xfd\x18", map[probes.FactName]string{"protocols": "telnet", "descr": ""}},
		{Telnet, "SSH-2.0-x\r\n", map[probes.FactName]string{"protocols": ""}},
		{FTP, "220 office FTP server (MikroTik 6.40.8) ready\r\n", map[probes.FactName]string{"protocols": "ftp", "vendor": "MikroTik", "version": "6.40.8"}},
		{FTP, "hello\r\n", map[probes.FactName]string{"protocols": ""}},
		{H323, "", map[probes.FactName]string{"protocols": "h323"}},
	} {
		t.Run(fmt.Sprintf("%s %.20q", tt.service, tt.greeting), func(t *testing.T) {
			t.Parallel()
			got, _ := scan(t, map[Service][]uint16{tt.service: {greeter(t, tt.greeting)}})
			want(t, got, tt.want)
		})
	}
}

func TestRTSP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		line, _ := bufio.NewReader(c).ReadString('\n')
		if line != "OPTIONS * RTSP/1.0\r\n" {
			t.Errorf("was asked %q", line)
		}
		io.WriteString(c, "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nServer: Dahua Rtsp Server\r\n\r\n")
	}()
	got, _ := scan(t, map[Service][]uint16{RTSP: {portOf(l.Addr())}})
	want(t, got, map[probes.FactName]string{"protocols": "rtsp", "vendor": "Dahua"})
}

// udpHost answers over UDP; reply gets the request and how many came before, and returns what to send.
func udpHost(t *testing.T, reply func(request string, before int) []string) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { c.Close(); all.Wait() })
	all.Go(func() {
		buf := make([]byte, 4096)
		for n := 0; ; n++ {
			size, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, r := range reply(string(buf[:size]), n) {
				c.WriteToUDPAddrPort([]byte(r), from)
			}
		}
	})
	return portOf(c.LocalAddr())
}

func sipLine(request, name string) string {
	for line := range strings.SplitSeq(request, "\r\n") {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return v
		}
	}
	return ""
}

func sipSays(request, status, more string) string {
	return "SIP/2.0 " + status + "\r\nVia: " + sipLine(request, "Via") + "\r\nFrom: " + sipLine(request, "From") + "\r\nTo: " + sipLine(request, "To") +
		";tag=1\r\nCall-ID: " + sipLine(request, "Call-ID") + "\r\nCSeq: 1 OPTIONS\r\n" + more + "Content-Length: 0\r\n\r\n"
}

func TestSIP(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply func(request string, before int) []string
		want  map[probes.FactName]string
	}{
		{"answers", func(r string, _ int) []string {
			return []string{sipSays(r, "200 OK", "User-Agent: PolycomRealPresenceGroup500/6.2.2\r\n")}
		}, map[probes.FactName]string{"protocols": "sip", "sip_agent": "PolycomRealPresenceGroup500/6.2.2", "vendor": "Polycom", "model": "RealPresence Group 500", "version": "6.2.2"}},
		{"refuses, after trying and what is somebody else's", func(r string, _ int) []string {
			return []string{"garbage", sipSays(r, "100 Trying", "Server: Wrong\r\n"), strings.Replace(sipSays(r, "200 OK", "Server: Stranger\r\n"), "Call-ID: ", "Call-ID: x", 1),
				sipSays(r, "405 Method Not Allowed", "Server: Yealink SIP-T46S 66.85.0.5\r\n")}
		}, map[probes.FactName]string{"protocols": "sip", "sip_agent": "Yealink SIP-T46S 66.85.0.5", "model": "SIP-T46S", "class": "phone"}},
		{"answers the second time", func(r string, before int) []string {
			if before == 0 {
				return nil
			}
			return []string{sipSays(r, "200 OK", "Server: Asterisk PBX 16\r\n")}
		}, map[probes.FactName]string{"protocols": "sip", "sip_agent": "Asterisk PBX 16", "vendor": ""}},
		{"says nothing of itself", func(r string, _ int) []string { return []string{sipSays(r, "404 Not Found", "")} }, map[probes.FactName]string{"protocols": "sip", "sip_agent": ""}},
		{"floods with nonsense", func(string, int) []string { return strings.Split(strings.Repeat("SIP/2.0 200 OK\r\n\r\n|", 30), "|") }, map[probes.FactName]string{"protocols": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			port := udpHost(t, func(request string, before int) []string {
				asked.Store(int32(before + 1))
				if !strings.HasPrefix(request, "OPTIONS sip:127.0.0.1:") || !strings.HasSuffix(request, "\r\n\r\n") || strings.Contains(request, "Authorization") {
					t.Errorf("was asked %q", request)
				}
				return tt.reply(request, before)
			})
			got, _ := scan(t, map[Service][]uint16{SIP: {port}})
			want(t, got, tt.want)
			if n := asked.Load(); n > 2 {
				t.Errorf("was asked %d times", n)
			}
			if strings.HasPrefix(tt.name, "refuses") && !strings.Contains(got["sip_agent"].Source, "405") {
				t.Errorf("the code is not part of the evidence: %s", got["sip_agent"].Source)
			}
		})
	}
}

func TestSIPOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		request := string(listen(c, headerEnds))
		io.WriteString(c, sipSays(request, "200 OK", "Server: TANDBERG/529 (ce9.15.0.11.f1a4c19b8ae)\r\n"))
	}()
	got, _ := scan(t, map[Service][]uint16{SIPTCP: {portOf(l.Addr())}})
	want(t, got, map[probes.FactName]string{"protocols": "sip", "vendor": "Cisco", "class": "videoconference"})
}

func TestHostIsSilentOrGone(t *testing.T) {
	closed := closedPort(t)
	ports := map[Service][]uint16{}
	for _, s := range Services() {
		ports[s] = []uint16{closed}
	}
	if got, _ := scan(t, ports); len(got) != 0 {
		t.Errorf("nothing listens, and yet %v", got)
	}

	// The caller may refuse an address; that is told, since nothing was asked.
	refused := errors.New("not allowed")
	_, err := Host(t.Context(), host, Options{Ports: map[Service][]uint16{SSH: {22}}, Dial: func(context.Context, string, netip.AddrPort) (net.Conn, error) {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "dial: %w", refused)
	}})
	if !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}

func TestHostStopsWithItsContext(t *testing.T) {
	port := greeter(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
	start := time.Now()
	_, err := Host(ctx, host, Options{Dial: (&line{}).dial, Ports: map[Service][]uint16{SSH: {port, port, port}}, Timeout: time.Minute})
	if !errors.Is(err, context.Canceled) || time.Since(start) > 3*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

func TestCard(t *testing.T) {
	facts, err := Host(t.Context(), host, Options{Dial: (&line{}).dial, Ports: map[Service][]uint16{}, Rules: builtIn(t), MAC: net.HardwareAddr{0, 0x0c, 0x42, 1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[probes.FactName]probes.Fact{}
	for _, f := range facts {
		got[f.Name] = f
	}
	if got["mac"].Value != "00:0c:42:01:02:03" || got["vendor"].Value != "MikroTik" || got["vendor"].Confidence > 0.4 {
		t.Errorf("got %+v", facts)
	}
}

const igd = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:%s:1</deviceType>
<manufacturer>TP-LINK</manufacturer><modelName>TP-LINK TL-WR841N</modelName><serialNumber>%s</serialNumber></device></root>`

func TestUPnP(t *testing.T) {
	for _, tt := range []struct {
		kind, serial string
		elsewhere    bool
		asked        int
		want         map[probes.FactName]string
	}{
		{"InternetGatewayDevice", "2148A0B1C2", false, 2, map[probes.FactName]string{"protocols": "upnp", "vendor": "TP-Link", "model": "TL-WR841N", "serial": "2148A0B1C2", "class": "router"}},
		{"Basic", "00000000", false, 2, map[probes.FactName]string{"vendor": "TP-Link", "serial": "", "class": ""}},
		{"MediaServer", "1", false, 2, map[probes.FactName]string{"protocols": "upnp", "vendor": "", "model": ""}}, // a program may call itself anything
		{"InternetGatewayDevice", "1", true, 1, map[probes.FactName]string{"protocols": "upnp", "vendor": ""}},
	} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, igd, tt.kind, tt.serial) }))
		location := web.URL + "/igd.xml"
		if tt.elsewhere {
			location = "http://127.0.0.2/igd.xml"
		}
		got, l := scan(t, map[Service][]uint16{UPnP: {udpHost(t, func(string, int) []string {
			return []string{"noise", "HTTP/1.1 200 OK\r\nLOCATION: " + location + "\r\n\r\n"}
		})}})
		want(t, got, tt.want)
		if len(l.asked) != tt.asked {
			t.Errorf("%s: asked %v", tt.kind, l.asked)
		}
		web.Close()
	}
}

func TestONVIF(t *testing.T) {
	got, _ := scan(t, map[Service][]uint16{ONVIF: {udpHost(t, func(string, int) []string {
		return []string{`<E:Envelope xmlns:E="x"><E:Body><ProbeMatches><ProbeMatch><Types>dn:NetworkVideoTransmitter</Types><Scopes>onvif://www.onvif.org/hardware/DS-2CD2032-I onvif://www.onvif.org/name/HIKVISION%20DS-2CD2032-I</Scopes></ProbeMatch></ProbeMatches></E:Body></E:Envelope>`}
	})}})
	want(t, got, map[probes.FactName]string{"protocols": "onvif", "vendor": "Hikvision", "model": "DS-2CD2032-I", "class": "camera"})
}

func TestNetBIOS(t *testing.T) {
	got, _ := scan(t, map[Service][]uint16{NetBIOS: {udpHost(t, func(request string, _ int) []string {
		answer := request[:2] + "\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00" + request[12:50] + "\x00\x00\x00\x00\x00\x41\x01" +
			"PC-07          \x00\x04\x00" + "\x44\x8a\x5b\x01\x02\x03"
		return []string{answer}
	})}})
	want(t, got, map[probes.FactName]string{"protocols": "netbios", "name": "PC-07", "mac": "44:8a:5b:01:02:03"})
}
