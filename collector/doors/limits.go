package doors

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limits bounds the connections that may be open at once. They are settings. Connections from this machine are not
// counted: a reverse proxy holds all of them, and bounds them itself.
type Limits struct {
	Connections int `yaml:"connections"`             // of all addresses together
	PerAddress  int `yaml:"connections_per_address"` // of one IPv4 address, or of one IPv6 network of 64 bits
}

// DefaultLimits returns what holds without settings. An agent keeps two connections and opens a third for a call, and a
// province's offices may all come from behind one address: 136 of them at once, twice over, fit into 1,024.
func DefaultLimits() Limits { return Limits{Connections: 40_000, PerAddress: 1024} }

// Validate reports what is wrong with the settings.
func (l Limits) Validate(problem func(key, format string, args ...any)) {
	if l.Connections < 100 || l.Connections > 1_000_000 {
		problem("connections", "must be from 100 to 1000000")
	}
	if l.PerAddress < 8 || l.PerAddress > l.Connections {
		problem("connections_per_address", "must be from 8 to what connections says (%d)", l.Connections)
	}
}

// refusedEvery is how often it is logged, at most, that connections are refused.
const refusedEvery = time.Minute

// counted is a listener that closes at once what is too much.
type counted struct {
	net.Listener
	limits Limits
	log    *slog.Logger

	mu      sync.Mutex // guards the fields below
	open    map[netip.Addr]int
	all     int
	refused int       // since it was logged last
	logged  time.Time // zero: never
}

func count(l net.Listener, limits Limits, log *slog.Logger) *counted {
	return &counted{Listener: l, limits: limits, log: log, open: map[netip.Addr]int{}}
}

// Accept returns the next connection that is not too much.
func (c *counted) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, counts := source(conn)
		if !counts || c.enter(from) {
			return conn, nil
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, so that nothing of it stays with us
		}
		_ = conn.Close()
	}
}

func (c *counted) enter(from netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all < c.limits.Connections && c.open[from] < c.limits.PerAddress {
		c.open[from]++
		c.all++
		return true
	}
	c.refused++
	if now := time.Now(); now.Sub(c.logged) >= refusedEvery {
		c.log.Warn("connections are refused: too many are open", "address", from.String(), "of_address", c.open[from], "open", c.all, "refused", c.refused)
		c.logged, c.refused = now, 0
	}
	return false
}

// connState is for http.Server: it takes what has ended out of the books.
func (c *counted) connState(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	from, counts := source(conn)
	if !counts {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.open[from]--; c.open[from] <= 0 {
		delete(c.open, from)
	}
}

// ipv6Network is how much of an IPv6 address tells one network from another: who has one address there has all of it.
const ipv6Network = 64

// source is where a connection comes from, as it is counted; false for this machine.
func source(conn net.Conn) (netip.Addr, bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	if a.IsLoopback() {
		return a, false
	}
	if a.Is6() {
		if p, err := a.Prefix(ipv6Network); err == nil {
			a = p.Addr()
		}
	}
	return a, true
}
