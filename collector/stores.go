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

	"communewatch/collector/registry"
	"communewatch/collector/registry/rollups"
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
			o.retention, err = retentionFor(ctx, cfg, reg.Rollups().Of(cfg.StoreName()), now())
			if err = errors.Join(err, reg.Close()); err != nil {
				return nil, err
			}
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

// retentionFor is how long the embedded store keeps rows until its next opening: as the settings say, and longer while
// there are rows that were not worked into rollups yet. An upgrade from a version without rollups, whose retention was
// longer, would lose them otherwise.
func retentionFor(ctx context.Context, cfg Config, marks *rollups.Marks, now time.Time) (time.Duration, error) {
	frontier, err := marks.Frontier(ctx)
	if err != nil {
		return 0, err
	}
	if frontier.IsZero() {
		return max(cfg.Retention, cfg.Rollups.Keep()[rollup.Day]), nil
	}
	hours, err := marks.Due(ctx)
	if err != nil {
		return 0, err
	}
	oldest := frontier
	if len(hours) > 0 {
		if at := time.UnixMilli(hours[0].Start); at.Before(oldest) {
			oldest = at
		}
	}
	return max(cfg.Retention, min(now.Sub(oldest)+lateMargin, cfg.Rollups.Keep()[rollup.Day])), nil
}
