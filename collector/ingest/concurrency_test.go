package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/health"
	"communewatch/collector/ingest"
	"communewatch/collector/registry"
)

// TestManyAtOnce lets agents and a writer send at the same time while Run syncs: every row is stored once, under the
// right site, every batch is booked, and the metrics tell the same.
func TestManyAtOnce(t *testing.T) {
	const clients, batches, rows = 8, 20, 30
	h := open(t, ingest.Limits{CacheSeries: 100}) // small, so that the cache turns over
	metrics := prometheus.NewRegistry()
	h.in = ingest.New(ingest.Options{Store: h.store, Registry: h.clerk, Judge: h.judge, Rules: health.DefaultRules(), Metrics: metrics,
		Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	h.server.Config.Handler = h.in.Handler()
	ctx, stop := context.WithCancel(context.Background())
	running := make(chan error)
	go func() { running <- h.in.Run(ctx) }()
	for c := range clients {
		h.clerk.tokens[fmt.Sprint("k", c)] = registry.Identity{Token: fmt.Sprint("k", c), Kind: registry.KindAgent, Site: fmt.Sprint("site", c)}
	}
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for b := range batches {
				var body strings.Builder
				for r := range rows {
					fmt.Fprintf(&body, "tcp,agent=a1,path=lan,site=site%d,target=t%d connect_seconds=%d %d\n", c, r, b, now.UnixMilli()-int64(b))
				}
				body.WriteString("tcp,agent=a1,path=lan,site=other,target=t connect_seconds=1\n")
				if a := h.send(fmt.Sprint("k", c), []byte(body.String()), numbered(fmt.Sprint(b+1))...); a.status != 400 || !strings.Contains(a.message, "1 of 31 lines") {
					t.Errorf("%d %q", a.status, a.message)
				}
			}
		})
	}
	all.Go(func() {
		for b := range batches {
			if a := h.lines("telegraf", fmt.Sprintf("cpu,host=h%d usage=1,idle=2 %s", b, ms)); a.status != 204 {
				t.Errorf("%d %q", a.status, a.message)
			}
		}
	})
	all.Wait()
	stop()
	if err := <-running; err != nil {
		t.Error(err)
	}
	seen := map[string]int{}
	for _, row := range h.store.stored() {
		seen[row]++
	}
	if want := clients*batches*rows + batches; len(seen) != want || len(h.store.stored()) != want {
		t.Errorf("%d rows, %d different, want %d", len(h.store.stored()), len(seen), want)
	}
	if len(h.clerk.receipts) != clients*batches {
		t.Errorf("%d receipts, want %d", len(h.clerk.receipts), clients*batches)
	}
	for _, sample := range []string{
		`communewatch_ingest_lines_total 4980`, `communewatch_ingest_values_total 4840`, `communewatch_ingest_rejected_lines_total{reason="identity"} 160`,
		`communewatch_ingest_requests_total{status="204"} 20`, `communewatch_ingest_requests_total{status="400"} 160`,
		`communewatch_ingest_writer_series{token="w1"} 40`, `communewatch_ingest_requests_in_flight 0`, `communewatch_ingest_undurable_commits 0`,
	} {
		metric := sample[:strings.IndexAny(sample, "{ ")]
		text, err := metricText(metrics, metric)
		if err != nil || !strings.Contains(text, sample+"\n") {
			t.Errorf("want %s in\n%s (%v)", sample, text, err)
		}
	}
}

// metricText returns a metric's samples, one "name{labels} value" a line.
func metricText(metrics prometheus.Gatherer, name string) (string, error) {
	families, err := metrics.Gather()
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name {
				continue
			}
			labels := ""
			for _, l := range m.GetLabel() {
				labels += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			fmt.Fprintf(&b, "%s%s %v\n", name, labels, m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	return b.String(), err
}
