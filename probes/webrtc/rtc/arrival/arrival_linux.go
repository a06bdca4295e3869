package arrival

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func enable(c *net.UDPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }); cerr != nil {
		return false
	}
	return err == nil
}

// controls holds memory for control messages: a timespec and its header are 32 bytes at most.
var controls = sync.Pool{New: func() any { return new([64]byte) }}

func readTimed(c *net.UDPConn, b []byte) (int, net.Addr, time.Time, error) {
	control := controls.Get().(*[64]byte)
	defer controls.Put(control)
	n, m, _, from, err := c.ReadMsgUDP(b, control[:])
	now := time.Now()
	if err != nil {
		return n, nil, now, err // a nil *net.UDPAddr would be no nil net.Addr
	}
	if wall, ok := timeOf(control[:m]); ok {
		return n, from, instant(wall, now), nil
	}
	return n, from, now, nil
}

// timeOf finds the timespec among control messages. Its numbers are of the machine's size.
func timeOf(control []byte) (time.Time, bool) {
	for len(control) > 0 {
		head, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return time.Time{}, false
		}
		if head.Level == unix.SOL_SOCKET && head.Type == unix.SO_TIMESTAMPNS {
			switch len(data) {
			case 16:
				return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:]))), true
			case 8:
				return time.Unix(int64(binary.NativeEndian.Uint32(data)), int64(binary.NativeEndian.Uint32(data[4:]))), true
			}
		}
		control = rest
	}
	return time.Time{}, false
}
