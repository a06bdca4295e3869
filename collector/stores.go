package collector

import (
	"context"
	"log/slog"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
)

// OpenStore opens the store that the settings name. A collector that runs has the embedded one for itself.
func OpenStore(_ context.Context, cfg Config, now func() time.Time, log *slog.Logger) (store.Store, error) {
	return embedded.Open(embedded.Options{
		Dir: cfg.StoreDir(), Retention: cfg.Retention, LateWindow: cfg.OutOfOrder, Keep: cfg.Rollups.Keep(), Texts: closedTexts(), Now: now, Log: log,
	})
}
