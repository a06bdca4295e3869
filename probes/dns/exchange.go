package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"

	"golang.org/x/net/dns/dnsmessage"
)

// answer is what one resolver said.
type answer struct {
	took      time.Duration // of the try that was answered
	rcode     dnsmessage.RCode
	values    []string // records of the asked type, as text
	truncated bool     // the UDP answer was cut, and this one came over TCP
}

// ask sends the question over UDP until it is answered or the tries are used up.
func (p *probe) ask(ctx context.Context, server netip.AddrPort) (answer, error) {
	var last error
	for range p.opts.Tries {
		a, cut, err := p.exchange(ctx, "udp", server)
		if err == nil && cut {
			a, _, err = p.exchange(ctx, "tcp", server)
			a.truncated = true
		}
		if err == nil {
			return a, nil
		}
		last = err
		if ctx.Err() != nil || probes.OutcomeOf(err) != probes.OutcomeTimeout {
			break // only silence is worth another try; refused and unreachable are answers
		}
	}
	return answer{}, last
}

func (p *probe) exchange(ctx context.Context, network string, server netip.AddrPort) (a answer, cut bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	id := uint16(rand.Uint32())
	question, err := p.question(id)
	if err != nil {
		return answer{}, false, err
	}
	start := time.Now()
	b := p.bind
	if server.Addr().IsLoopback() {
		b = bind.Binding{Guard: b.Guard} // a resolver on this very machine: no line leads to it
	}
	conn, err := b.Dialer(network, p.opts.Timeout).DialContext(ctx, network, server.String())
	if err != nil {
		return answer{}, false, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	read := readDatagram
	if network == "tcp" {
		question = append(binary.BigEndian.AppendUint16(nil, uint16(len(question))), question...)
		read = readStream
	}
	if _, err := conn.Write(question); err != nil {
		return answer{}, false, err
	}
	buf := make([]byte, 64<<10)
	var garbage error
	for {
		msg, err := read(conn, buf)
		if err != nil {
			if garbage != nil && ctx.Err() != nil {
				return answer{}, false, fmt.Errorf("%w (and ignored: %v)", context.DeadlineExceeded, garbage)
			}
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return answer{}, false, err
		}
		a, cut, err := p.parse(msg, id)
		if err != nil {
			if network == "tcp" {
				return answer{}, false, err
			}
			garbage = err // somebody else's datagram, or a forged one: ours may still come
			continue
		}
		a.took = time.Since(start)
		return a, cut, nil
	}
}

func (p *probe) question(id uint16) ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: p.name, Type: p.qtype, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	if err := b.StartAdditionals(); err != nil {
		return nil, err
	}
	var edns dnsmessage.ResourceHeader
	if err := edns.SetEDNS0(udpSize, dnsmessage.RCodeSuccess, false); err != nil {
		return nil, err
	}
	if err := b.OPTResource(edns, dnsmessage.OPTResource{}); err != nil {
		return nil, err
	}
	return b.Finish()
}

func readDatagram(conn net.Conn, buf []byte) ([]byte, error) {
	n, err := conn.Read(buf)
	return buf[:n], err
}

func readStream(conn net.Conn, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(conn, buf[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(buf))
	if n > len(buf) {
		return nil, errors.New("answer longer than a DNS message can be")
	}
	_, err := io.ReadFull(conn, buf[:n])
	return buf[:n], err
}

// parse reads an answer to our question; anything else is an error.
func (p *probe) parse(msg []byte, id uint16) (a answer, cut bool, err error) {
	fail := func(what string, err error) (answer, bool, error) {
		return answer{}, false, probes.Errorf(probes.OutcomeFailed, "not a valid answer: %s: %w", what, err)
	}
	var dp dnsmessage.Parser
	h, err := dp.Start(msg)
	if err != nil {
		return fail("header", err)
	}
	if h.ID != id || !h.Response {
		return fail("header", errors.New("it answers another question"))
	}
	q, err := dp.Question()
	switch {
	case errors.Is(err, dnsmessage.ErrSectionDone) && h.RCode != dnsmessage.RCodeSuccess:
		// Some servers answer an error without repeating the question.
		return answer{rcode: h.RCode}, false, nil
	case err != nil:
		return fail("question", err)
	case q.Type != p.qtype || !equalName(q.Name, p.name):
		return fail("question", errors.New("it answers another question"))
	}
	if err := dp.SkipAllQuestions(); err != nil {
		return fail("questions", err)
	}
	a.rcode = h.RCode
	if h.Truncated {
		return a, true, nil
	}
	for {
		rr, err := dp.Answer()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return a, false, nil
		}
		if err != nil {
			return fail("answer", err)
		}
		if rr.Header.Type == p.qtype {
			a.values = append(a.values, text(rr.Body))
		}
	}
}

// equalName compares names without regard to ASCII case, as RFC 4343 demands.
func equalName(a, b dnsmessage.Name) bool {
	x, y := a.Data[:a.Length], b.Data[:b.Length]
	if len(x) != len(y) {
		return false
	}
	lower := func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}
	for i := range x {
		if lower(x[i]) != lower(y[i]) {
			return false
		}
	}
	return true
}

func text(body dnsmessage.ResourceBody) string {
	switch b := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(b.A).String()
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(b.AAAA).String()
	case *dnsmessage.CNAMEResource:
		return b.CNAME.String()
	case *dnsmessage.MXResource:
		return b.MX.String()
	case *dnsmessage.NSResource:
		return b.NS.String()
	case *dnsmessage.PTRResource:
		return b.PTR.String()
	case *dnsmessage.SRVResource:
		return fmt.Sprintf("%s:%d", b.Target, b.Port)
	case *dnsmessage.TXTResource:
		var s string
		for _, t := range b.TXT {
			s += t
		}
		return s
	}
	return fmt.Sprint(body)
}
