// Package transfer brings the stores of a collector's settings together with what copies them: into each other, and
// into files.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"communewatch/collector"
	"communewatch/collector/export/remote"
	"communewatch/collector/migrate"
	"communewatch/collector/registry"
	"communewatch/collector/rollup"
	"communewatch/collector/store/embedded"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
)

// MigrateOptions says what to copy where.
type MigrateOptions struct {
	From, To     string // embedded or influx
	Verify       bool   // compare, and copy nothing
	IntoExisting bool   // see migrate.Options
	DropOld      bool
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger
	Progress     func(migrate.Progress)
	Warn         func(string) // told what is wrong with a database and does not hinder a migration; nil: nobody listens
}

// keepAll is how long a store that is only read keeps what it has: a source loses nothing while it is copied.
const keepAll = 10 * 366 * 24 * time.Hour

// Migrate copies one store of these settings into the other, and what the registry knows of its rollups, so that
// nothing is worked out anew. No collector may run. What is left to do afterwards is to change the settings.
func Migrate(ctx context.Context, cfg collector.Config, o MigrateOptions) (result migrate.Result, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := check(&cfg, o); err != nil {
		return result, err
	}
	if err := refuseRunning(ctx, cfg); err != nil {
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

	m := migrate.Options{File: cfg.MigrationFile(), Keep: SetupOptions(cfg).Keep, IntoExisting: o.IntoExisting, DropOld: o.DropOld, Now: o.Now, Progress: o.Progress}
	if m.From, err = openSide(ctx, &cfg, o, o.From, m.Keep, true); err != nil {
		return result, fmt.Errorf("--from %s: %w", o.From, err)
	}
	defer func() { err = errors.Join(err, m.From.Store.Close()) }()
	if m.To, err = openSide(ctx, &cfg, o, o.To, m.Keep, false); err != nil {
		return result, fmt.Errorf("--to %s: %w", o.To, err)
	}
	defer func() { err = errors.Join(err, m.To.Store.Close()) }()
	if o.Verify {
		return migrate.Verify(ctx, m)
	}
	m.Done = func(ctx context.Context, mixed bool) error { return copyMarks(ctx, &cfg, reg, o, mixed) }
	return migrate.Run(ctx, m)
}

func check(cfg *collector.Config, o MigrateOptions) error {
	for flag, name := range map[string]string{"--from": o.From, "--to": o.To} {
		if name != collector.StoreEmbedded && name != collector.StoreInflux {
			return fmt.Errorf("%s: %.40q is not embedded or influx", flag, name)
		}
	}
	if o.From == o.To {
		return fmt.Errorf("--from and --to are both %s; to copy a store of one kind, see backup", o.From)
	}
	var problems []string
	cfg.Influx.Validate(func(at, format string, args ...any) {
		problems = append(problems, "influx."+at+": "+fmt.Sprintf(format, args...))
	})
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// refuseRunning makes sure that nobody else writes to either store: an embedded one has a lock, a database has none.
func refuseRunning(ctx context.Context, cfg collector.Config) error {
	client := remote.Client{HTTP: collector.Socket(cfg)}
	defer client.HTTP.CloseIdleConnections()
	if _, err := client.Measurements(ctx); collector.NotRunning(err) {
		return nil
	}
	return errors.New("a collector runs on this data_dir; stop it first (systemctl stop communewatch-collector): agents keep what they measure meanwhile")
}

// openSide opens a store so that it takes rows of any age that it keeps, or drops nothing while it is read.
func openSide(ctx context.Context, cfg *collector.Config, o MigrateOptions, name string, keep map[rollup.Level]time.Duration, source bool) (migrate.Side, error) {
	if name == collector.StoreInflux {
		return openInfluxSide(ctx, cfg, o)
	}
	side := migrate.Side{Name: name, Place: cfg.StoreDir(), Keep: keep}
	e := embedded.Options{Dir: cfg.StoreDir(), Retention: cfg.Retention, LateWindow: cfg.Retention, Keep: cfg.Rollups.Keep(), Texts: collector.ClosedTexts(), Now: o.Now, Log: o.Log}
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

func openInfluxSide(ctx context.Context, cfg *collector.Config, o MigrateOptions) (migrate.Side, error) {
	side := migrate.Side{Name: collector.StoreInflux, Place: cfg.Influx.URL + " " + cfg.Influx.Database}
	so := SetupOptions(*cfg)
	so.Now = o.Now
	var err error
	if side.Keep, err = setup.Kept(ctx, so); err != nil {
		return side, err
	}
	// What is wrong with how long it keeps rows is for the migration to judge: it knows how old they are.
	so.Keep = side.Keep
	var wrong []string
	for _, f := range setup.Check(ctx, so).Findings {
		text := strings.TrimSpace(f.Part+" "+f.Name) + ": " + f.What + " -> " + f.Fix
		switch {
		case f.Severity != setup.Wrong:
		case f.Part == "writers":
			// Whoever wants to leave a database that others fill must be able to; a target that holds anything is refused
			// without this.
			if o.Warn != nil {
				o.Warn(text)
			}
		default:
			wrong = append(wrong, text)
		}
	}
	if len(wrong) > 0 {
		return side, fmt.Errorf("the database is not ready:\n  %s", strings.Join(wrong, "\n  "))
	}
	raw := side.Keep[rollup.Raw]
	if raw == 0 || raw > keepAll {
		raw = keepAll
	}
	side.Store, err = influx.Open(ctx, influx.Options{Config: cfg.Influx, Retention: raw, LateWindow: raw, Keep: side.Keep, Now: o.Now, Log: o.Log})
	return side, err
}

// copyMarks lets the target's rollups count as worked out as far as the source's were. Of a mixed target they were made of
// the rows of one store alone, so they are worked out anew as far back as there are rows.
func copyMarks(ctx context.Context, cfg *collector.Config, reg *registry.Registry, o MigrateOptions, mixed bool) error {
	source, target := *cfg, *cfg
	source.Store, target.Store = o.From, o.To
	from, to := reg.Rollups().Of(source.StoreName()), reg.Rollups().Of(target.StoreName())
	frontier, err := from.Frontier(ctx)
	if err != nil {
		return err
	}
	if mixed {
		frontier = time.Time{}
	}
	sites, err := from.Sites(ctx)
	if err != nil {
		return err
	}
	hours, err := from.Due(ctx)
	if err != nil {
		return err
	}
	if err := to.AddSites(ctx, sites...); err != nil {
		return err
	}
	if err := to.Mark(ctx, hours); err != nil {
		return err
	}
	// The frontier last: with it the hours before count as done.
	if err := to.SetFrontier(ctx, frontier); err != nil {
		return err
	}
	return reg.Sync(ctx)
}
