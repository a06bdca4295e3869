package ingest

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	lines    prometheus.Counter
	values   prometheus.Counter
	rejected *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	clocks   prometheus.Counter
	seconds  prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer, in *Ingest) *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "communewatch", Subsystem: "ingest", Name: name, Help: help}
	}
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "communewatch", Subsystem: "ingest", Name: name, Help: help}, read)
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(counter("requests_total", "Requests answered, by status."), []string{"status"}),
		lines:    prometheus.NewCounter(counter("lines_total", "Lines received.")),
		values:   prometheus.NewCounter(counter("values_total", "Field values stored.")),
		rejected: prometheus.NewCounterVec(counter("rejected_lines_total", "Lines refused, by class of reason."), []string{"reason"}),
		bytes:    prometheus.NewCounterVec(counter("body_bytes_total", "Bytes of bodies, as sent and inflated."), []string{"form"}),
		clocks:   prometheus.NewCounter(counter("clock_shifts_total", "Agents' clocks found off and corrected.")),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "communewatch", Subsystem: "ingest",
			Name: "request_duration_seconds", Help: "Time from a write request's header to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}),
	}
	if registerer == nil {
		return m
	}
	registerer.MustRegister(m.requests, m.lines, m.values, m.rejected, m.bytes, m.clocks, m.seconds,
		gauge("requests_in_flight", "Write requests under way.", func() float64 { return float64(in.doors.inside()) }),
		gauge("body_budget_bytes", "Memory left for bodies.", func() float64 { return float64(in.budget.left.Load()) }),
		gauge("known_series", "Series whose checks are remembered.", func() float64 { return float64(in.series.Len()) }),
		gauge("undurable_commits", "Acknowledgements not known to be on disk.", func() float64 { return float64(in.tenure.Load().undurable()) }),
		seriesCounts{prometheus.NewDesc("communewatch_ingest_agent_series", "Field series that the agents of a site have brought since start.", []string{"site"}, nil), in.agents.counts},
		seriesCounts{prometheus.NewDesc("communewatch_ingest_writer_series", "Field series that a writer token has brought since start.", []string{"token"}, nil), in.writers.Series},
	)
	return m
}

// seriesCounts exports the number of series of each site or token.
type seriesCounts struct {
	desc *prometheus.Desc
	read func() map[string]int
}

func (s seriesCounts) Describe(ch chan<- *prometheus.Desc) { ch <- s.desc }

func (s seriesCounts) Collect(ch chan<- prometheus.Metric) {
	for name, n := range s.read() {
		ch <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, float64(n), name)
	}
}
