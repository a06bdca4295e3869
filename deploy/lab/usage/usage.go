// Package usage tells what processes of this machine take of it, as Linux says.
package usage

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPU is the processor time that a process has used, that of children that it has waited for not counted.
func CPU(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(data), ") ")
	w := strings.Fields(rest)
	if !ok || len(w) < 13 {
		return 0, errors.New("can't read the process's times")
	}
	user, err1 := strconv.ParseInt(w[11], 10, 64)
	system, err2 := strconv.ParseInt(w[12], 10, 64)
	const perTick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * perTick, errors.Join(err1, err2)
}

// Memory is a process's resident set in bytes, now and at its highest.
func Memory(pid int) (now, peak float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil {
			now = kb * 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			peak = kb * 1024
		}
	}
	return now, peak, nil
}
