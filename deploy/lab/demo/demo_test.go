package demo

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/deploy/lab"
)

func shortDir(t *testing.T) string {
	t.Helper()
	// The path of a socket has room for some hundred bytes, and a TempDir bears the test's whole name.
	dir, err := os.MkdirTemp("", "cw-demo-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestDemoTellsWhereToLookAndLeavesNothing runs a small demo as somebody does who tries the program.
func TestDemoTellsWhereToLookAndLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("watches a demo for half a minute; run without -short")
	}
	dir := filepath.Join(shortDir(t), "demo")
	var out bytes.Buffer
	cfg := lab.Config{Dir: dir, Listen: "127.0.0.1:21085", Sites: 3, Block: 158, Interval: 6 * time.Second, Calls: true, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if err := Run(t.Context(), cfg, Options{Out: &out, For: 25 * time.Second, Throwaway: true}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	at := -1
	for _, want := range []string{"preparing 3 sites", "starting equipment", "open http://127.0.0.1:21085/\n", "fault --help", "3 of 3 sites report", "stopping", "stopped in"} {
		next := strings.Index(out.String(), want)
		if next <= at {
			t.Errorf("%q is missing or comes too early", want)
		}
		at = max(at, next)
	}
	if t.Failed() {
		t.Log(out.String())
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the throw-away folder is still there: %v", err)
	}
}

// TestNothingButDemosIsCleared: a throw-away folder is emptied before use, unless it is somebody else's.
func TestNothingButDemosIsCleared(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "ledger"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), lab.Config{Dir: dir, Sites: 1, Interval: 6 * time.Second}, Options{Out: &bytes.Buffer{}, Throwaway: true})
	if err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.txt")); err != nil {
		t.Error(err)
	}
}

func TestBadScenarioStopsBeforeAnythingRuns(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "film.yaml")
	if err := os.WriteFile(file, []byte("steps:\n  - {at: 1s, do: flood}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := lab.Config{Dir: filepath.Join(dir, "demo"), Listen: "127.0.0.1:21086", Sites: 1, Block: 159, Interval: 6 * time.Second, Log: slog.New(slog.DiscardHandler)}
	var out bytes.Buffer
	err := Run(t.Context(), cfg, Options{Out: &out, Scenario: file})
	if err == nil || !strings.Contains(err.Error(), "film.yaml:2") || strings.Contains(out.String(), "starting") {
		t.Errorf("got %v\n%s", err, out.String())
	}
}

// A second demo must not touch the folder of one that is running.
func TestOneLabPerFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	release, err := claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "lab.log")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), lab.Config{Dir: dir, Sites: 1, Interval: 6 * time.Second, Listen: "127.0.0.1:0"}, Options{Out: io.Discard, Throwaway: true})
	if err == nil || !strings.Contains(err.Error(), "a lab is running") {
		t.Errorf("the second one: %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Errorf("it touched the first one's files: %v", err)
	}
	release()
	if release, err = claim(dir); err != nil {
		t.Fatalf("after the first one: %v", err)
	}
	release()

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(link); err == nil {
		t.Error("a link made by somebody was followed")
	}
}

// TestMistakesAreSaidOnce: before anything is prepared, and not by each of the checks.
func TestMistakesAreSaidOnce(t *testing.T) {
	for _, tc := range []struct {
		sites    int
		interval time.Duration
		want     string
	}{
		{0, 15 * time.Second, "0 sites: choose 1 to"},
		{3, 10 * time.Millisecond, "interval 10ms: choose 6s to 10m0s"},
		{3, time.Hour, "interval 1h0m0s: choose 6s to 10m0s"},
	} {
		dir := filepath.Join(shortDir(t), "demo")
		var out bytes.Buffer
		cfg := lab.Config{Dir: dir, Listen: "127.0.0.1:8970", Sites: tc.sites, Block: 190, Interval: tc.interval}
		err := Run(t.Context(), cfg, Options{Out: &out})
		if err == nil || strings.Count(err.Error(), tc.want) != 1 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%d sites, every %v: got %v", tc.sites, tc.interval, err)
		}
		if out.Len() > 0 {
			t.Errorf("it began: %s", out.String())
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("it left a folder: %v", err)
		}
	}
}

// TestAnEarlyEndIsNoError: the time that was asked for may be over while the demo still prepares.
func TestAnEarlyEndIsNoError(t *testing.T) {
	for _, after := range []time.Duration{1, time.Millisecond, 30 * time.Millisecond, 120 * time.Millisecond, 400 * time.Millisecond} {
		dir := filepath.Join(shortDir(t), "demo")
		var out bytes.Buffer
		cfg := lab.Config{Dir: dir, Listen: "127.0.0.1:8971", Sites: 2, Block: 191, Interval: 6 * time.Second}
		if err := Run(t.Context(), cfg, Options{Out: &out, For: after, Scenario: "none", Throwaway: true}); err != nil {
			t.Errorf("after %v: %v\n%s", after, err, out.String())
		}
		if !strings.Contains(out.String(), "stopped") {
			t.Errorf("after %v it says\n%s", after, out.String())
		}
	}
}
