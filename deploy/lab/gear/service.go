package gear

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// face is what a service tells of the equipment that it belongs to.
type face struct{ title, server, sip string }

// service is one listening service. It answers with hand-written minimal protocols rather than a server per service:
// a thousand of them run in one process.
type service struct {
	addr  netip.AddrPort
	proto protocol
	done  chan struct{} // closed when the lab stops

	mu       sync.Mutex // guards the fields below
	fault    Fault
	face     face
	listener net.Listener
	packets  net.PacketConn // DNS and SIP only
	conns    map[net.Conn]bool
	shut     bool

	wg sync.WaitGroup
}

// open starts listening. The caller holds mu or is alone.
func (s *service) open() error {
	l, err := net.Listen("tcp4", s.addr.String())
	if err != nil {
		return err
	}
	if s.proto == protoDNS || s.proto == protoSIP {
		if s.packets, err = net.ListenPacket("udp4", s.addr.String()); err != nil {
			l.Close()
			return err
		}
		pc := s.packets
		s.wg.Go(func() { s.serveDatagrams(pc) })
	}
	s.listener = l
	if s.conns == nil {
		s.conns = map[net.Conn]bool{}
	}
	s.wg.Go(func() { s.accept(l) })
	return nil
}

func (s *service) unlisten() {
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	if s.packets != nil {
		s.packets.Close()
		s.packets = nil
	}
}

func (s *service) set(f Fault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	if f.Mode == Down {
		s.unlisten()
		return nil
	}
	if s.listener == nil && !s.shut {
		return s.open()
	}
	return nil
}

func (s *service) close() {
	s.mu.Lock()
	s.shut = true
	close(s.done)
	s.unlisten()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *service) now() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

func (s *service) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.shut || len(s.conns) >= 64 { // a probe opens one at a time
			s.mu.Unlock()
			c.Close()
			continue
		}
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(func() {
			s.serve(c)
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// serve answers one connection, for at most a minute.
func (s *service) serve(c net.Conn) {
	c.SetDeadline(time.Now().Add(time.Minute))
	f := s.now()
	switch f.Mode {
	case Hang:
		io.Copy(io.Discard, c) // until the other side gives up
		return
	case Slow:
		if !s.wait(f.Delay) {
			return
		}
	}
	switch s.proto {
	case protoHTTP:
		s.serveHTTP(c, f)
	case protoDNS:
		s.serveStream(c, f)
	case protoSignalling, protoSIP:
		if f.Mode != Wrong {
			s.serveSignalling(c)
		}
	}
}

// shows returns what the service tells of its equipment.
func (s *service) shows() face {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.face
}

func (s *service) show(f face) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.face = f
}

// serveSignalling answers SIP's OPTIONS (RFC 3261 11.2), if the equipment speaks it, and takes in anything else.
func (s *service) serveSignalling(c net.Conn) {
	in := bufio.NewReader(io.LimitReader(c, 64<<10))
	agent := s.shows().sip
	for agent != "" {
		request, err := textproto.NewReader(in).ReadLine()
		if err != nil || !strings.HasPrefix(request, "OPTIONS ") {
			break
		}
		head, err := textproto.NewReader(in).ReadMIMEHeader()
		if err != nil {
			break
		}
		answer := response(func(name string) []string { return head[textproto.CanonicalMIMEHeaderKey(name)] }, agent)
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
	io.Copy(io.Discard, in)
}

// wait waits for d unless the service is closed meanwhile.
func (s *service) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done:
		return false
	}
}

func (s *service) serveHTTP(c net.Conn, f Fault) {
	req, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c, 64<<10)))
	if err != nil {
		return
	}
	face := s.shows()
	code, body, kind, server := http.StatusOK, "communewatch lab\n", "text/plain", ""
	if face.title != "" {
		kind, body = "text/html; charset=utf-8", "<html><head><title>"+html.EscapeString(face.title)+"</title></head><body>communewatch lab</body></html>\n"
	}
	if face.server != "" {
		server = "Server: " + face.server + "\r\n"
	}
	if f.Mode == Wrong {
		code, body = http.StatusInternalServerError, "out of order\n"
	}
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\n%sContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
		code, http.StatusText(code), server, kind, len(body))
	if req.Method != http.MethodHead {
		io.WriteString(c, body)
	}
}

func (s *service) serveDatagrams(pc net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		f := s.now()
		if f.Mode == Hang {
			continue
		}
		var answer []byte
		switch s.proto {
		case protoDNS:
			answer = s.answer(buf[:n], f)
		case protoSIP:
			if f.Mode != Wrong {
				answer = options(buf[:n], cmp.Or(s.shows().sip, "communewatch lab"))
			}
		}
		if answer == nil {
			continue
		}
		if f.Mode == Slow {
			time.AfterFunc(f.Delay, func() { pc.WriteTo(answer, from) }) // on a closed socket it fails, as it should
			continue
		}
		pc.WriteTo(answer, from)
	}
}

func (s *service) serveStream(c net.Conn, f Fault) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, msg); err != nil {
		return
	}
	if a := s.answer(msg, f); a != nil {
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
	}
}

// answer answers a question for an A record with the service's own address; nil where there is nothing to say.
func (s *service) answer(msg []byte, f Fault) []byte {
	var q dnsmessage.Message
	if err := q.Unpack(msg); err != nil || q.Response || len(q.Questions) != 1 {
		return nil
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true, RecursionDesired: q.RecursionDesired},
		Questions: q.Questions,
	}
	switch {
	case f.Mode == Wrong:
		m.RCode = dnsmessage.RCodeNameError
	case q.Questions[0].Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: s.addr.Addr().As4()},
		}}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
