//go:build !linux

package arrival

import (
	"net"
	"time"
)

func enable(*net.UDPConn) bool { return false }

func readTimed(c *net.UDPConn, b []byte) (int, net.Addr, time.Time, error) {
	n, from, err := c.ReadFrom(b)
	return n, from, time.Now(), err
}
