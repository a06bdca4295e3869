package contract

import (
	"fmt"
	"strings"
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

// Numbers that can't be are refused: a mean of them would be believed.
func TestImpossibleNumbers(t *testing.T) {
	c := New(health.DefaultRules())
	for line, want := range map[string]string{
		`icmp,agent=a,path=lan,site=s,target=t lost=-30i 1`:              "field lost can't be -30",
		`icmp,agent=a,path=lan,site=s,target=t loss_ratio=-3 1`:          "field loss_ratio can't be -3",
		`icmp,agent=a,path=lan,site=s,target=t loss_ratio=1.01 1`:        "field loss_ratio can't be 1.01",
		`icmp,agent=a,path=lan,site=s,target=t rtt_p95_seconds=-5 1`:     "field rtt_p95_seconds can't be -5",
		`icmp,agent=a,path=lan,site=s,target=t lost=0i,loss_ratio=1 1`:   "",
		`http,agent=a,path=lan,site=s,target=t cert_expiry_seconds=-5 1`: "", // expired
		`agent,agent=a,site=s clock_offset_seconds=-3 1`:                 "",
	} {
		rows, bad := wire.NewParser(wire.DefaultLimits()).Parse([]byte(line), 1, 0)
		if len(bad) > 0 {
			t.Fatal(bad[0])
		}
		s, reason := c.CheckKey(rows[0].Key)
		if reason == "" {
			_, reason = s.CheckFields(rows[0].Fields)
		}
		if (want == "") != (reason == "") || !strings.HasPrefix(reason, want) {
			t.Errorf("%s: %q, want %q", line, reason, want)
		}
	}
}
