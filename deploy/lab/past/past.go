// Package past gives a lab a past: windows of months and years, and rows of the newest days where they are asked for, as
// a collector would have made them of a province's results. All of it is invented. It is there so that reports and long
// charts of a demo show something on the first day, and so that benchmarks can ask stores about years.
//
// The same options give the same past. In it one provider is bad, above all in the evening; a cable is cut for a week; a
// district is without power for hours; some offices switch their machines off at night, and some switch them on too
// late. What happened at a site is one story, and windows of every length tell it.
//
// How finely it is told is a matter of time and space: days and months reach back all the way, hours and windows of five
// minutes as far as the options say, for as many sites as they say.
package past

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"communewatch/collector/health/rules"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
)

// Options of a past.
type Options struct {
	Sites    []string       // the lab's, by number
	From, To time.Time      // midnight of a day, and a whole hour
	Zone     *time.Location // the province's
	Seed     uint64
	Every    time.Duration // between runs of a check; 0: a minute

	// LineHours, Hours and FiveMinutes are how far back from To windows of an hour of lines, of an hour of everything, and
	// of five minutes reach. The day of To has hours in any case: what follows is added to them.
	LineHours, Hours, FiveMinutes time.Duration
	FineSites                     int // the first so many sites have Hours and FiveMinutes; 0: all

	LinesOnly  bool // no windows of checks, only those that reports rest on
	CheckSites int  // the first so many sites have windows of checks; 0: all

	PingHours time.Duration // how far back from To windows of an hour reach of what pings of all sites measured

	Raw      time.Duration // how far back from To rows reach
	RawTo    time.Time     // where they end, at To or within the hour after it; zero: To
	RawEvery time.Duration // between runs of a check in them; 0: Every
	RawSites int           // of the first so many sites; 0: all

	// Calendar is the office hours of a site; nil: it is always open, and closed on weekends for those who switch their
	// machines off.
	Calendar func(site string) *rules.Calendar

	checks []check
}

// Filled is what Fill stored.
type Filled struct {
	Windows map[rollup.Level]int64
	Rows    int64
	Off     map[string][]reports.Span // when the machines of a site were switched off
}

// portion is how many windows are stored at once.
const portion = 20_000

// Fill writes the past into a store.
func Fill(ctx context.Context, o Options, st store.Store) (Filled, error) {
	if o.Every == 0 {
		o.Every = time.Minute
	}
	if o.RawEvery == 0 {
		o.RawEvery = o.Every
	}
	if o.RawTo.IsZero() {
		o.RawTo = o.To
	}
	o.checks = checks()
	if o.LinesOnly {
		o.checks, o.Raw = nil, 0
	}
	f := Filled{Windows: map[rollup.Level]int64{}, Off: map[string][]reports.Span{}}
	if !o.To.Equal(o.To.Truncate(time.Hour)) || !o.From.Equal(rollup.Day.Start(o.From, o.Zone)) || !o.From.Before(o.To) {
		return f, fmt.Errorf("a past from %v to %v: give a midnight and a whole hour after it", o.From, o.To)
	}
	made := make(chan batch, 4)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(made)
		makers, ctx := errgroup.WithContext(ctx)
		makers.SetLimit(runtime.GOMAXPROCS(0))
		for number := range o.Sites {
			makers.Go(func() error { return o.site(ctx, number, made) })
		}
		return makers.Wait()
	})
	group.Go(func() error {
		pending := map[rollup.Level][]rollup.Row{}
		put := func(level rollup.Level) error {
			rows := pending[level]
			pending[level] = nil
			f.Windows[level] += int64(len(rows))
			return st.PutRollups(ctx, level, rows)
		}
		for b := range made {
			if b.off != nil {
				f.Off[b.site] = b.off
			}
			if len(b.rows) > 0 {
				pending[b.level] = append(pending[b.level], b.rows...)
			}
			if len(pending[b.level]) >= portion {
				if err := put(b.level); err != nil {
					return err
				}
			}
			if len(b.raw) > 0 {
				if err := st.Append(ctx, b.raw); err != nil {
					return err
				}
				f.Rows += int64(len(b.raw))
			}
		}
		for level := range pending {
			if err := put(level); err != nil {
				return err
			}
		}
		return st.Sync(ctx)
	})
	return f, group.Wait()
}

