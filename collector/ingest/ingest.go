package ingest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"communewatch/collector/callers"
	"communewatch/collector/health"
	"communewatch/collector/ingest/contract"
	"communewatch/collector/ingest/refusal"
	"communewatch/collector/ingest/writers"
	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/store"
	"communewatch/probes/wire"
)

// Registry is what ingest asks of the registry; *registry.Registry does it.
type Registry interface {
	callers.Tokens
	Take(ctx context.Context, r registry.Receipt) error
	ClockShift(ctx context.Context, id registry.ClockID) (time.Duration, bool, error)
	SetClockShift(ctx context.Context, id registry.ClockID, shift time.Duration) (time.Duration, error)
	Sync(ctx context.Context) error
}

// Devices is who keeps the inventory; *devices.Store does it. Sightings may come again and in any order.
type Devices interface {
	See(ctx context.Context, list []devices.Sighting) error
}

// Rollups is who keeps rollups true; *history.Keeper does it. When Touch returns nil, rows of a site that were stored of
// these times, Unix milliseconds, will be in them.
type Rollups interface {
	Touch(ctx context.Context, site string, times []int64) error
}

// Options of an Ingest. Store and Registry are required.
type Options struct {
	Store    store.Store
	Registry Registry
	// Who says who sends a request, by the certificate it came with or else by the secret that was found in it; nil: the
	// registry, by the secret alone.
	Who     func(r *http.Request, secret string) (registry.Identity, error)
	Judge   contract.Judge // nil: nothing is judged
	Devices Devices        // nil: no inventory is kept
	Rollups Rollups        // nil: there are none
	Ready   func() bool    // while it says no, batches are refused and come again; nil: it always says yes
	// Told is called with what time it is on the machine of an agent, whether its batch is taken or not; nil: nobody asks.
	Told  func(site string, now time.Time)
	Rules health.Rules // only fields that they use are handed to the judge

	Bucket  string // the one bucket (or database) there is; "" means communewatch
	Version string // of the program, for /ping and /health
	Limits  Limits

	Now     func() time.Time      // nil: time.Now
	Log     *slog.Logger          // nil: slog.Default
	Metrics prometheus.Registerer // nil: none
}

// Limits bounds what clients may ask of an Ingest. Zero values take those of DefaultLimits.
type Limits struct {
	Wire wire.Limits // of a line

	BodyBytes     int   // of a request as sent
	InflatedBytes int   // the same after gunzip
	BudgetBytes   int64 // of all bodies in memory at once
	TokenBytes    int64 // the same for one token; 0: an eighth of BudgetBytes. No body may be larger

	Requests      int // under way at once
	TokenRequests int // the same for one token; 0: that of DefaultLimits, or an eighth of Requests if that is less

	// A body has BodyTime to arrive, and longer by the time its bytes take at BodyRate bytes per second.
	BodyTime time.Duration
	BodyRate int

	MaxAhead time.Duration // how far a row may be ahead of the clock; one future sample would make a store refuse the rest
	MaxAge   time.Duration // how old it may be; what the store's window for late rows allows

	AgentSeries  int // field series that all agents of one site bring
	WriterSeries int // field series that one writer token brings
	CacheSeries  int // series whose checks are remembered, at some 250 bytes each
}

// DefaultLimits returns the limits that hold where Options say nothing.
func DefaultLimits() Limits {
	return Limits{
		Wire:          wire.DefaultLimits(),
		BodyBytes:     16 << 20, // an agent's batch has 256 KiB, Telegraf's largest usual one 5 MB
		InflatedBytes: 24 << 20,
		BudgetBytes:   256 << 20,
		TokenBytes:    32 << 20,
		Requests:      1024, // 136 agents that all come back at once, several times over
		TokenRequests: 32,
		BodyTime:      30 * time.Second,
		BodyRate:      4 << 10, // a bad line still gets a batch through
		MaxAhead:      2 * time.Minute,
		MaxAge:        30 * 24 * time.Hour,
		AgentSeries:   30_000, // some 2,000 checks
		WriterSeries:  20_000,
		CacheSeries:   1_000_000,
	}
}

