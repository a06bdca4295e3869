// Package course is which of several binaries of the agent is to run: the one that the package installed, a release that
// proved itself, or one that is on trial. What follows from what is a function of the state and an event; the state is
// one small file.
//
// # Never without a working binary
//
// The package's binary is always there, and it is always the one that is started (see agent/update/launch): it looks here
// what to run in its place. A trial counts its starts before each, on disk. It becomes what is kept when it has shown
// that its results arrive; it is given up when it did not in time, or began three times in vain. What was kept before
// stays on the disk, and takes over again when what is kept now begins to crash: five starts in a row that ended by
// themselves before anything was delivered. A newer package wins over everything that is older than it.
//
// # What is no fault of the release
//
// A release that could not be started (a busy file, a slow disk), or that never heard of the collector while it was on
// trial, is put off, not given up: the former one runs, and it is tried again after a quarter of an hour, an hour, four
// hours. The fourth time is the last, for a release that alone can't reach the collector looks just like a dead line.
//
// What was given up is tried again only when somebody asks for it anew, by another roll-out of the same version.
package course

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/probes/release"
	"communewatch/probes/work"
)

const (
	// MaxStarts is how often a trial may start before it proved itself.
	MaxStarts = 3
	// MaxCrashes is how many starts in a row of what is kept may end before anything was delivered.
	MaxCrashes = 5
	// MaxTries is how often a release is tried where what went wrong may pass.
	MaxTries = 4
)

// firstPause is how long a release is put off for the first time; then four times as long each time.
const firstPause = 15 * time.Minute

// Bounds of what is remembered.
const (
	maxFailed = 50
	format    = 1
)

// State is what is remembered. The zero State is that of a machine on which the package's binary runs.
type State struct {
	Format int       `json:"format"`
	Kept   *Release  `json:"kept,omitempty"`  // runs in the package's place; nil: the package's own
	Trial  *Trial    `json:"trial,omitempty"` // runs next, or now, and has to prove itself
	Failed []Failure `json:"failed,omitempty"`
	Last   Last      `json:"last"`
	Back   bool      `json:"back,omitempty"` // a release was given up or put off since the last start

	Former  *Release `json:"former,omitempty"`  // was kept before Kept; nil: the package's own was
	Crashes int      `json:"crashes,omitempty"` // starts of Kept since it last was known to be well
	PutOff  *PutOff  `json:"put_off,omitempty"` // is tried again
	Rollout int64    `json:"rollout,omitempty"` // the newest in which a release was offered
}

// Release is a binary on the disk.
type Release struct {
	Version release.Version `json:"version"`
	Size    int64           `json:"size_bytes"`
	SHA256  string          `json:"sha256"`
	// Package is the version of the package's binary when this one was chosen. Another one since then is a package that
	// somebody installed later.
	Package release.Version `json:"package"`
}

// Trial is a release that has to prove itself.
type Trial struct {
	Release
	Since  time.Time `json:"since"` // for people; no clock decides anything here
	Starts int       `json:"starts"`
	Window int       `json:"window_seconds,omitempty"` // in which it has to prove itself; 0: the usual one
}

// Failure is a version that was given up.
type Failure struct {
	Version release.Version `json:"version"`
	Why     string          `json:"why"`
	Rollout int64           `json:"rollout,omitempty"` // in which it failed
}

// PutOff is a version whose trial has to wait.
type PutOff struct {
	Version release.Version `json:"version"`
	Tries   int             `json:"tries"`
	Since   time.Time       `json:"since"`
}

// until is when the trial's time has come.
func (p *PutOff) until() time.Time {
	pause := firstPause
	for range min(p.Tries, MaxTries) - 1 {
		pause *= 4
	}
	return p.Since.Add(pause)
}

// Last is what became of the release that was offered last.
type Last struct {
	State   release.State   `json:"state,omitempty"`
	Version release.Version `json:"version"`
	Problem string          `json:"problem,omitempty"`
	Rollout int64           `json:"rollout,omitempty"` // in which it was offered; 0: not known
}

