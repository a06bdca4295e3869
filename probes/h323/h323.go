// Package h323 looks whether an H.323 endpoint is there: its call signalling port (TCP 1720) takes a connection, which
// is closed again without a word. Endpoints ring only when a Setup message comes, so nothing rings. A port that refuses
// (RST: the endpoint is there, H.323 is off) and one that is silent (filtered, or nobody there) are told apart by the
// outcome.
//
// A gatekeeper can be asked too: a GatekeeperRequest (GRQ) of RAS, the protocol of H.225.0, goes to UDP port 1719. It
// is the question with which a terminal looks for a gatekeeper, and registers nothing. A confirmation and a rejection
// are both signs of life: whether a terminal without a name is welcome is the gatekeeper's own rule. RAS is written in
// ASN.1's packed encoding (PER); only the request and its two answers are known here.
//
// The answer goes to the address that the request names, which is the socket's own: through a NAT none comes.
package h323

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
)

// Well-known ports (H.225.0 appendix IV).
const (
	portSignalling = 1720
	portRAS        = 1719
)

// The request is sent again after resend, then after twice as long.
const (
	resend      = time.Second
	maxMessages = 1000 // received in one run
	maxDatagram = 8 << 10
)

// Options of an h323 check. The target's address is host or host:port.
type Options struct {
	Timeout           time.Duration `yaml:"timeout"`            // for the connection, and again for the gatekeeper
	Signalling        bool          `yaml:"signalling"`         // connect to the call signalling port
	Gatekeeper        bool          `yaml:"gatekeeper"`         // ask a gatekeeper
	GatekeeperAddress string        `yaml:"gatekeeper_address"` // host or host:port; "": port 1719 of the target
}

// DefaultOptions returns the options of a check that says nothing.
func DefaultOptions() Options { return Options{Timeout: 5 * time.Second, Signalling: true} }

// Bound is the longest a run may take.
func (o Options) Bound() time.Duration {
	var sum time.Duration
	if o.Signalling {
		sum += o.Timeout
	}
	if o.Gatekeeper {
		sum += o.Timeout
	}
	return sum
}

// Interval is that of a check that says none: old endpoints note down each connection.
func (o Options) Interval() time.Duration { return time.Minute }

// Validate reports what is wrong with the options or with the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if _, _, err := connect.Split(t.Address); err != nil {
		problem("address", "%v", err)
	}
	if o.Timeout < 10*time.Millisecond || o.Timeout > time.Minute {
		problem("timeout", "must be between 10ms and 1m, for example 5s")
	}
	if !o.Signalling && !o.Gatekeeper {
		problem("signalling", "nothing is left to look at; set signalling or gatekeeper to true")
	}
	if o.GatekeeperAddress != "" {
		if _, _, err := connect.Split(o.GatekeeperAddress); err != nil {
			problem("gatekeeper_address", "%v", err)
		} else if !o.Gatekeeper {
			problem("gatekeeper_address", "is not used without gatekeeper: true")
		}
	}
}

// Hosts returns the hosts that packets of a check of the address go to.
func (o Options) Hosts(address string) []string {
	signalling, gatekeeper, err := o.servers(address)
	var hosts []string
	if err == nil && o.Signalling {
		hosts = append(hosts, signalling.Host)
	}
	if err == nil && o.Gatekeeper && (!o.Signalling || gatekeeper.Host != signalling.Host) {
		hosts = append(hosts, gatekeeper.Host)
	}
	return hosts
}

func (o Options) servers(address string) (signalling, gatekeeper connect.Server, err error) {
	host, port, err := connect.Split(address)
	if err != nil {
		return signalling, gatekeeper, err
	}
	if port == 0 {
		port = portSignalling
	}
	signalling = connect.Server{Transport: connect.TCP, Host: host, Port: port}
	gatekeeper = connect.Server{Transport: connect.UDP, Host: host, Port: portRAS}
	if o.GatekeeperAddress == "" {
		return signalling, gatekeeper, nil
	}
	if gatekeeper.Host, port, err = connect.Split(o.GatekeeperAddress); port != 0 {
		gatekeeper.Port = port
	}
	return signalling, gatekeeper, err
}

