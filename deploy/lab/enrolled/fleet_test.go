package enrolled_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/agent/identity"
	"communewatch/collector"
	"communewatch/collector/authority"
	"communewatch/collector/clock"
	"communewatch/collector/fleet"
	"communewatch/deploy/lab/enrolled"
	"communewatch/inventory"
	"communewatch/probes/webrtc"
)

// The tests' own program makes the calls too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "be-the-call" {
		if err := webrtc.Serve(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// patience is what a busy machine is given. An agent asks for new authorities within a minute of its start.
const patience = 3 * time.Minute

// open starts a fleet of sites s1, s2, ...
func open(t *testing.T, sites int, settings string) *enrolled.Fleet {
	t.Helper()
	o := enrolled.Options{Dir: t.TempDir(), Settings: settings, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for i := range sites {
		o.Sites = append(o.Sites, inventory.Site{ID: fmt.Sprintf("s%d", i+1), Name: fmt.Sprintf("Xã %d", i+1)})
	}
	f, err := enrolled.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	return f
}

func code(t *testing.T, f *enrolled.Fleet, want fleet.NewCode) string {
	t.Helper()
	made, err := f.Desk().CreateCodes(enrolled.Operator(t.Context()), []fleet.NewCode{want})
	if err != nil {
		t.Fatal(err)
	}
	return made[0].Text
}

func start(t *testing.T, m *enrolled.Machine) {
	t.Helper()
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, m) })
}

func stop(t *testing.T, m *enrolled.Machine) {
	t.Helper()
	if err := m.Stop(); err != nil {
		t.Errorf("%s: %v", m.Dir, err)
	}
}

