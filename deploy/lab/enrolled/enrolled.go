// Package enrolled runs a collector with an authority of its own and agents that joined it by codes, as they are
// installed: settings files, state folders, TLS on real sockets of loopback. What is done by hand elsewhere is a call
// here: a machine is enrolled, copied, stopped, the collector starts again, years go by.
//
// All of it is one process. Its clocks are one clock, that can be set forward while nothing runs; logs of all parts go
// to one place, so that they can be searched for what they must not hold.
package enrolled

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/agent"
	"communewatch/agent/identity"
	"communewatch/agent/identity/join"
	"communewatch/agent/schedule"
	"communewatch/collector"
	"communewatch/collector/authority"
	"communewatch/collector/people"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/inventory"
	"communewatch/probes/enroll"
)

const (
	connectWithin = 5 * time.Second
	startWithin   = time.Minute
	lookEvery     = 20 * time.Millisecond
)

// Options of a Fleet.
type Options struct {
	Dir      string           // of all files
	Sites    []inventory.Site // at least one
	Settings string           // further lines of the collector's settings
	Log      *slog.Logger
}

// Fleet is a collector and what is needed to run agents of it. Make it with Open, end it with Close.
type Fleet struct {
	o     Options
	cfg   collector.Config
	front *Front
	ahead atomic.Int64 // nanoseconds by which the fleet's clock is ahead of this machine's

	registry  *registry.Registry // the desk's, beside the collector's own
	authority *authority.Authority
	desk      *agents.Desk

	stop func() error // nil while the collector is stopped
}

// Open makes the files of a fleet. The collector does not run yet.
func Open(ctx context.Context, o Options) (_ *Fleet, err error) {
	f := &Fleet{o: o}
	if f.front, err = openFront(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	file := filepath.Join(o.Dir, "collector.yaml")
	text := fmt.Sprintf("listen: 127.0.0.1:0\nagents_url: ['%s']\ndata_dir: data\n%s", f.URL(), o.Settings)
	if f.cfg, err = collector.ParseConfig(file, []byte(text)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.cfg.DataDir, 0o700); err != nil {
		return nil, err
	}
	if f.registry, err = registry.Open(ctx, f.cfg.RegistryFile(), registry.Options{Log: o.Log, Now: f.Now}); err != nil {
		return nil, err
	}
	if _, err := f.registry.ImportSites(ctx, o.Sites, false); err != nil {
		return nil, err
	}
	if f.authority, err = collector.OpenAuthority(&f.cfg, f.registry, nil, f.Now, o.Log); err != nil {
		return nil, err
	}
	f.desk = f.registry.Agents().NewDesk(collector.Carry(&f.cfg, f.authority))
	return f, nil
}

// Close stops the collector and frees what the fleet holds. Agents are to be stopped before.
func (f *Fleet) Close() error {
	err := f.Stop()
	if f.registry != nil {
		err = errors.Join(err, f.registry.Close())
	}
	f.front.close()
	return err
}

// URL is where agents and people find the collector.
func (f *Fleet) URL() string { return "https://" + f.front.Address() }

// Front is what stands before the collector.
func (f *Fleet) Front() *Front { return f.front }

// Desk is what an operator does with agents, as the command line does: beside the collector.
func (f *Fleet) Desk() *agents.Desk { return f.desk }

// Registry is the desk's.
func (f *Fleet) Registry() *registry.Registry { return f.registry }

// Authority is the fleet's, as the command line has it.
func (f *Fleet) Authority() *authority.Authority { return f.authority }

// Config is the collector's.
func (f *Fleet) Config() collector.Config { return f.cfg }

// Now is the time by the clock of everything in the fleet.
func (f *Fleet) Now() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

// Wait lets time go by, while nothing runs.
func (f *Fleet) Wait(d time.Duration) { f.ahead.Add(int64(d)) }

// Operator adds to ctx who sits at the desk.
func Operator(ctx context.Context) context.Context {
	return people.With(ctx, people.Caller{Name: "an", Role: people.RoleAdmin, Via: "command"})
}

// Start starts the collector and waits until its door is open.
func (f *Fleet) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	c := collector.New(f.cfg, collector.Options{Log: f.o.Log.With("part", "collector"), Version: "lab", Now: f.Now, Ready: func(address string) { ready <- address }})
	go func() { ended <- c.Run(ctx) }()
	f.stop = func() error {
		f.front.lead("")
		cancel()
		f.stop = nil
		return <-ended
	}
	select {
	case address := <-ready:
		f.front.lead(address)
		return nil
	case err := <-ended:
		cancel()
		f.stop = nil
		return fmt.Errorf("the collector ended: %w", err)
	case <-time.After(startWithin):
		return errors.Join(errors.New("the collector does not start"), f.stop())
	}
}

