// Package work is how an agent comes by what it is to do: it asks the collector (probes/work), has what it is given
// examined, and keeps the last good one on disk, sealed, so that it goes on without the collector after a restart.
//
// What is given is taken as a whole or not at all. Work that the agent's own settings forbid, or that has any mistake, is
// refused with every reason; the agent goes on with what it had, and the collector is told in the agent's presence. Work
// that was good is examined again at each start, since the settings may allow less by then.
//
// It is asked for at the start, every ten minutes or so, and when the collector says on the order channel that there is
// something new. What the agent has is told by its ETag, so that an answer is mostly empty. That nothing is assigned to
// the agent is an answer too: then it works by its settings file. It counts only with a collector's mark, for portals
// and other servers answer 404 as well.
package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"communewatch/agent/seal"
	"communewatch/agent/ship"
	"communewatch/probes/enroll"
	"communewatch/probes/wire"
	"communewatch/probes/work"
)

// Options of a Fetcher.
type Options struct {
	Dir        string           // the agent's state folder
	Collectors []ship.Collector // in order of preference; at least one
	Agent      string
	// Adopt examines work and puts it in force, or returns every reason for which it does not; nil for work takes the
	// agent back to its settings file. It is called by one goroutine at a time.
	Adopt func(w *work.Work) (problems []string)
	// Changed, if not nil, is told that Status says something else. It must be quick.
	Changed func()
	Every   time.Duration // between questions; 0: ten minutes
	Log     *slog.Logger

	client func(ship.Collector) (*http.Client, error) // ship.Collector.Client, but for tests without sockets
}

const (
	every      = 10 * time.Minute
	backoffMin = 5 * time.Second
	askTime    = 30 * time.Second // a work of 1 MiB over 512 kbit/s, and a slow start
	// maxTag bounds an ETag, which is a hash.
	maxTag     = 100
	maxRefusal = 4 << 10 // bytes
)

// Fetcher gets an agent's work. Make it with New.
type Fetcher struct {
	o     Options
	peers []peer

	asking sync.Mutex // held while the collector is asked and its answer adopted

	mu     sync.Mutex // guards the fields below
	status work.Status
}

type peer struct {
	ship.Collector
	http *http.Client
}

