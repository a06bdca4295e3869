package orders

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"communewatch/probes"
)

// Gate decides who may send media over the line: nobody while a meeting is on, else an ordered call, else one test of
// the schedule's at a time: two would take more of the line than either may, and measure each other.
// Make it with NewGate.
type Gate struct {
	now   func() time.Time // meetings and what is kept on disk go by the clock on the wall, everything else by monotonic time
	turn  chan struct{}    // full while a test is under way
	store *store           // of the hold; nil where none is kept

	mu       sync.Mutex // guards the fields below
	meetings Meetings
	until    time.Time               // of the collector's hold, by monotonic time; zero for none
	note     string                  // of it
	call     bool                    // an ordered call is planned or under way
	test     context.CancelCauseFunc // ends the scheduled test under way; nil for none
	quiet    chan struct{}           // closed when it is over; nil while nobody waits for that
}

// NewGate returns a Gate that knows of no hold. now is the wall clock.
func NewGate(meetings Meetings, now func() time.Time) *Gate {
	return &Gate{meetings: meetings, now: now, turn: make(chan struct{}, 1)}
}

// SetMeetings puts other meetings in the place of those there are. A test under way goes on to its end.
func (g *Gate) SetMeetings(m Meetings) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.meetings = m
}

// Patience is how long a test waits at most for another one to end.
const Patience = 30 * time.Second

func held(format string, args ...any) error {
	return probes.Errorf(probes.OutcomeHeld, format, args...)
}

// Test lets a scheduled test begin, which takes at most d, or says why it must not with probes.OutcomeHeld. Where
// another test is under way it waits for its end, for patience at most. The test must end when its context does; the
// context's cause then is such an error too. leave is to be called at its end.
func (g *Gate) Test(ctx context.Context, d, patience time.Duration) (testing context.Context, leave func(), err error) {
	if err := g.forbids(d); err != nil {
		return nil, nil, err
	}
	if err := g.queue(ctx, patience); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.forbidden(d); err != nil { // since it has waited
		cancel(nil)
		<-g.turn
		return nil, nil, err
	}
	g.test = cancel
	return ctx, sync.OnceFunc(func() {
		cancel(nil)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.test = nil
		if g.quiet != nil {
			close(g.quiet)
			g.quiet = nil
		}
		<-g.turn
	}), nil
}

// queue waits for a test's turn.
func (g *Gate) queue(ctx context.Context, patience time.Duration) error {
	select {
	case g.turn <- struct{}{}:
		return nil
	default:
	}
	tired := time.NewTimer(patience)
	defer tired.Stop()
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-tired.C:
		return held("not run: another test with media is under way, and one at a time may use the line")
	}
}

// forbids says why no test of length d may begin now; nil if one may.
func (g *Gate) forbids(d time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.forbidden(d)
}

// forbidden is forbids for a caller that holds g.mu.
func (g *Gate) forbidden(d time.Duration) error {
	if err := g.meeting(d); err != nil {
		return err
	}
	if g.call {
		return held("not run: a call ordered by the collector comes first")
	}
	return nil
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

// hold keeps all media off the line for d, which zero ends. A test under way ends at once. It is not called twice at
// the same time.
func (g *Gate) hold(d time.Duration, note string) {
	g.mu.Lock()
	g.until, g.note = time.Time{}, ""
	if d > 0 {
		g.until, g.note = time.Now().Add(d), note
		g.cancel(held("ended early: a meeting begins%s", named(note)))
	}
	g.mu.Unlock()
	if g.store != nil { // without the lock: a disk may be slow
		g.store.keep(g.now(), d, note)
	}
}

// KeepHold has the collector's hold outlive this process, in a file of that name, and takes up the one that is there:
// after a restart in the middle of a meeting it may be long until the collector can be asked. Call it before anything
// else.
func (g *Gate) KeepHold(file string, log *slog.Logger) {
	g.store = &store{file, log}
	left, note := g.store.load(g.now())
	if left <= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until, g.note = time.Now().Add(left), note
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

// clear ends the test under way, and returns a channel that is closed when it is over; none begins while a call is
// planned.
func (g *Gate) clear() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cancel(held("ended early: a call ordered by the collector comes first"))
	if g.quiet == nil {
		g.quiet = make(chan struct{})
	}
	quiet := g.quiet
	if g.test == nil {
		close(g.quiet)
		g.quiet = nil
	}
	return quiet
}

// cancel ends the test under way, if there is one. The caller holds g.mu.
func (g *Gate) cancel(why error) {
	if g.test != nil {
		g.test(why)
	}
}
