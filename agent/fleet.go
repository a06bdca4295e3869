package agent

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"communewatch/agent/collectors"
	"communewatch/agent/identity"
	"communewatch/agent/identity/keep"
	"communewatch/agent/presence"
	"communewatch/agent/ship"
	said "communewatch/probes/presence"
)

// Life is what others know of the agent's life, for the collector to be told. Each may be nil.
type Life struct {
	// Started is why the agent starts where that is known better than by what the one before left behind; "" where not.
	Started func() said.Reason
	// Stopped is why the agent is stopped, asked once it is; nil where it can only be the agent alone.
	Stopped func() said.Reason
}

// identify makes the identity of the settings one in use.
func (c *Config) identify(o *Options) {
	if c.enrolled != nil {
		c.identity = identity.New(identity.Folder(c.StateDir), c.enrolled, identity.Options{Now: o.Now, Log: o.Log})
	}
}

// known are the collectors that checks may find.
func (c *Config) known() []collectors.Collector {
	if c.lent != nil {
		return c.lent
	}
	return c.Collectors
}

// keeper makes what keeps the identity fresh; nil where no collector is reached by one.
func (a *Agent) keeper(changed func()) *keep.Keeper {
	ways := slices.DeleteFunc(a.cfg.ways(), func(c ship.Collector) bool { return c.Renewed == nil })
	if len(ways) == 0 {
		return nil
	}
	return keep.New(keep.Options{
		Identity: a.cfg.identity, Collectors: ways, Machine: identity.Machine(a.opts.Version), Changed: changed, Log: a.log,
	})
}

// herald is what tells the collector of the agent's life, beside its results.
type herald struct {
	sender *presence.Sender
	keeper *keep.Keeper // nil for an agent without identity
	log    *slog.Logger
}

func (a *Agent) newHerald() *herald {
	h := &herald{log: a.log}
	o := presence.Options{
		Collectors: a.cfg.ways(), Agent: a.cfg.Agent, Boot: a.clock.Boot(), Dir: a.cfg.StateDir,
		Machine: identity.Machine(a.opts.Version), Work: a.workStatus, Update: a.updater.Status,
		Started: a.whyStarted, Stopped: a.whyStopped, Log: a.log,
	}
	h.keeper = a.keeper(func() { h.sender.Changed() })
	if h.keeper != nil {
		o.Identity = func() (said.Certificate, []string) { return h.keeper.Certificate(), a.cfg.identity.Pins() }
	}
	h.sender = presence.New(o)
	return h
}

// run tells of the agent until ctx ends. What it can't do is no reason not to measure.
func (h *herald) run(ctx context.Context) {
	var beside sync.WaitGroup
	if h.keeper != nil {
		beside.Go(func() { h.keeper.Run(ctx) })
	}
	if err := h.sender.Run(ctx); err != nil {
		h.log.Error("the collector is not told of this agent", "error", err)
	}
	beside.Wait()
}
