//go:build unix

package disk

import "golang.org/x/sys/unix"

// Free returns how many bytes this process may still write to the disk that dir is on.
func Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
