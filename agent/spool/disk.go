package spool

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// disk is the file system as the spool uses it: every change by a named operation, so that a test can make any one
// of them fail. The zero disk is the real one.
type disk struct {
	// fault is asked before each operation; an error is returned in its place. For "append" half of the data is
	// written first, as a disk that fills up does.
	fault func(op, name string) error
}

func (d *disk) check(op, name string) error {
	if d.fault == nil {
		return nil
	}
	if err := d.fault(op, filepath.Base(name)); err != nil {
		return &os.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// createOpen creates an open file, and its folder where that is missing.
func (d *disk) createOpen(name string) (*os.File, error) {
	if err := d.check("create", name); err != nil {
		return nil, err
	}
	if err := d.mkdir(filepath.Dir(name)); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
}

func (d *disk) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(dir))
}

func (d *disk) append(f *os.File, data []byte) error {
	if err := d.check("append", f.Name()); err != nil {
		_, _ = f.Write(data[:len(data)/2])
		return err
	}
	_, err := f.Write(data) // one write(2); the library repeats it only when the kernel took a part
	return err
}

func (d *disk) truncate(f *os.File, size int64) error {
	if err := d.check("truncate", f.Name()); err != nil {
		return err
	}
	return f.Truncate(size)
}

// writeFile puts a file in its place so that after a crash there is all of it or nothing.
func (d *disk) writeFile(name string, data []byte) (err error) {
	tmp := name + tmpSuffix
	if err := d.check("create", tmp); err != nil {
		return err
	}
	if err := d.mkdir(filepath.Dir(name)); err != nil {
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
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	// The file is in its place, so an error here must not lead to a second copy under another name.
	if err := d.syncDir(filepath.Dir(name)); err != nil {
		_ = os.Remove(name)
		return err
	}
	return nil
}

func (d *disk) rename(from, to string) error {
	if err := d.check("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (d *disk) remove(name string) error {
	if err := d.check("remove", name); err != nil {
		return err
	}
	return os.Remove(name)
}

// read returns a file's content, or an error that is errDamaged when it is larger than any file of ours.
func (d *disk) read(name string) ([]byte, error) {
	if err := d.check("read", name); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: larger than %d bytes", errDamaged, maxFile)
	}
	return data, nil
}
