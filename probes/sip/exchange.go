package sip

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/connect"

	"github.com/emiago/sipgo/sip"
)

// Timers of RFC 3261 17.1.2.2.
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
)

// Bounds of what a server may make a probe do and keep.
const (
	maxDatagram = 64 << 10
	maxHead     = 32 << 10 // start line and headers of one message in a stream
	maxBody     = 64 << 10 // of a message in a stream, which is passed over
	maxMessages = 1000     // in one run
	maxText     = 120      // bytes of a reason or a name
	maxAllow    = 200
)

// question is one OPTIONS request and what became of it.
type question struct {
	text                []byte
	branch, callID, via string

	sent     int  // requests, the first included
	came     int  // messages
	foreign  bool // some of them answer something else or are not SIP
	trying   bool // a provisional response came
	answered bool
	took     time.Duration
	code     int
	reason   string
	agent    string
	allow    string
}

func newQuestion(to peer, local net.Addr, maxForwards int) *question {
	q := &question{branch: "z9hG4bK" + rand.Text(), callID: rand.Text(), via: strings.ToUpper(to.Transport)}
	var own netip.AddrPort
	if a, err := netip.ParseAddrPort(local.String()); err == nil {
		own = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	req := sip.NewRequest(sip.OPTIONS, to.uri)
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: q.via, Host: own.Addr().String(), Port: int(own.Port())}
	via.Params.Add("branch", q.branch)
	via.Params.Add("rport", "") // answer to where it came from, whatever is written here (RFC 3581)
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "communewatch", Host: own.Addr().String()}}
	from.Params.Add("tag", rand.Text())
	forwards, id := sip.MaxForwardsHeader(maxForwards), sip.CallIDHeader(q.callID)
	for _, h := range []sip.Header{
		via, &forwards, from, &sip.ToHeader{Address: to.uri}, &id,
		&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS},
		&sip.ContactHeader{Address: sip.Uri{Scheme: to.uri.Scheme, User: "communewatch", Host: own.Addr().String(), Port: int(own.Port())}},
		sip.NewHeader("Accept", "application/sdp"),
		sip.NewHeader("User-Agent", "communewatch-agent"),
	} {
		req.AppendHeader(h)
	}
	req.SetBody(nil)
	q.text = []byte(req.String())
	return q
}

// fields says what came of the question.
func (q *question) fields() []probes.Field {
	fields := []probes.Field{probes.Int("retransmits", int64(max(q.sent-1, 0)))}
	if !q.answered {
		return fields
	}
	fields = append(fields, probes.Seconds("response_seconds", q.took), probes.Int("code", int64(q.code)))
	for _, f := range []probes.Field{probes.String("reason", q.reason), probes.String("user_agent", q.agent), probes.String("allow", q.allow)} {
		if f.Str != "" {
			fields = append(fields, f)
		}
	}
	return fields
}

// datagrams asks over UDP.
func (q *question) datagrams(ctx context.Context, conn net.Conn) error {
	start := time.Now()
	wait, next := t1, start
	buf := make([]byte, maxDatagram)
	for q.came < maxMessages {
		now := time.Now()
		if !now.Before(next) {
			if _, err := conn.Write(q.text); err != nil {
				return q.silence(ctx, err)
			}
			q.sent++
			next = now.Add(wait)
			wait = min(2*wait, t2)
		}
		conn.SetReadDeadline(next)
		if ctx.Err() != nil { // from here on its end sets the deadline
			return q.silence(ctx, ctx.Err())
		}
		n, err := conn.Read(buf)
		if err != nil && ctx.Err() == nil && probes.OutcomeOf(err) == probes.OutcomeTimeout {
			continue
		}
		if err != nil {
			return q.silence(ctx, err)
		}
		msg, _ := parse(buf[:n])
		switch q.take(msg) {
		case final:
			q.took = time.Since(start)
			return nil
		case provisional: // RFC 3261 17.1.2.2, "Proceeding": it is there, so ask seldomer
			wait, next = t2, time.Now().Add(t2)
		}
	}
	return probes.Errorf(probes.OutcomeFailed, "none of %d datagrams answers the OPTIONS request", maxMessages)
}

// silence says in words why there is no answer.
func (q *question) silence(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() == nil:
		return connect.Reason(err)
	case q.trying:
		return probes.Errorf(probes.OutcomeTimeout, "no final answer to OPTIONS, only that it is being worked on")
	case q.foreign:
		return probes.Errorf(probes.OutcomeTimeout, "no answer to OPTIONS; what came instead answers something else or is not SIP")
	}
	return probes.Errorf(probes.OutcomeTimeout, "no answer to OPTIONS")
}

