package snmp

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxDatagram bounds a request in bytes; a manager's fit an Ethernet frame.
const maxDatagram = 2048

// Responder is a socket on which a device answers. Open one with Listen, end it with Close.
type Responder struct {
	conn   *net.UDPConn
	device atomic.Pointer[Device]
	now    func() time.Time
	wg     sync.WaitGroup

	mu    sync.Mutex // guards the field below
	later map[*time.Timer]bool
}

// Listen opens a socket at addr and lets d answer there.
func Listen(addr netip.AddrPort, d *Device) (*Responder, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	r := &Responder{conn: conn, now: time.Now, later: map[*time.Timer]bool{}}
	r.device.Store(d)
	r.wg.Go(r.serve)
	return r, nil
}

// Addr is where it listens.
func (r *Responder) Addr() netip.AddrPort { return r.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Device is what answers.
func (r *Responder) Device() *Device { return r.device.Load() }

// Place lets another device answer at the same address.
func (r *Responder) Place(d *Device) { r.device.Store(d) }

// Close stops answering and waits for it.
func (r *Responder) Close() {
	r.conn.Close()
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for t := range r.later {
		t.Stop()
	}
}

func (r *Responder) serve() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n == len(buf) {
			continue // longer than that, perhaps: nobody asks so much
		}
		answer, delay := r.device.Load().answerTo(buf[:n], r.now())
		if answer == nil {
			continue
		}
		if delay > 0 {
			r.answerLater(answer, from, delay)
			continue
		}
		r.conn.WriteToUDPAddrPort(answer, from) // who asked may be gone; nobody waits for a lost answer
	}
}

// maxLater bounds how many answers of one slow device wait at a time.
const maxLater = 64

func (r *Responder) answerLater(answer []byte, to netip.AddrPort, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.later) >= maxLater {
		return
	}
	var t *time.Timer
	t = time.AfterFunc(delay, func() {
		r.mu.Lock()
		delete(r.later, t) // t is set: it was before the lock was let go
		r.mu.Unlock()
		r.conn.WriteToUDPAddrPort(answer, to)
	})
	r.later[t] = true
}
