package collector

import (
	"context"
	"fmt"
	"time"

	"communewatch/collector/changes"
	"communewatch/collector/recall"
)

// How long the collector waits between two tries to read the recent past, doubling from the one to the other.
const (
	firstReplay = time.Second
	lastReplay  = 30 * time.Second
)

// past is the recent past that the judge is brought up to, read site by site. A try that fails goes on where the last one
// ended, since the judge takes each site once.
type past struct {
	done map[string]bool // sites
	runs int
}

// replayAlways tries until the recent past was read. Nothing is taken in before, so that no new result comes before an
// old one; agents keep theirs meanwhile.
func (c *Collector) replayAlways(ctx context.Context) error {
	p := &past{done: map[string]bool{}}
	for wait := firstReplay; ; wait = min(2*wait, lastReplay) {
		err := c.replay(ctx, p)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return nil // it was told to stop
		}
		if wait == firstReplay {
			c.log.Error("can't read the recent past from the database; nothing is taken in until then, agents keep what they measure", "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// replay brings the judge up to where the store's data ends.
func (c *Collector) replay(ctx context.Context, p *past) error {
	began := c.o.Now()
	sites, err := c.reg.Sites(ctx, began)
	if err != nil {
		return err
	}
	accounts, err := c.reg.Accounts(ctx, "")
	if err != nil {
		return err
	}
	last := map[string]time.Time{} // when a site was last heard of
	for _, a := range accounts {
		if a.Last.After(last[a.Site]) {
			last[a.Site] = a.Last
		}
	}
	if at, ok := c.cfg.lastAlive(); ok && at.Before(c.started) {
		c.judge.Away(at)
	}
	ids := make([]string, len(sites))
	begin := time.Now()
	for i, s := range sites {
		if ids[i] = s.ID; p.done[s.ID] {
			continue
		}
		end := c.started // also for sites whose agent does not number its batches
		if heard, ok := last[s.ID]; ok && heard.Before(end) {
			end = heard
		}
		from, to := end.Add(-c.cfg.Replay), c.started.Add(time.Minute)
		obs, err := recall.Checks(ctx, c.store, &c.cfg.Health, recall.Range{Site: s.ID, From: from, To: to})
		if err != nil {
			return err
		}
		reports, err := recall.Agents(ctx, c.store, s.ID, from, to)
		if err != nil {
			return err
		}
		p.done[s.ID] = true
		p.runs += len(obs)
		c.judge.Restore(obs)
		for _, r := range reports {
			c.judge.ObserveAgent(s.ID, r.Agent, r.At, r.Version, r.Facts)
		}
	}
	c.judge.SetSites(ids)
	stops, err := c.reg.Agents().Stops(ctx)
	if err != nil {
		return err
	}
	for _, s := range stops {
		c.judge.ObserveStop(s.Site, s.Agent, s.At, string(s.Reason))
	}
	announced, err := c.reg.LastChanges(ctx)
	if err != nil {
		return err
	}
	for _, a := range announced {
		c.judge.Remember(changes.Transition(a))
	}
	// As of the start. If reading took long, the next tick finds that the judge was away meanwhile, and gives everybody
	// the time to report again.
	c.unwritten = changes.Of(c.judge.Tick(c.started))
	c.replayed.Store(true)
	if c.o.Taking != nil {
		c.o.Taking()
	}
	c.log.Info("replayed the recent past", "sites", len(sites), "runs", p.runs, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// openPast reads the recent past before the doors open, where the database is in this process: it takes a moment.
func (c *Collector) openPast(ctx context.Context) error {
	if c.cfg.Store != StoreEmbedded {
		return nil
	}
	if err := c.replay(ctx, &past{done: map[string]bool{}}); err != nil {
		return fmt.Errorf("replay the recent past: %w", err)
	}
	return nil
}
