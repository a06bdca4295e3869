package orders

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/agent/schedule"
	"communewatch/probes"
	"communewatch/probes/orders"
)

const (
	// runAgain is how long a check is not run by order after it was: whoever clicks without end learns nothing more, and
	// devices that count requests would take it for an attack.
	runAgain = 10 * time.Second
	// maxRuns is how many orders to run checks are carried out at once.
	maxRuns = 4
	// runsAtOnce is how many checks of one order run at the same time: enough that a person need not wait long, few enough
	// that they don't measure each other.
	runsAtOnce = 8
)

// runChecks carries out an order to run checks. It says how they fare each time that one is over.
func (c *Client) runChecks(e *entry, o *orders.Order) {
	b := &batch{client: c, entry: e, ran: make([]orders.Ran, len(o.Run.Checks))}
	if why := c.enterRuns(); why != "" {
		c.ledger.say(e, orders.Report{Phase: orders.PhaseRefused, Reason: why})
		return
	}
	waiting := 0
	for i, name := range o.Run.Checks {
		b.ran[i] = orders.Ran{Check: name, Phase: orders.PhaseAccepted}
		if why := c.mayRun(name); why != "" {
			b.ran[i].Phase, b.ran[i].Reason = orders.PhaseRefused, why
		} else {
			waiting++
		}
	}
	if waiting == 0 {
		c.leaveRuns()
		b.end()
		return
	}
	c.o.Log.Info("checks are run by order", "order", o.ID, "checks", strings.Join(o.Run.Checks, " "))
	b.say(orders.PhaseAccepted)
	c.calls.Go(func() {
		defer c.leaveRuns()
		// One that can't be begun within its order's time is not worth its answer any more.
		ctx, cancel := context.WithTimeout(c.life, reportFor)
		defer cancel()
		places := make(chan struct{}, runsAtOnce)
		var all sync.WaitGroup
		for i := range b.ran {
			if b.ran[i].Phase == orders.PhaseRefused {
				continue
			}
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				begun := time.Now()
				ran := c.o.Run(ctx, o.Run.Checks[i], func() { b.set(i, orders.Ran{Check: o.Run.Checks[i], Phase: orders.PhaseStarted}) })
				ran.Check, ran.Reason = o.Run.Checks[i], schedule.CleanError(ran.Reason)
				c.spendRun(ran, time.Since(begun))
				b.set(i, ran)
			})
		}
		all.Wait()
		b.end()
	})
}

// enterRuns takes one of the places for orders to run checks, or says why there is none.
func (c *Client) enterRuns() (refusal string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.o.Run == nil:
		return "the agent's settings let no checks be run by order"
	case c.runs >= maxRuns:
		return fmt.Sprintf("%d orders to run checks are under way; wait for one to end", c.runs)
	}
	c.runs++
	return ""
}

func (c *Client) leaveRuns() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs--
}

// mayRun notes that a check is run by order, or says why it must not be.
func (c *Client) mayRun(check string) (refusal string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for name, at := range c.ran {
		if now.Sub(at) >= runAgain {
			delete(c.ran, name)
		}
	}
	if c.callsWith(check) && c.recentlySpent() >= spentMost {
		return fmt.Sprintf("calls by order took %v of the last hour, which is the most", spentMost)
	}
	if at, ok := c.ran[check]; ok {
		return fmt.Sprintf("it was run by order %v ago; once in %v is enough", now.Sub(at).Round(time.Second), runAgain)
	}
	c.ran[check] = now
	return ""
}

// callsWith reports whether a check sends media. The caller holds c.mu.
func (c *Client) callsWith(check string) bool {
	return slices.ContainsFunc(c.callers, func(k Caller) bool { return k.Check == check })
}

// spendRun counts a run that sent media as an ordered call: it takes as much of the line.
func (c *Client) spendRun(ran orders.Ran, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ran.Phase == orders.PhaseDone && c.callsWith(ran.Check) {
		c.spent = append(c.spent, spell{time.Now(), max(took, spentLeast)})
	}
}

// batch is the checks of one order.
type batch struct {
	client *Client
	entry  *entry

	mu    sync.Mutex // guards the fields below, and is held while they are said, so that what is said later is the newer
	ran   []orders.Ran
	begun bool // it was said that the first runs
}

// set notes how far a check has come. That the first has begun is said, and each end but the last, which end says.
func (b *batch) set(i int, ran orders.Ran) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ran[i] = ran
	over := !slices.ContainsFunc(b.ran, func(r orders.Ran) bool { return !r.Phase.Final() })
	if over || b.begun && !ran.Phase.Final() {
		return
	}
	b.begun = true
	b.client.ledger.say(b.entry, orders.Report{Phase: orders.PhaseStarted, Ran: slices.Clone(b.ran)})
}

func (b *batch) say(p orders.Phase) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.client.ledger.say(b.entry, orders.Report{Phase: p, Ran: slices.Clone(b.ran)})
}

// end says what all of them came to: the first outcome that is not "ok", or a refusal if none was run.
func (b *batch) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	rep := orders.Report{Phase: orders.PhaseRefused, Ran: slices.Clone(b.ran)}
	for _, r := range b.ran {
		first := rep.Phase == orders.PhaseRefused
		switch {
		case r.Phase == orders.PhaseRefused && first && rep.Reason == "":
			rep.Reason = r.Check + ": " + r.Reason
		case r.Phase == orders.PhaseDone && (first || rep.Outcome == probes.OutcomeOK.String()):
			rep.Phase, rep.Outcome, rep.Reason = orders.PhaseDone, r.Outcome, r.Reason
		}
	}
	b.client.ledger.say(b.entry, rep)
}

// look carries out an order to look for something at the collector.
func (c *Client) look(e *entry, o *orders.Order) {
	f := c.o.Look[o.Look]
	if f == nil {
		c.ledger.say(e, orders.Report{Phase: orders.PhaseRefused, Reason: "the agent looks for no " + o.Look})
		return
	}
	c.ledger.say(e, orders.Report{Phase: orders.PhaseAccepted})
	c.calls.Go(func() {
		ctx, cancel := context.WithTimeout(c.life, reportFor)
		defer cancel()
		rep := orders.Report{Phase: orders.PhaseDone, Outcome: probes.OutcomeOK.String()}
		if err := f(ctx); err != nil {
			rep.Outcome, rep.Reason = probes.OutcomeFailed.String(), err.Error()
		}
		c.ledger.say(e, rep)
	})
}
