//go:build !linux

package load

import "net"

// DropsOf: only Linux tells.
func DropsOf(*net.UDPConn) func() (uint64, bool) {
	return func() (uint64, bool) { return 0, false }
}
