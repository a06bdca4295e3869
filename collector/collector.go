package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"communewatch/collector/api"
	"communewatch/collector/authority"
	"communewatch/collector/backup"
	"communewatch/collector/callers"
	"communewatch/collector/changes"
	"communewatch/collector/clock"
	"communewatch/collector/dispatch"
	"communewatch/collector/doors"
	"communewatch/collector/enroll"
	"communewatch/collector/export/remote"
	"communewatch/collector/health"
	"communewatch/collector/history"
	rollups "communewatch/collector/history/desk"
	"communewatch/collector/ingest"
	"communewatch/collector/orders"
	"communewatch/collector/people/door"
	"communewatch/collector/phrase/book"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal/conduct"
	"communewatch/collector/rehearsal/desk"
	"communewatch/collector/rehearsal/hub"
	"communewatch/collector/releases"
	"communewatch/collector/reports"
	reporting "communewatch/collector/reports/desk"
	"communewatch/collector/runs"
	"communewatch/collector/status"
	"communewatch/collector/stock"
	"communewatch/collector/store"
	"communewatch/collector/web"
	"communewatch/probes"
	"communewatch/probes/webrtc/reflector"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Options of a collector that do not come from its settings file.
type Options struct {
	Log     *slog.Logger
	Version string
	Now     func() time.Time     // the machine's clock, which need not be believed; nil: time.Now
	Ready   func(address string) // called once, when the doors are open, with the address they listen on
	Taking  func()               // called once, when the recent past was read and results are taken; may be before Ready
	Beat    func()               // called about once a second as long as the judge gets on; nil: nobody watches
}

// Collector is the centre of the fleet. Make it with New.
type Collector struct {
	cfg Config
	log *slog.Logger
	o   Options

	clock     *clock.Clock
	doors     *doors.Doors
	authority *authority.Authority
	callers   *callers.Callers
	enroll    *enroll.Door
	releases  *releases.Keeper
	plans     *plans.Service
	sentences *book.Book // in which agents' own words are said to people
	dispatch  *dispatch.Door
	runs      *runs.Service
	people    *door.Door

	reg    *registry.Registry
	store  store.Store
	keeper *history.Keeper
	reader *history.Reader
	judge  *health.Judge
	ingest *ingest.Ingest
	orders *orders.Hub
	stock  *stock.Stock
	api    *api.API
	web    *web.Web

	reflector  *reflector.Reflector // nil: there is none
	hub        *hub.Client          // asks a hub outside how it fares; nil: there is none
	rehearsals *conduct.Service
	reports    reports.Reporter

	started   time.Time         // when the judge was made
	replayed  atomic.Bool       // the judge knows the recent past
	unwritten []registry.Change // what came of that, for watch
}

// How often things are looked at.
const (
	tickEvery    = time.Second     // the judge's resolution
	aliveEvery   = 5 * time.Second // what a restart knows of when this run ended
	sitesEvery   = 2 * time.Second // an import by the command line shows after that
	retainEvery  = time.Minute     // rows go by blocks of hours and days
	maxUnwritten = 100_000         // changes kept while the registry takes none: a province changing for a day
)

// New returns a collector that does nothing until Run. The config must have been validated.
func New(cfg Config, o Options) *Collector {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Collector{cfg: cfg, log: o.Log, o: o}
}

// Run serves until ctx ends or something it can't do without fails.
func (c *Collector) Run(ctx context.Context) (err error) {
	begin := time.Now()
	// First of all, so that a port that is taken leaves no trace. Who connects early waits.
	if c.doors, err = doors.Open(c.cfg.Listen, c.cfg.Doors, c.log); err != nil {
		return err
	}
	defer c.doors.Close()
	if err := os.MkdirAll(c.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	c.openClock()
	if c.reg, err = registry.Open(ctx, c.cfg.RegistryFile(), registry.Options{Log: c.log, Now: c.o.Now, Prune: true}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close("registry", c.reg.Close)) }()
	if c.authority, err = OpenAuthority(&c.cfg, c.reg, c.cfg.Reach().ServerNames(), c.o.Now, c.log); err != nil {
		return err
	}
	c.callers = callers.New(callers.Options{Authority: c.authority, Agents: c.reg.Agents(), Tokens: c.reg, AgentTokens: c.cfg.Agents.Tokens, Now: c.o.Now, Log: c.log})
	metrics := prometheus.NewRegistry()
	if err := c.openReflector(metrics); err != nil {
		return fmt.Errorf("reflector: %w", err)
	}
	if c.reflector != nil {
		defer func() { err = errors.Join(err, c.close("reflector", c.reflector.Close)) }()
	}
	if err := c.openHub(); err != nil {
		return fmt.Errorf("rehearsal.hub_status: %w", err)
	}
	if c.hub != nil {
		defer c.hub.Close()
	}
	if err := c.checkMigration(); err != nil {
		return err
	}
	progress, err := StoredProgress(ctx, c.cfg, c.reg)
	if err != nil {
		return err
	}
	retention := retentionFor(&c.cfg, progress, c.o.Now())
	if c.store, err = openStore(ctx, c.cfg, storeOptions{now: c.o.Now, log: c.log, retention: retention, metrics: metrics}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close("store", c.store.Close)) }()
	c.keeper = NewKeeper(&c.cfg, c.reg, c.store, c.o.Now, c.log, metrics)
	if err := c.keeper.Load(ctx); err != nil {
		return err
	}
	c.reader = history.NewReader(history.ReaderOptions{
		Store: c.store, Progress: c.keeper.Progress, Zone: c.cfg.Location(), Retention: c.cfg.Retention, Keep: c.cfg.Rollups.Keep(), Now: c.o.Now,
	})

	c.started = c.o.Now()
	c.judge = health.New(c.cfg.Health, c.started)
	if err := c.openPast(ctx); err != nil {
		return err
	}
	if err := c.build(metrics); err != nil {
		return err
	}
	c.log.Info("collector started", "version", c.o.Version, "listen", c.doors.Addr().String(), "tls", c.cfg.TLS.Mode,
		"data_dir", c.cfg.DataDir, "took", time.Since(begin).Round(time.Millisecond))
	return c.serve(ctx)
}