// Stop stops the collector, if it runs.
func (f *Fleet) Stop() error {
	if f.stop == nil {
		return nil
	}
	return f.stop()
}

// Roots are the authorities that an agent believes now, for other clients.
func (f *Fleet) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(f.authority.Roots()))
	return pool
}

// Machine is a computer with an agent on it.
type Machine struct {
	Dir    string   // with its settings and its state folder
	Checks string   // further lines of its settings
	Child  []string // command that makes one conference call; none: calls are made in this process

	Version string // of its agent; "" for one that was built by hand
	fleet   *Fleet
	clock   func() time.Time
	stop    func() error // nil while its agent is stopped
}

// Machine returns a computer with nothing in its folder but what is there already.
func (f *Fleet) Machine(name string) *Machine {
	return &Machine{Dir: filepath.Join(f.o.Dir, "machines", name), fleet: f, clock: f.Now}
}

// WrongClock makes the computer's clock another than the fleet's.
func (m *Machine) WrongClock(ahead time.Duration) {
	m.clock = func() time.Time { return m.fleet.Now().Add(ahead) }
}

func (m *Machine) state() string { return filepath.Join(m.Dir, "state") }

// Identity is where its agent's identity is.
func (m *Machine) Identity() string { return identity.Folder(m.state()) }

// Enrol is `communewatch-agent enroll CODE`.
func (m *Machine) Enrol(ctx context.Context, text, name string) (*identity.Set, error) {
	code, err := enroll.ParseCode(text)
	if err != nil {
		return nil, err
	}
	return join.Enroll(ctx, join.Options{
		Dir: m.Identity(), Code: code, Agent: name, Machine: enroll.Machine{Host: name, System: "linux/amd64", Version: "lab"}, Now: m.clock,
		Wait: func(ctx context.Context, _ time.Duration) error { // nobody has time for the real pause
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(lookEvery):
				return nil
			}
		},
	})
}

// Copy is a second computer with a copy of the first one's disk.
func (m *Machine) Copy(name string) (*Machine, error) {
	to := m.fleet.Machine(name)
	if err := os.MkdirAll(to.Dir, 0o700); err != nil {
		return nil, err
	}
	return to, os.CopyFS(to.Identity(), os.DirFS(m.Identity()))
}

// settings is the file that a package brings, but for how often the agent says something: it is watched by people
// with little time.
func (m *Machine) settings() string {
	return fmt.Sprintf("state_dir: '%s'\nself_interval: 2s\nspool: {seal_after: 1s, min_free: 0}\n%s", m.state(), m.Checks)
}

func (m *Machine) options() agent.Options {
	return agent.Options{Log: m.fleet.o.Log.With("part", filepath.Base(m.Dir)), Version: cmp.Or(m.Version, "lab"), Now: m.clock, Loopback: true, Child: m.Child}
}

func (m *Machine) config() (agent.Config, error) {
	return agent.ParseConfig(filepath.Join(m.Dir, "agent.yaml"), []byte(m.settings()))
}

// Once runs all that its agent has to do now, beside the agent.
func (m *Machine) Once(ctx context.Context) ([]schedule.Result, error) {
	cfg, err := m.config()
	if err != nil {
		return nil, err
	}
	return agent.Once(ctx, cfg, m.options())
}

// Start starts its agent.
func (m *Machine) Start() error {
	if m.stop != nil {
		return errors.New("its agent runs")
	}
	cfg, err := m.config()
	if err != nil {
		return err
	}
	a, err := agent.New(cfg, m.options())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	m.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	return nil
}

// Stop stops its agent, if it runs.
func (m *Machine) Stop() error {
	if m.stop == nil {
		return nil
	}
	err := m.stop()
	m.stop = nil
	return err
}
