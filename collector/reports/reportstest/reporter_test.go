package reportstest

import (
	"math"
	"reflect"
	"testing"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/inventory"
)

func TestFiguresAddUpAndAreTheSameTwice(t *testing.T) {
	now := time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)
	var sites []inventory.Site
	for i := range 136 {
		sites = append(sites, inventory.Site{ID: string(rune('a'+i%26)) + string(rune('a'+i/26)), Name: "Điểm", Parent: string(rune('A' + i%9))})
	}
	r := New(sites, func() time.Time { return now })
	listed, err := r.Periods(t.Context())
	if err != nil || len(listed) != Months {
		t.Fatal(listed, err)
	}
	q := reports.Query{Period: period.Latest(listed, now, time.FixedZone("", 7*3600)), Hours: reports.Office}
	rep, err := r.Report(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := r.Report(t.Context(), q); !reflect.DeepEqual(rep, again) {
		t.Error("the same question has two answers")
	}
	lines, unknown := 0, 0
	for _, g := range rep.Paths {
		lines += g.Lines
	}
	if lines != len(rep.Lines) {
		t.Errorf("%d lines in groups, %d alone", lines, len(rep.Lines))
	}
	for _, l := range rep.Lines {
		f := l.Figures
		if sum := f.OK + f.Degraded + f.Down + f.Maintenance + f.Off + f.Closed + f.NoData; math.Abs(sum-f.Period) > 1 {
			t.Errorf("%s %s: %v seconds of %v", l.Site, l.Layer, sum, f.Period)
		}
		if f.Availability == nil {
			unknown++
		}
	}
	if unknown == 0 || unknown > len(rep.Lines)/4 {
		t.Errorf("%d of %d lines are not known", unknown, len(rep.Lines))
	}
}