// ClosedTexts lists the texts of the contract's closed sets. States are judged by them, so they must never be among
// those that the store can't tell apart.
func ClosedTexts() (all []string) {
	for _, m := range probes.Schema() {
		for _, f := range m.Fields {
			all = append(all, f.Enum...)
		}
	}
	return all
}

func (c *Collector) build(metrics *prometheus.Registry) (err error) {
	if err := c.openFleet(metrics); err != nil {
		return err
	}
	c.ingest = ingest.New(ingest.Options{
		Store: c.store, Registry: c.reg, Who: c.callers.Writer, Judge: c.judge, Devices: c.reg.Devices(), Rules: c.cfg.Health,
		Rollups: c.keeper, Ready: c.taking, Told: c.clock.Heard, Bucket: c.cfg.Bucket, Version: c.o.Version, Now: c.o.Now, Log: c.log, Metrics: metrics,
		Limits: ingest.Limits{MaxAge: c.cfg.OutOfOrder, WriterSeries: c.cfg.WriterSeries},
	})
	c.orders = orders.New(orders.Options{Who: c.agentOf, Log: c.log, Metrics: metrics, Now: c.o.Now})
	c.reg.Agents().OnRevoked(c.orders.Drop)
	c.runs = runs.New(runs.Options{Tell: c.orders.TellAgent, Connected: c.orders.Connected, Record: c.reg.People(), Now: c.o.Now})
	c.orders.OnReport(c.runs.Hear)
	c.openRehearsals()
	if c.stock, err = stock.New(stock.Options{Devices: c.reg.Devices(), Paper: c.reg.Paper(), Sites: c.reg, Now: c.o.Now, Log: c.log}); err != nil {
		return err
	}
	if c.reports, err = newReporter(&c.cfg, c.store, c.reg, c.keeper.Progress, c.o.Now); err != nil {
		return err
	}
	c.api = api.New(api.Options{
		Judge: c.judge, Store: c.reader, Registry: c.reg, Inventory: c.stock, Rehearsals: c.rehearsals, Operators: c.reg, Reports: c.reports, Audit: c.reg.People(), Fleet: c.fleetSources(),
		Status: c, Zone: c.cfg.Location(), Now: c.o.Now, Log: c.log, Metrics: metrics, Version: c.o.Version,
	})
	metrics.MustRegister(append(status.Metrics(c.store.Condition), c.clock.Metrics()...)...)
	c.web, err = web.New(web.Options{
		Source: c.api, Stock: c.stock, Statements: c.reg.Devices(), Rehearsals: c.api.Rehearsals(), Reports: c.reports, Boundaries: c.cfg.Boundaries, Title: c.cfg.Title, DefaultLang: c.cfg.Language,
		Status: c, People: c.people, Fleet: c.fleetPages(), Zone: c.cfg.Location(), Log: c.log, Now: c.o.Now,
	})
	return err
}

// routes are the handlers behind the port.
func (c *Collector) routes() http.Handler {
	r := doors.Routes{
		Ingest: c.ingest.Handler(), Orders: c.orders.Handler(), Enroll: c.enroll, Work: c.dispatch, Releases: c.releases.Handler(),
		API: c.api.Handler(), Web: c.web.Handler(), People: c.people.Middleware,
	}
	if c.reflector != nil {
		r.Reflector = c.reflector.Handler()
	}
	return r.Handler()
}

