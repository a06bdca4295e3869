package lines

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Script says what becomes of the n-th ping (from 0): one answer after each of the delays, or none.
type Script func(n int) []time.Duration

// Responder is a host at the end of a tunnel that answers pings by a script and keeps a log of what it really did.
type Responder struct {
	script Script
	tunnel *os.File

	mu      sync.Mutex
	seen    int
	answers []Answer
	running sync.WaitGroup // answers under way
}

// Answer is one answer that was given.
type Answer struct {
	N    int           // to which ping, from 0
	Took time.Duration // from reading the ping to having written the answer
}

// Responder attaches a scripted host to device on s. Every address of prefix but s's own belongs to it.
func (s *Space) Responder(t testing.TB, device, prefix string, script Script) *Responder {
	t.Helper()
	r := &Responder{script: script}
	err := s.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq(device)
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return errors.Join(fmt.Errorf("make tunnel %s: %w", device, err), unix.Close(fd))
		}
		r.tunnel = os.NewFile(uintptr(fd), device)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.serve()
	}()
	t.Cleanup(func() {
		_ = r.tunnel.Close()
		<-done
		r.running.Wait()
	})
	s.Address(t, device, prefix)
	s.Up(t, device)
	return r
}

// serve ends when the tunnel is closed.
func (r *Responder) serve() {
	packet := make([]byte, 1<<16)
	for {
		n, err := r.tunnel.Read(packet)
		if err != nil {
			return
		}
		at := time.Now()
		answer, ok := answerTo(packet[:n])
		if !ok {
			continue
		}
		r.mu.Lock()
		number := r.seen
		r.seen++
		r.mu.Unlock()
		for _, delay := range r.script(number) {
			r.running.Add(1)
			time.AfterFunc(delay, func() {
				defer r.running.Done()
				r.mu.Lock() // the log's order is the order on the wire
				defer r.mu.Unlock()
				if _, err := r.tunnel.Write(answer); err == nil {
					r.answers = append(r.answers, Answer{number, time.Since(at)})
				}
			})
		}
	}
}

// Seen is the number of pings that arrived.
func (r *Responder) Seen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// Answers is the log of answers in the order in which they were given.
func (r *Responder) Answers() []Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.answers)
}

// answerTo turns an IPv4 echo request into its reply.
func answerTo(packet []byte) ([]byte, bool) {
	head, err := ipv4.ParseHeader(packet)
	if err != nil || head.Protocol != 1 || len(packet) < head.Len {
		return nil, false
	}
	request, err := icmp.ParseMessage(1, packet[head.Len:])
	if err != nil || request.Type != ipv4.ICMPTypeEcho {
		return nil, false
	}
	body, err := (&icmp.Message{Type: ipv4.ICMPTypeEchoReply, Body: request.Body}).Marshal(nil)
	if err != nil {
		return nil, false
	}
	reply := slices.Concat(packet[:20], body)
	reply[0] = 4<<4 | 5 // options, if any, are left out
	reply[2], reply[3] = byte(len(reply)>>8), byte(len(reply))
	copy(reply[12:16], packet[16:20])
	copy(reply[16:20], packet[12:16])
	reply[10], reply[11] = 0, 0
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(reply[i])<<8 | uint32(reply[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	reply[10], reply[11] = byte(^sum>>8), byte(^sum)
	return reply, true
}
