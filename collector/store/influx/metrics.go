package influx

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what is counted of a store.
type metrics struct {
	next     prometheus.Registerer // nil: nowhere
	requests *prometheus.CounterVec
	rows     prometheus.Counter
	skipped  prometheus.Counter
}

func newMetrics(next prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		next: next,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "communewatch_influx_requests_total",
			Help: "Requests to InfluxDB, by kind (write, query, ping) and what came of them."}, []string{"kind", "outcome"}),
		rows: prometheus.NewCounter(prometheus.CounterOpts{Name: "communewatch_influx_rows_total",
			Help: "Rows and windows that InfluxDB said it stored."}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{Name: "communewatch_influx_skipped_total",
			Help: "Values in answers of InfluxDB that were left out because no collector wrote them so."}),
	}
	if next == nil {
		return m, nil
	}
	if err := errors.Join(next.Register(m.requests), next.Register(m.rows), next.Register(m.skipped)); err != nil {
		m.unregister()
		return nil, err
	}
	return m, nil
}

func (m *metrics) request(kind, outcome string) { m.requests.WithLabelValues(kind, outcome).Inc() }

func (m *metrics) unregister() {
	if m.next != nil {
		m.next.Unregister(m.requests)
		m.next.Unregister(m.rows)
		m.next.Unregister(m.skipped)
	}
}
