package history

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"communewatch/collector/store/embedded"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// BenchmarkHour works out an hour of a site with 30 ping checks every 30 s, over and over; the pause after it is counted
// as the third of the time that it is.
func BenchmarkHour(b *testing.B) {
	hour := time.Now().Truncate(time.Hour).Add(-time.Hour)
	st, err := embedded.Open(embedded.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	parser := wire.NewParser(wire.DefaultLimits())
	for run := range 120 {
		var text []byte
		for check := range 30 {
			tags := tagsOf("s1", fmt.Sprintf("gw%d", check))
			at := hour.Add(time.Duration(run) * 30 * time.Second)
			fields := []probes.Field{probes.Int("sent", 10), probes.Int("received", 10), probes.Int("lost", 0), probes.Float("loss_ratio", 0)}
			for i, key := range []string{"rtt_min_seconds", "rtt_mean_seconds", "rtt_median_seconds", "rtt_p95_seconds", "rtt_max_seconds", "jitter_seconds"} {
				fields = append(fields, probes.Float(key, 0.001*float64(1+i+run%17)))
			}
			text = wire.Append(text, &probes.Point{Measurement: "icmp", Tags: tags, Time: at, Fields: fields})
			text = wire.Append(text, &probes.Point{Measurement: "check", Tags: tags.With("kind", "icmp").With("layer", "broadband"), Time: at, Fields: []probes.Field{
				probes.String("outcome", "ok"), probes.Bool("up", true), probes.Float("interval_seconds", 30), probes.Float("took_seconds", 1)}})
		}
		rows, _ := parser.Parse(text, time.Nanosecond, 0)
		if err := st.Append(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	m := newMemory()
	k := New(Options{Store: st, Marks: m, Zone: ict, Log: slog.New(slog.DiscardHandler)})
	names, err := k.measurements(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := k.hour(b.Context(), "s1", hour.UnixMilli(), names); err != nil {
			b.Fatal(err)
		}
	}
}
