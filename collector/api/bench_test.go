package api

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/store"
	"communewatch/probes"
)

// BenchmarkSites is GET /api/v1/sites, a fifteenth of the sites having changed since the one before: what a second
// changes.
func BenchmarkSites(b *testing.B) {
	for _, sites := range []int{136, 1360, 13600} {
		for _, pack := range []string{"", "gzip"} {
			b.Run(fmt.Sprintf("sites=%d/%s", sites, pack), func(b *testing.B) {
				h := newHouse(b, sites)
				for i := range sites {
					h.judge.Observe([]health.Observation{observation(i, t0)})
				}
				h.get(b, "/api/v1/sites", "Accept-Encoding", pack)
				at := t0
				size := 0
				for b.Loop() {
					b.StopTimer()
					at = at.Add(time.Minute)
					h.mu.Lock()
					h.now = at
					h.mu.Unlock()
					for i := range sites / 15 {
						h.judge.Observe([]health.Observation{observation(i*15, at)})
					}
					b.StartTimer()
					w := httptest.NewRecorder()
					r := httptest.NewRequest("GET", "/api/v1/sites", nil)
					r.Header.Set("Accept-Encoding", pack)
					h.ServeHTTP(w, r)
					size = w.Body.Len()
				}
				b.ReportMetric(float64(size), "B/answer")
			})
		}
	}
}

func observation(site int, at time.Time) health.Observation {
	return health.Observation{Time: at, Interval: 30 * time.Second, Check: health.CheckID{Site: fmt.Sprintf("s%d", site), Agent: "pc",
		Target: "gw", Kind: "icmp", Path: "lan", Layer: "lan"}}
}

// days is a store that holds 20 checks every 30 s for ever.
type days struct{ checks int }

func (d days) Select(_ context.Context, q store.Query, each func(store.Series) error) error {
	fields := q.Fields
	if q.Measurement == "check" {
		fields = []string{"outcome", "up", "took_seconds", "interval_seconds", "path_proof"}
		if len(q.Fields) > 0 {
			fields = q.Fields
		}
	} else if q.Measurement != "icmp" {
		return nil
	}
	for c := range d.checks {
		tags := probes.Tags{{Key: "agent", Value: "pc"}, {Key: "kind", Value: "icmp"}, {Key: "layer", Value: "lan"},
			{Key: "path", Value: "lan"}, {Key: "site", Value: "s0"}, {Key: "target", Value: fmt.Sprintf("t%d", c)}}
		for _, f := range fields {
			if f == "error" {
				continue
			}
			s := store.Series{Measurement: q.Measurement, Field: f, Tags: tags}
			for at := q.From.UnixMilli(); at < q.To.UnixMilli(); at += 30000 {
				s.Times = append(s.Times, at)
				switch f {
				case "outcome":
					s.Texts = append(s.Texts, "ok")
				case "path_proof":
					s.Texts = append(s.Texts, "bound")
				default:
					s.Values = append(s.Values, 10)
				}
			}
			if err := each(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (days) Windows(context.Context, store.Query, time.Duration, func(store.WindowSeries) error) error {
	return nil
}

func (days) Stats() store.Stats { return store.Stats{} }

// BenchmarkHistory30d is a month of a site with 20 checks, without the time the store takes to decode it.
func BenchmarkHistory30d(b *testing.B) {
	h := newHouse(b, 1)
	h.API.store = days{20}
	for b.Loop() {
		if w := h.get(b, "/api/v1/sites/s0/history?range=30d"); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
