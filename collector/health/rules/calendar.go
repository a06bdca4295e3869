package rules

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // offices of a closed network run on machines without a zone database
)

// Calendar is office hours made ready.
type Calendar struct {
	sites    []string
	days     [7]bool
	from, to time.Duration // since midnight; to may be past 24 h
	zone     *time.Location
	holidays map[string]bool
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// newCalendar reports each mistake at its field, and goes on without what it could not read.
func newCalendar(o OfficeHours, problem func(field, format string, args ...any)) *Calendar {
	c := &Calendar{sites: o.Sites, holidays: map[string]bool{}}
	for _, d := range o.Days {
		i := slices.Index(dayNames, strings.ToLower(d))
		if i < 0 {
			problem("days", "%.200s is not a day; use mon tue wed thu fri sat sun", d)
			continue
		}
		c.days[i] = true
	}
	if len(o.Days) == 0 {
		problem("days", "is missing; for example [mon, tue, wed, thu, fri]")
	}
	clock := func(at, s string) time.Duration {
		t, err := time.Parse("15:04", s)
		if err != nil {
			problem(at, "%.200s is not a time of day such as 07:30", s)
		}
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	c.from, c.to = clock("from", o.From), clock("to", o.To)
	if c.to <= c.from {
		c.to += 24 * time.Hour
	}
	name := o.Zone
	if name == "" {
		name = DefaultZone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		problem("tz", "%.200s is not a zone; for example Asia/Ho_Chi_Minh", name)
		zone = time.UTC
	}
	c.zone = zone
	for _, h := range o.Holidays {
		if _, err := time.Parse(time.DateOnly, h); err != nil {
			problem("holidays", "%.200s is not a day such as 2026-09-02", h)
			continue
		}
		c.holidays[h] = true
	}
	return c
}

// span returns the open hours that begin on the day of t (in the calendar's zone) moved by days.
func (c *Calendar) span(t time.Time, days int) (from, to time.Time, ok bool) {
	y, m, d := t.In(c.zone).Date()
	day := time.Date(y, m, d+days, 0, 0, 0, 0, c.zone)
	if !c.days[day.Weekday()] || c.holidays[day.Format(time.DateOnly)] {
		return from, to, false
	}
	at := func(since time.Duration) time.Time {
		return time.Date(day.Year(), day.Month(), day.Day(), 0, int(since/time.Minute), 0, 0, c.zone)
	}
	return at(c.from), at(c.to), true
}

// Open reports whether the office is open at t. Hours past midnight belong to the day on which they began.
func (c *Calendar) Open(t time.Time) bool {
	for days := -1; days <= 0; days++ {
		if from, to, ok := c.span(t, days); ok && !t.Before(from) && t.Before(to) {
			return true
		}
	}
	return false
}

// Next returns the first opening or closing after t; zero when there is none within the year that follows.
func (c *Calendar) Next(t time.Time) time.Time {
	for days := -1; days <= 366; days++ {
		from, to, ok := c.span(t, days)
		switch {
		case !ok:
		case from.After(t):
			return from
		case to.After(t):
			return to
		}
	}
	return time.Time{}
}
