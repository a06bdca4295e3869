package bench

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"communewatch/collector"
	"communewatch/collector/store/embedded"
	"communewatch/deploy/lab/bench/station"
	"communewatch/probes/wire"
)

const (
	queryDays   = 30
	queryChecks = scaleChecks
	queryEvery  = 30 * time.Second
)

// benchQuery fills a store with 30 days of one site and asks what its page asks.
func benchQuery(ctx context.Context, e *env) (*table, error) {
	st, err := prepareStation(ctx, e, "query", 1)
	if err != nil {
		return nil, err
	}
	points, err := fill(ctx, st)
	if err != nil {
		return nil, err
	}
	if err := st.Start(ctx, e.bin); err != nil {
		return nil, err
	}
	defer st.Stop()
	t := &table{
		title: "Questions of a site's page",
		about: fmt.Sprintf("One site with %d checks every %v for %d days: %s values stored. Over HTTP, median of ten. Loss is a ratio of two "+
			"summed counts; the round trip is minimum, mean and 95th percentile in 300 windows, of all checks at once.", queryChecks, queryEvery, queryDays, number(float64(points))),
		columns: []string{"range", "loss, one check", "round trip, all checks", "history of states"},
	}
	for _, r := range []string{"1h", "24h", "30d"} {
		loss, _, err := fetch(ctx, st.URL+"/api/v1/series?site=s00000&measurement=icmp&field=loss_ratio&target=t00&agg=mean&range="+r)
		if err != nil {
			return nil, err
		}
		rtt, _, err := fetch(ctx, st.URL+"/api/v1/series?site=s00000&measurement=icmp&field=rtt_median_seconds&agg=mean,min,p95&range="+r)
		if err != nil {
			return nil, err
		}
		history, _, err := fetch(ctx, st.URL+"/api/v1/sites/s00000/history?range="+r)
		if err != nil {
			return nil, err
		}
		round := func(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
		t.add(r, round(loss), round(rtt), round(history))
	}
	return t, nil
}

func fill(ctx context.Context, st *station.Station) (values uint64, err error) {
	cfg, err := collector.ReadConfig(st.Config)
	if err != nil {
		return 0, err
	}
	db, err := embedded.Open(embedded.Options{
		Dir: cfg.StoreDir(), Retention: cfg.Retention, LateWindow: cfg.OutOfOrder, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return 0, err
	}
	parser := wire.NewParser(wire.DefaultLimits())
	end := time.Now().Truncate(time.Second)
	var lines []byte
	for at := end.Add(-queryDays * 24 * time.Hour); at.Before(end); {
		lines = lines[:0]
		for range 100 {
			for c := range queryChecks {
				lines = station.AppendRun(lines, "s00000", c, at.UnixNano(), int(at.Unix()/30))
			}
			at = at.Add(queryEvery)
		}
		rows, bad := parser.Parse(lines, time.Nanosecond, 0)
		if len(bad) > 0 {
			return 0, fmt.Errorf("%v", bad[0])
		}
		if err := db.Append(ctx, rows); err != nil {
			return 0, err
		}
	}
	values = db.Stats().Appended
	return values, db.Close()
}