type probe struct {
	signalling, gatekeeper connect.Server
	bind                   bind.Binding
	opts                   Options
}

// New returns a probe of the target's address.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	signalling, gatekeeper, err := o.servers(t.Address)
	if err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "address %w", err)
	}
	return &probe{signalling: signalling, gatekeeper: gatekeeper, bind: b, opts: o}, nil
}

// Probe looks at what the options name, the gatekeeper also when nobody takes calls. The error joins what was wrong.
func (p *probe) Probe(ctx context.Context) ([]probes.Point, error) {
	var fields []probes.Field
	var errs []error
	if p.opts.Signalling {
		conn, err := p.signalling.Open(ctx, p.bind, connect.Trust{}, p.opts.Timeout)
		conn.Close()
		fields = append(conn.Fields(), probes.Bool("connected", conn.Connected))
		errs = append(errs, err)
	}
	if p.opts.Gatekeeper && ctx.Err() == nil {
		more, err := p.askGatekeeper(ctx)
		fields = append(fields, more...)
		errs = append(errs, err)
	}
	if len(fields) == 0 {
		return nil, errors.Join(errs...)
	}
	return []probes.Point{{Measurement: string(probes.KindH323), Fields: fields}}, errors.Join(errs...)
}

// askGatekeeper sends a gatekeeper request and waits for its answer.
func (p *probe) askGatekeeper(ctx context.Context) ([]probes.Field, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	conn, err := p.gatekeeper.Open(ctx, p.bind, connect.Trust{}, p.opts.Timeout)
	if err != nil {
		return nil, fmt.Errorf("gatekeeper: %w", err)
	}
	defer conn.Close()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return nil, err
	}
	got := func(what string) []probes.Field { return []probes.Field{probes.String("gatekeeper", what)} }
	start := time.Now()
	a, err := converse(ctx, conn, local)
	took := time.Since(start)
	switch {
	case errors.Is(ctx.Err(), context.Canceled) && err != nil:
		return nil, ctx.Err()
	case errors.Is(err, errNotRAS), errors.Is(err, errForeign):
		return got("unreadable"), probes.Errorf(probes.OutcomeFailed, "the gatekeeper's answer to a gatekeeper request can't be read")
	case err != nil && ctx.Err() != nil:
		return got("silent"), probes.Errorf(probes.OutcomeTimeout, "no gatekeeper answers")
	case err != nil:
		return got("silent"), fmt.Errorf("gatekeeper: %w", connect.Reason(err))
	}
	fields := got("rejected")
	if a.confirmed {
		fields = got("confirmed")
	}
	fields = append(fields, probes.Seconds("gatekeeper_seconds", took))
	if a.id != "" {
		fields = append(fields, probes.String("gatekeeper_id", a.id))
	}
	if a.reason != "" {
		fields = append(fields, probes.String("gatekeeper_reason", a.reason))
	}
	return fields, nil
}

// converse sends the request until an answer to it comes or ctx ends. What answers another request is waited through,
// and reported when nothing better came.
func converse(ctx context.Context, conn net.Conn, local netip.AddrPort) (answer, error) {
	seq := uint16(1 + rand.IntN(65535))
	request := encodeRequest(seq, local)
	var foreign error
	wait, next := resend, time.Now()
	buf := make([]byte, maxDatagram)
	for range maxMessages {
		if now := time.Now(); !now.Before(next) {
			if _, err := conn.Write(request); err != nil {
				return answer{}, err
			}
			next = now.Add(wait)
			wait *= 2
		}
		conn.SetReadDeadline(next)
		if ctx.Err() != nil { // from here on its end sets the deadline
			return answer{}, errors.Join(foreign, ctx.Err())
		}
		n, err := conn.Read(buf)
		switch {
		case err != nil && ctx.Err() == nil && probes.OutcomeOf(err) == probes.OutcomeTimeout:
			continue
		case err != nil:
			return answer{}, errors.Join(foreign, err)
		}
		a, err := parse(buf[:n], seq)
		if !errors.Is(err, errForeign) {
			return a, err
		}
		foreign = err
	}
	return answer{}, foreign
}
