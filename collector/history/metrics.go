package history

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct{ hours, shrunk prometheus.Counter }

func newMetrics(r prometheus.Registerer, k *Keeper) *metrics {
	m := &metrics{
		hours: prometheus.NewCounter(prometheus.CounterOpts{Name: "communewatch_rollup_hours_total",
			Help: "Hours of a site that were worked out since the start, each time counted."}),
		shrunk: prometheus.NewCounter(prometheus.CounterOpts{Name: "communewatch_rollup_shrunk_total",
			Help: "Windows that were kept because the rows they rest on are gone from the database, each time counted."}),
	}
	if r == nil {
		return m
	}
	gauge := func(name, help string, value func(Progress) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "communewatch_rollup_" + name, Help: help}, func() float64 { return value(k.Progress()) })
	}
	r.MustRegister(m.hours, m.shrunk,
		gauge("to_timestamp_seconds", "Hours before it were worked out; 0 before the first.", func(p Progress) float64 {
			if p.To.IsZero() {
				return 0
			}
			return float64(p.To.Unix())
		}),
		gauge("pending_hours", "Hours of a site that wait to be worked out anew because rows came late.", func(p Progress) float64 { return float64(p.Pending) }),
		gauge("failing", "Whether the last attempt to work rollups out failed.", func(p Progress) float64 {
			if p.Failed != "" {
				return 1
			}
			return 0
		}))
	return m
}
