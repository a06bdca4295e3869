package session

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/recording"

	"github.com/gosnmp/gosnmp"
)

// Reports of RFC 3414, 5.
const (
	notInTimeWindows = ".1.3.6.1.6.3.15.1.1.2.0"
	unknownEngineIDs = ".1.3.6.1.6.3.15.1.1.4.0"
	wrongDigests     = ".1.3.6.1.6.3.15.1.1.5.0"
)

// fake3 is a device that speaks version 3 only, with one user (SHA-256, AES). Its faults are in how it keeps time and
// engine id.
type fake3 struct {
	rec        *recording.Recording
	engine     string
	user       User
	clock      func(n uint32) (boots, seconds uint32) // at its nth answer; nil: a clock that runs
	late       bool                                   // it takes every packet for late, whatever clock that was made by
	restless   bool                                   // it has another engine id whenever it is asked
	mute       atomic.Bool                            // it answers nothing but questions for its engine id
	answered   atomic.Uint32
	discovered atomic.Uint32
}

func (f *fake3) start(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := f.answer(t, buf[:n]); out != nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String()
}

// usm is the user's side of a packet, with keys made the engine's own.
func (f *fake3) usm(t *testing.T, engine string) *gosnmp.UsmSecurityParameters {
	n := f.answered.Add(1)
	boots, seconds := uint32(1), 1000+n
	if f.clock != nil {
		boots, seconds = f.clock(n)
	}
	u := &gosnmp.UsmSecurityParameters{UserName: f.user.Name, AuthoritativeEngineID: engine, AuthoritativeEngineBoots: boots, AuthoritativeEngineTime: seconds,
		AuthenticationProtocol: gosnmp.SHA256, AuthenticationPassphrase: f.user.AuthKey, PrivacyProtocol: gosnmp.AES, PrivacyPassphrase: f.user.PrivKey}
	if err := u.InitSecurityKeys(); err != nil {
		t.Error(err)
	}
	return u
}

func (f *fake3) answer(t *testing.T, data []byte) []byte {
	head := &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgFlags: gosnmp.NoAuthNoPriv, SecurityParameters: &gosnmp.UsmSecurityParameters{UserName: "-"}}
	q, err := head.SnmpDecodePacket(bytes.Clone(data)) // what is encrypted can't be read, the head can
	asked, ok := q.SecurityParameters.(*gosnmp.UsmSecurityParameters)
	if q.Version != gosnmp.Version3 || !ok {
		return nil
	}
	engine := f.engine
	if f.restless {
		engine += fmt.Sprintf("%04d", f.answered.Load())
	}
	send := func(p *gosnmp.SnmpPacket) []byte {
		p.Version, p.SecurityModel, p.MsgMaxSize, p.ContextEngineID, p.MsgID = gosnmp.Version3, gosnmp.UserSecurityModel, 65507, engine, q.MsgID
		if p.MsgFlags == gosnmp.AuthPriv {
			if err := p.SecurityParameters.InitPacket(p); err != nil {
				t.Error(err)
			}
		}
		out, err := p.MarshalMsg()
		if err != nil {
			t.Errorf("encode an answer: %v", err)
		}
		return out
	}
	report := func(flags gosnmp.SnmpV3MsgFlags, what string) []byte {
		return send(&gosnmp.SnmpPacket{MsgFlags: flags, PDUType: gosnmp.Report, SecurityParameters: f.usm(t, engine),
			Variables: []gosnmp.SnmpPDU{{Name: what, Type: gosnmp.Counter32, Value: uint32(1)}}})
	}
	switch {
	case asked.AuthoritativeEngineID == "":
		f.discovered.Add(1)
		return report(gosnmp.NoAuthNoPriv, unknownEngineIDs)
	case f.mute.Load():
		return nil
	case asked.AuthoritativeEngineID != engine:
		return report(gosnmp.AuthNoPriv, unknownEngineIDs)
	case f.late:
		return report(gosnmp.AuthNoPriv, notInTimeWindows)
	}
	keys := &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgFlags: gosnmp.AuthPriv, SecurityParameters: f.usm(t, engine)}
	q, err = keys.UnmarshalTrap(bytes.Clone(data), true)
	if err != nil {
		q = &gosnmp.SnmpPacket{}
		return report(gosnmp.NoAuthNoPriv, wrongDigests)
	}
	a := &gosnmp.SnmpPacket{MsgFlags: gosnmp.AuthPriv, PDUType: gosnmp.GetResponse, RequestID: q.RequestID, SecurityParameters: f.usm(t, engine)}
	for _, want := range q.Variables {
		at := ask.OID(strings.TrimPrefix(want.Name, "."))
		if q.PDUType == gosnmp.GetRequest {
			for _, v := range must(f.rec.Get(t.Context(), at)) {
				a.Variables = append(a.Variables, pdu(v))
			}
			continue
		}
		for range max(q.MaxRepetitions, 1) {
			v, ok := f.rec.Next(at)
			if !ok {
				a.Variables = append(a.Variables, gosnmp.SnmpPDU{Name: "." + string(at), Type: gosnmp.EndOfMibView})
				break
			}
			a.Variables = append(a.Variables, pdu(v))
			at = v.OID
		}
	}
	return send(a)
}

func must(vars []ask.Var, _ error) []ask.Var { return vars }

const engineOne = "\x80\x00\x1f\x88\x04one device"

func user3(keys string) User {
	return User{Name: "xem", Auth: "sha256", AuthKey: "xac thuc " + keys, Priv: "aes", PrivKey: "ma hoa " + keys}
}

func options3(address string, u User) Options {
	return Options{Address: address, Version: V3, User: u, Timeout: 200 * time.Millisecond}
}

