package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // offices of a closed network run on machines without a zone database

	"communewatch/collector/health/rules/holidays"
)

// Calendar is office hours made ready.
type Calendar struct {
	sites    []string
	days     [7]bool
	open     []hours // of a day, in order; those of the night may be past 24 h
	zone     *time.Location
	holidays map[string]bool
	working  map[string]bool // days that are worked whatever day of the week or holiday they are
}

// hours is a stretch of a day, since its midnight.
type hours struct{ from, to time.Duration }

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// HolidaysVN names the list of Vietnam's holidays that comes with the program.
const HolidaysVN = "vn"

// isFile tells files from days and from the names of lists.
func isFile(holiday string) bool { return strings.HasSuffix(holiday, ".csv") }

// ReadHolidays reads the files that holidays name; relative names are relative to dir. It is to be called once, before
// Validate and before the rules are used. What goes wrong is reported as Validate does.
func (r *Rules) ReadHolidays(dir string, problem func(at, format string, args ...any)) {
	for i := range r.OfficeHours {
		o := &r.OfficeHours[i]
		o.lists = map[string][]holidays.Day{}
		for j, h := range o.Holidays {
			if !isFile(h) {
				continue
			}
			at, file := fmt.Sprintf("office_hours[%d].holidays[%d]", i, j), h
			if !filepath.IsAbs(file) {
				file = filepath.Join(dir, file)
			}
			o.lists[h] = nil
			data, err := os.ReadFile(file)
			if err == nil {
				o.lists[h], err = holidays.Parse(h, data)
			}
			if err != nil {
				problem(at, "%v", err)
			}
		}
	}
}

// newCalendar reports each mistake at its field, and goes on without what it could not read.
func newCalendar(o OfficeHours, problem func(field, format string, args ...any)) *Calendar {
	c := &Calendar{sites: o.Sites, holidays: map[string]bool{}, working: map[string]bool{}}
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
	c.readHours(&o, problem)
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
	c.readDays(&o, problem)
	return c
}

// readHours works out when the office is open on a day: from from to to, without the breaks.
func (c *Calendar) readHours(o *OfficeHours, problem func(field, format string, args ...any)) {
	clock := func(at, s string) time.Duration {
		t, err := time.Parse("15:04", s)
		if err != nil {
			problem(at, "%.200s is not a time of day such as 07:30", s)
		}
		return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	}
	from, to := clock("from", o.From), clock("to", o.To)
	if to <= from {
		to += 24 * time.Hour
	}
	at := from
	for i, b := range o.Breaks {
		field := fmt.Sprintf("breaks[%d]", i)
		begin, end := clock(field+".from", b.From), clock(field+".to", b.To)
		for _, t := range []*time.Duration{&begin, &end} {
			if *t < from { // of the next day, as to is
				*t += 24 * time.Hour
			}
		}
		if begin < at || end <= begin || end > to {
			problem(field, "must lie within %s to %s and after the break before it, with from before to", o.From, o.To)
			continue
		}
		if begin > at {
			c.open = append(c.open, hours{at, begin})
		}
		at = end
	}
	if at < to {
		c.open = append(c.open, hours{at, to})
	} else if len(c.open) == 0 {
		problem("breaks", "leave nothing of %s to %s; remove the entry if the office never opens", o.From, o.To)
	}
}

// readDays works out which days are closed though they are days of the week to work on, and which are open though not.
func (c *Calendar) readDays(o *OfficeHours, problem func(field, format string, args ...any)) {
	var listed []holidays.Day
	for _, h := range o.Holidays {
		switch {
		case h == HolidaysVN:
			listed = append(listed, holidays.Vietnam()...)
		case isFile(h):
			list, ok := o.lists[h]
			if !ok {
				problem("holidays", "the file %.200s was not read", h)
			}
			listed = append(listed, list...)
		default:
			if _, err := time.Parse(time.DateOnly, h); err != nil {
				problem("holidays", "%.200s is not a day such as 2026-09-02, nor vn, nor the name of a file that ends in .csv", h)
				continue
			}
			c.holidays[h] = true
		}
	}
	for _, d := range listed {
		c.holidays[d.Date] = true
	}
	slices.SortStableFunc(listed, func(a, b holidays.Day) int { return strings.Compare(a.Date, b.Date) })
	for _, d := range listed {
		if day, err := time.Parse(time.DateOnly, d.Date); err == nil && d.Makeup && !c.days[day.Weekday()] {
			c.makeUp(day)
		}
	}
	for _, d := range o.WorkingDays {
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			problem("working_days", "%.200s is not a day such as 2026-08-22", d)
			continue
		}
		if slices.Contains(o.Holidays, d) {
			problem("working_days", "%s is one of the holidays too; keep it in one of the lists", d)
		}
		c.working[d] = true
	}
}

// makeUp closes the first day after a holiday that would be worked.
func (c *Calendar) makeUp(day time.Time) {
	for range 14 {
		day = day.AddDate(0, 0, 1)
		if text := day.Format(time.DateOnly); c.days[day.Weekday()] && !c.holidays[text] {
			c.holidays[text] = true
			return
		}
	}
}

// spans calls each for the open hours that begin on the day of t (in the calendar's zone) moved by days, in order, until
// it returns false.
func (c *Calendar) spans(t time.Time, days int, each func(from, to time.Time) bool) {
	y, m, d := t.In(c.zone).Date()
	day := time.Date(y, m, d+days, 0, 0, 0, 0, c.zone)
	date := day.Format(time.DateOnly)
	if !c.working[date] && (!c.days[day.Weekday()] || c.holidays[date]) {
		return
	}
	at := func(since time.Duration) time.Time {
		return time.Date(day.Year(), day.Month(), day.Day(), 0, int(since/time.Minute), 0, 0, c.zone)
	}
	for _, h := range c.open {
		if !each(at(h.from), at(h.to)) {
			return
		}
	}
}

// Open reports whether the office is open at t. Hours past midnight belong to the day on which they began.
func (c *Calendar) Open(t time.Time) bool {
	open := false
	for days := -1; days <= 0 && !open; days++ {
		c.spans(t, days, func(from, to time.Time) bool {
			open = !t.Before(from) && t.Before(to)
			return !open
		})
	}
	return open
}

// Next returns the first opening or closing after t; zero when there is none within the year that follows.
func (c *Calendar) Next(t time.Time) time.Time {
	var next time.Time
	for days := -1; days <= 366 && next.IsZero(); days++ {
		c.spans(t, days, func(from, to time.Time) bool {
			switch {
			case from.After(t):
				next = from
			case to.After(t):
				next = to
			}
			return next.IsZero()
		})
	}
	return next
}
