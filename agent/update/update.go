// Package update brings releases of the agent onto the machine: it asks the collector for one, over the same connections
// as everything else, verifies it, tries whether it starts, and has it run on trial. It is off unless the settings
// switch it on and name the keys of those who may make releases.
//
// # Whom it believes
//
// The maker's signature alone. The collector says when it is this agent's turn, and brings the bytes; neither it nor
// anybody on the way can make the agent run what the maker has not signed, an older version than what runs, or what the
// maker's signature has let expire. See probes/release for what is checked in which order.
//
// # What it takes of the machine and the line
//
// A download goes on where it was interrupted, keeps to BytesPerSecond, and never takes the last of the disk. Before a
// release runs, it is asked in a short process of its own for its version, and whether it understands the agent's
// settings. That is no prison (by then the signature is known to be good), but a bound: of time, and of what it may say.
//
// What is to run is the affair of agent/update/course, and how of agent/update/launch.
package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"communewatch/agent/ship"
	"communewatch/agent/spool/disk"
	"communewatch/agent/update/course"
	"communewatch/agent/update/launch"
	"communewatch/probes/presence"
	"communewatch/probes/release"
	"communewatch/probes/work"
)

// Settings is what the agent's settings file says about updates.
type Settings struct {
	Enabled        *bool    `yaml:"enabled"`          // nil: if keys were pinned on the machine
	Keys           []string `yaml:"keys"`             // public keys of minisign that may sign releases
	KeysFile       string   `yaml:"keys_file"`        // more of them, one a line
	BytesPerSecond int      `yaml:"bytes_per_second"` // most that a download takes of the line
	// Trial is in what time a release has to prove itself.
	Trial time.Duration `yaml:"trial"`

	keys   release.Keys
	on     bool
	broken error // why what was pinned does not count; no reason not to measure
}

// On reports whether the agent takes releases, once Validate has been through the settings.
func (s *Settings) On() bool { return s.on }

// DefaultSettings are those of a file that says nothing.
func DefaultSettings() Settings { return Settings{BytesPerSecond: 64 << 10, Trial: launch.Window} }

// Bounds of Settings.Trial.
const (
	minTrial = time.Minute
	maxTrial = time.Hour
)

const maxKeysFile = 16 << 10

// Validate reads the keys and reports what is wrong. A relative KeysFile is relative to dir; folder is where keys may have
// been pinned.
func (s *Settings) Validate(dir, folder string, problem func(at, format string, args ...any)) {
	var list []string
	list, s.broken = Pinned(folder)
	if s.on = len(list) > 0; s.Enabled != nil {
		s.on = *s.Enabled
	}
	list = append(list, s.Keys...)
	if s.KeysFile != "" {
		if !filepath.IsAbs(s.KeysFile) {
			s.KeysFile = filepath.Join(dir, s.KeysFile)
		}
		more, err := ReadKeys(s.KeysFile)
		if err != nil {
			problem("keys_file", "%v", err)
			return
		}
		list = append(list, more...)
	}
	var err error
	if s.keys, err = release.ParseKeys(list); err != nil {
		problem("keys", "%v", err)
	} else if s.on && s.keys.Len() == 0 {
		problem("keys", "name the public key of who makes releases: without one nothing could be verified")
	}
	if s.BytesPerSecond < chunk {
		problem("bytes_per_second", "must be at least %d", chunk)
	}
	if s.Trial < minTrial || s.Trial > maxTrial {
		problem("trial", "must be from %v to %v", minTrial, maxTrial)
	}
}

