package collector

import "communewatch/collector/status"

// Status says whether the database answers, and how far rollups are. It asks nobody: both are known from what is done
// anyway.
func (c *Collector) Status() status.Status {
	s := status.Status{
		Store:   status.Store{Condition: c.store.Condition(), Engine: c.cfg.Store, Replayed: c.replayed.Load()},
		Rollups: c.keeper.Progress(),
		Clock:   c.clock.Doubt(),
	}
	if w, ok := c.store.(interface{ Warnings() []string }); ok {
		s.Store.Warnings = w.Warnings()
	}
	return s
}
