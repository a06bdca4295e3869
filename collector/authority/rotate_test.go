package authority

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
)

// run starts a and returns what stops it.
func run(t *testing.T, a *Authority) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// agents is a fleet in memory.
type agents struct {
	mu   sync.Mutex
	list []fleet.Agent
}

func (f *agents) all(context.Context) ([]fleet.Agent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := slices.Clone(f.list)
	for i := range out {
		said := *out[i].Presence
		said.Trust = slices.Clone(said.Trust)
		out[i].Presence = &said
	}
	return out, nil
}

// hears has an agent say something of itself.
func (f *agents) hears(i int, at time.Time, trust ...enroll.Pin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list[i].Heard = at
	for _, pin := range trust {
		f.list[i].Presence.Trust = append(f.list[i].Presence.Trust, pin.String())
	}
}

func (f *agents) add(name string, issued, heard time.Time, trust ...enroll.Pin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &presence.Presence{}
	for _, pin := range trust {
		p.Trust = append(p.Trust, pin.String())
	}
	f.list = append(f.list, fleet.Agent{Site: "s1", Agent: name, State: fleet.StateActive, Serial: "1", Issued: issued, Heard: heard, Presence: p})
}

func TestChangeOfAuthorities(t *testing.T) {
	c, f, dir := newClock(), &agents{}, t.TempDir()
	o := Options{Names: []string{"localhost"}, Now: c.now, Agents: f.all}
	a := open(t, dir, o)
	first, before := a.Pin(), a.Roots()
	old := agentOf(t, a, c.now())
	if err := a.Switch(t.Context(), true); err == nil {
		t.Error("switched to nothing")
	}

	second, err := a.Announce()
	if err != nil || second == first {
		t.Fatal(second, err)
	}
	if _, err := a.Announce(); err == nil {
		t.Error("announced twice")
	}
	if a.Pin() != first || !strings.Contains(a.Roots(), strings.TrimSpace(before)) || a.Roots() == before {
		t.Error("an announcement changed who signs, or did not reach the roots")
	}
	announced := a.Roots()
	if err := reaches(t, a, before, "localhost", c.now()); err != nil {
		t.Error("agents that heard nothing are locked out by an announcement:", err)
	}

	f.add("told", c.now(), c.now(), first, second)
	f.add("behind", c.now(), c.now(), first)
	f.add("away", c.now().Add(-50*day), c.now().Add(-40*day), first)
	if err := a.Switch(t.Context(), false); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "s1/behind") || strings.Contains(err.Error(), "away") {
		t.Errorf("%v", err)
	}
	if list, err := a.Lacking(t.Context()); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	f.hears(1, c.now(), second)
	c.add(day)
	if err := a.Switch(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if a.Pin() != second || a.Fleet() != first {
		t.Error("the pin is to change, and the fleet's name is not")
	}
	if err := reaches(t, a, announced, "localhost", c.now()); err != nil {
		t.Error("agents that were told are locked out:", err)
	}
	if err := reaches(t, a, before, "localhost", c.now()); err == nil {
		t.Error("the former authority vouches for the collector still")
	}
	if name, err := a.Identify(old, c.now()); err != nil || name.Fleet != first.String() {
		t.Error("a certificate of the former authority is refused:", err)
	}
	fresh := agentOf(t, a, c.now())

	if err := a.Retire(t.Context(), false); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "s1/told") {
		t.Errorf("%v", err)
	}
	for i := range f.list {
		f.list[i].Issued = c.now()
	}
	if err := a.Retire(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Identify(old, c.now()); !errors.Is(err, ErrUntrusted) {
		t.Error("a certificate of the retired authority:", err)
	}
	if _, err := a.Identify(fresh, c.now()); err != nil {
		t.Error(err)
	}
	again := open(t, dir, o)
	if again.Pin() != second || again.Fleet() != first || len(again.List()) != 1 {
		t.Errorf("after a restart: %+v", again.List())
	}
}

// What the command line does is taken over by the collector that runs, within a second or two.
func TestAnotherProcessChangesAuthorities(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := open(t, dir, Options{Names: []string{"localhost"}})
		defer run(t, a)()
		command := open(t, dir, Options{}) // keeps no certificate of the collector
		if _, err := command.GetCertificate(nil); err == nil {
			t.Error("the command line has a certificate of the collector")
		}
		generation := a.Generation()
		next, err := command.Announce()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery)
		if len(a.List()) != 2 || a.Generation() == generation {
			t.Fatalf("%+v", a.List())
		}
		if err := command.Switch(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookEvery)
		if a.Pin() != next {
			t.Error("the switch was not taken over")
		}
		if err := reaches(t, a, a.Roots(), "localhost", time.Now()); err != nil {
			t.Error(err)
		}
	})
}

// An authority that comes to its end is followed by another without anybody's doing, once all agents know it.
func TestAuthoritySucceedsItself(t *testing.T) {
	f, dir := &agents{}, t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var ahead atomic.Int64 // of the clock: so many ticks need not be waited for
		shift := func(d time.Duration) { ahead.Add(int64(d)) }
		shift(authorityLife - 3*365*day)
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		a := open(t, dir, Options{Names: []string{"localhost"}, Agents: f.all, Now: func() time.Time { return start }})
		first := a.Pin()
		var kept record
		a = open(t, dir, Options{Names: []string{"localhost"}, Agents: f.all, Record: &kept, Now: now, Log: slog.New(slog.DiscardHandler)})
		defer run(t, a)()
		synctest.Wait()
		if len(a.List()) != 1 {
			t.Fatalf("announced with three years left: %+v", a.List())
		}
		shift(365*day + time.Hour)
		time.Sleep(advanceEvery + time.Minute)
		synctest.Wait()
		list := a.List()
		if len(list) != 2 {
			t.Fatalf("not announced with less than two years left: %+v", list)
		}
		next := list[1].Pin
		f.add("slow", now(), now(), first)
		shift(switchAfter)
		f.hears(0, now())
		time.Sleep(advanceEvery + time.Minute)
		synctest.Wait()
		if a.Pin() != first {
			t.Fatal("switched although an agent does not know the next one")
		}
		f.hears(0, now(), next)
		time.Sleep(advanceEvery + time.Minute)
		synctest.Wait()
		if a.Pin() != next || a.Fleet() != first {
			t.Fatal("not switched although all agents know the next one")
		}
		shift(3 * 365 * day)
		time.Sleep(advanceEvery + time.Minute)
		synctest.Wait()
		if list := a.List(); len(list) != 1 || list[0].Pin != next {
			t.Errorf("the former one has ended and is still trusted: %+v", list)
		}
		if want := []string{"authority.announce", "authority.switch", "authority.retire"}; !slices.Equal(kept.acts, want) {
			t.Errorf("on the record is %v, want %v", kept.acts, want)
		}
	})
}

// record keeps what was done by itself.
type record struct{ acts []string }

func (r *record) Record(_ context.Context, e audit.Entry) error {
	if e.Who == "system" && e.Via == "system" && e.OK {
		r.acts = append(r.acts, e.Act)
	}
	return nil
}
