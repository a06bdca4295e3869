package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"communewatch/probes"
	"communewatch/probes/bind"
)

func server(transport string, a net.Addr) Server {
	ap := netip.MustParseAddrPort(a.String())
	return Server{Transport: transport, Host: ap.Addr().String(), Port: ap.Port()}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string]string{
		"10.1.2.3": "10.1.2.3 0", "10.1.2.3:5060": "10.1.2.3 5060", "portal.example.gov.vn:443": "portal.example.gov.vn 443",
		"a": "a 0", "under_score-.x": "under_score-.x 0", "2001:db8::1": "2001:db8::1 0", "[2001:db8::1]": "2001:db8::1 0", "[2001:DB8::1]:99": "2001:DB8::1 99",
		"fe80::1%eth0": "fe80::1%eth0 0", "trailing.dot.": "trailing.dot. 0",
	} {
		host, port, err := Split(in)
		if got := fmt.Sprintf("%s %d", host, port); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", ":5060", "a:", "a:0", "a:65536", "a:-1", "a:http", "a b", "a/b", "a@b", "a\n", "[::1", "[10.1.2.3]", "[x]:1", "-a", strings.Repeat("x", 300), "a:1:2"} {
		if host, port, err := Split(in); err == nil {
			t.Errorf("%.20q was taken for %q, %d", in, host, port)
		} else if len(err.Error()) > 250 {
			t.Errorf("%.20q: %v", in, err)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("Codec 2.3", 10)
	f.Add("a\r\nX-Injected: b\x00\xff\u202e\u00a0", 50)
	f.Add(strings.Repeat("ộ", 50), 7)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most &= 0xFF
		got := Text(s, most)
		if len(got) > most || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\u202e") || got != strings.TrimSpace(got) {
			t.Errorf("%q to %d bytes: %q", s, most, got)
		}
	})
}

func TestWhatWasOpenedIsTold(t *testing.T) {
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	roots := web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs

	c, err := server(TLS, web.Listener.Addr()).Open(t.Context(), bind.Binding{}, Trust{Roots: roots}, 30*time.Second)
	if err != nil || !c.Connected || c.Connect <= 0 || c.TLS <= 0 || c.Expires.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	c.Close()

	c, err = server(TLS, web.Listener.Addr()).Open(t.Context(), bind.Binding{}, Trust{}, 30*time.Second)
	if probes.OutcomeOf(err) != probes.OutcomeFailed || !c.Connected || c.TLS != 0 || c.Expires.IsZero() || c.Conn != nil {
		t.Errorf("unknown authority: %+v, %v", c, err)
	}
	c.Close() // nothing to close, and no harm

	c, err = server(TCP, web.Listener.Addr()).Open(t.Context(), bind.Binding{}, Trust{}, 30*time.Second)
	if err != nil || !c.Connected || c.TLS != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	c.Close()
}

// A port that takes connections and then says nothing must not hold a run up beyond its time.
func TestSilentHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c, err := server(TLS, l.Addr()).Open(ctx, bind.Binding{}, Trust{}, 30*time.Second)
	if probes.OutcomeOf(err) != probes.OutcomeTimeout || err.Error() != "the port takes connections but does not answer a TLS handshake" || !c.Connected {
		t.Errorf("%+v, %v", c, err)
	}

	// The same without an end of the context's own.
	begin := time.Now()
	c, err = server(TLS, l.Addr()).Open(t.Context(), bind.Binding{}, Trust{}, 2*time.Second)
	if probes.OutcomeOf(err) != probes.OutcomeTimeout || err.Error() != "the port takes connections but does not answer a TLS handshake" || time.Since(begin) < 2*time.Second {
		t.Errorf("%+v, %v after %v", c, err, time.Since(begin))
	}

	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			conn.Read(make([]byte, 1)) // the handshake has begun
		}
		cancel()
	}()
	if _, err := server(TLS, l.Addr()).Open(ctx, bind.Binding{}, Trust{}, 30*time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// The end of the context ends a read that waits.
func TestContextEndsAConnection(t *testing.T) {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := server(UDP, u.LocalAddr()).Open(ctx, bind.Binding{}, Trust{}, time.Second)
	if err != nil || c.Connected || c.Connect != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	defer c.Close()
	cancel()
	if _, err := c.Read(make([]byte, 1)); probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("read: %v", err)
	}
}

// Sockets of all transports belong to the path: where its device or address is not there, nothing is sent.
func TestSocketsAreBound(t *testing.T) {
	for _, transport := range []string{UDP, TCP, TLS} {
		for _, b := range []bind.Binding{{Device: "no-such-device"}, {Source: netip.MustParseAddr("203.0.113.77")}} {
			c, err := Server{Transport: transport, Host: "127.0.0.1", Port: 9}.Open(t.Context(), b, Trust{}, time.Second)
			if probes.OutcomeOf(err) != probes.OutcomeUnbound {
				t.Errorf("%s, %+v: %v (%v)", transport, b, probes.OutcomeOf(err), err)
			}
			c.Close()
		}
	}
	_, err := Server{Transport: UDP, Host: "no-such-name.invalid", Port: 9}.Open(t.Context(), bind.Binding{}, Trust{}, 2*time.Second)
	if probes.OutcomeOf(err) != probes.OutcomeUnresolved {
		t.Errorf("unknown name: %v", err)
	}
}