// tokenPart is the part of what all have together that one token may take at most, where nothing else is said: one
// that is abused or mad must not stop the others.
const tokenPart = 8

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.Requests > 0 {
		d.TokenRequests = min(d.TokenRequests, max(1, l.Requests/tokenPart))
	}
	for _, f := range []struct{ have, want *int }{
		{&l.BodyBytes, &d.BodyBytes}, {&l.InflatedBytes, &d.InflatedBytes}, {&l.Requests, &d.Requests},
		{&l.TokenRequests, &d.TokenRequests}, {&l.BodyRate, &d.BodyRate}, {&l.AgentSeries, &d.AgentSeries},
		{&l.WriterSeries, &d.WriterSeries}, {&l.CacheSeries, &d.CacheSeries},
	} {
		if *f.have <= 0 {
			*f.have = *f.want
		}
	}
	for _, f := range []struct{ have, want *time.Duration }{
		{&l.BodyTime, &d.BodyTime}, {&l.MaxAhead, &d.MaxAhead}, {&l.MaxAge, &d.MaxAge},
	} {
		if *f.have <= 0 {
			*f.have = *f.want
		}
	}
	if l.BudgetBytes <= 0 {
		l.BudgetBytes = d.BudgetBytes
	}
	if l.TokenBytes <= 0 {
		l.TokenBytes = l.BudgetBytes / tokenPart
	}
	// What never finds room must be told so, rather than to come again. One byte is there to see that there is more.
	most := int(max(1, min(l.TokenBytes, l.BudgetBytes)-1))
	l.BodyBytes, l.InflatedBytes = min(l.BodyBytes, most), min(l.InflatedBytes, most)
	return l
}

// Ingest takes in what agents and writers send.
type Ingest struct {
	o       Options
	limits  Limits
	log     *slog.Logger
	now     func() time.Time
	rules   *contract.Contract
	series  *contract.Cache
	agents  *agentSeries
	writers *writers.Writers
	refused *refusal.Log
	metrics *metrics
	budget  budget
	doors   doors
	workers chan struct{} // held while a body is parsed and checked, and while its rows are reported

	appending *semaphore.Weighted // rows on their way into the store
	bodies    sync.Pool           // of *bodyScratch
	grown     sync.Pool           // of *grown
	rows      sync.Pool           // of *rowScratch

	tenure   atomic.Pointer[tenure]
	syncing  sync.Mutex  // one sync at a time
	failing  atomic.Bool // the last batch could not be stored
	unsynced atomic.Bool // the last sync failed
}

// tenure is a time during which every sync succeeded. Acknowledgements are numbered within one, and its random id is
// what clients know as an opening of the store. It ends for good with a sync that fails: the kernel tells once that
// it could not write and may drop what it could not, so a later success says nothing about what was there before.
type tenure struct {
	id      string
	commits atomic.Uint64 // acknowledgements so far
	durable atomic.Uint64 // those known to be on disk
	over    bool          // a sync failed; guarded by Ingest.syncing
}

func newTenure() *tenure {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return &tenure{id: hex.EncodeToString(b[:])}
}

// undurable reads durable first, for it follows commits.
func (t *tenure) undurable() uint64 {
	durable := t.durable.Load()
	return t.commits.Load() - durable
}

// New returns an Ingest that does nothing until its Handler is served; Run makes acknowledgements durable.
func New(o Options) *Ingest {
	if o.Bucket == "" {
		o.Bucket = "communewatch"
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Who == nil {
		o.Who = func(r *http.Request, secret string) (registry.Identity, error) {
			return o.Registry.Authenticate(r.Context(), secret)
		}
	}
	in := &Ingest{o: o, limits: o.Limits.withDefaults(), log: o.Log, now: o.Now}
	in.tenure.Store(newTenure())
	in.rules = contract.New(o.Rules)
	in.series = contract.NewCache(in.limits.CacheSeries)
	in.agents = newAgentSeries(in.limits.AgentSeries)
	in.writers = writers.New(in.limits.WriterSeries, in.rules)
	in.refused = refusal.NewLog(o.Log)
	in.metrics = newMetrics(o.Metrics, in)
	in.budget.left.Store(in.limits.BudgetBytes)
	in.budget.share = in.limits.TokenBytes
	in.doors = doors{perToken: map[string]*guest{}, most: in.limits.Requests, mostPerToken: in.limits.TokenRequests}
	// One more than there are processors: a worker that waits for the disk leaves none idle.
	in.workers = make(chan struct{}, runtime.GOMAXPROCS(0)+1)
	in.appending = semaphore.NewWeighted(maxAppending)
	in.bodies.New = func() any { return new(bodyScratch) }
	in.grown.New = func() any { return new(grown) }
	in.rows.New = func() any { return &rowScratch{parser: wire.NewParser(in.limits.Wire)} }
	return in
}

// maxAppending is how many rows are on their way into the store at once. Parsed rows take some 600 bytes each, so 25 MB;
// and a store that writes the rows of several batches together fills a few large requests with them.
const maxAppending = 8 * portion

const (
	// syncEvery is how much of acknowledged data a power cut may cost.
	syncEvery = time.Second
	// lastSync bounds the sync at the end.
	lastSync = 10 * time.Second
	// tellEvery is how often repeated refusals are summed up in the log.
	tellEvery = time.Minute
)

// Run makes acknowledgements durable, once per second, until ctx ends; then a last time.
func (in *Ingest) Run(ctx context.Context) error {
	sync := time.NewTicker(syncEvery)
	defer sync.Stop()
	tell := time.NewTicker(tellEvery)
	defer tell.Stop()
	for {
		select {
		case <-sync.C:
			if err := in.Sync(ctx); ctx.Err() == nil {
				in.synced(err)
			}
		case <-tell.C:
			in.refused.Tell()
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSync)
			defer cancel()
			in.refused.Tell()
			return in.Sync(last)
		}
	}
}

