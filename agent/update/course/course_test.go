package course

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/agent/spool/disk"
	"communewatch/probes/release"
)

var start = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func v(text string) release.Version {
	out, err := release.ParseVersion(text)
	if err != nil {
		panic(err)
	}
	return out
}

func of(version, pkg string) Release {
	return Release{Version: v(version), Package: v(pkg), Size: 1, SHA256: strings.Repeat("0a", 32)}
}

func begun(t *testing.T, s State, version, pkg string) State {
	t.Helper()
	s, err := s.Begin(of(version, pkg), 0, start)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func runs(c Choice) string {
	if c.Run == nil {
		return "package"
	}
	return c.Run.Version.String()
}

func TestAPackageWinsOverWhatIsOlder(t *testing.T) {
	kept, _ := begun(t, State{}, "1.1.0", "1.0.0").Confirm(v("1.1.0"))
	back, _ := begun(t, State{}, "0.9.0", "1.0.0").Confirm(v("0.9.0")) // a signed rollback
	for name, c := range map[string]struct {
		s    State
		own  string
		want string
	}{
		"the package it was chosen on":     {kept, "1.0.0", "1.1.0"},
		"a newer one":                      {kept, "1.2.0", "package"},
		"the same version as a package":    {kept, "1.1.0", "package"},
		"another one, and older":           {kept, "1.0.5", "1.1.0"},
		"rollback stays on its package":    {back, "1.0.0", "0.9.0"},
		"rollback, and a package after it": {back, "1.0.1", "package"},
		"on trial, and a newer package":    {begun(t, State{}, "1.1.0", "1.0.0"), "1.2.0", "package"},
	} {
		s, choice := c.s.Launch(v(c.own))
		if got := runs(choice); got != c.want {
			t.Errorf("%s: runs %s, want %s", name, got, c.want)
		}
		if _, again := s.Launch(v(c.own)); runs(again) != c.want {
			t.Errorf("%s: and after that %s", name, runs(again))
		}
	}
}

func TestATrialHasThreeStarts(t *testing.T) {
	kept, _ := begun(t, State{}, "1.1.0", "1.0.0").Confirm(v("1.1.0"))
	s := begun(t, kept, "1.2.0", "1.0.0")
	var c Choice
	for i := range MaxStarts {
		if s, c = s.Launch(v("1.0.0")); runs(c) != "1.2.0" || !c.Trial || c.Back {
			t.Fatalf("start %d: %+v", i, c)
		}
	}
	if s, c = s.Launch(v("1.0.0")); runs(c) != "1.1.0" || c.Trial || !c.Back || s.Last.State != release.StateRolledBack {
		t.Fatalf("after them: %+v, %+v", c, s.Last)
	}
	if s, c = s.Launch(v("1.0.0")); runs(c) != "1.1.0" || c.Back {
		t.Fatalf("the start after that: %+v", c)
	}
	if _, err := s.Begin(of("1.2.0", "1.0.0"), 0, start); !errors.Is(err, ErrFailed) {
		t.Errorf("tried again: %v", err)
	}
	if _, err := s.Begin(of("1.2.1", "1.0.0"), 0, start); err != nil {
		t.Errorf("the next version: %v", err)
	}
}

func TestWhatBeginsToCrashMakesWayForTheFormer(t *testing.T) {
	s, _ := begun(t, State{}, "1.1.0", "1.0.0").Confirm(v("1.1.0"))
	s, _ = begun(t, s, "1.2.0", "1.0.0").Confirm(v("1.2.0"))
	var c Choice
	for range 3 * MaxCrashes { // starts that went well, or were ended in order, count for nothing
		s, _ = s.Launch(v("1.0.0"))
		s = s.Well(v("1.2.0"))
		s, _ = s.Launch(v("1.0.0"))
		s = s.Paused(v("1.2.0"))
	}
	for i := range MaxCrashes {
		if s, c = s.Launch(v("1.0.0")); runs(c) != "1.2.0" {
			t.Fatalf("start %d runs %s", i+1, runs(c))
		}
		if !s.Needs("1.1.0") {
			t.Fatal("the former one is not kept on the disk")
		}
	}
	if s, c = s.Launch(v("1.0.0")); runs(c) != "1.1.0" || !c.Back || s.Last.State != release.StateRolledBack || !strings.Contains(s.Last.Problem, "5 times") {
		t.Fatalf("after them %s runs: %+v", runs(c), s.Last)
	}
	for range MaxCrashes - 1 {
		s, c = s.Launch(v("1.0.0"))
	}
	if s, c = s.Launch(v("1.0.0")); runs(c) != "package" || !s.HasFailed(v("1.1.0")) {
		t.Errorf("when that crashes too, %s runs", runs(c))
	}
}

func TestWhatMayPassIsTriedAgainAndNotForEver(t *testing.T) {
	kept, _ := begun(t, State{}, "1.1.0", "1.0.0").Confirm(v("1.1.0"))
	s, now := kept, start
	var c Choice
	for try := 1; try < MaxTries; try++ {
		s = begun(t, s, "1.2.0", "1.0.0")
		s, _ = s.Launch(v("1.0.0"))
		s = s.Postpone(v("1.2.0"), "the disk is busy", now)
		if s, c = s.Launch(v("1.0.0")); runs(c) != "1.1.0" || s.HasFailed(v("1.2.0")) || s.Last.State != release.StateFetched || !strings.Contains(s.Last.Problem, "busy") {
			t.Fatalf("try %d: %s runs, %+v", try, runs(c), s)
		}
		if s.Due(v("1.2.0"), now.Add(14*time.Minute)) || !s.Due(v("1.3.0"), now) || !s.Due(v("1.2.0"), now.AddDate(-1, 0, 0)) {
			t.Errorf("try %d: put off wrongly", try)
		}
		if now = now.Add(4 * time.Hour); !s.Due(v("1.2.0"), now) {
			t.Errorf("try %d: not due after hours", try)
		}
	}
	s = begun(t, s, "1.2.0", "1.0.0")
	if s = s.Postpone(v("1.2.0"), "the disk is busy", now); !s.HasFailed(v("1.2.0")) || s.Last.State != release.StateRolledBack {
		t.Errorf("the last time: %+v", s)
	}
	// Before it was ever started, likewise.
	s = kept
	for range MaxTries {
		s = s.Postpone(v("1.2.0"), "the disk is busy", now)
	}
	if !s.HasFailed(v("1.2.0")) || s.Last.State != release.StateRefused {
		t.Errorf("not even started: %+v", s)
	}
	// What is kept stays so; this start goes on without it.
	if s = kept.Postpone(v("1.1.0"), "no memory", now); s.Kept == nil || s.HasFailed(v("1.1.0")) || s.Last.Problem != "no memory" {
		t.Errorf("what is kept: %+v", s)
	}
}

func TestAnotherRolloutAsksAnew(t *testing.T) {
	s := State{}.Asked(v("1.1.0"), 3).Refuse(v("1.1.0"), 3, "x", true)
	if s.Last.Rollout != 3 {
		t.Errorf("told of %+v", s.Last)
	}
	for _, again := range []int64{0, 2, 3} {
		if s = s.Asked(v("1.1.0"), again); !s.HasFailed(v("1.1.0")) {
			t.Fatalf("roll-out %d cleared what failed in the third", again)
		}
	}
	if other := s.Asked(v("1.2.0"), 4); !other.HasFailed(v("1.1.0")) {
		t.Error("another version's roll-out cleared it")
	}
	if s = s.Asked(v("1.1.0"), 4); s.HasFailed(v("1.1.0")) {
		t.Error("asked for anew, it is not tried")
	}
}

// TestThereIsAlwaysAWorkingBinary plays random lives of a machine on which some releases are bad, with kills between any
// two steps and writes that fail. A bad release must never be what is kept, must run a bounded number of times, and what
// runs must be the package or a release that is whole on the disk.
func TestThereIsAlwaysAWorkingBinary(t *testing.T) {
	for seed := range uint64(150) {
		life(t, rand.New(rand.NewPCG(seed, 7)), fmt.Sprintf("life %d", seed), &memory{})
		if t.Failed() {
			return
		}
	}
}

// memory is a File in memory, as it is read back.
type memory struct {
	data    []byte
	failing bool
}

func (m *memory) Load() (State, error) {
	if m.data == nil {
		return State{}, nil
	}
	return parse(m.data)
}

func (m *memory) Change(do func(State) (State, error)) (State, error) {
	s, err := m.Load()
	if err != nil {
		return s, err
	}
	if s, err = do(s); err != nil {
		return s, err
	}
	if m.failing {
		return s, errFull
	}
	s.Format = format
	m.data, err = json.Marshal(s)
	return s, err
}

var errFull = errors.New("disk full")

func TestAWriteThatFailsChangesNothing(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename"} {
		failing := false
		file := File{Dir: t.TempDir(), Disk: &disk.Disk{Fault: func(at, _ string) error {
			if failing && at == op {
				return errFull
			}
			return nil
		}}}
		if _, err := file.Change(func(s State) (State, error) { return s.Begin(of("1.1.0", "1.0.0"), 0, start) }); err != nil {
			t.Fatal(err)
		}
		failing = true
		if _, err := file.Change(func(s State) (State, error) { return s.GiveUp(v("1.1.0"), "x"), nil }); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", op, err)
		}
		failing = false
		if s, err := file.Load(); err != nil || s.Trial == nil || s.Trial.Version != v("1.1.0") {
			t.Errorf("%s: %+v, %v", op, s, err)
		}
	}
}

