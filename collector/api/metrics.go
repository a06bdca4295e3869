package api

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/health"
	"communewatch/collector/registry"
	"communewatch/probes"
)

// gauges are the numbers that are read when they are asked for.
type gauges struct {
	api *API

	mu       sync.Mutex // guards the fields below
	read     time.Time
	accounts []registry.Account

	info, sites, layers, troubled, agents, received, missing, clients                *prometheus.Desc
	storeSeries, storeBytes, storeOldest, storeValues, storeRejected, storeTextsLost *prometheus.Desc
}

// accountsAge is how old the accounts in /metrics may be: reading them all takes a moment with many agents.
const accountsAge = 10 * time.Second

func newGauges(a *API) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("communewatch_"+name, help, labels, nil)
	}
	return &gauges{
		api:            a,
		info:           desc("collector_info", "The running program; always 1.", "version"),
		sites:          desc("sites", "Sites by state.", "state"),
		layers:         desc("site_layers", "Sites by layer and the layer's state.", "layer", "state"),
		troubled:       desc("sites_agent_trouble", "Sites with an agent that cannot measure, or is too busy to measure well."),
		agents:         desc("agents_seen", "Agents that ever delivered a numbered batch."),
		received:       desc("batches_received", "Numbered batches that arrived, each counted once."),
		missing:        desc("batches_missing", "Numbered batches that did not arrive although later ones did."),
		clients:        desc("event_streams", "Open streams of live events."),
		storeSeries:    desc("store_series", "Live series of the store."),
		storeBytes:     desc("store_bytes", "Size of the store on disk."),
		storeOldest:    desc("store_oldest_timestamp_seconds", "Time of the oldest row that may be queried; absent while there is none."),
		storeValues:    desc("store_appended_values_total", "Field values stored since the start."),
		storeRejected:  desc("store_rejected_rows_total", "Rows that the store refused since the start."),
		storeTextsLost: desc("store_texts_lost_total", "Texts not told apart since the start, because there were too many different ones."),
	}
}

// Describe says nothing, so that the registry checks each scrape instead.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect reads the numbers.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge(g.info, 1, g.api.version)
	g.states(ctx, gauge)

	g.mu.Lock()
	if now := g.api.now(); g.read.IsZero() || now.Sub(g.read).Abs() > accountsAge {
		accounts, err := g.api.reg.Accounts(ctx, "")
		if err != nil {
			g.api.log.Warn("metrics: read the accounts", "error", err)
		} else {
			g.accounts, g.read = accounts, now
		}
	}
	accounts := g.accounts
	g.mu.Unlock()
	type agent struct{ site, name string }
	seen := map[agent]bool{}
	var received, missing uint64
	for _, acc := range accounts {
		if acc.Boot == "" {
			continue
		}
		seen[agent{acc.Site, acc.Agent}] = true
		received += acc.Received
		missing += acc.Missing
	}
	gauge(g.agents, float64(len(seen)))
	gauge(g.received, float64(received))
	gauge(g.missing, float64(missing))

	gauge(g.clients, float64(g.api.hub.Clients()))

	st := g.api.store.Stats()
	gauge(g.storeSeries, float64(st.Series))
	gauge(g.storeBytes, float64(st.Bytes))
	if !st.Oldest.IsZero() {
		gauge(g.storeOldest, float64(st.Oldest.UnixMilli())/1000)
	}
	out <- prometheus.MustNewConstMetric(g.storeValues, prometheus.CounterValue, float64(st.Appended))
	out <- prometheus.MustNewConstMetric(g.storeRejected, prometheus.CounterValue, float64(st.Rejected))
	out <- prometheus.MustNewConstMetric(g.storeTextsLost, prometheus.CounterValue, float64(st.TextsLost))
}

// states counts the sites; every state is there, so that a rule may rely on it.
func (g *gauges) states(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) {
	var sites [health.StateDown + 1]int
	var layers [4][health.StateDown + 1]int
	troubled := 0
	l := &g.api.list
	l.mu.Lock()
	if err := g.api.catchUp(ctx); err != nil {
		g.api.log.Warn("metrics: read the sites", "error", err)
	}
	for _, e := range l.order {
		if e.status.Site == "" {
			sites[health.StateNoData]++
		} else {
			sites[e.status.State]++
		}
		for i := range e.status.Layers {
			layers[i][e.status.Layers[i].State]++
		}
		if trouble(&e.status).Code != health.ReasonNone {
			troubled++
		}
	}
	l.mu.Unlock()
	for s := range sites {
		gauge(g.sites, float64(sites[s]), health.State(s).String())
		for i, name := range probes.Layers() {
			gauge(g.layers, float64(layers[i][s]), string(name), health.State(s).String())
		}
	}
	gauge(g.troubled, float64(troubled))
}
