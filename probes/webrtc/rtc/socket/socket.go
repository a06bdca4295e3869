// Package socket is a UDP socket as the media library is given it: it notes when packets arrive, keeps the reason why a
// packet was not sent, survives errors of a line that comes and goes, and may carry a TCP connection as one more
// address (RFC 4571).
package socket

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"communewatch/probes/webrtc/rtc/arrival"
)

// isRTP tells RTP from RTCP, STUN and DTLS on one port (RFC 7983, RFC 5761).
func isRTP(b []byte) bool {
	return len(b) >= 12 && b[0]>>6 == 2 && (b[1]&0x7f < 64 || b[1]&0x7f > 95)
}

// arrivals remembers when the system received RTP packets, until they have come through decryption and queues. The header
// is in the clear, so stream and number tell which packet it was. Of copies the first counts.
type arrivals struct {
	mu    sync.Mutex // guards the field below
	slots []noted
}

type noted struct {
	key uint64 // SSRC and sequence number, and a bit that makes it non-zero
	at  time.Time
}

// 8192 packets are 400 ms at 20,000 packets/s; what waited longer gets the time at which it was read.
const (
	arrivalSlots = 8192
	maxPacket    = 1500
)

func arrivalKey(ssrc uint32, seq uint16) (key uint64, slot uint64) {
	key = 1<<48 | uint64(ssrc)<<16 | uint64(seq)
	return key, (uint64(ssrc)*0x9e3779b1 + uint64(seq)) % arrivalSlots
}

func (a *arrivals) note(packet []byte, at time.Time) {
	if !isRTP(packet) {
		return
	}
	key, slot := arrivalKey(binary.BigEndian.Uint32(packet[8:]), binary.BigEndian.Uint16(packet[2:]))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slots == nil {
		a.slots = make([]noted, arrivalSlots)
	}
	if a.slots[slot].key != key {
		a.slots[slot] = noted{key, at}
	}
}

// take returns when a packet arrived, or now if that is not known.
func (a *arrivals) take(ssrc uint32, seq uint16) time.Time {
	key, slot := arrivalKey(ssrc, seq)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slots != nil && a.slots[slot].key == key {
		at := a.slots[slot].at
		a.slots[slot] = noted{}
		return at
	}
	return time.Now()
}

// Socket wraps a UDP socket. A site's may get a tunnel: a TCP connection whose far end is one more address.
type Socket struct {
	net.PacketConn
	in    *arrival.Reader
	Local *net.UDPAddr // of the socket, or the address that stands for it
	// Allowed says whether packets may be sent to an address; nil for all. Whoever knows the call's passwords can have
	// the library answer to any address, so it is asked for each. It is to be set before the socket is used.
	Allowed func(netip.Addr) bool
	times   arrivals
	closed  chan struct{}
	once    sync.Once

	mu         sync.Mutex // guards the fields below
	refusal    error      // why the system would not send the last packet, of any kind; nil if it did
	rtpRefusal error      // why the last RTP packet was not sent, until it is taken
	tunnel     *Tunnel    // nil for none
	merged     chan datagram
}

type datagram struct {
	data []byte
	from net.Addr
}

// New wraps c; local stands for its address where c is bound to none, so that one address is offered and not
// those of all the machine's cards.
func New(c net.PacketConn, local netip.Addr) *Socket {
	s := &Socket{PacketConn: c, in: arrival.NewReader(c), closed: make(chan struct{})}
	s.Local, _ = c.LocalAddr().(*net.UDPAddr)
	if s.Local != nil && s.Local.IP.IsUnspecified() && local.IsValid() {
		s.Local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local.Unmap(), uint16(s.Local.Port)))
	}
	return s
}

// Arrived returns when an RTP packet arrived, or now if that is not known. It is to be asked once for each packet.
func (s *Socket) Arrived(ssrc uint32, seq uint16) time.Time { return s.times.take(ssrc, seq) }

// LocalAddr is the address that is offered.
func (s *Socket) LocalAddr() net.Addr {
	if s.Local != nil {
		return s.Local
	}
	return s.PacketConn.LocalAddr()
}

// Close closes the socket and its tunnel. Closing it again is an error.
func (s *Socket) Close() error {
	err := net.ErrClosed
	s.once.Do(func() {
		close(s.closed)
		err = s.PacketConn.Close()
		if t := s.Tunnel(); t != nil {
			t.close()
		}
	})
	return err
}

// Tunnel is the tunnel in use, nil without one.
func (s *Socket) Tunnel() *Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tunnel
}

func (s *Socket) channel() chan datagram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.merged
}

// ReadFrom reads the next packet, of the tunnel too if there is one. Only a closed socket ends it.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if merged := s.channel(); merged != nil {
			select {
			case d := <-merged:
				return copy(b, d.data), d.from, nil
			case <-s.closed:
				return 0, nil, io.EOF
			}
		}
		n, from, err := s.read(b)
		if err == nil || errors.Is(err, io.EOF) {
			return n, from, err
		}
	}
}

