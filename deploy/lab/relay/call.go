package relay

import (
	"container/heap"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/probes"
)

// Call is the way of one call through a relay.
type Call struct {
	relay *Relay
	site  *net.UDPConn   // faces the site
	hub   netip.AddrPort // the hub's media
	media map[uint8]probes.Media
	begun time.Time
	alarm *alarm
	watch *time.Timer
	seen  atomic.Int64 // when a packet came last, since begun
	done  chan struct{}
	wg    sync.WaitGroup

	location string // of the hub's session; guarded by the relay's lock

	mu     sync.Mutex // guards the fields below
	lanes  [2]*lane   // up, down
	peers  map[netip.AddrPort]*peer
	queue  parcels
	serial uint64
	late   struct {
		packets  int
		sum, max time.Duration
	}
	ended bool
}

// peer is an address that the site speaks from, with the socket that speaks for it to the hub, as a NAT would have it.
type peer struct {
	addr netip.AddrPort
	hub  *net.UDPConn
}

// lane is one direction of a call.
type lane struct {
	ledger
	shapers  []*shaper // in the order of the way
	way      Way       // its script, and whether packets may overtake
	last     time.Time // when the packet before is due: nothing overtakes it
	underway int
	total    *totals
}

// parcel is a packet on its way.
type parcel struct {
	lane   *lane
	track  *track
	peer   *peer
	data   []byte
	due    time.Time
	serial uint64 // of those due at the same time the lower goes first
	behind int    // packets that it still has to let pass
	copies int
	log    int // in the ledger, or -1
	index  int // in the heap
}

// parcels is a heap of those due first.
type parcels []*parcel

func (q parcels) Len() int { return len(q) }
func (q parcels) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].serial < q[j].serial
}
func (q parcels) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *parcels) Push(x any) {
	p := x.(*parcel)
	p.index = len(*q)
	*q = append(*q, p)
}
func (q *parcels) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return p
}

// Addr is where the site sends its media to.
func (c *Call) Addr() netip.AddrPort { return c.site.LocalAddr().(*net.UDPAddr).AddrPort() }

// Books returns what was done so far.
func (c *Call) Books() Books {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b Books
	for _, l := range c.lanes {
		for _, t := range l.order {
			s := t.Stream
			fates := make(map[Fate]int, len(s.Fates))
			for k, v := range s.Fates {
				fates[k] = v
			}
			s.Fates = fates
			b.Streams = append(b.Streams, s)
		}
		b.Packets = append(b.Packets, l.packets...)
		b.Unlogged += l.unlogged
	}
	b.Lateness = Lateness{Packets: c.late.packets, Max: c.late.max}
	if c.late.packets > 0 {
		b.Lateness.Mean = c.late.sum / time.Duration(c.late.packets)
	}
	return b
}

// rescript takes the scripts of a line. The relay's lock is held.
func (c *Call) rescript(l Line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lanes[0].way, c.lanes[1].way = l.Up, l.Down
}

// End ends the call. What is under way is not delivered any more.
func (c *Call) End() {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		<-c.done
		return
	}
	c.ended = true
	peers := c.peers
	c.mu.Unlock()
	c.watch.Stop()
	c.site.Close()
	for _, p := range peers {
		p.hub.Close()
	}
	c.alarm.close()
	c.wg.Wait()
	books := c.Books()
	r := c.relay
	r.mu.Lock()
	delete(r.calls, c)
	if r.at[c.location] == c {
		delete(r.at, c.location)
	}
	r.ended = append(r.ended, books)
	if len(r.ended) > keepBooks {
		r.ended = r.ended[1:]
	}
	r.mu.Unlock()
	close(c.done)
}

// look ends a call that nobody uses any more, and one that never ends.
func (c *Call) look() {
	age := time.Since(c.begun)
	quiet := age - time.Duration(c.seen.Load())
	if quiet >= idleAfter || age >= longest {
		c.relay.cfg.Out.Info("call ended by the relay", "quiet", quiet.Round(time.Second), "age", age.Round(time.Second))
		c.End()
		return
	}
	c.watch.Reset(idleAfter - quiet)
}

// datagram is more than any packet of media or its signalling.
const datagram = 2048

// takeUp takes what the site sends.
func (c *Call) takeUp() {
	buf := make([]byte, datagram)
	for {
		n, from, err := c.site.ReadFromUDPAddrPort(buf)
		if err != nil {
			if c.over() {
				return
			}
			continue // an ICMP error of an earlier packet
		}
		if p := c.peer(from, buf[:n]); p != nil {
			c.take(0, p, buf[:n])
		}
	}
}

// takeDown takes what the hub sends to one of the site's addresses.
func (c *Call) takeDown(p *peer) {
	buf := make([]byte, datagram)
	for {
		n, err := p.hub.Read(buf)
		if err != nil {
			if c.over() {
				return
			}
			continue
		}
		c.take(1, p, buf[:n])
	}
}

