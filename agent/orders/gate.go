package orders

import (
	"context"
	"fmt"
	"sync"
	"time"

	"communewatch/probes"
)

// Gate decides who may send media over the line: nobody while a meeting is on, else an ordered call, else the schedule.
// Make it with NewGate.
type Gate struct {
	meetings Meetings
	now      func() time.Time // meetings go by the clock on the wall, everything else by monotonic time

	mu    sync.Mutex // guards the fields below
	until time.Time  // of the collector's hold, by monotonic time; zero for none
	note  string     // of it
	call  bool       // an ordered call is planned or under way
	tests map[*test]bool
	quiet chan struct{} // closed when the last test ends; nil while nobody waits for that
}

// test is a scheduled test under way.
type test struct{ cancel context.CancelCauseFunc }

// NewGate returns a Gate that knows of no hold. now is the wall clock.
func NewGate(meetings Meetings, now func() time.Time) *Gate {
	return &Gate{meetings: meetings, now: now, tests: map[*test]bool{}}
}

func held(format string, args ...any) error {
	return probes.Errorf(probes.OutcomeHeld, format, args...)
}

// Test lets a scheduled test begin, which takes at most d, or says why it must not with probes.OutcomeHeld. The test
// must end when its context does; the context's cause then is such an error too. leave is to be called at its end.
func (g *Gate) Test(ctx context.Context, d time.Duration) (testing context.Context, leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.meeting(d); err != nil {
		return nil, nil, err
	}
	if g.call {
		return nil, nil, held("not run: a call ordered by the collector comes first")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := &test{cancel}
	g.tests[t] = true
	return ctx, func() {
		cancel(nil)
		g.mu.Lock()
		defer g.mu.Unlock()
		if delete(g.tests, t); len(g.tests) == 0 && g.quiet != nil {
			close(g.quiet)
			g.quiet = nil
		}
	}, nil
}

// meeting says which meeting forbids media from now for d. The caller holds g.mu.
func (g *Gate) meeting(d time.Duration) error {
	if left := time.Until(g.until); left > 0 {
		return held("not run: a meeting is on by the collector's word, for another %v%s", left.Round(time.Second), named(g.note))
	}
	now := g.now()
	if m, ok := g.meetings.Between(now, now.Add(d)); ok {
		return held("not run: a meeting is on, or near, by the agent's settings%s", named(m.Note))
	}
	return nil
}

func named(note string) string {
	if note == "" {
		return ""
	}
	return fmt.Sprintf(" (%s)", note)
}

// hold keeps all media off the line for d, which zero ends. Tests under way end at once.
func (g *Gate) hold(d time.Duration, note string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until, g.note = time.Time{}, ""
	if d > 0 {
		g.until, g.note = time.Now().Add(d), note
		g.cancel(held("ended early: a meeting begins%s", named(note)))
	}
}

// plan reserves the line for an ordered call that will be over within d.
func (g *Gate) plan(d time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.call {
		return held("another ordered call is planned or under way")
	}
	if err := g.meeting(d); err != nil {
		return err
	}
	g.call = true
	return nil
}

// release ends what plan began.
func (g *Gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.call = false
}

// clear ends the tests under way, and returns a channel that is closed when they are over; none begins while a call is
// planned.
func (g *Gate) clear() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cancel(held("ended early: a call ordered by the collector comes first"))
	if g.quiet == nil {
		g.quiet = make(chan struct{})
	}
	quiet := g.quiet
	if len(g.tests) == 0 {
		close(g.quiet)
		g.quiet = nil
	}
	return quiet
}

// cancel ends the tests under way. The caller holds g.mu.
func (g *Gate) cancel(why error) {
	for t := range g.tests {
		t.cancel(why)
	}
}
