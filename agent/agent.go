package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"communewatch/agent/orders"
	"communewatch/agent/schedule"
	"communewatch/agent/ship"
	"communewatch/agent/spool"
	"communewatch/probes"
	"communewatch/probes/webrtc"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/wire"
)

// Options of an agent that do not come from its settings file.
type Options struct {
	Log     *slog.Logger // nil for slog.Default
	Version string
	// Now is the wall clock that stamps results; nil for the machine's. It may jump.
	Now func() time.Time
	// OnTaken, if not nil, is told of points once they are on disk, where they survive a kill, and which boot and
	// clock stamped them. It must not keep them, and be quick.
	OnTaken func(boot string, clock int, points []probes.Point)
	// Child is the command that makes one conference call in a process of its own (see webrtc.Serve). Without one
	// calls are made in this process, and a crash of the media library is the agent's.
	Child []string
	// OnCall, if not nil, is told all that is known of each conference call made by schedule.
	OnCall func(check string, c *report.Call)
}

// Agent runs the checks of one config. Make it with New.
type Agent struct {
	cfg     Config
	opts    Options
	log     *slog.Logger
	clock   *Clock
	started time.Time

	runner *schedule.Runner
	checks []*schedule.Check
	sched  *schedule.Schedule
	orders *orders.Client // nil where the settings want none

	open  func(*Agent) (results, sender, error) // openDisk, but for tests
	spool results                               // set by Run, before anything runs
	ship  sender

	refusing atomic.Bool // the last points did not get onto the disk
}

// results is where an agent's results are kept; *spool.Spool.
type results interface {
	Append(clock int, lines []byte) error
	Stats() spool.Stats
	Close() error
}

// sender is what brings results to the collector; *ship.Shipper.
type sender interface {
	Run(ctx context.Context) error
	Stats() ship.Stats
}

// New returns an agent that does nothing until Run. The config must have been validated.
func New(cfg Config, o Options) (*Agent, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	a := &Agent{cfg: cfg, opts: o, log: o.Log, clock: NewClock(o.Now), started: time.Now(), open: openDisk}
	a.runner = &schedule.Runner{Site: cfg.Site, Agent: cfg.Agent, Clock: a.clock, Log: o.Log}
	gate := orders.NewGate(cfg.meetings, o.Now)
	var err error
	if a.checks, err = build(&cfg); err != nil {
		return nil, err
	}
	for _, c := range a.checks {
		if p, ok := c.Probe.(*webrtc.Probe); ok {
			p.RunIn(o.Child)
			if o.OnCall != nil {
				p.OnCall(func(call *report.Call) { o.OnCall(c.Target.Name, call) })
			}
		}
	}
	a.takeOrders(gate)
	jobs := []schedule.Job{{Name: "agent itself", Interval: cfg.SelfInterval, Timeout: selfTimeout, Run: a.reportSelf}}
	for i, c := range a.checks {
		jobs = append(jobs, schedule.Job{
			Name: c.Target.Name, Interval: c.Interval, Timeout: cfg.Checks[i].longest(cfg.binding(c.Target.Path)) + cfg.patience(i),
			Run:    func(ctx context.Context) { a.take(a.runner.Run(ctx, c)) },
			Missed: func() { a.take(a.runner.Missed(c)) },
		})
	}
	a.sched = schedule.New(jobs, schedule.Options{Owner: cfg.Site + "/" + cfg.Agent, Log: o.Log})
	return a, nil
}

// build makes the checks of a config, ready to run.
func build(cfg *Config) ([]*schedule.Check, error) {
	prover := newProver()
	var checks []*schedule.Check
	for i := range cfg.Checks {
		c := &cfg.Checks[i]
		if c.options.open == nil {
			return nil, errUnvalidated
		}
		b := cfg.binding(c.Path)
		probe, err := c.options.open(c.target(), b.Binding)
		if err != nil {
			return nil, fmt.Errorf("check %q: %w", c.Name, err)
		}
		check := &schedule.Check{
			Target: c.target(), Interval: c.Interval, Timeout: c.options.bound + grace,
			Probe: probe, Bound: b.Proof(), Ready: b.Check,
		}
		if hosts := c.options.hosts(c.Address); b.hop.TTL > 0 && len(hosts) > 0 {
			check.Prove = func(ctx context.Context) (probes.Proof, error) { return prover.proveAll(ctx, b, hosts) }
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// Run runs the agent until ctx ends or something it can't do without fails. It stops in the order in which results
// flow: first the checks, then the sender, which seals what is gathered and tries once more to send it, then the spool.
func (a *Agent) Run(ctx context.Context) (err error) {
	a.spool, a.ship, err = a.open(a)
	if err != nil {
		return err
	}
	a.log.Info("agent started", "site", a.cfg.Site, "agent", a.cfg.Agent, "version", a.opts.Version, "boot", a.clock.Boot(), "checks", len(a.checks))

	shipCtx, stopShip := context.WithCancel(context.WithoutCancel(ctx))
	defer stopShip()
	shipped := make(chan error, 1)
	go func() { shipped <- a.ship.Run(shipCtx) }()

	workCtx, stopWork := context.WithCancel(ctx)
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- a.work(workCtx) }()

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-shipped:
		if failed == nil {
			failed = errors.New("delivery ended by itself")
		}
		shipped <- nil // it is over; the wait below must not block
	}

	begin := time.Now()
	stopWork()
	<-worked
	a.stopped("schedule", &begin)
	stopShip()
	if err := <-shipped; failed == nil {
		failed = err
	}
	a.stopped("delivery", &begin)
	if err := a.spool.Close(); err != nil && failed == nil {
		failed = fmt.Errorf("close the spool: %w", err)
	}
	a.stopped("spool", &begin)
	return failed
}

// work runs checks by the schedule and by order until ctx ends.
func (a *Agent) work(ctx context.Context) error {
	if a.orders == nil {
		return a.sched.Run(ctx)
	}
	ordered := make(chan error, 1)
	go func() { ordered <- a.orders.Run(ctx) }()
	err := a.sched.Run(ctx)
	if err := <-ordered; err != nil {
		a.log.Error("no orders can be taken", "error", err) // the checks are worth more
	}
	return err
}

func (a *Agent) stopped(part string, begin *time.Time) {
	now := time.Now()
	a.log.Info("stopped", "part", part, "took", now.Sub(*begin).Round(time.Millisecond))
	*begin = now
}

// take hands the points of a run to the spool.
func (a *Agent) take(res schedule.Result) {
	if len(res.Points) > 0 {
		a.keep(res.Clock, res.Points)
	}
}

// keep appends points to the spool. While the disk takes nothing the spool holds on to what it can in memory; that is
// logged when it begins and when it ends.
func (a *Agent) keep(clock int, points []probes.Point) {
	var lines []byte
	for i := range points {
		lines = wire.Append(lines, &points[i])
	}
	if len(lines) == 0 {
		return
	}
	err := a.spool.Append(clock, lines)
	if was := a.refusing.Swap(err != nil); err != nil && !was {
		a.log.Error("can't put results on disk", "error", err)
	} else if err == nil && was {
		a.log.Info("results are on disk again")
	}
	if err == nil && a.opts.OnTaken != nil {
		a.opts.OnTaken(a.clock.Boot(), clock, points)
	}
}
