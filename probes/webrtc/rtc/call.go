package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"communewatch/probes"
	"communewatch/probes/webrtc/rtc/socket"
)

// Mode says which way media go, as the site sees it.
type Mode uint8

// The modes.
const (
	SendRecv Mode = iota
	SendOnly
	RecvOnly
)

// DialConfig says how a site calls.
type DialConfig struct {
	Socket net.PacketConn // UDP, bound as the path wants it; the call closes it
	// Local stands for the socket's address in the offer when the socket is bound to none. It should be the address
	// that the path's packets leave with.
	Local netip.Addr
	// TCP connects when UDP does not get through; nil for never.
	TCP func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	// TCPAfter is how long UDP is tried before that; zero is 1.5 s.
	TCPAfter time.Duration

	Audio  bool
	Videos int // 0 to 4
	Data   bool
	Mode   Mode

	// Signalled is where Signal's request goes. An answer from another machine can't make the site send packets to
	// itself: its loopback addresses are left out. Zero: not known, loopback addresses are taken.
	Signalled netip.Addr
	// Allowed says whether packets may be sent to an address, whoever names it; nil for all.
	Allowed func(netip.Addr) bool
	// Signal carries the offer, complete with all candidates, to the far end and returns its answer.
	Signal func(ctx context.Context, offer string) (answer string, err error)
	// OnPacket and OnMessage are called as things arrive, OnPacket from one goroutine for each track. They must not
	// call Close.
	OnPacket  func(Packet)
	OnMessage func(data []byte, at time.Time)
	Log       *slog.Logger // nil for none
}

// Call is one call of a site. Its methods are safe for concurrent use.
type Call struct {
	cfg    DialConfig
	socket *socket.Socket
	mux    ice.UDPMux
	pc     *webrtc.PeerConnection
	start  time.Time
	done   chan struct{}
	wg     sync.WaitGroup
	tracks []*outgoing
	data   *webrtc.DataChannel
	sendMu sync.Mutex // one RTP packet at a time, so that a refusal is known to be its own
	ended  sync.Once

	connected chan struct{} // closed when keys are agreed
	opened    chan struct{} // closed when the data channel is open
	once      struct{ connected, opened, closing sync.Once }

	mu        sync.Mutex // guards the fields below
	err       error
	transport string
	at        struct{ offered, answered, ice, keys, media time.Time }
}

// maxTried is how many of the far end's addresses a site sends to: an answer must not make a scanner of it.
// Connections are more than packets: of those few are made, the signalling host's own address first.
const (
	maxTried     = 16
	maxConnected = 2
)

// Dial makes a call and returns when keys are agreed. The call is returned even when that fails, closed and of no use
// but for Phases: they tell how far it came.
func Dial(ctx context.Context, cfg DialConfig) (*Call, error) {
	if cfg.TCPAfter == 0 {
		cfg.TCPAfter = 1500 * time.Millisecond
	}
	c := &Call{cfg: cfg, start: time.Now(), done: make(chan struct{}), connected: make(chan struct{}), opened: make(chan struct{})}
	c.socket = socket.New(cfg.Socket, cfg.Local)
	c.socket.Allowed = cfg.Allowed
	c.mux = webrtc.NewICEUDPMux(library{cfg.Log}, c.socket)
	if err := fenced("setting up a call", func() error { return c.dial(ctx) }); err != nil {
		c.finish(err)
		c.Close()
		return c, err
	}
	return c, nil
}

func (c *Call) dial(ctx context.Context) error {
	if err := c.prepare(); err != nil {
		return err
	}
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.note(&c.at.offered)
	answer, err := c.cfg.Signal(ctx, c.pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	c.note(&c.at.answered)
	if _, err := checkSDP(answer); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	found := slices.DeleteFunc(candidates(answer), func(k candidate) bool { return !c.mayTry(k.addr.Addr()) })
	found = found[:min(len(found), maxTried)]
	answer = withoutCandidates(answer, func(k candidate) bool {
		return !k.tcp && slices.ContainsFunc(found, func(f candidate) bool { return !f.tcp && f.addr == k.addr })
	})
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("the answer: %w: %w", ErrSDP, err)
	}
	return c.connect(ctx, found)
}