// Options of an Updater.
type Options struct {
	Settings   Settings // validated
	Dir        string   // of releases: state_dir/releases
	Version    string   // of this binary
	Launched   launch.Launched
	Collectors []ship.Collector
	Agent      string
	Config     string // settings file, which a new release must understand

	// Healthy says that this process's results have arrived at the collector, and that it answers what the agent says of
	// itself. Only then a release on trial is kept.
	Healthy func() bool
	// Answered says that this process got any answer from the collector to its results. A release that never got one may
	// not be to blame. nil: it did.
	Answered func() bool
	Changed  func()           // is called when Status has become another; nil: nobody wants to know
	Now      func() time.Time // as the agent believes the time to be; nil: time.Now
	Log      *slog.Logger     // nil: slog.Default
	Window   time.Duration    // for a trial; 0: what the settings said when it began

	Every time.Duration // between questions; 0: 15 minutes
	Disk  *disk.Disk    // nil: the real one
}

// Updater is the updates of one agent. All methods may be called concurrently.
type Updater struct {
	o    Options
	log  *slog.Logger
	file course.File
	look chan struct{}
	pace *rate.Limiter

	mu      sync.Mutex // guards what follows
	last    course.Last
	trouble string // why nothing goes on now; "" for none

	spoilt map[release.Version]int // downloads whose sum was wrong; used by Run alone
}

// ErrSwitch is what Run returns when the agent has to end, so that another binary can take its place.
var ErrSwitch = errors.New("another release takes over")

// ErrFailing is the cause of a context that ends since the agent itself can't go on: such a start of a trial was in vain,
// where one that people or the system end is none.
var ErrFailing = errors.New("the agent can't go on")

const (
	askEvery   = 15 * time.Minute
	healthLook = time.Second
)

// New returns an Updater that does nothing until Run.
func New(o Options) *Updater {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Answered == nil {
		o.Answered = func() bool { return true }
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Every == 0 {
		o.Every = askEvery
	}
	if o.Disk == nil {
		o.Disk = &disk.Disk{}
	}
	u := &Updater{o: o, log: o.Log, file: course.File{Dir: o.Dir, Disk: o.Disk}, look: make(chan struct{}, 1),
		pace: rate.NewLimiter(rate.Limit(max(o.Settings.BytesPerSecond, chunk)), chunk), spoilt: map[release.Version]int{}}
	if s, err := u.file.Load(); err == nil {
		u.last = s.Last
	}
	if o.Settings.broken != nil {
		u.trouble = work.Problem(o.Settings.broken.Error())
		o.Log.Warn("updates are off", "error", o.Settings.broken)
	}
	return u
}

// Look has the collector asked now.
func (u *Updater) Look() {
	select {
	case u.look <- struct{}{}:
	default:
	}
}

// Status is what the agent says of its updates.
func (u *Updater) Status() presence.Update {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := presence.Update{Enabled: u.o.Settings.on, State: string(u.last.State), Problem: u.last.Problem, Rollout: u.last.Rollout}
	if u.last.State != "" {
		s.Version = u.last.Version.String()
	}
	if s.Problem == "" {
		s.Problem = u.trouble
	}
	return s
}

// change puts what do makes of the state on disk, and remembers what is to be said of it.
func (u *Updater) change(do func(course.State) (course.State, error)) (course.State, error) {
	s, err := u.file.Change(do)
	if err == nil {
		u.mu.Lock()
		u.last = s.Last
		u.mu.Unlock()
		u.o.Changed()
	}
	return s, err
}

// Run proves a release on trial, then asks for releases until ctx ends. It returns ErrSwitch when the agent has to end
// and be launched anew, nil when ctx ended.
func (u *Updater) Run(ctx context.Context) error {
	if err := u.prove(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	watching, end := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { u.watch(watching, ctx) })
	defer watch.Wait()
	defer end()
	if !u.o.Settings.on {
		<-ctx.Done()
		return nil
	}
	u.prune()
	wait := time.Duration(rand.Int64N(int64(u.o.Every)/10 + 1)) // 136 agents that start in the same second don't ask in one
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-u.look:
			timer.Stop()
		case <-timer.C:
		}
		again, err := u.round(ctx)
		if again {
			return ErrSwitch
		}
		if ctx.Err() != nil {
			return nil
		}
		u.say(err)
		wait = u.o.Every*9/10 + time.Duration(rand.Int64N(int64(u.o.Every)/5+1))
	}
}

