package session

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/recording"

	"github.com/gosnmp/gosnmp"
)

// fake is a device of ours that answers from a recording over real UDP, and has a fault.
type fake struct {
	rec *recording.Recording

	versions  string // that it answers, of "12"; the others it drops
	community string
	// fault is asked before each answer; what it returns goes out instead of what is right. nil is right, an empty
	// slice silence.
	fault func(q *gosnmp.SnmpPacket, right []byte) []byte
	// bend changes an answer before it is encoded.
	bend func(q, a *gosnmp.SnmpPacket)
	// other answers packets of version 3; nil: they are dropped and counted.
	other      func(t *testing.T, data []byte) []byte
	unreadable atomic.Int32

	mu   sync.Mutex // guards the fields below
	asks []ask.OID  // the first OID of each request
	reps []int      // of each GETBULK
}

func (f *fake) seen() (asks []ask.OID, reps []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]ask.OID(nil), f.asks...), append([]int(nil), f.reps...)
}

// start lets it answer until the test is over, and returns where.
func (f *fake) start(t *testing.T) string {
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
			if out := f.answer(t, buf[:n]); len(out) > 0 {
				conn.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String()
}

func (f *fake) answer(t *testing.T, data []byte) []byte {
	if len(data) > 5 && bytes.Equal(data[2:5], []byte{2, 1, 3}) { // the version stands first
		if f.other != nil {
			return f.other(t, data)
		}
		f.unreadable.Add(1)
		return nil
	}
	q, err := (&gosnmp.GoSNMP{}).SnmpDecodePacket(data)
	if err != nil {
		t.Errorf("a request that can't be read: %v", err)
		return nil
	}
	f.mu.Lock()
	if len(q.Variables) > 0 {
		f.asks = append(f.asks, ask.OID(strings.TrimPrefix(q.Variables[0].Name, ".")))
	}
	if q.PDUType == gosnmp.GetBulkRequest {
		f.reps = append(f.reps, int(q.MaxRepetitions))
	}
	f.mu.Unlock()
	v := map[gosnmp.SnmpVersion]string{gosnmp.Version1: "1", gosnmp.Version2c: "2"}[q.Version]
	if v == "" || f.versions != "" && !strings.Contains(f.versions, v) || f.community != "" && q.Community != f.community {
		return nil
	}
	a := &gosnmp.SnmpPacket{Version: q.Version, Community: q.Community, PDUType: gosnmp.GetResponse, RequestID: q.RequestID}
	none := func(i int, name string, exception gosnmp.Asn1BER) {
		if q.Version == gosnmp.Version1 {
			a.Error, a.ErrorIndex = gosnmp.NoSuchName, uint8(i+1)
			return
		}
		a.Variables = append(a.Variables, gosnmp.SnmpPDU{Name: name, Type: exception})
	}
	for i, want := range q.Variables {
		at := ask.OID(strings.TrimPrefix(want.Name, "."))
		if q.PDUType == gosnmp.GetRequest {
			vars, _ := f.rec.Get(t.Context(), at)
			if len(vars) == 0 {
				none(i, want.Name, gosnmp.NoSuchInstance)
				continue
			}
			a.Variables = append(a.Variables, pdu(vars[0]))
			continue
		}
		n := 1
		if q.PDUType == gosnmp.GetBulkRequest {
			n = int(q.MaxRepetitions)
		}
		for range n {
			v, ok := f.rec.Next(at)
			if !ok {
				none(i, "."+string(at), gosnmp.EndOfMibView)
				break
			}
			a.Variables = append(a.Variables, pdu(v))
			at = v.OID
		}
	}
	if a.Error != gosnmp.NoError {
		a.Variables = q.Variables
	}
	if f.bend != nil {
		f.bend(q, a)
	}
	right, err := a.MarshalMsg()
	if err != nil {
		t.Errorf("encode an answer: %v", err)
		return nil
	}
	if f.fault != nil {
		if out := f.fault(q, right); out != nil {
			return out
		}
	}
	return right
}

func pdu(v ask.Var) gosnmp.SnmpPDU {
	p := gosnmp.SnmpPDU{Name: "." + string(v.OID), Type: gosnmp.Asn1BER(v.Value.Type)}
	switch v.Value.Type {
	case ask.Octets, ask.Opaque:
		p.Value = v.Value.Bytes
	case ask.ObjectID:
		p.Value = "." + string(v.Value.Bytes)
	case ask.IPAddress:
		p.Value = v.Value.Bytes
	case ask.Integer:
		p.Value = int(int64(v.Value.Num))
	case ask.Counter64:
		p.Value = v.Value.Num
	case ask.Counter32, ask.Gauge32, ask.TimeTicks:
		p.Value = uint32(v.Value.Num)
	}
	return p
}

// silence is a fault's answer that is none.
var nothing = []byte{}

func num(t ask.Type, n uint64) ask.Value { return ask.Value{Type: t, Num: n} }
func text(s string) ask.Value            { return ask.Value{Type: ask.Octets, Bytes: []byte(s)} }

// table is a device with the system group and a table of n rows below 1.3.6.1.2.1.2.2.1.10, and something behind it.
func table(n int) *recording.Recording {
	vars := []ask.Var{
		{OID: sysDescr, Value: text("a device of the test's own")},
		{OID: sysObjectID, Value: ask.Value{Type: ask.ObjectID, Bytes: []byte("1.3.6.1.4.1.99999.1")}},
		{OID: sysUpTime, Value: num(ask.TimeTicks, 4711)},
		{OID: "1.3.6.1.2.1.2.2.1.11.1", Value: num(ask.Counter32, 1)},
		{OID: "1.3.6.1.4.1.1.0", Value: text("behind")},
	}
	for i := range n {
		vars = append(vars, ask.Var{OID: ask.OID("1.3.6.1.2.1.2.2.1.10." + itoa(i+1)), Value: num(ask.Counter32, uint64(i))})
	}
	return recording.New(vars)
}

const column ask.OID = "1.3.6.1.2.1.2.2.1.10"

// options asks a fake quickly: nothing is lost on loopback.
func options(address string) Options {
	return Options{Address: address, Community: "public", Timeout: 400 * time.Millisecond, Retries: 1}
}
