package rtc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"

	"communewatch/probes"
	"communewatch/probes/webrtc/rtc/socket"
)

// State is how far a session has come.
type State uint8

// The states. Closed is final, and the only one that every session comes to.
const (
	Connected State = iota + 1
	Closed
)

// HubConfig says where a hub is.
type HubConfig struct {
	UDP net.PacketConn // the one socket of all sessions; the hub closes it
	TCP net.Listener   // for sites whose UDP does not get through; nil for none. The hub closes it
	// Addresses are those under which sites reach the hub, if not those of the socket: at most one of IPv4 and one of
	// IPv6 (1:1 NAT).
	Addresses []netip.Addr
	Log       *slog.Logger // nil for none
}

// SessionHandler is what is done with a session. Each function may be nil. They must not wait for the session's end:
// Close is safe to call from them, and returns at once.
type SessionHandler struct {
	OnPacket  func(*Session, Packet) // from one goroutine for each track
	OnMessage func(s *Session, data []byte, at time.Time)
	OnState   func(*Session, State)
}

// Hub answers calls: an ICE-lite agent with one UDP port for all sessions.
type Hub struct {
	cfg    HubConfig
	socket *socket.Socket
	udp    ice.UDPMux
	tcp    ice.TCPMux // nil for none
	api    *webrtc.API
	wg     sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	sessions map[*Session]struct{}
	closed   bool
	cert     *webrtc.Certificate
}

// ErrHubClosed is returned by Answer after Close.
var ErrHubClosed = errors.New("the hub is closed")

// The receive buffer of the one UDP socket: 4 MiB is a third of a second of 50 calls of 2 Mbit/s. The system may give
// less (net.core.rmem_max).
const readBuffer = 4 << 20

