package rolled

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"
)

// siteHour makes the windows of an hour of one site, at the levels of five minutes and an hour: 20 checks every 30 s, of
// which 8 are icmp, 6 tcp, 3 dns and 3 http, and their rows of measurement check. Times are whole nanoseconds.
func siteHour(r *rand.Rand, site string, start time.Time) (fine, hour []rollup.Row) {
	five, whole := rollup.NewFold(rollup.FiveMinutes, time.UTC), rollup.NewFold(rollup.Hour, time.UTC)
	times := make([]int64, 120)
	for i := range times {
		times[i] = start.UnixMilli() + int64(i)*30_000 + 4321
	}
	outcomes := make([]string, len(times))
	for check := range 20 {
		kind := "icmp"
		switch {
		case check >= 17:
			kind = "http"
		case check >= 14:
			kind = "dns"
		case check >= 8:
			kind = "tcp"
		}
		tags := probes.Tags{{Key: "agent", Value: "a1"}, {Key: "path", Value: string(probes.Paths()[check%3])}, {Key: "site", Value: site}, {Key: "target", Value: fmt.Sprint(kind, check)}}
		with := func(k, v string) probes.Tags { return tags.With(k, v) }
		add := func(m, field string, tags probes.Tags, v func() float64) {
			values := make([]float64, len(times))
			for i := range values {
				values[i] = v()
			}
			five.Add(m, field, tags, times, values, nil)
			whole.Add(m, field, tags, times, values, nil)
		}
		ms := func(ms, noise float64) func() float64 {
			return func() float64 { return math.Round(1e6*(ms+noise*math.Exp(r.NormFloat64()))) / 1e9 }
		}
		is := func(v float64) func() float64 { return func() float64 { return v } }
		rare := func(v float64) func() float64 {
			return func() float64 {
				if r.IntN(500) == 0 {
					return v
				}
				return 0
			}
		}
		for i := range outcomes {
			outcomes[i] = "ok"
			if r.IntN(1000) == 0 {
				outcomes[i] = "timeout"
			}
		}
		checkTags := with("kind", kind).With("layer", "lan")
		five.Add("check", "outcome", checkTags, times, nil, outcomes)
		whole.Add("check", "outcome", checkTags, times, nil, outcomes)
		add("check", "up", checkTags, func() float64 { return 1 - rare(1)() })
		add("check", "took_seconds", checkTags, ms(2000, 3))
		add("check", "late_seconds", checkTags, ms(0, 0.06))
		add("check", "interval_seconds", checkTags, is(30))
		base := float64(2 + check)
		switch kind {
		case "icmp":
			for _, f := range []string{"send_errors", "duplicates", "reordered", "clock_steps"} {
				add("icmp", f, tags, is(0))
			}
			add("icmp", "sent", tags, is(10))
			lost := rare(1)
			add("icmp", "received", tags, func() float64 { return 10 - lost() })
			for _, f := range []string{"lost", "loss_runs", "longest_loss_run"} {
				add("icmp", f, tags, lost)
			}
			add("icmp", "loss_ratio", tags, rare(0.1))
			add("icmp", "rtt_min_seconds", tags, ms(base, 0.05))
			add("icmp", "rtt_mean_seconds", tags, ms(base, 0.2))
			add("icmp", "rtt_median_seconds", tags, ms(base, 0.2))
			add("icmp", "rtt_p95_seconds", tags, ms(base, 0.5))
			add("icmp", "rtt_max_seconds", tags, ms(base, 0.8))
			add("icmp", "jitter_seconds", tags, ms(0.05, 0.2))
		case "tcp":
			add("tcp", "connect_seconds", tags, ms(base, 0.3))
		case "dns":
			dns := with("resolver", "r1")
			add("dns", "query_seconds", dns, ms(base, 0.3))
			add("dns", "rcode", dns, is(0))
			add("dns", "answers", dns, is(2))
			add("dns", "answer_ok", dns, is(1))
			add("dns", "truncated", dns, is(0))
		case "http":
			for _, f := range []string{"dns_seconds", "connect_seconds", "tls_seconds", "first_byte_seconds", "total_seconds"} {
				add("http", f, tags, ms(base, 1))
			}
			add("http", "status", tags, is(200))
			add("http", "body_bytes", tags, is(5123))
			add("http", "body_ok", tags, is(1))
			add("http", "cert_expiry_seconds", tags, ms(1e9, 1))
		}
	}
	return five.Rows(), whole.Rows()
}

// BenchmarkPutSiteHour stores an hour of one of 136 sites after the other, as the history does: five minutes, then the
// hour.
func BenchmarkPutSiteHour(b *testing.B) {
	r := open(b, Options{})
	type siteRows struct{ fine, hour []rollup.Row }
	start := testNow.Truncate(24 * time.Hour)
	sites := make([]siteRows, 136)
	rng := rand.New(rand.NewPCG(1, 1))
	n := 0
	for b.Loop() {
		s := &sites[n%len(sites)]
		b.StopTimer()
		s.fine, s.hour = siteHour(rng, fmt.Sprintf("s%03d", n%len(sites)), start.Add(time.Duration(n/len(sites))*time.Hour))
		n++
		b.StartTimer()
		must(b, r.PutRollups(context.Background(), rollup.FiveMinutes, s.fine))
		must(b, r.PutRollups(context.Background(), rollup.Hour, s.hour))
	}
}

