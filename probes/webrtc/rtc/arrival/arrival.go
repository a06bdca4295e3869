// Package arrival reads UDP packets with the time at which the system received them, not that at which this process
// came to read them: on a busy machine the two are apart by what the process had to wait for a processor, which is no
// delay of the line. Only Linux tells (SO_TIMESTAMPNS of socket(7)); elsewhere it is the time of reading.
package arrival

import (
	"net"
	"time"
)

// Reader reads packets of one socket. It is safe for concurrent use as far as the socket is.
type Reader struct {
	conn net.PacketConn
	udp  *net.UDPConn // nil: the system's time is not to be had
}

// NewReader returns a reader of c, and asks the system to note times of arrival.
func NewReader(c net.PacketConn) *Reader {
	r := &Reader{conn: c}
	if udp, ok := c.(*net.UDPConn); ok && enable(udp) {
		r.udp = udp
	}
	return r
}

// Read reads one packet. The time carries a monotonic reading.
func (r *Reader) Read(b []byte) (n int, from net.Addr, at time.Time, err error) {
	if r.udp != nil {
		return readTimed(r.udp, b)
	}
	n, from, err = r.conn.ReadFrom(b)
	return n, from, time.Now(), err
}

// longest is how old a packet may be when it is read. What seems older, or of the future, is so because the clock was
// set in between.
const longest = 5 * time.Second

// instant makes a monotonic reading of the system's time of day, seen that it is now now.
func instant(wall, now time.Time) time.Time {
	age := now.Round(0).Sub(wall)
	if age < 0 || age > longest {
		return now
	}
	return now.Add(-age)
}
