// Package media says what the streams of a test call look like, and what is written into their packets.
//
// Streams are shaped like real ones, because shape is what lines suffer from: speech is one small packet every 20 ms,
// as Opus makes it; video is one burst of packets per frame, as encoders hand them out. Payloads carry no picture and
// no sound but a Stamp: whose packet it is, which one, and when it was sent. Where the far end is a reflector of ours
// it adds an Echo, so that what happened on the way there is told from what happened on the way back.
//
// Everything here is pure: no sockets, no clocks.
package media

import (
	"fmt"
	"time"

	"communewatch/probes"
	"communewatch/probes/orders"
)

// What streams are made of.
const (
	AudioInterval = 20 * time.Millisecond // one frame, one packet: what Opus does unless told otherwise
	AudioClock    = 48000                 // Hz of RTP timestamps (RFC 7587)
	VideoClock    = 90000                 // Hz of RTP timestamps (RFC 3551)

	// MaxPacket is the largest payload. With all headers it stays below the 1280 bytes that every line carries whole
	// (RFC 8200), whatever tunnel a provider puts around it.
	MaxPacket = 1200

	// Overhead is what a packet weighs on the wire beyond its payload: RTP header 12, SRTP's authentication tag 16
	// (AES-GCM, RFC 7714; the older HMAC-SHA1 has 10), UDP 8, IPv4 20 bytes.
	Overhead = 12 + 16 + 8 + 20
)

// Limits of what a profile may ask for. Below a stamp per packet nothing can be measured; above 50 Mbit/s nobody meets.
const (
	MinAudioBPS = StampSize * 8 * int(time.Second/AudioInterval) // 25600
	MaxAudioBPS = 512_000
	MinVideoBPS = 32_000 // with MaxFPS, 66 bytes to a frame: more than a stamp
	MaxVideoBPS = 50_000_000
	MaxFPS      = 60
)

// Profiles are the meetings that can be named, from the lightest to the heaviest.
func Profiles() []orders.Profile {
	return []orders.Profile{
		{Name: "audio", AudioBPS: 32_000},
		{Name: "low", AudioBPS: MinAudioBPS, VideoBPS: 96_000, FPS: 10},
		{Name: "360p", AudioBPS: 32_000, VideoBPS: 600_000, FPS: 30},
		{Name: "720p", AudioBPS: 32_000, VideoBPS: 2_000_000, FPS: 30},
		{Name: "1080p", AudioBPS: 32_000, VideoBPS: 4_000_000, FPS: 30},
	}
}

// Named returns the profile of that name.
func Named(name string) (orders.Profile, bool) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, true
		}
	}
	return orders.Profile{}, false
}

// Check says what is wrong with a profile: the first mistake, nil if there is none. Streams of a profile that does not
// pass must not be made.
func Check(p orders.Profile) error {
	switch {
	case p.AudioBPS == 0 && p.VideoBPS == 0:
		return fmt.Errorf("profile %q has neither audio nor video: give audio_bps, video_bps or both", p.Name)
	case p.AudioBPS != 0 && (p.AudioBPS < MinAudioBPS || p.AudioBPS > MaxAudioBPS):
		return fmt.Errorf("profile %q: audio of %d bit/s: want %d to %d, or 0 for none", p.Name, p.AudioBPS, MinAudioBPS, MaxAudioBPS)
	case p.VideoBPS != 0 && (p.VideoBPS < MinVideoBPS || p.VideoBPS > MaxVideoBPS):
		return fmt.Errorf("profile %q: video of %d bit/s: want %d to %d, or 0 for none", p.Name, p.VideoBPS, MinVideoBPS, MaxVideoBPS)
	case p.VideoBPS != 0 && (p.FPS < 1 || p.FPS > MaxFPS):
		return fmt.Errorf("profile %q: video of %d frames per second: want 1 to %d", p.Name, p.FPS, MaxFPS)
	}
	return nil
}

// Stream is one stream of media, as it is sent.
type Stream struct {
	Media       probes.Media
	Interval    time.Duration // from frame to frame
	FrameBytes  int           // payload of a frame, over all of its packets
	PacketBytes int           // payload of its largest packet
	ClockRate   uint32        // RTP timestamps per second
	BPS         int           // payload bits per second
}

// Streams are the streams of a profile that passed Check: audio first. Their places in the slice are their numbers in
// a Stamp.
func Streams(p orders.Profile) []Stream {
	var streams []Stream
	if p.AudioBPS > 0 {
		streams = append(streams, stream(probes.MediaAudio, p.AudioBPS, AudioInterval, AudioClock))
	}
	if p.VideoBPS > 0 && p.FPS > 0 {
		streams = append(streams, stream(probes.MediaVideo, p.VideoBPS, time.Second/time.Duration(p.FPS), VideoClock))
	}
	return streams
}

// Video is the video stream of a rate of its own, as the steps of a ramp need it.
func Video(bps, fps int) Stream {
	return stream(probes.MediaVideo, bps, time.Second/time.Duration(fps), VideoClock)
}

func stream(m probes.Media, bps int, interval time.Duration, clock uint32) Stream {
	perFrame := max(StampSize, int(int64(bps)*int64(interval)/(8*int64(time.Second))))
	s := Stream{Media: m, Interval: interval, FrameBytes: perFrame, ClockRate: clock, BPS: bps}
	n := (perFrame + MaxPacket - 1) / MaxPacket
	s.PacketBytes = (perFrame + n - 1) / n
	return s
}

// Packets is how many packets a frame has, at least one.
func (s Stream) Packets() int {
	if s.PacketBytes <= 0 {
		return 1
	}
	return max(1, (s.FrameBytes+s.PacketBytes-1)/s.PacketBytes)
}

// Size is the payload of packet i of a frame, in bytes: a frame is cut into pieces as equal as can be.
func (s Stream) Size(i int) int {
	n := s.Packets()
	size := s.FrameBytes / n
	if i < s.FrameBytes%n {
		size++
	}
	return size
}

// RTPTime is the RTP timestamp of frame number n, from 0 on, without the random offset that a stream starts at.
func (s Stream) RTPTime(n uint32) uint32 {
	// By nanoseconds of the whole, not by rounded ticks per frame: 90000/7 is no whole number.
	return uint32(uint64(n) * uint64(s.Interval) / 1000 * uint64(s.ClockRate) / 1_000_000)
}

// WireBPS is what a call of a profile takes of the line in each direction, in bits per second at the level of IP:
// for each stream its payload and, for each of its packets, Overhead bytes. What rides along (RTCP, STUN, the data
// channel) is below 1 % of it.
func WireBPS(p orders.Profile) float64 {
	var bps float64
	for _, s := range Streams(p) {
		bps += s.WireBPS()
	}
	return bps
}

// WireBPS is what the stream takes of the line, as for a profile.
func (s Stream) WireBPS() float64 {
	return float64(8*(s.FrameBytes+s.Packets()*Overhead)) / s.Interval.Seconds()
}
