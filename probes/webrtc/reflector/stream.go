package reflector

import (
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/flow"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/whip"
)

// maxStreams of a call: speech, camera and screen. Each may take some megabytes before it has been seen to the end.
const maxStreams = 3

// stream is what is known of one stream on its way up. Its session guards it.
type stream struct {
	number  uint8 // the stamps', or the track's where there are none
	media   probes.Media
	flow    *flow.Flow
	count   uint32 // different packets
	next    uint32 // number for the way back
	unsent  uint32 // could not be sent back
	stamped bool
	cut     bool          // the packet with the highest number is not the last of its frame
	read    time.Duration // when its first packet was, whenever that arrived

	first, last         time.Duration // arrivals
	firstSent, lastSent time.Duration // of the packets of frames
	firstFrame, frame   uint32        // frames; frame is the highest

	// Without stamps: what 16 and 32 bits have wrapped from.
	rtp struct {
		seq   int64
		time  int64
		frame uint32
	}
}

func newStream(number uint8, m probes.Media, stamped bool) *stream {
	return &stream{number: number, media: m, stamped: stamped, flow: flow.New(flow.Config{Direction: probes.DirectionUp, Media: m})}
}

// verdict is what is to become of a packet.
type verdict uint8

const (
	fresh     verdict = iota
	duplicate         // another copy of a packet that came before
	stale             // can't be of this stream: a number or a time beyond measure
)

// take books a packet with a stamp.
func (st *stream) take(s *media.Stamp, rtpTime uint32, bytes int, at time.Duration) verdict {
	v := st.add(flow.Arrival{
		Seq: s.Seq, Sent: s.Sent, Received: at, RTPTime: rtpTime, Frame: s.Frame, FramePackets: s.FramePackets, Bytes: bytes,
	})
	if highest, _ := st.flow.Highest(); v == fresh && highest == s.Seq {
		st.cut = !s.Last
	}
	return v
}

// rtpLead is where unwrapped RTP times begin, so that the frame before the first to arrive has a time too.
const rtpLead = time.Hour

// takeRTP books a packet without a stamp: RTP's own numbers stand in for it, and the clock of its timestamps for that
// of its sender.
func (st *stream) takeRTP(seq uint16, rtpTime uint32, bytes int, at time.Duration) verdict {
	clock := int64(media.AudioClock)
	if st.media == probes.MediaVideo {
		clock = media.VideoClock
	}
	u := &st.rtp
	if st.count == 0 {
		u.seq, u.time = int64(seq), int64(rtpTime)
		st.firstSent = time.Duration(rtpTime) // where counting began
		st.firstFrame = uint32(seq)
	}
	number := u.seq + int64(int16(seq-uint16(u.seq)))
	ticks := u.time + int64(int32(rtpTime-uint32(u.time)))
	if ticks > u.time {
		u.frame++
	}
	u.seq, u.time = max(u.seq, number), max(u.time, ticks)
	number -= int64(st.firstFrame)
	if number < 0 || number >= flow.MaxPackets {
		return stale
	}
	// Of a frame's packets, which share a timestamp, only the first tells jitter: see flow.Arrival.
	packets := uint16(1)
	if st.media == probes.MediaVideo {
		packets = 2
	}
	since := time.Duration(ticks-int64(st.firstSent)) * time.Second / time.Duration(clock)
	return st.add(flow.Arrival{
		Seq: uint32(number), Sent: rtpLead + since, Received: at, RTPTime: rtpTime, Frame: u.frame, FramePackets: packets, Bytes: bytes,
	})
}

func (st *stream) add(a flow.Arrival) verdict {
	before := st.flow.Rejected()
	if !st.flow.Add(a) {
		if st.flow.Rejected() > before {
			return stale
		}
		return duplicate
	}
	if st.count == 0 {
		st.first = a.Received
		if st.stamped {
			st.firstSent, st.lastSent, st.firstFrame, st.frame = a.Sent, a.Sent, a.Frame, a.Frame
		}
	}
	st.last = max(st.last, a.Received)
	st.count++
	if st.stamped && a.Frame > st.frame {
		st.frame, st.lastSent = a.Frame, a.Sent
	}
	return fresh
}

// report says what became of the stream. sent is what the caller says it has sent, nil if it does not: then what is
// lost at the end is not known to have been sent.
func (st *stream) report(sent *whip.SentStream, length time.Duration) (report.Flow, whip.Stream) {
	highest, _ := st.flow.Highest()
	packets, frames := int(highest)+1, int(st.frame)+1
	if st.cut {
		frames-- // nobody says that the rest of it was sent
	}
	if st.count == 0 {
		packets, frames = 0, 0
	}
	if sent != nil {
		packets, frames = sent.Sent, sent.Frames
	}
	if length <= 0 {
		length = st.last - st.first
	}
	if n := st.frame - st.firstFrame; st.stamped && n > 0 && st.lastSent > st.firstSent {
		st.flow.SetFrameInterval((st.lastSent - st.firstSent) / time.Duration(n))
	}
	f := st.flow.Report(packets, frames, length)
	if !st.stamped {
		// Where a frame ends can't be told once packets of it are missing.
		f.Frames, f.FramesLost, f.FrameLossRatio, f.Freezes, f.Frozen = nil, nil, nil, nil, nil
	}
	return f, whip.Stream{Stream: st.number, Media: st.media, Received: st.count, Highest: highest, Unsent: st.unsent, Stamped: st.stamped}
}
