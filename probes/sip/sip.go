// Package sip asks a SIP server or endpoint for its options (RFC 3261 11).
//
// OPTIONS is the ping of SIP: it rings nowhere, registers nothing and needs no account, and whoever speaks SIP answers
// it. Any final response is a sign of life: 200, but as well 401 or 403 from a server that wants to know who asks, 404
// from a proxy without such a user, 405 from old endpoints, 483 from a proxy that was told to pass nothing on, 486 from
// a room that is in a call. So the code is recorded, not judged. Provisional responses (1xx) are waited through.
//
// Over UDP the request is sent again after T1 = 500 ms, then after twice as long each time up to T2 = 4 s (RFC 3261
// 17.1.2), since a single lost packet is no dead server. A response is believed if branch, Call-ID and CSeq are those of
// the request (RFC 3261 17.1.3); what is left of another run, or made up, is passed over. Over TCP and TLS a port that
// takes connections but stays silent is told from one that is closed.
//
// Many servers and endpoints take SIP over TCP alone. So where UDP stays silent for half of the time, or is refused, the
// same port is tried once with a TCP connection, which is closed again without a word.
//
// An INVITE is never sent.
package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"

	"github.com/emiago/sipgo/sip"
)

// Well-known ports (RFC 3261 19.1.2).
const (
	port    = 5060
	portTLS = 5061
)

// Options of a sip check. The target's address is host, host:port, or a SIP or SIPS URI.
type Options struct {
	Transport   string        `yaml:"transport"`    // udp, tcp or tls; "": as the URI says, else udp
	Timeout     time.Duration `yaml:"timeout"`      // for the whole run
	MaxForwards int           `yaml:"max_forwards"` // proxies that may pass the request on; 0 asks the first one itself
	CAFile      string        `yaml:"ca_file"`      // PEM file of the authorities to trust instead of the system's
	SkipVerify  bool          `yaml:"skip_verify"`  // accept any certificate: for devices that made their own
}

// DefaultOptions returns the options of a check that says nothing.
func DefaultOptions() Options { return Options{Timeout: 5 * time.Second, MaxForwards: 70} }

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration { return o.Timeout }

// Interval is that of a check that says none. Servers take more than one request a minute for scanning.
func (o Options) Interval() time.Duration { return time.Minute }

// Validate reports what is wrong with the options or with the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	transport := o.Transport
	switch transport {
	case "", connect.UDP, connect.TCP, connect.TLS:
	default:
		problem("transport", "%q is not udp, tcp or tls", transport)
		transport = ""
	}
	if _, err := parseAddress(t.Address, transport); err != nil {
		problem("address", "%v", err)
	}
	if o.Timeout < 10*time.Millisecond || o.Timeout > 32*time.Second {
		problem("timeout", "must be between 10ms and 32s, for example 5s")
	}
	if o.MaxForwards < 0 || o.MaxForwards > 70 {
		problem("max_forwards", "must be from 0 to 70")
	}
	if o.CAFile != "" {
		if _, err := connect.LoadCA(o.CAFile); err != nil {
			problem("ca_file", "%v", err)
		}
	}
}

// Host returns the host that packets of a check of the address go to; "" if it is none.
func Host(address string) string {
	p, _ := parseAddress(address, "")
	return p.Host
}

// peer is whom to ask, and by which URI.
type peer struct {
	connect.Server
	uri sip.Uri
}

var userPattern = regexp.MustCompile(`^[A-Za-z0-9_.!~*'()&=+$,/%-]{1,64}$`)