func life(t *testing.T, r *rand.Rand, name string, file *memory) {
	own := v("1.0.0")
	next := uint64(0)
	bad := map[release.Version]bool{}
	whole := map[release.Version]bool{}
	ran := map[release.Version]int{}
	for range 60 {
		file.failing = r.IntN(6) == 0
		// A start of the package's binary, as launch.Launch does it.
		var c Choice
		if _, err := file.Change(func(s State) (State, error) {
			s, c = s.Launch(own)
			return s, nil
		}); err != nil {
			s, _ := file.Load()
			s.Trial = nil
			_, c = s.Launch(own)
		}
		running := own
		if c.Run != nil {
			running = c.Run.Version
			if !whole[running] {
				t.Errorf("%s: %v was to run, and is not on the disk", name, running)
				return
			}
			if bad[running] && !c.Trial {
				t.Errorf("%s: %v is bad and was kept", name, running)
				return
			}
			if ran[running]++; bad[running] && ran[running] > MaxStarts {
				t.Errorf("%s: %v is bad and ran %d times", name, running, ran[running])
				return
			}
		}
		if bad[running] {
			if r.IntN(2) == 0 { // it does not crash, it only does not report
				_, _ = file.Change(func(s State) (State, error) { return s.GiveUp(running, "silent"), nil })
			}
			continue
		}
		if c.Trial {
			switch r.IntN(4) {
			case 0: // killed before it could prove itself
				continue
			case 1: // switched off in order
				_, _ = file.Change(func(s State) (State, error) { return s.Paused(running), nil })
				continue
			}
			_, err := file.Change(func(s State) (State, error) {
				s, _ = s.Confirm(running)
				return s, nil
			})
			if err != nil {
				continue // still on trial
			}
		}
		if r.IntN(3) == 0 {
			continue // killed while nothing was to be done
		}
		// The next release comes, and is killed at any step.
		next++
		offer := release.Version{Major: 2, Minor: next}
		bad[offer] = r.IntN(2) == 0
		if r.IntN(5) == 0 {
			continue
		}
		whole[offer] = true
		if _, err := file.Change(func(s State) (State, error) { return s.Fetched(offer), nil }); err != nil || r.IntN(5) == 0 {
			continue
		}
		_, _ = file.Change(func(s State) (State, error) {
			return s.Begin(Release{Version: offer, Package: own, Size: 1}, 0, start)
		})
		s, err := file.Load()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		for old := range whole { // as Updater.prune does
			if !s.Needs(old.String()) && old != running {
				delete(whole, old)
			}
		}
	}
}

