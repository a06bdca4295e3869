package relay

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes a goroutine at a time. It is a timerfd, since the runtime's own timers are up to a millisecond late while
// nothing else happens: its poller sleeps in whole milliseconds.
type alarm struct {
	fd   int
	file *os.File
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	return &alarm{fd: fd, file: os.NewFile(uintptr(fd), "timerfd")}, nil
}

// set moves the alarm to another time. It must not be called after close.
func (a *alarm) set(at time.Time) {
	d := max(1, time.Until(at)) // zero would switch it off
	// It fails for a bad descriptor or time alone.
	_ = unix.TimerfdSettime(a.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

// wait returns true when the alarm goes off, false when it is closed.
func (a *alarm) wait() bool {
	var b [8]byte
	_, err := a.file.Read(b[:])
	return err == nil
}

func (a *alarm) close() { a.file.Close() }
