package orders

import (
	"net"

	"golang.org/x/sys/unix"
)

// limitSilence sets TCP_USER_TIMEOUT (RFC 5482) to what two heartbeats and a little take: as long as agents wait.
func limitSilence(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return // it is closed
	}
	// What can't be set only makes a dead agent be noticed later.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int((2*heartbeat + heartbeat/2).Milliseconds()))
	})
}
