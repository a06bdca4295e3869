// Package rtc is the two ends of a conference call: a site that calls, and a hub that answers many sites on one port.
// It is the only room that knows the media library, so that another version of it, or another library, is a change of
// this room alone.
//
// # What a call is made of
//
// An offer and an answer in SDP (RFC 8866) name addresses, keys and streams. ICE (RFC 8445) then tries pairs of
// addresses with STUN requests until one works, DTLS (RFC 6347) agrees on keys over it, and media flow as SRTP
// (RFC 3711), messages as SCTP. The hub is an ICE-lite agent: it has addresses of its own and never asks.
//
// # What is different here
//
// A call measures a line, so nothing may repair what the line does. No packet is asked for again (no NACK), none is
// sent twice, no rate is adapted; of RTCP only sender and receiver reports are sent. SRTP's replay protection would
// hide packets that the network duplicated, so it is off: every copy is handed on, and who measures tells copies and
// replays by the stamps in the packets. A replayed packet is a copy of an old one; it can carry nothing new.
//
// The time of arrival is when the system received a packet (see package arrival), before it waits for this process.
//
// A site has one socket, which the caller made and bound to a line; nothing is sent from any other. Where UDP does not
// get through, the same packets go through one TCP connection (RFC 4571, RFC 6544) that the caller dials. The library's
// own way of dialling can't be bound to a line, so it is turned off: towards the library the connection is one more UDP
// address, of a range that is nobody's (RFC 5737, RFC 3849).
package rtc

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v3"

	"communewatch/probes"
)

// Limits of what the other end may make either half do.
const (
	MaxSDP        = 64 << 10 // bytes
	maxMedia      = 8        // m-lines
	maxCandidates = 64       // a browser on a machine with many cards has dozens
	maxLines      = 2000
	maxMessage    = 1200 // bytes of a message on the data channel: one packet
	maxChannels   = 4    // data channels of a session
	maxPacket     = 1500
)

// When a connection on which nothing arrives is given up. Media may stall for seconds on a bad line, and that is to be
// measured, so it takes longer than it would in a real call.
const (
	disconnectedAfter = 5 * time.Second
	failedAfter       = 5 * time.Second
	keepalive         = time.Second
)

// Packet is one RTP packet that arrived.
type Packet struct {
	Track   int // 0 is the first m-line of the offer that is audio or video
	Media   probes.Media
	Seq     uint16
	RTPTime uint32
	Marker  bool
	Payload []byte    // valid until the callback returns
	At      time.Time // when the system received it; carries a monotonic reading
}

// Phases is how long each part of setting up a call took. Zero is not reached.
type Phases struct {
	Signalling time.Duration // offer handed to Signal to answer read
	ICE        time.Duration // answer read to ICE connected
	DTLS       time.Duration // ICE connected to keys agreed
	FirstMedia time.Duration // keys agreed to the first media packet received
	Setup      time.Duration // Dial to the first media packet received
}

// Remote is what the far end's receiver reports (RFC 3550 6.4.1) said of a track that was sent to it.
type Remote struct {
	Reports  int           // receiver reports seen; what follows is of the last
	Covered  int           // packets sent up to the last one that it had received
	Lost     int           // of them; duplicates received make it less, as the RFC has it
	Fraction float64       // lost since the report before
	Jitter   time.Duration // interarrival jitter
	RTT      time.Duration // zero without a sender report to go by
}

const (
	opusClock  = 48000
	videoClock = 90000
)

// engine makes the library's API for either half.
func engine(h264 bool, configure func(*webrtc.SettingEngine)) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	opus := webrtc.RTPCodecParameters{RTPCodecCapability: opusCodec, PayloadType: 111}
	if err := media.RegisterCodec(opus, webrtc.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	video := []webrtc.RTPCodecParameters{{RTPCodecCapability: vp8Codec, PayloadType: 96}}
	if h264 {
		payload := webrtc.PayloadType(102)
		for _, profile := range []string{"42001f", "42e01f", "4d001f", "64001f"} {
			for _, mode := range []int{1, 0} {
				c := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: videoClock, RTCPFeedback: pictures,
					SDPFmtpLine: fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", mode, profile)}
				video = append(video, webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: payload})
				payload++
			}
		}
	}
	for _, c := range video {
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	// Without it, streams whose SSRC the SDP does not name could not be told apart.
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.SDESMidURI}, kind); err != nil {
			return nil, err
		}
	}
	receiver, err := report.NewReceiverInterceptor(report.ReceiverInterval(time.Second))
	if err != nil {
		return nil, err
	}
	sender, err := report.NewSenderInterceptor(report.SenderInterval(time.Second))
	if err != nil {
		return nil, err
	}
	chain := &interceptor.Registry{}
	chain.Add(receiver)
	chain.Add(sender)

	s := webrtc.SettingEngine{}
	s.DisableSRTPReplayProtection(true)
	s.DisableActiveTCP(true)
	s.SetICETimeouts(disconnectedAfter, failedAfter, keepalive)
	s.SetSCTPMaxReceiveBufferSize(256 << 10)
	s.SetReceiveMTU(maxPacket)
	configure(&s)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(chain), webrtc.WithSettingEngine(s)), nil
}

// pictures are the feedback messages by which a receiver asks for a whole picture. A browser does; retransmissions
// ("nack" alone) are not offered.
var pictures = []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack", Parameter: "pli"}}

var (
	opusCodec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: opusClock, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
	vp8Codec  = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: videoClock, RTCPFeedback: pictures}
)

func mediaOf(kind webrtc.RTPCodecType) probes.Media {
	if kind == webrtc.RTPCodecTypeAudio {
		return probes.MediaAudio
	}
	return probes.MediaVideo
}

// fenced runs f and makes an error of its panic, so that one malformed peer can't end the process. The library starts
// goroutines of its own, which no fence is around: sites therefore run calls in a process apart.
func fenced(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = probes.Errorf(probes.OutcomePanic, "%s panicked: %v\n%s", what, r, debug.Stack())
		}
	}()
	return f()
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
