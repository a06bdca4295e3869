package disk

import "golang.org/x/sys/windows"

// Free returns how many bytes this process may still write to the disk that dir is on.
func Free(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var ours uint64
	if err := windows.GetDiskFreeSpaceEx(p, &ours, nil, nil); err != nil {
		return 0, err
	}
	return int64(ours), nil
}
