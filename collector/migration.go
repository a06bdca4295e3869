package collector

import (
	"errors"
	"net/http"
	"path/filepath"

	"communewatch/collector/migrate"
)

// MigrationFile says how far a migration between stores is.
func (c *Config) MigrationFile() string { return filepath.Join(c.DataDir, "migration") }

// Socket returns a client of the collector that runs with these settings, whose addresses begin with http://collector/.
// Its errors are told by NotRunning when none does.
func Socket(cfg Config) *http.Client { return socketClient(cfg.socketFile()) }

// checkMigration notices a migration that is not finished, or that nobody acted upon. It refuses to run on a store that
// has part of the past only: reports would have holes, and what comes in would have to be told apart afterwards.
func (c *Collector) checkMigration() error {
	state, err := migrate.ReadState(c.cfg.MigrationFile())
	if errors.Is(err, migrate.ErrNoState) {
		return nil
	}
	if err != nil {
		c.log.Warn("a migration's state can't be read", "error", err)
		return nil
	}
	text, fatal := state.Warning(c.cfg.Store, c.cfg.MigrationFile())
	if fatal {
		return errors.New(text)
	}
	if text != "" {
		c.log.Warn(text)
	}
	return nil
}
