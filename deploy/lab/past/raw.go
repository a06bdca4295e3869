package past

import (
	"fmt"
	"time"

	"communewatch/probes"
	"communewatch/probes/wire"
)

// rawPortion is how many rows are handed on at once.
const rawPortion = 20_000

// raw makes rows of [from, to), as an agent would have sent them.
func (g *generator) raw(from, to time.Time, send func(batch) error) error {
	var lines []byte
	n := 0
	flush := func() error {
		// A parser's rows, and the lines that they refer to, are its own only until they are stored.
		rows, bad := wire.NewParser(wire.DefaultLimits()).Parse(lines, time.Nanosecond, 0)
		if len(bad) > 0 {
			return fmt.Errorf("a row of the past: %v", bad[0])
		}
		lines, n = nil, 0
		return send(batch{raw: rows})
	}
	for _, r := range g.life.running(from, to) {
		for at := r.From.Truncate(g.o.RawEvery); at.Before(r.To); at = at.Add(g.o.RawEvery) {
			for i, c := range g.o.checks {
				// Checks are spread over the interval, as a schedule spreads them.
				when := at.Add(g.o.RawEvery * time.Duration(i) / time.Duration(len(g.o.checks))).Truncate(time.Millisecond)
				if when.Before(r.From) || !when.Before(r.To) {
					continue
				}
				for _, p := range g.run(c, i, when) {
					lines = wire.Append(lines, &p)
					n++
				}
			}
			if n >= rawPortion {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// run is the rows of one run.
func (g *generator) run(c check, i int, at time.Time) []probes.Point {
	ms := at.UnixMilli()
	layer := layerOf(c.layer)
	var now [4]stay
	g.stayed(at, at.Add(time.Millisecond), &now)
	s := now[layer]
	w := g.weather(layer, at, at.Add(time.Millisecond))
	usual := c.base * w.pace * g.slowness(s, layer)
	if c.layer == probes.LayerBroadband {
		usual *= g.provider.rtt / 0.012
	}
	// A number that is this run's own decides where in the spread it lies, and whether it loses a packet.
	draw := g.unit(ofRun, uint64(g.life.number), i, ms)
	took, cumulated := usual, int64(0)
	for j, share := range shares[w.tail] {
		if cumulated += share; draw*100 < float64(cumulated) {
			took = usual * spread[j]
			break
		}
	}
	down := s.down > 0
	outcome := "ok"
	if down {
		outcome = "timeout"
	}
	var f []probes.Field
	switch {
	case c.kind == probes.KindICMP:
		lost := int64(0)
		if down {
			lost = pings
		} else if draw > 1-pings*g.loss(s, layer, w) {
			lost = 1
		}
		f = []probes.Field{probes.Int("sent", pings), probes.Int("send_errors", 0), probes.Int("received", pings-lost), probes.Int("lost", lost), probes.Float("loss_ratio", float64(lost)/pings)}
		if !down {
			f = append(f, probes.Float("rtt_min_seconds", took*0.9), probes.Float("rtt_mean_seconds", took*1.03), probes.Float("rtt_median_seconds", took),
				probes.Float("rtt_p95_seconds", took*1.4), probes.Float("rtt_max_seconds", took*1.5), probes.Float("jitter_seconds", took*0.08*w.jitter))
		}
	case down:
	case c.kind == probes.KindTCP:
		f = []probes.Field{probes.Float("connect_seconds", took)}
	case c.kind == probes.KindDNS:
		f = []probes.Field{probes.Float("query_seconds", took), probes.Int("rcode", 0), probes.Int("answers", 1), probes.Bool("answer_ok", true)}
	case c.kind == probes.KindHTTP:
		f = []probes.Field{probes.Float("connect_seconds", took*0.3), probes.Float("first_byte_seconds", took*0.6), probes.Float("total_seconds", took),
			probes.Int("status", 200), probes.Int("body_bytes", 412), probes.Bool("body_ok", true)}
	}
	out := make([]probes.Point, 0, 2)
	if len(f) > 0 {
		out = append(out, probes.Point{Measurement: string(c.kind), Tags: g.tags[i][0], Time: at, Fields: f})
	}
	return append(out, probes.Point{Measurement: "check", Tags: g.tags[i][1], Time: at, Fields: []probes.Field{
		probes.String("outcome", outcome), probes.Bool("up", !down), probes.Float("took_seconds", took), probes.Float("late_seconds", 0.0005),
		probes.Float("interval_seconds", g.o.RawEvery.Seconds()), probes.String("path_proof", "bound")}})
}