func (c *Call) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// peer finds whom an address of the site is, and meets those that say so with STUN.
func (c *Call) peer(from netip.AddrPort, b []byte) *peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[from]
	if class, _ := classify(b); p != nil || class != STUN || len(c.peers) >= maxPeers || c.ended {
		return p
	}
	var local *net.UDPAddr
	if src := c.relay.cfg.Source; src.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(c.hub))
	if err != nil {
		c.relay.cfg.Out.Error("no socket towards the hub", "error", err)
		return nil
	}
	conn.SetReadBuffer(1 << 20)
	p = &peer{addr: from, hub: conn}
	c.peers[from] = p
	c.wg.Go(func() { c.takeDown(p) })
	return p
}

// take does to a packet what the line does, and sends it or plans when.
func (c *Call) take(i int, from *peer, b []byte) {
	now := time.Now()
	c.seen.Store(int64(now.Sub(c.begun)))
	class, head := classify(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[i]
	t, number := l.open(class, head, c.media)
	t.Packets++
	t.Bytes += len(b)
	l.total.packets.Add(1)
	l.total.bytes.Add(int64(len(b)))

	var rule *Rule
	if t.Class == RTP {
		rule = l.way.match(t.Media, t.Nth, number)
	}
	due, fate := now, Passed
	if rule != nil && rule.Do == Drop {
		fate = LostScript
	}
	for k := 0; k < len(l.shapers) && fate == Passed; k++ {
		due, fate = l.shapers[k].pass(due, len(b))
	}
	if fate == Passed && len(c.queue) >= maxQueued {
		fate = LostOverflow
	}
	p := &parcel{lane: l, track: t, peer: from, due: due, log: -1}
	if t.Class == RTP {
		entry := Packet{Direction: l.direction, Media: t.Media, Nth: t.Nth, Number: number, RTPTime: head.time, Bytes: len(b), Fate: fate, Arrived: now.Sub(c.begun)}
		if fate == Passed {
			entry.Fate = Waiting
		}
		p.log = l.write(entry)
	}
	if fate != Passed {
		t.Fates[fate]++
		return
	}
	t.Fates[Waiting]++
	if rule != nil && rule.Do == Duplicate {
		p.copies = rule.times()
	}
	if rule != nil && rule.Do == Late {
		t.Late++
		p.behind, p.due = rule.times(), due.Add(lateAtMost)
		c.push(p, b)
		t.held = append(t.held, p)
		return
	}
	if !l.way.Unordered && p.due.Before(l.last) {
		p.due = l.last
	}
	l.last = p.due
	if l.underway == 0 && !p.due.After(now) {
		p.data = b
		c.send(p)
	} else {
		c.push(p, b)
	}
	c.release(t, p.due)
}

// release lets go of the packets of a stream that have let enough others pass, behind the one that is due then.
func (c *Call) release(t *track, due time.Time) {
	kept := t.held[:0]
	for _, p := range t.held {
		if p.behind--; p.behind > 0 {
			kept = append(kept, p)
			continue
		}
		c.serial++
		p.due, p.serial = due, c.serial
		heap.Fix(&c.queue, p.index)
		c.alarm.set(c.queue[0].due)
	}
	clear(t.held[len(kept):])
	t.held = kept
}

// push plans a packet.
func (c *Call) push(p *parcel, b []byte) {
	p.data = append([]byte(nil), b...)
	c.serial++
	p.serial = c.serial
	p.lane.underway++
	heap.Push(&c.queue, p)
	if c.queue[0] == p && !c.ended {
		c.alarm.set(p.due)
	}
}

// depart sends what is due, until the call ends.
func (c *Call) depart() {
	for c.alarm.wait() {
		c.mu.Lock()
		now := time.Now()
		for len(c.queue) > 0 && !c.queue[0].due.After(now) && !c.ended {
			p := heap.Pop(&c.queue).(*parcel)
			if p.behind > 0 { // its stream has ended
				p.track.held = without(p.track.held, p)
			}
			c.send(p)
			p.lane.underway--
			now = time.Now()
		}
		if len(c.queue) > 0 && !c.ended {
			c.alarm.set(c.queue[0].due)
		}
		c.mu.Unlock()
	}
}

func without(list []*parcel, p *parcel) []*parcel {
	for i := range list {
		if list[i] == p {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// send lets a packet go, with its copies. Writing to a datagram socket of loopback does not wait.
func (c *Call) send(p *parcel) {
	now := time.Now()
	fate := Passed
	for range 1 + p.copies {
		var err error
		if p.lane == c.lanes[0] {
			_, err = p.peer.hub.Write(p.data)
		} else {
			_, err = c.site.WriteToUDPAddrPort(p.data, p.peer.addr)
		}
		if err != nil {
			fate = LostSystem
		}
	}
	t := p.track
	t.Fates[Waiting]--
	t.Fates[fate]++
	if fate == Passed {
		t.Copies += p.copies
		p.lane.total.passed.Add(1)
	}
	late := now.Sub(p.due)
	c.late.packets++
	c.late.sum += late
	c.late.max = max(c.late.max, late)
	if p.log >= 0 {
		e := &p.lane.packets[p.log]
		e.Fate, e.Due, e.Sent, e.Copies = fate, p.due.Sub(c.begun), now.Sub(c.begun), p.copies
	}
}
