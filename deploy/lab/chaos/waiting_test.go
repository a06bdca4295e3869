package chaos

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSpoolsAreWaitedFor: what is old in a spool holds the audit up until it is delivered; what was just measured and
// what was put aside does not.
func TestSpoolsAreWaitedFor(t *testing.T) {
	dir := t.TempDir()
	keep := func(folder, name string, age time.Duration) string {
		file := filepath.Join(dir, "agents", "s1", "state", "spool", folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		return file
	}
	keep("a", "new.lp.gz", 0)
	keep("quarantine-a", "odd.lp.gz", time.Hour)
	log := slog.New(slog.DiscardHandler)
	if took, err := emptied(t.Context(), dir, log); err != nil || took > emptyWithin {
		t.Errorf("what was just measured is waited for: %v, %v", took, err)
	}
	old := keep("a", "old.lp.gz", time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := emptied(ctx, dir, log); !errors.Is(err, context.Canceled) {
		t.Errorf("what is old is not waited for: %v", err)
	}
	if err := os.Remove(old); err != nil {
		t.Fatal(err)
	}
	if _, err := emptied(t.Context(), dir, log); err != nil {
		t.Error(err)
	}
	if n, err := spooled(dir); err != nil || n != 1 {
		t.Errorf("%d batches wait: %v", n, err)
	}
}
