package conduct

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector/orders"
	"communewatch/collector/rehearsal"
	"communewatch/inventory"
	"communewatch/probes"
	wire "communewatch/probes/orders"
	"communewatch/probes/webrtc/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Store that is not on disk; what is put into it is what comes out.
type memory struct {
	mu      sync.Mutex
	recs    []rehearsal.Record
	results map[rehearsal.ID]map[place]rehearsal.Result
	holds   []rehearsal.Hold
	writes  int
	broken  error
}

func (m *memory) Create(_ context.Context, r *rehearsal.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	r.ID = rehearsal.ID(len(m.recs) + 1)
	m.recs = append(m.recs, *r)
	return nil
}

func (m *memory) Update(_ context.Context, r *rehearsal.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	m.recs[r.ID-1] = *r
	return nil
}

func (m *memory) PutResults(_ context.Context, id rehearsal.ID, results ...rehearsal.Result) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if m.results == nil {
		m.results = map[rehearsal.ID]map[place]rehearsal.Result{}
	}
	if m.results[id] == nil {
		m.results[id] = map[place]rehearsal.Result{}
	}
	for _, r := range results {
		m.results[id][place{r.Step, r.Site}] = r
		m.writes++
	}
	return nil
}

func (m *memory) List(_ context.Context, states ...rehearsal.State) ([]rehearsal.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []rehearsal.Record
	for i := len(m.recs) - 1; i >= 0; i-- {
		if len(states) == 0 || slices.Contains(states, m.recs[i].State) {
			r := m.recs[i]
			r.Evidence = nil
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) Get(_ context.Context, id rehearsal.ID) (rehearsal.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id < 1 || int(id) > len(m.recs) {
		return rehearsal.Record{}, rehearsal.ErrUnknown
	}
	r := m.recs[id-1]
	r.Results = nil
	for _, res := range m.results[id] {
		r.Results = append(r.Results, res)
	}
	return r, nil
}

func (m *memory) SetHold(_ context.Context, h rehearsal.Hold) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holds = append(m.holds, h)
	return nil
}

func (m *memory) Held(_ context.Context, at time.Time) (rehearsal.Hold, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.holds); n > 0 && m.holds[n-1].Until.After(at) {
		return m.holds[n-1], true, nil
	}
	return rehearsal.Hold{}, false, nil
}

// put returns what was kept of a step.
func (m *memory) kept(id rehearsal.ID, step int) map[rehearsal.Progress]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[rehearsal.Progress]int{}
	for p, r := range m.results[id] {
		if p.step == step {
			out[r.Progress]++
		}
	}
	return out
}

// province is the order channel with an agent at each site that does as its behaviour says.
type province struct {
	report func(site, agent string, r wire.Report) // to the service

	mu      sync.Mutex
	since   map[string]time.Time // connected sites
	told    []telling
	stops   map[string]chan struct{} // by site and order: closed when the agent was told to stop
	running int
	most    int // calls at once
	hurt    func(site string, calls int) (up, down float64)
	odd     map[string]func(site string, o wire.Order) // sites that do otherwise
	agents  sync.WaitGroup
}

type telling struct {
	site string
	at   time.Time
	wire.Order
}

func newProvince(n int) *province {
	p := &province{since: map[string]time.Time{}, stops: map[string]chan struct{}{}, odd: map[string]func(string, wire.Order){}}
	for i := range n {
		p.since[siteID(i)] = time.Now()
	}
	p.hurt = func(string, int) (float64, float64) { return 0, 0 }
	return p
}

func siteID(i int) string { return fmt.Sprintf("s%03d", i) }

// Sites are 136 sites in eight districts.
func (p *province) Sites(context.Context, time.Time) ([]inventory.Site, error) {
	var out []inventory.Site
	for i := range 136 {
		out = append(out, inventory.Site{ID: siteID(i), Name: "Xã", Parent: fmt.Sprintf("huyện %d", i%8)})
	}
	return out, nil
}

func (p *province) Connected() []orders.Agent {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []orders.Agent
	for site, since := range p.since {
		out = append(out, orders.Agent{Site: site, Agent: "pc", Since: since})
	}
	return out
}

func (p *province) TellAgent(site, _ string, o wire.Order) error { return p.Tell(site, o) }

func (p *province) Tell(site string, o wire.Order) error {
	if err := o.Validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.since[site]; !there {
		return fmt.Errorf("%s: %w", site, orders.ErrNotConnected)
	}
	p.told = append(p.told, telling{site, time.Now(), o})
	switch {
	case o.Kind == wire.KindStop:
		if stop := p.stops[site+" "+o.Stop]; stop != nil {
			close(stop)
			delete(p.stops, site+" "+o.Stop)
		}
	case o.Kind == wire.KindCall && p.odd[site] != nil:
		p.agents.Go(func() { p.odd[site](site, o) })
	case o.Kind == wire.KindCall:
		stop := make(chan struct{})
		p.stops[site+" "+o.ID] = stop
		p.agents.Go(func() { p.call(site, o, stop) })
	}
	return nil
}

// call is what an agent does with an order.
func (p *province) call(site string, o wire.Order, stop chan struct{}) {
	say := func(r wire.Report) {
		r.Order, r.Check = o.ID, "conference"
		p.report(site, "pc", r)
	}
	say(wire.Report{Phase: wire.PhaseAccepted})
	time.Sleep(time.Duration(o.Call.StartIn))
	say(wire.Report{Phase: wire.PhaseStarted})
	p.mu.Lock()
	p.running++
	p.most = max(p.most, p.running)
	p.mu.Unlock()
	outcome := "ok"
	select {
	case <-time.After(time.Duration(o.Call.Duration)):
	case <-stop:
		outcome = "canceled"
	}
	p.mu.Lock()
	calls := p.running
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running--
		p.mu.Unlock()
	}()
	up, down := p.hurt(site, calls)
	time.Sleep(500 * time.Millisecond) // the far end's word on loss
	r := wire.Report{Phase: wire.PhaseDone, Outcome: outcome, Path: probes.PathDedicated, Proof: probes.ProofProved}
	if outcome == "ok" {
		r.Result = measured(up, down)
	}
	say(r)
	say(r) // and again, as its first answer was lost
}

func measured(up, down float64) *report.Call {
	c := &report.Call{Service: "reflector", LimitedBy: "none", RTT: &report.Spread{Median: 0.02}}
	for d, loss := range map[probes.Direction]float64{probes.DirectionUp: up, probes.DirectionDown: down} {
		lost := int(loss * 2000)
		c.Flows = append(c.Flows, report.Flow{Direction: d, Media: probes.MediaVideo, Sent: 2000, Received: 2000 - lost, Lost: lost, LossRatio: loss})
	}
	return c
}

// count returns how many calls are under way, and how many were at once.
func (p *province) count() (running, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running, p.most
}

// calls returns the orders of a kind to a site, or of all ("").
func (p *province) calls(kind wire.Kind, site string) []telling {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []telling
	for _, t := range p.told {
		if t.Kind == kind && (site == "" || t.site == site) {
			out = append(out, t)
		}
	}
	return out
}
