//go:build unix

package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// ProcessorTime is what this process has used, in user and kernel mode.
func ProcessorTime() (time.Duration, bool) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
