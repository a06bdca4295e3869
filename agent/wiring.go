package agent

import (
	"path/filepath"

	"communewatch/agent/ship"
	"communewatch/agent/spool"
)

// openDisk opens the agent's spool and makes the shipper that empties it.
func openDisk(a *Agent) (results, sender, error) {
	cfg := &a.cfg
	minFree := cfg.Spool.MinFree
	if minFree == 0 {
		minFree = -1 // the spool's word for none
	}
	s, err := spool.Open(spool.Options{
		Dir: filepath.Join(cfg.StateDir, "spool"), Boot: a.clock.Boot(),
		MaxBytes: cfg.Spool.MaxBytes, MaxAge: cfg.Spool.MaxAge, MinFree: minFree, SealAfter: cfg.Spool.SealAfter,
		Now: a.opts.Now, Log: a.log,
	})
	if err != nil {
		return nil, nil, err
	}
	return s, ship.New(ship.Options{
		Collectors: cfg.ways(), Org: cfg.Org, Bucket: cfg.Bucket, Agent: cfg.Agent,
		BacklogBytesPerSecond: cfg.BacklogBytesPerSecond, Log: a.log,
	}, s, a.clock), nil
}

// ways are the collector's addresses as they are used.
func (c *Config) ways() (list []ship.Collector) {
	for _, to := range c.Collectors {
		list = append(list, to.Way(c.binding(to.Path).Binding, c.identity))
	}
	return list
}
