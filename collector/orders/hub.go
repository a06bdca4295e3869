// Package orders is the collector's end of the order channel (probes/orders): it keeps the connections that agents
// open, tells orders down them, and takes the reports that come back. What orders are for, it does not know.
//
// An order goes to the agent that its certificate or token proves to be of the site. A report counts only if its order was told to
// that very agent of that very site, and each step of an order counts once, so that repeats and replays do no harm.
//
// Telling never waits: an order is put into its agent's short queue, or the teller is told that it can't be. An agent
// whose connection broke gets what it has not reported on again when it is back, as long as that is still of use.
package orders

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/probes"
	"communewatch/probes/orders"
)

// Identity is who sends a request.
type Identity struct {
	Site  string
	Agent string // "": any agent of the site
}

// Errors by which Who refuses a request for good; they may be wrapped. Any other is trouble of its own.
var (
	ErrUnauthorized = errors.New("no agent that may report") // unknown or revoked
	ErrForbidden    = errors.New("not an agent's")
)

// Options of a Hub. Who is required.
type Options struct {
	// Who says which agent sends a request. It is to be quick: it is asked again for each open channel once a minute.
	Who func(r *http.Request) (Identity, error)

	Log     *slog.Logger          // nil: slog.Default
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // what answers are stamped by; nil: time.Now

	Heartbeat      time.Duration // between signs of life; 0: 10 s. Agents give up after 25 s without
	MaxStreams     int           // open at once; 0: 20,000
	MaxSiteStreams int           // the same of one site: 0: 16
}

const (
	maxStreams     = 20_000
	maxSiteStreams = 16 // a commune office has one agent, maybe two

	heartbeat = 10 * time.Second
	// recheck is after how many heartbeats it is asked again who an agent is: what is revoked elsewhere ends here too.
	recheck = 6
	// writeWait is how long one write may take. Writes end up in the system's buffer, so this says only that the buffer
	// is full; silence of the other side is noticed by the system, see watchPeer.
	writeWait = 10 * time.Second
	// queueLength is how many orders may wait for one agent: a rehearsal has one call and maybe a stop at a time.
	queueLength = 16

	// A told order is remembered for keep: agents report until it is five minutes old, which a call begins to be when
	// it is told. maxTold bounds them.
	keep    = 15 * time.Minute
	maxTold = 100_000
)

// Errors of Tell.
var (
	// ErrNotConnected says that no agent of the site has its channel open.
	ErrNotConnected = errors.New("not connected: no agent of the site keeps an order channel open")
	// ErrBusy says that the agent does not take its orders as fast as they come.
	ErrBusy = errors.New("the agent has too many orders waiting")
	// ErrFull says that too many orders are under way altogether.
	ErrFull = errors.New("too many orders are under way")
)

// Check is a check that an agent can be told to call with.
type Check struct {
	Name string
	Path probes.Path
}

// Agent is an agent whose channel is open.
type Agent struct {
	Site, Agent string
	Since       time.Time
	Checks      []Check // that it can be told to call with
}

// Hub keeps the agents' channels. Make it with New.
type Hub struct {
	o       Options
	log     *slog.Logger
	metrics *metrics
	reports gate
	done    chan struct{}  // closed when Run ends
	open    sync.WaitGroup // streams

	mu       sync.Mutex // guards the fields below
	ended    bool
	sites    map[string]map[string]*stream // site -> agent
	streams  int
	told     map[agentKey]map[string]*told // by the order's id
	tellings int                           // altogether
	hear     []func(site, agent string, r orders.Report)
}

// New returns a Hub. Its Handler serves at once; Run ends the streams.
func New(o Options) *Hub {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = heartbeat
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = maxStreams
	}
	if o.MaxSiteStreams <= 0 {
		o.MaxSiteStreams = maxSiteStreams
	}
	h := &Hub{o: o, log: o.Log, done: make(chan struct{}), sites: map[string]map[string]*stream{}, told: map[agentKey]map[string]*told{}}
	h.reports.inside = map[string]int{}
	h.metrics = newMetrics(o.Metrics, h)
	return h
}

// Run forgets old orders until ctx ends; then it ends every stream and waits for it. It is to be called once.
func (h *Hub) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.mu.Lock()
			h.forget(time.Now())
			h.mu.Unlock()
			continue
		case <-ctx.Done():
		}
		h.mu.Lock()
		h.ended = true
		close(h.done)
		for _, site := range h.sites {
			for _, s := range site {
				s.hurry()
			}
		}
		h.mu.Unlock()
		h.open.Wait()
		return nil
	}
}

// Connected lists the agents whose channels are open, by site and name.
func (h *Hub) Connected() []Agent {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Agent, 0, h.streams)
	for _, site := range h.sites {
		for _, s := range site {
			out = append(out, s.agent)
		}
	}
	slices.SortFunc(out, func(a, b Agent) int {
		return strings.Compare(a.Site+"\x00"+a.Agent, b.Site+"\x00"+b.Agent)
	})
	return out
}

// Drop ends the channel of an agent that was thrown out, and forgets what it was told: an agent that gets its name
// another day is another one.
func (h *Hub) Drop(site, agent string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := agentKey{site, agent}
	h.tellings -= len(h.told[key])
	delete(h.told, key)
	s := h.sites[site][agent]
	if s == nil {
		return
	}
	h.remove(s)
	close(s.replaced)
	s.hurry()
}

// OnReport adds a function that is told of every report that counts: of an order told by this Hub, in a phase that has
// not been reported yet. It is to be quick, and may be called by several goroutines at once.
func (h *Hub) OnReport(f func(site, agent string, r orders.Report)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hear = append(h.hear, f)
}

