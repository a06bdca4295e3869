package authority

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/probes/enroll"
)

// When what is due by itself, and whom it waits for.
const (
	announceLeft = 2 * 365 * day // an authority that ends sooner gets a successor
	switchAfter  = 60 * day      // of having been announced
	forceLeft    = 30 * day      // an authority that ends sooner is left, whoever was not told
	heardWithin  = 30 * day      // an agent that was not heard of for longer is not waited for
)

// ErrNotReady says that agents would be left behind; its text names them.
var ErrNotReady = errors.New("agents would be left behind")

// Announce makes the authority that is to be next, and returns its pin.
func (a *Authority) Announce() (enroll.Pin, error) {
	var pin enroll.Pin
	err := a.change(func(s *state) error {
		if next := s.find(StandingNext); next != nil {
			return fmt.Errorf("authority: %s is announced already, since %s", next.pin, next.since.Format(time.DateOnly))
		}
		if len(s.entries) >= maxAuthorities {
			return errors.New("authority: retire the former ones before another is announced")
		}
		now := a.o.Now()
		cert, key, err := newAuthority(now)
		if err != nil {
			return err
		}
		pin = enroll.PinOf(cert)
		s.entries = append(s.entries, entry{cert: cert, key: key, pin: pin, standing: StandingNext, since: now})
		return nil
	})
	if err == nil {
		a.o.Log.Info("announced the fleet's next authority", "pin", pin.String())
	}
	return pin, err
}

// Switch lets the announced authority sign from now on. Without force it is refused with ErrNotReady while agents that
// were heard of lately don't trust it yet: they would not know the collector any more, and somebody would have to go
// there. So it is while two machines share an identity, because the word of the one hides what the other knows.
func (a *Authority) Switch(ctx context.Context, force bool) error {
	next := a.view.Load().find(StandingNext)
	if next == nil {
		return errors.New("authority: none is announced; do that first, and give agents some days to hear of it")
	}
	lacking, err := a.lacking(ctx, next.pin)
	if err != nil {
		return err
	}
	if len(lacking) > 0 && !force {
		return fmt.Errorf("authority: %w: %d don't trust the next one yet: %s", ErrNotReady, len(lacking), some(lacking))
	}
	if err := a.doubles(ctx); err != nil && !force {
		return err
	}
	err = a.change(func(s *state) error {
		fresh, old := s.find(StandingNext), s.find(StandingCurrent)
		if fresh == nil || fresh.pin != next.pin {
			return fmt.Errorf("authority: %w", errChanging)
		}
		now := a.o.Now()
		old.standing, old.since, old.key = StandingFormer, now, nil // nothing is signed with that key any more
		fresh.standing, fresh.since = StandingCurrent, now
		return nil
	})
	if err == nil {
		a.o.Log.Info("the fleet's next authority signs from now on", "pin", next.pin.String(), "agents_left_behind", len(lacking))
	}
	return err
}

// Retire ends the trust in former authorities. Without force it is refused with ErrNotReady while agents that were heard
// of lately still have a certificate of such a one, or may have it, as two machines with one identity.
func (a *Authority) Retire(ctx context.Context, force bool) error {
	if a.view.Load().find(StandingFormer) == nil {
		return errors.New("authority: there is no former one")
	}
	since := a.view.Load().find(StandingCurrent).since
	behind, err := a.agents(ctx, func(g *fleet.Agent) bool { return g.Issued.Before(since) })
	if err != nil {
		return err
	}
	if len(behind) > 0 && !force {
		return fmt.Errorf("authority: %w: %d have a certificate of the former one, and renew it within %d days: %s", ErrNotReady, len(behind), agentLife/day, some(behind))
	}
	if err := a.doubles(ctx); err != nil && !force {
		return err
	}
	return a.drop(func(e *entry) bool { return e.standing == StandingFormer }, len(behind))
}

// drop ends the trust in authorities that don't sign.
func (a *Authority) drop(which func(*entry) bool, behind int) error {
	var gone []string
	err := a.change(func(s *state) error {
		gone = nil
		s.entries = slices.DeleteFunc(s.entries, func(e entry) bool {
			drop := which(&e)
			if drop {
				gone = append(gone, e.pin.String())
			}
			return drop
		})
		return nil
	})
	for _, pin := range gone {
		if err == nil {
			a.o.Log.Info("the fleet's former authority is trusted no more", "pin", pin, "agents_left_behind", behind)
		}
	}
	return err
}

