// Package stun asks a STUN server which address it sees (RFC 8489): the one question with which each WebRTC call and
// each software client begins. Where it is not answered, media over UDP will most likely not pass either.
//
// The answer holds the address that the request came from, as the server saw it. If that is not the address that it was
// sent from, there is a NAT on the way. The address is masked (XOR-MAPPED-ADDRESS), because some NATs rewrite whatever
// looks like one of theirs; servers of before 2008 send it plainly, which is read too.
//
// Over UDP the request is sent again after 500 ms, then after twice as long each time, seven times in all (RFC 8489
// 6.2.1). Only datagrams of the server that was asked count, and of these only answers with the transaction id of the
// request, 96 random bits.
package stun

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
)

// Well-known ports (RFC 8489 17.6).
const (
	port    = 3478
	portTLS = 5349
)

// Options of a stun check. The target's address is host, host:port, or a STUN or STUNS URI (RFC 7064).
type Options struct {
	Transport  string        `yaml:"transport"`   // udp, tcp or tls; "": tls for a STUNS URI, else udp
	Timeout    time.Duration `yaml:"timeout"`     // for the whole run
	CAFile     string        `yaml:"ca_file"`     // PEM file of the authorities to trust instead of the system's
	SkipVerify bool          `yaml:"skip_verify"` // accept any certificate
}

// DefaultOptions returns the options of a check that says nothing.
func DefaultOptions() Options { return Options{Timeout: 5 * time.Second} }

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration { return o.Timeout }

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
	if o.Timeout < 10*time.Millisecond || o.Timeout > 40*time.Second {
		problem("timeout", "must be between 10ms and 40s, for example 5s")
	}
	if o.CAFile != "" {
		if _, err := connect.LoadCA(o.CAFile); err != nil {
			problem("ca_file", "%v", err)
		}
	}
}

// Host returns the host that packets of a check of the address go to; "" if it is none.
func Host(address string) string {
	s, _ := parseAddress(address, "")
	return s.Host
}

// parseAddress reads an address; transport is the option of that name.
func parseAddress(address, transport string) (connect.Server, error) {
	rest := address
	scheme, after, isURI := strings.Cut(address, ":")
	switch scheme = strings.ToLower(scheme); {
	case isURI && scheme == "stun":
		rest = after
	case isURI && scheme == "stuns":
		if transport != "" && transport != connect.TLS {
			return connect.Server{}, fmt.Errorf("%.80q: stuns is STUN over TLS, not over %s", address, transport)
		}
		rest, transport = after, connect.TLS
	}
	if transport == "" {
		transport = connect.UDP
	}
	host, given, err := connect.Split(rest)
	if err != nil {
		return connect.Server{}, fmt.Errorf("%w, or a URI such as stun:10.1.2.3", err)
	}
	if given == 0 {
		given = port
		if transport == connect.TLS {
			given = portTLS
		}
	}
	return connect.Server{Transport: transport, Host: host, Port: given}, nil
}

type probe struct {
	server connect.Server
	bind   bind.Binding
	opts   Options
	trust  connect.Trust
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
	return &probe{server: at, bind: b, opts: o, trust: trust}, nil
}

// Probe asks once. Whatever was measured before a failure is returned with the error.
func (p *probe) Probe(ctx context.Context) ([]probes.Point, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	conn, err := p.server.Open(ctx, p.bind, p.trust, p.opts.Timeout)
	defer conn.Close()
	fields := append([]probes.Field{probes.String("transport", p.server.Transport)}, conn.Fields()...)
	if err == nil {
		q := newQuestion()
		if p.server.Transport == connect.UDP {
			err = q.datagrams(ctx, conn)
		} else {
			err = q.stream(ctx, conn)
		}
		fields = append(fields, probes.Int("retransmits", int64(max(q.sent-1, 0))))
		if q.took > 0 {
			fields = append(fields, probes.Seconds("response_seconds", q.took))
			local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
			fields = append(fields, describe(q.answer, local)...)
			if err == nil {
				err = judge(q.answer)
			}
		}
	}
	return []probes.Point{{Measurement: string(probes.KindSTUN), Fields: fields}}, err
}

// describe returns the fields of an answer to a request that was sent from local.
func describe(a answer, local netip.AddrPort) []probes.Field {
	var fields []probes.Field
	if a.mapped.IsValid() {
		local = netip.AddrPortFrom(local.Addr().Unmap().WithZone(""), local.Port())
		fields = append(fields, probes.String("mapped_address", a.mapped.String()), probes.Bool("nat", a.mapped != local))
	}
	if a.software != "" {
		fields = append(fields, probes.String("software", a.software))
	}
	return fields
}

// judge says what is wrong with an answer.
func judge(a answer) error {
	switch {
	case a.code != 0:
		return probes.Errorf(probes.OutcomeFailed, "the server refuses the request: %s", strings.TrimSpace(fmt.Sprintf("%d %s", a.code, a.reason)))
	case !a.mapped.IsValid():
		return probes.Errorf(probes.OutcomeFailed, "the answer does not say which address the server sees")
	}
	return nil
}
