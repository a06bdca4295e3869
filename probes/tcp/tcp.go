// Package tcp opens one TCP connection and closes it again: the smallest proof that a service listens and that the
// way to it is open, where ICMP is filtered or proves too little.
//
// A refused connection (RST) and silence are different facts: the first says that the host is there and nothing
// listens, the second that packets vanish. They are told apart by the outcome, never by matching error texts.
package tcp

import (
	"context"
	"net"
	"strconv"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
)

// Options of a tcp check.
type Options struct {
	Timeout time.Duration `yaml:"timeout"` // for the connection, name resolution included
}

// DefaultOptions returns the options of a check that says nothing.
func DefaultOptions() Options { return Options{Timeout: 5 * time.Second} }

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration { return o.Timeout }

// Validate reports what is wrong with the options or with the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if o.Timeout < 10*time.Millisecond || o.Timeout > time.Minute {
		problem("timeout", "must be between 10ms and 1m, for example 5s")
	}
	if _, _, err := splitAddress(t.Address); err != nil {
		problem("address", "%v", err)
	}
}

// splitAddress takes host:port apart.
func splitAddress(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil {
		return "", "", probes.Errorf(probes.OutcomeBadConfig, "address %q: want host:port, for example 10.1.2.3:443", address)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || host == "" {
		return "", "", probes.Errorf(probes.OutcomeBadConfig, "address %q: want a host and a port from 1 to 65535", address)
	}
	return host, port, nil
}

type probe struct {
	host, port string
	bind       bind.Binding
	timeout    time.Duration
}

// New returns a probe of the target's address, which is host:port.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	host, port, err := splitAddress(t.Address)
	if err != nil {
		return nil, err
	}
	return &probe{host: host, port: port, bind: b, timeout: o.Timeout}, nil
}

// Probe resolves the name, if it is one, and then measures one connection to the first address alone: trying the
// next address would hide that the first does not answer.
func (p *probe) Probe(ctx context.Context) ([]probes.Point, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	addr, err := p.bind.Resolve(ctx, "", p.host, p.timeout)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	conn, err := p.bind.Dialer("tcp", p.timeout).DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), p.port))
	if err != nil {
		return nil, err
	}
	took := time.Since(start)
	conn.Close()
	return []probes.Point{{
		Measurement: string(probes.KindTCP),
		Fields:      []probes.Field{probes.Seconds("connect_seconds", took)},
	}}, nil
}