// read reads from the UDP socket alone.
func (s *Socket) read(b []byte) (int, net.Addr, error) {
	n, from, at, err := s.in.Read(b)
	switch {
	case err == nil:
		s.times.note(b[:n], at)
		return n, from, nil
	case errors.Is(err, net.ErrClosed):
		return 0, nil, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, nil, err
	}
	// Such as ENETDOWN, once for each time that the line goes away, or an ICMP error that the system passes on.
	pause := time.NewTimer(10 * time.Millisecond)
	defer pause.Stop()
	select {
	case <-pause.C:
		return 0, nil, err
	case <-s.closed:
		return 0, nil, io.EOF
	}
}

// WriteTo sends a packet, through the tunnel if it is for its far end.
func (s *Socket) WriteTo(b []byte, to net.Addr) (int, error) {
	var n int
	var err error
	if t := s.Tunnel(); t != nil && t.is(to) {
		n, err = t.write(b)
	} else if !s.mayWrite(to) {
		return 0, errForbidden
	} else {
		n, err = s.PacketConn.WriteTo(b, to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal = err; err != nil && isRTP(b) {
		s.rtpRefusal = err
	}
	return n, err
}

var errForbidden = errors.New("packets may not be sent to that address")

func (s *Socket) mayWrite(to net.Addr) bool {
	if s.Allowed == nil {
		return true
	}
	u, ok := to.(*net.UDPAddr)
	return ok && s.Allowed(u.AddrPort().Addr().Unmap())
}

// TakeRTPRefusal returns why the last RTP packet was not sent, nil if it was. The library keeps that to itself.
func (s *Socket) TakeRTPRefusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.rtpRefusal
	s.rtpRefusal = nil
	return err
}

// LastRefusal returns why the last packet of any kind was refused by the system, nil if it was sent.
func (s *Socket) LastRefusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusal
}

// Use adds the tunnel. From then on packets of both are read.
func (s *Socket) Use(t *Tunnel, wg *sync.WaitGroup) {
	merged := make(chan datagram, 256)
	s.mu.Lock()
	s.tunnel, s.merged = t, merged
	s.mu.Unlock()
	select {
	case <-s.closed:
		t.close()
	default:
	}
	deliver := func(data []byte, from net.Addr) bool {
		select {
		case merged <- datagram{append([]byte(nil), data...), from}:
			return true
		case <-s.closed:
			return false
		}
	}
	// Whoever waits in ReadFrom is woken, and finds the channel.
	_ = s.PacketConn.SetReadDeadline(time.Now())
	wg.Go(func() {
		b := make([]byte, maxPacket)
		for {
			n, from, err := s.read(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				_ = s.PacketConn.SetReadDeadline(time.Time{})
				continue
			}
			if errors.Is(err, io.EOF) || err == nil && !deliver(b[:n], from) {
				return
			}
		}
	})
	wg.Go(func() {
		b := make([]byte, maxPacket)
		for {
			n, err := t.read(b)
			if err != nil {
				t.close()
				return
			}
			s.times.note(b[:n], time.Now())
			if !deliver(b[:n], t.Stands) {
				return
			}
		}
	})
	wg.Go(t.run)
}

// Tunnel carries packets through a TCP connection, each behind its length (RFC 4571).
type Tunnel struct {
	conn   net.Conn
	Stands *net.UDPAddr // the address that stands for its far end
	queue  chan []byte
	done   chan struct{}
	once   sync.Once
}

// 512 packets are about a second of a call. What does not fit is refused, as a full socket would: waiting would stop
// the clock of whoever sends.
const tunnelQueue = 512

// NewTunnel makes a tunnel of a connection; Use starts it, and the socket closes it.
func NewTunnel(conn net.Conn, stands *net.UDPAddr) *Tunnel {
	return &Tunnel{conn: conn, Stands: stands, queue: make(chan []byte, tunnelQueue), done: make(chan struct{})}
}

func (t *Tunnel) is(to net.Addr) bool {
	u, ok := to.(*net.UDPAddr)
	return ok && u.Port == t.Stands.Port && u.IP.Equal(t.Stands.IP)
}

func (t *Tunnel) close() {
	t.once.Do(func() {
		close(t.done)
		_ = t.conn.Close()
	})
}

func (t *Tunnel) write(b []byte) (int, error) {
	framed := make([]byte, 2+len(b))
	binary.BigEndian.PutUint16(framed, uint16(len(b)))
	copy(framed[2:], b)
	select {
	case <-t.done:
		return 0, syscall.EPIPE
	default:
	}
	select {
	case t.queue <- framed:
		return len(b), nil
	default:
		return 0, syscall.ENOBUFS
	}
}

// run writes what is queued until the tunnel is closed.
func (t *Tunnel) run() {
	for {
		select {
		case <-t.done:
			return
		case b := <-t.queue:
			if _, err := t.conn.Write(b); err != nil {
				t.close()
				return
			}
		}
	}
}

func (t *Tunnel) read(b []byte) (int, error) {
	var head [2]byte
	if _, err := io.ReadFull(t.conn, head[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > len(b) {
		return 0, io.ErrShortBuffer
	}
	return io.ReadFull(t.conn, b[:n])
}
