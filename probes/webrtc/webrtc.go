// Package webrtc makes one conference call with real media and says how good it would have been.
//
// A call is what a meeting's software does: an offer is signalled, ICE finds a way for the media, DTLS agrees on keys,
// and streams shaped like those of a camera and a microphone go both ways as SRTP. Ping can't stand in for it: it is
// small, regular and often treated better than anything else on the line, and says nothing of whether UDP gets through
// at all.
//
// A test takes part of the line while it lasts. What it may take is in the settings: a share of what the line has by
// contract. A profile above it is refused before anything is sent.
//
// The call runs in a process of its own where the caller names a command for it (see Serve): the media library takes
// in what comes from the network, and a crash of it must be one failed test.
package webrtc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/call"
	"communewatch/probes/webrtc/child"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
)

// Probe calls one service. Make it with New.
type Probe struct {
	target  probes.Target
	bind    bind.Binding
	opts    Options
	profile orders.Profile
	ca      []byte
	command []string
	onCall  func(*report.Call) // nil for nobody
	fleet   connect.Fleet
	busy    chan struct{} // holds one value while a call is under way
}

// New returns a probe of the target's address, which is a URL; it is a *Probe.
func New(t probes.Target, b bind.Binding, o Options) (probes.Probe, error) {
	var bad error
	o.Validate(t, func(at, format string, args ...any) {
		if bad == nil {
			bad = probes.Errorf(probes.OutcomeBadConfig, "%s: %w", at, fmt.Errorf(format, args...))
		}
	})
	if bad != nil {
		return nil, bad
	}
	p := &Probe{target: t, bind: b, opts: o, busy: make(chan struct{}, 1)}
	var err error
	if p.profile, err = o.profile(o.Profile); err != nil {
		return nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	if o.CAFile != "" {
		if p.ca, err = loadCA(o.CAFile); err != nil {
			return nil, probes.Errorf(probes.OutcomeBadConfig, "ca_file: %w", err)
		}
	}
	return p, nil
}

// RunIn makes calls run in processes of their own: command, which must do what Serve does. It is to be called before
// the first call. Without it calls run in this process.
func (p *Probe) RunIn(command []string) { p.command = command }

// At makes the probe known to the agent's own collectors, where the options say nothing of certificates. It is to be called
// before the first call.
func (p *Probe) At(fleet connect.Fleet) { p.fleet = fleet }

// OnCall has f told all that is known of each call that Probe makes. It is to be called before the first.
func (p *Probe) OnCall(f func(*report.Call)) { p.onCall = f }

// Probe makes one call with the check's own profile, and its ramp if it has one.
func (p *Probe) Probe(ctx context.Context) ([]probes.Point, error) {
	s := p.spec(p.profile, p.opts.Duration)
	if p.opts.Ramp.Enabled {
		for _, kbps := range p.opts.Ramp.StepsKbps {
			s.Steps = append(s.Steps, kbps*1000)
		}
		s.StepFor, s.BudgetBPS = p.opts.Ramp.Step, p.opts.Budget()
	}
	c, err := p.run(ctx, s, nil)
	if c != nil && p.onCall != nil {
		p.onCall(c)
	}
	return Points(c), err
}

// Call makes a call with another profile and of another length, as part of a rehearsal: without a ramp. started, if
// not nil, is called when media begin to flow. What would take more of the line than the check's options allow is
// refused with the outcome "held", and so is a call beside one that is under way. Measurements and error may both be
// there.
func (p *Probe) Call(ctx context.Context, profile orders.Profile, d time.Duration, started func()) ([]probes.Point, *report.Call, error) {
	if err := media.Check(profile); err != nil {
		return nil, nil, probes.Errorf(probes.OutcomeBadConfig, "%w", err)
	}
	if d < time.Second || d > maxOrdered {
		return nil, nil, probes.Errorf(probes.OutcomeBadConfig, "a call of %v: want 1s to %v", d, maxOrdered)
	}
	if err := p.opts.overBudget("profile "+profile.Name, media.WireBPS(profile)); err != nil {
		return nil, nil, probes.Errorf(probes.OutcomeHeld, "%w", err)
	}
	s := p.spec(profile, d)
	s.Rehearsal = true
	c, err := p.run(ctx, s, started)
	return Points(c), c, err
}

// Profile is the check's own profile.
func (p *Probe) Profile() orders.Profile { return p.profile }

func (p *Probe) spec(profile orders.Profile, d time.Duration) call.Spec {
	s := call.Spec{
		Address: p.target.Address, Service: p.opts.Service,
		Path: p.bind.Path, Device: p.bind.Device, Source: p.bind.Source, Guard: p.bind.Guard,
		Profile: profile, Duration: d, Data: p.opts.Data, AudioPlayout: p.opts.Playout.Audio, VideoPlayout: p.opts.Playout.Video,
		SkipVerify: p.opts.SkipVerify, CA: p.ca, Timeout: p.opts.Timeout,
	}
	if u, err := call.ParseURL(s.Address); err == nil && len(s.CA) == 0 && !s.SkipVerify {
		s.Member = p.fleet.Of(u)
	}
	return s
}

// run makes a call, in a process of its own if there is a command for one.
func (p *Probe) run(ctx context.Context, s call.Spec, started func()) (*report.Call, error) {
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
	default:
		return nil, probes.Errorf(probes.OutcomeHeld, "a call of this check is under way; two at once would measure each other")
	}
	var err error
	if s.Token, err = p.opts.secret(); err != nil { // read anew: tokens are changed
		return nil, probes.Errorf(probes.OutcomeBadConfig, "token: %w", err)
	}
	if len(p.command) == 0 {
		return fenced(ctx, s, started)
	}
	var last *line
	err = child.Run(ctx, p.command, s, func(b []byte) error {
		var l line
		if err := json.Unmarshal(b, &l); err != nil {
			return err
		}
		switch {
		case l.Done:
			last = &l
		case l.Started && started != nil:
			started()
		}
		return nil
	})
	switch {
	case err != nil && ctx.Err() != nil: // it did not stop in time
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	case last == nil:
		return nil, probes.Errorf(probes.OutcomePanic, "the process of the call ended without a result")
	case last.Call != nil && !believable(last.Call):
		return nil, probes.Errorf(probes.OutcomePanic, "the process of the call gave a result with numbers that can't be")
	}
	if last.Error == "" {
		return last.Call, nil
	}
	outcome, ok := probes.ParseOutcome(last.Outcome)
	if !ok || outcome == probes.OutcomeOK {
		outcome = probes.OutcomeFailed
	}
	return last.Call, &probes.Error{Outcome: outcome, Err: errors.New(last.Error)}
}

