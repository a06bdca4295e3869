package registry

import (
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/collector/clock"
)

// What goes for its age goes by a clock that is believed, and by the collector alone.
func TestNothingIsRemovedByAClockThatIsAhead(t *testing.T) {
	for _, c := range []struct {
		name    string
		prune   bool // it is the collector's
		known   bool // the collector was up yesterday
		removed bool
	}{
		{"a collector whose clock jumped", true, true, false},
		{"a program beside it", false, false, false},
		{"a collector that has nothing to compare its clock with", true, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				ahead := func() time.Time { return time.Now().Add(5 * 366 * 24 * time.Hour) }
				o := Options{Now: ahead, Prune: c.prune, Log: slog.New(slog.DiscardHandler)}
				if c.known {
					o.Now = clock.Open(clock.Options{File: filepath.Join(dir, "clock"), Passed: time.Now().Add(-24 * time.Hour), Now: ahead, Log: o.Log}).Now
				}
				r, err := Open(t.Context(), filepath.Join(dir, "registry.db"), o)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if err := r.AppendChanges(t.Context(), []Change{{Site: "s1", From: "ok", To: "down", At: time.Now()}}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(pruneFirst + time.Second)
				synctest.Wait()
				left, err := r.Changes(t.Context(), "s1", time.Time{}, time.Time{}, 0)
				if err != nil || (len(left) == 0) != c.removed {
					t.Errorf("%d changes are left, %v", len(left), err)
				}
			})
		})
	}
}
