// Package sqlite opens a SQLite file with care and writes to it by group commit. It knows nothing of what is in the
// file: tables come as migration scripts, and writes as functions.
//
// # Opening
//
// A file that is damaged, of another program, of a newer version, or in a folder where SQLite can't work is refused
// with an error that names the file and what to do. One of an older version is copied aside before it is migrated,
// and a migration that fails is undone as a whole.
//
// # Writing
//
// SQLite has one writer at a time. So all writes of a process go through one goroutine that takes whatever waits,
// runs it in one transaction, and answers all callers once that is committed (a group commit): the more callers, the
// larger the groups, and 64 callers cost little more than one.
//
// The database is in WAL mode. A commit under synchronous=NORMAL is in the operating system's hands: a kill of the
// process loses nothing, a power cut may lose the last commits, never the file, and Sync makes all of them durable at
// once. A group with a durable write in it is committed under synchronous=FULL, on disk before anybody is answered.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// Errors of a database; compare with errors.Is.
var (
	ErrClosed = errors.New("database is closed")
	ErrNewer  = errors.New("written by a newer communewatch; install that version or one above, or put back a backup made before the upgrade")
)

// Options of a database. All are required but Cache.
type Options struct {
	Name          string // what messages call the file: "registry"
	ApplicationID int32  // marks the file as ours in SQLite's header, so that another program's is not taken for an empty one
	Migrations    fs.FS  // *.sql, in the order of their names; script i brings a database from version i to i+1
	Readers       int    // how many connections read at the same time
	Log           *slog.Logger
	Now           func() time.Time

	// Cache makes what Gather collects in, with the connection that writes.
	Cache func(ctx context.Context, c *sql.Conn) (Cache, error)
}

// DB is an open database. All methods may be called concurrently.
type DB struct {
	name, path string
	read       *sql.DB
	writer     *writer
	ended      chan struct{} // closed when the writer has ended
}

// Open opens the database at path, and makes it and its folder when they are not there.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	d := &DB{name: o.Name, path: path, ended: make(chan struct{})}
	if path == "" {
		return nil, fmt.Errorf("%s: no file name; give the path of the database file", o.Name)
	}
	if err := prepareFile(path); err != nil {
		return nil, fmt.Errorf("%s %s: %w", o.Name, path, err)
	}
	write, err := connect(path, writeConnection)
	if err != nil {
		return nil, d.Explain(err)
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write, path, o); err != nil {
		return nil, errors.Join(d.Explain(err), write.Close())
	}
	if d.read, err = connect(path, readConnection); err != nil {
		return nil, errors.Join(d.Explain(err), write.Close())
	}
	d.read.SetMaxOpenConns(o.Readers)
	d.read.SetMaxIdleConns(o.Readers)
	if d.writer, err = newWriter(ctx, write, o.Cache); err != nil {
		return nil, errors.Join(d.Explain(err), d.read.Close(), write.Close())
	}
	go func() {
		defer close(d.ended)
		d.writer.run()
	}()
	return d, nil
}

// Close ends the writer after what was handed in, and closes the database.
func (d *DB) Close() error {
	d.writer.close()
	<-d.ended
	return errors.Join(d.read.Close(), d.writer.db.Close())
}

// Read is a pool of connections that can only read.
func (d *DB) Read() *sql.DB { return d.read }

// Sync returns when everything committed before the call is on disk.
func (d *DB) Sync() error {
	// What is committed is either in the write-ahead log or was moved from there into the database file, which
	// SQLite flushes itself before it reuses the log. So flushing the log is enough, and it needs no turn in the
	// queue of writers. (Opening the log a second time is harmless: SQLite's locks are on the other two files.)
	f, err := os.OpenFile(d.path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // closed cleanly, or never written to
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("%s %s: flush to disk: %w", d.name, d.path, err)
	}
	return nil
}
