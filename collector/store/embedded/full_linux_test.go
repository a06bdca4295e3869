package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"communewatch/collector/store"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
)

// smallDisk returns the folder of a disk of its own, and functions that fill it up to some free bytes and empty it.
func smallDisk(t *testing.T, bytes int) (dir string, fill func(leave int64), empty func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("can't mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	fill = func(leave int64) {
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		must(t, err)
		defer f.Close()
		var st syscall.Statfs_t
		must(t, syscall.Fstatfs(int(f.Fd()), &st))
		_, err = f.Write(make([]byte, max(int64(st.Bavail)*st.Bsize-leave, 0)))
		must(t, err)
	}
	return dir, fill, func() { must(t, os.Remove(filler)) }
}

// fullRow is the nth row of the tests below, late or live. Time, series and text follow from the number.
func fullRow(n int, late bool) probes.Point {
	at := testNow.Add(time.Duration(n) * time.Millisecond)
	if late {
		at = at.Add(-10 * 24 * time.Hour)
	}
	return probes.Point{Measurement: "m", Time: at, Tags: probes.Tags{{Key: "k", Value: fmt.Sprint(n % 50)}}, Fields: []probes.Field{
		probes.Float("v", float64(n)), probes.String("s", fmt.Sprintf("text %d of late=%v", n/20, late))}}
}

// TestDiskFull fills the disk while rows are appended: down to the reserve with live and late rows, and to the last
// byte with live ones, so that the log ends in half a record.
func TestDiskFull(t *testing.T) {
	for name, c := range map[string]struct {
		reserve, leave int64 // a reserve of -1 is none
		late           bool
		want           error
	}{
		"down to the reserve": {reserve: 4 << 20, leave: 6 << 20, late: true, want: errDiskFull},
		"to the last byte":    {reserve: -1, leave: 300 << 10, want: syscall.ENOSPC},
		"all at once":         {reserve: -1, leave: 0, want: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			dir, fill, empty := smallDisk(t, 160<<20)
			var now atomic.Int64
			now.Store(testNow.UnixMilli())
			o := testOptions(filepath.Join(dir, "store"))
			o.Reserve = c.reserve
			o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
			s := mustOpen(t, o)
			acknowledged := map[string]bool{} // by time and value
			next := 0
			appendSome := func() error {
				var points []probes.Point
				for i := range 100 {
					points = append(points, fullRow(next+i, c.late && i%3 == 0))
				}
				next += len(points)
				err := s.Append(t.Context(), storetest.Rows(t, points...))
				if err == nil {
					for _, p := range points {
						acknowledged[fmt.Sprint(p.Time.UnixMilli(), p.Fields[0].Num)] = true
						acknowledged[fmt.Sprint(p.Time.UnixMilli(), p.Fields[1].Str)] = true
					}
				}
				return err
			}
			missing := func() (n int) {
				q := store.Query{Measurement: "m", From: testNow.Add(-20 * 24 * time.Hour), To: testNow.Add(time.Hour)}
				found := 0
				must(t, s.Select(t.Context(), q, func(s store.Series) error {
					for i, at := range s.Times {
						var v any
						if s.Texts != nil {
							v = s.Texts[i]
						} else {
							v = s.Values[i]
						}
						if acknowledged[fmt.Sprint(at, v)] {
							found++
						}
					}
					return nil
				}))
				return len(acknowledged) - found
			}

			for range 20 {
				must(t, appendSome())
			}
			fill(c.leave)
			var err error
			for i := 0; err == nil; i++ {
				if i > 5000 {
					t.Fatal("the disk does not fill")
				}
				err = appendSome()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("append to a full disk: %v, want %v", err, c.want)
			}
			t.Logf("%d rows acknowledged; then: %v", len(acknowledged)/2, err)
			for range 3 { // again, also when it is time to try and mend
				now.Add(reopenEvery.Milliseconds() + 1)
				fill(0)
				if err := appendSome(); err == nil {
					t.Error("append to a full disk is acknowledged")
				}
				if n := missing(); n > 0 {
					t.Errorf("%d of %d acknowledged values can't be read while the disk is full", n, len(acknowledged))
				}
			}

			empty()
			now.Add(reopenEvery.Milliseconds() + 1)
			for range 20 {
				if err := appendSome(); err != nil {
					t.Fatalf("append with room again: %v", err)
				}
			}
			must(t, s.Sync(t.Context()))
			if n := missing(); n > 0 {
				t.Errorf("%d of %d acknowledged values are missing with room again", n, len(acknowledged))
			}
			must(t, s.Close())
			s = mustOpen(t, o)
			if n := missing(); n > 0 {
				t.Errorf("%d of %d acknowledged values are missing after a start", n, len(acknowledged))
			}
		})
	}
}
