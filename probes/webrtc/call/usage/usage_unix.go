//go:build unix

package usage

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"communewatch/probes/webrtc/report"
)

// Usage is what this process had used of the machine at a moment. Where a call has no process of its own it is
// everybody's.
type Usage struct{ cpu time.Duration }

// Read returns what was used so far.
func Read() Usage {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return Usage{}
	}
	return Usage{time.Duration(u.Utime.Nano() + u.Stime.Nano())}
}

// Until writes down what was used since.
func (u Usage) Until(a *report.Agent, length time.Duration) {
	var now unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &now) != nil || length <= 0 {
		return
	}
	a.CPURatio = (time.Duration(now.Utime.Nano()+now.Stime.Nano()) - u.cpu).Seconds() / length.Seconds()
	a.RSSBytes = peak(&now)
}

// peak is the largest resident memory of this process so far, in bytes. On Linux getrusage tells that of the program
// which started this one, if it was larger; /proc does not.
func peak(u *unix.Rusage) int64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
				kib, _ := strconv.ParseInt(fields[1], 10, 64)
				return kib << 10
			}
		}
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}