// Sync brings everything acknowledged before the call to disk. Once it has failed, nothing acknowledged until it
// succeeds again is ever called durable: a new tenure begins then, at whose id agents send all of it again. It begins
// with the success and not with the failure, so that they do so once, and to a disk that works.
func (in *Ingest) Sync(ctx context.Context) error {
	in.syncing.Lock()
	defer in.syncing.Unlock()
	t := in.tenure.Load()
	n := t.commits.Load()
	if n == t.durable.Load() && !t.over {
		return nil
	}
	if err := errors.Join(in.o.Store.Sync(ctx), in.o.Registry.Sync(ctx)); err != nil {
		t.over = true
		return fmt.Errorf("make acknowledged batches durable: %w", err)
	}
	if t.over {
		in.tenure.Store(newTenure())
	} else {
		t.durable.Store(n)
	}
	return nil
}

// fail and works log the change between a store that works and one that does not, and nothing in between.
func (in *Ingest) fail(doing string, err error) {
	if !in.failing.Swap(true) {
		in.log.Error("batches can't be stored; agents keep them and send them again", "doing", doing, "error", err)
	}
}

func (in *Ingest) works() {
	if in.failing.Load() && in.failing.Swap(false) {
		in.log.Info("batches are stored again")
	}
}

// synced does the same for syncs: batches are taken while they fail, but their senders must keep them.
func (in *Ingest) synced(err error) {
	switch was := in.unsynced.Swap(err != nil); {
	case err != nil && !was:
		in.log.Error("batches are stored but not safe from a power cut; agents keep them", "error", err)
	case err == nil && was:
		in.log.Info("batches are safe from a power cut again")
	}
}

// Handler returns the routes /api/v2/write, /write, /ping and /health.
func (in *Ingest) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v2/write", in.write)
	mux.HandleFunc("/write", in.write)
	mux.HandleFunc("/ping", in.ping)
	mux.HandleFunc("/health", in.health)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		in.answer(w, r, &problem{http.StatusNotFound, "path not found; this door has /api/v2/write, /write, /ping and /health", 0})
	})
	return mux
}

// doors counts requests under way, so that neither one token nor all together can tie up the collector.
type doors struct {
	mu       sync.Mutex // guards the fields below
	open     int
	perToken map[string]*guest

	most, mostPerToken int
}

// guest is a token with requests under way.
type guest struct {
	token    string
	requests int          // guarded by doors.mu
	bytes    atomic.Int64 // of the budget
}

func (d *doors) enter(token string) (*guest, *problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.perToken[token]
	switch {
	case d.open >= d.most:
		return nil, &problem{http.StatusServiceUnavailable, "the collector has too many requests under way; try again later", retryBusy}
	case g == nil:
		g = &guest{token: token}
		d.perToken[token] = g
	case g.requests >= d.mostPerToken:
		return nil, &problem{http.StatusTooManyRequests, fmt.Sprintf("this sender has %d requests under way already; try again later", d.mostPerToken), retryBusy}
	}
	d.open++
	g.requests++
	return g, nil
}

func (d *doors) leave(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open--
	if g.requests--; g.requests == 0 {
		delete(d.perToken, g.token)
	}
}

func (d *doors) inside() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}
