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
	var collectors []ship.Collector
	for _, c := range cfg.Collectors {
		collectors = append(collectors, ship.Collector{URL: c.URL, Token: c.secret, Binding: cfg.binding(c.Path).Binding, TLS: c.tls})
	}
	return s, ship.New(ship.Options{
		Collectors: collectors, Org: cfg.Org, Bucket: cfg.Bucket, Agent: cfg.Agent,
		BacklogBytesPerSecond: cfg.BacklogBytesPerSecond, Log: a.log,
	}, s, a.clock), nil
}
