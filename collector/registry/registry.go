// Package registry keeps what the collector knows besides measurements, in one SQLite file: the sites and their
// dated names, the tokens of those who may write, which batches arrived, how much each agent's clock was off, and
// the changes of state. Equipment and rehearsals have rooms of their own in the same file: devices, paper, rehearsals.
//
// # How it writes
//
// All writes share transactions (collector/sqlite says how). What can be sent again, the receipts of
// batches, survives a kill of the process when a call returns, and Sync makes it proof against a power cut. What
// can't be sent again (tokens, sites, the measured offset of a clock) is on disk before the call returns.
//
// # Other processes
//
// The command line tools open the same file while the collector runs. What they change is seen: sites and accounts
// are read from the file every time, and tokens are cached but compared with a version number in the file several
// times per second.
package registry

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"time"

	"communewatch/collector/registry/agents"
	"communewatch/collector/registry/devices"
	"communewatch/collector/registry/lines"
	"communewatch/collector/registry/paper"
	"communewatch/collector/registry/people"
	"communewatch/collector/registry/rehearsals"
	"communewatch/collector/registry/releases"
	"communewatch/collector/registry/rollups"
	"communewatch/collector/registry/work"
	"communewatch/collector/sqlite"
)

// Errors of a registry; compare with errors.Is.
var (
	ErrClosed       = sqlite.ErrClosed
	ErrUnknownToken = errors.New("unknown token; check it was copied whole, or make one with: communewatch-collector token create")
	ErrRevoked      = errors.New("token was revoked; make a new one with: communewatch-collector token create")
	ErrNewer        = sqlite.ErrNewer
)

// Options of a registry. The zero value is good.
type Options struct {
	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // nil: time.Now

	// Prune has what is older than it is kept removed by Now. Only the collector does so: it knows whether its clock may
	// be believed, and programs beside it don't.
	Prune bool
}

// Registry is an open database. All methods may be called concurrently.
type Registry struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	db       *sqlite.DB
	read     *sql.DB     // db's connections that only read
	accounts *accountant // used by db's writer only
	tokens   tokenCache
	clocks   clockCache
	devices  *devices.Store
	paper    *paper.Store

	rehearsals *rehearsals.Store
	rollups    *rollups.Store
	lines      *lines.Store

	agents   *agents.Store
	work     *work.Store
	people   *people.Store
	releases *releases.Store

	stop      context.CancelFunc // ends the goroutines
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// Open opens the database at path, and makes it and its folder when they are not there. A database of an older
// version is copied aside and migrated; one of a newer version is refused with ErrNewer.
func Open(ctx context.Context, path string, o Options) (*Registry, error) {
	r := &Registry{path: path, log: o.Log, now: o.Now}
	if r.log == nil {
		r.log = slog.Default()
	}
	if r.now == nil {
		r.now = time.Now
	}
	var err error
	if r.db, r.accounts, err = openDatabase(ctx, path, r.log, r.now); err != nil {
		return nil, err
	}
	r.read = r.db.Read()
	r.devices = devices.New(r.db, devices.Options{Log: r.log, Now: r.now, Fail: r.fail})
	r.paper = paper.New(r.devices)
	r.rehearsals = rehearsals.New(r.db, r.now, r.fail)
	r.rollups = rollups.New(r.db, r.fail)
	r.lines = lines.New(r.db, r.now, r.fail)
	r.work = work.New(r.db, r.now, r.fail)
	r.people = people.New(r.db, r.now, r.fail)
	r.agents = agents.New(r.db, agents.Options{Log: r.log, Now: r.now, Fail: r.fail, Audit: r.people})
	r.releases = releases.New(r.db, r.now, r.fail)
	if r.tokens.conn, err = r.read.Conn(ctx); err == nil {
		err = r.tokens.load(ctx, time.Now())
	}
	if err == nil {
		err = r.agents.Open(ctx)
	}
	if err != nil {
		err = r.db.Explain(err)
		_ = r.agents.Close()
		if r.tokens.conn != nil {
			_ = r.tokens.conn.Close()
		}
		return nil, errors.Join(err, r.db.Close())
	}
	running, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.running.Go(func() {
		r.keep(running, "look for changed tokens", pollTokens, pollTokens, func(ctx context.Context) error { return r.tokens.load(ctx, time.Now()) })
	})
	r.running.Go(func() {
		r.keep(running, "look for agents that may not report any more", pollTokens, pollTokens, r.agents.Load)
	})
	r.running.Go(func() { r.keep(running, "write down the use of tokens", flushUses, flushUses, r.writeLastUsed) })
	if o.Prune {
		r.running.Go(func() { r.keep(running, "remove old rows", pruneFirst, pruneEvery, r.prune) })
	}
	return r, nil
}

// Devices is what is known of equipment from the network and by people's word.
func (r *Registry) Devices() *devices.Store { return r.devices }

// Paper is what is known of equipment from documents.
func (r *Registry) Paper() *paper.Store { return r.paper }

// Rehearsals is the rehearsals of meetings, and when meetings are on.
func (r *Registry) Rehearsals() *rehearsals.Store { return r.rehearsals }

// Lines is what was agreed of lines, and when agents were not running.
func (r *Registry) Lines() *lines.Store { return r.lines }

// Rollups is how far rollups are, and what of them is due.
func (r *Registry) Rollups() *rollups.Store { return r.rollups }

// Agents is the fleet.
func (r *Registry) Agents() *agents.Store { return r.agents }

// Work is what agents are to do.
func (r *Registry) Work() *work.Store { return r.work }

// People is who may do what, and who did.
func (r *Registry) People() *people.Store { return r.people }

// Releases is what agents may update to.
func (r *Registry) Releases() *releases.Store { return r.releases }

// Close writes down what is still cached and closes the database.
func (r *Registry) Close() error {
	r.closeOnce.Do(func() {
		r.stop()
		err := r.writeLastUsed(context.Background())
		r.running.Wait()
		r.closeErr = errors.Join(err, r.tokens.conn.Close(), r.agents.Close(), r.db.Close())
	})
	return r.closeErr
}
