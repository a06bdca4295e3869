package tcp

import (
	"fmt"
	"net"
	"testing"
	"time"

	"communewatch/probes"

	"golang.org/x/sys/unix"
)

// A listener whose queue is full leaves further connections unanswered, as a filtered port does.
func TestSilenceIsATimeout(t *testing.T) {
	l := silentListener(t)
	start := time.Now()
	_, err := run(t, l, Options{Timeout: 200 * time.Millisecond})
	if probes.OutcomeOf(err) != probes.OutcomeTimeout {
		t.Errorf("got %v (%v)", probes.OutcomeOf(err), err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v, the timeout was 200ms", took)
	}
}

// silentListener returns an address where connections hang: a listener with a backlog of one that nobody accepts
// from, filled up.
func silentListener(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", sa.(*unix.SockaddrInet4).Port)
	for range 8 {
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the listener's queue never filled")
	return ""
}
