package ask

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Span reads a range of time: range=24h up to now, or from= and to= (RFC 3339 or Unix seconds). What is given
// nothing is the standard length; one above the longest is refused.
func Span(q url.Values, now time.Time, standard, longest time.Duration) (from, to time.Time, err error) {
	to = now
	if q.Has("from") || q.Has("to") {
		if q.Has("range") {
			return from, to, mistake("give either range, or from and to")
		}
		if !q.Has("from") {
			return from, to, mistake("from is missing; give it beside to, or range alone")
		}
		if from, err = instant("from", q.Get("from")); err != nil {
			return from, to, err
		}
		if q.Has("to") {
			if to, err = instant("to", q.Get("to")); err != nil {
				return from, to, err
			}
		}
	} else {
		length := standard
		if q.Has("range") {
			if length, err = duration("range", q.Get("range")); err != nil {
				return from, to, err
			}
		}
		from = to.Add(-length)
	}
	switch length := to.Sub(from); {
	case length <= 0:
		return from, to, mistake("from must be before to")
	case length > longest:
		return from, to, mistake("the range is longer than " + strconv.Itoa(int(longest/(24*time.Hour))) + " days; ask for less")
	}
	return from, to, nil
}

func instant(name, s string) (time.Time, error) {
	if unix, err := strconv.ParseFloat(s, 64); err == nil && unix >= 0 && unix < 1e11 {
		return time.UnixMilli(int64(unix * 1000)).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil && t.Year() >= 1970 && t.Year() < 3000 {
		return t.UTC(), nil
	}
	return time.Time{}, mistake(name + " must be a time such as 2026-11-23T08:00:00Z, or Unix seconds")
}

// duration reads 90s, 5m, 24h, 30d.
func duration(name, s string) (time.Duration, error) {
	text, day := strings.CutSuffix(s, "d")
	if day {
		if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 10000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, mistake(name + " must be a length of time such as 30s, 5m, 24h or 30d")
}
