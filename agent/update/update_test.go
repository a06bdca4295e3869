package update_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/agent/ship"
	"communewatch/agent/spool/disk"
	"communewatch/agent/update"
	"communewatch/agent/update/course"
	"communewatch/agent/update/launch"
	"communewatch/probes/release"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func settings(t *testing.T, keys ...string) update.Settings {
	t.Helper()
	s := update.DefaultSettings()
	s.Enabled, s.Keys, s.BytesPerSecond = new(true), keys, 1<<30
	s.Validate(t.TempDir(), t.TempDir(), func(at, format string, args ...any) { t.Errorf("%s: %s", at, fmt.Sprintf(format, args...)) })
	return s
}

// updater is one of version 1.2.0, in this process.
func updater(t *testing.T, c *collector, keys ...string) (*update.Updater, *update.Options) {
	o := &update.Options{Settings: settings(t, keys...), Dir: filepath.Join(t.TempDir(), "releases"), Version: "1.2.0", Agent: "pc", Config: "agent.yaml",
		Launched: launch.Launched{Package: parse(t, "1.2.0")}, Collectors: []ship.Collector{{URL: c.URL}}, Log: slog.New(slog.DiscardHandler)}
	return update.New(*o), o
}

func TestWhatIsNotAsItShouldBeNeverRuns(t *testing.T) {
	good := fake(t, "1.3.0", "")
	foreign := bytes.Clone(good)
	binary.LittleEndian.PutUint16(foreign[18:], 8) // ELF's e_machine: MIPS
	maker, other := newMaker(t), newMaker(t)
	spoil := func(o *offered, do func(*offered)) *offered { do(o); return o }
	for name, c := range map[string]struct {
		offer *offered
		why   string
	}{
		"changed manifest": {spoil(maker.release(t, "1.3.0", good, nil), func(o *offered) { o.Manifest = strings.Replace(o.Manifest, "1.3.0", "1.3.1", 1) }), "does not fit"},
		"signature of another release": {spoil(maker.release(t, "1.3.0", good, nil), func(o *offered) {
			o.Signature = maker.release(t, "1.4.0", good, nil).Signature
		}), "does not fit"},
		"no signature":               {spoil(maker.release(t, "1.3.0", good, nil), func(o *offered) { o.Signature = "" }), "no signature"},
		"another's key":              {other.release(t, "1.3.0", good, nil), "another key"},
		"named otherwise":            {spoil(maker.release(t, "1.3.0", good, nil), func(o *offered) { o.Version = parse(t, "1.5.0") }), "1.5.0 was offered"},
		"an older version":           {maker.release(t, "1.1.0", good, nil), "older"},
		"expired":                    {maker.release(t, "1.3.0", good, func(m *release.Manifest) { m.Built, m.Expires = m.Built.AddDate(-1, 0, 0), m.Built }), "expired"},
		"for other machines":         {maker.release(t, "1.3.0", good, func(m *release.Manifest) { m.Files[0].Arch = "mips" }), "no binary for this machine"},
		"from a version in between":  {maker.release(t, "1.3.0", good, func(m *release.Manifest) { m.From = parse(t, "1.2.5") }), "too old"},
		"binary of another machine":  {maker.release(t, "1.3.0", foreign, nil), "no program for this platform"},
		"a script":                   {maker.release(t, "1.3.0", []byte("#!/bin/sh\necho communewatch-agent 1.3.0\n"), nil), "no program for this platform"},
		"another version inside":     {maker.release(t, "1.3.0", fake(t, "1.2.9", ""), nil), "should be 1.3.0"},
		"does not know the settings": {maker.release(t, "1.3.0", fake(t, "1.3.0", "picky"), nil), "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newCollector(t)
			server.set(func() { server.offer = c.offer })
			u, o := updater(t, server, maker.public)
			again, err := u.Round(t.Context())
			if again {
				t.Fatalf("it would have run: %v", err)
			}
			s := u.Status()
			if s.State != string(release.StateRefused) || !strings.Contains(s.Problem, c.why) {
				t.Errorf("it says %+v, and should say %q", s, c.why)
			}
			l, handled, err := launch.Launch(t.Context(), launch.Options{Dir: o.Dir, Version: "1.2.0", Args: []string{"x"}, Log: o.Log})
			if err != nil || handled || l.Release != "" {
				t.Errorf("the next start runs %+v, %v", l, err)
			}
		})
	}
}