// NewHub starts a hub.
func NewHub(cfg HubConfig) (*Hub, error) {
	local, ok := cfg.UDP.LocalAddr().(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("%v is no UDP socket", cfg.UDP.LocalAddr())
	}
	var addresses []string
	for _, a := range cfg.Addresses {
		addresses = append(addresses, a.Unmap().String())
	}
	if b, ok := cfg.UDP.(interface{ SetReadBuffer(int) error }); ok {
		_ = b.SetReadBuffer(readBuffer)
	}
	h := &Hub{cfg: cfg, sessions: map[*Session]struct{}{}}
	h.socket = socket.New(cfg.UDP, netip.Addr{})
	h.udp = webrtc.NewICEUDPMux(library{cfg.Log}, h.socket)
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	if cfg.TCP != nil {
		h.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{Listener: cfg.TCP, Logger: library{cfg.Log}, ReadBufferSize: 64,
			WriteBufferSize: 1 << 20, FirstStunBindTimeout: 5 * time.Second, AliveDurationForConnFromStun: 5 * time.Second})
		networks = append(networks, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	}
	api, err := engine(true, func(s *webrtc.SettingEngine) {
		s.SetLite(true)
		s.SetICEUDPMux(h.udp)
		if h.tcp != nil {
			s.SetICETCPMux(h.tcp)
			if at, ok := cfg.TCP.Addr().(*net.TCPAddr); ok && !at.IP.IsUnspecified() {
				s.SetIPFilter(at.IP.Equal)
			}
		}
		s.SetNetworkTypes(networks)
		s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
		s.SetIncludeLoopbackCandidate(local.IP.IsLoopback() || local.IP.IsUnspecified())
		if len(addresses) > 0 {
			s.SetNAT1To1IPs(addresses, webrtc.ICECandidateTypeHost)
		}
		s.LoggerFactory = library{cfg.Log}
	})
	if err == nil {
		h.api = api
		_, err = h.certificate()
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// certificate returns the key that all sessions use; making one for each would be most of what a call costs.
func (h *Hub) certificate() (webrtc.Certificate, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cert != nil && time.Until(h.cert.Expires()) > 24*time.Hour {
		return *h.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webrtc.Certificate{}, err
	}
	if h.cert, err = webrtc.GenerateCertificate(key); err != nil {
		return webrtc.Certificate{}, err
	}
	return *h.cert, nil
}

// Session is one call that the hub answered. Its methods are safe for concurrent use.
type Session struct {
	hub     *Hub
	handler SessionHandler
	pc      *webrtc.PeerConnection
	tracks  []*echo // by m-line of media
	done    chan struct{}
	wg      sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	data      *webrtc.DataChannel
	channels  int
	closing   bool
	connected bool
}

// echo is the way back of a track.
type echo struct {
	out *outgoing

	mu     sync.Mutex // guards the fields below
	source uint32     // SSRC of what is received; 0 before it is
	asked  time.Time  // when a whole picture was last asked for
}

// Answer takes an offer and returns the answer to it, with all the hub's addresses. The caller bounds how many sessions
// there are and how long they live; one that never gets a connection closes by itself within a minute.
//
// The errors for offers that are not taken have ErrSDP in their chain.
func (h *Hub) Answer(ctx context.Context, offer string, handler SessionHandler) (answer string, s *Session, err error) {
	sections, err := checkSDP(offer)
	if err != nil {
		return "", nil, fmt.Errorf("the offer: %w", err)
	}
	cert, err := h.certificate()
	if err != nil {
		return "", nil, err
	}
	s = &Session{hub: h, handler: handler, done: make(chan struct{})}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return "", nil, ErrHubClosed
	}
	h.sessions[s] = struct{}{}
	h.wg.Add(1) // until the session is closed
	h.mu.Unlock()
	err = fenced("answering", func() (err error) {
		answer, err = s.answer(ctx, offer, sections, cert)
		return err
	})
	if err != nil {
		s.mu.Lock()
		s.handler = SessionHandler{} // which never heard of the session
		s.mu.Unlock()
		s.Close()
		return "", nil, err
	}
	return answer, s, nil
}

func (s *Session) answer(ctx context.Context, offer string, sections []section, cert webrtc.Certificate) (string, error) {
	pc, err := s.hub.api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{cert}})
	if err != nil {
		return "", err
	}
	s.pc = pc
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { s.receive(t, r) })
	pc.OnDataChannel(s.open)
	pc.OnConnectionStateChange(s.onState)
	for _, at := range sections {
		if err := s.addTrack(at); err != nil {
			return "", err
		}
	}
	// A lite agent asks nobody, so it has no use for the site's addresses; it learns them from the site's requests.
	offer = withoutCandidates(offer, func(candidate) bool { return false })
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("the offer: %w: %w", ErrSDP, err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("the offer: %w: %w", ErrSDP, err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-s.done:
		return "", ErrHubClosed
	}
	text := pc.LocalDescription().SDP
	if slices.ContainsFunc(candidates(text), func(k candidate) bool { return !k.addr.Addr().IsLoopback() }) {
		// A hub on all addresses has its loopback among them, which to anybody else is their own.
		text = withoutCandidates(text, func(k candidate) bool { return !k.addr.Addr().IsLoopback() })
	}
	return text, nil
}

// addTrack adds the way back of an m-line of media.
func (s *Session) addTrack(at section) error {
	codec := opusCodec
	switch {
	case at.media == "":
		return nil
	case at.codec == "h264":
		codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: videoClock}
	case at.codec == "vp8":
		codec = vp8Codec
	case at.media == probes.MediaVideo:
		return fmt.Errorf("the offer: %w: a video has neither VP8 nor H264", ErrSDP)
	}
	out, err := newOutgoing(codec, fmt.Sprint("track", len(s.tracks)))
	if err != nil {
		return err
	}
	tr, err := s.pc.AddTransceiverFromTrack(out.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	if err != nil {
		return err
	}
	e := &echo{out: out}
	s.tracks = append(s.tracks, e)
	s.wg.Go(func() { s.guard(func() { out.readReports(tr.Sender(), func() { s.wantPicture(e) }) }) })
	return nil
}

