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
	cfg := lab.Config{Dir: dir, Listen: "127.0.0.1:21085", Sites: 3, Block: 158, Interval: 6 * time.Second, Log: slog.New(slog.DiscardHandler)}
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
	err := Run(t.Context(), lab.Config{Dir: dir, Sites: 1}, Options{Out: &bytes.Buffer{}, Throwaway: true})
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
	err = Run(t.Context(), lab.Config{Dir: dir, Sites: 1, Listen: "127.0.0.1:0"}, Options{Out: io.Discard, Throwaway: true})
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
