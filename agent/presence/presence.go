// Package presence tells the collector that the agent runs, and that it is about to stop (probes/presence): so that what
// is off can be told from what is down.
//
// When an agent starts it says why, as far as it can know: a marker in its state folder names the start of the machine
// under which the agent before it ran and says whether that was stopped in order. A machine that was started anew though
// its agent was never stopped has lost its power.
//
// While it runs it says so every five minutes, and when something changes. When it is stopped it makes one short attempt
// to say so, after its last results are sent.
//
// Nothing depends on any of this: a collector that does not want it (an InfluxDB) is asked again every hour.
package presence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"communewatch/agent/ship"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/work"
)

// Options of a Sender.
type Options struct {
	Collectors []ship.Collector // in order of preference; none: nothing is sent, but the marker is kept
	Agent      string
	Boot       string // of the agent, as in the header of its batches
	Dir        string // the state folder
	Machine    enroll.Machine

	// What is told, each nil where there is nothing to tell.
	Work     func() work.Status
	Update   func() presence.Update
	Identity func() (cert presence.Certificate, pins []string)

	Started func() presence.Reason // nil, or why it starts if that is known better than by the marker; "" if not
	Stopped func() presence.Reason // why it stops, asked when it does; nil for presence.StopService
	Log     *slog.Logger

	// For tests.
	machine string                                     // which start of the machine this is
	client  func(ship.Collector) (*http.Client, error) // without sockets
}

const (
	every      = 5 * time.Minute
	askTimeout = 15 * time.Second
	gaspWithin = 2 * time.Second

	retryMin = 15 * time.Second
	retryMax = 5 * time.Minute
	// unwanted is the pause after a collector has said that it knows nothing of presence.
	unwanted = time.Hour
	// lookEvery is how often it is looked whether there is something new to tell.
	lookEvery = 15 * time.Second

	maxAnswer = 4 << 10
)

// Sender tells of the agent's presence. Make it with New.
type Sender struct {
	o       Options
	changed chan struct{}
	heard   atomic.Bool // by the collector

	// The state of Run.
	begun   time.Time
	reason  presence.Reason
	ways    []way
	current int // of ways: the one that answered last
	said    bool
	told    facts
	fails   int
	trouble string // that was logged
}

// way is an address of the collector.
type way struct {
	ship.Collector
	client *http.Client
}

// New returns a Sender that does nothing until Run.
func New(o Options) *Sender {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Stopped == nil {
		o.Stopped = func() presence.Reason { return presence.StopService }
	}
	if o.machine == "" {
		o.machine = MachineStart()
	}
	if o.client == nil {
		o.client = ship.Collector.Client
	}
	return &Sender{o: o, changed: make(chan struct{}, 1)}
}

// Changed makes it look at once whether there is something new to tell.
func (s *Sender) Changed() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Told reports whether the collector has heard of this start.
func (s *Sender) Told() bool { return s.heard.Load() }

// Run tells of the agent's start, then that it runs, until ctx ends; then that it stops, which takes two seconds at most.
func (s *Sender) Run(ctx context.Context) error {
	s.begun = time.Now()
	before, ok := read(s.o.Dir)
	s.reason = before.reason(ok, s.o.machine)
	if s.o.Started != nil {
		if why := s.o.Started(); why != "" {
			s.reason = why
		}
	}
	running := marker{Machine: s.o.machine}
	if err := running.write(s.o.Dir); err != nil {
		s.o.Log.Warn("can't note that the agent runs; the reason of its next start will not be known", "error", err)
	}
	s.o.Log.Info("reason of this start", "reason", string(s.reason))
	for _, c := range s.o.Collectors {
		client, err := s.o.client(c)
		if err != nil {
			return fmt.Errorf("presence: %w", err)
		}
		defer client.CloseIdleConnections()
		s.ways = append(s.ways, way{c, client})
	}

	for ctx.Err() == nil {
		s.pause(ctx, time.Now().Add(s.tell(ctx)))
	}

	running.Stopped = s.o.Stopped()
	if err := running.write(s.o.Dir); err != nil {
		s.o.Log.Warn("can't note that the agent was stopped in order; its next start will look like that after a crash", "error", err)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), gaspWithin)
	defer cancel()
	if err := s.send(last, s.presence(last, presence.PhaseStopping, running.Stopped)); err != nil {
		s.o.Log.Info("could not say goodbye to the collector", "error", err)
	}
	return nil
}

