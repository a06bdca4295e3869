// Package account works out what reports rest on: for one hour of one site, how many seconds each of its layers spent
// in which state, what its pings lost, and how long they took. It does so from the rows of the hour and of the hour
// before, through the judge that the map goes by, so a report never says anything else than the map did, or would have
// said had late rows come in time.
//
// # Hours
//
// An hour is cut at the edges of the office's hours: what lies within them and what lies outside are rows of their own,
// so that a report on office hours is a sum and no estimate. An hour without any result of the site makes no row at
// all: what nobody accounted for is found as the rest of the period.
//
// # Machines that were off
//
// An agent says in its reports how long it has been running. So the first report after a pause tells when it started,
// and the time from the last report before the pause to that start is an absence: the agent was not running, by its own
// account. It is kept beside the windows (Absences), because the hours that it covers have no rows. A pause without a
// start is none: the agent ran, and what it measured may still come.
package account

import (
	"context"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/health/rules"
	"communewatch/collector/recall"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// Absences keeps when agents were not running.
type Absences interface {
	// Ran takes in that an agent ran from from to to but for the gaps in between. What was kept before of that stretch is
	// replaced, so saying the same again changes nothing.
	Ran(ctx context.Context, site, agent string, from, to time.Time, gaps []reports.Span) error
}

// Options of an Accountant. Store and Rules are required.
type Options struct {
	Store    recall.Source
	Rules    health.Rules
	Absences Absences // nil: nobody keeps them
}

// Accountant works hours out. It implements history.Accountant and keeps nothing between calls, which may be concurrent.
type Accountant struct {
	o        Options
	compiled *rules.Compiled
}

// New returns an Accountant.
func New(o Options) *Accountant { return &Accountant{o: o, compiled: rules.Compile(o.Rules)} }

const (
	// warmUp is how long before the hour the judge begins: silence and loss look back.
	warmUp = time.Hour
	// maxPoints bounds what one query of the store may read, of two hours: a hundred checks every second.
	maxPoints = 1_000_000
	// fine is the length of the windows that loss is a distribution of.
	fine = 5 * time.Minute
)

// Hour returns the windows of measurement reports.Measurement of a site's hour; none where nothing came from it.
func (a *Accountant) Hour(ctx context.Context, site string, start time.Time) ([]rollup.Row, error) {
	start = start.Truncate(time.Hour)
	if err := a.absences(ctx, site, start); err != nil {
		return nil, err
	}
	h, heard, err := a.read(ctx, site, start)
	if err != nil || !heard {
		return nil, err
	}
	return h.rows(), nil
}

// read gathers what is known of an hour, and reports whether anything came from the site in it.
func (a *Accountant) read(ctx context.Context, site string, start time.Time) (h *hour, heard bool, err error) {
	h = &hour{site: site, from: start, to: start.Add(time.Hour), cal: a.compiled.Calendar(site), verdicts: map[verdictOf]verdict{}}
	// The judge begins a moment before the hour, so that a state that began with it is told from one that went on.
	h.before = start.Add(-time.Millisecond)
	replay := health.NewReplayer(a.o.Rules, h.before)
	past := recall.Range{Site: site, From: start.Add(-warmUp), To: h.to, MaxPoints: maxPoints}
	if err := recall.Walk(ctx, a.o.Store, &a.o.Rules, past, func(obs []health.Observation) {
		for i := range obs {
			if o := &obs[i]; !o.Time.Before(start) {
				heard = true
				h.heard(o)
			}
		}
		replay.Feed(obs)
	}); err != nil || !heard {
		return nil, false, err
	}
	if s := replay.History(h.to).Sites[site]; s != nil {
		h.layers = s.Layers
	}
	q := store.Query{Measurement: "icmp", Fields: []string{"sent", "lost", "rtt_median_seconds", "jitter_seconds"},
		Tags: map[string]string{"site": site}, From: start, To: h.to, MaxPoints: maxPoints}
	err = a.o.Store.Select(ctx, q, func(s store.Series) error {
		if s.Values != nil {
			h.pings(s, func(at int64) bool { return a.compiled.MaintenanceOf(site, at) != nil })
		}
		return nil
	})
	return h, err == nil, err
}

// verdictOf tells a run of pings from all others of a site.
type verdictOf struct {
	agent, target string
	path          probes.Path
	at            int64
}

// verdict is what is to be known of a run beside its numbers.
type verdict struct {
	layer probes.Layer
	ping  *ping // nil: its numbers don't count
}
