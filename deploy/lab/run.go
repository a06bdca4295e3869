package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/agent"
	"communewatch/collector"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/gear"
	"communewatch/deploy/lab/scenario"
)

// Lab is a running province. Make it with Start, end it with Stop.
type Lab struct {
	province *Province
	log      *slog.Logger
	index    map[string]int // site id -> number

	gear     *gear.Gear
	database *database.Database // nil: it does not run in this process, or there is none

	mu        sync.Mutex // guards the fields below
	agents    map[string]*part
	collector *part
	reviewers *part
	timers    []*time.Timer
	stopped   bool

	failed chan error // a part that ended by itself; the first one is kept
}

// part is something that can be stopped and started again.
type part struct {
	run    func(ctx context.Context) error
	cancel context.CancelFunc // nil while stopped
	done   chan struct{}
	skew   atomic.Int64 // agents only: nanoseconds that its clock is wrong by
}

// Parts says what of a province this process runs.
type Parts struct {
	Gear, Collector bool     // with the equipment, the InfluxDB of a lab that has one
	Agents          []string // site ids; LocalSite too
	Reviewers       bool     // people who write down what they know of devices; needs the collector's files
}

// AllAgents lists every agent of the province, that of this machine included.
func (p *Province) AllAgents() []string {
	ids := p.Sites()
	if p.local {
		ids = append(ids, LocalSite)
	}
	return ids
}

// startTimeout bounds how long a collector may take to open its doors.
const startTimeout = time.Minute

// takingTimeout bounds how long it may then take to read the recent past.
const takingTimeout = 10 * time.Second

// Start brings up parts of a province: equipment and database first, then the collector, then the agents.
func Start(ctx context.Context, p *Province, parts Parts) (_ *Lab, err error) {
	l := &Lab{province: p, log: p.cfg.Log, index: map[string]int{}, agents: map[string]*part{}, failed: make(chan error, 1)}
	for i, id := range p.Sites() {
		l.index[id] = i
	}
	defer func() {
		if err != nil {
			l.Stop()
		}
	}()
	if parts.Gear {
		if l.gear, err = gear.Start(p.cfg.Block, len(p.sites)); err != nil {
			return nil, fmt.Errorf("equipment: %w", err)
		}
		if err = l.gear.AddDevices(p.cfg.Block, p.devices); err != nil {
			return nil, fmt.Errorf("devices: %w", err)
		}
		if p.cfg.Calls {
			if err = l.gear.AddLines(p.cfg.Block, len(p.sites), "http://"+p.Reachable()); err != nil {
				return nil, fmt.Errorf("lines for conference calls: %w", err)
			}
		}
	}
	if parts.Gear && p.database != nil {
		if err = l.startDatabase(ctx); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
	}
	if parts.Collector {
		ready, taking := make(chan string, 1), make(chan struct{}, 1)
		l.collector = &part{run: func(ctx context.Context) error { return l.runCollector(ctx, ready, taking) }}
		l.start(l.collector, "collector")
		select {
		case <-ready:
		case err := <-l.failed:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(startTimeout):
			return nil, fmt.Errorf("the collector did not start within %v", startTimeout)
		}
		// Agents begin when their results are taken, so that what is judged first is what was measured first. A collector
		// whose database is away takes none for as long.
		select {
		case <-taking:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(takingTimeout):
		}
	}
	for _, site := range parts.Agents {
		a := &part{}
		a.run = func(ctx context.Context) error { return l.runAgent(ctx, site, a) }
		l.mu.Lock()
		l.agents[site] = a
		l.mu.Unlock()
		l.start(a, "agent of "+site)
	}
	if parts.Reviewers && len(p.devices) > 0 {
		l.reviewers = &part{run: func(ctx context.Context) error {
			if err := l.review(ctx); err != nil {
				l.log.Error("nobody writes down what is known of devices", "error", err)
			}
			<-ctx.Done() // when all is said they have nothing more to do
			return nil
		}}
		l.start(l.reviewers, "reviewers")
	}
	return l, nil
}

func (l *Lab) startDatabase(ctx context.Context) error {
	cfg, err := l.province.collectorConfig()
	if err != nil {
		return err
	}
	l.database = l.province.database
	return l.database.Start(ctx, cfg, l.fail)
}

// fail keeps the first failure of a part.
func (l *Lab) fail(err error) {
	select {
	case l.failed <- err:
	default:
	}
}

// Failed reports a part that ended although nobody stopped it.
func (l *Lab) Failed() <-chan error { return l.failed }

// Stop ends everything in the order in which results flow, and waits for it.
func (l *Lab) Stop() {
	l.mu.Lock()
	l.stopped = true
	for _, t := range l.timers {
		t.Stop()
	}
	agents := make([]*part, 0, len(l.agents))
	for _, a := range l.agents {
		agents = append(agents, a)
	}
	l.mu.Unlock()
	var wg sync.WaitGroup
	for _, a := range agents {
		wg.Go(func() { l.stop(a) })
	}
	wg.Wait()
	if l.reviewers != nil {
		l.stop(l.reviewers)
	}
	if l.collector != nil {
		l.stop(l.collector)
	}
	if l.database != nil {
		l.database.Stop()
	}
	if l.gear != nil {
		l.gear.Close()
	}
}

