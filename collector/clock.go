package collector

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"communewatch/collector/clock"
)

// openClock has everything go by the time that may be believed from here on.
func (c *Collector) openClock() {
	c.clock = clock.Open(c.cfg.clockOptions(c.o.Now, c.log, c.sitesHeard))
	c.o.Now = c.clock.Now
}

func (c *Config) clockOptions(now func() time.Time, log *slog.Logger, sites func(context.Context) (int, error)) clock.Options {
	o := clock.Options{File: filepath.Join(c.DataDir, "clock"), Earliest: earliest(), Sites: sites, Now: now, Log: log}
	if at, ok := c.lastAlive(); ok {
		o.Passed = at
	}
	return o
}

// earliest is before this program was written: no clock that says less is right.
func earliest() time.Time { return time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC) }

// lastAlive is when a collector was last up.
func (c *Config) lastAlive() (time.Time, bool) {
	text, err := os.ReadFile(c.aliveFile())
	if err != nil {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	return at, err == nil
}

// sitesHeard counts the sites whose agents have reported.
func (c *Collector) sitesHeard(ctx context.Context) (int, error) {
	accounts, err := c.reg.Accounts(ctx, "")
	sites := map[string]bool{}
	for _, a := range accounts {
		sites[a.Site] = sites[a.Site] || a.Boot != ""
	}
	n := 0
	for _, agent := range sites {
		if agent {
			n++
		}
	}
	return n, err
}

// taking reports whether results are taken in: not before the judge knows those before them, and not while it is not
// known what time they are of.
func (c *Collector) taking() bool { return c.replayed.Load() && c.clock.Believed() }
