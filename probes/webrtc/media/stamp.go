package media

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// StampSize is how many bytes of a payload stamp and echo take, in this order, all numbers big-endian:
//
//	 0 magic "cwm1"     4 stream u8      5 flags u8 (1: last packet of its frame)   6 packets of the frame u16
//	 8 session u64     16 seq u32       20 frame u32                                24 sent i64, ns
//	32 CRC-32C of bytes 0 to 31
//	36 received i64, ns                 44 resent i64, ns
//	52 count u32       56 seq u32       60 CRC-32C of bytes 36 to 59
//
// The sums tell packets of ours from whatever else arrives, and damaged ones from whole ones. They keep nobody out:
// that is SRTP's task.
const StampSize = 64

const (
	echoAt   = 36
	lastFlag = 1
)

var magic = [4]byte{'c', 'w', 'm', '1'}

// castagnoli is CRC-32C: the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Stamp is what a sender writes at the start of each payload.
type Stamp struct {
	Stream       uint8  // place in Streams
	Last         bool   // packet of its frame
	FramePackets uint16 // how many packets the frame has, at least 1
	Session      uint64 // number of the call
	Seq          uint32 // of the packet, from 0 in each stream
	Frame        uint32 // of the frame, from 0 in each stream
	Sent         time.Duration
	// Sent is on the sender's monotonic clock; its zero is the sender's own.
}

// Put writes the stamp into the first StampSize bytes of b, without an echo. It panics if b is shorter.
func (s Stamp) Put(b []byte) {
	b = b[:StampSize]
	copy(b, magic[:])
	b[4], b[5] = s.Stream, 0
	if s.Last {
		b[5] = lastFlag
	}
	binary.BigEndian.PutUint16(b[6:], s.FramePackets)
	binary.BigEndian.PutUint64(b[8:], s.Session)
	binary.BigEndian.PutUint32(b[16:], s.Seq)
	binary.BigEndian.PutUint32(b[20:], s.Frame)
	binary.BigEndian.PutUint64(b[24:], uint64(s.Sent))
	binary.BigEndian.PutUint32(b[32:], crc32.Checksum(b[:32], castagnoli))
	clear(b[echoAt:])
}

// Read returns the stamp at the start of b, or false if there is none that is whole and makes sense.
func Read(b []byte) (Stamp, bool) {
	if len(b) < StampSize || [4]byte(b) != magic || binary.BigEndian.Uint32(b[32:]) != crc32.Checksum(b[:32], castagnoli) {
		return Stamp{}, false
	}
	s := Stamp{
		Stream:       b[4],
		Last:         b[5]&lastFlag != 0,
		FramePackets: binary.BigEndian.Uint16(b[6:]),
		Session:      binary.BigEndian.Uint64(b[8:]),
		Seq:          binary.BigEndian.Uint32(b[16:]),
		Frame:        binary.BigEndian.Uint32(b[20:]),
		Sent:         time.Duration(binary.BigEndian.Uint64(b[24:])),
	}
	return s, b[5]&^lastFlag == 0 && s.FramePackets > 0 && s.Sent >= 0
}

// Echo is what a reflector adds to a payload that it sends back.
type Echo struct {
	Received time.Duration // on the reflector's monotonic clock
	Resent   time.Duration // on the same
	Count    uint32        // different packets of the stream that it has received so far, this one included
	Seq      uint32        // of the packet on its way back, from 0 in each stream
}

// PutEcho writes the echo behind the stamp of b. It panics if b is shorter than StampSize.
func PutEcho(b []byte, e Echo) {
	b = b[echoAt:StampSize]
	binary.BigEndian.PutUint64(b, uint64(e.Received))
	binary.BigEndian.PutUint64(b[8:], uint64(e.Resent))
	binary.BigEndian.PutUint32(b[16:], e.Count)
	binary.BigEndian.PutUint32(b[20:], e.Seq)
	binary.BigEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
}

// ReadEcho returns the echo behind the stamp of b, or false if nobody added one that is whole and makes sense.
func ReadEcho(b []byte) (Echo, bool) {
	if len(b) < StampSize {
		return Echo{}, false
	}
	b = b[echoAt:StampSize]
	if binary.BigEndian.Uint32(b[24:]) != crc32.Checksum(b[:24], castagnoli) {
		return Echo{}, false
	}
	e := Echo{
		Received: time.Duration(binary.BigEndian.Uint64(b)),
		Resent:   time.Duration(binary.BigEndian.Uint64(b[8:])),
		Count:    binary.BigEndian.Uint32(b[16:]),
		Seq:      binary.BigEndian.Uint32(b[20:]),
	}
	return e, e.Received >= 0 && e.Resent >= e.Received
}