// New returns a Fetcher that does nothing until Restore or Run.
func New(o Options) (*Fetcher, error) {
	if o.Every <= 0 {
		o.Every = every
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.client == nil {
		o.client = ship.Collector.Client
	}
	f := &Fetcher{o: o, status: work.Status{State: work.StateNone}}
	for _, c := range o.Collectors {
		client, err := o.client(c)
		if err != nil {
			return nil, fmt.Errorf("ask for work: %w", err)
		}
		f.peers = append(f.peers, peer{c, client})
	}
	if len(f.peers) == 0 {
		return nil, errors.New("ask for work: no collector is configured")
	}
	return f, nil
}

// Status says what became of the work that the agent was given last.
func (f *Fetcher) Status() work.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// say sets the status.
func (f *Fetcher) say(s work.Status) {
	f.mu.Lock()
	f.status = s
	f.mu.Unlock()
	f.o.Changed()
}

// Run asks for work until ctx ends. Restore is to be called before.
func (f *Fetcher) Run(ctx context.Context) error {
	trouble := ""
	for fails := 0; ctx.Err() == nil; {
		next := f.o.Every - f.o.Every/10 + rand.N(f.o.Every/5)
		switch err := f.Look(ctx); {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, errRefused): // what was refused is logged where that is found out
			if text := err.Error(); text != trouble {
				f.o.Log.Info("can't ask for work; trying on", "error", text)
				trouble = text
			}
			next = min(next, backoffMin<<min(fails, 10)/2+rand.N(backoffMin<<min(fails, 10)))
			fails++
		default:
			trouble, fails = "", 0
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// errRefused is in the chain of the error for work that was not taken.
var errRefused = errors.New("the work was refused")

// Look asks now, and returns when what came is in force. An error says why nothing came of it.
func (f *Fetcher) Look(ctx context.Context) error {
	f.asking.Lock()
	defer f.asking.Unlock()
	defer f.hangUp() // the next question is minutes away
	var errs []error
	for i := range f.peers {
		err := f.ask(ctx, &f.peers[i])
		if err == nil || errors.Is(err, errRefused) {
			return err
		}
		errs = append(errs, fmt.Errorf("%s: %w", f.peers[i].URL, err))
	}
	return errors.Join(errs...)
}

// hangUp closes connections that are not in use.
func (f *Fetcher) hangUp() {
	for _, p := range f.peers {
		p.http.CloseIdleConnections()
	}
}

// ask asks one collector. The caller holds f.asking.
func (f *Fetcher) ask(ctx context.Context, p *peer) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := p.Request(ctx, f.o.Agent, http.MethodGet, work.Path, nil)
	if err != nil {
		return err
	}
	status := f.Status()
	if status.ETag != "" {
		req.Header.Set("If-None-Match", status.ETag)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
		_ = resp.Body.Close()
	}()
	genuine := resp.Header.Get(wire.HeaderReceivedAt) != "" // a portal answers for a collector, but not with this
	switch {
	case genuine && resp.StatusCode == http.StatusNotModified && status.ETag != "":
		if status.State == work.StateRefused {
			return fmt.Errorf("%w: %s", errRefused, status.Problems[0])
		}
		return nil
	case genuine && resp.StatusCode == http.StatusNotFound:
		return f.none()
	case genuine && resp.StatusCode == http.StatusOK:
	case !genuine:
		return fmt.Errorf("answered %s, but not as a collector that gives work does", resp.Status)
	default:
		return fmt.Errorf("answered %s%s", resp.Status, refusal(resp.Body))
	}
	w, err := work.Read(resp.Body)
	if err != nil {
		return err
	}
	tag := resp.Header.Get("ETag")
	if len(tag) > maxTag || work.Problem(tag) != tag {
		tag = ""
	}
	return f.given(w, tag)
}

// refusal is why a collector gives nothing, in its words; "" if it does not say.
func refusal(body io.Reader) string {
	var r enroll.Refusal
	if json.NewDecoder(io.LimitReader(body, maxRefusal)).Decode(&r) != nil || r.Message == "" {
		return ""
	}
	return ": " + work.Problem(r.Message)
}

// given has work that the collector gave examined.
func (f *Fetcher) given(w *work.Work, tag string) error {
	if problems := f.o.Adopt(w); len(problems) > 0 {
		f.refuse(problems, tag)
		return fmt.Errorf("%w: %s", errRefused, problems[0])
	}
	f.say(work.Status{State: work.StateActive, Version: w.Version, ETag: tag})
	f.o.Log.Info("work taken", "version", w.Version)
	if err := f.keep(w, tag); err != nil {
		f.o.Log.Warn("can't keep the work for after a restart", "error", err)
	}
	return nil
}

// refuse notes that what was given under a tag is not done.
func (f *Fetcher) refuse(problems []string, tag string) {
	s := f.Status()
	s.State, s.ETag, s.Problems = work.StateRefused, tag, nil
	for _, p := range problems[:min(len(problems), work.MaxProblems)] {
		s.Problems = append(s.Problems, work.Problem(p))
	}
	if more := len(problems) - work.MaxProblems; more > 0 {
		s.Problems[work.MaxProblems-1] = fmt.Sprintf("and %d more problems", more+1)
	}
	f.say(s)
	f.o.Log.Warn("work refused; going on with what there was", "problems", len(problems), "first", s.Problems[0])
}

// none takes the agent back to its settings file.
func (f *Fetcher) none() error {
	if f.Status().State == work.StateNone {
		return nil
	}
	if problems := f.o.Adopt(nil); len(problems) > 0 {
		return fmt.Errorf("go back to the settings file: %s", problems[0])
	}
	f.say(work.Status{State: work.StateNone})
	f.o.Log.Info("nothing is assigned to this agent any more; it works by its settings file")
	return f.forget()
}

func (f *Fetcher) file() string { return filepath.Join(f.o.Dir, "work", "work.sealed") }

func (f *Fetcher) box() (*seal.Box, error) { return seal.Open(filepath.Join(f.o.Dir, "seal.key")) }
