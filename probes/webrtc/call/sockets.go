package call

import (
	"math"
	"net"
	"sync"
	"syscall"

	"communewatch/probes/webrtc/call/usage"
	"communewatch/probes/webrtc/reflector/load"
	"communewatch/probes/webrtc/report"
)

// sockets watches what the system keeps waiting and what it drops in the sockets of the call's media.
type sockets struct {
	mu    sync.Mutex // guards the fields below
	of    []syscall.Conn
	drops func() (uint64, bool) // of the UDP socket, since it was opened
	queue *int64                // the most seen, bytes
}

// add watches a socket: that of UDP, or a connection used in its place. What is none of the system's is left alone.
func (s *sockets) add(socket any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := socket.(syscall.Conn); ok {
		s.of = append(s.of, c)
	}
	if udp, ok := socket.(*net.UDPConn); ok {
		s.drops = load.DropsOf(udp)
	}
}

// look notes how much is waiting to be sent.
func (s *sockets) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.of {
		if n, ok := usage.Queued(c); ok && (s.queue == nil || n > *s.queue) {
			s.queue = &n
		}
	}
}

// until writes down what was seen. The sockets are to be open still.
func (s *sockets) until(a *report.Agent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Queue = s.queue
	if s.drops == nil {
		return
	}
	if drops, ok := s.drops(); ok {
		n := int(min(drops, math.MaxInt32))
		a.Dropped = &n
	}
}
