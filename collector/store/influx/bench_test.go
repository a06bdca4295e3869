package influx_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"

	"communewatch/collector/store/influx"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// benchPoints is what n agents of a fleet of 136 sites send at once: rows of nine fields.
func benchPoints(from, n int, at time.Time) []probes.Point {
	points := make([]probes.Point, n)
	for i := range points {
		k := from + i
		points[i] = probes.Point{Measurement: "icmp", Time: at.Add(time.Duration(k/10_000) * 30 * time.Second), Tags: probes.Tags{
			{Key: "agent", Value: "a1"}, {Key: "path", Value: string(probes.Paths()[k%3])}, {Key: "site", Value: fmt.Sprintf("s%05d", k/70%136)}, {Key: "target", Value: fmt.Sprint("t", k%10_000)}},
			Fields: []probes.Field{probes.Int("sent", 20), probes.Int("received", 19), probes.Int("lost", 1), probes.Float("loss_ratio", 0.05),
				probes.Float("rtt_min_seconds", 0.012345+float64(k%997)/1e6), probes.Float("rtt_median_seconds", 0.013456789+float64(k%991)/1e7),
				probes.Float("rtt_p95_seconds", 0.02), probes.Float("rtt_max_seconds", 0.031), probes.Float("jitter_seconds", 0.000123+float64(k%983)/1e8)}}
	}
	return points
}

// cpu is how long a process has computed, where the system tells. On a machine that others use too it says more than
// the clock.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// report adds figures of n rows to a benchmark whose clock runs; the function it returns does, at the end.
func report(b *testing.B, n int) func() {
	ours, theirs := cpu(os.Getpid()), cpu(real.PID())
	b.ResetTimer()
	return func() {
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		b.ReportMetric(float64(cpu(os.Getpid())-ours)/1e3/float64(n), "our-cpu-µs/row")
		b.ReportMetric(float64(cpu(real.PID())-theirs)/1e3/float64(n), "server-cpu-µs/row")
	}
}

// BenchmarkAppend stores batches of 200 rows by several callers; beside it, the same rows written straight by the
// library, in batches of 5,000.
func BenchmarkAppend(b *testing.B) {
	const perBatch = 200
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			s, err := influx.Open(b.Context(), options(real.URL(), database(b, real.URL(), "")))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var next atomic.Int64
			// Rows are parsed lines, as ingest has them.
			var batches [][]wire.Row
			for i := range b.N {
				batches = append(batches, storetest.Rows(b, benchPoints(i*perBatch, perBatch, testNow.Add(-24*time.Hour))...))
			}
			done := report(b, b.N*perBatch)
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
						if err := s.Append(context.Background(), batches[i]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			done()
		})
	}
	for _, flights := range []int{1, 4} {
		b.Run(fmt.Sprint("straight=", flights), func(b *testing.B) {
			client := influxdb2.NewClientWithOptions(real.URL(), "", influxdb2.DefaultOptions().SetUseGZip(true).SetPrecision(time.Millisecond))
			defer client.Close()
			api := client.WriteAPIBlocking("", database(b, real.URL(), ""))
			var bodies []string
			for i := 0; i < b.N*perBatch; i += 5000 {
				var body []byte
				points := benchPoints(i, min(5000, b.N*perBatch-i), testNow.Add(-24*time.Hour))
				for j := range points {
					points[j].Time = time.Unix(0, points[j].Time.UnixMilli())
					body = wire.Append(body, &points[j])
				}
				bodies = append(bodies, string(body))
			}
			done := report(b, b.N*perBatch)
			var next atomic.Int64
			var wg sync.WaitGroup
			for range flights {
				wg.Go(func() {
					for i := int(next.Add(1)) - 1; i < len(bodies); i = int(next.Add(1)) - 1 {
						if err := api.WriteRecord(context.Background(), bodies[i]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			done()
		})
	}
	http.DefaultClient.CloseIdleConnections()
}
