package facts_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/readiness/facts"
	"communewatch/collector/store"
	"communewatch/probes"
)

var t0 = time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)

const minute = time.Minute

func id(target string, kind probes.Kind) health.CheckID {
	return health.CheckID{Site: "s1", Agent: "pc", Target: target, Kind: kind, Path: probes.PathLAN}
}

// shelf is a store of series as they are.
type shelf []store.Series

func (s shelf) Select(_ context.Context, q store.Query, each func(store.Series) error) error {
	for _, x := range s {
		if x.Measurement == q.Measurement && x.Tags.Get("site") == q.Tags["site"] {
			if err := each(x); err != nil {
				return err
			}
		}
	}
	return nil
}

func series(measurement, field, target string, values any, at ...time.Time) store.Series {
	s := store.Series{Measurement: measurement, Field: field,
		Tags: probes.Tags{}.With("site", "s1").With("agent", "pc").With("target", target).With("path", "lan")}
	for _, a := range at {
		s.Times = append(s.Times, a.UnixMilli())
	}
	switch v := values.(type) {
	case []float64:
		s.Values = v
	case []string:
		s.Texts = v
	}
	return s
}

func TestFactsAreTheNewest(t *testing.T) {
	before, now := t0.Add(-minute), t0
	got, err := facts.Read(t.Context(), shelf{
		series("sip", "code", "room-sip", []float64{200}, before), // the newer run got no answer
		series("sip", "connected", "room-sip", []float64{1, 1}, before, now),
		series("h323", "connected", "room-h323", []float64{0}, now),
		series("h323", "gatekeeper", "gk", []string{"rejected", "confirmed"}, before, now),
		series("snmp_endpoint", "h323", "room", []string{"unregistered", "registered"}, before, now),
		series("snmp_endpoint", "in_call", "room", []float64{1, 0}, before, now),
		series("snmp_endpoint", "in_loss_ratio", "room", []float64{0.5, 0.02, 0.04}, t0.Add(-5*time.Hour), before.Add(-minute), before),
		series("snmp_endpoint", "out_loss_ratio", "room", []float64{0.01}, before),
	}, "s1", t0)
	if err != nil {
		t.Fatal(err)
	}
	if f := got[id("room-sip", probes.KindSIP)]; f.Code != 0 || !f.Connected || !f.At.Equal(now) {
		t.Errorf("sip %+v: the code is of the run before", f)
	}
	if f := got[id("gk", probes.KindH323)]; f.Gatekeeper != "confirmed" || f.Signalling {
		t.Errorf("h323 %+v", f)
	}
	if f := got[id("room-h323", probes.KindH323)]; !f.Signalling || f.Connected {
		t.Errorf("h323 %+v: the port was looked at, and took nothing", f)
	}
	f := got[id("room", probes.KindSNMP)]
	if !f.Endpoint || f.H323 != "registered" || f.SIP != "" || !f.CallAt.Equal(before) || f.Loss < 0.0299 || f.Loss > 0.0301 {
		t.Errorf("endpoint %+v: want registered, the call of a minute ago, its mean loss of 3 %%", f)
	}
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Select(context.Context, store.Query, func(store.Series) error) error { return errBroken }

func TestAStoreThatDoesNotAnswer(t *testing.T) {
	if _, err := facts.Read(t.Context(), broken{}, "s1", t0); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}
