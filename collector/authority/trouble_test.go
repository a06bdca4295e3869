package authority

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The word of one of two machines with one identity says nothing of the other: it may know the former authority alone.
func TestNoSwitchWhileTwoMachinesShareAnIdentity(t *testing.T) {
	c, f := newClock(), &agents{}
	a := open(t, t.TempDir(), Options{Now: c.now, Agents: f.all})
	next := must(a.Announce())
	f.add("twice", c.now(), c.now(), next)
	f.list[0].Clone = c.now()
	err := a.Switch(t.Context(), false)
	if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "s1/twice") || !strings.Contains(err.Error(), "two machines") || a.Pin() == next {
		t.Fatalf("%v", err)
	}
	f.list[0].Clone = time.Time{}
	if err := a.Switch(t.Context(), false); err != nil || a.Pin() != next {
		t.Errorf("after somebody looked: %v", err)
	}

	c.add(day)
	f.list[0].Issued, f.list[0].Clone = c.now(), c.now()
	if err := a.Retire(t.Context(), false); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "two machines") {
		t.Errorf("retired: %v", err)
	}

	next = must(a.Announce())
	f.hears(0, c.now(), next)
	f.list[0].Clone = c.now()
	if err := a.Switch(t.Context(), true); err != nil || a.Pin() != next {
		t.Errorf("forced: %v", err)
	}
}

// Of two former authorities the one that has ended goes by itself, and not the other, which agents have certificates of.
func TestOnlyAnAuthorityThatHasEndedGoesByItself(t *testing.T) {
	c, f := newClock(), &agents{}
	a := open(t, t.TempDir(), Options{Now: c.now, Agents: f.all})
	first := a.Pin()
	c.add(authorityLife - 10*day)
	second := must(a.Announce())
	if err := a.Switch(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	c.add(5 * day)
	third := must(a.Announce())
	cert := agentOf(t, a, c.now())
	f.add("pc", c.now(), c.now(), second, third)
	if err := a.Switch(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	c.add(6 * day)
	if err := a.advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, one := range a.List() {
		if one.Pin == first {
			t.Error("the authority that has ended is trusted still")
		}
	}
	if _, err := a.Identify(cert, c.now()); err != nil || len(a.List()) != 2 {
		t.Errorf("an agent of an authority that has years to go is left behind: %v", err)
	}
}

// Two processes that change authorities at the same moment: no change is lost without a word.
func TestChangesAtTheSameMoment(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a, command := open(t, dir, Options{Now: c.now}), open(t, dir, Options{Now: c.now})
	var announced error
	err := a.change(func(s *state) error {
		_, announced = command.Announce()
		s.entries[0].since = c.now()
		return nil
	})
	if announced != nil || !errors.Is(err, errChanging) {
		t.Fatalf("%v, %v", announced, err)
	}
	if again := open(t, dir, Options{Now: c.now}); len(again.List()) != 2 {
		t.Errorf("an announcement was lost: %+v", again.List())
	}
	if left := must(filepath.Glob(filepath.Join(dir, "*.tmp"))); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Keys are in what is prepared, so what a crash left of it does not stay for ever.
func TestWhatACrashLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{})
	old, fresh := filepath.Join(dir, stateFile+".1.tmp"), filepath.Join(dir, stateFile+".2.tmp")
	put(t, old, "key")
	put(t, fresh, "of somebody who writes now")
	long := time.Now().Add(-2 * leftover)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
	if _, err := os.Stat(old); err == nil {
		t.Error("a key of a change that was never made stays")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("what another process writes was removed:", err)
	}
}

// A folder that takes no file keeps no agent out.
func TestCertificateThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{})
	if err := os.Mkdir(filepath.Join(dir, serverFile), 0o700); err != nil { // what no file can be put in the place of
		t.Fatal(err)
	}
	a := open(t, dir, Options{Names: []string{"localhost"}})
	if err := reaches(t, a, a.Roots(), "localhost", time.Now()); err != nil {
		t.Error(err)
	}
}
