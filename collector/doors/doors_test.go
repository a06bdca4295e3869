package doors

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/authority"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeListener hands out one half of pipes, each from an address of its choice.
type fakeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newFakeListener() *fakeListener {
	return &fakeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8787} }

type pipe struct {
	net.Conn
	from net.Addr
}

func (p pipe) RemoteAddr() net.Addr { return p.from }

// dial connects from an address and returns the client's end.
func (l *fakeListener) dial(from string) net.Conn {
	near, far := net.Pipe()
	addr, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		panic(err)
	}
	l.conns <- pipe{far, addr}
	return near
}

// serve runs doors on a fake listener.
func serve(t *testing.T, limits Limits, s Serve) (l *fakeListener, log *bytes.Buffer, stop func()) {
	t.Helper()
	l, log = newFakeListener(), &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	d := &Doors{listener: count(l, limits, logger), log: logger}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, s) }()
	return l, log, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	io.WriteString(w, "ok")
})

// ended waits for the other side to hang up, and returns how long that took and what it said before.
func ended(c net.Conn) (took time.Duration, said string) {
	begin := time.Now()
	data, _ := io.ReadAll(c)
	return time.Since(begin), string(data)
}

// Clients that say nothing, or say it slowly, are let go.
func TestSlowClientsAreLetGo(t *testing.T) {
	a, err := authority.Open(t.TempDir(), authority.Options{Names: []string{"localhost"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	plain := Routes{API: ok, Web: ok, People: func(h http.Handler) http.Handler { return h }}.Handler()
	for name, tt := range map[string]struct {
		tls   *tls.Config
		say   string
		after time.Duration // a byte a second is said from then on
		most  time.Duration
	}{
		"nothing":              {nil, "", 0, headerWait},
		"half a header":        {nil, "GET / HTTP/1.1\r\nHost: x\r\n", 0, headerWait},
		"no handshake":         {a.TLSConfig(), "", 0, headerWait},
		"half a handshake":     {a.TLSConfig(), "\x16\x03\x01\x02\x00", 0, headerWait},
		"a body that is slow":  {nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 0, bodyTime + 2*time.Second},
		"a body without end":   {nil, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 0, maxBodyTime + 2*time.Second},
		"nothing more to say":  {nil, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, idleTimeout},
		"a header that drips":  {nil, "GET / HTTP/1.1\r\nX: ", time.Second, headerWait},
		"a huge header's part": {nil, "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 2*headerBytes), 0, headerWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _, stop := serve(t, DefaultLimits(), Serve{Handler: plain, TLS: tt.tls})
				defer stop()
				c := l.dial("192.0.2.7:1000")
				defer c.Close()
				quit := make(chan struct{})
				defer func() { <-quit }()
				go func() {
					defer close(quit)
					if _, err := io.WriteString(c, tt.say); err != nil || tt.after == 0 {
						return
					}
					for {
						time.Sleep(tt.after)
						if _, err := c.Write([]byte{'x'}); err != nil {
							return
						}
					}
				}()
				if took, said := ended(c); took > tt.most+time.Second {
					t.Errorf("let go after %v, want %v at most; it was told %q", took, tt.most, said)
				}
				c.Close()
			})
		})
	}
}

// A body that keeps coming at the speed of a bad line is waited for, and the handler has its time afterwards.
func TestABodyOverABadLineArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			data, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			select {
			case <-time.After(4 * time.Minute): // a long answer, such as a report
				fmt.Fprint(w, len(data))
			case <-r.Context().Done():
			}
		})
		l, _, stop := serve(t, DefaultLimits(), Serve{Handler: Routes{API: long, Web: long, People: func(h http.Handler) http.Handler { return h }}.Handler()})
		defer stop()
		c := l.dial("192.0.2.7:1000")
		defer c.Close()
		const size, part = 1 << 20, 32 << 10
		go func() {
			fmt.Fprintf(c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
			for range size / part {
				time.Sleep(2 * time.Second)
				c.Write(make([]byte, part))
			}
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if data, _ := io.ReadAll(resp.Body); string(data) != fmt.Sprint(size) {
			t.Errorf("%s %s", resp.Status, data)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, log, stop := serve(t, Limits{Connections: 6, PerAddress: 3}, Serve{Handler: ok})
		defer stop()
		open := func(c net.Conn) bool {
			c.SetDeadline(time.Now().Add(time.Second))
			_, err := c.Read(make([]byte, 1))
			return err != nil && strings.Contains(err.Error(), "deadline") || err != nil && strings.Contains(err.Error(), "timeout")
		}
		var held []net.Conn
		hold := func(from string, want bool) {
			t.Helper()
			c := l.dial(from)
			held = append(held, c)
			if open(c) != want {
				t.Errorf("from %s: open is %v, want %v", from, !want, want)
			}
		}
		for i := range 3 {
			hold(fmt.Sprintf("192.0.2.1:%d", 1000+i), true)
		}
		hold("192.0.2.1:2000", false)
		hold("192.0.2.2:1000", true)
		hold("[2001:db8::1]:1000", true)
		hold("[2001:db8::2]:1000", true)
		hold("192.0.2.3:1000", false) // the seventh of all
		hold("127.0.0.1:1000", true)  // not counted
		held[0].Close()
		synctest.Wait()
		hold("192.0.2.1:3000", true)
		for _, c := range held {
			c.Close()
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "too many are open"); n != 1 {
			t.Errorf("logged %d times, want once:\n%s", n, log.String())
		}
		for i := range 3 {
			hold(fmt.Sprintf("[2001:db8::%d]:1", i+1), true)
		}
		hold("[2001:db8:0:0:ffff::1]:1", false) // of the same network
		for _, c := range held {
			c.Close()
		}
	})
}

