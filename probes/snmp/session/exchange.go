package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"

	"github.com/gosnmp/gosnmp"
)

// question is one request.
type question struct {
	oids []ask.OID
	next bool // the variables behind the OIDs, not those of them
	reps int  // with next: how many behind each, by GETBULK; below 2 one, by GETNEXT
}

// answer is what came back. end is set where the device said that there is nothing more.
type answer struct {
	vars   []ask.Var
	end    bool
	status gosnmp.SNMPError
	index  int // which OID the status is about, from 1; 0 for none
	bytes  int // about as large as the packet
}

// exchange sends one question and waits for its answer. It never panics, whatever comes.
func (s *Session) exchange(ctx context.Context, q question, retries int) (a answer, err error) {
	if s.conn == nil {
		return answer{}, errNotOpen
	}
	if s.dead != nil {
		return answer{}, s.dead
	}
	if err := over(ctx); err != nil {
		return answer{}, fmt.Errorf("cut off: %w", err)
	}
	defer func() {
		if r := recover(); r != nil {
			a, err = answer{}, errUnreadable
		}
	}()
	names := make([]string, len(q.oids))
	for i, o := range q.oids {
		names[i] = "." + string(o)
	}
	s.conn.Context, s.conn.Retries = ctx, retries
	socket := s.conn.Conn
	stop := context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) }) // gosnmp looks at ctx between packets only
	var packet *gosnmp.SnmpPacket
	switch {
	case !q.next:
		packet, err = s.conn.Get(names)
	case q.reps < 2:
		packet, err = s.conn.GetNext(names)
	default:
		packet, err = s.conn.GetBulk(names, 0, uint32(q.reps))
	}
	stop()
	s.retried = false
	if err != nil {
		return answer{}, s.explain(ctx, err)
	}
	if packet != nil {
		// gosnmp follows a report of clock or engine id once, and takes a second one for the answer.
		if u := usmError(reported(packet)); u != nil {
			return answer{}, u
		}
	}
	if packet == nil || packet.PDUType != gosnmp.GetResponse || packet.Version != s.conn.Version {
		return answer{}, errUnreadable
	}
	a = answer{status: packet.Error, index: int(packet.ErrorIndex)}
	if packet.Error != gosnmp.NoError {
		return a, nil // the variables are those of the question
	}
	for _, pdu := range packet.Variables {
		oid, err := ask.ParseOID(pdu.Name)
		if err != nil {
			return answer{}, errUnreadable
		}
		a.bytes += len(oid)/2 + 8
		v, is := convert(pdu)
		switch is {
		case absent:
			// For a GET: it does not have this one. Behind a GETNEXT it means the end (RFC 3416, 4.2.2), for which
			// some agents use the wrong one of the three exceptions.
			if q.next {
				a.end = true
				return a, nil
			}
			continue
		case unread:
			s.stats.Unread++
		}
		s.stats.Variables++
		a.bytes += len(v.Bytes)
		a.vars = append(a.vars, ask.Var{OID: oid, Value: v})
	}
	return a, nil
}

type sort uint8

const (
	readable sort = iota
	unread        // of no type that SNMP has; the Value says nothing
	absent        // an exception instead of a value
)

