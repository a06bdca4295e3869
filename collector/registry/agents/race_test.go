package agents_test

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"communewatch/collector/fleet"
	"communewatch/collector/registry/agents"
	"communewatch/probes/enroll"
)

// A code that leaked is tried by many machines in the same moment, at this process and at another one.
func TestOneOfManyGetsACode(t *testing.T) {
	w := newWorld(t)
	other := w.open(slog.New(slog.DiscardHandler)).Agents()
	for round := range 3 {
		code := w.code(fleet.NewCode{Site: "s1", Agent: fmt.Sprint("pc-", round)})
		parsed, err := enroll.ParseCode(code.Text)
		if err != nil {
			t.Fatal(err)
		}
		var in sync.Map
		var all sync.WaitGroup
		for i := range 16 {
			store := w.Store
			if i%2 == 1 {
				store = other
			}
			all.Go(func() {
				_, err := store.Ask(w.ctx, agents.Asking{Secret: parsed.Secret, Key: key(fmt.Sprint(round, "/", i)), Agent: "x", Machine: enroll.Machine{Host: "h"}})
				var no *agents.Refused
				switch {
				case err == nil:
					in.Store(i, true)
				case !errors.As(err, &no) || no.Code != enroll.RefusedUsed:
					t.Errorf("machine %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if err := w.Load(w.ctx); err != nil { // what the other process did is found within half a second
			t.Fatal(err)
		}
		n := 0
		in.Range(func(i, _ any) bool {
			n++
			w.standing("s1", code.Agent, fmt.Sprint(round, "/", i), fleet.StateActive)
			return true
		})
		if n != 1 {
			t.Errorf("round %d: %d machines were let in", round, n)
		}
	}
}

// A thief that renews without end is out once the revocation was answered, with every key that it got.
func TestRenewalsCannotOutrunARevocation(t *testing.T) {
	w := newWorld(t)
	w.enrol(fleet.NewCode{Site: "s1"}, "key 0", "main")
	begun, done := make(chan struct{}), make(chan int)
	go func() {
		for i := 1; ; i++ {
			err := w.Issued(w.ctx, agents.Certificate{Site: "s1", Agent: "main", Serial: fmt.Sprint(i + 1), Key: key(fmt.Sprint("key ", i)), By: key(fmt.Sprint("key ", i-1)),
				Issued: w.clock(), Expires: w.clock().Add(time.Hour)})
			if i == 3 {
				close(begun)
			}
			if err != nil {
				refused(t, err, enroll.RefusedRevoked)
				done <- i
				return
			}
		}
	}()
	<-begun
	if err := w.desk.Revoke(w.ctx, "s1", "main", "", "stolen"); err != nil {
		t.Fatal(err)
	}
	for i := range <-done {
		if state, err := w.Standing("s1", "main", key(fmt.Sprint("key ", i))); err == nil && state != fleet.StateRevoked {
			t.Errorf("key %d: %s", i, state)
		}
	}
	// Nor with one of these keys and a fresh code.
	_, err := w.ask(w.code(fleet.NewCode{Site: "s1"}), "key 2", "main")
	refused(t, err, enroll.RefusedRevoked)
}

// Of two people of whom one approves and one rejects, one is told that it was too late, and what was answered holds.
func TestApprovedAndRejectedAtOnce(t *testing.T) {
	w := newWorld(t)
	for round := range 5 {
		name := fmt.Sprint("pc-", round)
		if in, err := w.ask(w.code(fleet.NewCode{Site: "s1", Agent: name, Approve: true}), name, ""); err != nil || in.State != fleet.StatePending {
			t.Fatal(in, err)
		}
		var approved, rejected error
		var both sync.WaitGroup
		both.Go(func() { approved = w.desk.Approve(w.ctx, "s1", name, "lan") })
		both.Go(func() { rejected = w.desk.Reject(w.ctx, "s1", name, "an", "unknown machine") })
		both.Wait()
		want := fleet.StateActive
		if rejected == nil {
			want = fleet.StateRevoked
		}
		if (approved == nil) == (rejected == nil) || !errors.Is(errors.Join(approved, rejected), fleet.ErrState) {
			t.Errorf("approved %v, rejected %v", approved, rejected)
		}
		w.standing("s1", name, name, want)
	}
}

// Codes that were made while the collector's clock was years ahead are not good for years.
func TestCodeOfAClockThatWasAhead(t *testing.T) {
	w := newWorld(t)
	w.pass(5 * 365 * 24 * time.Hour)
	code := w.code(fleet.NewCode{Site: "s1"})
	w.pass(-5 * 365 * 24 * time.Hour)
	_, err := w.ask(code, "pc", "main")
	refused(t, err, enroll.RefusedExpired)
	w.pass(-12 * time.Hour)
	longest := w.code(fleet.NewCode{Site: "s1", Valid: 30 * 24 * time.Hour})
	w.pass(-12 * time.Hour)
	if _, err := w.ask(longest, "pc", "main"); err != nil {
		t.Error("a clock that was set back by half a day:", err)
	}
}
