package relay

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"communewatch/probes"
)

// Class is what a datagram is.
type Class string

// The classes (RFC 7983).
const (
	RTP   Class = "rtp"
	RTCP  Class = "rtcp"
	STUN  Class = "stun"
	DTLS  Class = "dtls"
	Other Class = "other"
)

// rtpHeader is what SRTP leaves in clear.
type rtpHeader struct {
	payloadType uint8
	seq         uint16
	time        uint32
	ssrc        uint32
}

// classify tells what a datagram is; the header is an RTP packet's.
func classify(b []byte) (Class, rtpHeader) {
	switch {
	case len(b) == 0:
		return Other, rtpHeader{}
	case b[0] < 4:
		return STUN, rtpHeader{}
	case b[0] >= 20 && b[0] < 64:
		return DTLS, rtpHeader{}
	case b[0] < 128 || b[0] > 191 || len(b) < 8:
		return Other, rtpHeader{}
	case b[1] >= 192 && b[1] <= 223:
		return RTCP, rtpHeader{}
	case len(b) < 12:
		return Other, rtpHeader{}
	}
	return RTP, rtpHeader{
		payloadType: b[1] & 127, seq: binary.BigEndian.Uint16(b[2:]),
		time: binary.BigEndian.Uint32(b[4:]), ssrc: binary.BigEndian.Uint32(b[8:]),
	}
}

// Fate is what became of a packet.
type Fate string

// The fates.
const (
	Waiting      Fate = "waiting" // not sent yet, or not any more when the call ended
	Passed       Fate = "passed"
	LostScript   Fate = "script"   // a rule dropped it
	LostRandom   Fate = "random"   // bad luck
	LostQueue    Fate = "queue"    // the limit of rate had no room for it
	LostCut      Fate = "cut"      // the line was cut
	LostOverflow Fate = "overflow" // the relay itself had no room: never in a test that means anything
	LostSystem   Fate = "system"   // the system took it from the relay and did not send it: nobody listens any more
)

// Count is what became of packets.
type Count struct {
	Packets int // that came in
	Bytes   int
	Fates   map[Fate]int
	Copies  int // sent beyond the first
	Late    int // held back by a rule
}

// Lost is how many never left.
func (c Count) Lost() int { return c.Packets - c.Fates[Passed] - c.Fates[Waiting] }

// Stream is the account of one stream of a call in one direction, or of all its packets of another class than RTP.
type Stream struct {
	Direction   probes.Direction
	Class       Class
	Media       probes.Media // of RTP; "" if nobody told
	Nth         int          // of the streams of this kind, in the order in which they began
	SSRC        uint32
	PayloadType uint8
	Count
}

// Packet is one RTP packet as the relay saw it. Times are since the call began.
type Packet struct {
	Direction probes.Direction
	Media     probes.Media
	Nth       int // the stream's
	Number    int // in its stream, as rules count
	RTPTime   uint32
	Bytes     int
	Fate      Fate
	Copies    int
	Arrived   time.Duration
	Due       time.Duration // when it should leave
	Sent      time.Duration // when it did, or will not: zero
}

// Lateness is by how much the relay sent packets after they were due.
type Lateness struct {
	Packets   int
	Mean, Max time.Duration
}

// Books is what a relay did to a call.
type Books struct {
	Streams  []Stream
	Packets  []Packet // the first Config.Log of them, in the order in which they came in
	Lateness Lateness
	Unlogged int // packets that came when the log was full
}

// Of returns the account of a stream; an empty one if there was none.
func (b Books) Of(d probes.Direction, m probes.Media, nth int) Stream {
	for _, s := range b.Streams {
		if s.Class == RTP && s.Direction == d && s.Media == m && s.Nth == nth {
			return s
		}
	}
	return Stream{Direction: d, Class: RTP, Media: m, Nth: nth}
}

// Runs returns the lengths of the runs of packets of a stream that were lost on the line, in the order of their
// numbers. A number that the relay never saw was lost before it, or is still to come, and counts as such.
func (b Books) Runs(d probes.Direction, m probes.Media, nth int) []int {
	var of []Packet
	for _, p := range b.Packets {
		if p.Direction == d && p.Media == m && p.Nth == nth {
			of = append(of, p)
		}
	}
	slices.SortFunc(of, func(a, b Packet) int { return cmp.Compare(a.Number, b.Number) })
	var runs []int
	run, next := 0, 0
	for _, p := range of {
		run += max(0, p.Number-next)
		next = p.Number + 1
		if p.Fate != Passed {
			run++
			continue
		}
		if run > 0 {
			runs = append(runs, run)
		}
		run = 0
	}
	if run > 0 {
		runs = append(runs, run)
	}
	return runs
}

// maxStreams bounds the accounts of one direction of a call; packets of further streams are on the account Other.
const maxStreams = 32

// streamKey names an account.
type streamKey struct {
	class Class
	ssrc  uint32
}

// ledger is the books of a call in one direction. It is guarded by the call's lock.
type ledger struct {
	direction probes.Direction
	streams   map[streamKey]*track
	order     []*track
	packets   []Packet
	room      int // for packets
	unlogged  int
}

// track is an account with what is needed to number its packets.
type track struct {
	Stream
	begun bool
	first int64     // extended sequence number of packet 0
	last  int64     // the highest seen
	held  []*parcel // that let others pass
}

// open returns the account of a datagram, and its number if it is RTP.
func (l *ledger) open(class Class, h rtpHeader, media map[uint8]probes.Media) (*track, int) {
	key := streamKey{class: class}
	if class == RTP {
		key.ssrc = h.ssrc
	}
	t := l.streams[key]
	if t == nil && len(l.streams) >= maxStreams {
		class, key = Other, streamKey{class: Other}
		t = l.streams[key]
	}
	if t == nil {
		t = &track{Stream: Stream{Direction: l.direction, Class: class, Count: Count{Fates: map[Fate]int{}}}}
		if class == RTP {
			t.SSRC, t.PayloadType, t.Media = h.ssrc, h.payloadType, media[h.payloadType]
			for _, o := range l.order {
				if o.Class == RTP && o.Media == t.Media {
					t.Nth++
				}
			}
		}
		l.streams[key] = t
		l.order = append(l.order, t)
	}
	if class != RTP {
		return t, 0
	}
	return t, t.number(h.seq)
}

// number extends a sequence number over its wraps and counts from the stream's first. A packet from before the first
// has a number below zero.
func (t *track) number(seq uint16) int {
	if !t.begun {
		t.begun, t.first, t.last = true, int64(seq), int64(seq)
	}
	ext := t.last + int64(int16(seq-uint16(t.last)))
	t.last = max(t.last, ext)
	return int(ext - t.first)
}

// write logs an RTP packet and returns where, or -1.
func (l *ledger) write(p Packet) int {
	if len(l.packets) >= l.room {
		if l.room > 0 {
			l.unlogged++
		}
		return -1
	}
	l.packets = append(l.packets, p)
	return len(l.packets) - 1
}
