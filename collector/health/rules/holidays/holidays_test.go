package holidays

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Every day that comes with the program is one that the law fixes, on the day that the lunar calendar says, and none is
// missing.
func TestVietnamIsWhatTheLawSays(t *testing.T) {
	listed := map[string]Day{}
	for _, d := range Vietnam() {
		if !strings.Contains(d.Citation, "45/2019/QH14, Điều 112 khoản 1 điểm") || d.Name == "" {
			t.Errorf("%+v does not say where it is written", d)
		}
		listed[d.Date] = d
	}
	want := map[string]bool{}
	for year := 2024; year <= 2032; year++ {
		for _, day := range []string{"01-01", "04-30", "05-01", "09-02"} {
			want[fmt.Sprintf("%d-%s", year, day)] = true
		}
		tet := begin(t, monthOf(t, year, 1))
		for d := -1; d <= 2; d++ {
			want[tet.AddDate(0, 0, d).Format(time.DateOnly)] = true
		}
		want[begin(t, monthOf(t, year, 3)).AddDate(0, 0, 9).Format(time.DateOnly)] = true
	}
	for date := range want {
		if _, ok := listed[date]; !ok {
			t.Errorf("%s is missing", date)
		}
		delete(listed, date)
	}
	for date, d := range listed {
		t.Errorf("%s (%s) is not fixed by law", date, d.Name)
	}
}

func TestMistakesOfALists(t *testing.T) {
	const header = "date,name,makeup,citation\n"
	for text, want := range map[string]string{
		"":                               "l.csv: is empty",
		"day,name\n":                     "l.csv:1: the first line must be date,name,makeup,citation",
		header + "2026-02-30,x,no,\n":    "l.csv:2: \"2026-02-30\" is not a day",
		header + "2026-09-02,x,maybe,\n": "l.csv:2: makeup is \"maybe\"; write yes or no",
		header + "2026-09-02,x,,\n# c\n2026-09-02,y,,\n": "l.csv:4: 2026-09-02 is on line 2 already",
		header + "2026-09-02,x\n":                        "l.csv:2: has 2 columns",
		header + "2026-09-02,\"x,,\n":                    "l.csv:2: quotes don't match",
		"\xff\xfe":                                       "l.csv: is not UTF-8",
	} {
		if _, err := Parse("l.csv", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, err := Parse("l.csv", []byte(header+"x,x,no,\ny,x,no,\n"))
	if err == nil || strings.Count(err.Error(), "is not a day") != 2 {
		t.Errorf("not every mistake at once: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(vn)
	f.Add([]byte("date,name,makeup,citation\n2026-09-02,\"x\",yes,\"y\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		days, err := Parse("f", data)
		if err != nil {
			return
		}
		for _, d := range days {
			if _, err := time.Parse(time.DateOnly, d.Date); err != nil {
				t.Errorf("%+v", d)
			}
		}
	})
}
