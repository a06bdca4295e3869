package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the database to file, which must not exist, while the database goes on working.
func (d *DB) Backup(ctx context.Context, file string) error {
	if err := d.read.PingContext(ctx); err != nil { // closed?
		return d.Explain(err)
	}
	db, err := connect(d.path, copyConnection)
	if err != nil {
		return d.Explain(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return d.Explain(err)
	}
	defer conn.Close()
	if err := copyInto(ctx, conn, file); err != nil {
		return d.Explain(err)
	}
	return nil
}

// copyInto writes a copy under a temporary name and links it to its own when it is on disk, so that there is never
// half a backup, and never one overwritten.
func copyInto(ctx context.Context, conn *sql.Conn, file string) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already (%w); remove it or choose another name", file, fs.ErrExist)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".partial-*") // mode 0600
	if err != nil {
		return fmt.Errorf("%w; the folder must exist and be writable", err)
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	if err := tmp.Close(); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", tmp.Name()); err != nil {
		return err
	}
	if tmp, err = os.OpenFile(tmp.Name(), os.O_RDWR, 0); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), file); err != nil {
		return fmt.Errorf("%w; the file must not exist, and its disk must support hard links", err)
	}
	if dir, err := os.Open(filepath.Dir(file)); err == nil {
		_ = dir.Sync() // not every system can; the copy itself is on disk
		_ = dir.Close()
	}
	return nil
}
