package rollups

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/inventory"
	"communewatch/probes/wire"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a data folder in which results lie that nobody worked out: they were brought there by hand.
type place struct {
	t   *testing.T
	cfg collector.Config
	day string // of the results
}

func newPlace(t *testing.T) *place {
	dir := t.TempDir()
	file := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:0\ntls: {mode: off}\npeople: {anonymous: admin}\ndata_dir: data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := collector.ReadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, cfg: cfg}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := p.registry(func(reg *registry.Registry) error {
		if _, err := reg.ImportSites(t.Context(), []inventory.Site{{ID: "s1", Name: "Tam Sơn"}}, false); err != nil {
			return err
		}
		return reg.Rollups().Of(cfg.StoreName()).SetFrontier(t.Context(), now.Truncate(time.Hour))
	}); err != nil {
		t.Fatal(err)
	}
	st := p.open()
	defer st.Close()
	at := now.Add(-48 * time.Hour)
	p.day = at.In(cfg.Location()).Format(time.DateOnly)
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse(fmt.Appendf(nil, "icmp,agent=pc,path=lan,site=s1,target=gw sent=10i,lost=1i %d\n", at.UnixNano()), time.Nanosecond, 0)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if err := st.Append(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) registry(do func(*registry.Registry) error) error {
	reg, err := registry.Open(context.Background(), p.cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer reg.Close()
	return do(reg)
}

func (p *place) open() store.Store {
	p.t.Helper()
	st, err := collector.OpenStore(p.t.Context(), p.cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

// windows is how many windows of a level there are.
func (p *place) windows(level rollup.Level) (n int) {
	p.t.Helper()
	st := p.open()
	defer st.Close()
	q := store.RollupQuery{Level: level, From: time.Now().AddDate(0, -2, 0), To: time.Now().AddDate(0, 2, 0)}
	if err := st.Rollups(p.t.Context(), q, func(s store.RollupSeries) error { n += len(s.Rows); return nil }); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *place) run(args ...string) (stdout, stderr string, err error) {
	cmd := New(program.Access{
		Config:   func() (collector.Config, error) { return p.cfg, nil },
		Registry: func(_ *cobra.Command, do func(*registry.Registry) error) error { return p.registry(do) },
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var out, errs bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.ExecuteContext(p.t.Context())
	return out.String(), errs.String(), err
}

// Without a collector the command does the work itself, and says so.
func TestRebuildAlone(t *testing.T) {
	p := newPlace(t)
	if out, errs, err := p.run("status"); err != nil || !strings.Contains(errs, "no collector runs") || !strings.Contains(out, "worked out up to ") {
		t.Errorf("%q %q %v", out, errs, err)
	}
	out, _, err := p.run("rebuild", "--from", p.day, "--to", p.day, "--site", "s1")
	if err != nil || out != "24 hours of sites were worked out\n" {
		t.Fatalf("%q %v", out, err)
	}
	for _, level := range []rollup.Level{rollup.FiveMinutes, rollup.Hour, rollup.Day} {
		if p.windows(level) == 0 {
			t.Errorf("no windows of %v", level)
		}
	}
	if out, _, err := p.run("status"); err != nil || !strings.Contains(out, "no hour waits") {
		t.Errorf("%q %v", out, err)
	}
}

// A collector that runs does the work; the command says how far it is.
func TestRebuildByTheCollector(t *testing.T) {
	p := newPlace(t)
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	c := collector.New(p.cfg, collector.Options{Log: slog.New(slog.DiscardHandler), Ready: func(a string) { ready <- a }})
	go func() { done <- c.Run(ctx) }()
	defer cancel()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	out, _, err := p.run("rebuild", "--from", p.day, "--to", p.day, "--site", "s1", "--site", "s1")
	if err != nil || !strings.HasPrefix(out, "24 hours of sites are marked") {
		t.Errorf("%q %v", out, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		out, errs, err := p.run("status")
		if err != nil || errs != "" || time.Now().After(deadline) {
			t.Fatalf("%q %q %v", out, errs, err)
		}
		if strings.Contains(out, "no hour waits") {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if p.windows(rollup.Hour) == 0 {
		t.Error("no windows of an hour")
	}
}

func TestMistakes(t *testing.T) {
	p := newPlace(t)
	today := time.Now().In(p.cfg.Location()).Format(time.DateOnly)
	for want, args := range map[string][]string{
		"from must be a day such as":          {"rebuild", "--to", today},
		"from must not be after to":           {"rebuild", "--from", today, "--to", p.day},
		"s9 is not in the registry":           {"rebuild", "--from", p.day, "--to", today, "--site", "s1", "--site", "s9"},
		"raw results yet, which are kept for": {"rebuild", "--from", "2020-01-01", "--to", "2020-01-02"},
		`unknown command "fly"`:               {"fly"},
	} {
		if out, _, err := p.run(args...); err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%v: %q, %v; want %q", args, out, err, want)
		}
	}
}
