package api

import (
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/probes"
)

// room stores and judges what a room's endpoint answers: it pings and answers SIP; what it tells over SNMP is up to h323.
func (h *house) room(t testing.TB, site, h323 string, at time.Time) {
	t.Helper()
	tags := func(target string) probes.Tags {
		return probes.Tags{}.With("site", site).With("agent", "pc").With("target", target).With("path", "lan")
	}
	h.keep(t, []probes.Point{
		{Measurement: "sip", Tags: tags("room-sip"), Time: at, Fields: []probes.Field{probes.String("transport", "udp"), probes.Int("code", 405)}},
		{Measurement: "snmp_endpoint", Tags: tags("room"), Time: at, Fields: []probes.Field{probes.String("h323", h323)}},
	})
	for target, kind := range map[string]probes.Kind{"room-ping": probes.KindICMP, "room-sip": probes.KindSIP, "room": probes.KindSNMP} {
		id := health.CheckID{Site: site, Agent: "pc", Target: target, Kind: kind, Path: probes.PathLAN, Layer: probes.LayerConference}
		h.judge.Observe([]health.Observation{{Check: id, Time: at, Interval: 30 * time.Second, Proof: probes.ProofBound}})
	}
}

func TestASiteTellsHowReadyItsRoomIs(t *testing.T) {
	h := newHouse(t, 2)
	h.room(t, "s1", "unregistered", t0)
	h.at(t0.Add(10 * time.Second))
	d := decode[SiteDetail](t, h.get(t, "/api/v1/sites/s1"))
	if len(d.Endpoints) != 1 {
		t.Fatalf("%+v", d.Endpoints)
	}
	e := d.Endpoints[0]
	if e.Name != "room" || !e.Known || e.Level != 2 || e.Possible != 4 || e.StopCode != "unregistered" || e.At == nil || !e.At.Equal(t0) || len(e.Rungs) != 5 {
		t.Errorf("%+v", e)
	}
	if e.Summary != "Mức 2/4: trả lời SIP" || e.Stop != "room chưa đăng ký được với gatekeeper hoặc máy chủ SIP" {
		t.Errorf("%q, %q", e.Summary, e.Stop)
	}
	if r := e.Rungs[2]; r.State != "reached" || r.Target != "room-sip" || r.Kind != "sip" || r.Name != "Trả lời SIP hoặc mở cổng báo hiệu H.323" {
		t.Errorf("%+v", r)
	}
	if e := decode[SiteDetail](t, h.get(t, "/api/v1/sites/s1?lang=en")).Endpoints[0]; e.Summary != "Level 2/4: answers SIP" {
		t.Errorf("%q", e.Summary)
	}

	h.room(t, "s1", "registered", t0.Add(30*time.Second))
	h.at(t0.Add(40 * time.Second))
	if e := decode[SiteDetail](t, h.get(t, "/api/v1/sites/s1")).Endpoints[0]; e.Level != 3 || e.StopCode != "no_call" {
		t.Errorf("once it is registered: %+v", e)
	}
	if d := decode[SiteDetail](t, h.get(t, "/api/v1/sites/s0")); d.Endpoints == nil || len(d.Endpoints) != 0 {
		t.Errorf("a site without a room: %+v", d.Endpoints)
	}
}

func TestAStoreInTroubleDoesNotHideASite(t *testing.T) {
	h := newHouse(t, 2)
	h.room(t, "s1", "registered", t0)
	h.at(t0.Add(10 * time.Second))
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	if e := decode[SiteDetail](t, h.get(t, "/api/v1/sites/s1")).Endpoints[0]; e.Level != 0 || e.StopCode != "stale" {
		t.Errorf("%+v: want what the judge knows, and no more", e)
	}
}