// say notes why nothing goes on, and logs it when that is new.
func (u *Updater) say(err error) {
	text := ""
	if err != nil {
		text = work.Problem(err.Error())
	}
	u.mu.Lock()
	was := u.trouble
	u.trouble = text
	u.mu.Unlock()
	if text != was {
		u.o.Changed()
	}
	if text != was && text != "" {
		u.log.Warn("no update now", "error", text)
	} else if text != was {
		u.log.Info("updates work again")
	}
}

// prove waits until the release that this process is has proved itself, if it has to. It returns ErrSwitch when that did
// not come to pass in time.
func (u *Updater) prove(ctx context.Context) error {
	v, err := release.ParseVersion(u.o.Launched.Release)
	if err != nil {
		return nil // the package's binary proves nothing
	}
	s, err := u.file.Load()
	if err != nil || s.Trial == nil || s.Trial.Version != v {
		return nil
	}
	window := cmp.Or(u.o.Window, time.Duration(s.Trial.Window)*time.Second, launch.Window)
	u.log.Info("this release is on trial", "version", v, "start", s.Trial.Starts, "window", window)
	timer := time.NewTimer(window)
	defer timer.Stop()
	tick := time.NewTicker(healthLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return u.stopped(ctx, v)
		case <-timer.C:
			_, err := u.change(func(s course.State) (course.State, error) {
				if !u.o.Answered() {
					return s.Postpone(v, fmt.Sprintf("the collector did not answer it within %v", window), time.Now()), nil
				}
				return s.GiveUp(v, fmt.Sprintf("its results did not arrive within %v", window)), nil
			})
			u.log.Error("this release did not prove itself; the former one takes over", "version", v, "error", err)
			return ErrSwitch // should the state not be written: this start counts as one in vain
		case <-tick.C:
			if !u.o.Healthy() {
				continue
			}
			kept := false
			_, err := u.change(func(s course.State) (course.State, error) {
				s, kept = s.Confirm(v)
				return s, nil
			})
			switch {
			case err != nil:
				u.say(err) // the disk; the next second may be better
			case !kept:
				return ErrSwitch // it was given up meanwhile
			default:
				u.log.Info("this release proved itself and is kept", "version", v)
				return nil
			}
		}
	}
}

// stopped notes that this process, which is a release, ends because ctx did.
func (u *Updater) stopped(ctx context.Context, v release.Version) error {
	if errors.Is(context.Cause(ctx), ErrFailing) {
		return nil // this start counts
	}
	_, err := u.change(func(s course.State) (course.State, error) { return s.Paused(v), nil })
	return err
}

// watch notes when the release that this process is, and that is kept, is well: a start of it that ends before may be one
// of many in vain. It returns when that is known, or watching ends; the process stops when ctx does.
func (u *Updater) watch(watching, ctx context.Context) {
	v, err := release.ParseVersion(u.o.Launched.Release)
	if err != nil {
		return
	}
	if s, err := u.file.Load(); err != nil || s.Crashes == 0 {
		return
	}
	long := time.NewTimer(cmp.Or(u.o.Window, launch.Window)) // what runs that long without the collector does not crash
	defer long.Stop()
	tick := time.NewTicker(healthLook)
	defer tick.Stop()
	for well := false; !well; {
		select {
		case <-watching.Done():
			if ctx.Err() != nil {
				u.say(u.stopped(ctx, v))
			}
			return
		case <-long.C:
			well = true
		case <-tick.C:
			well = u.o.Healthy()
		}
	}
	_, err = u.change(func(s course.State) (course.State, error) { return s.Well(v), nil })
	if err != nil {
		u.log.Warn("can't note that this release is well", "version", v, "error", err)
	}
}

