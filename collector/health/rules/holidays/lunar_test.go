package holidays

import (
	"math"
	"testing"
	"time"
)

// The lunar calendar of Vietnam: a month begins on the day of the new moon, by the clock of Hà Nội (UTC+7); month 11
// holds the winter solstice; between two months 11 that are thirteen months apart, the first month in which the sun
// enters no sign of thirty degrees is a leap month, which has no number of its own. The positions are those of J. Meeus,
// Astronomical Algorithms, 2nd ed., chapters 25 (sun) and 49 (new moons), good to two minutes.

var hanoi = time.FixedZone("+07", 7*3600)

// deltaT is by how much the time of the formulas is ahead of UTC in these years (about 69 to 75 s).
const deltaT = 72 * time.Second

func sinDeg(v float64) float64 { return math.Sin(math.Mod(v, 360) * math.Pi / 180) }

// newMoon returns the k-th new moon since that of 2000-01-06.
func newMoon(k float64) time.Time {
	t := k / 1236.85
	jde := 2451550.09766 + 29.530588861*k + 0.00015437*t*t - 0.000000150*t*t*t
	e := 1 - 0.002516*t - 0.0000074*t*t
	m := 2.5534 + 29.10535670*k - 0.0000014*t*t       // the sun's mean anomaly
	moon := 201.5643 + 385.81693528*k + 0.0107582*t*t // the moon's
	f := 160.7108 + 390.67050284*k - 0.0016118*t*t    // the moon's argument of latitude
	node := 124.7746 - 1.56375588*k + 0.0020672*t*t   // its ascending node
	jde += -0.40720*sinDeg(moon) + 0.17241*e*sinDeg(m) + 0.01608*sinDeg(2*moon) + 0.01039*sinDeg(2*f) +
		0.00739*e*sinDeg(moon-m) - 0.00514*e*sinDeg(moon+m) + 0.00208*e*e*sinDeg(2*m) - 0.00111*sinDeg(moon-2*f) -
		0.00057*sinDeg(moon+2*f) + 0.00056*e*sinDeg(2*moon+m) - 0.00042*sinDeg(3*moon) + 0.00042*e*sinDeg(m+2*f) +
		0.00038*e*sinDeg(m-2*f) - 0.00024*e*sinDeg(2*moon-m) - 0.00017*sinDeg(node) - 0.00007*sinDeg(moon+2*m)
	return time.UnixMilli(int64((jde - 2440587.5) * 86400e3)).Add(-deltaT).In(hanoi)
}

// sun returns the apparent longitude of the sun in degrees, 0 to 360.
func sun(at time.Time) float64 {
	jde := float64(at.Add(deltaT).UnixMilli())/86400e3 + 2440587.5
	t := (jde - 2451545) / 36525
	m := 357.52911 + 35999.05029*t - 0.0001537*t*t
	long := 280.46646 + 36000.76983*t + 0.0003032*t*t + (1.914602-0.004817*t)*sinDeg(m) + (0.019993-0.000101*t)*sinDeg(2*m) + 0.000289*sinDeg(3*m)
	long += -0.00569 - 0.00478*sinDeg(125.04-1934.136*t)
	return math.Mod(math.Mod(long, 360)+360, 360)
}

// midnight is the beginning of the day of t in Hà Nội.
func midnight(t time.Time) time.Time {
	y, m, d := t.In(hanoi).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, hanoi)
}

// moonOf returns the number of the last new moon whose day is not after that of t.
func moonOf(t *testing.T, day time.Time) float64 {
	k := math.Round(day.Sub(time.Date(2000, 1, 6, 18, 14, 0, 0, time.UTC)).Hours() / 24 / 29.530588861)
	for begin(t, k).After(day) {
		k--
	}
	for !begin(t, k+1).After(day) {
		k++
	}
	return k
}

// begin is the first day of the lunar month of a new moon. A new moon at midnight could be on another day than the
// formulas say: what they leave out (the smallest terms, and those of the planets) is 134 s at most.
func begin(t *testing.T, k float64) time.Time {
	moon := newMoon(k)
	day := midnight(moon)
	if margin := min(moon.Sub(day), day.AddDate(0, 0, 1).Sub(moon)); margin < 140*time.Second {
		t.Fatalf("the new moon of %v is within %v of midnight: look its day up", moon, margin)
	}
	return day
}

// monthOf returns the new moon that begins a numbered month (1 to 10) of the lunar year that begins in a year.
func monthOf(t *testing.T, year int, month int) float64 {
	// Month 11 of the year before, and of this one.
	eleven := func(year int) float64 {
		day := time.Date(year, 12, 19, 0, 0, 0, 0, hanoi)
		for sun(day.AddDate(0, 0, 1)) < 270 && sun(day) < 280 {
			day = day.AddDate(0, 0, 1)
		}
		return moonOf(t, day) // the day in which the sun reaches 270 degrees
	}
	first, last := eleven(year-1), eleven(year)
	n := 11
	leap := last-first == 13
	for k := first + 1; ; k++ {
		if from, to := begin(t, k), begin(t, k+1); leap && int(sun(from)/30) == int(sun(to)/30) {
			leap = false // no sign is entered between the two midnights
			continue
		}
		if n = n%12 + 1; n == month {
			return k
		}
	}
}

func TestLunarDays(t *testing.T) {
	for year, want := range map[int]string{2024: "2024-02-10", 2025: "2025-01-29", 2026: "2026-02-17", 2027: "2027-02-06", 2028: "2028-01-26"} {
		if got := begin(t, monthOf(t, year, 1)).Format(time.DateOnly); got != want {
			t.Errorf("Tết %d is on %s, worked out as %s", year, want, got)
		}
	}
	for year, want := range map[int]string{2024: "2024-04-18", 2025: "2025-04-07", 2026: "2026-04-26"} {
		if got := begin(t, monthOf(t, year, 3)).AddDate(0, 0, 9).Format(time.DateOnly); got != want {
			t.Errorf("Giỗ Tổ %d is on %s, worked out as %s", year, want, got)
		}
	}
	for year := 2024; year <= 2032; year++ {
		t.Log(year, begin(t, monthOf(t, year, 1)).Format(time.DateOnly), begin(t, monthOf(t, year, 3)).AddDate(0, 0, 9).Format(time.DateOnly))
	}
}
