package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/agent/checks"
	"communewatch/agent/clock"
	"communewatch/agent/collectors"
	"communewatch/agent/onsite"
	"communewatch/agent/orders"
	"communewatch/agent/schedule"
	"communewatch/agent/ship"
	"communewatch/agent/spool"
	updates "communewatch/agent/update"
	"communewatch/agent/work"
	"communewatch/probes"
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
	// Loopback lets checks from the collector speak to this machine itself. No settings file can say so: it is for a
	// province on one machine, as in tests.
	Loopback bool
	// OnCall, if not nil, is told all that is known of each conference call made by schedule.
	OnCall   func(check string, c *report.Call)
	Life     Life // what others know of the agent's life
	Releases Releases
	// OnStart, if not nil, is told that Run has opened what it needs and begins.
	OnStart func()
}

// Agent runs the checks of one config. Make it with New.
type Agent struct {
	cfg     Config
	opts    Options
	log     *slog.Logger
	clock   *clock.Clock
	started time.Time

	maker  *checks.Maker
	gate   *orders.Gate
	sched  *schedule.Schedule
	orders *orders.Client // nil where the settings want none
	given  *work.Fetcher  // nil where nothing is taken from the collector
	herald *herald

	updater   *updates.Updater
	switching atomic.Bool // to another release

	open  func(*Agent) (results, sender, error) // openDisk, but for tests
	spool results                               // set by Run, before anything runs
	ship  sender

	refusing atomic.Bool  // the last points did not get onto the disk
	watch    onsite.Watch // what the office is shown

	mu  sync.Mutex // guards the field below
	now doing
}

// results is where an agent's results are kept; *spool.Spool.
type results interface {
	Append(clock int, lines []byte) error
	Seal(force bool) error
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
	cfg.identify(&o)
	a := &Agent{cfg: cfg, opts: o, log: o.Log, clock: clock.New(o.Now), started: time.Now(), open: openDisk}
	a.cfg.guard = cfg.guard.WithLoopback(o.Loopback)
	a.maker = &checks.Maker{
		Runner: &schedule.Runner{Site: cfg.Site, Agent: cfg.Agent, Clock: a.clock, Log: o.Log},
		Take:   a.take, Fleet: collectors.Fleet(cfg.known(), cfg.identity), Child: o.Child, OnCall: o.OnCall,
	}
	first, err := a.prepare(&a.cfg, nil)
	if err != nil {
		return nil, err
	}
	a.now = first
	if cfg.Allow.Work && len(cfg.Collectors) > 0 {
		a.given, err = work.New(work.Options{Dir: cfg.StateDir, Collectors: a.cfg.ways(), Agent: cfg.Agent, Adopt: a.assign,
			Changed: func() { a.herald.sender.Changed() }, Log: o.Log})
		if err != nil {
			return nil, err
		}
	}
	a.updater = a.newUpdater()
	a.herald = a.newHerald()
	a.takeOrders(orders.NewGate(cfg.meetings, o.Now))
	a.sched = schedule.New(a.jobs(first), schedule.Options{Owner: cfg.Site + "/" + cfg.Agent, Log: o.Log})
	return a, nil
}

// Run runs the agent until ctx ends or something it can't do without fails. It stops in the order in which results
// flow: first the checks, then the sender, which seals what is gathered and tries once more to send it, then the spool.
// Last of all it says goodbye.
func (a *Agent) Run(ctx context.Context) (err error) {
	a.spool, a.ship, err = a.open(a)
	if err != nil {
		return err
	}
	if err := a.cfg.keptBroken; err != nil {
		a.log.Error("checks from the collector may speak to less than was allowed on this machine", "error", err)
	}
	if a.given != nil {
		a.given.Restore()
	}
	a.log.Info("agent started", "site", a.cfg.Site, "agent", a.cfg.Agent, "version", a.opts.Version, "boot", a.clock.Boot(), "checks", len(a.current().Checks))
	if a.opts.OnStart != nil {
		a.opts.OnStart()
	}

	tellCtx, stopTelling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTelling()
	told := make(chan struct{})
	go func() {
		defer close(told)
		a.herald.run(tellCtx)
	}()

	shipCtx, stopShip := context.WithCancel(context.WithoutCancel(ctx))
	defer stopShip()
	shipped := make(chan error, 1)
	go func() { shipped <- a.ship.Run(shipCtx) }()

	workCtx, stopWork := context.WithCancelCause(ctx)
	defer stopWork(nil)
	worked := make(chan error, 1)
	go func() { worked <- a.measure(workCtx) }()

	updated := make(chan error, 1)
	go func() { updated <- a.update(workCtx) }()

	var failed, why error
	select {
	case <-ctx.Done():
	case failed = <-updated:
		updated <- nil
	case failed = <-shipped:
		why = updates.ErrFailing
		if failed == nil {
			failed = errors.New("delivery ended by itself")
		}
		shipped <- nil // it is over; the wait below must not block
	}

	begin := time.Now()
	stopWork(why)
	<-worked
	<-updated
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
	stopTelling()
	<-told
	a.stopped("presence", &begin)
	return failed
}

// measure runs checks by the schedule and by order, and looks for other work, until ctx ends.
func (a *Agent) measure(ctx context.Context) error {
	var beside sync.WaitGroup
	if a.orders != nil {
		beside.Go(func() {
			if err := a.orders.Run(ctx); err != nil {
				a.log.Error("no orders can be taken", "error", err) // the checks are worth more
			}
		})
	}
	if a.given != nil {
		beside.Go(func() { a.given.Run(ctx) })
	}
	if page := a.newOffice(); page != nil {
		beside.Go(func() {
			if err := page.Run(ctx); err != nil {
				a.log.Error("the office has no page", "error", err)
			}
		})
	}
	err := a.sched.Run(ctx)
	beside.Wait()
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
	a.watch.Take(points, time.Now())
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
