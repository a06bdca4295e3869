package gauges

import (
	"testing"

	"communewatch/probes/snmp/ask"
)

func TestGaugesAreSound(t *testing.T) {
	for i, m := range makers() {
		for _, before := range makers()[:i] {
			if m.branch.Below(before.branch) {
				t.Errorf("%s is never reached: %s stands before it", m.branch, before.branch)
			}
		}
		for _, g := range m.gauges {
			if oid, err := ask.ParseOID(string(g.OID)); err != nil || oid != g.OID || g.Scale <= 0 || g.Most <= 0 {
				t.Errorf("%s: %+v: %v", m.branch, g, err)
			}
		}
	}
}

func TestValue(t *testing.T) {
	number := func(n int64) ask.Value { return ask.Value{Type: ask.Integer, Num: uint64(n)} }
	busy := Gauge{What: CPU, OID: "1.3.6.1.4.1.1.1.0", Scale: 0.01, Most: 100}
	column := Gauge{What: CPU, OID: "1.3.6.1.4.1.1.2", Scale: 0.01, Most: 100}
	heat := Gauge{What: Temperature, OID: "1.3.6.1.4.1.1.3.0", Scale: 0.1, Most: 1500}
	for _, c := range []struct {
		gauge Gauge
		value ask.Value
		want  float64
		ok    bool
	}{
		{busy, number(50), 0.5, true}, {busy, number(0), 0, true}, {busy, number(101), 0, false}, {busy, number(-1), 0, false},
		{busy, ask.Value{Type: ask.Octets, Bytes: []byte("50")}, 0, false}, {busy, ask.Value{}, 0, false},
		{column, number(0), 0, false}, {column, number(1), 0.01, true}, {heat, number(-50), -5, true},
	} {
		if got, ok := c.gauge.Value(c.value); got != c.want || ok != c.ok {
			t.Errorf("%s of %+v is %v, %v", c.gauge.OID, c.value, got, ok)
		}
	}
	if len(Of("1.3.6.1.4.1.9.1.716")) == 0 || len(Of("1.3.6.1.4.1.99999")) != 0 || len(Of("")) != 0 {
		t.Error("gauges of the wrong maker")
	}
}
