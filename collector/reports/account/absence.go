package account

import (
	"context"
	"slices"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/store"
)

const (
	// shortest is the pause from which on an agent counts as absent. A restart takes seconds, and reports come each minute.
	shortest = 3 * time.Minute
	// longestUptime is more than any machine runs; what says more is taken for a mistake.
	longestUptime = 10 * 365 * 24 * time.Hour
)

// lookBack is how far the last report before a start is looked for, step by step: a night, a weekend, a holiday, and as
// long as rows are usually kept.
var lookBack = []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 31 * 24 * time.Hour, 90 * 24 * time.Hour}

// report is one report of an agent: when, and since when it has been running.
type report struct{ at, since time.Time }

// absences works out what an hour's reports say of the time before them, and keeps it.
func (a *Accountant) absences(ctx context.Context, site string, start time.Time) error {
	if a.o.Absences == nil {
		return nil
	}
	heard, err := a.reports(ctx, site, "", start, start.Add(time.Hour))
	if err != nil {
		return err
	}
	for agent, list := range heard {
		// Only a start says that there was a pause. Where the first report is of an agent that has just started, the
		// last report before is needed, which may be long ago.
		if list[0].since.After(start.Add(-time.Hour)) {
			before, err := a.lastBefore(ctx, site, agent, start)
			if err != nil {
				return err
			}
			if before != nil {
				list = slices.Insert(list, 0, *before)
			}
		}
		from, to, gaps := pauses(list)
		if err := a.o.Absences.Ran(ctx, site, agent, from, to, gaps); err != nil {
			return err
		}
	}
	return nil
}

// lastBefore returns an agent's last report before a time; nil where there is none.
func (a *Accountant) lastBefore(ctx context.Context, site, agent string, before time.Time) (*report, error) {
	to := before
	for _, back := range lookBack {
		from := before.Add(-back)
		list, err := a.reports(ctx, site, agent, from, to)
		if err != nil {
			return nil, err
		}
		if have := list[agent]; len(have) > 0 {
			return &have[len(have)-1], nil
		}
		to = from
	}
	return nil, nil
}

// reports reads what agents of a site said of how long they have been running, in order of time.
func (a *Accountant) reports(ctx context.Context, site, agent string, from, to time.Time) (map[string][]report, error) {
	out := map[string][]report{}
	tags := map[string]string{"site": site}
	if agent != "" {
		tags["agent"] = agent
	}
	q := store.Query{Measurement: "agent", Fields: []string{"uptime_seconds"}, Tags: tags, From: from, To: to, MaxPoints: maxPoints}
	err := a.o.Store.Select(ctx, q, func(s store.Series) error {
		for i, v := range s.Values {
			if v < 0 || v > longestUptime.Seconds() {
				continue
			}
			at := time.UnixMilli(s.Times[i]).UTC()
			name := s.Tags.Get("agent")
			out[name] = append(out[name], report{at, at.Add(-time.Duration(v * float64(time.Second))).Truncate(time.Millisecond)})
		}
		return nil
	})
	return out, err
}

// pauses returns the stretch that reports tell of, from the first start on, and when within it the agent was not
// running.
func pauses(list []report) (from, to time.Time, gaps []reports.Span) {
	from, to = list[0].since, list[len(list)-1].at
	for i := 1; i < len(list); i++ {
		last, now := list[i-1].at, list[i]
		if now.since.Sub(last) >= shortest {
			gaps = append(gaps, reports.Span{From: last, To: now.since})
		}
	}
	return from, to, gaps
}
