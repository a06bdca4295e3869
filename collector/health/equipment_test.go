package health

import (
	"testing"
	"time"

	"communewatch/probes"
)

// Checks of equipment say that something is not as it should be, and never that a line is down, or well.
func TestEquipmentIsNoWitnessOfTheLine(t *testing.T) {
	of := func(kind probes.Kind) CheckID {
		return CheckID{Site: "s1", Agent: "pc", Target: "t-" + string(kind), Kind: kind, Path: probes.PathLAN, Layer: probes.LayerLAN}
	}
	const good, bad, silent, own = '.', 'x', '-', '!'
	for _, tc := range []struct {
		name string
		runs map[probes.Kind]byte // how each check's runs go
		want State
	}{
		{"all well", map[probes.Kind]byte{probes.KindICMP: good, probes.KindSNMP: good}, StateOK},
		{"SNMP is silent, the line works", map[probes.Kind]byte{probes.KindICMP: good, probes.KindSNMP: bad}, StateDegraded},
		{"the line is down, and SNMP with it", map[probes.Kind]byte{probes.KindICMP: bad, probes.KindSNMP: bad}, StateDown},
		{"the line is down, whatever a sweep said yesterday", map[probes.Kind]byte{probes.KindICMP: bad, probes.KindSweep: good, probes.KindMachine: good}, StateDown},
		{"nothing is known of the line", map[probes.Kind]byte{probes.KindICMP: silent, probes.KindSweep: good, probes.KindMachine: good}, StateNoData},
		{"the agent may not ping", map[probes.Kind]byte{probes.KindICMP: own, probes.KindSNMP: good}, StateNoData},
		{"SNMP is not measured, the line works", map[probes.Kind]byte{probes.KindICMP: good, probes.KindSNMP: own}, StateOK},
		{"nothing but SNMP, and it is silent", map[probes.Kind]byte{probes.KindSNMP: bad}, StateDegraded},
		{"nothing but SNMP", map[probes.Kind]byte{probes.KindSNMP: good}, StateOK},
		{"nothing but what failed", map[probes.Kind]byte{probes.KindSNMP: bad, probes.KindSweep: bad, probes.KindMachine: bad}, StateDegraded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j := New(DefaultRules(), t0)
			at := t0
			for range 10 {
				for kind, letter := range tc.runs {
					if letter == silent && at != t0 {
						continue
					}
					if letter == silent {
						letter = good
					}
					j.Observe(result(of(kind), at, letter))
				}
				tickTo(j, at.Add(every))
				at = at.Add(every)
			}
			site, checks, _ := j.Site("s1")
			if got := site.Layers[0].State; got != tc.want {
				t.Errorf("the layer is %v, want %v", got, tc.want)
			}
			for _, c := range checks {
				if c.State == StateDown && c.ID.Kind != probes.KindICMP {
					t.Errorf("%s is down", c.ID.Kind)
				}
			}
		})
	}
}

// A run of one kind has rows of several measurements, and limits tell their fields apart.
func TestLimitsOnRowsOfSNMP(t *testing.T) {
	id := CheckID{Site: "s1", Agent: "pc", Target: "ups", Kind: probes.KindSNMP, Path: probes.PathLAN, Layer: probes.LayerLAN}
	limit := 0.5
	r := DefaultRules()
	r.Overrides = []Limit{{Field: "snmp_device.memory_used_ratio", Degraded: &limit, Down: &limit}}
	run := func(facts ...Fact) CheckStatus {
		j := New(r, t0)
		for i := range 3 {
			at := t0.Add(time.Duration(i) * every)
			j.Observe([]Observation{{Check: id, Time: at, Interval: every, Facts: facts}})
			j.Tick(at.Add(time.Second))
		}
		_, checks, _ := j.Site("s1")
		return checks[0]
	}
	for _, tc := range []struct {
		name  string
		facts []Fact
		state State
		field string
	}{
		{"on the mains", []Fact{{Measurement: "snmp_device", Field: "partial", Value: 1}, {Measurement: "snmp_ups", Field: "on_battery", Value: 0}}, StateOK, ""},
		{"on the battery", []Fact{{Measurement: "snmp_device", Field: "partial", Value: 0}, {Measurement: "snmp_ups", Field: "on_battery", Value: 1}}, StateDegraded, "snmp_ups.on_battery"},
		{"another row's field of the same name", []Fact{{Measurement: "snmp_device", Field: "on_battery", Value: 1}}, StateOK, ""},
		{"past a limit that says down", []Fact{{Measurement: "snmp_device", Field: "memory_used_ratio", Value: 0.9}}, StateDegraded, "snmp_device.memory_used_ratio"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := run(tc.facts...)
			if c.State != tc.state || c.Reason.Field != tc.field {
				t.Errorf("%v because of %q, want %v because of %q", c.State, c.Reason.Field, tc.state, tc.field)
			}
		})
	}
}
