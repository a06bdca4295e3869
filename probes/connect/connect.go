// Package connect opens one connection to a server over a path, by UDP, TCP or TLS, and takes the time of each step.
//
// Each test begins with a connection of its own: a kept one would hide that new ones fail. Name resolution, TCP
// connection and TLS handshake are told apart, since they fail for different reasons: a dead line, a closed port, an
// expired certificate. What was opened before a failure is returned with it, so that "the port takes connections" is
// known even where nothing sensible is behind it.
//
// A UDP socket is connected too: then the kernel passes on only datagrams of the very address that was asked, and an
// ICMP port unreachable arrives as a refusal.
package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"communewatch/probes"
	"communewatch/probes/bind"
)

// The transports, as options and results name them.
const (
	UDP = "udp"
	TCP = "tcp"
	TLS = "tls" // over TCP
)

// Server is where to connect to, and how.
type Server struct {
	Transport string // UDP, TCP or TLS
	Host      string // name or address
	Port      uint16
}

// Conn is a connection, or what there is of one.
type Conn struct {
	net.Conn // nil after a failure

	Connected bool          // TCP: the port took the connection, whatever came after
	Connect   time.Duration // TCP connection; 0 for UDP and where there is none
	TLS       time.Duration // handshake; 0 without one
	Expires   time.Time     // the first of the server's certificates does; zero where none was seen

	stop func() bool
}

// Open connects to the server. The timeout is for all steps together; ctx ends the connection too, whenever it ends. The
// Conn is never nil; after an error it has nothing to read from or to close.
func (s Server) Open(ctx context.Context, b bind.Binding, trust Trust, timeout time.Duration) (*Conn, error) {
	c := &Conn{}
	opening, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addr, err := b.Resolve(opening, "", s.Host, timeout)
	if err != nil {
		return c, err
	}
	network := TCP
	if s.Transport == UDP {
		network = UDP
	}
	start := time.Now()
	conn, err := b.Dialer(network, timeout).DialContext(opening, network, netip.AddrPortFrom(addr, s.Port).String())
	if err != nil {
		return c, err
	}
	if network == TCP {
		c.Connected, c.Connect = true, time.Since(start)
	}
	if s.Transport == TLS {
		client := tls.Client(conn, trust.Config(s.Host, func(day time.Time) { c.Expires = day }))
		start = time.Now()
		if err := client.HandshakeContext(opening); err != nil {
			conn.Close()
			return c, handshakeError(opening, err)
		}
		c.TLS = time.Since(start)
		conn = client
	}
	c.Conn = conn
	c.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

func handshakeError(ctx context.Context, err error) error {
	var own *probes.Error
	switch {
	case errors.As(err, &own):
		return err
	case ctx.Err() != nil && context.Cause(ctx) == context.Canceled:
		return ctx.Err()
	case ctx.Err() != nil || probes.OutcomeOf(err) == probes.OutcomeTimeout:
		return probes.Errorf(probes.OutcomeTimeout, "the port takes connections but does not answer a TLS handshake")
	}
	return probes.Errorf(probes.OutcomeFailed, "the port takes connections but the TLS handshake fails: %w", Reason(err))
}

// Broken says in words what a port that took the connection did instead of speaking the protocol. answer is what was
// waited for, such as "answer to OPTIONS"; err ended the wait.
func Broken(ctx context.Context, err error, protocol, answer string) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return Mute(probes.OutcomeTimeout, protocol, "no "+answer)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Mute(probes.OutcomeFailed, protocol, "it closed without an "+answer)
	}
	return Reason(err)
}

// Mute is the error of a port that takes connections and is no server of the protocol, as what it did shows.
func Mute(outcome probes.Outcome, protocol, did string) error {
	return probes.Errorf(outcome, "the port takes connections but does not speak %s: %s", protocol, did)
}

// Reason returns what went wrong with a connection without the addresses that the library puts before it: the port of
// this side is another at each run, and so would be the text.
func Reason(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	if op.Net == UDP && errors.Is(err, syscall.ECONNREFUSED) {
		return probes.Errorf(probes.OutcomeRefused, "refused: nothing listens on the UDP port")
	}
	return op.Err
}

// Close closes the connection, if there is one.
func (c *Conn) Close() error {
	if c.Conn == nil {
		return nil
	}
	c.stop()
	return c.Conn.Close()
}

// Fields returns the times of the steps that were completed.
func (c *Conn) Fields() []probes.Field {
	var fields []probes.Field
	if c.Connect > 0 {
		fields = append(fields, probes.Seconds("connect_seconds", c.Connect))
	}
	if c.TLS > 0 {
		fields = append(fields, probes.Seconds("tls_seconds", c.TLS))
	}
	return fields
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?$`)

// Split takes host, host:port, an IPv6 address or [address]:port apart. Without a port it is 0.
func Split(s string) (host string, port uint16, err error) {
	bad := func(what string) (string, uint16, error) {
		if len(s) > 80 {
			s = s[:80] + "..."
		}
		return "", 0, fmt.Errorf("%q: %s; want host or host:port, for example 10.1.2.3 or [2001:db8::1]:5060", s, what)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), 0, nil
	}
	host = s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return bad("no IPv6 address in the brackets")
		}
		return host, 0, nil
	}
	if h, p, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return bad("the port must be from 1 to 65535")
		}
		host, port = h, uint16(n)
	}
	a, err := netip.ParseAddr(host)
	if strings.HasPrefix(s, "[") && !a.Is6() {
		return bad("no IPv6 address in the brackets")
	}
	if err != nil && !hostPattern.MatchString(host) {
		return bad("not a name or address of a host")
	}
	return host, port, nil
}

// Text makes what a server says fit to be kept: one line without padding, control and invisible characters, cut to most
// bytes between characters.
func Text(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.TrimSpace(strings.ToValidUTF8(s[:most], ""))
	}
	return s
}