// Tell tells an order to a site. A call goes to one agent: of those that have the check it names (or any check to call
// with, if it names none) the first by name, so that the steps of a rehearsal are made by the same one. A site whose
// agents can't make the call has it refused by the first of them, with the reason. All other orders go to all agents
// of the site. An error means that nobody was told.
func (h *Hub) Tell(site string, o orders.Order) error {
	line, err := prepare(&o)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	agents := h.sites[site]
	if h.ended || len(agents) == 0 {
		h.metrics.told.WithLabelValues("not_connected").Inc()
		return ErrNotConnected
	}
	names := make([]string, 0, len(agents))
	for name := range agents {
		names = append(names, name)
	}
	slices.Sort(names)
	if o.Kind == orders.KindCall {
		i := slices.IndexFunc(names, func(name string) bool { return agents[name].agent.can(o.Call.Check) })
		names = []string{names[max(i, 0)]}
	}
	var errs []error
	for _, name := range names {
		if err := h.tell(agents[name], &o, line); err != nil {
			errs = append(errs, fmt.Errorf("agent %s: %w", name, err))
		}
	}
	if len(errs) == len(names) {
		return errors.Join(errs...)
	}
	return nil
}

// lookWorth is how long it is worth telling an agent that lost its line to look for something: what it looks for by
// itself, it looks for every ten minutes.
const lookWorth = 10 * time.Minute

// Look has the agents of a site look for something at the collector, such as orders.LookWork; agent, if not empty, is the
// one that is told. An error means that nobody was.
func (h *Hub) Look(site, agent, what string) error {
	o := orders.Order{ID: "look-" + what + "-" + rand.Text(), Kind: orders.KindLook, Expires: orders.Seconds(lookWorth), Look: what}
	if agent != "" {
		return h.TellAgent(site, agent, o)
	}
	return h.Tell(site, o)
}

// TellAgent tells an order to one agent of a site.
func (h *Hub) TellAgent(site, agent string, o orders.Order) error {
	line, err := prepare(&o)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sites[site][agent]
	if h.ended || s == nil {
		h.metrics.told.WithLabelValues("not_connected").Inc()
		return ErrNotConnected
	}
	return h.tell(s, &o, line)
}

func prepare(o *orders.Order) (line []byte, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return orders.AppendLine(nil, o)
}

// can reports whether the agent has the check; any will do for "".
func (a *Agent) can(check string) bool {
	return slices.ContainsFunc(a.Checks, func(c Check) bool { return check == "" || c.Name == check })
}

// agentKey names an agent.
type agentKey struct{ site, agent string }

// told is an order that an agent was told.
type told struct {
	order orders.Order
	at    time.Time
	rank  int // of the last report; 0 for none
}

// tell puts an order into an agent's queue and remembers it. The caller holds h.mu.
func (h *Hub) tell(s *stream, o *orders.Order, line []byte) error {
	key, now := agentKey{s.agent.Site, s.agent.Agent}, time.Now()
	if h.tellings >= maxTold {
		if h.forget(now); h.tellings >= maxTold {
			h.metrics.told.WithLabelValues("full").Inc()
			return ErrFull
		}
	}
	select {
	case s.queue <- line:
	default:
		h.metrics.told.WithLabelValues("busy").Inc()
		return ErrBusy
	}
	if h.told[key] == nil {
		h.told[key] = map[string]*told{}
	}
	if h.told[key][o.ID] == nil {
		h.told[key][o.ID] = &told{order: *o, at: now}
		h.tellings++
	}
	h.metrics.told.WithLabelValues("told").Inc()
	return nil
}

// forget drops orders that nobody reports on any more. The caller holds h.mu.
func (h *Hub) forget(now time.Time) {
	for key, list := range h.told {
		for id, t := range list {
			if now.Sub(t.at) > keep {
				delete(list, id)
				h.tellings--
			}
		}
		if len(list) == 0 {
			delete(h.told, key)
		}
	}
}

// unreported returns what an agent was told and has said nothing of, as it is to be told now: what is too late is left
// out, and the times that count from receiving are shortened. The caller holds h.mu.
func (h *Hub) unreported(site, agent string, now time.Time) (lines [][]byte) {
	var again []*told
	for _, t := range h.told[agentKey{site, agent}] {
		if t.rank == 0 {
			again = append(again, t)
		}
	}
	slices.SortFunc(again, func(a, b *told) int { return a.at.Compare(b.at) })
	for _, t := range again {
		o, age := t.order, orders.Seconds(now.Sub(t.at))
		if o.Expires -= age; o.Expires <= 0 {
			continue
		}
		switch o.Kind {
		case orders.KindCall:
			call := *o.Call
			if call.StartIn -= age; call.StartIn < 0 {
				continue // the others have begun without it, and would be measured differently
			}
			o.Call = &call
		case orders.KindHold:
			hold := *o.Hold
			hold.For = max(0, hold.For-age)
			o.Hold = &hold
		}
		if line, err := prepare(&o); err == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// count notes a report and returns whom to tell of it; known is false for an order that the agent was never told.
func (h *Hub) count(site, agent string, r *orders.Report) (hear []func(string, string, orders.Report), known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.told[agentKey{site, agent}][r.Order]
	if t == nil {
		return nil, false
	}
	if r.Rank() <= t.rank {
		return nil, true // came again, or late
	}
	t.rank = r.Rank()
	return h.hear, true
}
