// Package chaos kills the lab's processes, agents, collector and database alike, with SIGKILL at random moments, takes
// the collector or its database away for a while, and then audits: nothing that an agent has taken may be lost or
// counted twice.
//
// The parts run in processes of their own, since a process can't kill a part of itself as the kernel would.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"communewatch/collector"
	"communewatch/deploy/lab"
	"communewatch/deploy/lab/audit"
	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/lifeline"
	"communewatch/deploy/lab/scenario"
)

// Options of a run.
type Options struct {
	// Command makes a process that runs parts of the lab in dir until it is killed: the collector, or the agents of
	// the sites listed.
	Command func(dir string, collector bool, agents []string) *exec.Cmd
	Groups  int           // processes that the agents are spread over
	For     time.Duration // of random kills
	// DatabaseAlone spares agents and collector from random kills: the lab's InfluxDB alone dies, every few seconds.
	DatabaseAlone bool
	// Away is how long the lab's InfluxDB is gone after them, in one piece; in a lab without one, the collector.
	Away   time.Duration
	Settle time.Duration // for what is still spooled to arrive
	Seed   uint64
	Log    *slog.Logger
}

// Report is what a run came to.
type Report struct {
	Kills          int
	CollectorKills int           // of Kills
	DatabaseKills  int           // of Kills
	Absence        Absence       // of the database
	Emptied        time.Duration // from the end of the time to settle until the spools were empty; longer than emptyWithin: they never were
	audit.Report
}

// Settled says how long spools took to be emptied, after a time to settle.
func (r *Report) Settled(settle time.Duration) string {
	switch {
	case r.Emptied > emptyWithin:
		return fmt.Sprintf("spools were not empty %v after the end, %v of them to settle", settle+emptyWithin, settle)
	case r.Emptied < 2*look:
		return fmt.Sprintf("spools were empty within the %v to settle", settle)
	default:
		return fmt.Sprintf("spools were empty %v after the %v to settle", r.Emptied.Round(time.Second), settle)
	}
}

// child is one process that is started again whenever it was killed.
type child struct {
	name string
	make func() *exec.Cmd
	cmd  *exec.Cmd
	done chan error
}

// victim is what can be killed and brought back.
type victim struct {
	kill, start func() error
	name        string
	count       *int // of kills, besides the total
}

// Run prepares a lab, torments it, and audits it.
func Run(ctx context.Context, cfg lab.Config, o Options) (r Report, err error) {
	p, err := lab.Prepare(ctx, cfg)
	if err != nil {
		return r, err
	}
	gear, err := lab.Start(ctx, p, lab.Parts{Gear: true})
	if err != nil {
		return r, err
	}
	defer gear.Stop()

	children := []*child{{name: "collector", make: func() *exec.Cmd { return o.Command(cfg.Dir, true, nil) }}}
	for i, group := range split(p.Sites(), o.Groups) {
		children = append(children, &child{name: fmt.Sprintf("agents %d", i+1), make: func() *exec.Cmd { return o.Command(cfg.Dir, false, group) }})
	}
	defer func() {
		for _, c := range children {
			c.end(syscall.SIGKILL)
		}
	}()
	for _, c := range children {
		if err := c.start(); err != nil {
			return r, err
		}
	}
	var agents []victim
	for _, c := range children[1:] {
		agents = append(agents, c.victim(new(int)))
	}
	vital := []victim{children[0].victim(&r.CollectorKills)}
	if cfg.Store == collector.StoreInflux {
		vital = append(vital, victim{
			name: "database", count: &r.DatabaseKills,
			kill:  func() error { return gear.Do(scenario.Order{Do: scenario.DoDatabase, Mode: database.Kill}) },
			start: func() error { return gear.Do(scenario.Order{Do: scenario.DoDatabase, Mode: database.Up}) },
		})
	}
	last := vital[len(vital)-1] // the one that is taken away in the end
	if o.DatabaseAlone {
		if cfg.Store != collector.StoreInflux {
			return r, errors.New("this lab has no InfluxDB to kill; give it one with --store influx")
		}
		agents, vital = nil, vital[1:]
	}
	// The first kills hit a province that reports, or there is nothing to lose.
	if err := reporting(ctx, p, children); err != nil {
		return r, err
	}
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	if r.Kills, err = torment(ctx, agents, vital, rng, o); err != nil {
		return r, err
	}
	o.Log.Info("away", "part", last.name, "for", o.Away)
	if err := last.kill(); err != nil {
		return r, err
	}
	watched := make(chan Absence, 1)
	watch, endWatch := context.WithCancel(ctx)
	defer endWatch()
	go func() { watched <- watchAbsence(watch, p, cfg.Dir) }()
	if err := sleep(ctx, o.Away); err != nil {
		return r, err
	}
	back := time.Now()
	if err := last.start(); err != nil {
		return r, err
	}

	if err := sleep(ctx, o.Settle); err != nil {
		return r, err
	}
	if r.Emptied, err = emptied(ctx, cfg.Dir, o.Log); err != nil {
		return r, err
	}
	endWatch()
	r.Absence = <-watched
	r.Absence.Back = back
	o.Log.Info("auditing")
	r.Report, err = audit.Run(ctx, cfg.Dir, max(o.Settle, patience), o.Log)
	if err == nil {
		r.Absence.Left, err = spooled(cfg.Dir)
	}
	return r, errors.Join(err, ended(children))
}