func TestARollbackIsTakenWhenItsMakerSignedItAsOne(t *testing.T) {
	maker, server := newMaker(t), newCollector(t)
	server.set(func() {
		server.offer = maker.release(t, "1.1.0", fake(t, "1.1.0", ""), func(m *release.Manifest) { m.Rollback = true })
	})
	u, _ := updater(t, server, maker.public)
	if again, err := u.Round(t.Context()); !again || err != nil {
		t.Fatalf("again %v, %v", again, err)
	}
}

// Settings may say that a token is in the environment; a release that is asked whether it understands them has to find it.
func TestAReleaseIsAskedInTheAgentsEnvironment(t *testing.T) {
	t.Setenv("LAB_TOKEN", "x")
	t.Setenv("COMMUNEWATCH_RELEASE", "1.2.0") // this process is a release itself
	maker, server := newMaker(t), newCollector(t)
	server.set(func() { server.offer = maker.release(t, "1.3.0", fake(t, "1.3.0", "token"), nil) })
	u, _ := updater(t, server, maker.public)
	if again, err := u.Round(t.Context()); !again || err != nil {
		t.Fatalf("again %v, %v; it says %+v", again, err, u.Status())
	}
}

// The collector waits for an answer to each roll-out: what was said in an earlier one is no answer.
func TestARefusalIsToldInEachRollout(t *testing.T) {
	maker, other, server := newMaker(t), newMaker(t), newCollector(t)
	u, o := updater(t, server, maker.public)
	offer := func(r *offered, rollout int64) {
		t.Helper()
		r.Rollout = rollout
		server.set(func() { server.offer = r })
		for range 2 {
			if again, _ := u.Round(t.Context()); again {
				t.Fatalf("roll-out %d: it would have run", rollout)
			}
		}
	}
	state := func() course.State {
		s, err := course.File{Dir: o.Dir}.Load()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	offer(maker.release(t, "1.2.0", []byte("x"), nil), 4) // runs already
	foreign, picky := other.release(t, "1.3.0", []byte("x"), nil), maker.release(t, "1.4.0", fake(t, "1.4.0", "picky"), nil)
	for _, rollout := range []int64{5, 6} {
		offer(foreign, rollout)
		if s := u.Status(); s.State != string(release.StateRefused) || s.Version != "1.3.0" || s.Rollout != rollout {
			t.Errorf("roll-out %d: it says %+v", rollout, s)
		}
		if s := state(); s.Rollout != 4 {
			t.Errorf("what nobody signed counts as roll-out %d", s.Rollout)
		}
	}
	for _, rollout := range []int64{7, 8} {
		offer(picky, rollout)
		if s := u.Status(); s.State != string(release.StateRefused) || s.Version != "1.4.0" || s.Rollout != rollout {
			t.Errorf("roll-out %d: it says %+v", rollout, s)
		}
		if s := state(); !s.HasFailed(parse(t, "1.4.0")) {
			t.Errorf("roll-out %d: it would be tried every quarter of an hour", rollout)
		}
	}
}

func TestADownloadGoesOnWhereItWasInterrupted(t *testing.T) {
	maker, server := newMaker(t), newCollector(t)
	server.set(func() { server.offer = maker.release(t, "1.3.0", fake(t, "1.3.0", ""), nil) })
	server.set(func() { server.cut = 100_000 })
	u, o := updater(t, server, maker.public)
	for range 2 {
		if again, err := u.Round(t.Context()); again || err == nil {
			t.Fatalf("again %v, %v", again, err)
		}
	}
	if s := u.Status(); s.State != "" {
		t.Errorf("an interrupted download is no verdict, and it says %+v", s)
	}
	server.set(func() { server.cut = 0 })
	u = update.New(*o) // a restart in between
	if again, err := u.Round(t.Context()); !again || err != nil {
		t.Fatalf("again %v, %v", again, err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.ranges) != 3 || server.ranges[0] != "" || !strings.HasPrefix(server.ranges[1], "bytes=") || server.ranges[1] == server.ranges[2] {
		t.Errorf("asked for %q", server.ranges)
	}
}

func TestAFileThatIsNotWholeAtTheCollectorIsRefusedInTheEnd(t *testing.T) {
	maker := newMaker(t)
	for name, spoil := range map[string]func([]byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"damaged":   func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b },
		"too long":  func(b []byte) []byte { return append([]byte("x"), b...) },
	} {
		t.Run(name, func(t *testing.T) {
			server := newCollector(t)
			server.set(func() { server.offer = maker.release(t, "1.3.0", fake(t, "1.3.0", ""), nil) })
			server.set(func() { server.offer.file = spoil(server.offer.file) })
			u, o := updater(t, server, maker.public)
			for range 6 {
				if again, err := u.Round(t.Context()); again {
					t.Fatalf("it would have run: %v", err)
				}
			}
			if _, err := os.Stat(launch.Binary(o.Dir, parse(t, "1.3.0"))); err == nil {
				t.Error("it is in the place of a release")
			}
			if s := u.Status(); name != "truncated" && s.State != string(release.StateRefused) {
				t.Errorf("it says %+v", s)
			}
		})
	}
}

// elapse has it that a release was put off a day ago.
func elapse(t *testing.T, dir string) {
	t.Helper()
	if _, err := (course.File{Dir: dir}).Change(func(s course.State) (course.State, error) {
		if s.PutOff != nil {
			s.PutOff.Since = time.Now().AddDate(0, 0, -1)
		}
		return s, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestWhatCannotBeStartedIsTriedAgain: a file that was damaged on the disk is fetched anew, a machine that had no memory
// may have some later.
func TestWhatCannotBeStartedIsTriedAgain(t *testing.T) {
	maker, server := newMaker(t), newCollector(t)
	server.set(func() { server.offer = maker.release(t, "1.3.0", fake(t, "1.3.0", ""), nil) })
	_, o := updater(t, server, maker.public)
	for try := 1; try <= course.MaxTries; try++ {
		u := update.New(*o)
		if again, err := u.Round(t.Context()); !again || err != nil {
			t.Fatalf("try %d: again %v, %v", try, again, err)
		}
		if err := os.Truncate(launch.Binary(o.Dir, parse(t, "1.3.0")), 1000); err != nil {
			t.Fatal(err)
		}
		l, handled, err := launch.Launch(t.Context(), launch.Options{Dir: o.Dir, Version: "1.2.0", Args: []string{"x"}, Log: o.Log})
		if err != nil || handled || l.Release != "" {
			t.Fatalf("try %d: %+v, %v, %v", try, l, handled, err)
		}
		u = update.New(*o)
		s := u.Status()
		if want := map[bool]release.State{true: release.StateRolledBack, false: release.StateFetched}[try == course.MaxTries]; s.State != string(want) || !strings.Contains(s.Problem, "damaged") {
			t.Errorf("try %d: it says %+v", try, s)
		}
		if again, err := u.Round(t.Context()); again || err != nil {
			t.Errorf("try %d: at once again: %v, %v", try, again, err)
		}
		elapse(t, o.Dir)
	}
	if again, err := update.New(*o).Round(t.Context()); again || err != nil {
		t.Errorf("after the last: %v, %v", again, err)
	}
}

func TestAFullDiskHurtsNothing(t *testing.T) {
	maker, server := newMaker(t), newCollector(t)
	server.set(func() { server.offer = maker.release(t, "1.3.0", fake(t, "1.3.0", ""), nil) })
	_, o := updater(t, server, maker.public)
	full := false
	o.Disk = &disk.Disk{Fault: func(op, _ string) error {
		if full && (op == "append" || op == "write") {
			return syscall.ENOSPC
		}
		return nil
	}}
	full = true
	u := update.New(*o)
	if again, err := u.Round(t.Context()); again || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("again %v, %v", again, err)
	}
	full = false
	if again, err := u.Round(t.Context()); !again || err != nil {
		t.Fatalf("with space again: again %v, %v", again, err)
	}
}

func TestNothingIsAskedForWhereUpdatesAreOff(t *testing.T) {
	maker, server := newMaker(t), newCollector(t)
	server.set(func() { server.offer = maker.release(t, "1.3.0", []byte("x"), nil) })
	_, o := updater(t, server, maker.public)
	o.Settings, o.Every = update.DefaultSettings(), time.Millisecond
	u := update.New(*o)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	u.Look()
	if err := u.Run(ctx); err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.asked > 0 || u.Status().Enabled {
		t.Errorf("asked %d times, says %+v", server.asked, u.Status())
	}
}

func TestSettingsAreChecked(t *testing.T) {
	maker := newMaker(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keys.pub"), []byte("# of the maker\nuntrusted comment: x\n"+maker.public+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s    update.Settings
		want string
	}{
		"off":           {update.DefaultSettings(), ""},
		"key in a file": {update.Settings{Enabled: new(true), KeysFile: "keys.pub", BytesPerSecond: 1 << 20, Trial: time.Hour}, ""},
		"no key":        {update.Settings{Enabled: new(true), BytesPerSecond: 1 << 20, Trial: time.Hour}, "keys: name the public key"},
		"no file":       {update.Settings{Enabled: new(true), KeysFile: "none.pub", BytesPerSecond: 1 << 20, Trial: time.Hour}, "keys_file: "},
		"a bad key":     {update.Settings{Keys: []string{"RWnonsense"}, BytesPerSecond: 1 << 20, Trial: time.Hour}, "keys: key 1"},
		"no time":       {update.Settings{BytesPerSecond: 1 << 20, Trial: time.Second}, "trial: "},
		"too slow":      {update.Settings{BytesPerSecond: 10, Trial: time.Hour}, "bytes_per_second: "},
	} {
		var got []string
		c.s.Validate(dir, dir, func(at, format string, args ...any) { got = append(got, at+": "+fmt.Sprintf(format, args...)) })
		if all := strings.Join(got, "; "); c.want == "" && all != "" || !strings.HasPrefix(all, c.want) {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// TestKeysArePinnedOnTheMachine: an office's updates are switched on as it is enrolled, with no settings file to edit.
func TestKeysArePinnedOnTheMachine(t *testing.T) {
	maker, folder := newMaker(t), filepath.Join(t.TempDir(), "identity")
	on := func(s update.Settings) (bool, string) {
		s.BytesPerSecond, s.Trial = 1<<20, time.Hour
		var all []string
		s.Validate(t.TempDir(), folder, func(at, format string, args ...any) { all = append(all, at+": "+fmt.Sprintf(format, args...)) })
		return s.On(), strings.Join(all, "; ")
	}
	if got, problems := on(update.Settings{}); got || problems != "" {
		t.Errorf("where nothing is pinned: %v, %s", got, problems)
	}
	if err := update.Pin(folder, []string{"RWnonsense"}); err == nil {
		t.Error("nonsense was pinned")
	}
	if err := update.Pin(folder, []string{maker.public}); err != nil {
		t.Fatal(err)
	}
	if got, problems := on(update.Settings{}); !got || problems != "" {
		t.Errorf("pinned: %v, %s", got, problems)
	}
	if got, problems := on(update.Settings{Enabled: new(false)}); got || problems != "" {
		t.Errorf("pinned, and switched off in the settings: %v, %s", got, problems)
	}
	// What is damaged switches updates off, and nothing else.
	if err := os.WriteFile(filepath.Join(folder, "releases.pub"), []byte("RWnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, problems := on(update.Settings{}); got || problems != "" {
		t.Errorf("damaged: %v, %s", got, problems)
	}
	if err := update.Pin(folder, nil); err != nil {
		t.Fatal(err)
	}
	if got, problems := on(update.Settings{}); got || problems != "" {
		t.Errorf("unpinned: %v, %s", got, problems)
	}
}
