package collector

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"communewatch/collector/history"
	"communewatch/collector/registry"
	"communewatch/collector/reports"
	"communewatch/collector/reports/desk"
	"communewatch/collector/reports/figures"
	"communewatch/collector/store"
)

// newReporter makes the reporter of these settings.
func newReporter(cfg *Config, st store.Rolled, reg *registry.Registry, progress func() history.Progress, now func() time.Time) (reports.Reporter, error) {
	profiles, err := cfg.LineProfiles()
	if err != nil {
		return nil, err
	}
	return figures.New(figures.Options{
		Windows: st, Progress: progress, Sites: reg, Lines: reg.Lines(), Rules: cfg.Health, Profiles: profiles, Zone: cfg.Location(), Now: now,
	}), nil
}

// LineReport makes a report on lines. A collector that runs with these settings makes it; where none does, this program
// opens the stores itself.
func LineReport(ctx context.Context, cfg Config, q reports.Query) (*reports.Report, error) {
	r, err := desk.Ask(ctx, socketClient(cfg.socketFile()), q)
	if !NotRunning(err) {
		return r, err
	}
	if _, err := os.Stat(cfg.RegistryFile()); err != nil {
		return nil, fmt.Errorf("nothing to report on: %w", err)
	}
	log := slog.New(slog.DiscardHandler)
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: log})
	if err != nil {
		return nil, err
	}
	defer reg.Close()
	st, err := OpenStore(ctx, cfg, time.Now, log)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	progress, err := StoredProgress(ctx, cfg, reg)
	if err != nil {
		return nil, err
	}
	reporter, err := newReporter(&cfg, st, reg, func() history.Progress { return progress }, time.Now)
	if err != nil {
		return nil, err
	}
	return reporter.Report(ctx, q)
}

// StoredProgress is how far rollups are, as the last collector left them.
func StoredProgress(ctx context.Context, cfg Config, reg *registry.Registry) (p history.Progress, err error) {
	marks := reg.Rollups().Of(cfg.StoreName())
	if p.To, err = marks.Frontier(ctx); err != nil {
		return p, err
	}
	hours, err := marks.Due(ctx)
	if err != nil {
		return p, err
	}
	for _, h := range hours {
		if at := time.UnixMilli(h.Start); p.Pending == 0 || at.Before(p.Oldest) {
			p.Oldest = at
		}
		p.Pending++
	}
	return p, nil
}
