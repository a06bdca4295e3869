package audit

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"communewatch/collector"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/deploy/lab/database"
)

// errAway says that the database does not answer; it may come back.
var errAway = errors.New("the database is away")

// open opens what the collector of the lab in dir has, running or not: a copy of an embedded store, which has one owner,
// and the database itself with an InfluxDB, which is started for the audit where the lab does not run.
func open(ctx context.Context, dir string) (_ *registry.Registry, _ store.Store, _ func(), err error) {
	cfg, err := collector.ReadConfig(filepath.Join(dir, "collector", "collector.yaml"))
	if err != nil {
		return nil, nil, nil, err
	}
	var undo []func()
	release := func() {
		for i := range undo {
			undo[len(undo)-1-i]()
		}
	}
	defer func() {
		if err != nil {
			release()
		}
	}()
	if cfg.Store == collector.StoreInflux {
		var stop func()
		if cfg, stop, err = database.Attend(ctx, dir, cfg); err != nil {
			return nil, nil, nil, err
		}
		undo = append(undo, stop)
	} else {
		tmp, err := os.MkdirTemp("", "communewatch-audit-")
		if err != nil {
			return nil, nil, nil, err
		}
		undo = append(undo, func() { os.RemoveAll(tmp) })
		copied := filepath.Join(tmp, "copy")
		if err := collector.Backup(ctx, cfg, copied); err != nil {
			return nil, nil, nil, err
		}
		cfg.DataDir = copied
	}
	quiet := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: quiet})
	if err != nil {
		return nil, nil, nil, err
	}
	undo = append(undo, func() { reg.Close() })
	st, err := collector.OpenStore(ctx, cfg, nil, quiet)
	if err != nil {
		return nil, nil, nil, err
	}
	undo = append(undo, func() { st.Close() })
	return reg, st, release, nil
}
