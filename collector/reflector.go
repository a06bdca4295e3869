package collector

import (
	"github.com/prometheus/client_golang/prometheus"

	"communewatch/collector/farend"
)

// openReflector binds the reflector's port, if there is to be one.
func (c *Collector) openReflector(metrics *prometheus.Registry) (err error) {
	c.reflector, err = farend.Open(farend.Options{Settings: c.cfg.Reflector, Callers: c.callers, Metrics: metrics, Now: c.o.Now, Log: c.log})
	if c.reflector != nil {
		c.reg.Agents().OnRevoked(func(site, agent string) { c.reflector.End(site + "/" + agent) })
	}
	return err
}
