package call

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"communewatch/probes/webrtc/report"
)

// chat measures the round-trip time of messages: one every 100 ms, neither ordered nor repaired.
type chat struct {
	run *run

	mu     sync.Mutex // guards the fields below
	sent   []time.Duration
	echoes map[uint32]bool
	rtts   []float64
}

const (
	chatInterval = 100 * time.Millisecond
	chatMost     = 6000 // messages: ten minutes of them
	chatSize     = 20
)

var chatMagic = [4]byte{'c', 'w', 'd', '1'}

// talk sends messages until ctx ends.
func (c *chat) talk(ctx context.Context) {
	tick := time.NewTicker(chatInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-c.run.call.Done():
			return
		}
		select {
		case <-c.run.call.Opened():
			c.say()
		default: // not open yet
		}
	}
}

func (c *chat) say() {
	var b [chatSize]byte
	copy(b[:], chatMagic[:])
	binary.BigEndian.PutUint64(b[4:], c.run.number)
	c.mu.Lock()
	n := len(c.sent)
	if n >= chatMost {
		c.mu.Unlock()
		return
	}
	binary.BigEndian.PutUint32(b[12:], uint32(n))
	c.sent = append(c.sent, time.Since(c.run.zero))
	c.mu.Unlock()
	// A message that is refused was sent and lost, as a packet is.
	_ = c.run.call.SendMessage(b[:])
}

// echoed takes a message that came back.
func (c *chat) echoed(data []byte, at time.Time) {
	if len(data) != chatSize || [4]byte(data) != chatMagic || binary.BigEndian.Uint64(data[4:]) != c.run.number {
		return
	}
	n := binary.BigEndian.Uint32(data[12:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(n) >= int64(len(c.sent)) || c.echoes[n] {
		return
	}
	if c.echoes == nil {
		c.echoes = map[uint32]bool{}
	}
	c.echoes[n] = true
	c.rtts = append(c.rtts, max(at.Sub(c.run.zero)-c.sent[n], 0).Seconds())
	c.run.recv.wake()
}

// complete says whether all messages came back.
func (c *chat) complete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.echoes) == len(c.sent)
}

// result is nil if no message was sent.
func (c *chat) result() *report.Data {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) == 0 {
		return nil
	}
	return &report.Data{Sent: len(c.sent), Lost: len(c.sent) - len(c.echoes), RTT: spread(c.rtts)}
}
