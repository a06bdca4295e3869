package reflector

import (
	"context"
	"errors"
	"net"
	"time"

	"communewatch/probes/webrtc/rtc"
)

// realHub is the hub of package rtc.
type realHub struct {
	*rtc.Hub
	zero time.Time
}

func newHub(o Options, zero time.Time, udp net.PacketConn, tcp net.Listener) (hub, error) {
	h, err := rtc.NewHub(rtc.HubConfig{UDP: udp, TCP: tcp, Addresses: o.Addresses, Log: o.Log})
	if err != nil {
		return nil, err
	}
	return realHub{h, zero}, nil
}

func (h realHub) answer(ctx context.Context, offer string, s *session) (string, leg, error) {
	answer, rs, err := h.Answer(ctx, offer, rtc.SessionHandler{
		OnPacket: func(_ *rtc.Session, p rtc.Packet) {
			s.received(&packet{track: p.Track, media: p.Media, seq: p.Seq, rtpTime: p.RTPTime, marker: p.Marker, payload: p.Payload, at: p.At.Sub(h.zero)})
		},
		OnMessage: func(_ *rtc.Session, data []byte, _ time.Time) { s.message(data) },
		OnState: func(_ *rtc.Session, state rtc.State) {
			if state == rtc.Connected {
				s.connected()
			} else {
				s.gone()
			}
		},
	})
	switch {
	case errors.Is(err, rtc.ErrSDP):
		return "", nil, badOffer{err}
	case err != nil:
		return "", nil, err
	}
	return answer, realLeg{rs}, nil
}

type realLeg struct{ s *rtc.Session }

func (l realLeg) echo(p packet) error {
	return l.s.Echo(p.track, rtc.Packet{Track: p.track, Media: p.media, RTPTime: p.rtpTime, Marker: p.marker, Payload: p.payload})
}
func (l realLeg) sendMessage(data []byte) error { return l.s.SendMessage(data) }
func (l realLeg) close()                        { l.s.Close() }

// badOffer is an error that is the caller's fault.
type badOffer struct{ error }

func (b badOffer) Unwrap() error { return b.error }
