package update_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"communewatch/agent/update/course"
	"communewatch/agent/update/launch"
	"communewatch/probes/release"
)

func load(t *testing.T, m *machine) course.State {
	t.Helper()
	s, err := course.File{Dir: m.dir}.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func count(all []string, line string) int {
	n := 0
	for _, l := range all {
		if l == line {
			n++
		}
	}
	return n
}

func TestAGoodReleaseTakesOverAndStays(t *testing.T) {
	for _, how := range []string{"", "--supervise"} {
		t.Run("launched"+how, func(t *testing.T) {
			t.Parallel()
			c, signer := newCollector(t), newMaker(t)
			m := newMachine(t, c, signer.public, fake(t, "1.0.0", ""), strings.Fields(how)...)
			m.start()
			c.await(t, "start 1.0.0")
			c.set(func() { c.offer = signer.release(t, "1.1.0", fake(t, "1.1.0", ""), nil) })
			c.await(t, "start 1.1.0 update")
			c.await(t, "1.1.0: kept 1.1.0")
			if s := load(t, m); s.Trial != nil || s.Kept == nil || s.Kept.Version != parse(t, "1.1.0") {
				t.Errorf("state %+v", s)
			}
			// A second one in a row, which leaves the first behind.
			c.set(func() { c.offer = signer.release(t, "1.2.0", fake(t, "1.2.0", ""), nil) })
			c.await(t, "1.2.0: kept 1.2.0")
			// It still runs when the service was started anew.
			m.signal(os.Interrupt)
			c.await(t, "start 1.2.0")
			if _, err := os.Stat(launch.Binary(m.dir, parse(t, "1.1.0"))); err != nil {
				t.Errorf("the way back is gone: %v", err)
			}
			c.set(func() { c.offer = signer.release(t, "1.2.5", fake(t, "1.2.5", ""), nil) })
			c.await(t, "1.2.5: kept 1.2.5")
			m.signal(os.Interrupt)
			c.await(t, "start 1.2.5")
			if entries, _ := os.ReadDir(m.dir); slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "1.1.0" }) {
				t.Error("a release that nobody needs was left on the disk")
			}
			// A newer package wins over it.
			m.install(fake(t, "1.3.0", ""))
			m.signal(os.Interrupt)
			c.await(t, "start 1.3.0")
		})
	}
}

func TestABadReleaseIsGivenUp(t *testing.T) {
	for _, bad := range []struct {
		mode, how string
		starts    int
	}{
		{"crash", "", course.MaxStarts},
		{"crash", "--supervise", course.MaxStarts},
		{"silent", "--window=3s", 1},
		{"silent", "--supervise --window=3s", 1},
		{"hang", "--guard=3s", 1},
		{"hang", "--supervise --guard=3s", 1},
	} {
		t.Run(bad.mode+bad.how, func(t *testing.T) {
			t.Parallel()
			c, signer := newCollector(t), newMaker(t)
			m := newMachine(t, c, signer.public, fake(t, "1.0.0", ""), strings.Fields(bad.how)...)
			c.set(func() { c.offer = signer.release(t, "1.1.0", fake(t, "1.1.0", bad.mode), nil) })
			m.start()
			all := c.await(t, "start 1.0.0 rollback")
			if got := count(all, "start 1.1.0 update"); got != bad.starts {
				t.Errorf("it was started %d times, and should have been %d times", got, bad.starts)
			}
			c.await(t, "1.0.0: rolled_back 1.1.0")
			s := load(t, m)
			if s.Trial != nil || s.Kept != nil || !s.HasFailed(parse(t, "1.1.0")) || s.Last.State != release.StateRolledBack || s.Last.Problem == "" {
				t.Errorf("state %+v", s)
			}
			// It is never tried again, but the next version is.
			c.set(func() { c.offer = signer.release(t, "1.1.1", fake(t, "1.1.1", ""), nil) })
			if all := c.await(t, "1.1.1: kept 1.1.1"); count(all, "start 1.1.0 update") > 0 {
				t.Error("what was given up was tried again")
			}
		})
	}
}

func TestAReleaseIsNotKeptWhileTheCollectorIsAway(t *testing.T) {
	t.Parallel()
	c, signer := newCollector(t), newMaker(t)
	m := newMachine(t, c, signer.public, fake(t, "1.0.0", ""))
	c.set(func() { c.offer = signer.release(t, "1.1.0", fake(t, "1.1.0", ""), nil) })
	c.set(func() { c.deaf = true })
	m.start()
	c.await(t, "1.1.0: trying 1.1.0")
	// Being switched off says nothing against it, however often.
	for range course.MaxStarts + 1 {
		m.signal(os.Interrupt)
		c.await(t, "start 1.1.0 update")
	}
	c.set(func() { c.deaf = false })
	c.await(t, "1.1.0: kept 1.1.0")
}

// TestWhatWasKeptAndLaterCrashesGoesBack: a fault that shows itself only on the next day must not need anybody to drive
// there.
func TestWhatWasKeptAndLaterCrashesGoesBack(t *testing.T) {
	for _, how := range []string{"", "--supervise"} {
		t.Run("launched"+how, func(t *testing.T) {
			t.Parallel()
			c, signer := newCollector(t), newMaker(t)
			m := newMachine(t, c, signer.public, fake(t, "1.0.0", ""), strings.Fields(how)...)
			c.set(func() { c.offer = signer.release(t, "1.1.0", fake(t, "1.1.0", ""), nil) })
			m.start()
			c.await(t, "1.1.0: kept 1.1.0")
			c.set(func() { c.offer = signer.release(t, "1.2.0", fake(t, "1.2.0", "wilt"), nil) })
			c.await(t, "1.2.0: kept 1.2.0")
			m.signal(os.Interrupt)
			all := c.await(t, "start 1.1.0 rollback")
			if got := count(all, "start 1.2.0"); got != course.MaxCrashes {
				t.Errorf("it was started %d times", got)
			}
			c.await(t, "1.1.0: rolled_back 1.2.0")
			if s := load(t, m); s.Kept == nil || s.Kept.Version != parse(t, "1.1.0") || !s.HasFailed(parse(t, "1.2.0")) {
				t.Errorf("state %+v", s)
			}
		})
	}
}

// TestALineThatDiesDuringATrialCondemnsNothing: and a release that alone can't reach the collector is found out all the same.
func TestALineThatDiesDuringATrialCondemnsNothing(t *testing.T) {
	t.Parallel()
	c, signer := newCollector(t), newMaker(t)
	m := newMachine(t, c, signer.public, fake(t, "1.0.0", ""), "--window=3s")
	c.set(func() { c.offer = signer.release(t, "1.1.0", fake(t, "1.1.0", "lost"), nil) })
	m.start()
	for try := 1; try < course.MaxTries; try++ {
		c.await(t, "start 1.0.0 rollback")
		s := load(t, m)
		if s.HasFailed(parse(t, "1.1.0")) || s.PutOff == nil || s.PutOff.Tries != try || s.Last.State != release.StateFetched || !strings.Contains(s.Last.Problem, "did not answer") {
			t.Fatalf("try %d: %+v", try, s)
		}
		elapse(t, m.dir)
	}
	c.await(t, "1.0.0: rolled_back 1.1.0")
	// Somebody looked into it, and asks for it anew.
	c.set(func() {
		c.offer = signer.release(t, "1.1.0", fake(t, "1.1.0", ""), nil)
		c.offer.Rollout = 2
	})
	c.await(t, "1.1.0: kept 1.1.0")
}
