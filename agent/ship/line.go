package ship

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"communewatch/probes/bind"
)

const (
	// lookupTimeout bounds finding a collector's address over its path. Resolvers give a silent name server 5 s, so
	// the second one of the machine gets its turn.
	lookupTimeout = 11 * time.Second
	dialTimeout   = 5 * time.Second // two lost SYNs
)

// errNoLine says that the transport found its connection gone and wants another.
var errNoLine = errors.New("the connection to the collector was lost")

// line makes the connections to a collector before there is a request to send on them, where a transport would make
// them in its midst. A request says when it was sent, and the collector judges the agent's clock by that for as long
// as the agent runs: the seconds that a slow line takes for SYNs and the TLS handshake must not be taken for an error
// of the clock.
type line struct {
	binding bind.Binding
	host    string
	port    string
	tls     *tls.Config // nil for plain HTTP

	mu    sync.Mutex // guards the fields below
	ready net.Conn   // made and not yet taken by the transport; or nil
	open  int        // connections not yet closed
}

func newLine(c Collector) (*line, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	l := &line{binding: c.Binding, host: u.Hostname(), port: u.Port()}
	if u.Scheme == "https" {
		l.tls = &tls.Config{}
		if c.TLS != nil {
			l.tls = c.TLS.Clone()
		}
		l.tls.MinVersion = max(l.tls.MinVersion, tls.VersionTLS12)
		if l.tls.ServerName == "" {
			l.tls.ServerName = l.host
		}
	}
	if l.port == "" {
		l.port = "80"
		if l.tls != nil {
			l.port = "443"
		}
	}
	return l, nil
}

// transport sends on the line's connections only.
func (l *line) transport() *http.Transport {
	return &http.Transport{
		// No proxy from the environment: it would take the place of the path.
		DialContext:            l.take,
		DialTLSContext:         l.take,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true,
	}
}

// take is the transport's way to get a connection.
func (l *line) take(context.Context, string, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.ready
	if l.ready = nil; c == nil {
		return nil, errNoLine
	}
	return c, nil
}

// connect sees to it that there is a connection; anew says that the transport has none.
func (l *line) connect(ctx context.Context, anew bool) error {
	l.mu.Lock()
	have := l.ready != nil || l.open > 0 && !anew
	l.mu.Unlock()
	if have {
		return nil
	}
	c, err := l.dial(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = c
	return nil
}

func (l *line) dial(ctx context.Context) (net.Conn, error) {
	host := l.host
	if l.binding.Device != "" || l.binding.Source.IsValid() {
		// By the same path: a name server of another line may be down with it, or give another line's address.
		addr, err := l.binding.Resolve(ctx, "", host, lookupTimeout)
		if err != nil {
			return nil, err
		}
		host = addr.String()
	}
	raw, err := l.binding.Dialer("tcp", dialTimeout).DialContext(ctx, "tcp", net.JoinHostPort(host, l.port))
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
	counted := &countedConn{Conn: raw, closed: sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
	})}
	if l.tls == nil {
		return counted, nil
	}
	secure := tls.Client(counted, l.tls)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = counted.Close()
		return nil, err
	}
	return secure, nil
}

// drop closes a connection that the transport did not take.
func (l *line) drop() {
	l.mu.Lock()
	c := l.ready
	l.ready = nil
	l.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

// countedConn says when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
