package ingest_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// nineFields is a batch of an agent: icmp rows of nine fields, each of another target, without times.
func nineFields(site string, lines int) []byte {
	var body []byte
	for i := range lines {
		p := probes.Point{Measurement: "icmp", Tags: probes.Tags{
			{Key: "agent", Value: "a1"}, {Key: "path", Value: "broadband"}, {Key: "site", Value: site}, {Key: "target", Value: fmt.Sprintf("t%04d", i)}},
			Fields: []probes.Field{probes.Int("sent", 20), probes.Int("received", 19), probes.Int("lost", 1), probes.Float("loss_ratio", 0.05),
				probes.Float("rtt_min_seconds", 0.012345+float64(i)/1e6), probes.Float("rtt_median_seconds", 0.013456789), probes.Float("rtt_p95_seconds", 0.02),
				probes.Float("rtt_max_seconds", 0.031), probes.Float("jitter_seconds", 0.000123)}}
		body = wire.Append(body, &p)
	}
	return body
}

// ticking is a clock that goes on by 10 ms whenever it is read, so that every batch has times of its own.
func ticking() func() time.Time {
	var reads atomic.Int64
	start := time.Now()
	return func() time.Time { return start.Add(time.Duration(reads.Add(1)) * 10 * time.Millisecond) }
}

// benchmark sends batches from as many clients as there are processors, to series that are known. cpu-ns/value is what
// the whole process used, clients and garbage collector included; it does not depend on what else the machine does.
func benchmark(b *testing.B, s store.Store, now func() time.Time, lines int, gzipped bool) {
	clerk := newClerk()
	in := ingest.New(ingest.Options{Store: s, Registry: clerk, Judge: &deaf{}, Rules: health.DefaultRules(), Now: now,
		Limits: ingest.Limits{AgentSeries: 1 << 20}, Log: slog.New(slog.DiscardHandler)})
	handler := in.Handler()
	clients := runtime.GOMAXPROCS(0)
	ready := make(chan func() error, clients)
	for c := range clients {
		secret := fmt.Sprintf("k%d", c)
		clerk.tokens[secret] = registry.Identity{Token: secret, Kind: registry.KindAgent, Site: "site" + secret}
		body := nineFields("site"+secret, lines)
		if gzipped {
			body = zip(body)
		}
		send := func() error {
			r := httptest.NewRequest("POST", "/api/v2/write?bucket=communewatch", io.NopCloser(bytes.NewReader(body)))
			r.Header.Set("Authorization", "Token "+secret)
			if gzipped {
				r.Header.Set("Content-Encoding", "gzip")
			}
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != http.StatusNoContent {
				return fmt.Errorf("%d %s", w.Code, w.Body)
			}
			return nil
		}
		if err := send(); err != nil {
			b.Fatal(err)
		}
		ready <- send
	}
	b.ReportAllocs()
	before := cpuSeconds(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		send := <-ready
		for pb.Next() {
			if err := send(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	values := float64(b.N) * float64(lines) * 9
	b.ReportMetric(values/b.Elapsed().Seconds()/1e6, "Mvalues/s")
	b.ReportMetric((cpuSeconds(b)-before)*1e9/values, "cpu-ns/value")
}

func cpuSeconds(b *testing.B) float64 {
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		b.Fatal(err)
	}
	times, err := self.Times()
	if err != nil {
		b.Fatal(err)
	}
	return times.User + times.System
}

type deaf struct{}

func (*deaf) Observe([]health.Observation) {}
func (*deaf) ObserveAgent(string, string, time.Time, string, map[string]float64) {
}

func BenchmarkNoStore(b *testing.B) {
	for _, lines := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) { benchmark(b, &memory{nothing: true}, ticking(), lines, false) })
	}
	b.Run("1000-gzip", func(b *testing.B) { benchmark(b, &memory{nothing: true}, ticking(), 1000, true) })
}

func BenchmarkEmbedded(b *testing.B) {
	for _, lines := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) {
			now := ticking()
			s, err := embedded.Open(embedded.Options{Dir: b.TempDir(), Now: now, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			benchmark(b, s, now, lines, false)
		})
	}
}
