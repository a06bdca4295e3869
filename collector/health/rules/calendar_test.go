package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func calendarOf(t *testing.T, o OfficeHours) *Calendar {
	t.Helper()
	if o.Days == nil {
		o.Days = []string{"mon", "tue", "wed", "thu", "fri"}
	}
	if o.From == "" {
		o.From, o.To = "07:30", "17:00"
	}
	return newCalendar(o, func(field, format string, args ...any) { t.Errorf(field+": "+format, args...) })
}

func local(t *testing.T, text string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation(DefaultZone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// edges lists when an office opens and closes from a day on.
func edges(t *testing.T, c *Calendar, from string, n int) string {
	at := local(t, from)
	var out []string
	for range n {
		if at = c.Next(at); at.IsZero() {
			break
		}
		state := "-"
		if c.Open(at) {
			state = "+"
		}
		if c.Open(at) == c.Open(at.Add(-time.Millisecond)) {
			t.Errorf("nothing changes at %v", at)
		}
		out = append(out, state+at.Format("01-02 15:04"))
	}
	return strings.Join(out, " ")
}

func TestOfficeHours(t *testing.T) {
	lunch := []Break{{"11:30", "13:00"}}
	for name, c := range map[string]struct {
		o    OfficeHours
		from string
		want string
	}{
		"lunch":               {OfficeHours{Breaks: lunch}, "2026-03-02 00:00", "+03-02 07:30 -03-02 11:30 +03-02 13:00 -03-02 17:00 +03-03 07:30"},
		"the weekend":         {OfficeHours{}, "2026-03-06 08:00", "-03-06 17:00 +03-09 07:30"},
		"a night shift":       {OfficeHours{From: "22:00", To: "06:00", Breaks: []Break{{"23:30", "00:30"}}}, "2026-03-06 21:00", "+03-06 22:00 -03-06 23:30 +03-07 00:30 -03-07 06:00 +03-09 22:00"},
		"breaks at both ends": {OfficeHours{From: "07:00", To: "17:00", Breaks: []Break{{"07:00", "08:00"}, {"16:00", "17:00"}}}, "2026-03-02 00:00", "+03-02 08:00 -03-02 16:00"},
		// Giỗ Tổ 2026 is a Sunday and made up on Monday, Thursday 30 April and Friday 1 May follow.
		"a holiday on a Sunday": {OfficeHours{Holidays: []string{"vn"}}, "2026-04-24 12:00", "-04-24 17:00 +04-28 07:30 -04-28 17:00 +04-29 07:30 -04-29 17:00 +05-04 07:30"},
		"who works on Sundays":  {OfficeHours{Days: dayNames, Holidays: []string{"vn"}}, "2026-04-25 12:00", "-04-25 17:00 +04-27 07:30 -04-27 17:00"},
		"Tết as announced": {OfficeHours{Holidays: []string{"vn", "2026-02-20"}, WorkingDays: []string{"2026-02-14"}}, "2026-02-13 12:00",
			"-02-13 17:00 +02-14 07:30 -02-14 17:00 +02-23 07:30"},
		"a swapped holiday": {OfficeHours{Holidays: []string{"vn"}, WorkingDays: []string{"2026-09-02"}}, "2026-09-01 12:00", "-09-01 17:00 +09-02 07:30"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := edges(t, calendarOf(t, c.o), c.from, len(strings.Fields(c.want))/2); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMistakesOfOfficeHours(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.csv"), []byte("date,name,makeup,citation\nsoon,x,no,y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Default()
	r.OfficeHours = []OfficeHours{{Days: []string{"mon"}, From: "07:30", To: "17:00", Breaks: []Break{{"06:00", "07:00"}, {"13:00", "12:00"}, {"noon", "13:00"}},
		Holidays: []string{"vn", "bad.csv", "away.csv", "us"}, WorkingDays: []string{"2/9/2026"}},
		{Days: []string{"mon"}, From: "07:30", To: "17:00", Breaks: []Break{{"07:30", "17:00"}}, Holidays: []string{"2026-09-01"}, WorkingDays: []string{"2026-09-01"}}}
	var got []string
	problem := func(at, format string, args ...any) { got = append(got, at+": "+fmt.Sprintf(format, args...)) }
	r.ReadHolidays(dir, problem)
	r.Validate(problem)
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"office_hours[0].holidays[1]: bad.csv:2: \"soon\" is not a day", "office_hours[0].holidays[2]: open ",
		"office_hours[0].breaks[0]: must lie within 07:30 to 17:00", "office_hours[0].breaks[1]: must lie", "office_hours[0].breaks[2].from: noon is not a time of day",
		"office_hours[0].holidays: us is not a day such as 2026-09-02, nor vn", "office_hours[0].working_days: 2/9/2026 is not a day",
		"office_hours[1].breaks: leave nothing of 07:30 to 17:00", "office_hours[1].working_days: 2026-09-01 is one of the holidays too",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("not told: %s\nin\n%s", want, all)
		}
	}
}

func TestAListOfHolidaysOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tinh.csv"), []byte("date,name,makeup,citation\n2026-03-03,Ngày truyền thống,no,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Default()
	r.OfficeHours = []OfficeHours{{Days: []string{"mon", "tue", "wed"}, From: "07:30", To: "17:00", Holidays: []string{"tinh.csv"}}}
	problem := func(at, format string, args ...any) { t.Errorf(at+": "+format, args...) }
	r.ReadHolidays(dir, problem)
	r.Validate(problem)
	if got, want := edges(t, Compile(r).Calendar("s1"), "2026-03-02 12:00", 2), "-03-02 17:00 +03-04 07:30"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