// connect waits until keys are agreed, and tries TCP when UDP takes too long.
func (c *Call) connect(ctx context.Context, found []candidate) error {
	udp := slices.ContainsFunc(found, func(k candidate) bool { return !k.tcp })
	tcp := slices.DeleteFunc(slices.Clone(found), func(k candidate) bool { return !k.tcp })
	wait := c.cfg.TCPAfter
	if !udp {
		wait = 0
	}
	fallback := time.NewTimer(wait)
	defer fallback.Stop()
	var tcpErr error
	for {
		select {
		case <-c.connected:
			return nil
		case <-fallback.C:
			if c.cfg.TCP != nil && len(tcp) > 0 && c.reached(&c.at.ice).IsZero() {
				tcpErr = c.addTunnel(ctx, tcp)
			}
		case <-c.done:
			return c.noMedia(c.Err(), tcpErr, udp, len(tcp) > 0)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return context.Cause(ctx)
			}
			return c.noMedia(context.Cause(ctx), tcpErr, udp, len(tcp) > 0)
		}
	}
}

// noMedia says why no media path was found.
func (c *Call) noMedia(err, tcpErr error, udp, tcp bool) error {
	if !c.reached(&c.at.ice).IsZero() {
		return probes.Errorf(probes.OutcomeTimeout, "a path for media was found, but keys were not agreed on it (DTLS): %w", err)
	}
	if !udp && !tcp {
		return probes.Errorf(probes.OutcomeFailed, "the answer names no address for media that can be used")
	}
	if refusal := c.socket.LastRefusal(); refusal != nil {
		return fmt.Errorf("no path for media: %w", refusal)
	}
	if tcpErr != nil {
		return probes.Errorf(probes.OutcomeTimeout, "no path for media: UDP was not answered, and TCP: %w", tcpErr)
	}
	return probes.Errorf(probes.OutcomeTimeout, "no path for media: none of the addresses in the answer was reached (ICE); a firewall may drop UDP: %w", err)
}

// mayTry says whether an address of an answer can be one host's, to be reached over the line.
func (c *Call) mayTry(a netip.Addr) bool {
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return false
	case c.cfg.Allowed != nil && !c.cfg.Allowed(a):
		return false
	case a.IsLoopback():
		return !c.cfg.Signalled.IsValid() || c.cfg.Signalled.IsLoopback()
	}
	return true
}

// addTunnel connects to the first of the candidates that takes a connection.
func (c *Call) addTunnel(ctx context.Context, tcp []candidate) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var errs []error
	tcp = slices.DeleteFunc(slices.Clone(tcp), func(k candidate) bool {
		return c.socket.Local != nil && c.socket.Local.IP.To4() != nil != k.addr.Addr().Is4()
	})
	slices.SortStableFunc(tcp, func(a, b candidate) int {
		own := func(k candidate) int {
			if k.addr.Addr() == c.cfg.Signalled.Unmap() {
				return 0
			}
			return 1
		}
		return own(a) - own(b)
	})
	for _, k := range tcp[:min(len(tcp), maxConnected)] {
		conn, err := c.cfg.TCP(ctx, k.addr)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		stands := netip.MustParseAddr("192.0.2.1") // RFC 5737
		if !k.addr.Addr().Is4() {
			stands = netip.MustParseAddr("2001:db8::1") // RFC 3849
		}
		t := socket.NewTunnel(conn, net.UDPAddrFromAddrPort(netip.AddrPortFrom(stands, k.addr.Port())))
		c.socket.Use(t, &c.wg)
		line := fmt.Sprintf("candidate:%s %s udp %s %s %d typ host", k.fields[0], k.fields[1], k.fields[3], stands, k.addr.Port())
		zero := uint16(0)
		return c.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: line, SDPMLineIndex: &zero})
	}
	return errors.Join(errs...)
}

