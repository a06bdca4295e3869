// Package course is which of several binaries of the agent is to run: the one that the package installed, a release that
// proved itself, or one that is on trial. What follows from what is a function of the state and an event; the state is
// one small file.
//
// # Never without a working binary
//
// The package's binary is always there, and it is always the one that is started (see agent/update/launch): it looks here
// what to run in its place. A trial counts its starts before each, on disk. It becomes what is kept when it has shown
// that its results arrive; it is given up when it did not in time, or began three times in vain, and is then never tried
// again: only a release of another version is. What was kept before stays on the disk until then. A newer package wins
// over everything that is older than it.
package course

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/probes/release"
	"communewatch/probes/work"
)

// MaxStarts is how often a trial may start before it proved itself.
const MaxStarts = 3

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
	Back   bool      `json:"back,omitempty"` // a release was given up since the last start
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
}

// Failure is a version that is never tried again.
type Failure struct {
	Version release.Version `json:"version"`
	Why     string          `json:"why"`
}

// Last is what became of the release that was offered last.
type Last struct {
	State   release.State   `json:"state,omitempty"`
	Version release.Version `json:"version"`
	Problem string          `json:"problem,omitempty"`
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

// Fetched notes that a release is on the disk.
func (s State) Fetched(v release.Version) State {
	s.Last = Last{State: release.StateFetched, Version: v}
	return s
}

// Begin has a release tried at the next start.
func (s State) Begin(r Release, now time.Time) (State, error) {
	if s.HasFailed(r.Version) {
		return s, fmt.Errorf("%v: %w", r.Version, ErrFailed)
	}
	if s.Trial != nil {
		return s, fmt.Errorf("%v: %w", s.Trial.Version, ErrBusy)
	}
	s.Trial = &Trial{Release: r, Since: now}
	s.Last = Last{State: release.StateTrying, Version: r.Version}
	return s, nil
}

// Choice is what a start comes to.
type Choice struct {
	Run   *Release // nil: the binary that was started goes on itself
	Trial bool     // Run has to prove itself
	Back  bool     // the former one takes over again
}

// Launch is what to run when the package's binary, of version own, is started. The state has to be on disk before
// anything is run.
func (s State) Launch(own release.Version) (State, Choice) {
	var c Choice
	if s.Trial != nil && outdoes(own, &s.Trial.Release) {
		s.Trial = nil
	}
	if s.Kept != nil && outdoes(own, s.Kept) {
		s.Kept = nil
	}
	if s.Trial != nil && s.Trial.Starts >= MaxStarts {
		s = s.GiveUp(s.Trial.Version, fmt.Sprintf("it ended %d times before its results arrived", s.Trial.Starts))
	}
	c.Back, s.Back = s.Back, false
	if s.Trial != nil {
		trial := *s.Trial
		trial.Starts++
		s.Trial = &trial
		c.Run, c.Trial = &trial.Release, true
		return s, c
	}
	c.Run = s.Kept
	return s, c
}

// Confirm keeps the release on trial. ok is false when that is not v (any more).
func (s State) Confirm(v release.Version) (_ State, ok bool) {
	if s.Trial == nil || s.Trial.Version != v {
		return s, false
	}
	kept := s.Trial.Release
	s.Kept, s.Trial = &kept, nil
	s.Last = Last{State: release.StateKept, Version: v}
	return s, true
}

// Paused takes back that a trial started, since it was stopped in order: a machine that is switched off says nothing
// about the release.
func (s State) Paused(v release.Version) State {
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
		s.Kept, runs = nil, true
	}
	if !runs {
		return s
	}
	s.Back = true
	return s.fail(release.StateRolledBack, v, why)
}

// Refuse ends a release that was never run. With forGood its version is never looked at again.
func (s State) Refuse(v release.Version, why string, forGood bool) State {
	if !forGood {
		s.Last = Last{release.StateRefused, v, work.Problem(why)}
		return s
	}
	return s.fail(release.StateRefused, v, why)
}

func (s State) fail(state release.State, v release.Version, why string) State {
	s.Last = Last{state, v, work.Problem(why)}
	if !s.HasFailed(v) {
		s.Failed = append(slices.Clone(s.Failed), Failure{v, s.Last.Problem})
		s.Failed = s.Failed[max(0, len(s.Failed)-maxFailed):]
	}
	return s
}

// Needs reports whether the folder of a version must stay on the disk.
func (s *State) Needs(version string) bool {
	return s.Kept != nil && s.Kept.Version.String() == version || s.Trial != nil && s.Trial.Version.String() == version ||
		s.Last.State == release.StateFetched && s.Last.Version.String() == version
}

// outdoes reports whether a package of version own takes r's place: it is no older, and was installed after r was
// chosen.
func outdoes(own release.Version, r *Release) bool {
	return own.Compare(r.Version) >= 0 && own != r.Package
}
