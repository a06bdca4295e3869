// Package service runs the agent as what the system calls a service: under systemd, under the service manager of
// Windows, or in a terminal.
//
// The three differ in how a program is told to stop and in what it has to say meanwhile. Under systemd a signal says
// stop, and READY, STOPPING and signs of life go to its socket. Windows starts a program and then speaks with it through
// a control handler; it says whether the service alone is to stop or the whole machine, and there is no terminal to log
// to, so lines go to the event log. In a terminal there is only the signal. A Program sees none of that: it has a context
// that ends, and a Session.
//
// Why it stops matters: a machine that was switched off in the evening is not a line that went down. See Session.Why.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"communewatch/probes/presence"
	"communewatch/probes/systemd"
)

// Name is the service's name, the same in systemd, in Windows and in its event log.
const Name = "communewatch-agent"

// Program is what runs until ctx ends.
type Program func(ctx context.Context, s *Session) error

// Options of Run.
type Options struct {
	Log   *slog.Logger // for a terminal and for systemd, which keeps what is written to it
	Level slog.Level   // of lines for the event log of Windows
	// StopWithin is how long Windows waits for the program to end. The zero value is 15 s.
	StopWithin time.Duration

	getenv  func(string) string // os.Getenv, but for tests
	markers []string            // shutdownMarkers, but for tests
	exit    func(code int)      // os.Exit, but for tests
}

const stopWithin = 15 * time.Second

// Run runs a program as whatever started this process expects it, until ctx ends, the service is stopped, or the program
// ends by itself.
func Run(ctx context.Context, o Options, p Program) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.StopWithin == 0 {
		o.StopWithin = stopWithin
	}
	if o.getenv == nil {
		o.getenv = os.Getenv
	}
	if o.markers == nil {
		o.markers = shutdownMarkers()
	}
	if o.exit == nil {
		o.exit = os.Exit
	}
	if err := Supported(); err != nil {
		return err
	}
	if managed() {
		return runManaged(ctx, o, p)
	}
	n, err := systemd.New(o.getenv, os.Getpid())
	if err != nil {
		return fmt.Errorf("systemd's environment: %w", err)
	}
	s := &Session{log: o.Log, notify: n, why: func() presence.Reason { return whyStopped(o.markers) }}
	return s.run(ctx, p)
}

// shutdownMarkers are files that exist while a machine with systemd is going down: ours, made by a unit of the package
// that does nothing else, and the one that keeps people from logging in.
func shutdownMarkers() []string {
	return []string{"/run/communewatch-shutdown/now", "/run/nologin"}
}

func whyStopped(markers []string) presence.Reason {
	for _, m := range markers {
		if _, err := os.Stat(m); err == nil {
			return presence.StopShutdown
		}
	}
	return presence.StopService
}

// Session is what a program has of the service that it runs as.
type Session struct {
	log    *slog.Logger
	notify *systemd.Notifier
	why    func() presence.Reason

	alive atomic.Pointer[func() bool]
	ready func() // tells that the program has started, and has alive asked from then on
}

// Log is where the program's lines go.
func (s *Session) Log() *slog.Logger { return s.log }

// Why says why the program is to stop, once its context has ended.
func (s *Session) Why() presence.Reason { return s.why() }

// Ready says that the program has started. From then on alive is asked, under systemd, whether it still gets on; when it
// does not for some minutes systemd starts it anew. A later call has another alive asked.
func (s *Session) Ready(alive func() bool) {
	s.alive.Store(&alive)
	s.ready()
}

// Status is one line for `systemctl status` about what the program does.
func (s *Session) Status(text string) {
	if err := s.notify.Status(text); err != nil {
		s.log.Error("systemd does not hear what this service does", "error", err)
	}
}

// run runs the program and what watches it.
func (s *Session) run(ctx context.Context, p Program) error {
	alive := func() bool { return (*s.alive.Load())() }
	return s.notify.Serve(ctx, alive, s.log, func(ctx context.Context, ready func()) error {
		s.ready = ready
		return p(ctx, s)
	})
}
