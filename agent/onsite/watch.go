package onsite

import (
	"slices"
	"sync"
	"time"

	"communewatch/probes"
	"communewatch/probes/phone"
)

// What makes a light, with what speaks for it.
const (
	// A check is believed after this many results: one bad result among good ones is not yet a fault, and one good result
	// is not yet its end.
	believed = 2
	// lossBad is the loss from which rooms call a line bad.
	lossBad = 0.05
	// A check is silent when nothing came for so many of its intervals and the slack.
	silentIntervals = 3
	silentSlack     = 30 * time.Second
	// maxChecks bounds what is remembered; settings allow fewer.
	maxChecks = 4000
)

// Watch remembers the newest results of an agent's checks, and makes lights of them. The zero Watch is ready.
type Watch struct {
	mu     sync.Mutex // guards the field below
	checks map[string]*check
}

// check is what is remembered of one.
type check struct {
	layer    probes.Layer
	marks    [believed]mark // the newest first
	poor     bool           // the newest run lost much
	at       time.Time      // of the newest result
	interval time.Duration
}

type mark uint8

const (
	untold mark = iota
	good
	bad
	own // the agent's own trouble, which says nothing of the target
)

// Take takes in the rows of a run. It keeps none of them. Its form is that of agent.Options.OnTaken.
func (w *Watch) Take(points []probes.Point, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	poor := false
	for i := range points {
		p := &points[i]
		if loss, ok := field(p, "loss_ratio"); ok && loss.Num >= lossBad && p.Measurement == string(probes.KindICMP) {
			poor = true
		}
		if p.Measurement != "check" || quiet(probes.Kind(p.Tags.Get("kind"))) {
			continue
		}
		said, _ := field(p, "outcome")
		outcome, ok := probes.ParseOutcome(said.Str)
		if !ok || outcome.Waived() {
			continue
		}
		c := w.of(p.Tags.Get("target"))
		if c == nil {
			continue
		}
		m := bad
		switch {
		case outcome.Own():
			m = own
		case outcome == probes.OutcomeOK:
			m = good
		}
		interval, _ := field(p, "interval_seconds")
		c.layer, c.poor, c.at, c.interval = probes.Layer(p.Tags.Get("layer")), poor, now, time.Duration(interval.Num*float64(time.Second))
		c.marks[1], c.marks[0] = c.marks[0], m
	}
}

// quiet reports whether checks of a kind say nothing of whether a line works: what devices tell of themselves.
func quiet(k probes.Kind) bool {
	return k == probes.KindSNMP || k == probes.KindSweep || k == probes.KindMachine
}

func (w *Watch) of(target string) *check {
	if c := w.checks[target]; c != nil {
		return c
	}
	if len(w.checks) >= maxChecks {
		return nil
	}
	if w.checks == nil {
		w.checks = map[string]*check{}
	}
	c := &check{}
	w.checks[target] = c
	return c
}

func field(p *probes.Point, key string) (f probes.Field, ok bool) {
	if i := slices.IndexFunc(p.Fields, func(f probes.Field) bool { return f.Key == key }); i >= 0 {
		return p.Fields[i], true
	}
	return f, false
}

// light is what one check says.
func (c *check) light(now time.Time) phone.Light {
	if now.Sub(c.at) > silentIntervals*c.interval+silentSlack || c.marks[0] == own {
		return phone.Dark
	}
	switch newest, before := c.marks[0], c.marks[1]; {
	case newest == bad && before == bad:
		return phone.Red
	case newest == bad || before == bad || c.poor:
		return phone.Yellow
	}
	return phone.Green
}

// recent is how old the newest result of a check may be for it to be among the checks: meetings hold some back for hours,
// and what the plan has no more is not to be missed for days.
const recent = 12 * time.Hour

// Checked says which of the lights, in the order of the page, have checks behind them, whether or not those tell anything.
func (w *Watch) Checked(now time.Time) (lights [3]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.checks {
		if now.Sub(c.at) > recent {
			continue
		}
		switch c.layer {
		case probes.LayerLAN:
			lights[0] = true
		case probes.LayerBroadband, probes.LayerDedicated:
			lights[1] = true
		case probes.LayerConference:
			lights[2] = true
		}
	}
	return lights
}

// Lights is what the page shows. A light is red only when everything that is known of its layer is: one device that does
// not answer is no broken network.
func (w *Watch) Lights(now time.Time) phone.Lights {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[probes.Layer]*[phone.Red + 1]int{}
	for name, c := range w.checks {
		if c.interval > 0 && now.Sub(c.at) > forget {
			delete(w.checks, name) // no longer among the checks
			continue
		}
		if by[c.layer] == nil {
			by[c.layer] = new([phone.Red + 1]int)
		}
		by[c.layer][c.light(now)]++
	}
	sum := func(layer probes.Layer) phone.Light {
		n := by[layer]
		switch {
		case n == nil || n[phone.Green]+n[phone.Yellow]+n[phone.Red] == 0:
			return phone.Dark
		case n[phone.Red] > 0 && n[phone.Green]+n[phone.Yellow] == 0:
			return phone.Red
		case n[phone.Red]+n[phone.Yellow] > 0:
			return phone.Yellow
		}
		return phone.Green
	}
	return phone.Lights{
		LAN: sum(probes.LayerLAN), Conference: sum(probes.LayerConference),
		Line: max(sum(probes.LayerBroadband), sum(probes.LayerDedicated)), // the worse of the two
	}
}

// forget is after how long without a result a check is one that there is no more.
const forget = 3 * 24 * time.Hour
