package ingest

import (
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/ingest/contract"
	"communewatch/collector/registry"
	"communewatch/probes/wire"
)

// TestWriterSeriesAge: series that fell silent make room for new ones, those in use keep their place.
func TestWriterSeriesAge(t *testing.T) {
	ws := newWriters(2)
	c := contract.New(health.DefaultRules())
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
