package transfer

import (
	"maps"

	"communewatch/collector"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/setup"
)

// SetupOptions are what settings want of an InfluxDB: how long its databases keep what, and what the collector puts into
// them.
func SetupOptions(cfg collector.Config) setup.Options {
	keep := maps.Clone(cfg.Rollups.Keep())
	keep[rollup.Raw] = cfg.Retention
	return setup.Options{Config: cfg.Influx, Keep: keep, Ours: []string{reports.Measurement}}
}