// Errors of Begin; compare with errors.Is.
var (
	ErrFailed = errors.New("this version was given up before, and is not tried again")
	ErrBusy   = errors.New("another release is on trial")
)

// HasFailed reports whether a version was given up.
func (s *State) HasFailed(v release.Version) bool {
	return slices.ContainsFunc(s.Failed, func(f Failure) bool { return f.Version == v })
}

// Asked notes in which roll-out a version is offered. A later one than that in which it failed clears it: somebody looked
// into it, and asks for it anew. (Whoever holds the collector can do so too, with what the maker has signed.)
func (s State) Asked(v release.Version, rollout int64) State {
	if rollout == 0 {
		return s
	}
	s.Failed = slices.DeleteFunc(slices.Clone(s.Failed), func(f Failure) bool { return f.Version == v && rollout > f.Rollout })
	if s.PutOff != nil && s.PutOff.Version == v && rollout > s.Rollout {
		s.PutOff = nil
	}
	s.Rollout = max(s.Rollout, rollout)
	return s
}

// Due reports whether a release may be tried at a time: it is not put off, or no longer. A clock that went back puts
// nothing off for longer.
func (s *State) Due(v release.Version, now time.Time) bool {
	return s.PutOff == nil || s.PutOff.Version != v || now.Before(s.PutOff.Since) || !now.Before(s.PutOff.until())
}

// Fetched notes that a release is on the disk.
func (s State) Fetched(v release.Version) State { return s.say(release.StateFetched, v, "") }

// Begin has a release tried at the next start. It has to prove itself within a time; 0 is the usual one.
func (s State) Begin(r Release, within time.Duration, now time.Time) (State, error) {
	if s.HasFailed(r.Version) {
		return s, fmt.Errorf("%v: %w", r.Version, ErrFailed)
	}
	if s.Trial != nil {
		return s, fmt.Errorf("%v: %w", s.Trial.Version, ErrBusy)
	}
	s.Trial = &Trial{Release: r, Since: now, Window: int(within / time.Second)}
	return s.say(release.StateTrying, r.Version, ""), nil
}

// Choice is what a start comes to.
type Choice struct {
	Run    *Release      // nil: the binary that was started goes on itself
	Trial  bool          // Run has to prove itself
	Window time.Duration // within this; 0: within the usual one
	Back   bool          // the former one takes over again
}

// Launch is what to run when the package's binary, of version own, is started. The state has to be on disk before
// anything is run.
func (s State) Launch(own release.Version) (State, Choice) {
	var c Choice
	if s.Trial != nil && outdoes(own, &s.Trial.Release) {
		s.Trial = nil
	}
	if s.Kept != nil && outdoes(own, s.Kept) {
		s.Kept, s.Crashes = nil, 0
	}
	if s.Former != nil && (s.Kept == nil || outdoes(own, s.Former)) {
		s.Former = nil
	}
	if s.Trial != nil && s.Trial.Starts >= MaxStarts {
		s = s.GiveUp(s.Trial.Version, fmt.Sprintf("it ended %d times before its results arrived", s.Trial.Starts))
	}
	if s.Kept != nil && s.Trial == nil && s.Crashes >= MaxCrashes {
		s = s.GiveUp(s.Kept.Version, fmt.Sprintf("it was kept, and later ended %d times in a row before any results arrived", s.Crashes))
	}
	c.Back, s.Back = s.Back, false
	if s.Trial != nil {
		trial := *s.Trial
		trial.Starts++
		s.Trial = &trial
		c.Run, c.Trial, c.Window = &trial.Release, true, time.Duration(trial.Window)*time.Second
		return s, c
	}
	if c.Run = s.Kept; c.Run != nil {
		s.Crashes++
	}
	return s, c
}

// Well notes that what is kept is well: its results arrive, or it ran for long.
func (s State) Well(v release.Version) State {
	if s.Kept != nil && s.Kept.Version == v {
		s.Crashes = 0
	}
	return s
}