// line is what the process of a call says: that it has started, and then its result.
type line struct {
	Started bool         `json:"started,omitempty"`
	Done    bool         `json:"done,omitempty"`
	Call    *report.Call `json:"call,omitempty"`
	Outcome string       `json:"outcome,omitempty"`
	Error   string       `json:"error,omitempty"`
}

// Serve is the process of a call: it reads from in what to do, and writes to out what came of it. The agent's hidden
// command is no more than that.
func Serve(in io.Reader, out io.Writer) error {
	return child.Serve(in, out, func(ctx context.Context, s call.Spec, send func(any) error) error {
		// The panic of a goroutine of the library ends the process, which says enough; one of ours too.
		s.Alone = true
		c, err := call.Run(ctx, s, func() { _ = send(line{Started: true}) })
		result := line{Done: true, Call: c}
		if err != nil {
			result.Outcome, result.Error = probes.OutcomeOf(err).String(), clip(err.Error())
		}
		return send(result)
	})
}

// maxError bounds an error's text on its way out of the process.
const maxError = 4 << 10

func clip(s string) string {
	if len(s) > maxError {
		return s[:maxError]
	}
	return s
}

// fenced makes a call in this process.
func fenced(ctx context.Context, s call.Spec, started func()) (c *report.Call, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = probes.Errorf(probes.OutcomePanic, "the call panicked: %v", r)
		}
	}()
	return call.Run(ctx, s, started)
}
