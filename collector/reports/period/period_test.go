package period

import (
	"testing"
	"time"

	"communewatch/collector/reports"
)

var zone = time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)

func TestNamesAreReadAndWrittenAlike(t *testing.T) {
	for _, tc := range []struct {
		name, first, last string
		kind              reports.Kind
	}{
		{"2026-10", "2026-10-01", "2026-10-31", reports.Month},
		{"2024-02", "2024-02-01", "2024-02-29", reports.Month},
		{"2026-12", "2026-12-01", "2026-12-31", reports.Month},
		{"2026-Q1", "2026-01-01", "2026-03-31", reports.Quarter},
		{"2026-Q4", "2026-10-01", "2026-12-31", reports.Quarter},
		{"2026", "2026-01-01", "2026-12-31", reports.Year},
	} {
		p, err := Parse(tc.name, zone)
		if err != nil {
			t.Fatal(err)
		}
		if p.Kind != tc.kind || Name(p) != tc.name {
			t.Errorf("%s is read as the %s %s", tc.name, p.Kind, Name(p))
		}
		if first, last := p.From.Format(time.DateOnly), Last(p).Format(time.DateOnly); first != tc.first || last != tc.last {
			t.Errorf("%s is from %s to %s", tc.name, first, last)
		}
		if p.From.Location() != zone || p.From.Hour() != 0 || p.To.Hour() != 0 {
			t.Errorf("%s does not begin and end at midnight here: %v, %v", tc.name, p.From, p.To)
		}
	}
	if p, err := Days("1/10/2026", "31/10/2026", zone); err != nil || Name(p) != "2026-10-01..2026-10-31" {
		t.Errorf("days as people write them are %v, %v", p, err)
	}
	p, err := Days("2026-10-05", "2026-10-05", zone)
	if err != nil || p.To.Sub(p.From) != 24*time.Hour || Name(p) != "2026-10-05..2026-10-05" {
		t.Errorf("a single day is %v, %v", p, err)
	}
}

func TestWhatIsNoPeriodIsRefusedWithTheWayToPutItRight(t *testing.T) {
	for _, name := range []string{"", "2026-13", "2026-0", "2026-Q5", "2026-q1", "26", "2026-10-01", "0001", "9999", " 2026", "2026\n", "-2026", "２０２６"} {
		if p, err := Parse(name, zone); err == nil {
			t.Errorf("%q is read as %s", name, Name(p))
		}
	}
	for _, days := range [][2]string{{"", ""}, {"2026-10-01", ""}, {"2026-10-02", "2026-10-01"}, {"2026-02-30", "2026-03-01"},
		{"2010-01-01", "2026-01-01"}, {"10/31/2026", "31/12/2026"}, {"0000-01-01", "0000-01-02"}} {
		if p, err := Days(days[0], days[1], zone); err == nil {
			t.Errorf("%q is read as %s", days, Name(p))
		}
	}
	if _, err := Days("2022-01-01", "2026-12-31", zone); err != nil {
		t.Errorf("five years are refused: %v", err)
	}
}

func TestBeside(t *testing.T) {
	for _, tc := range []struct{ name, before, after string }{
		{"2026-01", "2025-12", "2026-02"}, {"2026-12", "2026-11", "2027-01"}, {"2026-Q1", "2025-Q4", "2026-Q2"}, {"2026", "2025", "2027"},
	} {
		p, err := Parse(tc.name, zone)
		if err != nil {
			t.Fatal(err)
		}
		if before, after := Name(Beside(p, -1)), Name(Beside(p, 1)); before != tc.before || after != tc.after {
			t.Errorf("beside %s are %s and %s", tc.name, before, after)
		}
	}
	p, _ := Days("2026-03-01", "2026-03-10", zone)
	if got := Name(Beside(p, -1)); got != "2026-02-19..2026-02-28" {
		t.Errorf("before ten days are %s", got)
	}
}

func TestLatestIsTheNewestThatIsOver(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, zone)
	month := func(name string) reports.Period {
		p, err := Parse(name, zone)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		listed []reports.Period
		want   string
	}{
		{nil, "2026-10"},
		{[]reports.Period{month("2026-11")}, "2026-11"},
		{[]reports.Period{month("2026-11"), month("2026-10"), month("2026-09")}, "2026-10"},
		{[]reports.Period{month("2026-08")}, "2026-08"},
	} {
		if got := Name(Latest(tc.listed, now, zone)); got != tc.want {
			t.Errorf("of %d months the latest is %s, want %s", len(tc.listed), got, tc.want)
		}
	}
	// In UTC it is still October.
	if got := Name(Month(time.Date(2026, 10, 31, 18, 0, 0, 0, time.UTC), zone)); got != "2026-11" {
		t.Errorf("the month here is %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"2026", "2026-10", "2026-Q3", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := Parse(s, zone); err == nil && Name(p) != s {
			t.Errorf("%q is read as %q", s, Name(p))
		}
	})
}
