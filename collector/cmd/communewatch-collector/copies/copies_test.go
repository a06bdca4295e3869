package copies_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/copies"
	"communewatch/collector/export"
	"communewatch/collector/migrate"
	"communewatch/collector/registry"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/rollup/due"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influxd"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
)

// childEnv makes this program a command line of its own, for a test that kills one.
const childEnv = "COMMUNEWATCH_TEST_COPIES"

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		if err := command(context.Background(), config, os.Stdout, os.Stderr, os.Args[1:]...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// command runs a command line.
func command(ctx context.Context, config string, stdout, stderr io.Writer, args ...string) error {
	read := func() (collector.Config, error) { return collector.ReadConfig(config) }
	root := &cobra.Command{SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(copies.Migrate(read), copies.Export(read), copies.Backup(read))
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// run is command for a test.
func run(t *testing.T, config string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = command(t.Context(), config, &out, &errs, args...)
	return out.String(), errs.String(), err
}

func must(t *testing.T, config string, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := run(t, config, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, stdout, stderr)
	}
	return stdout, stderr
}

// refused runs a command that must fail and say so.
func refused(t *testing.T, config string, want string, args ...string) {
	t.Helper()
	if stdout, stderr, err := run(t, config, args...); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v: %v, want %q\n%s%s", args, err, want, stdout, stderr)
	}
}

// settingsFile writes settings with a data folder beside them, and what else is given.
func settingsFile(t *testing.T, more string) (file string, cfg collector.Config) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cw") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file = filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:0\ntls: {mode: off}\npeople: {anonymous: admin}\ndata_dir: data\nretention: 240h\nout_of_order: 48h\n"+more), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err = collector.ReadConfig(file); err != nil {
		t.Fatal(err)
	}
	return file, cfg
}

