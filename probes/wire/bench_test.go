package wire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"communewatch/probes"
	"communewatch/probes/wire"
)

// nineFields is a body of lines with nine fields each, as icmp rows have them.
func nineFields(lines int) []byte {
	var body []byte
	for i := range lines {
		p := probes.Point{Measurement: "icmp", Time: t0.Add(time.Duration(i) * time.Millisecond), Tags: probes.Tags{
			{Key: "agent", Value: "a1"}, {Key: "path", Value: "broadband"}, {Key: "site", Value: fmt.Sprintf("s%05d", i)}, {Key: "target", Value: "anchor"}},
			Fields: []probes.Field{probes.Int("sent", 20), probes.Int("received", 19), probes.Int("lost", 1), probes.Float("loss_ratio", 0.05),
				probes.Float("rtt_min_seconds", 0.012345+float64(i)/1e6), probes.Float("rtt_median_seconds", 0.013456789), probes.Float("rtt_p95_seconds", 0.02),
				probes.Float("rtt_max_seconds", 0.031), probes.Float("jitter_seconds", 0.000123)}}
		body = wire.Append(body, &p)
	}
	return body
}

func BenchmarkParse(b *testing.B) {
	body := nineFields(5000)
	p := wire.NewParser(wire.DefaultLimits())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		p.Reset(body, time.Nanosecond, 0)
		for more := true; more; {
			_, _, more = p.Next(1000)
		}
	}
	b.ReportMetric(float64(b.N)*5000*9/b.Elapsed().Seconds()/1e6, "Mvalues/s")
}

func BenchmarkReferenceDecoder(b *testing.B) {
	body := nineFields(5000)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		d := lineprotocol.NewDecoderWithBytes(body)
		for d.Next() {
			if _, err := d.Measurement(); err != nil {
				b.Fatal(err)
			}
			for k := []byte{0}; k != nil; k, _, _ = d.NextTag() {
			}
			for k := []byte{0}; k != nil; k, _, _ = d.NextField() {
			}
			if _, err := d.Time(lineprotocol.Nanosecond, t0); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*5000*9/b.Elapsed().Seconds()/1e6, "Mvalues/s")
}

func BenchmarkAppend(b *testing.B) {
	rows := probes.Point{Measurement: "icmp", Time: t0, Tags: probes.Tags{{Key: "agent", Value: "a1"}, {Key: "site", Value: "s1"}},
		Fields: []probes.Field{probes.Int("sent", 20), probes.Float("rtt", 0.0123), probes.String("error", "no answer")}}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = wire.Append(dst[:0], &rows)
	}
}