func TestVersionThree(t *testing.T) {
	f := &fake3{rec: table(100), engine: engineOne, user: user3("mot mot")}
	o := options3(f.start(t), f.user)
	s := open(t, o)
	if vars, err := s.Walk(t.Context(), column, 1000); err != nil || len(vars) != 100 {
		t.Errorf("%d rows, %v", len(vars), err)
	}
	fact, sure := s.Protocols(t.Context())
	if fact.Value != "snmpv3" || !sure || f.discovered.Load() != 1 {
		t.Errorf("%+v after %d discoveries", fact, f.discovered.Load())
	}
	o.User = user3("hai hai")
	if _, err := New(o).Open(t.Context()); probes.OutcomeOf(err) != probes.OutcomeFailed || !strings.Contains(err.Error(), "auth protocol or its passphrase") {
		t.Errorf("wrong passphrase: %v", err)
	}
}

// A clock that jumps between two answers is followed; one that no packet is ever in time for is told as such.
func TestVersionThreeWithAWrongClock(t *testing.T) {
	f := &fake3{rec: table(100), engine: engineOne, user: user3("mot mot")}
	f.clock = func(n uint32) (boots, seconds uint32) { return 1 + n/4, n * 1000 % 7919 }
	if vars, err := open(t, options3(f.start(t), f.user)).Walk(t.Context(), column, 1000); err != nil || len(vars) != 100 {
		t.Errorf("a clock that jumps: %d rows, %v", len(vars), err)
	}

	late := &fake3{rec: table(1), engine: engineOne, user: user3("mot mot"), late: true}
	o := options3(late.start(t), late.user)
	o.Retries = 2
	_, err := New(o).Open(t.Context())
	if probes.OutcomeOf(err) != probes.OutcomeFailed || !strings.Contains(err.Error(), "time window") || strings.Contains(err.Error(), "mot mot") {
		t.Errorf("never in time: %v", err)
	}
	if n := late.answered.Load(); n > 10 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestVersionThreeWithARestlessEngineID(t *testing.T) {
	f := &fake3{rec: table(1), engine: engineOne, user: user3("mot mot"), restless: true}
	_, err := New(options3(f.start(t), f.user)).Open(t.Context())
	if probes.OutcomeOf(err) != probes.OutcomeFailed || !strings.Contains(err.Error(), "engine id") {
		t.Errorf("%v", err)
	}
	if n := f.answered.Load(); n > 10 {
		t.Errorf("it was asked %d times", n)
	}
}

// Cloned devices have one engine id. Keys are made of it, so they must not be kept by it: the two have different
// passphrases for a user of the same name, and other clocks.
func TestTwoDevicesWithOneEngineID(t *testing.T) {
	one := &fake3{rec: table(30), engine: engineOne, user: user3("mot mot")}
	two := &fake3{rec: table(40), engine: engineOne, user: user3("hai hai"), clock: func(n uint32) (boots, seconds uint32) { return 77, 5_000_000 + n }}
	first, second := options3(one.start(t), one.user), options3(two.start(t), two.user)
	memory := NewMemory()
	first.Memory, second.Memory = memory, memory
	for range 3 {
		a, b := open(t, first), open(t, second)
		for range 2 { // in turns, while both are open
			if vars, err := a.Walk(t.Context(), column, 1000); err != nil || len(vars) != 30 {
				t.Fatalf("the first: %d rows, %v", len(vars), err)
			}
			if vars, err := b.Walk(t.Context(), column, 1000); err != nil || len(vars) != 40 {
				t.Fatalf("the second: %d rows, %v", len(vars), err)
			}
		}
	}
	crossed := second
	crossed.User, crossed.Memory = one.user, nil
	if _, err := New(crossed).Open(t.Context()); probes.OutcomeOf(err) != probes.OutcomeFailed {
		t.Errorf("the second takes the first's keys: %v", err)
	}
}

func TestProtocols(t *testing.T) {
	old := &fake{rec: table(5)}
	s := open(t, options(old.start(t)))
	fact, sure := s.Protocols(t.Context())
	if fact.Value != "no_snmpv3 snmpv2c" || fact.Source != "snmp discovery" || !sure {
		t.Errorf("a device without version 3: %+v, %v", fact, sure)
	}
	if n := old.unreadable.Load(); n != discoveries {
		t.Errorf("%d questions for its engine id, want %d", n, discoveries)
	}

	three := &fake3{engine: engineOne, user: user3("mot mot")}
	both := &fake{rec: table(5), other: three.answer}
	s = open(t, options(both.start(t)))
	if fact, sure := s.Protocols(t.Context()); fact.Value != "snmpv2c snmpv3" || !sure || three.discovered.Load() != 1 {
		t.Errorf("a device with both: %+v, %v", fact, sure)
	}

	var gone atomic.Bool
	dying := &fake{rec: table(5), versions: "1", fault: func(*gosnmp.SnmpPacket, []byte) []byte {
		if gone.Load() {
			return nothing
		}
		return nil
	}}
	o := options(dying.start(t))
	o.Version, o.Timeout, o.Retries = V1, 50*time.Millisecond, 0
	s = open(t, o)
	gone.Store(true)
	if fact, sure := s.Protocols(t.Context()); fact.Value != "snmpv1" || sure {
		t.Errorf("a device that fell silent altogether: %+v, %v", fact, sure)
	}

	garbled := &fake{rec: table(5), other: func(*testing.T, []byte) []byte { return []byte("\x30\x03\x02\x01\x03") }}
	o = options(garbled.start(t))
	o.Timeout = 50 * time.Millisecond
	if fact, _ := open(t, o).Protocols(t.Context()); fact.Value != "no_snmpv3 snmpv2c" {
		t.Errorf("an answer that is none: %+v", fact)
	}
}
