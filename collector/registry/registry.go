// Package registry keeps what the collector knows besides measurements, in one SQLite file: the sites and their
// dated names, the tokens of those who may write, which batches arrived, how much each agent's clock was off, and
// the changes of state.
//
// # How it writes
//
// SQLite has one writer at a time. So all writes of a process go through one goroutine that takes whatever waits,
// runs it in one transaction, and answers all callers once that is committed (a group commit): the more callers, the
// larger the groups, and 64 callers cost little more than one.
//
// The database is in WAL mode. A commit under synchronous=NORMAL is in the operating system's hands: a kill of the
// process loses nothing, a power cut may lose the last commits, never the file. That is enough for the receipts of
// batches, and Sync makes all of them durable at once. What can't be sent again (tokens, sites, the measured offset
// of a clock) is committed under synchronous=FULL, on disk before the call returns.
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
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Errors of a registry; compare with errors.Is.
var (
	ErrClosed       = errors.New("registry is closed")
	ErrUnknownToken = errors.New("unknown token; check it was copied whole, or make one with: communewatch-collector token create")
	ErrRevoked      = errors.New("token was revoked; make a new one with: communewatch-collector token create")
	ErrNewer        = errors.New("written by a newer communewatch; install that version or one above, or put back a backup made before the upgrade")
)

// Options of a registry. The zero value is good.
type Options struct {
	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // nil: time.Now
}

// readers is how many connections read at the same time; more would only take turns on the processors. One of them
// is the token cache's.
const readers = 5

// Registry is an open database. All methods may be called concurrently.
type Registry struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	read   *sql.DB // pool of connections that only read
	writer *writer
	tokens tokenCache
	clocks clockCache

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
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	db, err := connect(path, writeConnection)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(ctx, db, path, r.now(), r.log); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	if r.read, err = connect(path, readConnection); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	r.read.SetMaxOpenConns(readers)
	r.read.SetMaxIdleConns(readers)
	if r.tokens.conn, err = r.read.Conn(ctx); err == nil {
		err = r.tokens.load(ctx)
	}
	if err == nil {
		r.writer, err = newWriter(ctx, db, path)
	}
	if err != nil {
		if r.tokens.conn != nil {
			_ = r.tokens.conn.Close()
		}
		return nil, errors.Join(explain(path, err), r.read.Close(), db.Close())
	}
	running, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.running.Go(func() { r.writer.run() })
	r.running.Go(func() {
		r.keep(running, "look for changed tokens", pollTokens, pollTokens, r.tokens.load)
	})
	r.running.Go(func() { r.keep(running, "write down the use of tokens", flushUses, flushUses, r.writeLastUsed) })
	r.running.Go(func() { r.keep(running, "remove old rows", pruneFirst, pruneEvery, r.prune) })
	return r, nil
}

// Close writes down what is still cached and closes the database.
func (r *Registry) Close() error {
	r.closeOnce.Do(func() {
		r.stop()
		err := r.writeLastUsed(context.Background())
		r.writer.close()
		r.running.Wait()
		r.closeErr = errors.Join(err, r.tokens.conn.Close(), r.read.Close(), r.writer.db.Close())
	})
	return r.closeErr
}

// Sync returns when everything committed before the call is on disk.
func (r *Registry) Sync(context.Context) error {
	// What is committed is either in the write-ahead log or was moved from there into the database file, which
	// SQLite flushes itself before it reuses the log. So flushing the log is enough, and it needs no turn in the
	// queue of writers. (Opening the log a second time is harmless: SQLite's locks are on the other two files.)
	f, err := os.OpenFile(r.path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // closed cleanly, or never written to
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("registry %s: flush to disk: %w", r.path, err)
	}
	return nil
}