// pause waits until a time, or less if there is something new to tell. A collector that did not hear the last is not back
// because of that.
func (s *Sender) pause(ctx context.Context, until time.Time) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	end := time.NewTimer(time.Until(until))
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-s.changed:
		case <-tick.C:
		}
		if s.fails == 0 && !s.told.equal(s.facts()) {
			return
		}
	}
}

// facts is what is worth telling at once when it has changed.
type facts struct {
	work   work.Status
	update presence.Update
	cert   presence.Certificate
	pins   []string
}

func (s *Sender) facts() facts {
	f := facts{work: work.Status{State: work.StateNone}}
	if s.o.Work != nil {
		f.work = s.o.Work()
	}
	if s.o.Update != nil {
		f.update = s.o.Update()
	}
	if s.o.Identity != nil {
		f.cert, f.pins = s.o.Identity()
	}
	return f
}

func (f facts) equal(g facts) bool {
	return f.update == g.update && f.cert == g.cert && slices.Equal(f.pins, g.pins) &&
		f.work.State == g.work.State && f.work.Version == g.work.Version && f.work.ETag == g.work.ETag && slices.Equal(f.work.Problems, g.work.Problems)
}

// tell says that the agent runs, and returns how long to wait until it is to be said again.
func (s *Sender) tell(ctx context.Context) time.Duration {
	phase, reason := presence.PhaseRunning, presence.Reason("")
	if !s.said {
		phase, reason = presence.PhaseStarted, s.reason
	}
	err := s.send(ctx, s.presence(ctx, phase, reason))
	switch {
	case ctx.Err() != nil:
		return 0
	case err == nil:
		if s.trouble != "" {
			s.o.Log.Info("the collector hears of this agent again")
		}
		s.said, s.fails, s.trouble = true, 0, ""
		s.heard.Store(true)
		return every - rand.N(every/10)
	}
	s.fails++
	if text := err.Error(); text != s.trouble {
		s.o.Log.Info("the collector does not hear of this agent; trying on", "error", err)
		s.trouble = text
	}
	if errors.Is(err, errUnwanted) {
		return unwanted + rand.N(unwanted/10)
	}
	pause := min(retryMin<<min(s.fails-1, 10), retryMax)
	return pause/2 + rand.N(pause/2)
}

// presence is what is to be said.
func (s *Sender) presence(ctx context.Context, phase presence.Phase, reason presence.Reason) *presence.Presence {
	s.told = s.facts()
	return &presence.Presence{
		Boot: s.o.Boot, Phase: phase, Reason: reason, Up: time.Since(s.begun).Seconds(), Booted: machineUp(ctx), Machine: s.o.Machine,
		Work: s.told.work, Update: s.told.update, Certificate: s.told.cert, Trust: s.told.pins,
	}
}

var errUnwanted = errors.New("it knows nothing of presence")

// send sends it to the address that answered last, or else to one of the others.
func (s *Sender) send(ctx context.Context, p *presence.Presence) (failed error) {
	if len(s.ways) == 0 {
		return nil
	}
	if err := p.Validate(); err != nil {
		return err
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	for n := range s.ways {
		i := (s.current + n) % len(s.ways)
		err := s.ways[i].post(ctx, s.o.Agent, body)
		s.ways[i].client.CloseIdleConnections() // in five minutes it would have been closed by somebody on the way
		if err == nil {
			s.current = i
			return nil
		}
		if failed == nil {
			failed = fmt.Errorf("%s: %w", s.ways[i].URL, err)
		}
	}
	return failed
}

func (w *way) post(ctx context.Context, agent string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := w.Request(ctx, agent, http.MethodPost, presence.Path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header["Idempotency-Key"] = nil // not sent; it lets the transport repeat a request that met a connection just closed
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	switch resp.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return errUnwanted
	}
	return fmt.Errorf("answered %s", resp.Status)
}
