package snmp

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"

	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/recording"

	"github.com/gosnmp/gosnmp"
)

// testDevice answers version 2c over UDP on loopback, from a recording.
type testDevice struct {
	address string

	mu     sync.Mutex // guards the fields below
	lines  string
	rec    *recording.Recording
	silent ask.OID // branch at which it hangs; "" for none
	old    bool    // it has no version 3
}

func startDevice(t *testing.T) *testDevice {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &testDevice{address: conn.LocalAddr().String()}
	d.set(`1.3.6.1.2.1.1.1.0|4|a switch
1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999.1
1.3.6.1.2.1.1.3.0|67|100000
1.3.6.1.2.1.2.2.1.2.1|4|Gi1
1.3.6.1.2.1.2.2.1.3.1|2|6
1.3.6.1.2.1.2.2.1.8.1|2|1
1.3.6.1.2.1.25.1.1.0|67|100000
1.3.6.1.2.1.99.9.0|2|1`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := d.answer(t, buf[:n]); out != nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return d
}

// set adds lines that count before those there were.
func (d *testDevice) set(lines string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = lines + "\n" + d.lines
	d.rec, _ = recording.Parse(strings.NewReader(d.lines))
}

func (d *testDevice) stall(branch ask.OID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent = branch
}

func (d *testDevice) answer(t *testing.T, data []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(data) > 5 && bytes.Equal(data[2:5], []byte{2, 1, 3}) { // the version stands first
		return d.report(t)
	}
	q, err := (&gosnmp.GoSNMP{}).SnmpDecodePacket(data)
	if err != nil || q.Version != gosnmp.Version2c || q.Community != "thongtin" {
		return nil
	}
	a := gosnmp.SnmpPacket{Version: q.Version, Community: q.Community, PDUType: gosnmp.GetResponse, RequestID: q.RequestID}
	for _, want := range q.Variables {
		at := ask.OID(strings.TrimPrefix(want.Name, "."))
		if q.PDUType == gosnmp.GetRequest {
			if vars, _ := d.rec.Get(t.Context(), at); len(vars) > 0 {
				a.Variables = append(a.Variables, pdu(vars[0]))
			} else {
				a.Variables = append(a.Variables, gosnmp.SnmpPDU{Name: want.Name, Type: gosnmp.NoSuchObject})
			}
			continue
		}
		if d.silent != "" && at.Below(d.silent) {
			return nil
		}
		for range max(q.MaxRepetitions, 1) {
			v, ok := d.rec.Next(at)
			if !ok {
				a.Variables = append(a.Variables, gosnmp.SnmpPDU{Name: "." + string(at), Type: gosnmp.EndOfMibView})
				break
			}
			a.Variables = append(a.Variables, pdu(v))
			at = v.OID
		}
	}
	out, err := a.MarshalMsg()
	if err != nil {
		t.Error(err)
	}
	return out
}

// report tells the engine id, to somebody who does not know it.
func (d *testDevice) report(t *testing.T) []byte {
	if d.old {
		return nil
	}
	out, err := (&gosnmp.SnmpPacket{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgMaxSize: 1472, PDUType: gosnmp.Report,
		SecurityParameters: &gosnmp.UsmSecurityParameters{AuthoritativeEngineID: "\x80\x00\x1f\x88\x04one"},
		Variables:          []gosnmp.SnmpPDU{{Name: ".1.3.6.1.6.3.15.1.1.4.0", Type: gosnmp.Counter32, Value: uint32(1)}}}).MarshalMsg()
	if err != nil {
		t.Error(err)
	}
	return out
}

func pdu(v ask.Var) gosnmp.SnmpPDU {
	p := gosnmp.SnmpPDU{Name: "." + string(v.OID), Type: gosnmp.Asn1BER(v.Value.Type)}
	switch v.Value.Type {
	case ask.Octets:
		p.Value = v.Value.Bytes
	case ask.ObjectID:
		p.Value = "." + string(v.Value.Bytes)
	case ask.Integer:
		p.Value = int(int64(v.Value.Num))
	default:
		p.Value = uint32(v.Value.Num)
	}
	return p
}
