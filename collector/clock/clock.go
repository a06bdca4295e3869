package clock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/collector/store/embedded/disk"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxAway is how much later than expected a clock may be: offices close for ten days at Tết, and so may what the
	// collector runs on. It is well below what anything is kept for.
	maxAway = 14 * 24 * time.Hour
	// maxBack is how much earlier it may be: a clock that is set right by hand, or a zone that was mistaken.
	maxBack = 24 * time.Hour
	// agreeing is how far an agent's clock may be from this one to confirm it.
	agreeing = 24 * time.Hour
	// maxLeap is how far agents may confirm: machines of one network may all follow the same wrong time server, and after
	// half a year agents' certificates have ended too.
	maxLeap = 180 * 24 * time.Hour
	// settle is how long agents are listened to before their word counts, so that the first few do not decide alone.
	settle = time.Minute
	// wanted is how many sites have to confirm a clock, where there are so many.
	wanted = 3
	// maxSites bounds the sites listened to.
	maxSites = 5_000
	// lookEvery is how often the clock is looked at, and keepEvery how often the time is written down.
	lookEvery = time.Second
	keepEvery = time.Minute
)

// Options of a Clock. File is required.
type Options struct {
	File string // where the newest time that was believed is kept
	// Passed is a time that has passed for certain, for a folder that has no File yet; zero: none is known.
	Passed time.Time
	// Earliest is what no clock may be before at the very first start, when nothing else is known; zero: anything goes.
	Earliest time.Time
	// Sites says how many sites have reported, so that it is known how many may be waited for; nil: it is not known.
	Sites func(context.Context) (int, error)

	Now func() time.Time // the machine's clock; nil: time.Now
	Log *slog.Logger     // nil: slog.Default
}

// Clock is the time that is believed. Make it with Open. Its methods may be called concurrently.
type Clock struct {
	o Options

	mu       sync.Mutex       // guards the fields below
	believed time.Time        // the newest; zero: none was yet
	at       time.Time        // of that, by the processor's count
	doubted  time.Time        // since when the machine's clock is not believed, by the same count; zero: it is
	words    map[string]heard // by site, while in doubt
}

// heard is the time that an agent told of its machine.
type heard struct {
	said time.Time
	at   time.Time // by the processor's count
}

// Doubt is why the machine's clock is not believed.
type Doubt struct {
	Machine  time.Time // what it says
	Believed time.Time // the true time is not before this
	Agents   time.Time // what most agents say that were heard since, by the median; zero: none was
	Agree    int       // sites whose agents confirm the machine's clock
	Differ   int       // sites whose agents don't
	// Far is a leap that agents can't confirm: a person has to, if the machine is right.
	Far bool
}

// Open reads the newest time that was believed. A file that can't be read is as good as none, so that the collector starts.
func Open(o Options) *Clock {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	c := &Clock{o: o, believed: o.Passed, at: time.Now(), words: map[string]heard{}}
	data, err := os.ReadFile(o.File)
	if err == nil {
		var kept time.Time
		if kept, err = time.Parse(time.RFC3339, strings.TrimSpace(string(data))); err == nil {
			c.believed = kept
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.Log.Warn("the time at which the collector was last up can't be read; a clock that is wrong may not be noticed", "file", o.File, "error", err)
	}
	c.Now()
	return c
}

// Now is the machine's time, or, while that is in doubt, the newest time that has passed for certain.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look(c.o.Now())
}

// look judges what the machine says. The caller holds c.mu.
func (c *Clock) look(machine time.Time) time.Time {
	count, last, first := time.Now(), c.believed, c.believed.IsZero()
	if first {
		last = c.o.Earliest // what is later is as good as anything
	}
	expected := last.Add(count.Sub(c.at))
	// Without the reading of the processor's count, by which a clock that was set is as before.
	away := machine.Round(0).Sub(expected.Round(0))
	if away >= -maxBack && (first || away <= maxAway) {
		if !c.doubted.IsZero() {
			c.end("it was set right")
		}
		c.believed, c.at = machine.Round(0), count
		return machine
	}
	if c.doubted.IsZero() {
		c.doubted = count
		clear(c.words)
		c.o.Log.Error("this machine's clock can't be believed; nothing is taken in or removed by it until it is set right, agents confirm it, "+
			"or a person does (communewatch-collector clock confirm)", "machine", machine.UTC().Format(time.RFC3339), "expected", expected.UTC().Format(time.RFC3339))
	}
	return expected
}

// end ends a doubt. The caller holds c.mu.
func (c *Clock) end(how string) {
	c.doubted = time.Time{}
	clear(c.words)
	c.o.Log.Info("this machine's clock is believed again", "because", how)
}

