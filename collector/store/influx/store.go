package influx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/probes/wire"
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
)

// Store is a store in an InfluxDB. It implements store.Store.
type Store struct {
	o Options

	life   sync.RWMutex
	closed bool
}

// ErrBackup is what Backup returns: copies of the database are the database's own affair.
var ErrBackup = errors.New("this store is in InfluxDB: make its copies with influxd backup (1.8) or influx backup (2.x), see docs/storage.md")

// Open returns a store whose database need not be there yet. It fails for settings that can't work.
func Open(_ context.Context, o Options) (*Store, error) {
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
	return &Store{o: o}, nil
}

var errThin = fmt.Errorf("influx: %w", errors.ErrUnsupported)

// Append stores rows; see store.Store.
func (s *Store) Append(context.Context, []wire.Row) error { return errThin }

// Sync returns at once.
func (s *Store) Sync(ctx context.Context) error { return ctx.Err() }

// Select calls each for every series that matches; see store.Store.
func (s *Store) Select(context.Context, store.Query, func(store.Series) error) error { return errThin }

// Windows calls each for the windows of every numeric series that matches; see store.Store.
func (s *Store) Windows(context.Context, store.Query, time.Duration, func(store.WindowSeries) error) error {
	return errThin
}

// Measurements lists the measurements that have rows; see store.Store.
func (s *Store) Measurements(context.Context) ([]string, error) { return nil, errThin }

// Stats describes the store.
func (s *Store) Stats() store.Stats { return store.Stats{} }

// Condition says whether the database answers.
func (s *Store) Condition() store.Condition { return store.Condition{} }

// Warnings lists what is not as it was wanted, in English sentences.
func (s *Store) Warnings() []string { return nil }

// Backup returns ErrBackup.
func (s *Store) Backup(context.Context, string) error { return ErrBackup }

// PutRollups stores windows; see store.Rolled.
func (s *Store) PutRollups(context.Context, rollup.Level, []rollup.Row) error { return errThin }

// Rollups reads windows; see store.Rolled.
func (s *Store) Rollups(context.Context, store.RollupQuery, func(store.RollupSeries) error) error {
	return errThin
}

// Close ends what goes on in the background.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	return nil
}
