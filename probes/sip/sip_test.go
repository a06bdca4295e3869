package sip

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"strings"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/peertest"
)

// ask runs one probe of the address.
func ask(t testing.TB, address string, edit func(*Options)) (probes.Point, error) {
	t.Helper()
	o := DefaultOptions()
	o.Timeout = 30 * time.Second
	if edit != nil {
		edit(&o)
	}
	p, err := New(probes.Target{Name: "x", Kind: probes.KindSIP, Address: address}, bind.Binding{}, o)
	if err != nil {
		t.Fatal(err)
	}
	points, err := p.Probe(context.Background())
	if len(points) != 1 || points[0].Measurement != "sip" {
		t.Fatalf("got %+v, %v", points, err)
	}
	return points[0], err
}

// shown is the fields of a point that do not depend on time.
func shown(p probes.Point) string {
	var out []string
	for _, f := range p.Fields {
		switch {
		case strings.HasSuffix(f.Key, "_seconds"):
		case f.Type == probes.TypeString:
			out = append(out, f.Key+"="+f.Str)
		default:
			out = append(out, fmt.Sprintf("%s=%v", f.Key, f.Num))
		}
	}
	return strings.Join(out, " ")
}

// answer makes a response to a request: the headers that RFC 3261 8.2.6 wants copied, and more.
func answer(request, status, more string) string {
	r := textproto.NewReader(bufio.NewReader(strings.NewReader(request)))
	r.ReadLine()
	h, _ := r.ReadMIMEHeader()
	return fmt.Sprintf("SIP/2.0 %s\r\nVia: %s;received=127.0.0.1\r\nFrom: %s\r\nTo: %s;tag=abc\r\nCall-ID: %s\r\nCSeq: %s\r\n%sContent-Length: 0\r\n\r\n",
		status, h.Get("Via"), h.Get("From"), h.Get("To"), h.Get("Call-Id"), h.Get("Cseq"), more)
}

