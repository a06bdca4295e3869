package ingest_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/collector/registry/devices"
	"communewatch/probes"
)

// shelf is an inventory in memory.
type shelf struct {
	mu   sync.Mutex
	seen []devices.Sighting
	fail error
}

func (s *shelf) See(_ context.Context, list []devices.Sighting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.seen = append(s.seen, list...)
	}
	return s.fail
}

func (h *house) withShelf() *shelf {
	s := &shelf{}
	h.in = ingest.New(ingest.Options{Store: h.store, Registry: h.clerk, Judge: h.judge, Devices: s, Rules: health.DefaultRules(),
		Now: func() time.Time { return now }})
	h.server.Config.Handler = h.in.Handler()
	return s
}

func equipment(device, fact, value string, at int64) string {
	return fmt.Sprintf(`equipment,agent=a1,device=%s,fact=%s,path=lan,site=s1,target=switch value=%q,source="snmp 1.2",confidence_ratio=0.9 %d`, device, fact, value, at)
}

func polled(at int64) string {
	return fmt.Sprintf(`check,agent=a1,kind=snmp,layer=lan,path=lan,site=s1,target=switch outcome="ok",up=true,took_seconds=1,interval_seconds=300,path_proof="bound" %d`, at)
}

func TestEquipmentGoesToTheInventory(t *testing.T) {
	h := open(t, ingest.Limits{})
	s := h.withShelf()
	at := now.UnixMilli()
	a := h.lines("secret", good, check, // another check's rows are none
		equipment("main", "model", "WS-C2960", at), equipment("member-2", "serial", "FOC2", at), equipment("main", "serial", "FOC1", at), polled(at),
		equipment("main", "model", "WS-C2960", at-1000))
	if a.status != 204 {
		t.Fatalf("%d %q", a.status, a.message)
	}
	fact := func(name probes.FactName, value string) probes.Fact {
		return probes.Fact{Name: name, Value: value, Source: "snmp 1.2", Confidence: 0.9}
	}
	sighting := func(key, kind string, ms int64, facts ...probes.Fact) devices.Sighting {
		return devices.Sighting{Site: "s1", Agent: "a1", Target: "switch", Path: "lan", Key: key, Kind: kind, At: time.UnixMilli(ms).UTC(), Facts: facts}
	}
	want := []devices.Sighting{
		sighting("main", "snmp", at, fact("model", "WS-C2960"), fact("serial", "FOC1")),
		sighting("member-2", "snmp", at, fact("serial", "FOC2")),
		sighting("main", "", at-1000, fact("model", "WS-C2960")),
	}
	if diff := cmp.Diff(want, s.seen); diff != "" {
		t.Error(diff)
	}
	if n := len(h.store.stored()); n != 7 {
		t.Error("in the store:", n)
	}
}

// What the inventory can't take is sent again, and only then called taken.
func TestAnInventoryThatFailsLosesNothing(t *testing.T) {
	h := open(t, ingest.Limits{})
	s := h.withShelf()
	s.fail = errDisk
	line := equipment("main", "model", "WS-C2960", now.UnixMilli())
	a := h.send("secret", []byte(line), numbered("1")...)
	if a.status != 503 || a.header.Get("Retry-After") == "" || len(h.clerk.receipts) != 0 || len(h.judge.obs) != 0 {
		t.Fatalf("%d %q, receipts %v", a.status, a.message, h.clerk.receipts)
	}
	s.fail = nil
	if a := h.send("secret", []byte(line), numbered("1")...); a.status != 204 || len(s.seen) != 1 || len(h.clerk.receipts) != 1 {
		t.Errorf("%d %q, %d sightings", a.status, a.message, len(s.seen))
	}
}

func TestOnlyEquipmentThatMayComeGoesToTheInventory(t *testing.T) {
	h := open(t, ingest.Limits{})
	s := h.withShelf()
	at := now.UnixMilli()
	for _, c := range []struct {
		secret, line string
		status       int
	}{
		{"secret-s2", equipment("main", "model", "X", at), http.StatusForbidden},                           // another site's token
		{"telegraf", equipment("main", "model", "X", at), http.StatusBadRequest},                           // a writer's rows are not the agents'
		{"secret", equipment("main", "colour", "grey", at), http.StatusBadRequest},                         // no such fact
		{"secret", equipment("../x", "model", "X", at), http.StatusBadRequest},                             // no name
		{"secret", equipment("main", "model", "X", now.Add(time.Hour).UnixMilli()), http.StatusBadRequest}, // from the future
	} {
		if a := h.send(c.secret, []byte(c.line)); a.status != c.status {
			t.Errorf("%s: %d %q", c.line, a.status, a.message)
		}
	}
	if len(s.seen) != 0 {
		t.Error(s.seen)
	}
}
