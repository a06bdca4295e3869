package past

import (
	"math"
	"slices"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// check is one check of the lab's sites, as the past has it.
type check struct {
	name  string
	kind  probes.Kind
	path  probes.Path
	layer probes.Layer
	base  float64 // seconds, of its answers on a good line
}

// checks are those that every agent of the lab has.
func checks() []check {
	return []check{
		{"router", probes.KindICMP, "lan", probes.LayerLAN, 0.0006},
		{"router-web", probes.KindHTTP, "lan", probes.LayerLAN, 0.004},
		{"router-dns", probes.KindDNS, "lan", probes.LayerLAN, 0.002},
		{"broadband-anchor", probes.KindICMP, "broadband", probes.LayerBroadband, 0.012},
		{"broadband-portal", probes.KindHTTP, "broadband", probes.LayerBroadband, 0.045},
		{"dedicated-anchor", probes.KindICMP, "dedicated", probes.LayerDedicated, 0.007},
		{"dedicated-portal", probes.KindHTTP, "dedicated", probes.LayerDedicated, 0.03},
		{"dedicated-dns", probes.KindDNS, "dedicated", probes.LayerDedicated, 0.008},
		{"endpoint-h323", probes.KindTCP, "lan", probes.LayerConference, 0.001},
		{"endpoint-sip", probes.KindTCP, "lan", probes.LayerConference, 0.001},
		{"endpoint-web", probes.KindHTTP, "lan", probes.LayerConference, 0.005},
	}
}

// agentName is the agent of every site of the lab.
const agentName = "pc-1"

// pings is how many packets a run of pings sends.
const pings = 5

// spread is where measured times lie around their usual value, as parts of it; shares are how many in a hundred lie
// there on a calm, a usual and a rough day.
var (
	spread = [10]float64{0.82, 0.9, 0.96, 1, 1.06, 1.14, 1.3, 1.6, 2.4, 4.5}
	shares = [3][10]int64{
		{4, 16, 25, 23, 17, 9, 4, 1, 1, 0},
		{4, 14, 22, 20, 16, 11, 6, 4, 2, 1},
		{3, 10, 17, 17, 15, 13, 10, 8, 5, 2},
	}
)

// shape is spread as distances of sketch buckets from that of the usual value.
var shape = func() (keys [10]int32) {
	one := keyOf(1)
	for i, of := range spread {
		keys[i] = keyOf(of) - one
	}
	return keys
}()

func keyOf(v float64) int32 {
	var s rollup.Sketch
	s.Add(v)
	return s.Bucket(0).Key
}

// times is the aggregate of n measured times around usual, with a sketch where sketched. tail says which shares.
func times(n int64, usual float64, tail int, sketched bool) rollup.Aggregate {
	a := rollup.Aggregate{Count: n, Min: math.Inf(1)}
	if n == 0 {
		return rollup.Aggregate{}
	}
	var buckets []rollup.Bucket
	one, done, cumulated := int32(0), int64(0), int64(0)
	if sketched {
		one = keyOf(usual)
		buckets = make([]rollup.Bucket, 0, len(spread))
	}
	for i, share := range shares[tail] {
		cumulated += share
		here := (n*cumulated+99)/100 - done
		if here == 0 {
			continue
		}
		done += here
		v := usual * spread[i]
		a.Sum += v * float64(here)
		a.Min, a.Max = min(a.Min, v), max(a.Max, v)
		if sketched {
			buckets = append(buckets, rollup.Bucket{Key: one + shape[i], Count: here})
		}
	}
	if sketched {
		// The buckets rise by construction, and only they could be wrong.
		a.Sketch, _ = rollup.MakeSketch(0, buckets)
	}
	return a
}

// flat is the aggregate of n times the same number.
func flat(n int64, v float64) rollup.Aggregate {
	return rollup.Aggregate{Count: n, Sum: float64(n) * v, Min: v, Max: v}
}

// ratios is the aggregate of numbers of which bad are high and the rest 0.
func ratios(n, bad int64, high float64) rollup.Aggregate {
	a := rollup.Aggregate{Count: n, Sum: float64(bad) * high}
	var buckets []rollup.Bucket
	if bad > 0 {
		a.Max = high
		buckets = []rollup.Bucket{{Key: keyOf(high), Count: bad}}
	}
	if bad == n && n > 0 {
		a.Min = high
	}
	a.Sketch, _ = rollup.MakeSketch(n-bad, buckets)
	return a
}

func total(v float64) rollup.Aggregate { return rollup.Aggregate{Total: true, Sum: v} }

// stay is how long a layer was in which state within a stretch in which the machines ran.
type stay struct {
	all, down, degraded int64 // milliseconds; all holds the others
	outages             int
	rush                int64 // of all, in the evening of workdays
}

// stayed adds [from, to), within one day, to what is summed of each layer.
func (g *generator) stayed(from, to time.Time, sums *[4]stay) {
	a, b := from.UnixMilli(), to.UnixMilli()
	evening := rollup.Day.Start(from, g.o.Zone).UnixMilli() + 19*hourMillis
	rush := max(0, min(b, evening+3*hourMillis)-max(a, evening))
	for layer := range sums {
		s := &sums[layer]
		down, began := g.life.share(layer, a, b, true)
		degraded, _ := g.life.share(layer, a, b, false)
		s.all += b - a
		s.down += down
		s.degraded += degraded
		s.outages += began
		s.rush += rush
	}
}

const hourMillis = 3_600_000

// runs is how many runs of a check a stretch of milliseconds holds.
func (g *generator) runs(ms int64) int64 { return ms / g.o.Every.Milliseconds() }

// slowness is how much longer than on a quiet line things take, for a stay and a layer.
func (g *generator) slowness(s stay, layer int) float64 {
	f := 1 + 0.04*float64(g.life.number%7)
	if alive := s.all - s.down; alive > 0 {
		f += 2.5 * float64(s.degraded) / float64(alive)
		if layer == 1 {
			f += 0.8 * float64(s.rush) / float64(alive)
		}
	}
	return f
}

// lost is how many of sent packets a stay loses, beside those of the time that the line was down.
func (g *generator) lost(s stay, layer int, w weather, sent int64) int64 {
	return min(sent, int64(g.loss(s, layer, w)*float64(sent)+w.draw))
}

// loss is the same as a share.
func (g *generator) loss(s stay, layer int, w weather) float64 {
	if s.all == s.down || w.loss == 0 {
		return 0
	}
	share := w.loss + 0.03*float64(s.degraded)/float64(s.all-s.down)
	if layer == 1 {
		share += g.provider.rush * float64(s.rush) / float64(s.all-s.down)
	}
	return min(share, 1)
}

// generator makes the windows of one site.
type generator struct {
	o        *Options
	site     string
	life     *life
	provider Provider
	open     func(time.Time) bool      // office hours; nil: always
	next     func(time.Time) time.Time // their next edge
	tags     [][2]probes.Tags          // of each check: its own row and its verdict
	lines    [2][4]probes.Tags         // of lines: within office hours and outside, by layer
}

// batch is a part of a past on its way to the store.
type batch struct {
	site  string
	level rollup.Level
	rows  []rollup.Row
	raw   []wire.Row
	off   []reports.Span
}

// lineWindows makes the windows of lines of [start, end), within one day; none where the machines were off.
func (g *generator) lineWindows(start, end time.Time) (rows []rollup.Row) {
	var stays [2][4]stay
	for _, r := range g.life.running(start, end) {
		for at := r.From; at.Before(r.To); {
			to, hours := r.To, 0
			if g.open != nil {
				if edge := g.next(at); !edge.IsZero() && edge.Before(to) {
					to = edge
				}
				if !g.open(at) {
					hours = 1
				}
			}
			g.stayed(at, to, &stays[hours])
			at = to
		}
	}
	for hours, layers := range stays {
		for layer, s := range layers {
			if s.all > 0 {
				rows = append(rows, rollup.Row{Measurement: reports.Measurement, Tags: g.lines[hours][layer], Start: start.UnixMilli(), Fields: g.line(s, layer, g.weather(layer, start, end))})
			}
		}
	}
	return rows
}

// part is which windows of checks are made.
type part int

const (
	everything part = iota
	pingsAlone      // what pings measured, which long charts show first
	allButPings
)

// checks makes the windows of checks of [start, end), within one day; none where the machines were off.
func (g *generator) checks(start, end time.Time, which part) (rows []rollup.Row) {
	if len(g.o.checks) == 0 {
		return nil
	}
	var stays [4]stay
	var weathers [4]weather
	for layer := range weathers {
		weathers[layer] = g.weather(layer, start, end)
	}
	for _, r := range g.life.running(start, end) {
		g.stayed(r.From, r.To, &stays)
	}
	rows = make([]rollup.Row, 0, 2*len(g.o.checks))
	for i, c := range g.o.checks {
		ping := c.kind == probes.KindICMP
		if which == pingsAlone && !ping {
			continue
		}
		layer := layerOf(c.layer)
		s, w := stays[layer], weathers[layer]
		n := g.runs(s.all)
		if n == 0 {
			continue
		}
		failed := min(n, g.runs(s.down+g.o.Every.Milliseconds()/2))
		if which != allButPings || !ping {
			rows = append(rows, rollup.Row{Measurement: string(c.kind), Tags: g.tags[i][0], Start: start.UnixMilli(), Fields: g.own(c, s, w, n, failed)})
		}
		if which != pingsAlone {
			rows = append(rows, rollup.Row{Measurement: "check", Tags: g.tags[i][1], Start: start.UnixMilli(), Fields: g.verdict(c, s, w, n, failed)})
		}
	}
	return slices.DeleteFunc(rows, func(r rollup.Row) bool { return len(r.Fields) == 0 })
}

// line is the fields of a row of reports.Measurement.
func (g *generator) line(s stay, layer int, w weather) []rollup.Field {
	sec := func(ms int64) rollup.Aggregate { return total(float64(ms) / 1000) }
	n := g.runs(s.all - s.down)
	sent, sentDown := pings*n, pings*g.runs(s.down)
	lost := g.lost(s, layer, w, sent)
	pinged := layer != 3 // the conference is checked by its signalling
	fine := max(s.all/(5*60_000), 1)
	bad := min(fine, s.down/(5*60_000)+min(lost, s.degraded/(5*60_000)+s.rush/(15*60_000)))
	high := 1.0
	if s.down == 0 && bad > 0 {
		high = 0.05
	}
	f := make([]rollup.Field, 0, 12)
	f = append(f, rollup.Field{Key: "closed_seconds", Value: total(0)}, rollup.Field{Key: "degraded_seconds", Value: sec(s.degraded)}, rollup.Field{Key: "down_seconds", Value: sec(s.down)})
	if pinged && n > 0 {
		f = append(f, rollup.Field{Key: "jitter_seconds", Value: times(n, g.usual(layer)*0.08*w.pace*w.jitter*g.slowness(s, layer), w.tail, true)},
			rollup.Field{Key: "loss_ratio", Value: ratios(fine, bad, high)})
	}
	if !pinged {
		sent, sentDown, lost = 0, 0, 0
	}
	f = append(f, rollup.Field{Key: "lost", Value: total(float64(lost + sentDown))}, rollup.Field{Key: "maintenance_seconds", Value: total(0)}, rollup.Field{Key: "no_data_seconds", Value: total(0)},
		rollup.Field{Key: "ok_seconds", Value: sec(s.all - s.down - s.degraded)}, rollup.Field{Key: "outages", Value: total(float64(s.outages))})
	if pinged && n > 0 {
		f = append(f, rollup.Field{Key: "rtt_seconds", Value: times(n, g.usual(layer)*w.pace*g.slowness(s, layer), w.tail, true)})
	}
	return append(f, rollup.Field{Key: "sent", Value: total(float64(sent + sentDown))})
}

// usual is the round trip of a layer's pings on a quiet day.
func (g *generator) usual(layer int) float64 {
	return [4]float64{0.0006, g.provider.rtt, 0.007, 0.001}[layer]
}

// own is the fields of a check's own row: what n runs measured, of which some failed.
func (g *generator) own(c check, s stay, w weather, n, failed int64) []rollup.Field {
	layer := layerOf(c.layer)
	usual, good := c.base*w.pace*g.slowness(s, layer), n-failed
	if c.layer == probes.LayerBroadband {
		usual *= g.provider.rtt / 0.012
	}
	var f []rollup.Field
	add := func(key string, a rollup.Aggregate) {
		if a.Count > 0 {
			f = append(f, rollup.Field{Key: key, Value: a})
		}
	}
	switch c.kind {
	case probes.KindICMP:
		lost := g.lost(s, layer, w, pings*good)
		add("jitter_seconds", times(good, usual*0.08*w.jitter, w.tail, true))
		add("loss_ratio", rollup.Aggregate{Count: n, Sum: float64(lost)/pings + float64(failed), Max: float64(min(1, lost*n+failed*n))})
		add("lost", rollup.Aggregate{Count: n, Sum: float64(lost + pings*failed), Max: float64(min(pings, lost+pings*failed))})
		add("received", rollup.Aggregate{Count: n, Sum: float64(pings*good - lost), Max: pings})
		add("rtt_max_seconds", times(good, usual*1.5, w.tail, false))
		add("rtt_mean_seconds", times(good, usual*1.03, w.tail, false))
		add("rtt_median_seconds", times(good, usual, w.tail, true))
		add("rtt_min_seconds", times(good, usual*0.9, w.tail, false))
		add("rtt_p95_seconds", times(good, usual*1.4, w.tail, true))
		add("send_errors", flat(n, 0))
		add("sent", flat(n, pings))
	case probes.KindTCP:
		add("connect_seconds", times(good, usual, w.tail, true))
	case probes.KindDNS:
		add("answer_ok", rollup.Aggregate{Count: n, Sum: float64(good), Max: 1})
		add("answers", flat(good, 1))
		add("query_seconds", times(good, usual, w.tail, true))
		add("rcode", flat(good, 0))
	case probes.KindHTTP:
		add("body_bytes", flat(good, 412))
		add("body_ok", rollup.Aggregate{Count: n, Sum: float64(good), Max: 1})
		add("connect_seconds", times(good, usual*0.3, w.tail, true))
		add("first_byte_seconds", times(good, usual*0.6, w.tail, true))
		add("status", flat(good, 200))
		add("total_seconds", times(good, usual, w.tail, true))
	}
	return f
}

// verdict is the fields of a check's row of its own outcome.
func (g *generator) verdict(c check, s stay, w weather, n, failed int64) []rollup.Field {
	took := 0.4
	if c.kind != probes.KindICMP {
		took = c.base * w.pace * g.slowness(s, layerOf(c.layer))
	}
	f := []rollup.Field{{Key: "interval_seconds", Value: flat(n, g.o.Every.Seconds())}, {Key: "late_seconds", Value: flat(n, 0.0005)}}
	if failed < n {
		f = append(f, rollup.Field{Key: rollup.TotalKey("outcome", "ok"), Value: total(float64(n - failed))})
	}
	if failed > 0 {
		f = append(f, rollup.Field{Key: rollup.TotalKey("outcome", "timeout"), Value: total(float64(failed))})
	}
	up := rollup.Aggregate{Count: n, Sum: float64(n - failed), Max: 1}
	if failed == 0 {
		up.Min = 1
	} else if failed == n {
		up.Max = 0
	}
	f = append(f, rollup.Field{Key: rollup.TotalKey("path_proof", "bound"), Value: total(float64(n))},
		rollup.Field{Key: "took_seconds", Value: times(n, took, w.tail, false)}, rollup.Field{Key: "up", Value: up})
	return f
}

// series makes the tags of the site's series.
func (g *generator) series() {
	for _, c := range g.o.checks {
		own := probes.Tags{{Key: "agent", Value: agentName}, {Key: "path", Value: string(c.path)}}
		if c.kind == probes.KindDNS {
			own = append(own, probes.Tag{Key: "resolver", Value: c.name})
		}
		own = append(own, probes.Tag{Key: "site", Value: g.site}, probes.Tag{Key: "target", Value: c.name})
		verdict := probes.Tags{{Key: "agent", Value: agentName}, {Key: "kind", Value: string(c.kind)}, {Key: "layer", Value: string(c.layer)},
			{Key: "path", Value: string(c.path)}, {Key: "site", Value: g.site}, {Key: "target", Value: c.name}}
		g.tags = append(g.tags, [2]probes.Tags{own, verdict})
	}
	for i, hours := range []reports.Hours{reports.Office, reports.Other} {
		for layer, name := range probes.Layers() {
			g.lines[i][layer] = probes.Tags{{Key: "hours", Value: string(hours)}, {Key: "layer", Value: string(name)}, {Key: "site", Value: g.site}}
		}
	}
}
