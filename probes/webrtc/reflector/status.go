package reflector

import (
	"math"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/probes/webrtc/reflector/load"
	"communewatch/probes/webrtc/report"
)

// Status is how a reflector fares now.
type Status struct {
	Accepting bool   `json:"accepting"`        // a further call would be taken
	Reason    string `json:"reason,omitempty"` // why not

	Sessions    int `json:"sessions"`     // calls
	SettingUp   int `json:"setting_up"`   // of them, not yet connected
	MaxSessions int `json:"max_sessions"` // the most there may be

	CPURatio    float64        `json:"cpu_ratio"`           // of the processors the process may use, over the last second
	Residence   *report.Spread `json:"residence,omitempty"` // how long packets stayed, over the last 5 s; absent without any
	ReceivedBPS float64        `json:"received_bps"`        // media, over the last second
	SentBPS     float64        `json:"sent_bps"`
	MaxSentBPS  float64        `json:"max_sent_bps"`        // above it no further call is taken
	Drops       *uint64        `json:"udp_drops,omitempty"` // packets that the kernel dropped since the start because they were not read in time; absent where it does not tell
	Packets     map[string]int `json:"packets"`             // since the start, as in the metric packets_total
	Uptime      float64        `json:"uptime_seconds"`
}

// Status reads how the reflector fares.
func (r *Reflector) Status() Status {
	st := Status{
		Accepting: true, MaxSessions: r.limits.Sessions, CPURatio: r.cpuRatio(), Residence: r.residence.Sum().Spread(),
		ReceivedBPS: float64(r.upBPS.Load()), SentBPS: float64(r.downBPS.Load()), MaxSentBPS: float64(r.limits.MBPS) * 1e6,
		Packets: map[string]int{}, Uptime: r.monotonic().Seconds(),
	}
	r.mu.Lock()
	st.Sessions, st.SettingUp = r.live, r.setting
	if no := r.overloaded(); no != nil {
		st.Accepting, st.Reason = false, no.text
	}
	r.mu.Unlock()
	for name, n := range r.total.packets() {
		st.Packets[name] = int(n)
	}
	if n, ok := r.drops(); ok {
		st.Drops = &n
	}
	return st
}

// packets are the counts of packets by what became of them.
func (t *totals) packets() map[string]uint64 {
	return map[string]uint64{
		"echoed": t.echoed.Load(), "duplicate": t.duplicates.Load(), "stale": t.stale.Load(), "foreign": t.foreign.Load(),
		"not_sent": t.unsent.Load(),
	}
}

func (r *Reflector) cpuRatio() float64    { return math.Float64frombits(r.cpu.Load()) }
func (r *Reflector) setCPU(ratio float64) { r.cpu.Store(math.Float64bits(ratio)) }

// meter measures from one tick to the next.
type meter struct {
	at       time.Time
	used     time.Duration
	up, down uint64
}

// shortest is the time below which a ratio would be noise.
const shortest = 200 * time.Millisecond

func (m *meter) read(r *Reflector, now time.Time) {
	passed := now.Sub(m.at)
	if passed < shortest && !m.at.IsZero() && passed >= 0 {
		return
	}
	used, known := load.ProcessorTime()
	up, down := r.total.upBytes.Load(), r.total.downBytes.Load()
	if !m.at.IsZero() && passed > 0 {
		if known {
			ratio := (used - m.used).Seconds() / passed.Seconds() / float64(runtime.GOMAXPROCS(0))
			r.setCPU(min(max(ratio, 0), 1))
		}
		r.upBPS.Store(uint64(8 * float64(up-m.up) / passed.Seconds()))
		r.downBPS.Store(uint64(8 * float64(down-m.down) / passed.Seconds()))
	}
	m.at, m.used, m.up, m.down = now, used, up, down
}

type metrics struct {
	refusals *prometheus.CounterVec
	ended    *prometheus.CounterVec
}

const namespace = "communewatch_reflector_"

func newMetrics(to prometheus.Registerer, r *Reflector) *metrics {
	m := &metrics{
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + "refused_total", Help: "Requests refused, by reason."}, []string{"reason"}),
		ended:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + "sessions_ended_total", Help: "Calls that have ended, by how."}, []string{"how"}),
	}
	if to == nil {
		return m
	}
	to.MustRegister(m.refusals, m.ended, &gauges{
		r:         r,
		sessions:  prometheus.NewDesc(namespace+"sessions", "Calls by state.", []string{"state"}, nil),
		most:      prometheus.NewDesc(namespace+"sessions_max", "Calls that may be at once.", nil, nil),
		cpu:       prometheus.NewDesc(namespace+"cpu_ratio", "Use of the processors that the process may use, over the last second.", nil, nil),
		residence: prometheus.NewDesc(namespace+"residence_seconds", "How long packets stayed, over the last 5 seconds: quantiles, 1 is the largest.", []string{"quantile"}, nil),
		drops:     prometheus.NewDesc(namespace+"udp_drops_total", "Packets that the kernel dropped because they were not read in time.", nil, nil),
		packets:   prometheus.NewDesc(namespace+"packets_total", "Media packets received, by what became of them.", []string{"became"}, nil),
		bytes:     prometheus.NewDesc(namespace+"media_bytes_total", "Payload of media packets.", []string{"direction"}, nil),
	})
	return m
}

func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

// gauges are the numbers that are read when they are asked for.
type gauges struct {
	r                                                     *Reflector
	sessions, most, cpu, residence, drops, packets, bytes *prometheus.Desc
}

// Describe says nothing, so that the registry checks each scrape instead.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect reads the numbers.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	st := g.r.Status()
	gauge(g.sessions, float64(st.SettingUp), "setting_up")
	gauge(g.sessions, float64(st.Sessions-st.SettingUp), "connected")
	gauge(g.most, float64(st.MaxSessions))
	gauge(g.cpu, st.CPURatio)
	if s := st.Residence; s != nil {
		gauge(g.residence, s.Median, "0.5")
		gauge(g.residence, s.P99, "0.99")
		gauge(g.residence, s.Max, "1")
	}
	if st.Drops != nil {
		counter(g.drops, *st.Drops)
	}
	for became, n := range g.r.total.packets() {
		counter(g.packets, n, became)
	}
	counter(g.bytes, g.r.total.upBytes.Load(), "received")
	counter(g.bytes, g.r.total.downBytes.Load(), "sent")
}