// calm is when nothing bad happens any more.
func (o *Options) calm() time.Time { return o.RawTo.Add(-quiet) }

// site makes the windows and rows of one site.
func (o *Options) site(ctx context.Context, number int, made chan<- batch) error {
	g := &generator{o: o, site: o.Sites[number], provider: ProviderOf(number)}
	if o.Calendar != nil {
		if c := o.Calendar(g.site); c != nil {
			g.open, g.next = c.Open, c.Next
		}
	}
	g.life = o.story(number, g.open)
	if o.CheckSites > 0 && number >= o.CheckSites {
		g.o = &Options{}
		*g.o = *o
		g.o.checks = nil
	}
	g.series()
	send := func(b batch) error {
		b.site = g.site
		select {
		case made <- b:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := send(batch{off: g.life.off}); err != nil {
		return err
	}
	fine := o.FineSites == 0 || number < o.FineSites
	today := rollup.Day.Start(o.To, o.Zone)
	since := func(back time.Duration) time.Time {
		t := rollup.Day.Start(o.To.Add(-back), o.Zone)
		if t.Before(o.From) {
			return o.From
		}
		return t
	}
	lineHours, pingHours, hours, fives := since(o.LineHours), since(o.PingHours), today, o.To
	if fine {
		hours = since(o.Hours)
		if o.FiveMinutes > 0 {
			fives = since(o.FiveMinutes)
		}
	}
	months := rollup.NewFold(rollup.Month, o.Zone)
	// A site's windows are stored at once: a store that keeps blocks of a series would write them again and again.
	var hourly, daily []rollup.Row
	for day := o.From; day.Before(o.To); day = rollup.Day.Next(day, o.Zone) {
		end := rollup.Day.Next(day, o.Zone)
		days := rollup.NewFold(rollup.Day, o.Zone)
		merge := func(rows []rollup.Row) {
			for i := range rows {
				days.Merge(&rows[i])
			}
		}
		withHours, withPingHours, withLineHours := !day.Before(hours), !day.Before(pingHours), !day.Before(lineHours)
		if withHours || withPingHours || withLineHours {
			var fiver []rollup.Row
			for at := day; at.Before(end) && at.Before(o.To); at = at.Add(time.Hour) {
				if !at.Before(fives) {
					for five := at; five.Before(at.Add(time.Hour)); five = five.Add(5 * time.Minute) {
						fiver = append(fiver, g.checks(five, five.Add(5*time.Minute), everything)...)
					}
				}
				var rows []rollup.Row
				if withLineHours {
					rows = g.lineWindows(at, at.Add(time.Hour))
				}
				if withHours {
					rows = append(rows, g.checks(at, at.Add(time.Hour), everything)...)
				} else if withPingHours {
					rows = append(rows, g.checks(at, at.Add(time.Hour), pingsAlone)...)
				}
				merge(rows)
				hourly = append(hourly, rows...)
			}
			if err := send(batch{level: rollup.FiveMinutes, rows: fiver}); err != nil {
				return err
			}
		}
		if !withLineHours {
			merge(g.lineWindows(day, end))
		}
		switch {
		case withHours:
		case withPingHours:
			merge(g.checks(day, end, allButPings))
		default:
			merge(g.checks(day, end, everything))
		}
		if end.After(o.To) {
			break // a day that is not over has no window
		}
		rows := days.Rows()
		for i := range rows {
			months.Merge(&rows[i])
		}
		daily = append(daily, rows...)
	}
	for _, b := range []batch{{level: rollup.Hour, rows: hourly}, {level: rollup.Day, rows: daily}} {
		if err := send(b); err != nil {
			return err
		}
	}
	var whole []rollup.Row
	for _, r := range months.Rows() {
		start := time.UnixMilli(r.Start)
		if !start.Before(rollup.Month.Start(o.From, o.Zone)) && !rollup.Month.Next(start, o.Zone).After(o.To) {
			whole = append(whole, r)
		}
	}
	if err := send(batch{level: rollup.Month, rows: whole}); err != nil {
		return err
	}
	if o.Raw == 0 || o.RawSites > 0 && number >= o.RawSites {
		return nil
	}
	return g.raw(o.To.Add(-o.Raw), o.RawTo, func(b batch) error { return send(b) })
}