// doubles is an ErrNotReady while two machines share an identity: what is known is known of one of them.
func (a *Authority) doubles(ctx context.Context) error {
	names, err := a.agents(ctx, func(g *fleet.Agent) bool { return !g.Clone.IsZero() })
	if err != nil || len(names) == 0 {
		return err
	}
	return fmt.Errorf("authority: %w: two machines report as one, so it is not known what both have and trust: %s; "+
		"give one of them an identity of its own and take the mark off (agents cleared)", ErrNotReady, some(names))
}

// Lacking names the agents that were heard of lately and don't trust the announced authority yet.
func (a *Authority) Lacking(ctx context.Context) ([]string, error) {
	next := a.view.Load().find(StandingNext)
	if next == nil {
		return nil, nil
	}
	return a.lacking(ctx, next.pin)
}

func (a *Authority) lacking(ctx context.Context, pin enroll.Pin) ([]string, error) {
	return a.agents(ctx, func(g *fleet.Agent) bool {
		return g.Presence == nil || !slices.Contains(g.Presence.Trust, pin.String())
	})
}

// agents names those that have a certificate, were heard of or got one lately, and fit.
func (a *Authority) agents(ctx context.Context, fits func(*fleet.Agent) bool) (names []string, err error) {
	if a.o.Agents == nil {
		return nil, nil
	}
	all, err := a.o.Agents(ctx)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	now := a.o.Now()
	for i := range all {
		g := &all[i]
		lately := now.Sub(g.Heard) < heardWithin || now.Sub(g.Issued) < heardWithin
		if g.State == fleet.StateActive && g.Serial != "" && lately && fits(g) {
			names = append(names, g.Site+"/"+g.Agent)
		}
	}
	return names, nil
}

// some is a list for people, cut where it says enough.
func some(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// change reads what is in the folder, which another process may have changed, has it changed, writes it and takes it
// into force.
func (a *Authority) change(do func(*state) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, err := readFile(a.dir.path(stateFile))
	if err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	s, err := parseState(was)
	if err != nil {
		return damaged(a.dir.path(stateFile), err)
	}
	if err := do(s); err != nil {
		return err
	}
	if err := a.dir.replace(a.dir.path(stateFile), was, s.marshal()); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	seen := a.look()
	v, err := a.load()
	if err != nil {
		return err
	}
	a.publish(v, seen)
	return nil
}

// advance does what is due by itself, and puts it on the record.
func (a *Authority) advance(ctx context.Context) error {
	v, now := a.view.Load(), a.o.Now()
	current, next := v.find(StandingCurrent), v.find(StandingNext)
	left := current.cert.NotAfter.Sub(now)
	if next == nil && left < announceLeft {
		_, err := a.Announce()
		return a.recorded(ctx, "announce", err)
	}
	if next != nil && now.Sub(next.since) >= switchAfter {
		err := a.Switch(ctx, left < forceLeft)
		if !errors.Is(err, ErrNotReady) { // who waits for agents waits quietly; the fleet's page shows them
			return a.recorded(ctx, "switch", err)
		}
	}
	// Only those that have ended: a younger one may be what agents' certificates are of.
	ended := func(e *entry) bool { return e.standing == StandingFormer && now.After(e.cert.NotAfter) }
	if slices.ContainsFunc(v.entries, func(e entry) bool { return ended(&e) }) {
		return a.recorded(ctx, "retire", a.drop(ended, 0))
	}
	return nil
}

// recorded puts on the record what was done by itself; what failed is tried again, and told in the log.
func (a *Authority) recorded(ctx context.Context, use string, err error) error {
	if err != nil || a.o.Record == nil {
		return err
	}
	return a.o.Record.Record(context.WithoutCancel(ctx), audit.Entry{At: a.o.Now(), Who: "system", Via: "system", Act: "authority." + use,
		What: a.Fleet().String(), OK: true})
}
