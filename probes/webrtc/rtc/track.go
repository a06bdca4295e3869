package rtc

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"
)

// outgoing is a track that is sent, with sequence numbers of its own.
type outgoing struct {
	track *webrtc.TrackLocalStaticRTP
	first uint16 // sequence number

	mu   sync.Mutex // guards the fields below
	seq  uint16
	last Remote
}

func newOutgoing(codec webrtc.RTPCodecCapability, id string) (*outgoing, error) {
	t, err := webrtc.NewTrackLocalStaticRTP(codec, id, "communewatch")
	if err != nil {
		return nil, err
	}
	// From the lower half: if the first packets are lost around a wrap, the far end's SRTP takes up the wrong rollover
	// counter (RFC 3711 3.3.1).
	first := uint16(rand.Uint32N(1 << 15))
	return &outgoing{track: t, first: first, seq: first}, nil
}

func (o *outgoing) send(marker bool, rtpTime uint32, payload []byte) error {
	o.mu.Lock()
	seq := o.seq
	o.seq++
	o.mu.Unlock()
	return o.track.WriteRTP(&rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: marker, SequenceNumber: seq, Timestamp: rtpTime},
		Payload: payload,
	})
}

func (o *outgoing) said() Remote {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// readReports reads what the far end reports of the track until it ends; picture, if not nil, is called when it asks
// for a whole picture.
func (o *outgoing) readReports(s *webrtc.RTPSender, picture func()) {
	b := make([]byte, maxPacket)
	for {
		n, _, err := s.Read(b)
		if err != nil {
			return
		}
		packets, err := rtcp.Unmarshal(b[:n])
		if err != nil {
			continue
		}
		now := time.Now()
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.ReceiverReport:
				o.take(p.Reports, s, now)
			case *rtcp.SenderReport:
				o.take(p.Reports, s, now)
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				if picture != nil {
					picture()
				}
			}
		}
	}
}

func (o *outgoing) take(reports []rtcp.ReceptionReport, s *webrtc.RTPSender, now time.Time) {
	var ssrc uint32
	if e := s.GetParameters().Encodings; len(e) > 0 {
		ssrc = uint32(e[0].SSRC)
	}
	for _, r := range reports {
		if r.SSRC != ssrc {
			continue
		}
		said := Remote{
			Lost:     int(int32(r.TotalLost<<8) >> 8), // 24 bits, signed
			Covered:  int(int64(r.LastSequenceNumber) - int64(o.first) + 1),
			Fraction: float64(r.FractionLost) / 256,
			Jitter:   time.Duration(float64(r.Jitter) / float64(o.track.Codec().ClockRate) * float64(time.Second)),
		}
		if r.LastSenderReport != 0 {
			// RFC 3550 6.4.1: A - LSR - DLSR, in 1/65536 s. Clocks that jump make nonsense of it, which is left out.
			rtt := int32(middleNTP(now) - r.LastSenderReport - r.Delay)
			if d := time.Duration(float64(rtt) / 65536 * float64(time.Second)); d > 0 && d < time.Minute {
				said.RTT = d
			}
		}
		o.mu.Lock()
		said.Reports = o.last.Reports + 1
		o.last = said
		o.mu.Unlock()
	}
}

// middleNTP is the middle 32 bits of an NTP timestamp, the unit of which is 1/65536 s.
func middleNTP(t time.Time) uint32 {
	const toUnix = 2208988800 // seconds from 1900 to 1970
	return uint32(uint64(t.Unix()+toUnix)<<16 | uint64(t.Nanosecond())<<16/1e9)
}

// drainReports reads and forgets the sender reports of a track that is received: the library handles them as they are
// read.
func drainReports(r *webrtc.RTPReceiver) {
	b := make([]byte, maxPacket)
	for {
		if _, _, err := r.Read(b); err != nil {
			return
		}
	}
}