// wantPicture passes on that the far end's receiver needs a whole picture, at most twice a second.
func (s *Session) wantPicture(e *echo) {
	e.mu.Lock()
	now := time.Now()
	if e.source == 0 || now.Sub(e.asked) < 500*time.Millisecond {
		e.mu.Unlock()
		return
	}
	e.asked = now
	source := e.source
	e.mu.Unlock()
	_ = s.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: source}})
}

func (s *Session) receive(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	index := slices.IndexFunc(s.pc.GetTransceivers(), func(tr *webrtc.RTPTransceiver) bool { return tr.Receiver() == r })
	if index < 0 || index >= len(s.tracks) {
		return
	}
	e := s.tracks[index]
	e.mu.Lock()
	e.source = uint32(t.SSRC())
	e.mu.Unlock()
	media := mediaOf(t.Kind())
	s.wg.Go(func() { drainReports(r) })
	s.guard(func() {
		readTrack(t, s.hub.socket, func(p Packet) {
			p.Track, p.Media = index, media
			if s.handler.OnPacket != nil {
				s.handler.OnPacket(s, p)
			}
		})
	})
}

func (s *Session) open(d *webrtc.DataChannel) {
	s.mu.Lock()
	s.channels++
	if s.channels > maxChannels {
		s.mu.Unlock()
		_ = d.Close()
		return
	}
	s.mu.Unlock()
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		at := time.Now()
		if s.handler.OnMessage == nil || len(m.Data) > maxMessage {
			return
		}
		s.mu.Lock()
		s.data = d
		s.mu.Unlock()
		s.guard(func() { s.handler.OnMessage(s, m.Data, at) })
	})
}

func (s *Session) onState(state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		s.mu.Lock()
		first := !s.connected && !s.closing
		s.connected = true
		s.mu.Unlock()
		if first && s.handler.OnState != nil {
			s.guard(func() { s.handler.OnState(s, Connected) })
		}
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		s.Close()
	}
}

func (s *Session) guard(f func()) {
	if err := fenced("a session", func() error { f(); return nil }); err != nil {
		if s.hub.cfg.Log != nil {
			s.hub.cfg.Log.Error("a session panicked and was ended", "error", err)
		}
		s.Close()
	}
}

// Echo sends a packet back on the track that it came from, with the way back's own sequence numbers, which have no
// gaps. The payload may have been changed.
func (s *Session) Echo(track int, p Packet) error {
	if track < 0 || track >= len(s.tracks) {
		return fmt.Errorf("track %d: the session has none such", track)
	}
	return s.tracks[track].out.send(p.Marker, p.RTPTime, p.Payload)
}

// SendMessage sends a message on the data channel from which the last one came.
func (s *Session) SendMessage(data []byte) error {
	s.mu.Lock()
	d := s.data
	s.mu.Unlock()
	if d == nil {
		return errors.New("no message has come on a data channel")
	}
	return d.Send(data)
}

// Close ends the session and returns at once; Done tells when everything has ended.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	s.mu.Unlock()
	go func() {
		defer s.hub.wg.Done()
		if s.pc != nil {
			_ = s.pc.GracefulClose()
		}
		s.wg.Wait()
		s.hub.mu.Lock()
		delete(s.hub.sessions, s)
		s.hub.mu.Unlock()
		close(s.done)
		if s.handler.OnState != nil {
			_ = fenced("the end of a session", func() error { s.handler.OnState(s, Closed); return nil })
		}
	}()
}

// Done is closed when the session has ended and none of its callbacks runs any more, but for OnState(Closed).
func (s *Session) Done() <-chan struct{} { return s.done }

// Addr is where the hub's media port is.
func (h *Hub) Addr() net.Addr { return h.cfg.UDP.LocalAddr() }

// Close ends all sessions and the hub, and waits until they have ended.
func (h *Hub) Close() error {
	h.mu.Lock()
	h.closed = true
	for s := range h.sessions {
		s.Close()
	}
	h.mu.Unlock()
	h.wg.Wait()
	if h.tcp != nil {
		_ = h.tcp.Close()
	}
	_ = h.udp.Close()
	_ = h.socket.Close()
	return nil
}