// confirm takes the machine's clock for right. The caller holds c.mu.
func (c *Clock) confirm(how string) {
	c.end(how)
	c.believed, c.at = c.o.Now().Round(0), time.Now()
}

// Believed reports whether the machine's clock is.
func (c *Clock) Believed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(c.o.Now())
	return c.doubted.IsZero()
}

// Doubt says why the machine's clock is not believed; nil while it is.
func (c *Clock) Doubt() *Doubt {
	c.mu.Lock()
	defer c.mu.Unlock()
	machine := c.o.Now()
	expected := c.look(machine)
	if c.doubted.IsZero() {
		return nil
	}
	d := &Doubt{Machine: machine.UTC().Round(0), Believed: expected.UTC()}
	d.Far = d.Machine.Sub(d.Believed).Abs() > maxLeap
	var told []time.Time
	for _, w := range c.words {
		now := w.said.Add(time.Since(w.at))
		told = append(told, now)
		if now.Sub(d.Machine).Abs() <= agreeing {
			d.Agree++
		} else {
			d.Differ++
		}
	}
	if len(told) > 0 {
		slices.SortFunc(told, time.Time.Compare)
		d.Agents = told[len(told)/2].UTC()
	}
	return d
}

// Heard takes what time it is on the machine of an agent, which has proven which site it is of.
func (c *Clock) Heard(site string, said time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doubted.IsZero() {
		return
	}
	if _, known := c.words[site]; known || len(c.words) < maxSites {
		c.words[site] = heard{said: said.Round(0), at: time.Now()}
	}
}

// Confirm takes the machine's clock for right by a person's word, and keeps that.
func (c *Clock) Confirm(who string) error {
	c.mu.Lock()
	if !c.doubted.IsZero() {
		c.confirm("of " + who)
	}
	c.mu.Unlock()
	return c.keep()
}

// consider ends a doubt where agents confirm the machine's clock.
func (c *Clock) consider(ctx context.Context) error {
	c.mu.Lock()
	waiting := time.Since(c.doubted) < settle
	c.mu.Unlock()
	d := c.Doubt()
	if d == nil || waiting || d.Far || d.Agree == 0 || d.Agree <= d.Differ {
		return nil
	}
	need := wanted
	if c.o.Sites != nil {
		n, err := c.o.Sites(ctx)
		if err != nil {
			return err
		}
		need = min(need, max(n, 1))
	}
	if d.Agree < need {
		return nil
	}
	c.mu.Lock()
	if !c.doubted.IsZero() && c.o.Now().Sub(d.Machine).Abs() < agreeing { // what was confirmed, and not what was set since
		c.confirm(fmt.Sprintf("agents of %d sites say the same", d.Agree))
	}
	c.mu.Unlock()
	return c.keep()
}

// keep writes the newest time that was believed.
func (c *Clock) keep() error {
	c.mu.Lock()
	c.look(c.o.Now())
	doubtful, at := !c.doubted.IsZero(), c.believed
	c.mu.Unlock()
	if doubtful {
		return nil
	}
	if err := disk.WriteFile(c.o.File, []byte(at.UTC().Format(time.RFC3339)+"\n")); err != nil {
		return fmt.Errorf("keep the time: %w", err)
	}
	return nil
}

// Run looks at the clock and keeps the time until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var kept time.Time
	failing := false
	for {
		err := c.consider(ctx)
		if count := time.Now(); kept.IsZero() || count.Sub(kept) >= keepEvery {
			if failed := c.keep(); failed != nil {
				err = errors.Join(err, failed)
			} else {
				kept = count
			}
		}
		if err != nil && !failing && ctx.Err() == nil {
			c.o.Log.Error("the time can't be kept; trying on", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			if err := c.keep(); err != nil && !failing {
				c.o.Log.Error("the time can't be kept", "error", err)
			}
			return nil
		case <-tick.C:
		}
	}
}

// Metrics say whether the clock is believed.
func (c *Clock) Metrics() []prometheus.Collector {
	gauge := func(name, help string, value func(*Doubt) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "communewatch", Subsystem: "clock", Name: name, Help: help}, func() float64 {
			if d := c.Doubt(); d != nil {
				return value(d)
			}
			return 0
		})
	}
	return []prometheus.Collector{
		gauge("doubted", "Whether the machine's clock is not believed, so that nothing is taken in or removed by it.", func(*Doubt) float64 { return 1 }),
		gauge("away_seconds", "By how much it is later than expected while it is not believed; 0 while it is.", func(d *Doubt) float64 { return d.Machine.Sub(d.Believed).Seconds() }),
	}
}
