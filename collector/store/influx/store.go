package influx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx/client"
	"communewatch/collector/store/influx/lines"
)

// Options says where the database is and what is kept in it. Zero values mean the defaults named here.
type Options struct {
	Config
	Retention  time.Duration                  // how long rows are wanted; 90 d
	LateWindow time.Duration                  // how late a row may be; 30 d, the longest an agent spools
	Keep       map[rollup.Level]time.Duration // how long windows are wanted, by level; a level that is missing is kept for ever
	Now        func() time.Time
	Log        *slog.Logger
	Metrics    prometheus.Registerer // nil: nowhere
	Client     *http.Client          // nil: one of its own
}

const (
	defaultRetention  = 90 * 24 * time.Hour
	defaultLateWindow = 30 * 24 * time.Hour

	// maxAhead bounds how far ahead of the clock a row may be. Ingest allows minutes; this is the fence behind it.
	maxAhead = time.Hour

	// openWithin bounds how long Open waits for a first answer.
	openWithin = 5 * time.Second

	// closeWithin bounds how long Close waits for requests under way.
	closeWithin = 5 * time.Second
)

const reasonFuture = "time is more than an hour ahead of the collector's clock; check the sender's clock"

// Store is a store in an InfluxDB. It implements store.Store.
type Store struct {
	o       Options
	client  *client.Client
	encoder *lines.Encoder
	tooOld  string // the reason given for rows that are
	within  time.Duration

	batches sync.Pool // of *lines.Batch
	bodies  sync.Pool // of *[]byte, at most maxBody each
	queue   queue
	sifting chan struct{} // held by who looks for refused rows
	putting chan struct{} // held by who writes windows

	appended, rejected atomic.Uint64
	metrics            *metrics
	presence           presence
	size               size

	base context.Context // ends when Close has waited long enough
	stop context.CancelFunc
	work sync.WaitGroup

	// life is held for reading by every call under way, and for writing by Close.
	life   sync.RWMutex
	closed bool
}

// ErrBackup is what Backup returns: copies of the database are the database's own affair.
var ErrBackup = errors.New("this store is in InfluxDB, which makes its copies itself: influxd backup -portable (1.8), influx backup (2.x), a copy of the object store (3.x); see docs/storage.md")

// Open returns a store and begins to look after its database, which need not be there: Condition says so then, and
// rows are taken as soon as it is. Open fails for settings that can't work. Close ends what Open began.
func Open(ctx context.Context, o Options) (*Store, error) {
	d := DefaultConfig()
	if o.URL == "" {
		o.URL = d.URL
	}
	if o.Database == "" {
		o.Database = d.Database
	}
	if o.Timeout == 0 {
		o.Timeout = d.Timeout
	}
	if o.BatchRows == 0 {
		o.BatchRows = d.BatchRows
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.LateWindow == 0 {
		o.LateWindow = defaultLateWindow
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: o, sifting: make(chan struct{}, 2), putting: make(chan struct{}, 2)}
	s.within, s.tooOld = o.LateWindow, fmt.Sprintf("older than %s, the longest a row may be late", o.LateWindow)
	if o.Retention < o.LateWindow {
		s.within, s.tooOld = o.Retention, fmt.Sprintf("older than %s, the longest rows are kept", o.Retention)
	}
	s.batches.New = func() any { return new(lines.Batch) }
	s.bodies.New = func() any { return new([]byte) }
	s.encoder = lines.NewEncoder(s.fieldsOf)
	s.presence.init()
	s.size.init()
	var err error
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.client, err = client.New(client.Options{URL: o.URL, Org: o.Org, TokenFile: o.TokenFile, CAFile: o.CAFile,
		Timeout: o.Timeout, HTTP: o.Client, Count: s.metrics.request})
	if err != nil {
		s.metrics.unregister()
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.base, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	first, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if err := s.look(first); err != nil {
		s.lost(err, false)
	}
	s.work.Go(s.watch)
	return s, nil
}

// enter begins a call. If it returns nil, life is held for reading.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return store.ErrClosed
	}
	return nil
}

// bound returns a context that ends with ctx, and when Close has waited long enough.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.base, cancel)
	return ctx, func() { stop(); cancel() }
}

// Sync has nothing left to do: InfluxDB 1.8 and 2.x write a row into a log and the log to disk before they answer that
// it is stored, and 3.x into its object store. (Whoever raised the server's wal-fsync-delay or its like has chosen to lose
// that much in a power cut.)
func (s *Store) Sync(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.life.RUnlock()
	return nil
}

// Backup returns ErrBackup, and writes nothing.
func (s *Store) Backup(ctx context.Context, _ string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.life.RUnlock()
	return ErrBackup
}

// Close ends the background work, after the calls under way; it does not wait longer than a few seconds for the
// database.
func (s *Store) Close() error {
	hurry := time.AfterFunc(closeWithin, s.stop)
	defer hurry.Stop()
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return store.ErrClosed
	}
	s.closed = true
	s.life.Unlock()
	s.stop()
	s.work.Wait()
	s.client.Close()
	s.metrics.unregister()
	return nil
}
