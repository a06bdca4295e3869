package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/status"
	"communewatch/collector/store"
)

// Status says whether the database answers, and how far rollups are. It asks nobody: both are known from what is done
// anyway.
func (c *Collector) Status() status.Status {
	s := status.Status{
		Store:   status.Store{Condition: c.store.Condition(), Engine: c.cfg.Store, Replayed: c.replayed.Load()},
		Rollups: c.keeper.Progress(),
	}
	if w, ok := c.store.(interface{ Warnings() []string }); ok {
		s.Store.Warnings = w.Warnings()
	}
	return s
}

// away is the metrics that say whether the database answers.
func away(st store.Store) []prometheus.Collector {
	gauge := func(name, help string, value func(store.Condition) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "communewatch_store_" + name, Help: help}, func() float64 { return value(st.Condition()) })
	}
	return []prometheus.Collector{
		gauge("away", "Whether the database does not answer, so that nothing is taken in.", func(c store.Condition) float64 {
			if c.Away {
				return 1
			}
			return 0
		}),
		gauge("away_since_timestamp_seconds", "Since when the database has not answered; 0 while it does.", func(c store.Condition) float64 {
			if !c.Away {
				return 0
			}
			return float64(c.Since.UnixMilli()) / 1000
		}),
	}
}
