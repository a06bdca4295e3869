package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"communewatch/collector"
	"communewatch/collector/export"
	"communewatch/collector/export/remote"
)

// Export writes what the store of these settings holds. The embedded store of a collector that runs is read through its
// socket.
func Export(ctx context.Context, cfg collector.Config, r export.Request, now func() time.Time, log *slog.Logger) (result export.Result, err error) {
	if err := r.Validate(); err != nil {
		return result, err
	}
	if cfg.Store == collector.StoreEmbedded {
		client := remote.Client{HTTP: collector.Socket(cfg)}
		defer client.HTTP.CloseIdleConnections()
		if _, err := client.Measurements(ctx); !collector.NotRunning(err) {
			if err != nil {
				return result, err
			}
			return export.Write(ctx, client, r)
		}
		if _, err := os.Stat(cfg.StoreDir()); err != nil {
			return result, fmt.Errorf("there is nothing to export: %w", err)
		}
	}
	st, err := collector.OpenStore(ctx, cfg, now, log)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return export.Write(ctx, st, r)
}