// All agents of a province behind one address, reconnecting in the same second, are served.
func TestAProvinceReconnectsAtOnce(t *testing.T) {
	a, err := authority.Open(t.TempDir(), authority.Options{Names: []string{"localhost"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // whose time stands still while the processors are busy
		l, _, stop := serve(t, DefaultLimits(), Serve{Handler: ok, TLS: a.TLSConfig()})
		defer stop()
		const agents, connections = 136, 2
		var group sync.WaitGroup
		for i := range agents * connections {
			group.Go(func() {
				raw := l.dial(fmt.Sprintf("192.0.2.1:%d", 1024+i))
				defer raw.Close()
				c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if data, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(data), "ok") {
					t.Errorf("connection %d: %v %.80q", i, err, data)
				}
			})
		}
		group.Wait()
	})
}

func TestRoutes(t *testing.T) {
	says := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })
	}
	h := Routes{Ingest: says("ingest"), Orders: says("orders"), Enroll: says("enroll"), Work: says("work"), Releases: says("releases"), API: says("api"), Web: says("web"),
		People: func(http.Handler) http.Handler { return says("asked") }}.Handler()
	for _, tt := range []struct{ path, from, want string }{
		{"/api/v2/write", "192.0.2.1:1", "ingest"},
		{"/write", "192.0.2.1:1", "ingest"},
		{"/ping", "192.0.2.1:1", "ingest"},
		{"/health", "192.0.2.1:1", "ingest"},
		{"/api/agent/v1/orders", "192.0.2.1:1", "orders"},
		{"/api/agent/v1/enroll", "192.0.2.1:1", "enroll"},
		{"/api/agent/v1/renew", "192.0.2.1:1", "enroll"},
		{"/api/agent/v1/trust", "192.0.2.1:1", "enroll"},
		{"/api/agent/v1/presence", "192.0.2.1:1", "enroll"},
		{"/api/agent/v1/work", "192.0.2.1:1", "work"},
		{"/api/agent/v1/release", "192.0.2.1:1", "releases"},
		{"/api/agent/v1/release/file/1.0/x", "192.0.2.1:1", "releases"},
		{"/whip/echo", "192.0.2.1:1", "asked"}, // there is no reflector: it is a page like any other
		{"/", "127.0.0.1:1", "asked"},
		{"/api/v1/sites", "127.0.0.1:1", "asked"},
		{"/metrics", "192.0.2.1:1", "asked"},
		{"/metrics", "127.0.0.1:1", "asked"},
	} {
		r, out := httptest.NewRequest("GET", tt.path, nil), httptest.NewRecorder()
		r.RemoteAddr = tt.from
		h.ServeHTTP(out, r)
		if got := out.Body.String(); got != tt.want {
			t.Errorf("%s from %s: %s, want %s", tt.path, tt.from, got, tt.want)
		}
	}
}

func TestHowACollectorIsReached(t *testing.T) {
	r := Reach{Listen: ":8787", Names: []string{"collector.tinh.gov.vn"}}
	if got := r.AgentAddresses(); len(got) == 0 || got[0] != "https://collector.tinh.gov.vn:8787" || len(got) > maxAgentAddresses {
		t.Errorf("%v", got)
	}
	r = Reach{Listen: "10.1.2.3:443", URLs: []string{"https://x.gov.vn"}}
	if got := r.AgentAddresses(); len(got) != 1 || got[0] != "https://x.gov.vn" {
		t.Errorf("%v", got)
	}
	names := " " + strings.Join(r.ServerNames(), " ") + " "
	for _, want := range []string{"10.1.2.3", "x.gov.vn", "localhost", "127.0.0.1", "::1"} {
		if strings.Count(names, " "+want+" ") != 1 {
			t.Errorf("%q lacks %s", names, want)
		}
	}
	for _, n := range (Reach{Listen: "0.0.0.0:1"}).ServerNames() {
		if n == "0.0.0.0" || n == "" {
			t.Errorf("a certificate for %q", n)
		}
	}
	if got := (Reach{Listen: "10.1.2.3:443"}).AgentAddresses(); len(got) != 1 || got[0] != "https://10.1.2.3:443" {
		t.Errorf("%v", got)
	}
}

// A port that is taken is said at once; a socket that a killed collector left behind is no hindrance.
func TestOpening(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	d, err := Open("127.0.0.1:0", DefaultLimits(), log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(d.Addr().String(), DefaultLimits(), log); err == nil || !strings.Contains(err.Error(), "ss -ltnp") {
		t.Errorf("%v", err)
	}
	file := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	d.OpenSocket(file)
	if c, err := net.Dial("unix", file); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