// await polls until there is nothing left to wait for.
func await(t *testing.T, what string, missing func() []string) {
	t.Helper()
	begin := time.Now()
	for list := missing(); len(list) > 0; list = missing() {
		if time.Since(begin) > patience {
			t.Fatalf("%s: %d are missing, such as %v", what, len(list), list[:min(len(list), 5)])
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("%s: after %v", what, time.Since(begin).Round(10*time.Millisecond))
}

// reported waits until results of every one of the agents (site/name) arrived after a time.
func reported(t *testing.T, f *enrolled.Fleet, since time.Time, want ...string) {
	t.Helper()
	await(t, "results of "+some(want), func() []string {
		list, err := f.Registry().Accounts(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		missing := slices.Clone(want)
		for _, a := range list {
			if a.Last.After(since) {
				missing = slices.DeleteFunc(missing, func(w string) bool { return w == a.Site+"/"+a.Agent })
			}
		}
		return missing
	})
}

func some(list []string) string {
	if len(list) > 3 {
		return fmt.Sprintf("%d agents", len(list))
	}
	return strings.Join(list, ", ")
}

// of returns what is known of an agent that is not waiting.
func of(t *testing.T, f *enrolled.Fleet, site string) fleet.Agent {
	t.Helper()
	list, err := f.Desk().Agents(enrolled.Operator(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if a.Site == site {
			return a
		}
	}
	t.Fatalf("no agent of %s", site)
	return fleet.Agent{}
}

// An agent's life: it joins, waits for approval, outlives restarts of either side and the end of its certificate, goes
// over to another authority, is copied, and is thrown out.
func TestALifeInTheFleet(t *testing.T) {
	t.Parallel()
	f := open(t, 2, "")
	operator := enrolled.Operator(t.Context())
	one, two := f.Machine("one"), f.Machine("two")
	both := []*enrolled.Machine{one, two}
	everybody := []string{"s1/pc-1", "s2/pc-2"}

	if _, err := one.Enrol(t.Context(), code(t, f, fleet.NewCode{Site: "s1"}), "pc-1"); err != nil {
		t.Fatal(err)
	}
	joined := make(chan error, 1)
	waiting := code(t, f, fleet.NewCode{Site: "s2", Approve: true})
	go func() {
		_, err := two.Enrol(t.Context(), waiting, "pc-2")
		joined <- err
	}()
	await(t, "somebody who waits for approval", func() []string {
		list, err := f.Desk().Agents(operator)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(list, func(a fleet.Agent) bool { return a.Site == "s2" && a.State == fleet.StatePending }) {
			return nil
		}
		return []string{"s2"}
	})
	select {
	case err := <-joined:
		t.Fatalf("it did not wait for approval: %v", err)
	default:
	}
	if err := f.Desk().Approve(operator, "s2", "pc-2", "an"); err != nil {
		t.Fatal(err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	begin := f.Now()
	for _, m := range both {
		start(t, m)
	}
	reported(t, f, begin, everybody...)

	t.Log("the collector starts again")
	restart(t, f, 0)
	reported(t, f, f.Now(), everybody...)

	t.Log("the agents start again, 70 days later")
	before := []string{of(t, f, "s1").Serial, of(t, f, "s2").Serial}
	again(t, f, 70*24*time.Hour, both)
	reported(t, f, f.Now(), everybody...)
	renewed(t, f, before)

	t.Log("another authority is announced")
	if _, err := f.Authority().Announce(); err != nil {
		t.Fatal(err)
	}
	clone, err := one.Copy("copy-of-one")
	if err != nil {
		t.Fatal(err)
	}
	again(t, f, 0, both)
	start(t, clone)
	// Each machine has to learn it: of the copied one the collector can't tell which of the two has.
	await(t, "machines that trust the next authority", func() (missing []string) {
		for _, m := range []*enrolled.Machine{one, two, clone} {
			if set, err := identity.Read(m.Identity()); err != nil || len(set.Roots) < 2 {
				missing = append(missing, filepath.Base(m.Dir))
			}
		}
		return missing
	})
	await(t, "their word that they do", func() []string {
		list, err := f.Authority().Lacking(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	})
	// The two told in turn of what they trust.
	await(t, "a clone that is noticed", func() []string {
		if of(t, f, "s1").Clone.IsZero() {
			return []string{"s1"}
		}
		return nil
	})
	if a := of(t, f, "s1"); a.CloneWhy == "" || a.State != fleet.StateActive {
		t.Errorf("the agent with a clone: %+v", a)
	}
	if a := of(t, f, "s2"); !a.Clone.IsZero() {
		t.Errorf("an agent that was only restarted is taken for two: %s", a.CloneWhy)
	}
	stop(t, clone)
	if err := f.Authority().Switch(t.Context(), false); !errors.Is(err, authority.ErrNotReady) {
		t.Errorf("authorities were switched while two machines share an identity: %v", err)
	}
	if err := f.Desk().Cleared(operator, "s1", "pc-1", "an"); err != nil {
		t.Fatal(err)
	}
	if err := f.Authority().Switch(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	restart(t, f, 0)
	reported(t, f, f.Now(), everybody...)
	if err := f.Authority().Retire(t.Context(), false); err == nil {
		t.Error("an authority was retired while agents have certificates of it")
	}
	before = []string{of(t, f, "s1").Serial, of(t, f, "s2").Serial}
	again(t, f, 70*24*time.Hour, both)
	renewed(t, f, before)
	if err := f.Authority().Retire(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	again(t, f, 0, both)
	reported(t, f, f.Now(), everybody...)

	t.Log("one of them is stolen")
	thrown := f.Now()
	if err := f.Desk().Revoke(operator, "s1", "pc-1", "an", "stolen"); err != nil {
		t.Fatal(err)
	}
	reported(t, f, thrown.Add(4*time.Second), "s2/pc-2")
	list, err := f.Registry().Accounts(t.Context(), "s1")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if late := a.Last.Sub(thrown); late > 2*time.Second {
			t.Errorf("results of an agent that was thrown out were taken %v later", late)
		}
	}
}

// again stops agents and collector, lets time go by, and starts all.
func again(t *testing.T, f *enrolled.Fleet, after time.Duration, list []*enrolled.Machine) {
	t.Helper()
	for _, m := range list {
		stop(t, m)
	}
	restart(t, f, after)
	for _, m := range list {
		start(t, m)
	}
}

func restart(t *testing.T, f *enrolled.Fleet, after time.Duration) {
	t.Helper()
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	f.Wait(after)
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	if after == 0 {
		return
	}
	// After so long the collector asks whether its clock is right: agents confirm it within minutes, a person at once.
	if d, err := clock.Confirm(t.Context(), collector.Socket(f.Config()), "an"); err != nil || d == nil {
		t.Fatalf("a clock that is %v further is believed: %v, %v", after, d, err)
	}
}

// renewed waits until s1 and s2 have other certificates than before.
func renewed(t *testing.T, f *enrolled.Fleet, before []string) {
	t.Helper()
	await(t, "new certificates", func() (missing []string) {
		for i, site := range []string{"s1", "s2"} {
			if of(t, f, site).Serial == before[i] {
				missing = append(missing, site)
			}
		}
		return missing
	})
}

// A province joins, its collector goes away and comes back, and the province is back without coming all at once.
func TestAProvinceComesBackWithoutAStampede(t *testing.T) {
	const offices = 136
	f := open(t, offices, "")
	want := make([]fleet.NewCode, offices)
	for i := range want {
		want[i] = fleet.NewCode{Site: fmt.Sprintf("s%d", i+1)}
	}
	made, err := f.Desk().CreateCodes(enrolled.Operator(t.Context()), want)
	if err != nil {
		t.Fatal(err)
	}
	machines, names := make([]*enrolled.Machine, offices), make([]string, offices)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range machines {
		machines[i], names[i] = f.Machine(want[i].Site), want[i].Site+"/pc"
		all.Go(func() {
			if _, err := machines[i].Enrol(t.Context(), made[i].Text, "pc"); err != nil {
				t.Errorf("%s: %v", want[i].Site, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	enrolment := time.Since(begin)
	var once sync.Once
	end := func() {
		once.Do(func() {
			var all sync.WaitGroup
			for _, m := range machines {
				all.Go(func() { stop(t, m) })
			}
			all.Wait()
		})
	}
	defer end()
	begin = f.Now()
	for _, m := range machines {
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
	}
	reported(t, f, begin, names...)

	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	away := time.Now()
	// An upgrade takes so long that each has tried some times, and waits longer by now.
	await(t, "agents that try", func() []string {
		if tried, _ := f.Front().Rush(away); tried < 6*offices {
			return []string{"more"}
		}
		return nil
	})
	tried, busiest := f.Front().Rush(away)
	t.Logf("136 enrolled within %v; while the collector was away they tried %d times in %v, %d in the busiest second",
		enrolment.Round(time.Millisecond), tried, time.Since(away).Round(time.Second), busiest)
	back := time.Now()
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	opened := time.Now()
	reported(t, f, back, names...)
	took := time.Since(opened)
	// Those that report need not have their channel for orders yet.
	await(t, "the other connections", func() []string {
		if came, _ := f.Front().Rush(back); came < 5*offices/2 {
			return []string{"more"}
		}
		return nil
	})
	tried, busiest = f.Front().Rush(back)
	t.Logf("all are back %v after the door opened (the start took %v); %d connections, %d in the busiest second",
		took.Round(10*time.Millisecond), opened.Sub(back).Round(10*time.Millisecond), tried, busiest)
	// An agent keeps two connections, for results and for orders, and asks for its work by a third. Without pauses that are
	// spread out all channels for orders, at least, would be opened in the same second.
	if busiest > 3*offices/4 {
		t.Errorf("%d of %d connections came within a second", busiest, tried)
	}
	if took > 2*time.Minute {
		t.Errorf("it took %v until all were back", took)
	}
}

// What makes a join code no good leaves nothing of an identity behind, and the next code works.
func TestAMachineThatCouldNotJoinCanJoinLater(t *testing.T) {
	t.Parallel()
	f := open(t, 1, "")
	text := code(t, f, fleet.NewCode{Site: "s1"})
	if _, err := f.Machine("first").Enrol(t.Context(), text, "pc-1"); err != nil {
		t.Fatal(err)
	}
	late := f.Machine("second")
	if _, err := late.Enrol(t.Context(), text, "pc-2"); err == nil {
		t.Fatal("a code was good twice")
	}
	if _, err := identity.Read(late.Identity()); !errors.Is(err, identity.ErrNone) {
		t.Errorf("%s: %v", filepath.Base(late.Dir), err)
	}
	if _, err := late.Enrol(t.Context(), code(t, f, fleet.NewCode{Site: "s1"}), "pc-2"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Machine("third").Enrol(ctx, code(t, f, fleet.NewCode{Site: "s1"}), "pc-3"); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
}