// TestSizeOfYears says what windows take on disk, and how long reading them takes. It is no test but a measurement:
//
//	COMMUNEWATCH_YEARS=4 go test ./collector/store/embedded/rolled -run Years -v -timeout 60m
//
// fills a file with so many sites' windows of a year of hours and days and 20 days of five minutes, each hour put by
// itself, as they come in life.
func TestSizeOfYears(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("COMMUNEWATCH_YEARS"))
	if n == 0 {
		t.Skip("a measurement, of minutes; see the comment")
	}
	now := testNow
	path := filepath.Join(cmp.Or(os.Getenv("COMMUNEWATCH_YEARS_DIR"), t.TempDir()), "rollups.db")
	r := openAt(t, path, Options{Now: func() time.Time { return now }})
	rng := rand.New(rand.NewPCG(2, 2))
	const days, fineDays = 365, 20
	first := testNow.Truncate(24*time.Hour).AddDate(0, 0, -days)
	// Noise is not of another day each day: three days' windows are enough to be drawn from, at other times.
	var putting time.Duration
	puts := 0
	windows := map[rollup.Level]int{}
	put := func(level rollup.Level, rows []rollup.Row) {
		begin := time.Now()
		must(t, r.PutRollups(t.Context(), level, rows))
		putting += time.Since(begin)
		windows[level] += len(rows)
	}
	for site := range n {
		var drawn [72]struct{ fine, hour []rollup.Row }
		for h := range drawn {
			drawn[h].fine, drawn[h].hour = siteHour(rng, fmt.Sprintf("s%03d", site), first)
		}
		for d := range days {
			day := rollup.NewFold(rollup.Day, time.UTC)
			for h := range 24 {
				from := drawn[rng.IntN(len(drawn))]
				move := (time.Duration(d)*24 + time.Duration(h)) * time.Hour
				moved := func(rows []rollup.Row) []rollup.Row {
					rows = append([]rollup.Row{}, rows...)
					for i := range rows {
						rows[i].Start += move.Milliseconds()
					}
					return rows
				}
				hour := moved(from.hour)
				put(rollup.Hour, hour)
				if d >= days-fineDays {
					put(rollup.FiveMinutes, moved(from.fine))
				}
				puts++
				for i := range hour {
					day.Merge(&hour[i])
				}
			}
			put(rollup.Day, day.Rows())
			if d%30 == 29 {
				now = first.AddDate(0, 0, d)
				must(t, r.tend(t.Context()))
			}
		}
		now = testNow
		must(t, r.tend(t.Context()))
	}
	t.Logf("%d site-hours put, %v each; file of %d MB", puts, putting/time.Duration(puts), r.Bytes()>>20)
	for level, n := range windows {
		var bytes int64
		must(t, r.db.Read().QueryRowContext(t.Context(), "SELECT coalesce(sum(length(data)), 0) FROM blocks WHERE id BETWEEN ? AND ?",
			idOf(level, 0, 0, 0), idOf(level, maxSeries, maxBlock, maxPiece)).Scan(&bytes))
		perWindow := float64(bytes) / float64(n)
		const series = 136 * 40
		perYear := map[rollup.Level]float64{rollup.FiveMinutes: 365 * 288, rollup.Hour: 365 * 24, rollup.Day: 365}[level]
		t.Logf("%v: %d windows, %.1f B each; a year of 136 sites: %.2f GB", level, n, perWindow, perWindow*series*perYear/1e9)
	}
	ask := func(what string, q store.RollupQuery) {
		q.To = testNow.Add(time.Hour)
		for range 2 {
			begin, rows := time.Now(), 0
			must(t, r.Rollups(t.Context(), q, func(s store.RollupSeries) error { rows += len(s.Rows); return nil }))
			t.Logf("%s: %d windows in %v", what, rows, time.Since(begin))
		}
	}
	ask("a year of hours of one series, all fields", store.RollupQuery{Level: rollup.Hour, Measurement: "icmp", Tags: map[string]string{"site": "s000", "target": "icmp0"}, From: first})
	ask("a year of hours of one series, two fields", store.RollupQuery{Level: rollup.Hour, Measurement: "icmp", Tags: map[string]string{"site": "s000", "target": "icmp0"}, Fields: []string{"rtt_median_seconds", "lost"}, From: first})
	ask("a year of days of icmp of all sites, all fields", store.RollupQuery{Level: rollup.Day, Measurement: "icmp", From: first})
	ask("a year of days of icmp of all sites, three fields", store.RollupQuery{Level: rollup.Day, Measurement: "icmp", Fields: []string{"rtt_median_seconds", "lost", "sent"}, From: first})
	ask("a day of five minutes of one series", store.RollupQuery{Level: rollup.FiveMinutes, Measurement: "icmp", Tags: map[string]string{"site": "s000", "target": "icmp0"}, From: testNow.AddDate(0, 0, -3)})
}