// convert takes a value over, whatever gosnmp made of it.
func convert(p gosnmp.SnmpPDU) (ask.Value, sort) {
	num := func(t ask.Type, mask uint64) (ask.Value, sort) {
		switch n := p.Value.(type) {
		case int:
			return ask.Value{Type: t, Num: uint64(int64(n)) & mask}, readable
		case uint:
			return ask.Value{Type: t, Num: uint64(n) & mask}, readable
		case uint32:
			return ask.Value{Type: t, Num: uint64(n) & mask}, readable
		case uint64:
			return ask.Value{Type: t, Num: n & mask}, readable
		}
		return ask.Value{}, unread
	}
	switch p.Type {
	case gosnmp.NoSuchObject, gosnmp.NoSuchInstance, gosnmp.EndOfMibView:
		return ask.Value{}, absent
	case gosnmp.Integer:
		return num(ask.Integer, math.MaxUint64)
	case gosnmp.Counter32:
		return num(ask.Counter32, math.MaxUint32)
	case gosnmp.Gauge32, gosnmp.Uinteger32:
		return num(ask.Gauge32, math.MaxUint32)
	case gosnmp.TimeTicks:
		return num(ask.TimeTicks, math.MaxUint32)
	case gosnmp.Counter64:
		return num(ask.Counter64, math.MaxUint64)
	case gosnmp.Null:
		return ask.Value{Type: ask.Null}, readable
	case gosnmp.OctetString:
		if b, ok := p.Value.([]byte); ok {
			return ask.Value{Type: ask.Octets, Bytes: b}, readable
		}
	case gosnmp.ObjectIdentifier:
		if text, ok := p.Value.(string); ok {
			if oid, err := ask.ParseOID(text); err == nil {
				return ask.Value{Type: ask.ObjectID, Bytes: []byte(oid)}, readable
			}
		}
	case gosnmp.IPAddress:
		if text, ok := p.Value.(string); ok {
			if a, err := netip.ParseAddr(text); err == nil && a.Unmap().Is4() {
				return ask.Value{Type: ask.IPAddress, Bytes: a.Unmap().AsSlice()}, readable
			}
		}
	case gosnmp.Opaque:
		if b, ok := p.Value.([]byte); ok {
			return ask.Value{Type: ask.Opaque, Bytes: b}, readable
		}
	case gosnmp.OpaqueFloat: // as it was on the wire: a float is wrapped in an octet string (net-snmp's extension)
		if f, ok := p.Value.(float32); ok {
			return ask.Value{Type: ask.Opaque, Bytes: binary.BigEndian.AppendUint32([]byte{0x9f, 0x78, 4}, math.Float32bits(f))}, readable
		}
	case gosnmp.OpaqueDouble:
		if f, ok := p.Value.(float64); ok {
			return ask.Value{Type: ask.Opaque, Bytes: binary.BigEndian.AppendUint64([]byte{0x9f, 0x79, 8}, math.Float64bits(f))}, readable
		}
	}
	return ask.Value{}, unread
}

// Bounds of a conversation.
const (
	maxChunk  = 20       // variables per GET: what the smallest agents take, and a packet within any MTU
	maxReps   = 50       // variables per GETBULK, when each is small
	firstReps = 20       // with a model not seen before
	pageBytes = 1200     // a page is not made to grow beyond what one unfragmented packet holds
	growAfter = 8        // pages that must go well before the next may be larger
	walkBytes = 16 << 20 // of values in one walk
)

// silence reports whether an error may mean that the question was too large.
func silence(err error) bool {
	return errors.Is(err, errUnreadable) || probes.OutcomeOf(err) == probes.OutcomeTimeout
}

// Get asks for variables, a few at a time. A variable that the device does not have, or answers with an error of its
// own, is left out.
func (s *Session) Get(ctx context.Context, oids ...ask.OID) ([]ask.Var, error) {
	found := make(map[ask.OID]ask.Value, len(oids))
	var err error
	for rest := oids; len(rest) > 0 && err == nil; {
		n := min(len(rest), s.chunk)
		err = s.get(ctx, rest[:n], found)
		rest = rest[n:]
	}
	var out []ask.Var
	for _, oid := range oids {
		if v, ok := found[oid]; ok {
			out = append(out, ask.Var{OID: oid, Value: v})
		}
	}
	return out, err
}

// get asks for one chunk, and for less of it where that is too much.
func (s *Session) get(ctx context.Context, oids []ask.OID, found map[ask.OID]ask.Value) error {
	for len(oids) > 0 {
		retries := s.opts.Retries
		if len(oids) > 1 {
			retries = 0 // asking for half of it is the better retry
		}
		a, err := s.exchange(ctx, question{oids: oids}, retries)
		halve := false
		switch {
		case err != nil && silence(err) && s.dead == nil:
			if !s.alive(ctx) {
				return err
			}
			if len(oids) == 1 {
				return nil // it answers, but not this: as good as not there
			}
			halve, s.retried = true, true
		case err != nil:
			return err
		case a.status == gosnmp.TooBig:
			halve = true
		case a.status != gosnmp.NoError:
			// Version 1 refuses the whole question for one variable it does not have, and says for which.
			if a.index < 1 || a.index > len(oids) {
				halve = true
				break
			}
			oids = append(append([]ask.OID(nil), oids[:a.index-1]...), oids[a.index:]...)
			continue
		}
		if !halve {
			for _, v := range a.vars {
				if v.Value.Type != 0 {
					found[v.OID] = v.Value
				}
			}
			return nil
		}
		if len(oids) == 1 {
			return nil
		}
		half := len(oids) / 2
		if a.status != gosnmp.NoSuchName {
			s.chunk = max(half, 1)
		}
		if err := s.get(ctx, oids[:half], found); err != nil {
			return err
		}
		oids = oids[half:]
	}
	return nil
}

