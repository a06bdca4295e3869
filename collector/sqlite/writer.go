package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

const (
	// groupMax bounds a transaction, so that the first caller of a large group does not wait long for the last.
	groupMax = 1024
	// queueLength is how many callers may wait without blocking each other on the channel.
	queueLength = 1024
)

// Cache collects small writes in memory, so that many of one group to the same row cost one. All its methods are
// called by the writer alone. After Forget it must go by what is in the file.
type Cache interface {
	// Store writes down what was collected in the running transaction.
	Store(ctx context.Context) error
	// Forget drops what is kept in memory: the transaction failed, or somebody else changed the file.
	Forget()
	// Close frees what the cache holds of the connection.
	Close()
}

type noCache struct{}

func (noCache) Store(context.Context) error { return nil }
func (noCache) Forget()                     {}
func (noCache) Close()                      {}

// job is one caller's write: either something for the cache or a function of its own.
type job struct {
	gather  func(ctx context.Context) error
	do      func(ctx context.Context, c *sql.Conn) error
	durable bool       // on disk before the caller is answered
	done    chan error // buffered, so that a caller who gave up blocks nobody
}

// writer owns the one connection that writes.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	cache Cache

	full        bool  // synchronous is FULL now
	dataVersion int64 // changes when another connection commits

	mu     sync.RWMutex // guards closed, and held while sending to jobs
	closed bool
	jobs   chan job
}

func newWriter(ctx context.Context, db *sql.DB, cache func(context.Context, *sql.Conn) (Cache, error)) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{db: db, conn: conn, cache: noCache{}, jobs: make(chan job, queueLength)}
	if cache != nil {
		if w.cache, err = cache(ctx, conn); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return w, nil
}

// Write runs do in a transaction that survives a kill of the process when Write returns. A do that fails is undone
// alone. When ctx ends first, the transaction may still be committed.
func (d *DB) Write(ctx context.Context, do func(ctx context.Context, c *sql.Conn) error) error {
	return d.writer.submit(ctx, job{do: do})
}

// WriteDurable is Write, and on disk when it returns.
func (d *DB) WriteDurable(ctx context.Context, do func(ctx context.Context, c *sql.Conn) error) error {
	return d.writer.submit(ctx, job{do: do, durable: true})
}

// Gather calls gather, which is to add to the cache, and returns when what was added is committed. A gather that
// fails undoes the transaction and with it the writes of others, so it may do so only when the database itself fails.
func (d *DB) Gather(ctx context.Context, gather func(ctx context.Context) error) error {
	return d.writer.submit(ctx, job{gather: gather})
}

// submit hands in a job and waits for its commit. When ctx ends first the job may still be committed.
func (w *writer) submit(ctx context.Context, j job) error {
	j.done = make(chan error, 1)
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return ErrClosed
	}
	select {
	case w.jobs <- j:
		w.mu.RUnlock()
	case <-ctx.Done():
		w.mu.RUnlock()
		return ctx.Err()
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close lets run end after the jobs that were handed in.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		close(w.jobs)
	}
}

// run serves the queue until it is closed and empty.
func (w *writer) run() {
	group := make([]job, 0, groupMax)
	for j := range w.jobs {
		group = append(group[:0], j)
	gather:
		for len(group) < groupMax {
			select {
			case j, ok := <-w.jobs:
				if !ok {
					break gather
				}
				group = append(group, j)
			default:
				break gather
			}
		}
		w.commit(group)
	}
	w.cache.Close()
	_ = w.conn.Close()
}

// commit runs a group in one transaction. A function that fails is undone alone; when the transaction fails as a
// whole everybody gets the error, and nothing of it has happened.
//
// It works without a context: a caller who gives up must not undo the writes of the others.
func (w *writer) commit(group []job) {
	ctx := context.Background()
	results := make([]error, len(group))
	err := w.transact(ctx, group, results)
	if err != nil {
		_, _ = w.conn.ExecContext(ctx, "ROLLBACK") // fails when SQLite has done it already
		w.cache.Forget()
	}
	for i, j := range group {
		if err != nil {
			j.done <- err
		} else {
			j.done <- results[i]
		}
	}
}

func (w *writer) transact(ctx context.Context, group []job, results []error) error {
	durable := false
	for _, j := range group {
		durable = durable || j.durable
	}
	if durable != w.full { // can't be changed inside a transaction
		mode := "PRAGMA synchronous = NORMAL"
		if durable {
			mode = "PRAGMA synchronous = FULL"
		}
		if _, err := w.conn.ExecContext(ctx, mode); err != nil {
			return err
		}
		w.full = durable
	}
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	// Another process wrote since: what was kept in memory may not be true any more.
	var version int64
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return err
	}
	if version != w.dataVersion {
		w.dataVersion = version
		w.cache.Forget()
	}
	for i, j := range group {
		if j.gather != nil {
			if err := j.gather(ctx); err != nil {
				return err
			}
			continue
		}
		// The function is to find what was gathered before it.
		if err := w.cache.Store(ctx); err != nil {
			return err
		}
		if err := w.runAlone(ctx, j, &results[i]); err != nil {
			return err
		}
	}
	if err := w.cache.Store(ctx); err != nil {
		return err
	}
	_, err := w.conn.ExecContext(ctx, "COMMIT")
	return err
}

// runAlone runs a function so that its failure undoes only itself.
func (w *writer) runAlone(ctx context.Context, j job, result *error) error {
	if _, err := w.conn.ExecContext(ctx, "SAVEPOINT alone"); err != nil {
		return err
	}
	if *result = j.do(ctx, w.conn); *result != nil {
		if _, err := w.conn.ExecContext(ctx, "ROLLBACK TO alone"); err != nil {
			return fmt.Errorf("%w (then undoing it: %w)", *result, err)
		}
	}
	_, err := w.conn.ExecContext(ctx, "RELEASE alone")
	return err
}
