// Package figures makes reports on lines from windows of the measurement "line" (see package account), from what was
// agreed with the providers, and from when agents were off.
//
// # What adds up
//
// A period is read from months where they are whole and over, from days at its edges and from hours of today. Seconds
// and packets are summed and distributions merged, for a line as for a group of lines: a figure of a district is that of
// all its seconds and packets, never a mean of its communes' figures. Whatever the windows say, the seconds of a line
// add up to its period: what is measured counts first, then planned maintenance, then what agents were off by their own
// account, and the rest is time that nobody can tell about. Outside office hours silence is no fault and expected, as it
// is on the map, so there the rest is "closed".
//
// # When a line begins
//
// A line counts from the beginning of the period if it was known before. One that was first seen within the period
// counts from the day (of the newest days, from the hour) of its first window; with a contract it counts from the day
// the contract begins, if that is earlier: who pays for a line wants to know that nothing was measured. A line is part
// of a report if it has windows or a contract in the period, or had windows in the month before it or after it.
package figures

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/health/rules"
	"communewatch/collector/history"
	"communewatch/collector/reports"
	"communewatch/collector/reports/profiles"
	"communewatch/collector/store"
	"communewatch/inventory"
	"communewatch/probes"
)

// Windows is where windows are kept; store.Rolled is.
type Windows interface {
	Rollups(ctx context.Context, q store.RollupQuery, each func(store.RollupSeries) error) error
}

// Sites lists the sites as they were called on the day of asOf, in asOf's own zone.
type Sites interface {
	Sites(ctx context.Context, asOf time.Time) ([]inventory.Site, error)
}

// Lines is what is known of lines beside measurements.
type Lines interface {
	// Agreements returns the contracts of all lines, by site, layer and first day.
	Agreements(ctx context.Context) ([]reports.Agreement, error)
	// Off returns when no agent of a site was running, by site and in order of time.
	Off(ctx context.Context, from, to time.Time) (map[string][]reports.Span, error)
}

// Options of a Reporter. All but Lines, Profiles and Now are required.
type Options struct {
	Windows  Windows
	Progress func() history.Progress // how far windows reach
	Sites    Sites
	Lines    Lines // nil: nothing is known beside measurements
	Rules    health.Rules
	Profiles []profiles.Profile
	Zone     *time.Location
	Now      func() time.Time // nil: time.Now
}

// Reporter makes reports. It implements reports.Reporter; calls may be concurrent.
type Reporter struct {
	o        Options
	rules    *rules.Compiled
	profiles map[string]*profiles.Profile

	mu   sync.Mutex // guards the field below
	past past
}

// New returns a Reporter.
func New(o Options) *Reporter {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Reporter{o: o, rules: rules.Compile(o.Rules), profiles: map[string]*profiles.Profile{}}
	for i := range o.Profiles {
		r.profiles[o.Profiles[i].Name] = &o.Profiles[i]
	}
	return r
}

// errPeriod is what is wrong with a period that is none.
var errPeriod = errors.New("a report's period must begin before it ends")

// lineOf tells a line from all others.
type lineOf struct {
	site  string
	layer probes.Layer
}

// Report makes a report.
func (r *Reporter) Report(ctx context.Context, q reports.Query) (*reports.Report, error) {
	switch q.Hours {
	case "":
		q.Hours = reports.Office
	case reports.Office, reports.Other, reports.All:
	default:
		return nil, fmt.Errorf("%.40q is not office, other or all hours", string(q.Hours))
	}
	if !q.Period.From.Before(q.Period.To) {
		return nil, errPeriod
	}
	progress := r.o.Progress()
	out := &reports.Report{Period: q.Period, Hours: q.Hours, Made: r.o.Now().UTC(), DataTo: q.Period.To}
	if progress.To.Before(out.DataTo) {
		out.DataTo = progress.To
		if out.DataTo.Before(q.Period.From) {
			out.DataTo = q.Period.From
		}
	}
	if progress.Pending > 0 && progress.Oldest.Before(out.DataTo) {
		out.Pending = progress.Pending
	}
	w, err := r.read(ctx, q, out.DataTo)
	if err != nil {
		return nil, err
	}
	m := &maker{r: r, q: q, to: out.DataTo, windows: w, offices: map[*rules.Calendar][]reports.Span{}}
	if err := m.know(ctx); err != nil {
		return nil, err
	}
	out.Unknown = m.unknown()
	m.lines(out)
	m.groups(out)
	m.pairs(out)
	if err := r.bothDown(ctx, q, out); err != nil {
		return nil, err
	}
	return out, nil
}
