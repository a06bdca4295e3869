package past

import (
	"math"
	"time"
)

// quiet is how long before its end the past is calm: whoever goes on from there must not begin amid a failure that
// nobody ends, and a judge that looks back must find nothing to announce.
const quiet = 90 * time.Minute

// weather is how a layer of a site does at a time when nothing has happened to it: no line is the same at ten in the
// morning and at night, in one week and in the next, in the dry season and in the rains.
type weather struct {
	pace   float64 // how much longer things take than usual
	jitter float64 // how much more round trips vary
	tail   int     // which of the spreads times lie in
	loss   float64 // share of packets that is lost
	draw   float64 // from 0 to 1: where a fraction of a packet is rounded
}

// What weather depends on, so that each has draws of its own.
const (
	ofProvider = iota + 1
	ofDay
	ofHour
	ofJitter
	ofTail
	ofLoss
	ofDraw
	ofRun
)

const (
	dayMillis  = 24 * hourMillis
	weekMillis = 7 * dayMillis
	yearMillis = 365 * dayMillis
)

// weather of a layer in [from, to). A day and more has no hours.
func (g *generator) weather(layer int, from, to time.Time) weather {
	a, b := from.UnixMilli(), to.UnixMilli()
	mid := (a + b) / 2
	who := uint64(g.life.number)
	// Layers differ in how much of it reaches them: a cable in the office feels no rain.
	feels := [4]float64{0.4, 1, 0.6, 0.4}[layer]
	// The rains are heaviest in July and August.
	season := 0.08 * math.Cos(2*math.Pi*(float64(mid%yearMillis)/yearMillis-0.58))
	share := uint64(1_000_000) // a network is common to all of its sites
	if layer == 1 {
		share += uint64(providerOf(g.life.number))
	}
	pace := season + 0.14*g.wave(ofProvider, share, layer, mid, weekMillis) + 0.09*g.wave(ofDay, who, layer, mid, dayMillis)
	jitter := 0.3 * g.wave(ofJitter, who, layer, mid, dayMillis)
	if b-a <= 6*hourMillis {
		pace += 0.06*g.wave(ofHour, who, layer, mid, hourMillis) + rhythm(time.UnixMilli(mid).In(g.o.Zone))
		jitter += 0.25 * g.wave(ofJitter, who, layer, mid, 2*hourMillis)
	}
	w := weather{pace: math.Exp(feels * pace), jitter: math.Exp(jitter), tail: 1, draw: g.unit(ofDraw, who, layer, a)}
	switch t := g.wave(ofTail, who, layer, mid, dayMillis/2); {
	case t < -0.3:
		w.tail = 0
	case t > 0.4:
		w.tail = 2
	}
	if mid < g.o.calm().UnixMilli() {
		w.loss = 0.0003 * math.Exp(1.2*g.wave(ofLoss, who, layer, mid, dayMillis))
	}
	return w
}

// rhythm is how a line's day goes: busy in the morning and the afternoon of workdays, in the evening every day, at its best at night.
// Over a day it comes to about nothing.
func rhythm(at time.Time) float64 {
	h := float64(at.Hour()) + float64(at.Minute())/60
	bump := func(center, width float64) float64 {
		return math.Exp(-(h - center) * (h - center) / (2 * width * width))
	}
	v := 0.16*bump(20.5, 1.8) - 0.08
	if d := at.Weekday(); d != time.Saturday && d != time.Sunday {
		v += 0.16*bump(9.5, 1.4) + 0.14*bump(15, 1.5)
	}
	return v
}

// wave is a curve from -1 to 1 that takes a new turn each period.
func (g *generator) wave(of int, who uint64, layer int, at, period int64) float64 {
	i := at / period
	x := float64(at%period) / float64(period)
	x = x * x * (3 - 2*x)
	return 2*(g.unit(of, who, layer, i)*(1-x)+g.unit(of, who, layer, i+1)*x) - 1
}

// unit is a number from 0 to 1 that its arguments and the seed give.
func (g *generator) unit(of int, who uint64, layer int, i int64) float64 {
	h := g.o.Seed
	for _, v := range [3]uint64{who, uint64(of)<<8 | uint64(layer), uint64(i)} {
		// The steps of SplitMix64, which spread neighbours well.
		h += v + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return float64(h>>11) / (1 << 53)
}
