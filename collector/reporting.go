package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"communewatch/collector/history"
	"communewatch/collector/registry"
	"communewatch/collector/reports"
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
	r, err := askForReport(ctx, cfg.socketFile(), q)
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

const (
	// maxReportQuery bounds a question over the socket.
	maxReportQuery = 64 << 10
	// maxReport bounds an answer: ten thousand lines are some 10 MB.
	maxReport = 256 << 20
)

// reportRoute answers questions for reports by programs of the same user.
func (c *Collector) reportRoute(from reports.Reporter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q reports.Query
		if err := json.NewDecoder(io.LimitReader(r.Body, maxReportQuery)).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		zone := c.cfg.Location() // a time that was sent knows its offset, and no calendar
		q.Period.From, q.Period.To = q.Period.From.In(zone), q.Period.To.In(zone)
		report, err := from.Report(r.Context(), q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(report); err != nil {
			c.log.Debug("a report was not taken", "error", err)
		}
	}
}

func askForReport(ctx context.Context, socket string, q reports.Query) (*reports.Report, error) {
	client := socketClient(socket)
	defer client.CloseIdleConnections()
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://collector/report", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running collector: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("the running collector could not: %s", bytes.TrimSpace(text))
	}
	report := &reports.Report{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReport)).Decode(report); err != nil {
		return nil, errors.Join(errors.New("the running collector's answer can't be read; are both of one version?"), err)
	}
	return report, nil
}
