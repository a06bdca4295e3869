// Package status is what a collector says of its own database, and of how far rollups are: the vocabulary that the
// collector fills in and screens, the JSON API and metrics read.
package status

import (
	"communewatch/collector/clock"
	"communewatch/collector/history"
	"communewatch/collector/store"

	"github.com/prometheus/client_golang/prometheus"
)

// Status is the state of the collector's insides at a moment.
type Status struct {
	Store   Store
	Rollups history.Progress
	Clock   *clock.Doubt // why the machine's clock is not believed; nil: it is
}

// Store is the state of the database. Away says that it does not answer; Since, Reason and Fix belong to that.
type Store struct {
	store.Condition
	Engine string // embedded or influx, as the settings say
	// Replayed is false from the start until the recent past was read: no results are taken and states are not known
	// until then, which takes a moment, and longer while the database is away.
	Replayed bool
	Warnings []string // what is not right about a database that answers, each with what to do; empty: nothing
}

// Source is who knows; *collector.Collector does.
type Source interface {
	Status() Status
}

// Metrics say whether the database answers; of says how it is.
func Metrics(of func() store.Condition) []prometheus.Collector {
	gauge := func(name, help string, value func(store.Condition) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "communewatch_store_" + name, Help: help}, func() float64 { return value(of()) })
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
