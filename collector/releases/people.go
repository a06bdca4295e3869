package releases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/collector/fleet"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	kept "communewatch/collector/registry/releases"
	"communewatch/collector/releases/stages"
	"communewatch/probes/presence"
	"communewatch/probes/release"
)

// Status is a release on its way, and how each agent fares with it.
type Status struct {
	stages.Rollout
	Agents []Faring // by site and agent; nil where nobody can say
}

// Faring is how one agent fares.
type Faring struct {
	stages.Name
	Stage   int
	Running string // version, as it says itself
	Fare    stages.Fare
	Why     string
}

// Releases lists what was put in, the newest first.
func (k *Keeper) Releases(ctx context.Context) ([]kept.Release, error) { return k.o.Store.List(ctx) }

// Rollouts lists roll-outs, the newest first.
func (k *Keeper) Rollouts(ctx context.Context) ([]stages.Rollout, error) {
	return k.o.Store.Rollouts(ctx)
}

// Status is the newest roll-out; kept.ErrNone where there never was one.
func (k *Keeper) Status(ctx context.Context) (Status, error) {
	current, err := k.o.Store.Current(ctx)
	if err != nil {
		return Status{}, err
	}
	out := Status{Rollout: current}
	m, err := k.manifest(ctx, current.Version)
	if err != nil {
		return out, err
	}
	agents, err := k.agents(ctx, m)
	if err != nil {
		return out, err
	}
	now, up := k.o.Now(), k.heardSince()
	for i := range agents {
		a := &agents[i]
		f := Faring{Name: a.Name, Stage: current.StageOf(a.Name)}
		if a.Running != (release.Version{}) {
			f.Running = a.Running.String()
		}
		f.Fare, f.Why = current.FareOf(a, now, up)
		out.Agents = append(out.Agents, f)
	}
	return out, nil
}

// Start lets a release go out.
func (k *Keeper) Start(ctx context.Context, v release.Version, plan stages.Plan) error {
	if !k.o.Settings.Enabled {
		return ErrDisabled
	}
	if err := plan.Validate(); err != nil {
		return err
	}
	// The keys may be others than when it was put in.
	r, err := k.o.Store.Get(ctx, v)
	if err != nil {
		return err
	}
	m, err := release.Verify(r.Manifest, r.Signature, k.keys)
	if err != nil {
		return err
	}
	if k.o.Now().After(m.Expires) {
		return release.ErrExpired
	}
	if err := k.begins(ctx, m, plan); err != nil {
		return err
	}
	return k.said(ctx, "release.start", v.String(), fmt.Sprintf("first %s, then %v %%", strings.Join(plan.First, ", "), plan.Shares), func(by string) error {
		_, err := k.o.Store.Start(ctx, v, plan, by)
		return err
	})
}

// begins refuses a first stage that would never end: with a site that has no agent, or with agents none of which can.
func (k *Keeper) begins(ctx context.Context, m *release.Manifest, plan stages.Plan) error {
	if k.o.Agents == nil {
		return nil
	}
	agents, err := k.agents(ctx, m)
	if err != nil {
		return err
	}
	cannot, can := "", false
	for _, site := range plan.First {
		there := false
		for i := range agents {
			a := &agents[i]
			if a.Site != site {
				continue
			}
			there, can = true, can || a.Can
			cannot = cmp.Or(cannot, fmt.Sprintf("%s/%s: %s", a.Site, a.Name.Agent, a.Cannot))
		}
		if !there {
			return fmt.Errorf("no agent of site %s is in the fleet, so that the first stage would never end; name a site with an agent", site)
		}
	}
	if !can {
		return fmt.Errorf("no agent of the first stage can take the release (%s); put that right there, or name other sites", cannot)
	}
	return nil
}

// Pause stops offering the release to more agents. Those that are at it go on.
func (k *Keeper) Pause(ctx context.Context) error {
	return k.change(ctx, "release.pause", stages.StatePaused, "paused by %s", "", stages.StateRunning)
}

// Halt does the same, and says that something is wrong.
func (k *Keeper) Halt(ctx context.Context, why string) error {
	return k.change(ctx, "release.halt", stages.StateHalted, "halted by %s", strings.TrimSpace(why), stages.StateRunning, stages.StatePaused, stages.StateComplete)
}

func (k *Keeper) change(ctx context.Context, act string, to stages.State, why, detail string, from ...stages.State) error {
	current, err := k.o.Store.Current(ctx)
	if err != nil {
		return err
	}
	return k.said(ctx, act, current.Version.String(), detail, func(by string) error {
		_, _, err := k.o.Store.Change(ctx, func(r stages.Rollout) (stages.Rollout, error) {
			for _, s := range from {
				if r.State == s {
					r.State, r.Settled, r.Why = to, time.Time{}, fmt.Sprintf(why, by)
					if detail != "" {
						r.Why += ": " + detail
					}
					return r, nil
				}
			}
			return r, fmt.Errorf("release %v is %s: %w", r.Version, r.State, ErrOver)
		})
		return err
	})
}

