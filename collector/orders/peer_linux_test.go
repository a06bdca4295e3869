package orders_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	hub "communewatch/collector/orders"
	"communewatch/probes/orders"
	"communewatch/probes/wire"
)

// An agent whose machine is switched off leaves a connection that nobody closes. The system is told to give it up, with
// and without TLS.
func TestVanishedAgentIsGivenUp(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "tls": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			c := newCentre(t, hub.Options{})
			conns := make(chan net.Conn, 1)
			server := httptest.NewUnstartedServer(c.hub.Handler())
			server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
				conns <- conn
				return hub.WithConn(ctx, conn)
			}
			start(server)
			defer server.Close()
			defer c.stop()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+orders.Path, nil)
			req.Header.Set("Authorization", "Bearer s1")
			req.Header.Set(wire.HeaderAgent, "pc")
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			conn := <-conns
			if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
				conn = secure.NetConn()
			}
			raw, err := conn.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var ms int
			if cerr := raw.Control(func(fd uintptr) { ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); cerr != nil || err != nil {
				t.Fatal(cerr, err)
			}
			if d := time.Duration(ms) * time.Millisecond; d < 20*time.Second || d > time.Minute {
				t.Errorf("silence is borne for %v", d)
			}
		})
	}
}
