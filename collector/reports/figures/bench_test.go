package figures_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/health/rules"
	"communewatch/collector/history"
	"communewatch/collector/reports"
	"communewatch/collector/reports/figures"
	"communewatch/collector/rollup"
	"communewatch/collector/store/embedded"
	"communewatch/inventory"
	"communewatch/probes"
)

// province is sites that don't change.
type province []inventory.Site

func (p province) Sites(context.Context, time.Time) ([]inventory.Site, error) { return p, nil }

// BenchmarkYear makes a year's report of a province from the embedded store: eleven months, and the days and hours of
// the last one.
func BenchmarkYear(b *testing.B) {
	for _, n := range []int{136, 1360} {
		b.Run(fmt.Sprint(n, "-sites"), func(b *testing.B) {
			now := time.Date(2026, 12, 16, 12, 0, 0, 0, zone)
			year := reports.Period{Kind: reports.Year, From: time.Date(2026, 1, 1, 0, 0, 0, 0, zone), To: time.Date(2027, 1, 1, 0, 0, 0, 0, zone)}
			st, err := embedded.Open(embedded.Options{Dir: b.TempDir(), Retention: 90 * 24 * time.Hour, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
				Keep: map[rollup.Level]time.Duration{rollup.FiveMinutes: 366 * 24 * time.Hour, rollup.Hour: 1830 * 24 * time.Hour, rollup.Day: 1830 * 24 * time.Hour, rollup.Month: 1830 * 24 * time.Hour}})
			if err != nil {
				b.Fatal(err)
			}
			defer st.Close()
			var sites province
			for i := range n {
				sites = append(sites, inventory.Site{ID: fmt.Sprintf("s%05d", i), Name: "x", Parent: fmt.Sprint("district ", i%12)})
			}
			random := rand.New(rand.NewPCG(1, 2))
			put := func(level rollup.Level, start time.Time, hours float64) {
				var rows []rollup.Row
				for _, s := range sites {
					for _, layer := range probes.Layers() {
						for _, part := range []reports.Hours{reports.Office, reports.Other} {
							seconds := map[string]float64{"ok_seconds": hours * 1700, "down_seconds": hours * float64(random.IntN(2)), "sent": hours * 600, "lost": hours, "outages": 1}
							values := make([]float64, 60)
							for i := range values {
								values[i] = 0.005 + random.ExpFloat64()/100
							}
							rows = append(rows, window(s.ID, layer, part, start, seconds, values[:12], values))
						}
					}
				}
				if err := st.PutRollups(b.Context(), level, rows); err != nil {
					b.Fatal(err)
				}
			}
			for month := year.From; month.Before(rollup.Month.Start(now, zone)); month = rollup.Month.Next(month, zone) {
				put(rollup.Month, month, 720)
			}
			for day := rollup.Month.Start(now, zone); day.Before(rollup.Day.Start(now, zone)); day = rollup.Day.Next(day, zone) {
				put(rollup.Day, day, 24)
			}
			for hour := rollup.Day.Start(now, zone); hour.Before(now); hour = hour.Add(time.Hour) {
				put(rollup.Hour, hour, 1)
			}
			r := health.DefaultRules()
			r.OfficeHours = []rules.OfficeHours{{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "07:30", To: "17:00",
				Breaks: []rules.Break{{From: "11:30", To: "13:00"}}, Holidays: []string{rules.HolidaysVN}}}
			reporter := figures.New(figures.Options{Windows: st, Sites: sites, Rules: r, Zone: zone, Now: func() time.Time { return now },
				Progress: func() history.Progress { return history.Progress{To: now} }})
			b.ReportAllocs()
			for b.Loop() {
				got, err := reporter.Report(b.Context(), reports.Query{Period: year})
				if err != nil || len(got.Lines) != 4*n {
					b.Fatal(err, len(got.Lines))
				}
			}
		})
	}
}
