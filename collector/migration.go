package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/collector/migrate"
	"communewatch/collector/registry"
	"communewatch/collector/rollup"
	"communewatch/collector/store/embedded"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
)

// MigrationFile says how far a migration between stores is.
func (c *Config) MigrationFile() string { return filepath.Join(c.DataDir, "migration") }

// MigrateOptions says what to copy where.
type MigrateOptions struct {
	From, To     string // embedded or influx
	Verify       bool   // compare, and copy nothing
	IntoExisting bool   // see migrate.Options
	DropOld      bool
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger
	Progress     func(migrate.Progress)
}

// keepAll is how long a store that is only read keeps what it has: a source loses nothing while it is copied.
const keepAll = maxRetention

// Migrate copies one store of these settings into the other, and what the registry knows of its rollups, so that
// nothing is worked out anew. No collector may run. What is left to do afterwards is to change the settings.
func Migrate(ctx context.Context, cfg Config, o MigrateOptions) (result migrate.Result, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := cfg.checkMigrate(o); err != nil {
		return result, err
	}
	if err := refuseRunning(cfg); err != nil {
		return result, err
	}
	state, err := migrate.ReadState(cfg.MigrationFile())
	if err != nil && !errors.Is(err, migrate.ErrNoState) && !o.Verify {
		return result, err
	}
	if err == nil && state.Finished && cfg.Store == state.ToName && o.To == cfg.Store && !o.Verify {
		return result, fmt.Errorf("the migration from %s to %s is finished, and the collector uses what it made; to migrate anew, remove %s",
			state.From, state.To, cfg.MigrationFile())
	}
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: o.Log, Now: o.Now})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()

	m := migrate.Options{File: cfg.MigrationFile(), Keep: cfg.Rollups.Keep(), IntoExisting: o.IntoExisting, DropOld: o.DropOld, Now: o.Now, Progress: o.Progress}
	m.Keep[rollup.Raw] = cfg.Retention
	if m.From, err = cfg.openSide(ctx, o, o.From, m.Keep, true); err != nil {
		return result, fmt.Errorf("--from %s: %w", o.From, err)
	}
	defer func() { err = errors.Join(err, m.From.Store.Close()) }()
	if m.To, err = cfg.openSide(ctx, o, o.To, m.Keep, false); err != nil {
		return result, fmt.Errorf("--to %s: %w", o.To, err)
	}
	defer func() { err = errors.Join(err, m.To.Store.Close()) }()
	if o.Verify {
		return migrate.Verify(ctx, m)
	}
	if result, err = migrate.Run(ctx, m); err != nil {
		return result, err
	}
	return result, cfg.copyMarks(ctx, reg, o)
}

func (c *Config) checkMigrate(o MigrateOptions) error {
	for flag, name := range map[string]string{"--from": o.From, "--to": o.To} {
		if name != StoreEmbedded && name != StoreInflux {
			return fmt.Errorf("%s: %.40q is not embedded or influx", flag, name)
		}
	}
	if o.From == o.To {
		return fmt.Errorf("--from and --to are both %s; to copy a store of one kind, see backup", o.From)
	}
	var problems []string
	c.Influx.Validate(func(at, format string, args ...any) {
		problems = append(problems, "influx."+at+": "+fmt.Sprintf(format, args...))
	})
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// refuseRunning makes sure that nobody else writes to either store: an embedded one has a lock, a database has none.
func refuseRunning(cfg Config) error {
	conn, err := net.Dial("unix", cfg.socketFile())
	if NotRunning(err) {
		return nil
	}
	if err == nil {
		err = conn.Close()
	}
	return errors.Join(errors.New("a collector runs on this data_dir; stop it first (systemctl stop communewatch-collector): agents keep what they measure meanwhile"), err)
}

// named returns the settings of a collector with the store called name.
func (c *Config) named(name string) Config {
	other := *c
	other.Store = name
	return other
}

// openSide opens a store so that it takes rows of any age that it keeps, or drops nothing while it is read.
func (c *Config) openSide(ctx context.Context, o MigrateOptions, name string, keep map[rollup.Level]time.Duration, source bool) (migrate.Side, error) {
	if name == StoreInflux {
		return c.openInfluxSide(ctx, o, keep)
	}
	side := migrate.Side{Name: name, Place: c.StoreDir(), Keep: keep}
	e := embedded.Options{Dir: c.StoreDir(), Retention: c.Retention, LateWindow: c.Retention, Keep: c.Rollups.Keep(), Texts: closedTexts(), Now: o.Now, Log: o.Log}
	if source || o.Verify {
		if _, err := os.Stat(e.Dir); err != nil {
			return side, fmt.Errorf("there is no store: %w", err)
		}
		e.Retention, e.Keep = keepAll, nil
	}
	var err error
	side.Store, err = embedded.Open(e)
	return side, err
}

func (c *Config) openInfluxSide(ctx context.Context, o MigrateOptions, keep map[rollup.Level]time.Duration) (migrate.Side, error) {
	side := migrate.Side{Name: StoreInflux, Place: c.Influx.URL + " " + c.Influx.Database}
	so := setup.Options{Config: c.Influx, Keep: keep, Now: o.Now}
	var err error
	if side.Keep, err = setup.Kept(ctx, so); err != nil {
		return side, err
	}
	// What is wrong with how long it keeps rows is for the migration to judge: it knows how old they are.
	so.Keep = side.Keep
	var wrong []string
	for _, f := range setup.Check(ctx, so).Findings {
		if f.Severity == setup.Wrong {
			wrong = append(wrong, strings.TrimSpace(f.Part+" "+f.Name)+": "+f.What+" -> "+f.Fix)
		}
	}
	if len(wrong) > 0 {
		return side, fmt.Errorf("the database is not ready:\n  %s", strings.Join(wrong, "\n  "))
	}
	raw := side.Keep[rollup.Raw]
	if raw == 0 || raw > keepAll {
		raw = keepAll
	}
	side.Store, err = influx.Open(ctx, influx.Options{Config: c.Influx, Retention: raw, LateWindow: raw, Keep: side.Keep, Now: o.Now, Log: o.Log})
	return side, err
}

// copyMarks lets the target's rollups count as worked out as far as the source's were.
func (c *Config) copyMarks(ctx context.Context, reg *registry.Registry, o MigrateOptions) error {
	fromCfg, toCfg := c.named(o.From), c.named(o.To)
	from, to := reg.Rollups().Of(fromCfg.StoreName()), reg.Rollups().Of(toCfg.StoreName())
	frontier, err := from.Frontier(ctx)
	if err != nil {
		return err
	}
	sites, err := from.Sites(ctx)
	if err != nil {
		return err
	}
	hours, err := from.Due(ctx)
	if err != nil {
		return err
	}
	// The frontier last: with it the hours before count as done.
	return errors.Join(to.AddSites(ctx, sites...), to.Mark(ctx, hours), to.SetFrontier(ctx, frontier))
}

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
