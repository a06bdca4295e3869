// Package disk is the file system as the spool uses it: every change by a named operation, so that a test can make
// any one of them fail; files that are in their place as a whole or not at all; a lock; the space that is left.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// TmpSuffix is behind the name of a file that WriteFile has not put in its place yet. After a crash it may be left.
const TmpSuffix = ".tmp"

var (
	// ErrLocked says that another process holds a lock.
	ErrLocked = errors.New("locked by another process")
	// ErrDamaged says that a file holds what cannot have been written there.
	ErrDamaged = errors.New("damaged")
)

// Disk is a file system. The zero Disk is the real one.
type Disk struct {
	// Fault is asked before each operation; an error is returned in its place. For "append" half of the data is
	// written first, as a disk that fills up does.
	Fault func(op, name string) error
}

func (d *Disk) check(op, name string) error {
	if d.Fault == nil {
		return nil
	}
	if err := d.Fault(op, filepath.Base(name)); err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// CreateOpen creates a file to append to, and its folder where that is missing.
func (d *Disk) CreateOpen(name string) (*os.File, error) {
	if err := d.check("create", name); err != nil {
		return nil, err
	}
	if err := d.Mkdir(filepath.Dir(name)); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
}

// Mkdir makes a folder that may be there already.
func (d *Disk) Mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(dir))
}

// Append adds data at the end of a file that CreateOpen made.
func (d *Disk) Append(f *os.File, data []byte) error {
	if err := d.check("append", f.Name()); err != nil {
		_, _ = f.Write(data[:len(data)/2])
		return err
	}
	_, err := f.Write(data) // one write(2); the library repeats it only when the kernel took a part
	return err
}

// Truncate cuts a file to its first size bytes.
func (d *Disk) Truncate(f *os.File, size int64) error {
	if err := d.check("truncate", f.Name()); err != nil {
		return err
	}
	return f.Truncate(size)
}

// WriteFile puts a file in its place so that after a crash there is all of it or nothing.
func (d *Disk) WriteFile(name string, data []byte) (err error) {
	tmp := name + TmpSuffix
	if err := d.check("create", tmp); err != nil {
		return err
	}
	if err := d.Mkdir(filepath.Dir(name)); err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(tmp)
		}
	}()
	if err := d.check("write", tmp); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := d.check("sync", tmp); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := d.Rename(tmp, name); err != nil {
		return err
	}
	// The file is in its place, so an error here must not lead to a second copy under another name.
	if err := d.syncDir(filepath.Dir(name)); err != nil {
		_ = os.Remove(name)
		return err
	}
	return nil
}

// Rename moves a file.
func (d *Disk) Rename(from, to string) error {
	if err := d.check("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// Remove removes a file or an empty folder.
func (d *Disk) Remove(name string) error {
	if err := d.check("remove", name); err != nil {
		return err
	}
	return os.Remove(name)
}

// Read returns a file's content, or an error that is ErrDamaged when it can't be read or has more than limit bytes.
func (d *Disk) Read(name string, limit int64) ([]byte, error) {
	if err := d.check("read", name); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrDamaged, limit)
	}
	return data, nil
}
