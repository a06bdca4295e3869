// Package disk is the file system as the spool and others use it: every change by a named operation, so that a test
// can make any one of them fail; files that are in their place as a whole or not at all; a lock; the space that is left.
//
// What is private is for the owner of its folder alone, by mode (0700 and 0600) or, on Windows, by an access list of the
// folder that names the system, administrators and the owner. Whose it is follows the folder that it is put into, so
// that a command that root runs makes files which the service, another user, can read.
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
	// Private makes files and folders that nobody else can read.
	Private bool
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
	if !d.Private {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		return d.syncDir(filepath.Dir(dir))
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := adopt(dir, parent); err != nil {
		return err
	}
	if err := seclude(dir); err != nil {
		return err
	}
	return d.syncDir(parent)
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
func (d *Disk) WriteFile(name string, data []byte) error {
	placed, err := d.place(name, data)
	if err != nil && placed {
		// An error must not lead to a second copy under another name.
		_ = os.Remove(name)
	}
	return err
}

// ReplaceFile is WriteFile for a file that may be there already: after a crash or an error there is all of the one or
// all of the other.
func (d *Disk) ReplaceFile(name string, data []byte) error {
	_, err := d.place(name, data)
	return err
}

// place writes a file under another name, and then gives it its own. placed says that it got so far.
func (d *Disk) place(name string, data []byte) (placed bool, err error) {
	tmp := name + TmpSuffix
	if err := d.check("create", tmp); err != nil {
		return false, err
	}
	if err := d.Mkdir(filepath.Dir(name)); err != nil {
		return false, err
	}
	mode := os.FileMode(0o640)
	if d.Private {
		mode = 0o600
		_ = os.Remove(tmp) // one that is left has a mode of its own
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil && !placed {
			_ = f.Close()
			_ = os.Remove(tmp)
		}
	}()
	if d.Private {
		if err := adopt(tmp, filepath.Dir(name)); err != nil {
			return false, err
		}
	}
	if err := d.check("write", tmp); err != nil {
		return false, err
	}
	if _, err := f.Write(data); err != nil {
		return false, err
	}
	if err := d.check("sync", tmp); err != nil {
		return false, err
	}
	if err := f.Sync(); err != nil {
		return false, err
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	if err := d.Rename(tmp, name); err != nil {
		return false, err
	}
	return true, d.syncDir(filepath.Dir(name))
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
