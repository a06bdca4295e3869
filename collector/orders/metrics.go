package orders

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	told    *prometheus.CounterVec
	reports *prometheus.CounterVec
	refused *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer, h *Hub) *metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "communewatch", Subsystem: "orders", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		told:    counter("told_total", "Orders told to agents, or why not.", "result"),
		reports: counter("reports_total", "Reports of agents on their orders, by phase; repeats included.", "phase"),
		refused: counter("refused_requests_total", "Requests on the order channel refused, by status.", "status"),
	}
	if registerer == nil {
		return m
	}
	registerer.MustRegister(m.told, m.reports, m.refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "communewatch", Subsystem: "orders", Name: "connected",
			Help: "Agents whose order channel is open."}, func() float64 {
			h.mu.Lock()
			defer h.mu.Unlock()
			return float64(h.streams)
		}))
	return m
}
