package readiness_test

import (
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/readiness"
	"communewatch/probes"
)

var t0 = time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)

const minute = time.Minute

func id(target string, kind probes.Kind) health.CheckID {
	return health.CheckID{Site: "s1", Agent: "pc", Target: target, Kind: kind, Path: probes.PathLAN}
}

// check is a check as the judge shows it.
func check(target string, kind probes.Kind, s health.State) health.CheckStatus {
	c := health.CheckStatus{ID: id(target, kind), State: s, LastSeen: t0, Interval: minute}
	c.ID.Layer = probes.LayerConference
	switch s {
	case health.StateDown:
		c.Outcome = probes.OutcomeTimeout
		c.Reason = health.Reason{Code: health.ReasonOutcome, Outcome: probes.OutcomeTimeout}
	case health.StateDegraded:
		c.Reason = health.Reason{Code: health.ReasonThreshold}
	}
	return c
}

const (
	ok   = health.StateOK
	slow = health.StateDegraded
	down = health.StateDown
	dark = health.StateNoData
)

func TestLadder(t *testing.T) {
	ping := func(s health.State) health.CheckStatus { return check("room-ping", probes.KindICMP, s) }
	port := func(s health.State) health.CheckStatus { return check("room-tcp", probes.KindTCP, s) }
	sip := func(s health.State) health.CheckStatus { return check("room-sip", probes.KindSIP, s) }
	h323 := func(s health.State) health.CheckStatus { return check("room-h323", probes.KindH323, s) }
	snmp := func(s health.State) health.CheckStatus { return check("room", probes.KindSNMP, s) }
	mute := snmp(slow) // a silent SNMP agent makes a check degraded at most
	mute.Reason = health.Reason{Code: health.ReasonOutcome, Outcome: probes.OutcomeTimeout}

	sipOK := readiness.Facts{At: t0, Code: 405}
	gear := func(h323, sip string, calledAgo time.Duration, loss float64) readiness.Facts {
		f := readiness.Facts{At: t0, Endpoint: true, H323: h323, SIP: sip, Loss: loss}
		if calledAgo > 0 {
			f.CallAt = t0.Add(-calledAgo)
		}
		return f
	}
	for _, tc := range []struct {
		name     string
		checks   []health.CheckStatus
		sip      readiness.Facts
		h323     readiness.Facts
		snmp     readiness.Facts
		level    readiness.Level
		possible readiness.Level
		known    bool
		stop     readiness.Code
		at       readiness.Level // the rung that stops
	}{
		{name: "only pings", checks: []health.CheckStatus{ping(ok)},
			level: 0, possible: 0, known: true, stop: readiness.CodeUnchecked, at: 1},
		{name: "nothing answers", checks: []health.CheckStatus{ping(down), port(down)},
			level: -1, possible: 1, known: true, stop: readiness.CodeNoAnswer, at: 0},
		{name: "nothing is known", checks: []health.CheckStatus{ping(dark), port(dark)},
			level: -1, possible: 1, stop: readiness.CodeStale, at: 0},
		{name: "a port on which a plain connection is tried is no signalling", checks: []health.CheckStatus{ping(ok), port(slow)},
			level: 1, possible: 1, known: true, stop: readiness.CodeUnchecked, at: 2},
		{name: "the port is closed", checks: []health.CheckStatus{ping(ok), port(down)},
			level: 0, possible: 1, known: true, stop: readiness.CodeNoAnswer, at: 1},
		{name: "any SIP answer", checks: []health.CheckStatus{ping(ok), sip(ok)}, sip: sipOK,
			level: 2, possible: 2, known: true, stop: readiness.CodeUnchecked, at: 3},
		{name: "pings are filtered, SIP answers", checks: []health.CheckStatus{ping(down), sip(ok)}, sip: sipOK,
			level: 2, possible: 2, known: true, stop: readiness.CodeUnchecked, at: 3},
		{name: "the answer is of another day", checks: []health.CheckStatus{ping(ok), sip(ok)}, sip: readiness.Facts{At: t0.Add(-time.Hour), Code: 200},
			level: 0, possible: 2, known: true, stop: readiness.CodeStale, at: 2},
		{name: "SIP is silent", checks: []health.CheckStatus{ping(ok), sip(down)},
			level: 0, possible: 2, known: true, stop: readiness.CodeNoAnswer, at: 2},
		{name: "takes the connection and says nothing", checks: []health.CheckStatus{sip(down)}, sip: readiness.Facts{At: t0, Connected: true},
			level: 1, possible: 2, known: true, stop: readiness.CodeNoAnswer, at: 2},
		{name: "SIP is off, H.323 answers", checks: []health.CheckStatus{sip(down), h323(ok)}, h323: readiness.Facts{At: t0, Signalling: true, Connected: true},
			level: 2, possible: 2, known: true, stop: readiness.CodeUnchecked, at: 3},
		{name: "a gatekeeper confirms, which is another machine", checks: []health.CheckStatus{ping(ok), h323(ok)}, h323: readiness.Facts{At: t0, Gatekeeper: "confirmed"},
			level: 0, possible: 0, known: true, stop: readiness.CodeUnchecked, at: 1},
		{name: "a gatekeeper is silent beside a port that takes connections", checks: []health.CheckStatus{h323(down)},
			h323:  readiness.Facts{At: t0, Signalling: true, Connected: true, Gatekeeper: "silent"},
			level: 2, possible: 2, known: true, stop: readiness.CodeUnchecked, at: 3},
		{name: "registered", checks: []health.CheckStatus{ping(ok), sip(ok), snmp(ok)}, sip: sipOK, snmp: gear("registered", "disabled", 0, 0),
			level: 3, possible: 4, known: true, stop: readiness.CodeNoCall, at: 4},
		{name: "registered, and nothing asks for SIP", checks: []health.CheckStatus{snmp(ok)}, snmp: gear("", "registered", 0, 0),
			level: 3, possible: 4, known: true, stop: readiness.CodeNoCall, at: 4},
		{name: "registered, but SIP is silent", checks: []health.CheckStatus{sip(down), snmp(ok)}, snmp: gear("", "registered", time.Hour, 0),
			level: 0, possible: 4, known: true, stop: readiness.CodeNoAnswer, at: 2},
		{name: "not registered", checks: []health.CheckStatus{sip(ok), snmp(ok)}, sip: sipOK, snmp: gear("unregistered", "disabled", 0, 0),
			level: 2, possible: 4, known: true, stop: readiness.CodeUnregistered, at: 3},
		{name: "registration is off", checks: []health.CheckStatus{sip(ok), snmp(ok)}, sip: sipOK, snmp: gear("disabled", "disabled", time.Hour, 0),
			level: 2, possible: 4, known: true, stop: readiness.CodeNoRegistration, at: 3},
		{name: "does not tell", checks: []health.CheckStatus{sip(ok), snmp(ok)}, sip: sipOK, snmp: readiness.Facts{At: t0, Endpoint: true},
			level: 2, possible: 4, known: true, stop: readiness.CodeNotTold, at: 3},
		{name: "SNMP is off", checks: []health.CheckStatus{sip(ok), mute}, sip: sipOK,
			level: 2, possible: 4, known: true, stop: readiness.CodeNoAnswer, at: 3},
		{name: "a good call", checks: []health.CheckStatus{sip(ok), snmp(ok)}, sip: sipOK, snmp: gear("registered", "", 23*time.Hour, 0.05),
			level: 4, possible: 4, known: true},
		{name: "the call was long ago", checks: []health.CheckStatus{sip(ok), snmp(ok)}, sip: sipOK, snmp: gear("registered", "", 25*time.Hour, 0),
			level: 3, possible: 4, known: true, stop: readiness.CodeNoCall, at: 4},
		{name: "the call was bad", checks: []health.CheckStatus{sip(ok), snmp(ok)}, sip: sipOK, snmp: gear("registered", "", time.Hour, 0.08),
			level: 3, possible: 4, known: true, stop: readiness.CodeBadCall, at: 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := readiness.Of(tc.checks, map[health.CheckID]readiness.Facts{
				id("room-sip", probes.KindSIP): tc.sip, id("room-h323", probes.KindH323): tc.h323, id("room", probes.KindSNMP): tc.snmp}, t0)
			if len(got) != 1 || got[0].Name != "room" {
				t.Fatalf("%+v, want the one endpoint room", got)
			}
			e := got[0]
			if e.Level != tc.level || e.Possible != tc.possible || e.Known != tc.known {
				t.Errorf("level %d of %d, known %v; want %d of %d, %v", e.Level, e.Possible, e.Known, tc.level, tc.possible, tc.known)
			}
			if e.Stop.Code != tc.stop || tc.stop != "" && e.Stop.Level != tc.at {
				t.Errorf("stopped at %d by %q, want %d by %q", e.Stop.Level, e.Stop.Code, tc.at, tc.stop)
			}
			if (e.Level == readiness.None) != e.At.IsZero() {
				t.Errorf("level %d from %v", e.Level, e.At)
			}
			for l, r := range e.Rungs {
				if int(r.Level) != l || (r.State == readiness.StateUnchecked) != (r.Target == "") {
					t.Errorf("rung %d: %+v", l, r)
				}
			}
		})
	}
}

