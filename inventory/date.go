package inventory

import (
	"fmt"
	"time"
)

// DateOf returns the day that t falls on in t's own location: pass a local time to get the local day, since a
// province's decisions come into force at its own midnight.
func DateOf(t time.Time) Date {
	if t.IsZero() {
		return Date{}
	}
	y, m, d := t.Date()
	return Date{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

// ParseDate reads a day written as 2025-07-01 or 01/07/2025 (day first, as in Vietnam); "" is the zero Date.
func ParseDate(s string) (Date, error) {
	if s == "" {
		return Date{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2/1/2006", "2-1-2006", "2.1.2006"} {
		t, err := time.Parse(layout, s)
		if err == nil && t.Year() >= 1900 && t.Year() <= 2200 {
			return Date{t}, nil
		}
	}
	return Date{}, fmt.Errorf("%q is not a date; write 2025-07-01 or 01/07/2025 (day first)", s)
}

// String returns the day as 2025-07-01, and "" for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Format(time.DateOnly)
}
