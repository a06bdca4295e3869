package contract

import (
	"fmt"
	"testing"

	"communewatch/collector/health"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// TestSeriesCacheIsBounded: what is asked for stays, however many others come by; the rest is forgotten.
func TestSeriesCacheIsBounded(t *testing.T) {
	c := NewCache(100)
	asked := wire.Row{Key: []byte("asked")}
	c.Add(&Series{key: "asked"})
	for i := range 1000 {
		c.Add(&Series{key: fmt.Sprint(i)})
		if got := c.Find([]wire.Row{asked}, nil); got[0] == nil || got[0].key != "asked" {
			t.Fatalf("forgotten after %d others", i)
		}
		if c.Len() > 101 {
			t.Fatalf("%d series kept, of at most 100", c.Len())
		}
	}
	if got := c.Find([]wire.Row{{Key: []byte("1")}}, nil); got[0] != nil {
		t.Error("a series nobody asked for is still there")
	}
}

// TestContractFits holds the contract to what the checks count on.
func TestContractFits(t *testing.T) {
	for _, m := range probes.Schema() {
		if len(m.Fields) > maxSeen {
			t.Errorf("%s has %d fields; CheckFields remembers %d", m.Name, len(m.Fields), maxSeen)
		}
		if f, ok := m.Field("outcome"); ok {
			for i, name := range f.Enum {
				if o, ok := probes.ParseOutcome(name); !ok || int(o) != i {
					t.Errorf("outcome %s has place %d and value %d; the judge is told by place", name, i, o)
				}
			}
		}
	}
}

// TestFieldsInAnyOrder: the walk along the contract is a shortcut, not a rule.
func TestFieldsInAnyOrder(t *testing.T) {
	s := &Series{measurement: New(health.DefaultRules()).measurements["icmp"]}
	row := func(keys ...string) (fields []wire.Field) {
		for _, k := range keys {
			fields = append(fields, wire.Field{Key: []byte(k), Type: probes.TypeInt, Num: 1})
		}
		return fields
	}
	for _, c := range []struct {
		fields []wire.Field
		ok     bool
	}{
		{row("sent", "received", "lost"), true}, {row("lost", "received", "sent"), true}, {row("lost", "rtt_max_seconds", "sent"), true},
		{row("sent", "lost", "sent"), false}, {row("lost", "lost"), false}, {row("sent", "df_ok"), false}, {row("nothing"), false},
	} {
		if _, reason := s.CheckFields(c.fields); (reason == "") != c.ok {
			t.Errorf("%v: %q, want ok %v", c.fields, reason, c.ok)
		}
	}
}
