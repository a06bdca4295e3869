package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// Lock takes the lock that a file is, or returns ErrLocked. Closing the file gives it back; so does the end of the
// process, however it ends.
func Lock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if err != nil {
		_ = f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

// syncDir does nothing: NTFS journals names itself, and a folder can't be flushed.
func (d *Disk) syncDir(dir string) error { return d.check("syncdir", dir) }

// Space returns the size of the disk that dir is on and what is left of it for us.
func (d *Disk) Space(dir string) (total, free int64, err error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var ours, all, left uint64
	if err := windows.GetDiskFreeSpaceEx(p, &ours, &all, &left); err != nil {
		return 0, 0, err
	}
	return int64(all), int64(ours), nil
}