// Confirm keeps the release on trial. ok is false when that is not v (any more).
func (s State) Confirm(v release.Version) (_ State, ok bool) {
	if s.Trial == nil || s.Trial.Version != v {
		return s, false
	}
	kept := s.Trial.Release
	if s.Kept == nil || s.Kept.Version != v {
		s.Former = s.Kept
	}
	s.Kept, s.Trial, s.Crashes, s.PutOff = &kept, nil, 0, nil
	return s.say(release.StateKept, v, ""), true
}

// Paused takes back that a release started, since it was stopped in order: a machine that is switched off says nothing
// about the release.
func (s State) Paused(v release.Version) State {
	if s.Trial == nil && s.Kept != nil && s.Kept.Version == v {
		s.Crashes = max(0, s.Crashes-1)
	}
	if s.Trial != nil && s.Trial.Version == v && s.Trial.Starts > 0 {
		trial := *s.Trial
		trial.Starts--
		s.Trial = &trial
	}
	return s
}

// GiveUp ends a release that ran, on trial or kept, for good.
func (s State) GiveUp(v release.Version, why string) State {
	runs := false
	if s.Trial != nil && s.Trial.Version == v {
		s.Trial, runs = nil, true
	}
	if s.Kept != nil && s.Kept.Version == v {
		s.Kept, s.Former, s.Crashes, runs = s.Former, nil, 0, true
	}
	if !runs {
		return s
	}
	s.Back = true
	return s.fail(release.StateRolledBack, v, why)
}

// Postpone puts a release off, for a reason that may pass. What runs is what ran before it. The last time, it is given up.
// A release that is kept stays so, and is started again at the next start.
func (s State) Postpone(v release.Version, why string, now time.Time) State {
	if s.Trial == nil && s.Kept != nil && s.Kept.Version == v {
		return s.say(release.StateFetched, v, why)
	}
	tries := 1
	if s.PutOff != nil && s.PutOff.Version == v {
		tries += s.PutOff.Tries
	}
	if tries >= MaxTries {
		why = fmt.Sprintf("%s; that was so %d times", work.Problem(why), tries)
		if s.Trial != nil && s.Trial.Version == v {
			return s.GiveUp(v, why)
		}
		return s.Refuse(v, s.Rollout, why, true)
	}
	s.PutOff = &PutOff{Version: v, Tries: tries, Since: now}
	if s.Trial != nil && s.Trial.Version == v {
		s.Trial, s.Back = nil, true
	}
	return s.say(release.StateFetched, v, "put off: "+why)
}

// Refuse ends a release that was never run, in the roll-out in which it was offered; that counts for what is said of it
// alone, since nobody may have signed the release. With forGood its version is not looked at again.
func (s State) Refuse(v release.Version, rollout int64, why string, forGood bool) State {
	if forGood {
		s = s.fail(release.StateRefused, v, why)
	} else {
		s = s.say(release.StateRefused, v, why)
	}
	s.Last.Rollout = rollout
	return s
}

func (s State) fail(state release.State, v release.Version, why string) State {
	s = s.say(state, v, why)
	if s.PutOff != nil && s.PutOff.Version == v {
		s.PutOff = nil
	}
	if !s.HasFailed(v) {
		s.Failed = append(slices.Clone(s.Failed), Failure{v, s.Last.Problem, s.Rollout})
		s.Failed = s.Failed[max(0, len(s.Failed)-maxFailed):]
	}
	return s
}

func (s State) say(state release.State, v release.Version, why string) State {
	s.Last = Last{state, v, "", s.Rollout}
	if why != "" {
		s.Last.Problem = work.Problem(why)
	}
	return s
}

// Needs reports whether the folder of a version must stay on the disk.
func (s *State) Needs(version string) bool {
	return s.Kept != nil && s.Kept.Version.String() == version || s.Trial != nil && s.Trial.Version.String() == version ||
		s.Former != nil && s.Former.Version.String() == version || s.Last.State == release.StateFetched && s.Last.Version.String() == version
}

// outdoes reports whether a package of version own takes r's place: it is no older, and was installed after r was
// chosen.
func outdoes(own release.Version, r *Release) bool {
	return own.Compare(r.Version) >= 0 && own != r.Package
}
