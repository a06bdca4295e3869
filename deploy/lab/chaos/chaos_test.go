package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"communewatch/collector"
	"communewatch/deploy/lab"
)

// partOf tells a copy of the test program that it is one process of a lab, to be killed.
const partOf = "COMMUNEWATCH_CHAOS_PART"

func TestMain(m *testing.M) {
	if dir := os.Getenv(partOf); dir != "" {
		if err := runPart(dir, os.Args[1] == "collector", os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runPart(dir string, collector bool, agents string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p, err := lab.Open(dir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	parts := lab.Parts{Collector: collector}
	if agents != "" {
		parts.Agents = strings.Split(agents, ",")
	}
	l, err := lab.Start(ctx, p, parts)
	if err != nil {
		return err
	}
	defer l.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.Failed():
		return err
	}
}

func command(dir string, collector bool, agents []string) *exec.Cmd {
	what := "agents"
	if collector {
		what = "collector"
	}
	cmd := exec.Command(os.Args[0], what, strings.Join(agents, ","))
	cmd.Env = append(os.Environ(), partOf+"="+dir)
	return cmd
}

// shortDir is a temporary folder without the test's name in it: the path of a socket has room for some hundred bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cw-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestKillsLoseNothingAndDoubleNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for most of a minute; run without -short")
	}
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	cfg := lab.Config{Dir: shortDir(t), Listen: "127.0.0.1:21090", Sites: 6, Block: 155, Interval: 6 * time.Second, Log: slog.New(slog.DiscardHandler)}
	r, err := Run(t.Context(), cfg, Options{
		Command: command, Groups: 2, For: 25 * time.Second, Away: 8 * time.Second, Settle: 5 * time.Second, Seed: 11, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d of the collector\n%s", r.Kills, r.CollectorKills, r.String())
	if r.Lost > 0 || r.Doubled > 0 || r.Waiting > 0 {
		t.Errorf("results were lost or doubled: %s", r.String())
	}
	if r.Taken < 100 || r.CollectorKills == 0 || r.CollectorKills == r.Kills {
		t.Errorf("%d results, %d kills, %d of them of the collector: that was no torment", r.Taken, r.Kills, r.CollectorKills)
	}
}

// TestADatabaseThatDiesLosesNothing kills the InfluxDB every few seconds while results come in, and then keeps it away.
// Screens must say so, and since when, and stop saying so; agents must keep what they could not deliver, and be rid of
// it afterwards.
func TestADatabaseThatDiesLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a database for most of a minute; run without -short")
	}
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	cfg := lab.Config{Dir: shortDir(t), Listen: "127.0.0.1:21092", Sites: 6, Block: 154, Interval: 6 * time.Second, Store: collector.StoreInflux,
		Log: slog.New(slog.DiscardHandler)}
	r, err := Run(t.Context(), cfg, Options{
		Command: command, Groups: 2, For: 15 * time.Second, DatabaseAlone: true, Away: 20 * time.Second, Settle: 8 * time.Second, Seed: 12, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills\n%s\n%s", r.Kills, &r.Absence, r.String())
	if r.Lost > 0 || r.Doubled > 0 || r.Waiting > 0 {
		t.Errorf("results were lost or doubled: %s", r.String())
	}
	if r.Taken < 100 || r.DatabaseKills < 3 || r.DatabaseKills != r.Kills {
		t.Errorf("%d results, %d kills, %d of them of the database: that was no torment", r.Taken, r.Kills, r.DatabaseKills)
	}
	a := r.Absence
	if a.Said.IsZero() || a.Since.IsZero() || a.Since.After(a.Said) || a.Said.After(a.Back) || a.Reason == "" {
		t.Errorf("while the database was away screens did not say so, or not since when and why: %s", &a)
	}
	if a.Unsaid.Before(a.Back) {
		t.Errorf("the database is back and screens don't say so: %s", &a)
	}
	if a.Spooled < 6 || a.Left >= a.Spooled {
		t.Errorf("agents kept %d batches at most and %d in the end", a.Spooled, a.Left)
	}
}

// TestAPartThatEndsByItselfIsAnError: a run whose processes die of their own accord must not end in a clean audit.
func TestAPartThatEndsByItselfIsAnError(t *testing.T) {
	cfg := lab.Config{Dir: shortDir(t), Listen: "127.0.0.1:21091", Sites: 1, Block: 156, Interval: 6 * time.Second, Log: slog.New(slog.DiscardHandler)}
	_, err := Run(t.Context(), cfg, Options{
		Command: func(string, bool, []string) *exec.Cmd { return exec.Command("sh", "-c", "echo out of order; exit 3") },
		Groups:  1, For: 20 * time.Second, Away: time.Second, Settle: time.Second, Seed: 1, Log: slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), "ended by itself") || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("got %v", err)
	}
}