func (l *Lab) start(p *part, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.cancel != nil || l.stopped {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	p.cancel, p.done = cancel, done
	go func() {
		defer close(done)
		err := p.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		l.fail(fmt.Errorf("%s: %w", name, err))
	}()
}

func (l *Lab) stop(p *part) {
	l.mu.Lock()
	cancel, done := p.cancel, p.done
	l.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	<-done
	l.mu.Lock()
	p.cancel = nil
	l.mu.Unlock()
}

func (l *Lab) runCollector(ctx context.Context, ready chan<- string, taking chan<- struct{}) error {
	cfg, err := collector.ReadConfig(l.province.collectorFile())
	if err != nil {
		return err
	}
	return collector.New(cfg, collector.Options{Log: l.log.With("part", "collector"), Version: "lab", Ready: func(address string) {
		select {
		case ready <- address:
		default:
		}
	}, Taking: func() {
		select {
		case taking <- struct{}{}:
		default:
		}
	}}).Run(ctx)
}

func (l *Lab) runAgent(ctx context.Context, site string, p *part) (err error) {
	cfg, err := l.province.agentConfig(site)
	if err != nil {
		return err
	}
	// An agent whose ledger can't be written stops, and the part with it: what it measured could not be audited.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	book, err := openLedger(l.province.ledgerFile(site), cancel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.close()) }()
	a, err := agent.New(cfg, agent.Options{
		Log: slog.New(warnings{l.log.With("site", site).Handler()}), Version: "lab", OnTaken: book.taken, Loopback: true,
		Now: func() time.Time { return time.Now().Add(time.Duration(p.skew.Load())) },
	})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// warnings lets only warnings and worse through: 136 agents that tell when they start and stop are noise.
type warnings struct{ slog.Handler }

func (warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Do carries out an order, and plans its undoing if it is for a while.
func (l *Lab) Do(o scenario.Order) error {
	if err := o.Validate(l.province.AllAgents()); err != nil {
		return err
	}
	if err := l.apply(o); err != nil {
		return err
	}
	l.log.Info("fault", "order", o.String())
	if o.For > 0 {
		l.after(o.For, o.Undo())
	}
	return nil
}

func (l *Lab) after(d time.Duration, o scenario.Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	l.timers = append(l.timers, time.AfterFunc(d, func() {
		if err := l.Do(o); err != nil {
			l.log.Error("fault", "order", o.String(), "error", err)
		}
	}))
}

// Play plans every step of a scenario.
func (l *Lab) Play(s scenario.Scenario) {
	for _, st := range s.Steps {
		l.after(st.At, st.Order)
	}
}

func (l *Lab) apply(o scenario.Order) error {
	if o.Do == scenario.DoCollector {
		if l.collector == nil {
			return errors.New("the collector does not run in this process")
		}
		l.set(l.collector, "collector", o.Mode)
		return nil
	}
	if o.Do == scenario.DoDatabase {
		if l.database == nil {
			return errors.New("this lab runs no InfluxDB; give it one with --store influx")
		}
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		return l.database.Set(ctx, o.Mode, o.Delay)
	}
	if o.Do == scenario.DoMedia && o.Hub {
		if l.gear == nil {
			return errors.New("the equipment does not run in this process")
		}
		return l.gear.SetHubLine(o.Direction, o.Way())
	}
	for _, site := range o.Sites {
		l.mu.Lock()
		a := l.agents[site]
		l.mu.Unlock()
		switch o.Do {
		case scenario.DoService:
			i, ok := l.index[site]
			if !ok || l.gear == nil {
				return fmt.Errorf("site %s has no simulated equipment", site)
			}
			if err := l.setService(i, o); err != nil {
				return err
			}
		case scenario.DoMedia:
			i, ok := l.index[site]
			if !ok || l.gear == nil {
				return fmt.Errorf("site %s has no simulated equipment", site)
			}
			if err := l.gear.SetLine(i, o.Direction, o.Way()); err != nil {
				return err
			}
		case scenario.DoDevice:
			i, ok := l.index[site]
			if !ok || l.gear == nil {
				return fmt.Errorf("site %s has no simulated equipment", site)
			}
			if err := l.setDevice(i, o); err != nil {
				return fmt.Errorf("site %s: %w", site, err)
			}
		case scenario.DoAgent:
			if a == nil {
				return fmt.Errorf("the agent of %s does not run in this process", site)
			}
			l.set(a, "agent of "+site, o.Mode)
		case scenario.DoClock:
			if a == nil {
				return fmt.Errorf("the agent of %s does not run in this process", site)
			}
			a.skew.Store(int64(o.Skew))
		}
	}
	return nil
}

func (l *Lab) set(p *part, name, mode string) {
	if mode == "stop" {
		l.stop(p)
		return
	}
	l.start(p, name)
}

func (l *Lab) setService(site int, o scenario.Order) error {
	names := []string{o.Service}
	if o.Service == "all" {
		names = gear.ServiceNames()
	}
	for _, name := range names {
		if err := l.gear.Set(site, name, o.Fault()); err != nil {
			return err
		}
	}
	return nil
}

// setDevice carries out an order for one device of a site, or for all that it has.
func (l *Lab) setDevice(site int, o scenario.Order) error {
	has := l.gear.DeviceNames(site)
	names := []string{o.Device}
	if o.Device == "all" {
		names = has
	} else if !slices.Contains(has, o.Device) {
		return fmt.Errorf("there is no %q; it has %s", o.Device, strings.Join(has, ", "))
	}
	for _, name := range names {
		if err := l.gear.SetDevice(site, name, o.DeviceFault()); err != nil {
			return err
		}
	}
	return nil
}

// Gear is the equipment that runs in this process; nil if none does.
func (l *Lab) Gear() *gear.Gear { return l.gear }

// CollectorDir is the data folder of the lab's collector.
func CollectorDir(dir string) string { return filepath.Join(dir, "collector", "data") }
