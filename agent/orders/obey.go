package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/media"
)

const (
	// lead is how long before an ordered call tests under way are ended: they have to hang up.
	lead = 3 * time.Second
	// late is how long after its time an order may be begun all the same: machines are slow.
	late = time.Second

	// Within an hour ordered calls take the line for half of it at most, whoever orders them.
	spentWithin = time.Hour
	spentMost   = 30 * time.Minute
	// A call that fails at once counts as one of this length: each takes a process, and knocks at the hub.
	spentLeast = 10 * time.Second

	// riding is what a call takes of the line each way beside its media, in bit/s: ten messages a second on the data
	// channel and their acknowledgements (some 20 kbit/s), reports on the media (RTCP), ICE's checks.
	riding = 30_000
)

// errStopped is why an ordered call was ended before its time. It is a cancellation to whoever asks: what was stopped
// on purpose says nothing about the line.
var errStopped error = stopped{}

type stopped struct{}

func (stopped) Error() string        { return "stopped by order" }
func (stopped) Is(target error) bool { return target == context.Canceled }

// calling is an ordered call, from being accepted to its end.
type calling struct {
	entry  *entry
	order  *orders.Order
	caller *Caller
	end    context.CancelCauseFunc
}

// spell is a time for which the line was used.
type spell struct {
	until time.Time
	took  time.Duration
}

// obey carries out an order that the address i told. It does not wait for calls.
func (c *Client) obey(o *orders.Order, i int) {
	e, known := c.ledger.enter(o.ID, i)
	if known {
		return // what became of it is said again
	}
	switch o.Kind {
	case orders.KindStop:
		c.endCall(o.Stop, errStopped)
		c.ledger.say(e, orders.Report{Phase: orders.PhaseDone, Outcome: probes.OutcomeOK.String()})
	case orders.KindHold:
		c.o.Gate.hold(time.Duration(o.Hold.For), o.Hold.Note)
		if o.Hold.For > 0 {
			c.endCall("", held("ended early: a meeting begins%s", named(o.Hold.Note)))
		}
		c.o.Log.Info("hold", "for", time.Duration(o.Hold.For), "meeting", o.Hold.Note)
		c.ledger.say(e, orders.Report{Phase: orders.PhaseDone, Outcome: probes.OutcomeOK.String()})
	case orders.KindRun:
		c.runChecks(e, o)
	case orders.KindLook:
		c.look(e, o)
	case orders.KindCall:
		if err := c.begin(e, o); err != nil {
			c.o.Log.Info("ordered call refused", "order", o.ID, "reason", err)
			c.ledger.say(e, orders.Report{Phase: orders.PhaseRefused, Reason: err.Error(), Check: o.Call.Check})
		}
	}
}

// endCall ends the call of an order, or whichever there is for "".
func (c *Client) endCall(id string, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && (id == "" || id == c.current.order.ID) {
		c.current.end(why)
	}
}

// begin accepts a call, or says why not.
func (c *Client) begin(e *entry, o *orders.Order) error {
	caller, err := c.caller(o.Call.Check)
	if err != nil {
		return err
	}
	if err := media.Check(o.Call.Profile); err != nil {
		return err
	}
	if bps := media.WireBPS(o.Call.Profile) + riding; bps > c.o.MaxBPS {
		return fmt.Errorf("the call would take %.0f kbit/s of the line each way; the agent's settings allow %.0f (orders.max_kbps)", bps/1000, c.o.MaxBPS/1000)
	}
	length := time.Duration(o.Call.Duration)
	if spent := c.recent(); spent+length > spentMost {
		return fmt.Errorf("ordered calls took %v of the last hour; with this one it would be more than %v", spent.Round(time.Second), spentMost)
	}
	if err := c.o.Gate.plan(time.Duration(o.Call.StartIn) + length + caller.Spare); err != nil {
		return err
	}
	// A call outlives the channel that it was ordered on, but not the client.
	ctx, end := context.WithCancelCause(c.life)
	k := &calling{entry: e, order: o, caller: caller, end: end}
	c.mu.Lock()
	c.current = k
	c.mu.Unlock()
	c.o.Log.Info("ordered call accepted", "order", o.ID, "check", caller.Check, "profile", o.Call.Profile.Name,
		"start_in", time.Duration(o.Call.StartIn), "duration", length)
	c.ledger.say(e, orders.Report{Phase: orders.PhaseAccepted, Check: caller.Check, Path: caller.Path})
	c.calls.Go(func() {
		defer end(nil)
		rep := c.carryOut(ctx, k)
		c.mu.Lock()
		c.current = nil
		c.mu.Unlock()
		c.o.Gate.release()
		c.o.Log.Info("ordered call over", "order", o.ID, "phase", string(rep.Phase), "outcome", rep.Outcome, "reason", rep.Reason)
		c.ledger.say(e, rep)
	})
	return nil
}

// carryOut waits for the call's time and makes it.
func (c *Client) carryOut(ctx context.Context, k *calling) orders.Report {
	o := k.order
	start := k.entry.received.Add(time.Duration(o.Call.StartIn))
	expires := k.entry.received.Add(time.Duration(o.Expires) + late)
	rep := orders.Report{Check: k.caller.Check, Path: k.caller.Path}

	if k.caller.Prepare != nil {
		c.calls.Go(func() { k.caller.Prepare(ctx) })
	}
	wait(ctx, time.Until(start.Add(-lead)))
	quiet := c.o.Gate.clear()
	wait(ctx, time.Until(start))
	expired := time.NewTimer(time.Until(expires))
	defer expired.Stop()
	free := false
	select {
	case <-quiet:
		free = time.Now().Before(expires)
	case <-ctx.Done():
	case <-expired.C:
	}
	switch {
	case ctx.Err() != nil:
		rep.Phase = orders.PhaseDone
		rep.Outcome, rep.Reason = ended(ctx)
		return rep
	case !free:
		rep.Phase, rep.Reason = orders.PhaseRefused, "it could not be begun in time: a scheduled test did not end, or the machine was too slow"
		return rep
	}
	begun := time.Now()
	res := k.caller.Call(ctx, *o.Call, func() {
		c.ledger.say(k.entry, orders.Report{Phase: orders.PhaseStarted, Check: rep.Check, Path: rep.Path})
	})
	c.spend(max(time.Since(begun), spentLeast))
	rep.Phase, rep.Outcome, rep.Reason, rep.Proof, rep.Result = orders.PhaseDone, res.Outcome.String(), res.Reason, res.Proof, res.Call
	if ctx.Err() != nil && res.Outcome != probes.OutcomeOK {
		rep.Outcome, rep.Reason = ended(ctx)
	}
	return rep
}

// ended says why a call's context ended.
func ended(ctx context.Context) (outcome, reason string) {
	switch why := context.Cause(ctx); {
	case errors.Is(why, errStopped):
		return probes.OutcomeCanceled.String(), why.Error()
	case probes.OutcomeOf(why) == probes.OutcomeHeld:
		return probes.OutcomeHeld.String(), why.Error()
	}
	return probes.OutcomeCanceled.String(), "the agent was stopping"
}

// recent is how long ordered calls took of the last hour.
func (c *Client) recent() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recentlySpent()
}

// recentlySpent is recent for a caller that holds c.mu.
func (c *Client) recentlySpent() (sum time.Duration) {
	for len(c.spent) > 0 && time.Since(c.spent[0].until) > spentWithin {
		c.spent = c.spent[1:]
	}
	for _, s := range c.spent {
		sum += s.took
	}
	return sum
}

func (c *Client) spend(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent = append(c.spent, spell{time.Now(), d})
}