// emptyWithin bounds how much longer than the time to settle is waited for spools to be emptied: on a slow machine what
// was kept while something was away takes its time, and results that wait are no fault.
const emptyWithin = 3 * time.Minute

// emptied waits until no spool holds anything but what has just been measured, and returns how long that took.
func emptied(ctx context.Context, dir string, log *slog.Logger) (time.Duration, error) {
	begin := time.Now()
	for told := begin; ; {
		n, err := waiting(dir, time.Now().Add(-fresh))
		took := time.Since(begin)
		if err != nil || n == 0 || took > emptyWithin {
			return took, err
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			log.Info("spools are not empty yet", "batches", n, "until", begin.Add(emptyWithin).Format(time.TimeOnly))
		}
		if err := sleep(ctx, look); err != nil {
			return took, err
		}
	}
}

// ended tells of a child that died of its own accord. It has to be asked in the end: a run without random kills looks
// at nobody before.
func ended(children []*child) error {
	var errs []error
	for _, c := range children {
		errs = append(errs, c.end(syscall.SIGKILL))
	}
	return errors.Join(errs...)
}

func (c *child) victim(count *int) victim {
	return victim{name: c.name, count: count, start: c.start, kill: func() error { return c.end(syscall.SIGKILL) }}
}

// patience is how long the audit waits, at least, for agents that pause between attempts to reach the collector.
const patience = time.Minute

// torment kills and restarts one part after the other. Every third time or so it is a vital one, on which all results
// depend, and which has less in hand than the agents when it dies.
func torment(ctx context.Context, agents, vital []victim, rng *rand.Rand, o Options) (kills int, err error) {
	end := time.Now().Add(o.For)
	for time.Now().Before(end) {
		if err := sleep(ctx, time.Duration(200+rng.IntN(2500))*time.Millisecond); err != nil {
			return kills, err
		}
		var v victim
		if third := rng.IntN(3) == 0; third || len(agents) == 0 {
			v = vital[rng.IntN(len(vital))]
		} else {
			v = agents[rng.IntN(len(agents))]
		}
		kills++
		*v.count++
		if err := v.kill(); err != nil {
			return kills, err
		}
		o.Log.Info("killed", "process", v.name)
		if err := sleep(ctx, time.Duration(rng.IntN(1500))*time.Millisecond); err != nil {
			return kills, err
		}
		if err := v.start(); err != nil {
			return kills, err
		}
	}
	return kills, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func split(sites []string, n int) [][]string {
	n = max(1, min(n, len(sites)))
	var groups [][]string
	for g := range slices.Chunk(sites, (len(sites)+n-1)/n) {
		groups = append(groups, g)
	}
	return groups
}

func (c *child) start() error {
	c.cmd = c.make()
	lifeline.DieWithParent(c.cmd)
	out := &tail{}
	c.cmd.Stdout, c.cmd.Stderr = out, out
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	done := make(chan error, 1)
	cmd := c.cmd
	go func() {
		err := cmd.Wait()
		done <- fmt.Errorf("%s ended by itself: %w\n%s", c.name, err, out)
	}()
	c.done = done
	return nil
}

// end kills the child, unless it was gone already, which is an error.
func (c *child) end(sig os.Signal) error {
	if c.cmd == nil || c.cmd.Process == nil || c.done == nil {
		return nil
	}
	select {
	case err := <-c.done:
		c.done = nil
		return err
	default:
	}
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.done
	c.done = nil
	return nil
}

// tail keeps the end of what a child printed, for when it ends by itself.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const keep = 8 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - keep; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
