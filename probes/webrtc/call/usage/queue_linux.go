package usage

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Queued is how many bytes of a socket wait in this system to be sent (SIOCOUTQ of udp(7) and tcp(7)), the system's own
// bookkeeping included for UDP; false if it does not tell.
func Queued(socket syscall.Conn) (bytes int64, ok bool) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, false
	}
	var n int
	if cerr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); cerr != nil || err != nil {
		return 0, false
	}
	return int64(n), true
}
