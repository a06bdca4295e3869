// Package database runs the InfluxDB of a lab: a real one on loopback, a child of the lab's process, with its files in
// the lab's folder. It can be killed, frozen, slowed down and brought back on order. Faults are done to the process, so
// that what a client sees is what it would see of a machine in that state.
package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"communewatch/collector"
	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influxd"
)

// The modes of a database.
const (
	Up   = "up"   // it runs
	Kill = "kill" // SIGKILL, and it stays away
	Hang = "hang" // it takes connections and answers nothing
	Slow = "slow" // it stands still for a while, over and over
)

// Modes lists the modes, for messages.
func Modes() []string { return []string{Up, Kill, Hang, Slow} }

// breath is how long a slow database runs between two stops.
const breath = 100 * time.Millisecond

// MaxDelay bounds how long a slow one stands still.
const MaxDelay = time.Minute

// Database is the InfluxDB of one lab. Make it with New.
type Database struct {
	dir    string
	server *influxd.Server

	mu      sync.Mutex // guards the fields below
	failed  func(error)
	wanted  bool   // it is meant to run
	recover func() // ends a stop or a slowness; nil without one
	release func() // of the folder; nil before Start
}

// New prepares the database of the lab in dir. Nothing runs yet; its address is known, and that of before if there was a
// before: what is known of a database is known by its address.
func New(dir string) (*Database, error) {
	binary := ""
	// A program that was built with the others finds the server beside itself, wherever it was started.
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), "influxd"); isFile(beside) {
			binary = beside
		}
	}
	file := filepath.Join(Dir(dir), addressFile)
	address, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	server, err := influxd.New(influxd.Options{Dir: Dir(dir), Binary: binary, Address: string(address)})
	if err != nil {
		return nil, err
	}
	return &Database{dir: Dir(dir), server: server}, os.WriteFile(file, []byte(strings.TrimPrefix(server.URL(), "http://")), 0o600)
}

// addressFile keeps a database's address in its folder.
const addressFile = "address"

// Dir is the folder of the database of the lab in dir.
func Dir(dir string) string { return filepath.Join(dir, "influxdb") }

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// URL is its address.
func (d *Database) URL() string { return d.server.URL() }

// PID is its process's number, 0 while there is none.
func (d *Database) PID() int { return d.server.PID() }

// Start starts it and makes the databases of cfg where they are missing. failed is called when it ends by itself.
func (d *Database) Start(ctx context.Context, cfg collector.Config, failed func(error)) error {
	release, err := claim(d.dir)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release, d.failed = release, failed
	if err := d.up(ctx); err != nil {
		return err
	}
	cfg.Influx.URL = d.URL()
	return create(ctx, cfg)
}

// up brings the process up. mu is held.
func (d *Database) up(ctx context.Context) error {
	if d.wanted {
		return nil
	}
	if err := d.server.Start(ctx); err != nil {
		return err
	}
	d.wanted = true
	ended := d.server.Ended()
	go func() {
		<-ended
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.wanted && ended == d.server.Ended() {
			d.wanted = false
			d.failed(fmt.Errorf("InfluxDB ended by itself; see %s", filepath.Join(d.dir, "influxd.log")))
		}
	}()
	return nil
}

// Set puts it into a mode. delay is for Slow.
func (d *Database) Set(ctx context.Context, mode string, delay time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.release == nil {
		return errors.New("the database was not started")
	}
	if d.recover != nil {
		d.recover()
		d.recover = nil
	}
	switch mode {
	case Up:
		return d.up(ctx)
	case Kill:
		d.wanted = false
		d.server.Kill()
		return nil
	case Hang, Slow:
		if err := d.up(ctx); err != nil {
			return err
		}
		if mode == Hang {
			delay = 0
		}
		d.recover = halt(d.server.PID(), delay)
		return nil
	}
	return fmt.Errorf("%q is not one of %q", mode, Modes())
}

// Stop ends it in good order.
func (d *Database) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.recover != nil {
		d.recover()
		d.recover = nil
	}
	d.wanted = false
	d.server.Stop()
	if d.release != nil {
		d.release()
		d.release = nil
	}
}

// Attend makes sure that the database that a lab's settings name can be asked: where its folder is nobody's, because
// the lab is not running, it is started until release is called. The settings come back with the address that it has.
func Attend(ctx context.Context, dir string, cfg collector.Config) (_ collector.Config, release func(), err error) {
	if cfg.Store != collector.StoreInflux || !isDir(Dir(dir)) {
		return cfg, func() {}, nil
	}
	free, err := claim(Dir(dir))
	if errors.Is(err, errClaimed) {
		return cfg, func() {}, nil
	}
	if err != nil {
		return cfg, nil, err
	}
	free()
	d, err := New(dir)
	if err != nil {
		return cfg, nil, err
	}
	if err := d.Start(ctx, cfg, func(error) {}); err != nil {
		d.Stop()
		return cfg, nil, err
	}
	cfg.Influx.URL = d.URL()
	return cfg, d.Stop, nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// errClaimed says that somebody runs the database of a folder.
var errClaimed = errors.New("the database of this folder is running already")

// create makes the databases that the collector writes to, as an operator does with `influx setup`.
func create(ctx context.Context, cfg collector.Config) error {
	keep := cfg.Rollups.Keep()
	keep[rollup.Raw] = cfg.Retention
	_, err := setup.Setup(ctx, setup.Options{Config: cfg.Influx, Keep: keep})
	return err
}