// fill puts days of a site and of a foreign writer, and the windows made of them, into the embedded store of settings.
func fill(t *testing.T, cfg collector.Config, days, perHour int) {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Dir: cfg.StoreDir(), Retention: cfg.Retention, LateWindow: cfg.Retention})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	begin := time.Now().Add(-time.Duration(days) * 24 * time.Hour).Truncate(time.Hour)
	var points []probes.Point
	for i := range days * 24 * perHour {
		at := begin.Add(time.Duration(i) * time.Hour / time.Duration(perHour)).Truncate(time.Millisecond)
		for _, site := range []string{"s1", "s2"} {
			tags := probes.Tags{{Key: "agent", Value: "a"}, {Key: "path", Value: "dedicated"}, {Key: "site", Value: site}, {Key: "target", Value: "anchor"}}
			points = append(points,
				probes.Point{Measurement: "icmp", Tags: tags, Time: at, Fields: []probes.Field{probes.Int("sent", 20), probes.Int("lost", int64(i%3)), probes.Float("rtt_median_seconds", 0.01+1/float64(i+3))}},
				probes.Point{Measurement: "check", Tags: tags.With("kind", "icmp").With("layer", "internet"), Time: at, Fields: []probes.Field{probes.String("outcome", "ok"), probes.Bool("up", true), probes.String("error", fmt.Sprintf("lần %d \"x\" \\", i%7))}})
		}
		if i%10 == 0 {
			points = append(points, probes.Point{Measurement: "cpu load", Tags: probes.Tags{{Key: "host", Value: "máy=chủ, 1"}}, Time: at, Fields: []probes.Field{probes.Float("usage %", 0.1*float64(i))}})
		}
	}
	for part := range slices.Chunk(points, 5000) {
		if err := s.Append(t.Context(), storetest.Rows(t, part...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, level := range rollup.Levels() {
		fold := rollup.NewFold(level, cfg.Location())
		for _, m := range []string{"icmp", "check"} {
			if err := s.Select(t.Context(), store.Query{Measurement: m, From: begin, To: time.Now()}, func(s store.Series) error {
				fold.Add(s.Measurement, s.Field, s.Tags, s.Times, s.Values, s.Texts)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		rows := fold.Rows()
		for _, site := range []string{"s1", "s2"} { // what reports are made of, which no rows of a contract are behind
			rows = append(rows, rollup.Row{Measurement: reports.Measurement, Tags: probes.Tags{{Key: "layer", Value: "internet"}, {Key: "site", Value: site}},
				Start: level.Start(begin, cfg.Location()).UnixMilli(), Fields: []rollup.Field{{Key: "up", Value: rollup.Aggregate{Total: true, Sum: 3600}}}})
		}
		if err := s.PutRollups(t.Context(), level, rows); err != nil {
			t.Fatal(err)
		}
	}
}

// lines exports all rows and all windows of settings as line protocol, by level.
func lines(t *testing.T, config string) map[rollup.Level]string {
	t.Helper()
	all := map[rollup.Level]string{}
	for _, l := range append(rollup.Levels(), rollup.Raw) {
		out, errs := must(t, config, "export", "--format=lp", "--resolution="+l.String(), "--from", time.Now().AddDate(0, -2, 0).Format("2006-01-02"))
		if !strings.Contains(out, export.Ending) || !strings.Contains(errs, "export complete") {
			t.Errorf("the export of %s does not end as it should:\n%s", l, errs)
		}
		all[l] = out
	}
	return all
}

// database starts an InfluxDB and returns the settings that name a database in it, which is not made yet.
func database(t *testing.T, name string) string {
	t.Helper()
	s, err := influxd.New(influxd.Options{Dir: t.TempDir()})
	if err == nil {
		err = s.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return fmt.Sprintf("influx: {url: %q, database: %s}\n", s.URL(), name)
}

// setUp makes the databases of settings.
func setUp(t *testing.T, cfg collector.Config) {
	t.Helper()
	keep := maps.Clone(cfg.Rollups.Keep())
	keep[rollup.Raw] = cfg.Retention
	if _, err := setup.Setup(t.Context(), setup.Options{Config: cfg.Influx, Keep: keep}); err != nil {
		t.Fatal(err)
	}
}

// registered opens the registry of settings for a moment.
func registered(t *testing.T, cfg collector.Config, do func(*registry.Registry) error) {
	t.Helper()
	reg, err := registry.Open(t.Context(), cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(reg), reg.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestThereAndBack copies an embedded store into a real InfluxDB, with a kill -9 on the way, and from there into a second
// embedded store. All three hold the same to the last bit.
func TestThereAndBack(t *testing.T) {
	influx := database(t, "there")
	config, cfg := settingsFile(t, influx)
	fill(t, cfg, 3, 30)
	want, wantTables := lines(t, config), tables(t, config)
	frontier := time.Now().Truncate(time.Hour).Add(-3 * time.Hour).UTC()
	hour := due.Hour{Site: "s1", Start: frontier.Add(-24 * time.Hour).UnixMilli(), Generation: 1}
	registered(t, cfg, func(reg *registry.Registry) error {
		m := reg.Rollups().Of(cfg.StoreName())
		return errors.Join(m.SetFrontier(t.Context(), frontier), m.AddSites(t.Context(), "s1", "s2"), m.Mark(t.Context(), []due.Hour{hour}))
	})
	refused(t, config, "influx setup", "migrate", "--from=embedded", "--to=influx")
	setUp(t, cfg)

	// Killed once it has written something: the first progress of windows comes after all rows.
	child := exec.Command(os.Args[0], "migrate", "--from=embedded", "--to=influx")
	child.Env = append(os.Environ(), childEnv+"="+config)
	said := &untilSaid{word: "copy 5m windows", found: make(chan struct{})}
	child.Stderr = said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	select {
	case <-said.found:
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ended
	case err := <-ended:
		t.Fatalf("the command ended before it could be killed: %v\n%s", err, said.String())
	}
	state, err := migrate.ReadState(cfg.MigrationFile())
	if err != nil || state.Finished {
		t.Fatalf("after the kill: %+v, %v", state, err)
	}

	// Nobody may run on half of a past, and a half can't be mistaken for the whole.
	half := cfg
	half.Store = collector.StoreInflux
	if err := collector.New(half, collector.Options{Log: slog.New(slog.DiscardHandler)}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "only part of the past") {
		t.Errorf("serve on the target: %v", err)
	}

	stdout, stderr := must(t, config, "migrate", "--from=embedded", "--to=influx")
	for _, part := range []string{"compare rows of embedded: 100.0 %", "compare rows of influx: 100.0 %", "copy 1mo windows: 100.0 %"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("lacks %q:\n%s", part, stderr)
		}
	}
	for _, part := range []string{"copied and compared", "set store: influx"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("lacks %q:\n%s%s", part, stdout, stderr)
		}
	}
	must(t, config, "migrate", "--from=embedded", "--to=influx", "--verify")
	must(t, config, "migrate", "--from=embedded", "--to=influx") // once more, for what was measured since
	influxConfig := filepath.Join(filepath.Dir(config), "influx.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(influxConfig, append(text, "store: influx\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	same(t, "InfluxDB", lines(t, influxConfig), want)
	gotTables := tables(t, influxConfig)
	same(t, "InfluxDB", gotTables, wantTables)
	if len(wantTables) != 6 || len(gotTables) != 6 {
		t.Errorf("%d tables, %d of InfluxDB, want 3 of rows and 3 of windows", len(wantTables), len(gotTables))
	}
	influxCfg, err := collector.ReadConfig(influxConfig)
	if err != nil {
		t.Fatal(err)
	}
	registered(t, cfg, func(reg *registry.Registry) error {
		m := reg.Rollups().Of(influxCfg.StoreName())
		at, err := m.Frontier(t.Context())
		sites, serr := m.Sites(t.Context())
		hours, herr := m.Due(t.Context())
		if !at.Equal(frontier) || !slices.Equal(sites, []string{"s1", "s2"}) || len(hours) != 1 || hours[0].Start != hour.Start {
			t.Errorf("frontier %v, sites %v, due %v", at, sites, hours)
		}
		return errors.Join(err, serr, herr)
	})
	refused(t, influxConfig, "is finished, and the collector uses what it made", "migrate", "--from=embedded", "--to=influx")

	second, _ := settingsFile(t, influx)
	must(t, second, "migrate", "--from=influx", "--to=embedded")
	same(t, "the second embedded store", lines(t, second), want)

	// A third province's collector must not pour into the same database.
	third, thirdCfg := settingsFile(t, influx)
	fill(t, thirdCfg, 1, 6)
	refused(t, third, "the target holds data already", "migrate", "--from=embedded", "--to=influx")

	// If it is to all the same, no window counts as worked out: those that are there were made without the other's rows.
	thirdInflux := thirdCfg
	thirdInflux.Store = collector.StoreInflux
	registered(t, thirdCfg, func(reg *registry.Registry) error {
		return errors.Join(reg.Rollups().Of(thirdCfg.StoreName()).SetFrontier(t.Context(), frontier), reg.Rollups().Of(thirdInflux.StoreName()).SetFrontier(t.Context(), frontier))
	})
	must(t, third, "migrate", "--from=embedded", "--to=influx", "--into-existing")
	must(t, third, "migrate", "--from=embedded", "--to=influx", "--verify")
	registered(t, thirdCfg, func(reg *registry.Registry) error {
		at, err := reg.Rollups().Of(thirdInflux.StoreName()).Frontier(t.Context())
		if !at.IsZero() {
			t.Errorf("windows of a mixed store count as worked out to %v", at)
		}
		return err
	})
}

// tables exports all rows and the windows of an hour as CSV, and returns the files by name.
func tables(t *testing.T, config string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, resolution := range []string{"raw", "1h"} {
		dir := filepath.Join(t.TempDir(), resolution)
		must(t, config, "export", "--format=csv", "--resolution="+resolution, "--from", time.Now().AddDate(0, -2, 0).Format("2006-01-02"), "--output", dir)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[resolution+" "+e.Name()] = string(data)
		}
	}
	return all
}

func same[K comparable](t *testing.T, what string, got, want map[K]string) {
	t.Helper()
	for l, text := range want {
		if got[l] == text {
			continue
		}
		g, w := strings.Split(got[l], "\n"), strings.Split(text, "\n")
		for i := range w {
			if i >= len(g) || g[i] != w[i] {
				t.Errorf("%s, %v: %d lines, want %d; the first that differs is\n%.300s\nwant\n%.300s", what, l, len(g), len(w), at(g, i), w[i])
				break
			}
		}
	}
}

func at(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return "(none)"
}

// untilSaid is an output that tells when a word came.
type untilSaid struct {
	word  string
	found chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	once sync.Once
}

func (u *untilSaid) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.text.Write(b)
	if strings.Contains(u.text.String(), u.word) {
		u.once.Do(func() { close(u.found) })
	}
	return len(b), nil
}

func (u *untilSaid) String() string { u.mu.Lock(); defer u.mu.Unlock(); return u.text.String() }

// TestShortRetention has rows that the database does not keep.
func TestShortRetention(t *testing.T) {
	config, cfg := settingsFile(t, database(t, "short"))
	fill(t, cfg, 4, 6)
	short := cfg
	short.Retention = 48 * time.Hour
	setUp(t, short)
	refused(t, config, "--drop-old", "migrate", "--from=embedded", "--to=influx")
	stdout, _ := must(t, config, "migrate", "--from=embedded", "--to=influx", "--drop-old")
	if !strings.Contains(stdout, "are older than the target keeps") {
		t.Error(stdout)
	}
}

// TestExportWhileTheCollectorRuns gives the same as an export of a store that nobody has open.
func TestExportWhileTheCollectorRuns(t *testing.T) {
	config, cfg := settingsFile(t, "")
	refused(t, config, "nothing to export", "export", "--format=lp", "--from=2026-01-01")
	fill(t, cfg, 2, 6)
	from := time.Now().Add(-30 * time.Hour).Format(time.RFC3339)
	args := []string{"export", "--format=csv", "--measurement=icmp", "--site=s1", "--from", from, "--to", time.Now().Format(time.RFC3339)}
	before, said := must(t, config, args...)
	if strings.Contains(said, "warning") {
		t.Error(said)
	}
	for _, resolution := range []string{"raw", "1h"} {
		_, said = must(t, config, "export", "--format=lp", "--site=s1", "--site=s'x", "--resolution="+resolution, "--from", from)
		if strings.Count(said, "warning") != 1 || !strings.Contains(said, `nothing of site "s'x"`) {
			t.Errorf("%s: of a site that is not: %s", resolution, said)
		}
	}

	ctx, stop := context.WithCancel(t.Context())
	ready := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- collector.New(cfg, collector.Options{Log: slog.New(slog.DiscardHandler), Ready: func(a string) { ready <- a }}).Run(ctx)
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the collector ended: %v", err)
	}
	during, _ := must(t, config, args...)
	refused(t, config, "stop it first", "migrate", "--from=embedded", "--to=influx")
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if before != during || strings.Count(before, "\r\n") < 100 {
		t.Errorf("%d bytes before, %d while it runs", len(before), len(during))
	}
}

// TestBackupSaysWhere names the folder so that what is left to do may be done from elsewhere.
func TestBackupSaysWhere(t *testing.T) {
	config, cfg := settingsFile(t, "store: influx\ninflux: {url: 'http://127.0.0.1:1', database: cw}\n")
	registered(t, cfg, func(*registry.Registry) error { return nil })
	t.Chdir(filepath.Dir(config))
	stdout, stderr := must(t, config, "backup", "bk")
	for _, part := range []string{"backup complete in " + filepath.Join(filepath.Dir(config), "bk"), filepath.Join(filepath.Dir(config), "bk", "influx")} {
		if !strings.Contains(stdout, part) {
			t.Errorf("lacks %q:\n%s%s", part, stdout, stderr)
		}
	}
}

func TestMistakes(t *testing.T) {
	config, _ := settingsFile(t, "")
	for want, args := range map[string][]string{
		`--from: "" is not embedded or influx`:           {"migrate", "--to=influx"},
		"--from and --to are both influx":                {"migrate", "--from=influx", "--to=influx"},
		"there is no store":                              {"migrate", "--from=embedded", "--to=influx"},
		`--from: "gestern" is not a time; write 2026`:    {"export", "--format=lp", "--from=gestern"},
		`--resolution: "7m" is no resolution; there are`: {"export", "--format=lp", "--from=2026-01-01", "--resolution=7m"},
		"is in the future, and nothing":                  {"export", "--format=lp", "--from=2999-01-01"},
		`--format: "" is none of lp, csv and parquet`:    {"export", "--from=2026-01-01"},
	} {
		refused(t, config, want, args...)
	}
}
