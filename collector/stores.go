package collector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/clock"
	"communewatch/collector/history"
	"communewatch/collector/registry"
	"communewatch/collector/reports/account"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/collector/store/influx"
)

// OpenStore opens the store that the settings name, for programs beside the collector. A collector that runs has the
// embedded one for itself. The registry is looked at, if there is one: rows that no rollup rests on yet are not dropped.
func OpenStore(ctx context.Context, cfg Config, now func() time.Time, log *slog.Logger) (store.Store, error) {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.Default()
	}
	now = clock.Open(cfg.clockOptions(now, log, nil)).Now // what is old goes here too
	o := storeOptions{now: now, log: log, retention: cfg.Retention}
	if cfg.Store == StoreEmbedded {
		switch _, err := os.Stat(cfg.RegistryFile()); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: log, Now: now})
			if err != nil {
				return nil, err
			}
			progress, err := StoredProgress(ctx, cfg, reg)
			if err = errors.Join(err, reg.Close()); err != nil {
				return nil, err
			}
			o.retention = retentionFor(&cfg, progress, now())
		}
	}
	return openStore(ctx, cfg, o)
}

// StoreName is what the registry calls the store that the settings name: how far its rollups are is kept under it.
func (c *Config) StoreName() string {
	if c.Store == StoreInflux {
		return "influx " + c.Influx.URL + " " + c.Influx.Database
	}
	return StoreEmbedded
}

type storeOptions struct {
	now       func() time.Time
	log       *slog.Logger
	retention time.Duration
	metrics   prometheus.Registerer // nil: none
}

func openStore(ctx context.Context, cfg Config, o storeOptions) (store.Store, error) {
	if cfg.Store == StoreInflux {
		// The database drops rows by itself, as influx setup told it to, so nothing is to be wanted beyond the settings.
		st, err := influx.Open(ctx, influx.Options{Config: cfg.Influx, Retention: cfg.Retention, LateWindow: cfg.OutOfOrder, Keep: cfg.Rollups.Keep(),
			Now: o.now, Log: o.log, Metrics: o.metrics})
		if err != nil {
			return nil, fmt.Errorf("influx: %w", err)
		}
		return st, nil
	}
	return embedded.Open(embedded.Options{
		Dir: cfg.StoreDir(), Retention: o.retention, LateWindow: cfg.OutOfOrder, Keep: cfg.Rollups.Keep(), Texts: ClosedTexts(), Now: o.now, Log: o.log,
	})
}

// retentionFor is how long the embedded store is to keep rows: as the settings say, and longer while there are rows that
// were not worked into rollups yet. An upgrade from a version without rollups, whose retention was longer, would lose
// them otherwise.
func retentionFor(cfg *Config, p history.Progress, now time.Time) time.Duration {
	windows := cfg.Rollups.Keep()[rollup.Day]
	if p.To.IsZero() {
		return max(cfg.Retention, windows)
	}
	oldest := p.To
	if p.Pending > 0 && p.Oldest.Before(oldest) {
		oldest = p.Oldest
	}
	return max(cfg.Retention, min(now.Sub(oldest)+lateMargin, windows))
}

// retain tells the embedded store how long rows are wanted now, which becomes shorter as rollups catch up.
func (c *Collector) retain(now time.Time) {
	if st, ok := c.store.(*embedded.Store); ok {
		st.SetRetention(retentionFor(&c.cfg, c.keeper.Progress(), now))
	}
}

// NewKeeper returns the keeper of a store's rollups.
func NewKeeper(cfg *Config, reg *registry.Registry, st store.Store, now func() time.Time, log *slog.Logger, metrics prometheus.Registerer) *history.Keeper {
	return history.New(history.Options{
		Store: st, Marks: reg.Rollups().Of(cfg.StoreName()), Zone: cfg.Location(), Retention: cfg.Retention, Now: now, Log: log, Metrics: metrics,
		Accountant: account.New(account.Options{Store: st, Rules: cfg.Health, Absences: reg.Lines()}),
	})
}
