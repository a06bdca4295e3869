package fingerprint

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"
)

// sipT1 is the estimate of a round trip after which a request over UDP is sent again (RFC 3261 17.1.2.2), once here.
const sipT1 = 500 * time.Millisecond

// sip sends OPTIONS (RFC 3261 11): "what can you do?". It rings nowhere, and any final answer, a refusal too, comes
// from something that speaks SIP and mostly says what it is.
func (l *look) sip(ctx context.Context, network string, port uint16) error {
	dial := network
	if network == "tls" {
		dial = "tcp"
	}
	conn, err := l.open(ctx, dial, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if network == "tls" {
		conn = tls.Client(conn, lenient())
	}
	id := make([]byte, 12)
	rand.Read(id) // never fails
	callID := hex.EncodeToString(id)
	request := sipOptions(network, conn.LocalAddr(), netip.AddrPortFrom(l.addr, port), callID)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	answer, err := sipAnswer(conn, network, request, callID, time.Now().Add(l.Timeout))
	if err != nil {
		return err
	}
	source := fmt.Sprintf("sip OPTIONS answer %d, %s port %d", answer.code, network, port)
	token := "sip"
	if network == "tls" {
		token = "sips"
	}
	l.offers(token, source)
	if answer.agent != "" {
		l.put(probes.FactSIPAgent, answer.agent, source, 0.95)
		l.heard(SIPAgent, answer.agent, source)
	}
	return nil
}

// sipAnswer waits for the final answer. Over UDP anybody may send us anything, so answers to other questions and
// provisional ones (1xx) are passed over.
func sipAnswer(conn net.Conn, network string, request []byte, callID string, deadline time.Time) (sipReply, error) {
	if network != "udp" {
		reply, ok := parseSIP(listen(conn, headerEnds))
		if !ok || reply.callID != callID || reply.code < 200 {
			return reply, errors.New("no answer to OPTIONS")
		}
		return reply, nil
	}
	again := time.Now().Add(sipT1)
	if again.Before(deadline) {
		conn.SetReadDeadline(again)
	}
	packet := make([]byte, 8<<10)
	for range 20 {
		n, err := conn.Read(packet)
		if errors.Is(err, os.ErrDeadlineExceeded) && !again.IsZero() && time.Now().Before(deadline) {
			again = time.Time{}
			conn.SetReadDeadline(deadline)
			if _, err := conn.Write(request); err != nil {
				return sipReply{}, err
			}
			continue
		}
		if err != nil {
			return sipReply{}, err
		}
		if reply, ok := parseSIP(packet[:n]); ok && reply.callID == callID && reply.code >= 200 {
			return reply, nil
		}
	}
	return sipReply{}, errors.New("no answer to OPTIONS among 20 packets")
}

func sipOptions(network string, local net.Addr, to netip.AddrPort, callID string) []byte {
	host := to.Addr().WithZone("").String()
	if to.Addr().Is6() {
		host = "[" + host + "]"
	}
	uri := fmt.Sprintf("sip:%s:%d", host, to.Port())
	var b strings.Builder
	fmt.Fprintf(&b, "OPTIONS %s SIP/2.0\r\n", uri)
	fmt.Fprintf(&b, "Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\n", strings.ToUpper(network), local, callID[:16])
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: <sip:communewatch@%s>;tag=%s\r\nTo: <%s>\r\n", local, callID[16:], uri)
	fmt.Fprintf(&b, "Call-ID: %s\r\nCSeq: 1 OPTIONS\r\nContact: <sip:communewatch@%s>\r\n", callID, local)
	b.WriteString("Accept: application/sdp\r\nUser-Agent: communewatch-agent\r\nContent-Length: 0\r\n\r\n")
	return []byte(b.String())
}

type sipReply struct {
	code   int
	agent  string // User-Agent, else Server; "" when it does not say
	callID string
}

// parseSIP reads the head of an answer; ok is false for what is none.
func parseSIP(packet []byte) (r sipReply, ok bool) {
	line, rest, _ := bytes.Cut(packet, []byte("\n"))
	words := strings.SplitN(string(bytes.TrimRight(line, "\r")), " ", 3)
	if len(words) < 2 || words[0] != "SIP/2.0" || len(words[1]) != 3 {
		return r, false
	}
	code, err := strconv.Atoi(words[1])
	if err != nil || code < 100 || code > 699 {
		return r, false
	}
	header := parseHeader(rest)
	first := func(names ...string) string {
		for _, n := range names {
			if v := clean([]byte(header.Get(n))); v != "" {
				return v
			}
		}
		return ""
	}
	return sipReply{code: code, agent: first("User-Agent", "Server"), callID: first("Call-Id", "I")}, true
}