// stream asks over TCP or TLS.
func (q *question) stream(ctx context.Context, conn net.Conn) error {
	start := time.Now()
	q.sent = 1
	if _, err := conn.Write(q.text); err != nil {
		return q.broken(ctx, err)
	}
	r := bufio.NewReader(conn)
	for q.came < maxMessages {
		head, err := readHead(r)
		if err != nil {
			return q.broken(ctx, err)
		}
		msg, err := parse(head)
		if err != nil {
			return q.broken(ctx, fmt.Errorf("%w: %w", errNotSIP, err))
		}
		if q.take(msg) == final {
			q.took = time.Since(start)
			return nil
		}
		if l := msg.ContentLength(); l != nil {
			if *l > maxBody {
				return q.broken(ctx, errTooLong)
			}
			if _, err := io.CopyN(io.Discard, r, int64(*l)); err != nil {
				return q.broken(ctx, err)
			}
		}
	}
	return probes.Errorf(probes.OutcomeFailed, "none of %d messages answers the OPTIONS request", maxMessages)
}

var (
	errTooLong = errors.New("message too long")
	errNotSIP  = errors.New("not SIP")
)

// broken says in words what a port that took the connection did instead of answering.
func (q *question) broken(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil && q.trying:
		return q.silence(ctx, err)
	case errors.Is(err, errTooLong) && ctx.Err() == nil:
		return connect.Mute(probes.OutcomeFailed, "SIP", "its answer is longer than SIP's are")
	case errors.Is(err, errNotSIP) && ctx.Err() == nil:
		return connect.Mute(probes.OutcomeFailed, "SIP", "its answer is something else")
	}
	return connect.Broken(ctx, err, "SIP", "answer to OPTIONS")
}

// readHead reads one message up to the empty line that ends its headers. Empty lines before it are keep-alives (RFC
// 5626 3.5.1).
func readHead(r *bufio.Reader) ([]byte, error) {
	var head []byte
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil // a line longer than the buffer: go on with what there is of it
		}
		if len(head)+len(line) > maxHead {
			return nil, errTooLong
		}
		empty := string(line) == "\r\n"
		if empty && len(head) == 0 {
			continue
		}
		first := len(head) == 0
		head = append(head, line...)
		if err != nil {
			return nil, err
		}
		if first && !bytes.HasPrefix(line, []byte("SIP/2.0 ")) && !isRequest(string(line)) {
			return nil, errNotSIP
		}
		if empty {
			return head, nil
		}
	}
}

// isRequest reports whether a line is the first of a request. Servers may send some of their own.
func isRequest(line string) bool {
	words := strings.Split(strings.TrimSuffix(line, "\r\n"), " ")
	return len(words) == 3 && words[2] == "SIP/2.0"
}

// heads reads what tells one response from another; other headers stay text, so that a slip in one of them, such as old
// endpoints make, is no silence.
var heads = sip.NewParser(sip.WithHeadersParsers(only("via", "v", "call-id", "i", "cseq", "content-length", "l")))

func only(names ...string) map[string]sip.HeaderParser {
	all, some := sip.DefaultHeadersParser(), map[string]sip.HeaderParser{}
	for _, n := range names {
		some[n] = all[n]
	}
	return some
}

// parse reads the head of a message.
func parse(message []byte) (sip.Message, error) {
	msg, _, err := heads.ParseHeaders(message, false)
	if err != nil {
		return nil, err
	}
	return msg, nil
}

// verdict is what a message is to the question.
type verdict int

const (
	foreign verdict = iota
	provisional
	final
)

// take looks whether a message, nil for what is none, answers the question, for good or for now.
func (q *question) take(msg sip.Message) verdict {
	q.came++
	res, ok := msg.(*sip.Response)
	if !ok || !q.mine(res) || res.SipVersion != "SIP/2.0" || res.StatusCode < 100 || res.StatusCode > 699 {
		q.foreign = true
		return foreign
	}
	if res.IsProvisional() {
		q.trying = true
		return provisional
	}
	q.answered, q.code, q.reason = true, res.StatusCode, connect.Text(res.Reason, maxText)
	for _, name := range []string{"User-Agent", "Server"} {
		if h := res.GetHeader(name); h != nil && q.agent == "" {
			q.agent = connect.Text(h.Value(), maxText)
		}
	}
	var allow []string
	for _, h := range res.GetHeaders("Allow") {
		allow = append(allow, h.Value())
	}
	q.allow = connect.Text(strings.Join(allow, ", "), maxAllow)
	return final
}

// mine reports whether a response is to this request (RFC 3261 17.1.3).
func (q *question) mine(res *sip.Response) bool {
	via, id, seq := res.Via(), res.CallID(), res.CSeq()
	if via == nil || id == nil || seq == nil {
		return false
	}
	branch, _ := via.Params.Get("branch")
	return branch == q.branch && string(*id) == q.callID && seq.SeqNo == 1 && seq.MethodName == sip.OPTIONS
}
