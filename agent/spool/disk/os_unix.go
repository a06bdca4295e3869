//go:build unix

package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Lock takes the lock that a file is, or returns ErrLocked. Closing the file gives it back; so does the end of the
// process, however it ends.
func Lock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

// syncDir makes the names in a folder durable.
func (d *Disk) syncDir(dir string) error {
	if err := d.check("syncdir", dir); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Space returns the size of the disk that dir is on and what is left of it for us.
func (d *Disk) Space(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Blocks) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize), nil
}

// adopt gives a new file or folder to whom the folder belongs that it is in. Only root can, and only root need.
func adopt(name, folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(folder, &st); err != nil {
		return &os.PathError{Op: "stat", Path: folder, Err: err}
	}
	return os.Lchown(name, int(st.Uid), int(st.Gid))
}

// seclude has nothing to do: the mode says it all.
func seclude(string) error { return nil }