// prune removes releases that are not needed any more, and parts of downloads that will not go on.
func (u *Updater) prune() {
	s, err := u.file.Load()
	if err != nil {
		return // who knows what is needed
	}
	entries, _ := os.ReadDir(u.o.Dir) // not there: nothing to remove
	for _, e := range entries {
		_, bad := release.ParseVersion(e.Name())
		if e.IsDir() && bad == nil && !s.Needs(e.Name()) && e.Name() != u.o.Launched.Release {
			_ = os.RemoveAll(filepath.Join(u.o.Dir, e.Name())) // the next start tries again
		}
	}
}

// round asks once, and does all that is to be done. again says that another release is to be launched.
func (u *Updater) round(ctx context.Context) (again bool, err error) {
	var offer *release.Offer
	var from *source
	var errs []error
	for _, c := range u.o.Collectors {
		if from, err = newSource(c, u.o.Agent); err != nil {
			return false, err
		}
		if offer, err = from.offer(ctx); err == nil {
			break
		}
		from.close()
		errs = append(errs, err)
	}
	if err != nil || from == nil {
		return false, errors.Join(errs...)
	}
	defer from.close()
	if offer == nil {
		return false, nil
	}
	m, err := release.Verify([]byte(offer.Manifest), []byte(offer.Signature), u.o.Settings.keys)
	if err == nil && m.Version != offer.Version {
		err = fmt.Errorf("%w: %v was offered, and %v is what was signed", release.ErrSignature, offer.Version, m.Version)
	}
	if err != nil {
		return false, u.refuse(offer.Version, offer.Rollout, err, false) // a forger must not be able to have a version refused for good
	}
	s, err := u.asked(m.Version, offer.Rollout)
	if err != nil || s.HasFailed(m.Version) || !s.Due(m.Version, time.Now()) {
		return false, err
	}
	file, err := m.For(u.o.Version, runtime.GOOS, runtime.GOARCH, u.o.Now())
	switch {
	case errors.Is(err, release.ErrSame):
		return false, nil
	case err != nil:
		return false, u.refuse(m.Version, offer.Rollout, err, false)
	}
	if err := u.fetch(ctx, from, m.Version, file, offer.Rollout); err != nil {
		return false, err
	}
	if err := u.try(ctx, m.Version, file, offer.Rollout); err != nil {
		return false, err
	}
	_, err = u.change(func(s course.State) (course.State, error) {
		return s.Begin(course.Release{Version: m.Version, Size: file.Size, SHA256: file.SHA256, Package: u.o.Launched.Package}, u.o.Settings.Trial, u.o.Now())
	})
	if err != nil {
		return false, err
	}
	u.log.Info("a new release is ready and takes over", "version", m.Version)
	return true, nil
}

// asked notes in which roll-out a release is offered, if that is news, and returns the state.
func (u *Updater) asked(v release.Version, rollout int64) (course.State, error) {
	s, err := u.file.Load()
	if err == nil && rollout <= s.Rollout || errors.Is(err, course.ErrDamaged) {
		return s, nil // what is damaged is written anew when there is something to say
	}
	if err == nil {
		s, err = u.change(func(s course.State) (course.State, error) { return s.Asked(v, rollout), nil })
		delete(u.spoilt, v)
	}
	return s, err
}

// refuse notes that a release is not taken in a roll-out, and why: the collector waits for an answer in each. It is the
// outcome of a round, not its failure.
func (u *Updater) refuse(v release.Version, rollout int64, why error, forGood bool) error {
	u.mu.Lock()
	known := u.last == course.Last{State: release.StateRefused, Version: v, Problem: work.Problem(why.Error()), Rollout: rollout}
	u.mu.Unlock()
	if known {
		return nil
	}
	u.log.Error("release refused", "version", v, "error", why)
	_, err := u.change(func(s course.State) (course.State, error) { return s.Refuse(v, rollout, why.Error(), forGood), nil })
	return err
}
