package figures

import (
	"context"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes"

	"golang.org/x/sync/errgroup"
)

// maxLooks is how many days of sites are looked at hour by hour. A province whose lines fail together more often is told
// by days alone, which is still a bound.
const maxLooks = 200

// window is a window of a site's two lines.
type window struct {
	site, hours string
	start       int64
}

// bothDown works out for how long both lines of a site were down together, at most: of each window the smaller of the
// two. Days are looked at first, then the hours of the days on which both were down.
func (r *Reporter) bothDown(ctx context.Context, q reports.Query, out *reports.Report) error {
	suspects := map[string]*reports.Both{}
	for i := range out.Pairs {
		p := &out.Pairs[i]
		p.Both = &reports.Both{}
		if out.Lines[p.Broadband].Figures.Down > 0 && out.Lines[p.Dedicated].Figures.Down > 0 {
			suspects[p.Site] = p.Both
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	site := ""
	if len(suspects) == 1 {
		for site = range suspects {
		}
	}
	day := rollup.Day.Start(out.DataTo, r.o.Zone)
	days, err := r.down(ctx, stretch{rollup.Day, q.Period.From, day}, site, q.Hours)
	if err != nil {
		return err
	}
	today, err := r.down(ctx, stretch{rollup.Hour, day, out.DataTo}, site, q.Hours)
	if err != nil {
		return err
	}
	looks := map[window]bool{} // without hours
	for id := range days {
		if suspects[id.site] != nil {
			looks[window{site: id.site, start: id.start}] = true
		}
	}
	if len(looks) <= maxLooks {
		for id := range looks {
			start := time.UnixMilli(id.start)
			hours, err := r.down(ctx, stretch{rollup.Hour, start, rollup.Day.Next(start, r.o.Zone)}, id.site, q.Hours)
			if err != nil {
				return err
			}
			count(suspects, hours)
		}
	} else {
		count(suspects, days)
	}
	count(suspects, today)
	for _, b := range suspects {
		b.DownSeconds = millis(b.DownSeconds)
	}
	return nil
}

// count adds what windows say that both lines were down.
func count(suspects map[string]*reports.Both, windows map[window][2]float64) {
	for id, d := range windows {
		if b := suspects[id.site]; b != nil {
			b.DownSeconds += min(d[0], d[1])
		}
	}
}

// down reads for how long the two lines of a site, or of all sites, were down: the windows in which both were.
func (r *Reporter) down(ctx context.Context, s stretch, site string, hours reports.Hours) (map[window][2]float64, error) {
	layers := [2]probes.Layer{probes.LayerBroadband, probes.LayerDedicated}
	var read [2]map[window]float64
	if s.from.Before(s.to) {
		group, ctx := errgroup.WithContext(ctx)
		for i, layer := range layers {
			group.Go(func() (err error) {
				read[i], err = r.downOf(ctx, s, layer, site, hours)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
	}
	found := map[window][2]float64{}
	for id, seconds := range read[0] {
		if other := read[1][id]; other > 0 {
			found[id] = [2]float64{seconds, other}
		}
	}
	return found, nil
}

// downOf reads for how long one of the two lines was down.
func (r *Reporter) downOf(ctx context.Context, s stretch, layer probes.Layer, site string, hours reports.Hours) (map[window]float64, error) {
	found := map[window]float64{}
	query := store.RollupQuery{Level: s.level, Measurement: reports.Measurement, Fields: []string{"down_seconds"}, Above: "down_seconds",
		Tags: tags(layer, site, hours), From: s.from, To: s.to}
	err := r.o.Windows.Rollups(ctx, query, func(series store.RollupSeries) error {
		id := window{site: series.Tags.Get("site"), hours: series.Tags.Get("hours")}
		for j := range series.Rows {
			if a, ok := series.Rows[j].Field("down_seconds"); ok {
				id.start = series.Rows[j].Start
				found[id] += a.Sum
			}
		}
		return nil
	})
	return found, err
}