// serve runs the doors and everything behind them until ctx ends.
func (c *Collector) serve(ctx context.Context) error {
	c.doors.OpenSocket(c.cfg.socketFile())
	group, run := errgroup.WithContext(ctx)
	// What stands behind the doors outlives them by a moment: requests under way still need it.
	behind, stopBehind := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBehind()
	group.Go(func() error { return c.ingest.Run(behind) })
	group.Go(func() error { return c.api.Run(run) }) // live events end first: they would hold the door open
	// A rehearsal that runs tells the agents to stop, so their channels end after it.
	channels, endChannels := context.WithCancel(behind)
	defer endChannels()
	group.Go(func() error { defer endChannels(); return c.rehearsals.Run(run) })
	group.Go(func() error { return c.orders.Run(channels) })
	if c.reflector != nil {
		group.Go(func() error { return c.reflector.Run(run) })
	}
	if !c.replayed.Load() {
		group.Go(func() error { return c.replayAlways(run) })
	}
	group.Go(func() error { return c.keeper.Run(behind) })
	group.Go(func() error { return c.watch(behind) })
	group.Go(func() error { return c.clock.Run(behind) })
	group.Go(func() error { return c.stock.Run(run) })
	group.Go(func() error { return c.authority.Run(behind) })
	group.Go(func() error { return c.people.Run(run) })
	group.Go(func() error { return c.releases.Run(run) })
	group.Go(func() error { return c.plans.Run(run) })
	group.Go(func() error {
		defer stopBehind()
		s := doors.Serve{Handler: c.routes(), Admin: c.adminRoutes()}
		if c.cfg.TLS.Mode != authority.ModeOff {
			s.TLS = c.authority.TLSConfig()
		}
		return c.doors.Run(run, s)
	})
	if c.o.Ready != nil {
		c.o.Ready(c.doors.Addr().String())
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return nil // it was told to stop, and it did
	}
	return err
}

func (c *Collector) close(part string, close func() error) error {
	begin := time.Now()
	err := close()
	c.log.Info("stopped", "part", part, "took", time.Since(begin).Round(time.Millisecond))
	if err != nil {
		return fmt.Errorf("close the %s: %w", part, err)
	}
	return nil
}

// watch ticks the judge, writes its changes down, and keeps its list of sites current.
func (c *Collector) watch(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	var lastSites, lastAlive, lastRetain time.Time
	var unwritten []registry.Change
	failing, deaf := false, true
	generation := c.authority.Generation()
	for {
		now := c.o.Now()
		var err error
		if now.Sub(lastSites).Abs() >= sitesEvery {
			lastSites = now
			err = c.refreshSites(ctx, now)
			if g := c.authority.Generation(); g != generation {
				generation = g
				c.lookForTrust()
			}
		}
		if now.Sub(lastRetain).Abs() >= retainEvery {
			lastRetain = now
			c.retain(now)
		}
		// While nothing can be stored nobody can report, and silence says nothing. The judge takes a pause of its ticks
		// for a time in which it was away itself.
		if was := deaf; !c.taking() || c.store.Condition().Away {
			deaf = true
		} else {
			if deaf = false; was {
				unwritten, c.unwritten = append(unwritten, c.unwritten...), nil
			}
			if now.Sub(lastAlive).Abs() >= aliveEvery {
				lastAlive = now
				err = errors.Join(err, os.WriteFile(c.cfg.aliveFile(), []byte(now.UTC().Format(time.RFC3339)+"\n"), 0o600))
			}
			unwritten = append(unwritten, changes.Of(c.judge.Tick(now))...)
		}
		if over := len(unwritten) - maxUnwritten; over > 0 {
			unwritten = unwritten[over:]
		}
		if len(unwritten) > 0 {
			if werr := c.reg.AppendChanges(ctx, unwritten); werr == nil {
				unwritten = nil
			} else {
				err = errors.Join(err, werr)
			}
		}
		if err != nil && !failing && ctx.Err() == nil {
			c.log.Error("can't keep the registry current; trying on", "error", err)
		}
		failing = err != nil
		if c.o.Beat != nil {
			c.o.Beat()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *Collector) refreshSites(ctx context.Context, now time.Time) error {
	sites, err := c.reg.Sites(ctx, now)
	if err != nil {
		return err
	}
	ids := make([]string, len(sites))
	for i := range sites {
		ids[i] = sites[i].ID
	}
	c.judge.SetSites(ids)
	return nil
}

// adminRoutes are what programs of the same user may order.
func (c *Collector) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(desk.Prefix, c.typedRehearsals())
	mux.Handle(rollups.Prefix, rollups.Handler(c.keeper))
	mux.Handle("POST "+reporting.Path, reporting.Handler(c.reports, c.cfg.Location(), c.log))
	mux.Handle(remote.Prefix, remote.Handler(c.store))
	mux.Handle(clock.Prefix, clock.Handler(c.clock, c.reg.People()))
	mux.Handle("POST "+backup.Path, backup.Handler(func(ctx context.Context, dir string) error { return copyStores(ctx, c.reg, c.store, dir) }, c.log))
	return mux
}