func TestADamagedStateIsThePackage(t *testing.T) {
	for name, data := range map[string]string{"nonsense": "\x00\x01", "cut": `{"format":1,"kept":{"vers`, "another format": `{"format":9}`, "huge": strings.Repeat(" ", maxState+1)} {
		dir := t.TempDir()
		f := File{Dir: dir}
		if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := f.Load(); !errors.Is(err, ErrDamaged) || s.Kept != nil {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if _, err := f.Change(func(s State) (State, error) { return s.Fetched(v("1.0.0")), nil }); err != nil {
			t.Errorf("%s: can't begin anew: %v", name, err)
		}
		if s, err := f.Load(); err != nil || s.Last.State != release.StateFetched {
			t.Errorf("%s: and then %+v, %v", name, s, err)
		}
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	var s State
	for i := range uint64(500) {
		s = s.Refuse(release.Version{Major: i + 1}, 0, strings.Repeat("x\n", 2000), true)
	}
	if len(s.Failed) != maxFailed || len(s.Last.Problem) > 500 || strings.Contains(s.Last.Problem, "\n") {
		t.Errorf("%d failures, a problem of %d bytes", len(s.Failed), len(s.Last.Problem))
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"format":1,"kept":{"version":"1.1.0","package":"1.0.0","size_bytes":3,"sha256":"00"},"trial":{"version":"1.2.0","package":"1.0.0","starts":2},"last":{"version":"0.0.0"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(data)
		if err != nil {
			return
		}
		s, c := s.Launch(v("1.0.0"))
		if c.Trial && (s.Trial.Starts < 1 || s.Trial.Starts > MaxStarts) {
			t.Fatalf("start %d of a trial", s.Trial.Starts)
		}
	})
}
