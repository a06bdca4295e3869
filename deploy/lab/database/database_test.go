package database

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/collector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers reports whether a database answers within a time.
func answers(t *testing.T, d *Database, within time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL()+"/ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusNoContent
}

func settings() collector.Config {
	cfg := collector.DefaultConfig()
	cfg.Store = collector.StoreInflux
	return cfg
}

// TestADatabaseDoesAsItIsTold: each mode is what a client sees of it.
func TestADatabaseDoesAsItIsTold(t *testing.T) {
	dir := t.TempDir()
	d, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set(t.Context(), Up, 0); err == nil {
		t.Error("one that was not started takes orders")
	}
	failed := make(chan error, 1)
	if err := d.Start(t.Context(), settings(), func(err error) { failed <- err }); err != nil {
		t.Fatal(err)
	}
	defer d.Stop()
	if !answers(t, d, 10*time.Second) {
		t.Fatal("it does not answer")
	}
	do := func(mode string, delay time.Duration) {
		t.Helper()
		if err := d.Set(t.Context(), mode, delay); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
	}
	do(Hang, 0)
	if answers(t, d, 300*time.Millisecond) {
		t.Error("it hangs and answers")
	}
	do(Up, 0)
	if !answers(t, d, 10*time.Second) {
		t.Error("it does not answer after it hung")
	}
	do(Slow, 300*time.Millisecond)
	worst := time.Duration(0)
	for range 5 {
		begin := time.Now()
		if !answers(t, d, 10*time.Second) {
			t.Fatal("it is slow and does not answer at all")
		}
		worst = max(worst, time.Since(begin))
	}
	if worst < 100*time.Millisecond {
		t.Errorf("it is slow and answers within %v", worst)
	}
	do(Kill, 0)
	if answers(t, d, 10*time.Second) || d.PID() != 0 {
		t.Error("it was killed and answers")
	}
	do(Kill, 0) // a second time changes nothing
	do(Up, 0)
	if !answers(t, d, 10*time.Second) {
		t.Error("it does not come back")
	}
	select {
	case err := <-failed:
		t.Errorf("what was ordered was taken for a failure: %v", err)
	default:
	}
	if err := d.Set(t.Context(), "sideways", 0); err == nil || !strings.Contains(err.Error(), "sideways") {
		t.Errorf("a mode that there is not: %v", err)
	}
}

// TestAnEndOfItsOwnIsAFailure: somebody else's kill must not pass for quiet.
func TestAnEndOfItsOwnIsAFailure(t *testing.T) {
	d, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	if err := d.Start(t.Context(), settings(), func(err error) { failed <- err }); err != nil {
		t.Fatal(err)
	}
	defer d.Stop()
	process, err := os.FindProcess(d.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if !strings.Contains(err.Error(), "ended by itself") {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody was told")
	}
}

// TestAFolderHasOneServer: who audits a lab asks the server that runs, and starts one only where none does.
func TestAFolderHasOneServer(t *testing.T) {
	dir := t.TempDir()
	d, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), settings(), func(error) {}); err != nil {
		t.Fatal(err)
	}
	defer d.Stop()
	cfg := settings()
	cfg.Influx.URL = d.URL()
	attended, release, err := Attend(t.Context(), dir, cfg)
	if err != nil || attended.Influx.URL != d.URL() {
		t.Errorf("beside one that runs: %s, %v", attended.Influx.URL, err)
	}
	release()
	if !answers(t, d, 10*time.Second) {
		t.Error("the audit ended somebody else's server")
	}
	second, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if second.URL() != d.URL() {
		t.Errorf("%s is at %s the second time", d.URL(), second.URL())
	}
	if err := second.Start(t.Context(), settings(), func(error) {}); !errors.Is(err, errClaimed) {
		t.Errorf("a second server on the same files: %v", err)
	}
	second.Stop()
	d.Stop()
	if answers(t, d, time.Second) {
		t.Error("it was stopped and answers")
	}
	attended, release, err = Attend(t.Context(), dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if attended.Influx.URL != d.URL() || !answers(t, d, 10*time.Second) {
		t.Error("nobody started one for the audit")
	}
	release()
	if answers(t, d, time.Second) {
		t.Error("the audit left its server running")
	}
	embedded := collector.DefaultConfig()
	if _, release, err := Attend(t.Context(), dir, embedded); err != nil {
		t.Error(err)
	} else {
		release()
	}
}