// Walk reads what is below root. It ends well only where the end was seen.
func (s *Session) Walk(ctx context.Context, root ask.OID, max int) ([]ask.Var, error) {
	var out []ask.Var
	partial := func(format string, args ...any) ([]ask.Var, error) {
		return out, fmt.Errorf("%s: %w: %w", root, fmt.Errorf(format, args...), ask.ErrPartial)
	}
	at, bytes, fit := root, 0, maxReps
	if at == "" {
		at = "0.0" // no OID is shorter in BER
	}
	for {
		reps := min(s.reps, fit, max-len(out)+1)
		retries := s.opts.Retries
		if reps > 1 {
			retries = 0 // asking for half of it is the better retry
		}
		a, err := s.exchange(ctx, question{oids: []ask.OID{at}, next: true, reps: reps}, retries)
		bad := err == nil && (a.status != gosnmp.NoError || len(a.vars) == 0 && !a.end)
		switch {
		case err != nil && !silence(err), err != nil && s.dead != nil:
			return partial("%w", err)
		case err != nil && !s.alive(ctx):
			return partial("%w", err)
		case a.status == gosnmp.NoSuchName && reps < 2:
			return s.itself(ctx, root, out) // the end of everything, as version 1 says it (RFC 1157, 4.1.3)
		case err != nil || bad:
			if reps > 1 {
				s.smaller(reps, err != nil)
				s.retried = true
				continue
			}
			if err == nil {
				err = fmt.Errorf("answered %q", statusName(a.status))
			}
			return partial("no answer of use behind %s: %w", at, err)
		}
		for _, v := range a.vars {
			if v.OID.Compare(at) <= 0 {
				return partial("goes backwards, from %s to %s", at, v.OID)
			}
			if !v.OID.Below(root) {
				s.larger(reps, a.bytes, len(a.vars))
				return s.itself(ctx, root, out)
			}
			if at = v.OID; v.Value.Type == 0 {
				continue
			}
			if bytes += len(v.Value.Bytes); bytes > walkBytes {
				return partial("more than %d bytes", walkBytes)
			}
			if len(out) == max {
				return partial("more than %d variables", max)
			}
			out = append(out, v)
		}
		if a.end {
			return s.itself(ctx, root, out)
		}
		s.larger(reps, a.bytes, len(a.vars))
		if n := len(a.vars); n > 0 { // long values: so many as fit into a packet that needs no fragments, which die on lines
			fit = min(maxReps, pageBytes*n/a.bytes+1)
		}
	}
}

// itself completes a walk that went well. The variables below a scalar's full name are that one, which is not behind
// itself.
func (s *Session) itself(ctx context.Context, root ask.OID, out []ask.Var) ([]ask.Var, error) {
	if len(out) > 0 || !strings.HasSuffix(string(root), ".0") {
		return out, nil
	}
	return s.Get(ctx, root)
}

// smaller halves the pages after one that failed.
func (s *Session) smaller(failed int, silent bool) {
	s.reps, s.streak = failed/2, 0
	s.opts.Memory.failed(s.model(), failed, silent)
}

// larger lets pages grow when some went well and were small. A device's fault is found again only slowly.
func (s *Session) larger(reps, size, vars int) {
	if reps < s.reps || vars == 0 || s.greeting.Version == V1 {
		return
	}
	if s.streak++; s.streak < growAfter {
		return
	}
	s.streak = 0
	next := min(reps+(reps+3)/4, maxReps, s.opts.Memory.ceiling(s.model()))
	if next > reps && size/vars*next <= pageBytes {
		s.reps = next
		s.opts.Memory.worked(s.model(), reps)
	}
}

// statusName says an error status (RFC 3416) in the protocol's words.
func statusName(e gosnmp.SNMPError) string {
	switch e {
	case gosnmp.NoError:
		return "nothing"
	case gosnmp.TooBig:
		return "tooBig"
	case gosnmp.NoSuchName:
		return "noSuchName"
	case gosnmp.GenErr:
		return "genErr"
	case gosnmp.NoAccess:
		return "noAccess"
	case gosnmp.AuthorizationError:
		return "authorizationError"
	}
	return fmt.Sprintf("error %d", uint8(e))
}
