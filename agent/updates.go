package agent

import (
	"context"
	"errors"
	"path/filepath"

	updates "communewatch/agent/update"
	"communewatch/agent/update/launch"
	said "communewatch/probes/presence"
)

// Releases is what the agent has to know of how it was started, to update itself.
type Releases struct {
	Launched launch.Launched
	Settings string // file, which another release has to understand too
}

// ReleasesDir is the folder of an agent's releases.
func ReleasesDir(stateDir string) string { return filepath.Join(stateDir, "releases") }

// newUpdater makes what updates the agent. It is there where updates are off too, to prove the release that it is.
func (a *Agent) newUpdater() *updates.Updater {
	o := updates.Options{
		Settings: a.cfg.Updates, Dir: ReleasesDir(a.cfg.StateDir), Version: a.opts.Version, Launched: a.opts.Releases.Launched, Config: a.opts.Releases.Settings,
		Collectors: a.cfg.ways(), Agent: a.cfg.Agent, Log: a.log, Now: a.opts.Now, Answered: func() bool { return a.ship.Stats().ClockOffsetKnown }, Changed: func() { a.herald.sender.Changed() },
		// Both are of this process: results that it sent were taken, and what it says of itself was.
		Healthy: func() bool { return !a.ship.Stats().LastSuccess.IsZero() && a.herald.sender.Told() },
	}
	if a.cfg.identity != nil {
		o.Now = a.cfg.identity.Now
	}
	return updates.New(o)
}

// update updates the agent until ctx ends. It returns updates.ErrSwitch when the agent is to end for it.
func (a *Agent) update(ctx context.Context) error {
	err := a.updater.Run(ctx)
	if errors.Is(err, updates.ErrSwitch) {
		a.switching.Store(true)
		return err
	}
	if err != nil {
		a.log.Error("the agent can't update itself", "error", err)
	}
	<-ctx.Done()
	return nil
}

// whyStopped says why the agent is stopped.
func (a *Agent) whyStopped() said.Reason {
	if a.switching.Load() {
		return said.StopUpdate
	}
	if a.opts.Life.Stopped == nil {
		return said.StopService
	}
	return a.opts.Life.Stopped()
}

// whyStarted says why the agent starts, where more is known than what the one before left behind.
func (a *Agent) whyStarted() said.Reason {
	if a.opts.Life.Started == nil {
		return a.opts.Releases.Launched.Reason
	}
	return a.opts.Life.Started()
}
