package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// busyTimeout is how long a lock of another process is waited for. Command line tools hold it for milliseconds.
const busyTimeout = 5 * time.Second

type connectionKind string

const (
	writeConnection connectionKind = "_txlock=immediate"
	readConnection  connectionKind = "_pragma=query_only(1)"
	// copyConnection reads too, but VACUUM INTO counts as writing.
	copyConnection connectionKind = "_txlock=deferred"
)

// connect makes a pool; nothing is opened before its first use.
func connect(path string, kind connectionKind) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := filepath.ToSlash(abs)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/... as a file URI
	}
	dsn := (&url.URL{Scheme: "file", Path: name, RawQuery: fmt.Sprintf(
		"_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(67108864)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_dqs=0&%s",
		busyTimeout.Milliseconds(), kind)}).String()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// prepareFile makes folder and file with modes that keep others out; SQLite gives its log files the mode of the file.
func prepareFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return errors.New("is not a regular file; give the path of the database file")
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("can't make its folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("can't be opened for writing: %w; the user of the collector must own file and folder", err)
	}
	// Closed before SQLite opens it: closing a file later would drop SQLite's POSIX locks on it.
	if err := f.Close(); err != nil {
		return err
	}
	// SQLite makes its -wal and -shm files beside the database.
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return fmt.Errorf("can't make files in its folder: %w; the user of the collector must own the folder, and the disk must have room", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
