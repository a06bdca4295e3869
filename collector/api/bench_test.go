package api

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"communewatch/collector/health"
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

// BenchmarkHistory is a past of a site with 20 checks every 30 s, whose month is in the store. Loading it takes a
// while. In order is how rows come; late is when an office was offline and newer rows of it are in the store already.
func BenchmarkHistory(b *testing.B) {
	for _, late := range []bool{false, true} {
		h := office(b, 30, late)
		for _, length := range []string{"1h", "24h", "30d"} {
			b.Run(fmt.Sprintf("late=%v/%s", late, length), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.answers.kept = nil
					if w := h.get(b, "/api/v1/sites/s0/history?range="+length); w.Code != 200 {
						b.Fatal(w.Body)
					}
				}
			})
		}
	}
}
