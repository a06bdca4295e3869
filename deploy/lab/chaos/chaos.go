// Package chaos kills the lab's processes, agents and collector alike, with SIGKILL at random moments, takes the
// collector away for a while, and then audits: nothing that an agent has taken may be lost or counted twice.
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

	"communewatch/deploy/lab"
	"communewatch/deploy/lab/audit"
	"communewatch/deploy/lab/lifeline"
)

// Options of a run.
type Options struct {
	// Command makes a process that runs parts of the lab in dir until it is killed: the collector, or the agents of
	// the sites listed.
	Command func(dir string, collector bool, agents []string) *exec.Cmd
	Groups  int           // processes that the agents are spread over
	For     time.Duration // of random kills
	Away    time.Duration // that the collector is gone after them, in one piece
	Settle  time.Duration // for what is still spooled to arrive
	Seed    uint64
	Log     *slog.Logger
}

// Report is what a run came to.
type Report struct {
	Kills          int
	CollectorKills int // of Kills
	audit.Report
}

// child is one process that is started again whenever it was killed.
type child struct {
	name string
	make func() *exec.Cmd
	cmd  *exec.Cmd
	done chan error
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
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	if r.Kills, r.CollectorKills, err = torment(ctx, children, rng, o); err != nil {
		return r, err
	}
	o.Log.Info("collector away", "for", o.Away)
	children[0].end(syscall.SIGKILL)
	if err := sleep(ctx, o.Away); err != nil {
		return r, err
	}
	if err := children[0].start(); err != nil {
		return r, err
	}

	if err := sleep(ctx, o.Settle); err != nil {
		return r, err
	}
	o.Log.Info("auditing")
	r.Report, err = audit.Run(ctx, cfg.Dir, max(o.Settle, patience), o.Log)
	return r, err
}

// patience is how long the audit waits, at least, for agents that pause between attempts to reach the collector.
const patience = time.Minute

// torment kills and restarts one child after the other. Every third time or so it is the collector, on which all
// results depend, and which has less in hand than the agents when it dies.
func torment(ctx context.Context, children []*child, rng *rand.Rand, o Options) (kills, ofCollector int, err error) {
	end := time.Now().Add(o.For)
	for time.Now().Before(end) {
		if err := sleep(ctx, time.Duration(200+rng.IntN(2500))*time.Millisecond); err != nil {
			return kills, ofCollector, err
		}
		c := children[1+rng.IntN(len(children)-1)]
		if rng.IntN(3) == 0 {
			c = children[0]
			ofCollector++
		}
		kills++
		if err := c.end(syscall.SIGKILL); err != nil {
			return kills, ofCollector, err
		}
		o.Log.Info("killed", "process", c.name)
		if err := sleep(ctx, time.Duration(rng.IntN(1500))*time.Millisecond); err != nil {
			return kills, ofCollector, err
		}
		if err := c.start(); err != nil {
			return kills, ofCollector, err
		}
	}
	return kills, ofCollector, nil
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
