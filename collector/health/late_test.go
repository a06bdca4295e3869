package health

import (
	"fmt"
	"testing"
	"time"

	"communewatch/probes"
)

// TestLatenessOfTheAgentIsTakenOff: twice of it from measured times, and from nothing else.
func TestLatenessOfTheAgentIsTakenOff(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		kind  probes.Kind
		field string
		value float64
		late  time.Duration
		want  State
	}{
		{"icmp", "rtt_p95_seconds", 0.185, 68 * ms, StateOK},
		{"icmp", "rtt_p95_seconds", 0.185, 67 * ms, StateDegraded},
		{"icmp", "jitter_seconds", 0.059, 20 * ms, StateOK},
		{"icmp", "jitter_seconds", 0.061, 20 * ms, StateDegraded},
		{"tcp", "connect_seconds", 1.1, 60 * ms, StateOK},
		{"tcp", "connect_seconds", 1.1, -time.Hour, StateDegraded},
		{"dns", "query_seconds", 0.7, 120 * ms, StateOK},
		{"http", "total_seconds", 4, 400 * ms, StateDegraded},
		{"http", "cert_expiry_seconds", 5, time.Hour, StateDegraded},
		{"icmp", "df_ok", 0, time.Hour, StateDegraded},
	} {
		id := ping
		id.Kind = tc.kind
		j := New(DefaultRules(), t0)
		for i := range 3 {
			j.Observe([]Observation{{Check: id, Time: t0.Add(time.Duration(i) * every), Interval: every, Late: tc.late,
				Facts: []Fact{{Measurement: string(tc.kind), Field: tc.field, Value: tc.value}}}})
		}
		if s, _, _ := j.Site("s1"); s.State != tc.want {
			t.Errorf("%s.%s = %v, late by %v: %v, want %v", tc.kind, tc.field, tc.value, tc.late, s.State, tc.want)
		} else if s.State != StateOK && s.Reason.Value != tc.value {
			t.Errorf("%s.%s = %v is told as %v", tc.kind, tc.field, tc.value, s.Reason.Value)
		}
	}
	j := New(DefaultRules(), t0)
	for i := range 4 {
		j.Observe([]Observation{{Check: ping, Time: t0.Add(time.Duration(i) * every), Interval: every, Late: time.Minute,
			Facts: []Fact{{Measurement: "icmp", Field: "sent", Value: 10}, {Measurement: "icmp", Field: "lost", Value: 3}}}})
	}
	if s, _, _ := j.Site("s1"); s.State != StateDegraded || s.Reason.Field != "icmp.loss_ratio" {
		t.Errorf("lateness loses no packets: %+v", s.Reason)
	}
}

func TestOverloadedAgentIsInTrouble(t *testing.T) {
	j := New(DefaultRules(), t0)
	run := func(i int, late time.Duration) (version uint64, trouble Reason) {
		id := ping
		id.Target = fmt.Sprintf("t%d", i%3) // it is the agent that is late, whatever it measures
		j.Observe([]Observation{{Check: id, Time: t0.Add(time.Duration(i) * time.Second), Interval: every, Late: late}})
		s, _, _ := j.Site("s1")
		return s.Version, s.Agents[0].Trouble
	}
	var before, version uint64
	var trouble Reason
	for i := range 9 {
		before, trouble = run(i, time.Duration(i%2)*200*time.Millisecond)
	}
	if trouble.Code != ReasonNone {
		t.Errorf("late in four runs of nine: %+v", trouble)
	}
	if version, trouble = run(9, 200*time.Millisecond); trouble.Code != ReasonOverloaded || trouble.Check.Agent != "pc" || version == before {
		t.Errorf("late in five runs of ten: %+v, version %d after %d", trouble, version, before)
	}
	if s, _, _ := j.Site("s1"); s.State != StateOK {
		t.Errorf("the agent's load paints the site %v", s.State)
	}
	before = version
	run(10, 0)
	if version, trouble = run(11, 0); trouble.Code != ReasonNone || version == before {
		t.Errorf("late in four runs of ten again: %+v, version %d after %d", trouble, version, before)
	}
	for i := 12; i < 30; i++ {
		run(i, time.Second)
	}
	id := ping
	id.Target = "t1"
	for i := range 2 {
		j.Observe([]Observation{{Check: id, Time: t0.Add(time.Minute + time.Duration(i)*time.Second), Interval: every, Outcome: probes.OutcomeUnbound}})
	}
	if s, _, _ := j.Site("s1"); s.Agents[0].Trouble.Outcome != probes.OutcomeUnbound {
		t.Errorf("what keeps it from measuring comes first: %+v", s.Agents[0].Trouble)
	}
	j.Tick(t0.Add(2 * time.Hour))
	if s, _, _ := j.Site("s1"); s.Agents[0].Trouble.Code != ReasonNone {
		t.Errorf("of an agent that says nothing nobody knows how it is: %+v", s.Agents[0].Trouble)
	}
}
