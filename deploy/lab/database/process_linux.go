package database

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// claim makes the database of a folder ours until release is called: two servers on the same files would ruin them, and
// InfluxDB itself does not look.
func claim(dir string) (release func(), err error) {
	file := filepath.Join(dir, "lock")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errClaimed
		}
		return nil, &fs.PathError{Op: "lock", Path: file, Err: err}
	}
	return func() { f.Close() }, nil
}

// halt stops a process where it stands: for good without a delay, otherwise for delay over and over. end lets it go.
func halt(pid int, delay time.Duration) (end func()) {
	send := func(s syscall.Signal) { _ = syscall.Kill(pid, s) } // a process that is gone is nobody's trouble here
	if delay == 0 {
		send(syscall.SIGSTOP)
		// The signal is on its way when the call returns; the process stands still once the kernel says so. How it ends is
		// left to whoever waits for that.
		for unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED, nil) == unix.EINTR {
		}
		return func() { send(syscall.SIGCONT) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer send(syscall.SIGCONT)
		for step := 0; ; step++ {
			pause, signal := delay, syscall.SIGSTOP
			if step%2 == 1 {
				pause, signal = breath, syscall.SIGCONT
			}
			send(signal)
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}()
	return func() { cancel(); <-done }
}
