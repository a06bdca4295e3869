package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"communewatch/collector"
	"communewatch/collector/health/rules"
	"communewatch/collector/registry"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/past"
	"communewatch/probes"
)

// Bounds of Config.Past: two whole months at least, so that there is one to report on, and what collectors keep at most.
const (
	minPast = 62 * 24 * time.Hour
	maxPast = 5 * 365 * 24 * time.Hour
)

// How finely a demo's past is told: as charts of each length ask for it, and no finer, since a demo's start is waited
// for. Rows reach back a day, and the hour more from which a judge of that day begins.
const (
	pastRows      = 25 * time.Hour
	pastRowsEvery = 5 * time.Minute
	pastPingHours = 31 * 24 * time.Hour
	pastLineHours = 8 * 24 * time.Hour
	// Of the first few sites more is told, for whoever looks closer.
	pastHours       = 8 * 24 * time.Hour
	pastFiveMinutes = 24 * time.Hour
	pastFineSites   = 3
)

// pastFile says what of a lab's past was told, and keeps the audit from asking for a ledger of it.
const pastFile = "past.json"

// Past is what was told of a lab's past. The zero value is that of a lab without one.
type Past struct {
	From, To time.Time
	Sites    int
}

// ReadPast says what was told of the past of the lab in dir.
func ReadPast(dir string) (Past, error) {
	var p Past
	data, err := os.ReadFile(filepath.Join(dir, pastFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	return p, err
}

// pastSettings are the collector's settings in a lab with a past: offices have hours, so that reports have something to
// tell apart, and lines have something to be held against. The agents of a lab run day and night.
const pastSettings = `health:
  office_hours: [{days: [mon, tue, wed, thu, fri], from: "07:00", to: "17:00", holidays: [vn]}]
reports: {profiles: profiles.yaml}
`

// pastProfiles are invented, and say so wherever they are shown.
const pastProfiles = `# Made by communewatch-lab. No contract, decision or standard says this.
profiles:
  - name: mo-phong-bang-rong
    citation: "Mô phỏng của communewatch-lab, không phải giới hạn thật"
    layer: broadband
    hours: office
    limits: {availability: 0.985, loss: 0.01, rtt_p95: 60ms}
  - name: mo-phong-chuyen-dung
    citation: "Mô phỏng của communewatch-lab, không phải giới hạn thật"
    layer: dedicated
    hours: office
    limits: {availability: 0.995, loss: 0.005, rtt_p95: 30ms, jitter_p95: 5ms}
`

// TellPast gives a lab that was prepared with one its past, unless it has one. Nothing of the lab may run.
func (p *Province) TellPast(ctx context.Context) (told past.Filled, err error) {
	had, err := ReadPast(p.cfg.Dir)
	if err != nil || p.cfg.Past == 0 || !had.To.IsZero() {
		return told, err
	}
	cfg, err := p.collectorConfig()
	if err != nil {
		return told, err
	}
	cfg, release, err := database.Attend(ctx, p.cfg.Dir, cfg)
	if err != nil {
		return told, err
	}
	defer release()
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: p.cfg.Log})
	if err != nil {
		return told, err
	}
	defer func() { err = errors.Join(err, reg.Close()) }()
	marks := reg.Rollups().Of(cfg.StoreName())
	if done, err := marks.Frontier(ctx); err != nil || !done.IsZero() {
		return told, errors.Join(err, fmt.Errorf("this lab has run before, and its real past can't be added to; name a new folder"))
	}
	zone := cfg.Location()
	now := time.Now().Truncate(time.Second)
	to := now.Truncate(time.Hour)
	o := past.Options{
		Sites: p.Sites(), From: rollup.Day.Start(to.Add(-p.cfg.Past), zone), To: to, Zone: zone, Seed: 1,
		LineHours: pastLineHours, PingHours: pastPingHours, Hours: pastHours, FiveMinutes: pastFiveMinutes, FineSites: pastFineSites,
		Raw: pastRows, RawTo: now, RawEvery: pastRowsEvery,
		Calendar: rules.Compile(cfg.Health).Calendar,
	}
	if told, err = p.fill(ctx, cfg, o); err != nil {
		return told, err
	}
	for site, spans := range told.Off {
		if err := reg.Lines().Ran(ctx, site, "pc-1", o.From, o.RawTo, spans); err != nil {
			return told, err
		}
	}
	if _, err := reg.Lines().Import(ctx, p.agreements(o.From), "communewatch-lab", "communewatch-lab (mô phỏng)", false); err != nil {
		return told, fmt.Errorf("contracts: %w", err)
	}
	if err := errors.Join(marks.AddSites(ctx, o.Sites...), marks.SetFrontier(ctx, to)); err != nil {
		return told, err
	}
	data, err := json.Marshal(Past{From: o.From, To: o.RawTo, Sites: len(o.Sites)})
	if err != nil {
		return told, err
	}
	return told, os.WriteFile(filepath.Join(p.cfg.Dir, pastFile), data, 0o600)
}

func (p *Province) fill(ctx context.Context, cfg collector.Config, o past.Options) (told past.Filled, err error) {
	st, err := collector.OpenStore(ctx, cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return told, err
	}
	told, err = past.Fill(ctx, o, st)
	return told, errors.Join(err, st.Close())
}

// agreements are the contracts of all lines, from the first day of the past on.
func (p *Province) agreements(from time.Time) (list []reports.Agreement) {
	day := from.Format(time.DateOnly)
	for i, s := range p.sites {
		provider := past.ProviderOf(i)
		list = append(list,
			reports.Agreement{Site: s.ID, Layer: probes.LayerBroadband, Contract: reports.Contract{
				Provider: provider.Name, Number: fmt.Sprintf("MP-%03d/BR", i+1), DownMbps: 150, UpMbps: 150, Profile: "mo-phong-bang-rong", Monthly: provider.Monthly, From: day}},
			reports.Agreement{Site: s.ID, Layer: probes.LayerDedicated, Contract: reports.Contract{
				Provider: past.DedicatedProvider, Number: fmt.Sprintf("MP-%03d/CD", i+1), DownMbps: 20, UpMbps: 20, Profile: "mo-phong-chuyen-dung", Monthly: 1_500_000, From: day}})
	}
	return list
}
