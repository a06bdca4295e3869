package ingest

import (
	"fmt"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/registry"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// TestSeriesCacheIsBounded: what is asked for stays, however many others come by; the rest is forgotten.
func TestSeriesCacheIsBounded(t *testing.T) {
	c := newSeriesCache(100)
	asked := wire.Row{Key: []byte("asked")}
	c.add(&series{key: "asked"})
	for i := range 1000 {
		c.add(&series{key: fmt.Sprint(i)})
		if got := c.find([]wire.Row{asked}, nil); got[0] == nil || got[0].key != "asked" {
			t.Fatalf("forgotten after %d others", i)
		}
		if c.len() > 101 {
			t.Fatalf("%d series kept, of at most 100", c.len())
		}
	}
	if got := c.find([]wire.Row{{Key: []byte("1")}}, nil); got[0] != nil {
		t.Error("a series nobody asked for is still there")
	}
}

// TestWriterSeriesAge: series that fell silent make room for new ones, those in use keep their place.
func TestWriterSeriesAge(t *testing.T) {
	ws := newWriters(2)
	c := newContract(health.DefaultRules())
	id := &registry.Identity{Token: "w", Kind: registry.KindWriter}
	now := time.Unix(0, 0)
	check := func(key string) string {
		row := wire.Row{Key: []byte(key), Fields: []wire.Field{{Key: []byte("f")}}}
		reason, _ := ws.check(ws.of("w", now), c, id, &row)
		return reason
	}
	if check("a") != "" || check("b") != "" || check("c") == "" {
		t.Fatal("the limit of two does not hold")
	}
	for day := range 3 {
		now = now.Add(writerAge)
		ws.age(now)
		if reason := check("a"); reason != "" {
			t.Fatalf("day %d: a series in use was forgotten: %s", day, reason)
		}
	}
	if reason := check("c"); reason != "" {
		t.Errorf("the silent series kept its place: %s", reason)
	}
	if got := ws.series()["w"]; got != 2 {
		t.Errorf("%d series counted, want 2", got)
	}
}

// TestContractFits holds the contract to what the checks count on.
func TestContractFits(t *testing.T) {
	for _, m := range probes.Schema() {
		if len(m.Fields) > maxSeen {
			t.Errorf("%s has %d fields; checkFields remembers %d", m.Name, len(m.Fields), maxSeen)
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
	m := newContract(health.DefaultRules()).measurements["icmp"]
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
		if reason := m.checkFields(c.fields); (reason == "") != c.ok {
			t.Errorf("%v: %q, want ok %v", c.fields, reason, c.ok)
		}
	}
}
