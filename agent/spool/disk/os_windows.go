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

// adopt has nothing to do: access follows the folder's list.
func adopt(string, string) error { return nil }

// secluded is a folder's list of access: the system, administrators, and the owner, for all that is in it; nothing is
// inherited from above, where ProgramData lets everybody read.
const secluded = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"

// seclude keeps others out of a folder.
func seclude(dir string) error {
	sd, err := windows.SecurityDescriptorFromString(secluded)
	if err != nil {
		return err
	}
	list, _, err := sd.DACL()
	if err != nil {
		return err
	}
	err = windows.SetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	if err != nil {
		return &os.PathError{Op: "protect", Path: dir, Err: err}
	}
	return nil
}
