package sqlite

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Explain adds the file's name and the fix to an error of SQLite. That of a closed database becomes ErrClosed.
func (d *DB) Explain(err error) error {
	if errors.Is(err, ErrClosed) || errors.Is(err, sql.ErrConnDone) || err.Error() == "sql: database is closed" {
		return ErrClosed
	}
	var damaged *damage
	fix := ""
	switch code := codeOf(err); {
	case errors.As(err, &damaged), code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		fix = "the file is damaged; stop the collector, move the file and those named like it with -wal and -shm aside, and put the newest backup in its place"
	case code == sqlite3.SQLITE_BUSY, code == sqlite3.SQLITE_LOCKED:
		fix = fmt.Sprintf("locked by another program for more than %s; close what else has the file open (sqlite3, a backup tool, a second collector)", busyTimeout)
	case code == sqlite3.SQLITE_FULL:
		fix = "no room left; free some space on the disk of the file"
	case code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM:
		fix = "can't be written; the user of the collector must own the file and its folder, and the disk must not be mounted read-only"
	case code == sqlite3.SQLITE_IOERR:
		fix = "the disk failed; look at the system's log"
	}
	if fix == "" {
		return fmt.Errorf("%s %s: %w", d.name, d.path, err)
	}
	return fmt.Errorf("%s %s: %s: %w", d.name, d.path, fix, err)
}

// codeOf returns SQLite's primary result code, 0 if err has none.
func codeOf(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return cmp.Or(e.Code()&0xff, sqlite3.SQLITE_ERROR)
	}
	return 0
}