// serveUDP answers each datagram by what reply returns.
func serveUDP(t testing.TB, reply func(n int, request string) []string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for n := 1; ; n++ {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, r := range reply(n, string(buf[:size])) {
				conn.WriteTo([]byte(r), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// request reads one request, without body.
func request(conn net.Conn) string {
	var b strings.Builder
	for r := bufio.NewReader(conn); !strings.HasSuffix(b.String(), "\r\n\r\n"); {
		line, err := r.ReadString('\n')
		if err != nil {
			return ""
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestAnyFinalResponseIsALife(t *testing.T) {
	for _, status := range []string{"200 OK", "302 Moved Temporarily", "401 Unauthorized", "403 Forbidden", "404 Not Found", "405 Method Not Allowed",
		"483 Too Many Hops", "486 Busy Here", "501 Not Implemented", "503 Service Unavailable", "603 Decline"} {
		more := "Server: Box 1\r\nUser-Agent: Codec 2.3\r\nAllow: INVITE, ACK\r\nAllow: OPTIONS\r\nContact: <<<broken\r\n"
		at := serveUDP(t, func(_ int, r string) []string { return []string{answer(r, status, more)} })
		p, err := ask(t, at, nil)
		if err != nil {
			t.Errorf("%s: %v", status, err)
		}
		code, reason, _ := strings.Cut(status, " ")
		if want := "transport=udp retransmits=0 code=" + code + " reason=" + reason + " user_agent=Codec 2.3 allow=INVITE, ACK, OPTIONS"; shown(p) != want {
			t.Errorf("got %s, want %s", shown(p), want)
		}
		if f, ok := p.Field("response_seconds"); !ok || f.Num <= 0 {
			t.Errorf("response_seconds = %+v", f)
		}
	}
}

func TestRequestIsWellFormed(t *testing.T) {
	seen := make(chan string, 2)
	at := serveUDP(t, func(_ int, r string) []string {
		seen <- r
		return []string{answer(r, "200 OK", "")}
	})
	var first []string
	for range 2 {
		if _, err := ask(t, "sip:room@"+at, func(o *Options) { o.MaxForwards = 0 }); err != nil {
			t.Fatal(err)
		}
		r := <-seen
		want := regexp.MustCompile(`^OPTIONS sip:room@` + at + ` SIP/2\.0\r\n` +
			`Via: SIP/2\.0/UDP 127\.0\.0\.1:\d+;branch=(z9hG4bK\w{20,});rport\r\n` +
			`Max-Forwards: 0\r\nFrom: <sip:communewatch@127\.0\.0\.1>;tag=(\w{20,})\r\nTo: <sip:room@` + at + `>\r\n` +
			`Call-ID: (\w{20,})\r\nCSeq: 1 OPTIONS\r\nContact: <sip:communewatch@127\.0\.0\.1:\d+>\r\n` +
			`Accept: application/sdp\r\nUser-Agent: communewatch-agent\r\nContent-Length: 0\r\n\r\n$`)
		m := want.FindStringSubmatch(r)
		if m == nil {
			t.Fatalf("got %q", r)
		}
		for i := range first {
			if first[i] == m[1:][i] {
				t.Errorf("two requests share %q", first[i])
			}
		}
		first = m[1:]
	}
}

func TestLostRequestIsSentAgain(t *testing.T) {
	at := serveUDP(t, func(n int, r string) []string {
		if n < 3 {
			return nil
		}
		return []string{answer(r, "100 Trying", ""), answer(r, "200 OK", "")}
	})
	p, err := ask(t, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := p.Field("retransmits"); f.Num < 2 {
		t.Errorf("retransmits = %v, want 2", f.Num)
	}
	if f, _ := p.Field("response_seconds"); f.Num < 1.5 {
		t.Errorf("answered after %v s; the third request goes out after 1.5 s", f.Num)
	}
}

func TestOthersAnswersArePassedOver(t *testing.T) {
	swap := func(s, old, new string) string {
		out := strings.Replace(s, old, new, 1)
		if out == s {
			panic(old + " is not there")
		}
		return out
	}
	at := serveUDP(t, func(_ int, r string) []string {
		ok := answer(r, "200 OK", "")
		return []string{
			"", "\r\n\r\n", "garbage", strings.Repeat("x", 9000),
			swap(ok, "branch=z9hG4bK", "branch=z9hG4bKx"),
			swap(ok, "Call-ID: ", "Call-ID: x"),
			swap(ok, "CSeq: 1 OPTIONS", "CSeq: 2 OPTIONS"),
			swap(ok, "CSeq: 1 OPTIONS", "CSeq: 1 INVITE"),
			swap(ok, "SIP/2.0 200", "SIP/2.0 999"),
			swap(ok, "SIP/2.0 200", "SIP/2.0 0"),
			swap(ok, "SIP/2.0 200", "SIP/3.0 200"),
			r, ok[:len(ok)/2],
			answer(r, "486 Busy Here", ""),
		}
	})
	p, err := ask(t, at, nil)
	if f, _ := p.Field("code"); err != nil || f.Num != 486 {
		t.Errorf("code %v (%v), want 486", f.Num, err)
	}
}

func TestSilenceOverUDP(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply func(int, string) []string
		in    string
	}{
		{"nothing", func(int, string) []string { return nil }, "no answer to OPTIONS"},
		{"garbage", func(int, string) []string { return []string{"SSH-2.0-OpenSSH_9"} }, "no answer to OPTIONS; what came instead answers something else or is not SIP"},
		{"trying", func(_ int, r string) []string { return []string{answer(r, "100 Trying", "")} }, "no final answer to OPTIONS, only that it is being worked on"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := ask(t, serveUDP(t, tc.reply), func(o *Options) { o.Timeout = 3 * time.Second })
			if probes.OutcomeOf(err) != probes.OutcomeTimeout || err.Error() != tc.in {
				t.Errorf("%v (%v)", probes.OutcomeOf(err), err)
			}
			if f, ok := p.Field("retransmits"); !ok || f.Num > 2 {
				t.Errorf("%v retransmits in 3 s; they are due after 0.5, 1.5 and 3.5 s", f.Num)
			}
			if _, ok := p.Field("code"); ok {
				t.Error("has a code")
			}
		})
	}

	// A port with nobody behind it answers by ICMP, and by RST over TCP.
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := conn.LocalAddr().String()
	conn.Close()
	p, err := ask(t, at, nil)
	if probes.OutcomeOf(err) != probes.OutcomeRefused || err.Error() != "refused: nothing listens on the UDP port" {
		t.Errorf("closed port: %v (%v)", probes.OutcomeOf(err), err)
	}
	if got, want := shown(p), "transport=udp connected=0 retransmits=0"; got != want {
		t.Errorf("closed port: %s, want %s", got, want)
	}
}

// Many a server takes SIP over TCP alone. Where UDP gets nowhere the result says that this one may be such.
func TestSilentOverUDPButNotOverTCP(t *testing.T) {
	for _, tc := range []struct {
		name    string
		reply   func(int, string) []string // nil: nobody listens
		outcome probes.Outcome
		says    string
		field   string
	}{
		{"refused", nil, probes.OutcomeRefused, "no SIP answer over UDP, but the port takes TCP connections: try transport tcp", "connected=1"},
		{"silent", func(int, string) []string { return nil }, probes.OutcomeTimeout, "no SIP answer over UDP, but the port takes TCP connections: try transport tcp", "connected=1"},
		{"garbage", func(int, string) []string { return []string{"\x00"} }, probes.OutcomeTimeout,
			"no answer to OPTIONS; what came instead answers something else or is not SIP, but the port takes TCP connections: try transport tcp", "connected=1"},
		// Here UDP passes.
		{"trying", func(_ int, r string) []string { return []string{answer(r, "100 Trying", "")} }, probes.OutcomeTimeout,
			"no final answer to OPTIONS, only that it is being worked on", ""},
		{"answered", func(_ int, r string) []string { return []string{answer(r, "200 OK", "")} }, probes.OutcomeOK, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			at := serveBoth(t, tc.reply)
			p, err := ask(t, at, func(o *Options) {
				if o.Timeout = 6 * time.Second; tc.outcome != probes.OutcomeTimeout {
					o.Timeout = 30 * time.Second
				}
			})
			if said := fmt.Sprint(err); probes.OutcomeOf(err) != tc.outcome || err != nil && said != tc.says {
				t.Errorf("%v: %v, want %v: %s", probes.OutcomeOf(err), said, tc.outcome, tc.says)
			}
			got := shown(p)
			if strings.Contains(got, "connected=") != (tc.field != "") || !strings.Contains(got, tc.field) {
				t.Errorf("%s, want %q", got, tc.field)
			}
		})
	}
}

// serveBoth is serveUDP with a TCP port of the same number beside it, which takes connections and says nothing. Without
// a reply there is the latter alone.
func serveBoth(t *testing.T, reply func(int, string) []string) string {
	t.Helper()
	silent := func(conn net.Conn) { bufio.NewReader(conn).WriteTo(&bytes.Buffer{}) }
	if reply == nil {
		return peertest.ServeTCP(t, silent)
	}
	for range 100 {
		at := serveUDP(t, reply)
		l, err := net.Listen("tcp", at)
		if err != nil {
			continue // another program has it
		}
		peertest.Accept(t, l, silent)
		return at
	}
	t.Fatal("found no port that is free for UDP and TCP")
	return ""
}

// A request of the server's own may have very many lines; each is looked at once.
func TestLongHeadIsReadInOneGo(t *testing.T) {
	head := "OPTIONS sip:you@127.0.0.1 SIP/2.0\r\n" + strings.Repeat("\n", maxHead-100) + "\r\n"
	allocs := testing.AllocsPerRun(1, func() {
		if got, err := readHead(bufio.NewReader(strings.NewReader(head))); err != nil || len(got) != len(head) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	if allocs > 1000 {
		t.Errorf("%.0f allocations for %d lines", allocs, strings.Count(head, "\n"))
	}
}

func TestStreams(t *testing.T) {
	// Keep-alives, a request of the server's own with a body, a provisional response, one to somebody else, in pieces.
	at := peertest.ServeTCP(t, func(conn net.Conn) {
		r := request(conn)
		own := "OPTIONS sip:you@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKq\r\nCall-ID: q\r\nCSeq: 1 OPTIONS\r\nContent-Length: 9\r\n\r\nSIP/2.0 2"
		other := strings.Replace(answer(r, "200 OK", ""), "Call-ID: ", "Call-ID: x", 1)
		all := "\r\n\r\n" + own + answer(r, "100 Trying", "") + other + answer(r, "404 Not Found", "Server: "+strings.Repeat("é", 5000)+"\r\n")
		for part := range strings.SplitAfterSeq(all, ":") {
			conn.Write([]byte(part))
		}
	})
	p, err := ask(t, at, func(o *Options) { o.Transport = "tcp" })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shown(p), "transport=tcp connected=1 retransmits=0 code=404 reason=Not Found user_agent="+strings.Repeat("é", 60); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if f, ok := p.Field("connect_seconds"); !ok || f.Num <= 0 {
		t.Errorf("connect_seconds = %+v", f)
	}
}

func TestPortThatDoesNotSpeakSIP(t *testing.T) {
	const words = "the port takes connections but does not speak SIP: "
	for _, tc := range []struct {
		name    string
		serve   func(conn net.Conn)
		outcome probes.Outcome
		in      string
	}{
		{"silent", func(conn net.Conn) { bufio.NewReader(conn).WriteTo(&bytes.Buffer{}) }, probes.OutcomeTimeout, "no answer to OPTIONS"},
		{"closes", func(conn net.Conn) { request(conn) }, probes.OutcomeFailed, "it closed without an answer to OPTIONS"},
		{"cut", func(conn net.Conn) { r := answer(request(conn), "200 OK", ""); conn.Write([]byte(r[:40])) }, probes.OutcomeFailed, "it closed without an answer to OPTIONS"},
		{"another protocol", func(conn net.Conn) { request(conn); conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, probes.OutcomeFailed, "its answer is something else"},
		{"endless", func(conn net.Conn) {
			request(conn)
			conn.Write([]byte("SIP/2.0 200 OK\r\n"))
			for conn.SetWriteDeadline(time.Now().Add(20 * time.Second)); ; {
				if _, err := conn.Write([]byte("X: " + strings.Repeat("x", 1000) + "\r\n")); err != nil {
					return
				}
			}
		}, probes.OutcomeFailed, "its answer is longer than SIP's are"},
		{"huge body", func(conn net.Conn) {
			r := strings.Replace(answer(request(conn), "100 Trying", ""), "Content-Length: 0", "Content-Length: 4294967295", 1)
			conn.Write([]byte(r))
		}, probes.OutcomeFailed, "its answer is longer than SIP's are"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, err := ask(t, peertest.ServeTCP(t, tc.serve), func(o *Options) {
				o.Transport = "tcp"
				if tc.outcome == probes.OutcomeTimeout {
					o.Timeout = 2 * time.Second
				}
			})
			if probes.OutcomeOf(err) != tc.outcome || err.Error() != words+tc.in {
				t.Errorf("%v (%v), want %v: %s", probes.OutcomeOf(err), err, tc.outcome, tc.in)
			}
			if f, _ := p.Field("connected"); f.Num != 1 {
				t.Errorf("connected is not told: %s", shown(p))
			}
		})
	}
	plain := peertest.ServeTCP(t, func(conn net.Conn) { conn.Write([]byte("220 ready\r\n")); conn.Read(make([]byte, 1000)) })
	p, err := ask(t, plain, func(o *Options) { o.Transport = "tls" })
	if f, _ := p.Field("connected"); probes.OutcomeOf(err) != probes.OutcomeFailed || f.Num != 1 || !strings.HasPrefix(err.Error(), "the port takes connections but the TLS handshake fails") {
		t.Errorf("no TLS: %v, %s", err, shown(p))
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	p, err = ask(t, "sip:"+closed+";transport=tcp", nil)
	if f, ok := p.Field("connected"); probes.OutcomeOf(err) != probes.OutcomeRefused || !ok || f.Num != 0 {
		t.Errorf("closed port: %v, %s", err, shown(p))
	}
}

func TestStopsWhenCanceled(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		ctx, cancel := context.WithCancel(context.Background())
		at := serveUDP(t, func(int, string) []string { cancel(); return nil })
		if transport == "tcp" {
			at = peertest.ServeTCP(t, func(conn net.Conn) { request(conn); cancel(); request(conn) })
		}
		o := DefaultOptions()
		o.Transport, o.Timeout = transport, 30*time.Second
		p, err := New(probes.Target{Address: at}, bind.Binding{}, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = p.Probe(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", transport, err)
		}
		cancel()
	}
}

func TestAddresses(t *testing.T) {
	for _, tc := range []struct{ address, transport, want string }{
		{"10.1.2.3", "", "udp 10.1.2.3 5060 sip:10.1.2.3"},
		{"10.1.2.3", "tls", "tls 10.1.2.3 5061 sip:10.1.2.3;transport=tls"},
		{"sbc.example.gov.vn:5070", "tcp", "tcp sbc.example.gov.vn 5070 sip:sbc.example.gov.vn:5070;transport=tcp"},
		{"sip:10.1.2.3;transport=TCP", "", "tcp 10.1.2.3 5060 sip:10.1.2.3;transport=tcp"},
		{"SIPS:10.1.2.3", "", "tls 10.1.2.3 5061 sips:10.1.2.3"},
		{"sips:meet@10.1.2.3:5071", "tls", "tls 10.1.2.3 5071 sips:meet@10.1.2.3:5071"},
		{"2001:db8::1", "", "udp 2001:db8::1 5060 sip:[2001:db8::1]"},
		{"sip:[2001:db8::1]:5062", "", "udp 2001:db8::1 5062 sip:[2001:db8::1]:5062"},
		{"sip", "", "udp sip 5060 sip:sip"},
		{"fe80::1%eth0", "", "udp fe80::1%eth0 5060 sip:[fe80::1]"},
		{"", "", ""}, {"a b", "", ""}, {"10.1.2.3:0", "", ""}, {"10.1.2.3:70000", "", ""}, {"http://10.1.2.3/", "", ""},
		{"sip:a\r\nX: y@10.1.2.3", "", ""}, {"sip:10.1.2.3;lr", "", ""}, {"sip:10.1.2.3;transport=sctp", "", ""},
		{"sip:10.1.2.3;transport=tcp", "udp", ""}, {"sips:10.1.2.3", "udp", ""}, {"sip:10.1.2.3?Subject=x", "", ""},
	} {
		got := ""
		p, err := parseAddress(tc.address, tc.transport)
		if err == nil {
			got = fmt.Sprintf("%s %s %d %s", p.Transport, p.Host, p.Port, p.uri.String())
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
		{"10.0.0.1", "max_forwards", func(o *Options) { o.MaxForwards = 71 }},
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

// Whatever comes, a response counts only with the three marks of the request, and what is kept of it is bounded.
func FuzzResponse(f *testing.F) {
	p, err := parseAddress("10.0.0.1", "")
	if err != nil {
		f.Fatal(err)
	}
	q := newQuestion(p, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}, 70)
	q.branch, q.callID = "z9hG4bKbranch", "id"
	ok := "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bKbranch\r\nCall-ID: id\r\nCSeq: 1 OPTIONS\r\nServer: x\r\nContent-Length: 0\r\n\r\n"
	for _, s := range []string{ok, "\r\n" + ok, ok + ok, ok[:50], strings.ReplaceAll(ok, "\r\n", "\n"), strings.Replace(ok, "0\r\n", "99999999999\r\n", 1),
		strings.Replace(ok, "Via: ", "v: SIP/2.0/UDP [::1;branch=,", 1), strings.Replace(ok, "Server: ", "Allow:\r\n ", 1), "OPTIONS sip:x SIP/2.0\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		q := *q
		msg, _ := parse(data)
		if q.take(msg) == final {
			for _, mark := range []string{"z9hG4bKbranch", "id", "OPTIONS"} {
				if !bytes.Contains(data, []byte(mark)) && !strings.Contains(strings.ToUpper(string(data)), strings.ToUpper(mark)) {
					t.Errorf("accepted without %q: %q", mark, data)
				}
			}
			if q.code < 200 || q.code > 699 || len(q.reason) > maxText || len(q.agent) > maxText || len(q.allow) > maxAllow {
				t.Errorf("kept %d %q %q %q", q.code, q.reason, q.agent, q.allow)
			}
		}
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			request(far)
			far.Write(data)
		}()
		stream := question{text: q.text, branch: q.branch, callID: q.callID}
		stream.stream(context.Background(), near)
		near.Close()
		if len(stream.reason) > maxText || stream.answered && stream.code < 200 {
			t.Errorf("kept %d %q", stream.code, stream.reason)
		}
	})
}