// prepare makes the library's connection, with tracks in the order of the m-lines.
func (c *Call) prepare() error {
	api, err := engine(false, func(s *webrtc.SettingEngine) {
		s.SetICEUDPMux(c.mux)
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
		s.SetIncludeLoopbackCandidate(true)
		s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
		s.LoggerFactory = library{c.cfg.Log}
	})
	if err != nil {
		return err
	}
	if c.pc, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}); err != nil {
		return err
	}
	c.pc.OnICEConnectionStateChange(c.onICE)
	c.pc.OnConnectionStateChange(c.onState)
	c.pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { c.receive(t, r) })
	if c.cfg.Audio {
		if err := c.addTrack(opusCodec, webrtc.RTPCodecTypeAudio); err != nil {
			return err
		}
	}
	for range min(c.cfg.Videos, 4) {
		if err := c.addTrack(vp8Codec, webrtc.RTPCodecTypeVideo); err != nil {
			return err
		}
	}
	if !c.cfg.Data {
		return nil
	}
	unordered, none := false, uint16(0)
	c.data, err = c.pc.CreateDataChannel("probe", &webrtc.DataChannelInit{Ordered: &unordered, MaxRetransmits: &none})
	if err != nil {
		return err
	}
	c.data.OnOpen(func() { c.once.opened.Do(func() { close(c.opened) }) })
	c.data.OnMessage(func(m webrtc.DataChannelMessage) {
		at := time.Now()
		if c.cfg.OnMessage != nil && len(m.Data) <= maxMessage {
			c.guard("a message", func() { c.cfg.OnMessage(m.Data, at) })
		}
	})
	return nil
}

func (c *Call) addTrack(codec webrtc.RTPCodecCapability, kind webrtc.RTPCodecType) error {
	if c.cfg.Mode == RecvOnly {
		c.tracks = append(c.tracks, nil)
		_, err := c.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		return err
	}
	t, err := newOutgoing(codec, fmt.Sprint("track", len(c.tracks)))
	if err != nil {
		return err
	}
	direction := webrtc.RTPTransceiverDirectionSendrecv
	if c.cfg.Mode == SendOnly {
		direction = webrtc.RTPTransceiverDirectionSendonly
	}
	tr, err := c.pc.AddTransceiverFromTrack(t.track, webrtc.RTPTransceiverInit{Direction: direction})
	if err != nil {
		return err
	}
	c.tracks = append(c.tracks, t)
	c.wg.Go(func() { c.guard("a report", func() { t.readReports(tr.Sender(), nil) }) })
	return nil
}

// receive reads a track until the call ends.
func (c *Call) receive(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	index := slices.IndexFunc(c.pc.GetTransceivers(), func(tr *webrtc.RTPTransceiver) bool { return tr.Receiver() == r })
	if index < 0 {
		return
	}
	media := mediaOf(t.Kind())
	c.wg.Go(func() { drainReports(r) })
	c.guard("a packet", func() {
		readTrack(t, c.socket, func(p Packet) {
			p.Track, p.Media = index, media
			c.note(&c.at.media)
			if c.cfg.OnPacket != nil {
				c.cfg.OnPacket(p)
			}
		})
	})
}

// readTrack hands on the packets of a track until it ends.
func readTrack(t *webrtc.TrackRemote, at *socket.Socket, hand func(Packet)) {
	b := make([]byte, maxPacket)
	var p rtp.Packet
	for {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		if p.Unmarshal(b[:n]) != nil {
			continue
		}
		hand(Packet{Seq: p.SequenceNumber, RTPTime: p.Timestamp, Marker: p.Marker, Payload: p.Payload, At: at.Arrived(p.SSRC, p.SequenceNumber)})
	}
}

// guard fences a callback: its panic ends the call and not the process.
func (c *Call) guard(what string, f func()) {
	if err := fenced("taking "+what, func() error { f(); return nil }); err != nil {
		c.finish(err)
	}
}

