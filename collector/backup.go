package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"communewatch/collector/backup"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	"communewatch/collector/store"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
)

// RegistryFile is the SQLite database in the data folder.
func (c *Config) RegistryFile() string { return filepath.Join(c.DataDir, "registry.db") }

// StoreDir is the folder of the embedded time-series store.
func (c *Config) StoreDir() string { return filepath.Join(c.DataDir, "tsdb") }

// aliveFile says when a collector was last up.
func (c *Config) aliveFile() string { return filepath.Join(c.DataDir, "alive") }

// socketFile is where a running collector takes orders from programs of the same user on the same machine.
func (c *Config) socketFile() string { return filepath.Join(c.DataDir, "collector.sock") }

// Backup copies registry and store into dir, which must be new or empty. The copy is laid out like a data folder:
// to restore, put it in the place of one. A running collector makes the copy itself, since the store has one owner.
// Measurements that are in InfluxDB are not in it.
func Backup(ctx context.Context, cfg Config, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	client := socketClient(cfg.socketFile())
	defer client.CloseIdleConnections()
	if err := backup.Ask(ctx, client, dir); !NotRunning(err) {
		return err
	}
	if _, err := os.Stat(cfg.RegistryFile()); err != nil {
		return fmt.Errorf("nothing to back up: %w", err)
	}
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{})
	if err != nil {
		return err
	}
	defer reg.Close()
	st, err := OpenStore(ctx, cfg, nil, nil)
	if err != nil {
		return err
	}
	defer st.Close()
	return copyStores(ctx, reg, st, dir)
}

func copyStores(ctx context.Context, reg *registry.Registry, st store.Store, dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// The registry first: whatever it counts as received is then in the copy of the store, which is made later.
	copied := Config{DataDir: dir}
	if err := reg.Backup(ctx, copied.RegistryFile()); err != nil {
		return err
	}
	if err := st.Backup(ctx, copied.StoreDir()); !errors.Is(err, influx.ErrBackup) {
		return err
	}
	return nil // the registry is all there is to copy here; see NotInBackup
}

// NotInBackup says what a backup in dir leaves out and how that is copied. Keys are never in it: who gets hold of a copy
// must not be able to speak for the fleet.
func NotInBackup(cfg Config, dir string) string {
	keys := fmt.Sprintf("keys are not in it; keep a copy of %s and %s in another place, closed to others: without the first, every agent has to enrol anew",
		cfg.AuthorityDir(), plans.SealFile(cfg.DataDir))
	if cfg.Store != StoreInflux {
		return keys
	}
	return keys + "\nmeasurements are not in it; have InfluxDB copy them, beside the server (3.x: see docs/storage.md):\n  " +
		strings.Join(setup.BackupCommands(cfg.Influx, filepath.Join(dir, "influx")), "\n  ")
}
