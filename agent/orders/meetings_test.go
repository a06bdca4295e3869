package orders

import (
	"strings"
	"testing"
	"time"
)

func TestMeetingsTakeTheirTimes(t *testing.T) {
	zone, err := time.LoadLocation(DefaultZone)
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		m, err := time.ParseInLocation("2006-01-02 15:04:05", s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return m.UTC() // the machine's own zone says nothing
	}
	weekly := func(from, to string, days ...string) Meeting {
		m, err := ParseMeeting(days, from, to, "", "")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	morning := weekly("07:30", "11:30", "mon", "wed", "fri")
	night := weekly("22:00", "02:00", "sat")
	daily := weekly("23:59", "00:01")
	once := weekly("2026-12-01 07:30", "2026-12-01T11:30:00+07:00")
	london, err := ParseMeeting(nil, "08:00", "09:00", "Europe/London", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		m    Meeting
		from string
		d    time.Duration
		want bool
	}{
		{"in its midst, a Monday", morning, "2026-11-30 09:00:00", 0, true},
		{"its first moment", morning, "2026-11-30 07:30:00", time.Second, true},
		{"a test that ends as it begins", morning, "2026-11-30 07:29:00", time.Minute, false},
		{"a test that runs into it", morning, "2026-11-30 07:29:01", time.Minute, true},
		{"its end", morning, "2026-11-30 11:30:00", time.Minute, false},
		{"a Tuesday", morning, "2026-12-01 09:00:00", time.Minute, false},
		{"over midnight, Saturday", night, "2026-11-28 23:00:00", 0, true},
		{"over midnight, Sunday", night, "2026-11-29 01:59:59", time.Minute, true},
		{"after it, Sunday", night, "2026-11-29 02:00:00", time.Minute, false},
		{"Sunday night", night, "2026-11-29 23:00:00", time.Minute, false},
		{"daily, before midnight", daily, "2026-11-29 23:59:30", 0, true},
		{"daily, after midnight", daily, "2026-11-30 00:00:30", 0, true},
		{"daily, at noon", daily, "2026-11-30 12:00:00", time.Minute, false},
		{"a test of days meets it", daily, "2026-11-30 12:00:00", 48 * time.Hour, true},
		{"a single one", once, "2026-12-01 08:00:00", 0, true},
		{"a day later", once, "2026-12-02 08:00:00", 0, false},
		{"the test before", once, "2026-12-01 07:00:00", 30 * time.Minute, false},
		{"another zone, winter", london, "2026-12-01 15:30:00", 0, true},
		{"another zone, summer", london, "2026-07-01 14:30:00", 0, true},
		{"another zone, summer, an hour later", london, "2026-07-01 15:30:00", 0, false},
	} {
		if _, got := (Meetings{c.m}).Between(at(c.from), at(c.from).Add(c.d)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestBadMeetingsAreExplained(t *testing.T) {
	for _, c := range []struct {
		days                 []string
		from, to, zone, note string
		want                 string
	}{
		{nil, "", "", "", "", "give from and to"},
		{nil, "7h30", "11:30", "", "", "times of day"},
		{nil, "07:30", "2026-12-01 11:30", "", "", "both"},
		{nil, "25:00", "26:00", "", "", "times of day"},
		{nil, "07:30", "07:30", "", "", "the same"},
		{[]string{"monday"}, "07:30", "11:30", "", "", `"monday" is none of`},
		{[]string{"mon"}, "2026-12-01 07:30", "2026-12-01 11:30", "", "", "days go with times of day"},
		{nil, "2026-12-01 07:30", "2026-12-01 07:30", "", "", "must be after from"},
		{nil, "2026-12-01 07:30", "2027-12-01 07:30", "", "", "31 days"},
		{nil, "07:30", "11:30", "Hà Nội", "", "not a time zone"},
		{nil, "07:30", "11:30", "", "a\nb", "one line"},
		{nil, "07:30", "11:30", "", strings.Repeat("x", 201), "200 bytes"},
	} {
		if _, err := ParseMeeting(c.days, c.from, c.to, c.zone, c.note); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %q %q %q: %v, want %q", c.days, c.from, c.to, c.zone, err, c.want)
		}
	}
}
