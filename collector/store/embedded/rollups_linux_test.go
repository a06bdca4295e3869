package embedded

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"communewatch/collector/rollup"
)

// TestDiskFullDuringPuts fills the disk while windows are put: down to the reserve, and to the last byte. What was put
// stays, and puts work again once there is room.
func TestDiskFullDuringPuts(t *testing.T) {
	for name, c := range map[string]struct {
		reserve, leave int64 // a reserve of -1 is none
		full           func(error) bool
	}{
		"down to the reserve": {4 << 20, 5 << 20, func(err error) bool { return errors.Is(err, errDiskFull) }},
		"to the last byte": {-1, 200 << 10, func(err error) bool {
			return strings.Contains(err.Error(), "no room left") || errors.Is(err, syscall.ENOSPC)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, fill, empty := smallDisk(t, 96<<20)
			o := testOptions(filepath.Join(dir, "store"))
			o.Reserve = c.reserve
			s := mustOpen(t, o)
			done := 0
			for ; done < 10; done++ {
				must(t, s.PutRollups(t.Context(), rollup.Hour, rolledHour(done)))
			}
			fill(c.leave)
			var err error
			for ; done < 1000; done++ {
				if err = s.PutRollups(t.Context(), rollup.Hour, rolledHour(done)); err != nil {
					break
				}
			}
			if err == nil || !c.full(err) {
				t.Fatalf("%d puts, then %v; want an error that says that the disk is full", done, err)
			}
			if n := missingHours(t, s, done); n > 0 {
				t.Errorf("%d windows that were put are missing while the disk is full", n)
			}
			if err := s.PutRollups(t.Context(), rollup.Hour, rolledHour(done)); err == nil {
				t.Error("a put to a full disk is acknowledged")
			}
			empty()
			for more := done + 20; done < more; done++ {
				if err := s.PutRollups(t.Context(), rollup.Hour, rolledHour(done)); err != nil {
					t.Fatalf("put with room again: %v", err)
				}
			}
			must(t, s.Close())
			s = mustOpen(t, o)
			if n := missingHours(t, s, done); n > 0 {
				t.Errorf("%d windows are missing after a start", n)
			}
		})
	}
}