// Resume lets a release that was paused or halted go on. Agents that failed with it are left out of account from now on.
func (k *Keeper) Resume(ctx context.Context) error {
	current, err := k.o.Store.Current(ctx)
	if err != nil {
		return err
	}
	m, err := k.manifest(ctx, current.Version)
	if err != nil {
		return err
	}
	agents, err := k.agents(ctx, m)
	if err != nil {
		return err
	}
	return k.said(ctx, "release.resume", current.Version.String(), "", func(string) error {
		_, _, err := k.o.Store.Change(ctx, func(r stages.Rollout) (stages.Rollout, error) {
			if r.State != stages.StatePaused && r.State != stages.StateHalted {
				return r, fmt.Errorf("release %v is %s: %w", r.Version, r.State, ErrOver)
			}
			return r.Resume(agents, k.o.Now(), k.heardSince()), nil
		})
		return err
	})
}

// Withdraw takes a release back for good. Agents that run it go on running it until they are offered another one.
func (k *Keeper) Withdraw(ctx context.Context, v release.Version) error {
	err := k.said(ctx, "release.withdraw", v.String(), "", func(by string) error {
		return k.o.Store.Withdraw(ctx, v, by, "withdrawn by "+by)
	})
	if err == nil {
		err = os.RemoveAll(filepath.Join(k.o.Dir, v.String()))
	}
	return err
}

// said does what a person said, and records it before it is answered.
func (k *Keeper) said(ctx context.Context, act, what, detail string, do func(by string) error) error {
	if err := do(nameOf(ctx)); err != nil {
		return err
	}
	k.forget()
	select {
	case k.wake <- struct{}{}:
	default: // it will look already
	}
	return k.record(ctx, act, what, detail)
}

// manifest is that of a release that was put in.
func (k *Keeper) manifest(ctx context.Context, v release.Version) (*release.Manifest, error) {
	r, err := k.o.Store.Get(ctx, v)
	if err != nil {
		return nil, err
	}
	return release.ParseManifest(r.Manifest)
}

// agents is what is known of all agents, seen from a release.
func (k *Keeper) agents(ctx context.Context, m *release.Manifest) ([]stages.Agent, error) {
	if k.o.Agents == nil {
		return nil, nil
	}
	list, err := k.o.Agents(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the fleet: %w", err)
	}
	var reported map[stages.Name]time.Time
	if k.o.Reported != nil {
		if reported, err = k.o.Reported(ctx); err != nil {
			return nil, fmt.Errorf("read who reports: %w", err)
		}
	}
	out := make([]stages.Agent, 0, len(list))
	for i := range list {
		if list[i].State != fleet.StateActive {
			continue
		}
		a := describe(&list[i], m, k.o.Now())
		a.Reported = a.Heard
		if reported != nil {
			a.Reported = reported[a.Name]
		}
		out = append(out, a)
	}
	return out, nil
}

// describe is what an agent's own word comes to, seen from a release.
func describe(f *fleet.Agent, m *release.Manifest, now time.Time) stages.Agent {
	a := stages.Agent{Name: stages.Name{Site: f.Site, Agent: f.Agent}, Heard: f.Heard}
	p := f.Presence
	if p == nil {
		a.Cannot = "has not said yet what it runs"
		return a
	}
	a.Off = p.Phase == presence.PhaseStopping && p.Reason != presence.StopUpdate
	a.State, a.Problem, a.Rollout = release.State(p.Update.State), p.Update.Problem, p.Update.Rollout
	a.Running, _ = release.ParseVersion(p.Machine.Version) // development builds have none, and can't
	a.Offered, _ = release.ParseVersion(p.Update.Version)
	system, arch, _ := strings.Cut(p.Machine.System, "/")
	_, err := m.For(p.Machine.Version, system, arch, now)
	switch {
	case !p.Update.Enabled:
		a.Cannot = "updates are switched off in its settings; allow them there with: communewatch-agent update pin KEY"
	case errors.Is(err, release.ErrSame):
		a.Can = true
	case err != nil:
		a.Cannot = err.Error()
	default:
		a.Can = true
	}
	return a
}

// Reported makes an Options.Reported of the registry's accounts.
func Reported(accounts func(ctx context.Context, site string) ([]registry.Account, error)) func(ctx context.Context) (map[stages.Name]time.Time, error) {
	return func(ctx context.Context) (map[stages.Name]time.Time, error) {
		list, err := accounts(ctx, "")
		last := make(map[stages.Name]time.Time, len(list))
		for _, a := range list {
			name := stages.Name{Site: a.Site, Agent: a.Agent}
			if a.Last.After(last[name]) {
				last[name] = a.Last
			}
		}
		return last, err
	}
}

func nameOf(ctx context.Context) string { return people.From(ctx).Who() }
