package gear

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/deploy/lab/relay"
	"communewatch/probes"
)

const lineBlock = Block(194)

// TestEndpointsAnswerOptionsByUDP, as old ones do, with what belongs into a response.
func TestEndpointsAnswerOptionsByUDP(t *testing.T) {
	defer goleak.VerifyNone(t)
	g, err := Start(lineBlock, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ask := func(request string) (string, error) {
		conn, err := net.Dial("udp", netip.AddrPortFrom(lineBlock.Addr(0, HostEndpoint), PortSIP).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			return "", err
		}
		conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		buf := make([]byte, 2000)
		n, err := conn.Read(buf)
		return string(buf[:n]), err
	}
	const options = "OPTIONS sip:room@127.0.0.1 SIP/2.0\r\nv: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKy\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:room@127.0.0.1>\r\ni: 42\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n"
	var answer string
	for begin := time.Now(); answer == "" && time.Since(begin) < 20*time.Second; {
		answer, _ = ask(options) // a busy machine may need another half second
	}
	for _, want := range []string{"SIP/2.0 200 OK\r\n", "branch=z9hG4bKx\r\n", "branch=z9hG4bKy\r\n", "To: <sip:room@127.0.0.1>;tag=", "Call-ID: 42\r\n", "CSeq: 7 OPTIONS\r\n"} {
		if !strings.Contains(answer, want) {
			t.Errorf("%q is not in\n%s", want, answer)
		}
	}
	for _, junk := range []string{"INVITE sip:x SIP/2.0\r\n\r\n", "OPTIONS", "\x00\x01", strings.Repeat("x", 1400)} {
		if got, err := ask(junk); err == nil {
			t.Errorf("%.20q got %q", junk, got)
		}
	}
	if err := g.Set(0, "endpoint-sip", Fault{Mode: Hang}); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(options); err == nil {
		t.Errorf("while it hangs: %q", got)
	}
}

// TestLinesLeadToTheHub for every site, and end with the equipment.
func TestLinesLeadToTheHub(t *testing.T) {
	defer goleak.VerifyNone(t)
	hub := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s from %s", r.URL.Path, r.RemoteAddr[:strings.LastIndex(r.RemoteAddr, ":")])
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- hub.Serve(l) }()
	defer func() {
		hub.Close()
		<-served
	}()
	g, err := Start(lineBlock, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.AddLines(lineBlock, 3, "http://"+l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	for i := range 3 {
		at := lineBlock.Addr(i, HostDedicated)
		resp, err := client.Get(fmt.Sprintf("http://%s:%d/whip/echo", at, PortCall))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(text) != "/whip/echo from "+at.String() {
			t.Errorf("site %d: %s, %v", i, text, err)
		}
	}
	if err := g.SetLine(7, "", relay.Way{}); err == nil {
		t.Error("a site that is not there has a line")
	}
	if err := g.SetLine(1, probes.DirectionUp, relay.Way{Cut: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(fmt.Sprintf("http://%s:%d/whip/echo", lineBlock.Addr(1, HostDedicated), PortCall)); err == nil {
		t.Error("a line that is cut still carries signalling")
	}
}
