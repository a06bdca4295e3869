package embedded

import (
	"errors"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// metrics stands between the engine and the registry of the program: it can take all of the engine's metrics back
// when the engine is closed, and it listens to one of them.
type metrics struct {
	next prometheus.Registerer // nil: nowhere

	mu         sync.Mutex // guards the fields below
	registered []prometheus.Collector
	lateFailed prometheus.Collector
	lateCount  float64
}

// The engine writes the log of late rows (the WBL) as best it can: if that fails, Commit returns nil all the same,
// and the only trace beside a line in the log is this counter.
const lateFailedName = `"prometheus_tsdb_out_of_order_wbl_writes_failed_total"`

func newMetrics(next prometheus.Registerer) *metrics { return &metrics{next: next} }

// Register implements prometheus.Registerer.
func (m *metrics) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() { defer close(descs); c.Describe(descs) }()
	late := false
	for d := range descs {
		late = late || strings.Contains(d.String(), lateFailedName)
	}
	if m.next != nil {
		if err := m.next.Register(c); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.registered = append(m.registered, c)
	if late {
		m.lateFailed = c
	}
	return nil
}

// MustRegister implements prometheus.Registerer.
func (m *metrics) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := m.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (m *metrics) Unregister(c prometheus.Collector) bool {
	return m.next != nil && m.next.Unregister(c)
}

func (m *metrics) unregister() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.registered {
		m.Unregister(c)
	}
	m.registered = nil
}

var errLateLog = errors.New("the log of late rows could not be written")

// lateLogFailed returns an error if the log of late rows could not be written since it was asked last.
func (m *metrics) lateLogFailed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lateFailed == nil {
		return nil
	}
	var value dto.Metric
	values := make(chan prometheus.Metric, 1) // it is one plain counter
	m.lateFailed.Collect(values)
	if err := (<-values).Write(&value); err != nil {
		return err
	}
	if n := value.GetCounter().GetValue(); n > m.lateCount {
		m.lateCount = n
		return errLateLog
	}
	return nil
}
