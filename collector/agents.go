package collector

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	questions "communewatch/collector/api/fleet"
	"communewatch/collector/authority"
	"communewatch/collector/dispatch"
	"communewatch/collector/enroll"
	"communewatch/collector/muster"
	"communewatch/collector/people/door"
	"communewatch/collector/phrase/book"
	"communewatch/collector/plans"
	"communewatch/collector/registry"
	"communewatch/collector/releases"
	"communewatch/collector/web/fleet"
	codes "communewatch/probes/enroll"
	"communewatch/probes/orders"
)

// AuthorityDir is the folder of the fleet's certificate authority.
func (c *Config) AuthorityDir() string { return filepath.Join(c.DataDir, "authority") }

// ReleasesDir is the folder of the agents' releases.
func (c *Config) ReleasesDir() string { return filepath.Join(c.DataDir, "releases") }

// OpenAuthority opens the fleet's certificate authority, and makes it where there is none. The collector that runs gives
// names, for its own certificate; programs beside it give none.
func OpenAuthority(cfg *Config, reg *registry.Registry, names []string, now func() time.Time, log *slog.Logger) (*authority.Authority, error) {
	if cfg.TLS.Mode == authority.ModeOff {
		names = nil
	}
	return authority.Open(cfg.AuthorityDir(), authority.Options{Names: names, Files: cfg.TLS.Files(), Agents: reg.Agents().Agents, Record: reg.People(), Now: now, Log: log})
}

// Carry is what join codes carry beside their secret: the pin of who vouches for the collector, and its addresses.
func Carry(cfg *Config, a *authority.Authority) func() (codes.Pin, []string, error) {
	return func() (codes.Pin, []string, error) {
		addresses := cfg.Reach().AgentAddresses()
		switch {
		case cfg.TLS.Mode == authority.ModeOff:
			return codes.Pin{}, nil, errors.New("agents can't enrol while tls.mode is off: they prove who they are by TLS with the collector itself; leave it out of the settings")
		case a.Pin() == codes.Pin{}:
			return codes.Pin{}, nil, errors.New("agents have to know who vouches for the certificate in tls.cert_file; give that authority's certificate as tls.ca_file")
		case len(addresses) == 0:
			return codes.Pin{}, nil, errors.New("it is not known how agents reach this collector; give agents_url, such as [https://collector.example.gov.vn:8787]")
		}
		return a.Pin(), addresses, nil
	}
}

// openFleet makes the doors of identities, work, releases and people.
func (c *Collector) openFleet(metrics *prometheus.Registry) (err error) {
	if c.sentences, err = book.New(); err != nil {
		return err
	}
	agents := c.reg.Agents()
	c.enroll = enroll.New(enroll.Options{
		Authority: c.authority, Agents: agents, Callers: c.callers, Addresses: c.cfg.Reach().AgentAddresses, Approve: c.cfg.Agents.Approve,
		Judge: c.judge, Log: c.log, Now: c.o.Now, Metrics: metrics, Believed: c.clock.Believed,
	})
	c.releases, err = releases.New(releases.Options{
		Dir: c.cfg.ReleasesDir(), Settings: c.cfg.Updates, Store: c.reg.Releases(), Audit: c.reg.People(), Agents: agents.Agents, Reported: releases.Reported(c.reg.Accounts),
		Who: c.callers.Who, Now: c.o.Now, Log: c.log, Look: func(site, agent string) { _ = c.orders.Look(site, agent, orders.LookRelease) },
	})
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(c.cfg.Listen)
	if err != nil {
		return err
	}
	c.plans = plans.Of(c.reg, c.cfg.DataDir, plans.Options{Changed: c.lookForWork, Loopback: loopback(host), Zone: c.cfg.Location(), Now: c.o.Now, Log: c.log})
	c.dispatch = dispatch.New(dispatch.Options{Agent: c.callers.Agent, Work: c.plans.Work, Plaintext: c.cfg.AllowPlaintext, Log: c.log, Metrics: metrics, Now: c.o.Now})
	c.people, err = door.New(door.Options{
		Store: c.reg.People(), Settings: c.cfg.People, TLS: c.cfg.TLS.Mode != authority.ModeOff, Dir: c.cfg.DataDir, URL: c.url, Now: c.o.Now, Log: c.log,
	})
	return err
}

// fleetSources is where it is known from how the fleet fares, and who may do what.
func (c *Collector) fleetSources() *questions.Sources {
	agents := c.reg.Agents()
	return &questions.Sources{
		Sources: muster.Sources{Agents: agents.NewDesk(Carry(&c.cfg, c.authority)), Said: agents.Presences, Judge: c.judge, Connected: c.orders.Connected},
		People:  c.reg.People(), Sentences: c.sentences,
	}
}

// fleetPages is what the pages of the fleet show and act on.
func (c *Collector) fleetPages() *fleet.Options {
	return &fleet.Options{
		Sources:   c.fleetSources().Sources,
		SiteNames: c.reg.SiteNames, Runs: c.runs, Plans: c.plans, Releases: c.releases, People: c.reg.People(), Link: c.people.Link, Addresses: c.cfg.Reach().AgentAddresses,
	}
}

// url is where people find the collector.
func (c *Collector) url() string {
	scheme, listens := "https://", c.doors.Addr().String()
	if c.cfg.TLS.Mode == authority.ModeOff {
		scheme = "http://"
	} else if len(c.cfg.AgentsURL) > 0 {
		return c.cfg.AgentsURL[0]
	}
	if a, err := netip.ParseAddrPort(listens); err == nil && a.Addr().IsUnspecified() {
		listens = fmt.Sprintf("localhost:%d", a.Port())
		if list := c.cfg.Reach().AgentAddresses(); len(list) > 0 {
			listens = strings.TrimPrefix(list[0], "https://")
		}
	}
	return scheme + listens
}

// lookForWork tells agents whose work has become another one. Who is not connected finds it by itself.
func (c *Collector) lookForWork(list []plans.Agent) {
	for _, a := range list {
		_ = c.orders.Look(a.Site, a.Name, orders.LookWork)
	}
}

// lookForTrust has all connected agents look for the fleet's authorities, so that a new one is known before it counts.
func (c *Collector) lookForTrust() {
	for _, a := range c.orders.Connected() {
		_ = c.orders.Look(a.Site, a.Agent, orders.LookTrust) // who is not told looks daily
	}
}
