package session

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/probes"

	"github.com/gosnmp/gosnmp"
)

// Discovery of version 3.
const (
	discoveryWait = time.Second // at most, for one answer: whoever asks has had others from the device before
	discoveries   = 2           // questions; a packet or its answer may be lost
	onLossyLines  = 4           // where other questions of the session went unanswered
)

// Protocols says which versions of the protocol the device speaks, as the fact of that name: the one it answered, and
// snmpv3, or no_snmpv3 where it does not speak that.
//
// Whether a device speaks version 3 can be told without a user of it. Whoever does not know its engine id asks for
// it with an empty one, and gets a report (RFC 3414, 4). A device that is silent on that while it goes on answering
// the version it was asked in before has version 3 switched off, or has none. sure is false where that could not be found
// out; the fact then holds what was answered.
func (s *Session) Protocols(ctx context.Context) (fact probes.Fact, sure bool) {
	tokens := []string{"snmpv" + string(s.greeting.Version)}
	source := "snmp"
	if s.greeting.Version == V3 {
		sure = true
	} else if speaks, known := s.discover(ctx); known {
		sure, source = true, "snmp discovery"
		if speaks {
			tokens = append(tokens, "snmpv3")
		} else {
			tokens = append(tokens, "no_snmpv3")
		}
	}
	slices.Sort(tokens)
	return probes.Fact{Name: probes.FactProtocols, Value: strings.Join(tokens, " "), Source: source, Confidence: 1}, sure
}

// discover asks for the engine id. Silence counts only where the device answered another question after it.
func (s *Session) discover(ctx context.Context) (speaks, known bool) {
	if s.conn == nil || s.dead != nil {
		return false, false
	}
	address := net.JoinHostPort(s.conn.Target, strconv.Itoa(int(s.conn.Port)))
	conn, err := s.opts.Bind.Dialer("udp", s.opts.Timeout).DialContext(ctx, "udp", address)
	if err != nil {
		return false, false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	tries := discoveries
	if s.stats.Retries > 0 {
		tries = onLossyLines
	}
	buf := make([]byte, 2048)
	for id := range uint32(tries) {
		if over(ctx) != nil {
			return false, false
		}
		s.stats.Requests++
		if _, err := conn.Write(discovery(id + 1)); err != nil {
			return false, false
		}
		conn.SetReadDeadline(time.Now().Add(min(s.opts.Timeout, discoveryWait)))
		for {
			n, err := conn.Read(buf)
			if err != nil {
				break
			}
			if isReport(buf[:n]) {
				return true, true
			}
		}
		if over(ctx) != nil || !s.alive(ctx) {
			return false, false
		}
	}
	return false, true
}

// discovery is the question: a GET of nothing by nobody, that asks to be reported (RFC 3412, 6; RFC 3414, 4).
func discovery(id uint32) []byte {
	number := binary.BigEndian.AppendUint32([]byte{0x02, 4}, id)
	user := tlv(0x30, []byte{0x04, 0, 0x02, 1, 0, 0x02, 1, 0, 0x04, 0, 0x04, 0, 0x04, 0}) // engine id, boots, time, name, two parameters
	return tlv(0x30,
		[]byte{0x02, 1, 3},
		tlv(0x30, number, []byte{0x02, 2, 0x05, 0xc0, 0x04, 1, 4, 0x02, 1, 3}), // at most 1,472 bytes, reportable, user-based
		tlv(0x04, user),
		tlv(0x30, []byte{0x04, 0, 0x04, 0}, tlv(0xa0, number, []byte{0x02, 1, 0, 0x02, 1, 0, 0x30, 0})))
}

// tlv is an element of BER of less than 128 bytes.
func tlv(tag byte, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	return append([]byte{tag, byte(len(content))}, content...)
}

// isReport reports whether a packet is what a device that speaks version 3 answers to somebody it does not know.
func isReport(packet []byte) (is bool) {
	defer func() {
		if recover() != nil {
			is = false
		}
	}()
	g := &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel,
		MsgFlags: gosnmp.NoAuthNoPriv, SecurityParameters: &gosnmp.UsmSecurityParameters{UserName: "-"}}
	p, err := g.SnmpDecodePacket(packet)
	return err == nil && p.Version == gosnmp.Version3 && p.PDUType == gosnmp.Report
}
