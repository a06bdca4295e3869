// Package period names the stretches of whole days that reports are made of, and reads such names: a month 2026-10, a
// quarter 2026-Q3, a year 2026, or any days. It is pure, and every day begins at midnight of the zone given.
package period

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"communewatch/collector/reports"
)

// Years that a period may lie in. They only keep nonsense out: no figures are older than the first.
const (
	firstYear = 2000
	lastYear  = 2199
)

// MaxDays is the longest stretch of days that may be asked for: as long as the longest rollups are kept, five years.
const MaxDays = 5*365 + 2

// errName says what a name may be.
var errName = errors.New("period must be a month such as 2026-10, a quarter such as 2026-Q3 or a year such as 2026")

var names = regexp.MustCompile(`^(\d{4})(?:-(?:Q([1-4])|(0[1-9]|1[0-2])))?$`)

// Parse reads the name of a month, a quarter or a year.
func Parse(name string, zone *time.Location) (reports.Period, error) {
	m := names.FindStringSubmatch(name)
	if m == nil {
		return reports.Period{}, errName
	}
	year, _ := strconv.Atoi(m[1]) // the expression matches numbers alone
	if year < firstYear || year > lastYear {
		return reports.Period{}, fmt.Errorf("period must lie in the years %d to %d", firstYear, lastYear)
	}
	switch {
	case m[2] != "":
		quarter, _ := strconv.Atoi(m[2])
		return months(reports.Quarter, year, 3*quarter-2, 3, zone), nil
	case m[3] != "":
		month, _ := strconv.Atoi(m[3])
		return months(reports.Month, year, month, 1, zone), nil
	}
	return months(reports.Year, year, 1, 12, zone), nil
}

// months is n months from one on.
func months(kind reports.Kind, year, month, n int, zone *time.Location) reports.Period {
	from := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, zone)
	return reports.Period{Kind: kind, From: from, To: time.Date(year, time.Month(month+n), 1, 0, 0, 0, 0, zone)}
}

// Month is the month that t lies in.
func Month(t time.Time, zone *time.Location) reports.Period {
	t = t.In(zone)
	return months(reports.Month, t.Year(), int(t.Month()), 1, zone)
}

// Days is the days from first to last, both among them, as 2026-10-01 or 01/10/2026.
func Days(first, last string, zone *time.Location) (reports.Period, error) {
	from, err := day("from", first, zone)
	if err != nil {
		return reports.Period{}, err
	}
	to, err := day("to", last, zone)
	switch {
	case err != nil:
		return reports.Period{}, err
	case to.Before(from):
		return reports.Period{}, errors.New("from must not be after to; both are days, the last one counts too")
	}
	to = to.AddDate(0, 0, 1)
	if to.After(from.AddDate(0, 0, MaxDays)) {
		return reports.Period{}, fmt.Errorf("more than %d days; ask for less", MaxDays)
	}
	return reports.Period{Kind: reports.Days, From: from, To: to}, nil
}

// day reads a day as programs write it, and as people here do.
func day(name, text string, zone *time.Location) (time.Time, error) {
	t, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		t, err = time.ParseInLocation("2/1/2006", text, zone)
	}
	if err != nil || t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}, fmt.Errorf("%s must be a day such as 2026-10-31 or 31/10/2026, of the years %d to %d", name, firstYear, lastYear)
	}
	return t, nil
}

// Name is what Parse reads; of days it is the first and the last, 2026-10-01..2026-10-15.
func Name(p reports.Period) string {
	switch p.Kind {
	case reports.Month:
		return p.From.Format("2006-01")
	case reports.Quarter:
		return fmt.Sprintf("%04d-Q%d", p.From.Year(), Number(p))
	case reports.Year:
		return p.From.Format("2006")
	}
	return p.From.Format(time.DateOnly) + ".." + Last(p).Format(time.DateOnly)
}

// Number is a month's number from 1 to 12, or a quarter's from 1 to 4; 0 of other periods.
func Number(p reports.Period) int {
	switch p.Kind {
	case reports.Month:
		return int(p.From.Month())
	case reports.Quarter:
		return (int(p.From.Month()) + 2) / 3
	}
	return 0
}

// Begun tells why there can be no report of a period yet; nil once its first day has begun.
func Begun(p reports.Period, now time.Time) error {
	if p.From.After(now) {
		return errors.New("the period has not begun yet")
	}
	return nil
}

// Last is the midnight at which the last day of a period begins.
func Last(p reports.Period) time.Time { return p.To.AddDate(0, 0, -1) }

// Beside is the period of the same length before (by -1) or after (by 1) one.
func Beside(p reports.Period, by int) reports.Period {
	n := map[reports.Kind]int{reports.Month: 1, reports.Quarter: 3, reports.Year: 12}[p.Kind]
	if n > 0 {
		return months(p.Kind, p.From.Year(), int(p.From.Month())+by*n, n, p.From.Location())
	}
	days := 0
	for t := p.From; t.Before(p.To); t = t.AddDate(0, 0, 1) {
		days++
	}
	return reports.Period{Kind: p.Kind, From: p.From.AddDate(0, 0, by*days), To: p.To.AddDate(0, 0, by*days)}
}

// Latest is the newest month that is over of those that have figures, listed newest first. Where none is over it is the
// newest; where there is none at all, the month before now.
func Latest(listed []reports.Period, now time.Time, zone *time.Location) reports.Period {
	for _, p := range listed {
		if !p.To.After(now) {
			return p
		}
	}
	if len(listed) > 0 {
		return listed[0]
	}
	return Beside(Month(now, zone), -1)
}