func (c *Call) onICE(s webrtc.ICEConnectionState) {
	if s == webrtc.ICEConnectionStateConnected || s == webrtc.ICEConnectionStateCompleted {
		c.note(&c.at.ice)
	}
}

func (c *Call) onState(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		c.note(&c.at.ice)
		c.note(&c.at.keys)
		c.mu.Lock()
		if c.transport = "udp"; c.socket.Tunnel() != nil {
			if pair, err := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair(); err == nil && pair != nil &&
				c.socket.Tunnel().Stands.IP.String() == pair.Remote.Address {
				c.transport = "tcp"
			}
		}
		c.mu.Unlock()
		c.once.connected.Do(func() { close(c.connected) })
	case webrtc.PeerConnectionStateFailed:
		if err := c.socket.LastRefusal(); err != nil {
			c.finish(fmt.Errorf("the connection was lost: %w", err))
			return
		}
		c.finish(probes.Errorf(probes.OutcomeTimeout, "the connection was lost: nothing arrived for %v", disconnectedAfter+failedAfter))
	case webrtc.PeerConnectionStateClosed:
		c.finish(net.ErrClosed)
	}
}

func (c *Call) finish(err error) {
	c.ended.Do(func() {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		close(c.done)
	})
}

// note sets a time that was not set before.
func (c *Call) note(at *time.Time) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.IsZero() {
		*at = now
	}
}

func (c *Call) reached(at *time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *at
}

// Send sends a packet on a track, with the track's next sequence number. The error is the system's if it would not
// take the packet; the call goes on.
func (c *Call) Send(track int, marker bool, rtpTime uint32, payload []byte) error {
	if track < 0 || track >= len(c.tracks) || c.tracks[track] == nil {
		return fmt.Errorf("track %d: the call sends none such", track)
	}
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	c.socket.TakeRTPRefusal()
	if err := c.tracks[track].send(marker, rtpTime, payload); err != nil {
		return err
	}
	return c.socket.TakeRTPRefusal()
}

// SendMessage sends a message on the data channel, which is neither ordered nor repaired. Before the channel is open,
// and without one, it is an error.
func (c *Call) SendMessage(data []byte) error {
	select {
	case <-c.opened:
		return c.data.Send(data)
	default:
		return errors.New("the data channel is not open")
	}
}

// Opened is closed when messages can be sent; never without a data channel.
func (c *Call) Opened() <-chan struct{} { return c.opened }

// Phases tells how long setting up took, so far.
func (c *Call) Phases() Phases {
	c.mu.Lock()
	defer c.mu.Unlock()
	between := func(from, to time.Time) time.Duration {
		if from.IsZero() || to.IsZero() {
			return 0
		}
		return max(to.Sub(from), 1) // 0 is not reached
	}
	return Phases{
		Signalling: between(c.at.offered, c.at.answered),
		ICE:        between(c.at.answered, c.at.ice),
		DTLS:       between(c.at.ice, c.at.keys),
		FirstMedia: between(c.at.keys, c.at.media),
		Setup:      between(c.start, c.at.media),
	}
}

// Transport is what media go over, "udp" or "tcp"; "" before they do.
func (c *Call) Transport() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transport
}

// Remote is what the far end's receiver reports say of a track, all zero if it sent none.
func (c *Call) Remote(track int) Remote {
	if track < 0 || track >= len(c.tracks) || c.tracks[track] == nil {
		return Remote{}
	}
	return c.tracks[track].said()
}

// Done is closed when the call is over, by Close or because the connection was lost.
func (c *Call) Done() <-chan struct{} { return c.done }

// Err says why the call is over: net.ErrClosed after Close, nil while it is not.
func (c *Call) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the call and waits until everything it started has ended. It must not be called from a callback.
func (c *Call) Close() error {
	c.once.closing.Do(func() {
		c.finish(net.ErrClosed)
		if c.pc != nil {
			_ = c.pc.GracefulClose()
		}
		_ = c.mux.Close()
		_ = c.socket.Close()
	})
	c.wg.Wait()
	return nil
}