// parseAddress reads an address; transport is the option of that name.
func parseAddress(address, transport string) (peer, error) {
	scheme, rest, isURI := strings.Cut(address, ":")
	scheme = strings.ToLower(scheme)
	if !isURI || scheme != "sip" && scheme != "sips" {
		scheme, rest = "sip", address
	}
	rest, params, _ := strings.Cut(rest, ";")
	if params != "" {
		key, value, _ := strings.Cut(params, "=")
		value = strings.ToLower(value)
		if !strings.EqualFold(key, "transport") || value != connect.UDP && value != connect.TCP && value != connect.TLS {
			return peer{}, fmt.Errorf("%.80q: of a URI's parameters only ;transport=udp, tcp or tls is known", address)
		}
		if transport != "" && transport != value {
			return peer{}, fmt.Errorf("%.80q contradicts the option transport, which is %s", address, transport)
		}
		transport = value
	}
	if scheme == "sips" {
		if transport != "" && transport != connect.TLS {
			return peer{}, fmt.Errorf("%.80q: sips is SIP over TLS, not over %s", address, transport)
		}
		transport = connect.TLS
	}
	if transport == "" {
		transport = connect.UDP
	}
	user := ""
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, rest = rest[:at], rest[at+1:]
		if !userPattern.MatchString(user) {
			return peer{}, fmt.Errorf("%.80q: the part before @ is not a user of a SIP URI", address)
		}
	}
	host, given, err := connect.Split(rest)
	if err != nil {
		return peer{}, fmt.Errorf("%w, or a URI such as sip:10.1.2.3;transport=tcp", err)
	}
	p := peer{connect.Server{Transport: transport, Host: host, Port: given}, sip.Uri{Scheme: scheme, User: user, Port: int(given)}}
	if p.uri.Host, _, _ = strings.Cut(host, "%"); transport != connect.UDP && scheme == "sip" {
		p.uri.UriParams.Add("transport", transport)
	}
	if given == 0 {
		p.Port = port
		if transport == connect.TLS {
			p.Port = portTLS
		}
	}
	return p, nil
}

type probe struct {
	peer  peer
	bind  bind.Binding
	opts  Options
	trust connect.Trust
}

// New returns a probe of the target's address.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	at, err := parseAddress(t.Address, o.Transport)
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "address %w", err)
	}
	trust, err := connect.NewTrust(o.CAFile, o.SkipVerify)
	if err != nil {
		return nil, err
	}
	return &probe{peer: at, bind: b, opts: o, trust: trust}, nil
}

// Probe asks once. Whatever was measured before a failure is returned with the error.
func (p *probe) Probe(ctx context.Context) ([]probes.Point, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	start := time.Now()
	conn, err := p.peer.Open(ctx, p.bind, p.trust, p.opts.Timeout)
	defer conn.Close()
	fields := append([]probes.Field{probes.String("transport", p.peer.Transport)}, conn.Fields()...)
	if p.peer.Transport != connect.UDP {
		fields = append(fields, probes.Bool("connected", conn.Connected))
	}
	if !conn.Expires.IsZero() {
		fields = append(fields, probes.Seconds("cert_expiry_seconds", conn.Expires.Sub(start)))
	}
	if err == nil {
		q := newQuestion(p.peer, conn.LocalAddr(), p.opts.MaxForwards)
		if p.peer.Transport == connect.UDP {
			var more []probes.Field
			more, err = p.datagrams(ctx, conn, q)
			fields = append(fields, more...)
		} else {
			err = q.stream(ctx, conn)
		}
		fields = append(fields, q.fields()...)
	}
	return []probes.Point{{Measurement: string(probes.KindSIP), Fields: fields}}, err
}

// datagrams asks over UDP, and says what is known of the port by TCP where that got nowhere.
func (p *probe) datagrams(ctx context.Context, conn *connect.Conn, q *question) ([]probes.Field, error) {
	trying, stop := context.WithCancel(ctx)
	defer stop()
	now := make(chan struct{}) // closed to try TCP without waiting
	took := make(chan bool, 1)
	go func() { took <- p.takesTCP(trying, conn.RemoteAddr(), now) }()

	err := q.datagrams(ctx, conn)
	switch outcome := probes.OutcomeOf(err); {
	case outcome == probes.OutcomeRefused:
		close(now)
	case outcome != probes.OutcomeTimeout || q.trying: // UDP does pass, or nobody knows
		stop()
		<-took
		return nil, err
	}
	connected := <-took
	if connected {
		what := "no SIP answer over UDP"
		if q.foreign {
			what = err.Error()
		}
		err = probes.Errorf(probes.OutcomeOf(err), "%s, but the port takes TCP connections: try transport tcp", what)
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil, ctx.Err()
	}
	return []probes.Field{probes.Bool("connected", connected)}, err
}

// takesTCP reports whether the address that was asked over UDP takes a TCP connection. It waits for half of the run's
// time before it asks, or until now is closed, and gives up when ctx ends.
func (p *probe) takesTCP(ctx context.Context, address net.Addr, now <-chan struct{}) bool {
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return false
	}
	half := time.NewTimer(p.opts.Timeout / 2)
	defer half.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-now:
	case <-half.C:
	}
	server := connect.Server{Transport: connect.TCP, Host: at.Addr().String(), Port: at.Port()}
	conn, _ := server.Open(ctx, p.bind, connect.Trust{}, p.opts.Timeout)
	conn.Close()
	return conn.Connected
}