func TestTheAgeIsThatOfTheRungReached(t *testing.T) {
	facts := readiness.Facts{At: t0, Endpoint: true, H323: "registered", CallAt: t0.Add(-20 * time.Hour)}
	got := readiness.Of([]health.CheckStatus{check("room", probes.KindSNMP, ok)}, map[health.CheckID]readiness.Facts{id("room", probes.KindSNMP): facts}, t0)
	if e := got[0]; e.Level != readiness.Quality || !e.At.Equal(facts.CallAt) {
		t.Errorf("level %d as of %v, want 4 as of the call", e.Level, e.At)
	}
}

func TestWhichChecksAreOfAnEndpoint(t *testing.T) {
	hub := check("hub", probes.KindSIP, ok)
	hub.ID.Path = probes.PathDedicated
	router := check("gw", probes.KindICMP, ok)
	router.ID.Layer = probes.LayerLAN
	ups := check("ups", probes.KindSNMP, ok)
	ups.ID.Layer = probes.LayerLAN
	codec := check("codec-snmp", probes.KindSNMP, ok)
	codec.ID.Layer = probes.LayerLAN // it says itself what it is
	call := check("call", probes.KindWebRTC, ok)
	got := readiness.Of([]health.CheckStatus{hub, router, ups, codec, call, check("small-web", probes.KindHTTP, ok), check("big-h323", probes.KindTCP, down)},
		map[health.CheckID]readiness.Facts{id("codec-snmp", probes.KindSNMP): {At: t0, Endpoint: true, SIP: "registered"}}, t0)
	names := []string{}
	for _, e := range got {
		names = append(names, e.Name)
	}
	if len(names) != 3 || names[0] != "big" || names[1] != "codec" || names[2] != "small" {
		t.Errorf("endpoints %v, want big, codec and small", names)
	}
	// Names as they are given, of one endpoint.
	for _, name := range []string{"endpoint", "endpoint-h323", "endpoint-sip", "endpoint-web", "endpoint-options", "endpoint-call-port", "endpoint-snmp", "snmp-endpoint", "ping-endpoint-tcp"} {
		if got := readiness.Name(name); got != "endpoint" {
			t.Errorf("%s is of %q", name, got)
		}
	}
	for _, name := range []string{"-sip", "sip-", "sip", "webex", "room-sipura", "small-room"} {
		if got := readiness.Name(name); got != name {
			t.Errorf("%s is of %q", name, got)
		}
	}
	poll := check("snmp-endpoint", probes.KindSNMP, ok)
	poll.ID.Layer = probes.LayerLAN
	one := readiness.Of([]health.CheckStatus{check("endpoint-h323", probes.KindH323, ok), check("endpoint-call-port", probes.KindH323, ok), poll}, map[health.CheckID]readiness.Facts{
		id("endpoint-h323", probes.KindH323): {At: t0, Signalling: true, Connected: true}, id("snmp-endpoint", probes.KindSNMP): {At: t0, Endpoint: true, H323: "registered"}}, t0)
	if len(one) != 1 || one[0].Name != "endpoint" || one[0].Level != readiness.Registration {
		t.Errorf("%+v, want one endpoint that is registered", one)
	}
	if got := readiness.Of(nil, nil, t0); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
