package orders

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // offices' machines may have no zone database, Windows never has

	"communewatch/probes/orders"
)

// Meeting is a time in which the line belongs to a meeting, once or every week. Make it with ParseMeeting.
type Meeting struct {
	Note string

	start, end time.Time // of a single one; zero for a weekly one

	days     []time.Weekday // on which a weekly one begins
	from, to time.Duration  // of the day; to is after midnight if it is not above from
	zone     *time.Location
}

// Meetings are the times in which an office's settings keep media tests off its line.
type Meetings []Meeting

// DefaultZone is the time zone of meetings that name none.
const DefaultZone = "Asia/Ho_Chi_Minh"

// maxMeeting bounds a single meeting: who writes more has mistaken a year.
const maxMeeting = 31 * 24 * time.Hour

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday

var moments = []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339}

// ParseMeeting reads a meeting as it is written in settings: weekly with times of day ("07:30" to "11:30", on days
// such as "mon", every day if there are none), or once with dates ("2026-12-01 07:30").
func ParseMeeting(days []string, from, to, zone, note string) (Meeting, error) {
	if zone == "" {
		zone = DefaultZone
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return Meeting{}, fmt.Errorf("tz %q is not a time zone such as %s", zone, DefaultZone)
	}
	m := Meeting{Note: note, zone: loc}
	if len(note) > orders.MaxNote || strings.ContainsFunc(note, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Meeting{}, fmt.Errorf("note: use at most %d bytes on one line", orders.MaxNote)
	}
	if from == "" || to == "" {
		return Meeting{}, errors.New(`give from and to, such as "07:30" and "11:30"`)
	}
	if m.start, m.end = moment(from, loc), moment(to, loc); !m.start.IsZero() && !m.end.IsZero() {
		switch {
		case len(days) > 0:
			return Meeting{}, errors.New("days go with times of day; from and to have dates")
		case !m.end.After(m.start) || m.end.Sub(m.start) > maxMeeting:
			return Meeting{}, fmt.Errorf("to must be after from, by 31 days at most; %s to %s is not", from, to)
		}
		return m, nil
	}
	var okFrom, okTo bool
	m.from, okFrom = clock(from)
	m.to, okTo = clock(to)
	switch {
	case !okFrom || !okTo:
		return Meeting{}, fmt.Errorf(`from %q to %q: write both as times of day ("07:30") or both with dates ("2026-12-01 07:30")`, from, to)
	case m.from == m.to:
		return Meeting{}, fmt.Errorf("from and to are the same, %s", from)
	}
	for _, day := range days {
		i := slices.Index(weekdays, day)
		if i < 0 {
			return Meeting{}, fmt.Errorf("days: %q is none of %s", day, strings.Join(weekdays, ", "))
		}
		m.days = append(m.days, time.Weekday(i))
	}
	if len(days) == 0 {
		m.days = []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	}
	m.start, m.end = time.Time{}, time.Time{}
	return m, nil
}

// moment reads a date and time; the zero time if it is none.
func moment(s string, zone *time.Location) time.Time {
	for _, layout := range moments {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t
		}
	}
	return time.Time{}
}

// clock reads a time of day.
func clock(s string) (time.Duration, bool) {
	t, err := time.Parse("15:04", s)
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err == nil
}

// Between returns the first meeting, in the order of the settings, that takes any of the time from one moment to another.
func (list Meetings) Between(from, to time.Time) (Meeting, bool) {
	for _, m := range list {
		if m.touches(from, to) {
			return m, true
		}
	}
	return Meeting{}, false
}

func (m *Meeting) touches(from, to time.Time) bool {
	if !m.start.IsZero() {
		return from.Before(m.end) && to.After(m.start)
	}
	// The day before too: a meeting that began then may go on past midnight.
	local := from.In(m.zone)
	for day := -1; ; day++ {
		midnight := time.Date(local.Year(), local.Month(), local.Day()+day, 0, 0, 0, 0, m.zone)
		if midnight.After(to) {
			return false
		}
		if !slices.Contains(m.days, midnight.Weekday()) {
			continue
		}
		at := func(d time.Duration, days int) time.Time { // by the clock on the wall, whatever daylight saving does
			return time.Date(local.Year(), local.Month(), local.Day()+day+days, int(d.Hours()), int(d.Minutes())%60, 0, 0, m.zone)
		}
		end := at(m.to, 0)
		if m.to <= m.from {
			end = at(m.to, 1)
		}
		if from.Before(end) && to.After(at(m.from, 0)) {
			return true
		}
	}
}
