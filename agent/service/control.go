package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"communewatch/probes/presence"
)

// control runs a program for a service manager that calls: start must return at once, stop and shutdown when the program
// has ended. It knows nothing of any system, so that tests can call it as Windows would.
type control struct {
	program Program
	session *Session
	within  time.Duration
	// failed is called with the program's error when it ended without being told to. A manager that waits for calls would
	// show it as running for ever, so the process has to end; then the manager's recovery starts it again.
	failed func(error)

	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex // guards the fields below
	reason presence.Reason
	err    error
}

// newControl returns a control that does nothing until start.
func newControl(s *Session, p Program, within time.Duration, failed func(error)) *control {
	c := &control{program: p, session: s, within: within, failed: failed, done: make(chan struct{})}
	s.why = c.why
	return c
}

func (c *control) why() presence.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == "" {
		return presence.StopService
	}
	return c.reason
}

// start begins the program and returns.
func (c *control) start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	go func() {
		err := c.session.run(ctx, c.program)
		c.mu.Lock()
		c.err = err
		told := c.reason != "" || ctx.Err() != nil
		c.mu.Unlock()
		close(c.done)
		if !told {
			c.failed(err)
		}
	}()
}

// stop tells the program to end, and why, and waits until it has.
func (c *control) stop(why presence.Reason) error {
	c.mu.Lock()
	c.reason = why
	c.mu.Unlock()
	c.cancel()
	select {
	case <-c.done:
	case <-time.After(c.within):
		return fmt.Errorf("stopping took longer than %s", c.within)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
