package rtc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/probes"
	"communewatch/probes/webrtc/rtc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 40 * time.Second

func udp(t *testing.T, at string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp4", at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newHub starts a hub that echoes everything.
func newHub(t *testing.T, cfg rtc.HubConfig) *rtc.Hub {
	t.Helper()
	if cfg.UDP == nil {
		cfg.UDP = udp(t, "127.0.0.1:0")
	}
	h, err := rtc.NewHub(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func echoing() rtc.SessionHandler {
	return rtc.SessionHandler{
		OnPacket:  func(s *rtc.Session, p rtc.Packet) { s.Echo(p.Track, p) },
		OnMessage: func(s *rtc.Session, data []byte, _ time.Time) { s.SendMessage(data) },
	}
}

// answerer signals to a hub directly.
func answerer(h *rtc.Hub, handler rtc.SessionHandler) func(context.Context, string) (string, error) {
	return func(ctx context.Context, offer string) (string, error) {
		answer, _, err := h.Answer(ctx, offer, handler)
		return answer, err
	}
}

// inbox collects what comes back.
type inbox struct {
	mu   sync.Mutex
	got  map[int]map[uint32]int // track -> number in the payload -> times
	more chan struct{}
}

func newInbox() *inbox { return &inbox{got: map[int]map[uint32]int{}, more: make(chan struct{}, 1)} }

func (i *inbox) packet(p rtc.Packet) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.got[p.Track] == nil {
		i.got[p.Track] = map[uint32]int{}
	}
	i.got[p.Track][binary.BigEndian.Uint32(p.Payload)]++
	select {
	case i.more <- struct{}{}:
	default:
	}
}

// await waits until track has n different numbers and returns how often each came.
func (i *inbox) await(t *testing.T, track, n int) map[uint32]int {
	t.Helper()
	deadline := time.After(patience)
	for {
		i.mu.Lock()
		if len(i.got[track]) >= n {
			defer i.mu.Unlock()
			return i.got[track]
		}
		have := len(i.got[track])
		i.mu.Unlock()
		select {
		case <-i.more:
		case <-deadline:
			t.Fatalf("track %d: %d different packets came back, want %d", track, have, n)
		}
	}
}

func dial(t *testing.T, cfg rtc.DialConfig) *rtc.Call {
	t.Helper()
	if cfg.Socket == nil {
		cfg.Socket = udp(t, "127.0.0.1:0")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := rtc.Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func payload(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func TestWhatIsSentComesBackOnItsTrack(t *testing.T) {
	h := newHub(t, rtc.HubConfig{})
	in := newInbox()
	echoes := make(chan string, 10)
	c := dial(t, rtc.DialConfig{Audio: true, Videos: 2, Data: true, Signal: answerer(h, echoing()), OnPacket: in.packet,
		OnMessage: func(data []byte, _ time.Time) { echoes <- string(data) }})
	for n := range uint32(50) {
		for track := range 3 {
			if err := c.Send(track, true, n*960, payload(uint32(track)*1000+n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for track := range 3 {
		for n, times := range in.await(t, track, 50) {
			if n/1000 != uint32(track) || times != 1 {
				t.Errorf("track %d: packet %d came %d times", track, n, times)
			}
		}
	}
	select {
	case <-c.Opened():
	case <-time.After(patience):
		t.Fatal("the data channel did not open")
	}
	if err := c.SendMessage([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-echoes:
		if m != "hello" {
			t.Errorf("the message came back as %q", m)
		}
	case <-time.After(patience):
		t.Error("the message did not come back")
	}
	p := c.Phases()
	if p.Signalling <= 0 || p.ICE <= 0 || p.DTLS <= 0 || p.FirstMedia <= 0 || p.Setup < p.Signalling+p.ICE+p.DTLS+p.FirstMedia {
		t.Errorf("phases of setting up: %+v", p)
	}
	t.Logf("phases %+v", p)
	if c.Transport() != "udp" {
		t.Errorf("transport %q", c.Transport())
	}
}

func TestUDPThatDoesNotGetThroughIsReplacedByTCP(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := newHub(t, rtc.HubConfig{TCP: l})
	in := newInbox()
	deaf := udp(t, "127.0.0.1:0") // takes packets and answers none: a firewall
	t.Cleanup(func() { deaf.Close() })
	c := dial(t, rtc.DialConfig{Audio: true, Videos: 1, OnPacket: in.packet, TCPAfter: 50 * time.Millisecond,
		Signal: func(ctx context.Context, offer string) (string, error) {
			answer, err := answerer(h, echoing())(ctx, offer)
			_, hubPort, _ := net.SplitHostPort(h.Addr().String())
			_, deafPort, _ := net.SplitHostPort(deaf.LocalAddr().String())
			return strings.ReplaceAll(answer, " "+hubPort+" typ host", " "+deafPort+" typ host"), err
		},
		TCP: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			if addr.String() != l.Addr().String() {
				t.Errorf("asked to connect to %v, want %v", addr, l.Addr())
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
		}})
	for n := range uint32(50) {
		if err := c.Send(1, true, n*3000, payload(n)); err != nil {
			t.Fatal(err)
		}
	}
	in.await(t, 1, 50)
	if c.Transport() != "tcp" {
		t.Errorf("transport %q, want tcp", c.Transport())
	}
}

// doubling is a socket whose every packet is sent twice, as a faulty network does it.
type doubling struct{ net.PacketConn }

func (d doubling) WriteTo(b []byte, to net.Addr) (int, error) {
	d.PacketConn.WriteTo(b, to)
	return d.PacketConn.WriteTo(b, to)
}

func TestCopiesThatTheNetworkMadeAreHandedOn(t *testing.T) {
	h := newHub(t, rtc.HubConfig{})
	var mu sync.Mutex
	seen := map[uint32]int{}
	all := make(chan struct{})
	handler := rtc.SessionHandler{OnPacket: func(_ *rtc.Session, p rtc.Packet) {
		mu.Lock()
		defer mu.Unlock()
		seen[binary.BigEndian.Uint32(p.Payload)]++
		total := 0
		for _, n := range seen {
			total += n
		}
		if total == 40 {
			close(all)
		}
	}}
	c := dial(t, rtc.DialConfig{Socket: doubling{udp(t, "127.0.0.1:0")}, Audio: true, Signal: answerer(h, handler)})
	for n := range uint32(20) {
		if err := c.Send(0, false, n*960, payload(n)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-all:
	case <-time.After(patience):
		mu.Lock()
		defer mu.Unlock()
		t.Fatalf("the hub saw %v, want each of 20 twice", seen)
	}
}

// broken is a socket that takes nothing more once it is told so: a line that is gone.
type broken struct {
	net.PacketConn
	mu   sync.Mutex
	down error
}

func (b *broken) WriteTo(p []byte, to net.Addr) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down != nil {
		return 0, b.down
	}
	return b.PacketConn.WriteTo(p, to)
}

func TestALineThatIsGoneIsSaidBySend(t *testing.T) {
	t.Parallel() // it takes long
	h := newHub(t, rtc.HubConfig{})
	gone := errors.New("gone")
	line := &broken{PacketConn: udp(t, "127.0.0.1:0")}
	c := dial(t, rtc.DialConfig{Socket: line, Audio: true, Signal: answerer(h, echoing())})
	if err := c.Send(0, false, 0, payload(1)); err != nil {
		t.Fatal(err)
	}
	line.mu.Lock()
	line.down = gone
	line.mu.Unlock()
	if err := c.Send(0, false, 960, payload(2)); !errors.Is(err, gone) {
		t.Errorf("Send says %v, want the socket's error", err)
	}
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the call did not end")
	}
	if !errors.Is(c.Err(), gone) {
		t.Errorf("the call ended with %v, want the socket's error in it", c.Err())
	}
}

func TestAHubThatDoesNotAnswerIsATimeoutThatTellsHowFarItCame(t *testing.T) {
	h := newHub(t, rtc.HubConfig{})
	deaf := udp(t, "127.0.0.1:0")
	t.Cleanup(func() { deaf.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // so that signalling is over by then
	defer cancel()
	c, err := rtc.Dial(ctx, rtc.DialConfig{Socket: udp(t, "127.0.0.1:0"), Audio: true,
		Signal: func(ctx context.Context, offer string) (string, error) {
			answer, err := answerer(h, echoing())(ctx, offer)
			_, hubPort, _ := net.SplitHostPort(h.Addr().String())
			_, deafPort, _ := net.SplitHostPort(deaf.LocalAddr().String())
			return strings.ReplaceAll(answer, " "+hubPort+" typ host", " "+deafPort+" typ host"), err
		}})
	if probes.OutcomeOf(err) != probes.OutcomeTimeout || !strings.Contains(err.Error(), "firewall") {
		t.Errorf("err = %v", err)
	}
	if p := c.Phases(); p.Signalling == 0 || p.ICE != 0 || p.Setup != 0 {
		t.Errorf("phases %+v, want signalling alone", p)
	}
}

// An answer can't have a site send packets or make connections wherever it likes.
func TestAddressesThatCantBeTheFarEndsAreLeftOut(t *testing.T) {
	h := newHub(t, rtc.HubConfig{})
	asked := make(chan netip.AddrPort, 100)
	try := func(signalled string, lines ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		c, err := rtc.Dial(ctx, rtc.DialConfig{Socket: udp(t, "127.0.0.1:0"), Audio: true, Signalled: netip.MustParseAddr(signalled),
			Signal: func(ctx context.Context, offer string) (string, error) {
				answer, err := answerer(h, echoing())(ctx, offer)
				var b strings.Builder
				for line := range strings.Lines(answer) {
					if !strings.HasPrefix(line, "a=candidate:") {
						b.WriteString(line)
					}
				}
				for _, l := range lines {
					b.WriteString("a=candidate:1 1 " + l + "\r\n")
				}
				return b.String(), err
			},
			TCP: func(_ context.Context, at netip.AddrPort) (net.Conn, error) {
				asked <- at
				return nil, errors.New("no way")
			}})
		c.Close()
		return err
	}
	none := []string{"udp 1 127.0.0.1 9999 typ host", "udp 1 224.0.0.1 9999 typ host", "udp 1 0.0.0.0 9999 typ host", "udp 1 255.255.255.255 9999 typ host",
		"udp 1 ff02::1 9999 typ host", "udp 1 :: 9999 typ host", "udp 1 ::1 9999 typ host", "tcp 1 127.0.0.1 22 typ host tcptype passive"}
	if err := try("192.0.2.7", none...); err == nil || !strings.Contains(err.Error(), "names no address for media") {
		t.Errorf("err = %v, want that no address is left", err)
	}
	var tcp []string
	for _, a := range []string{"192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8"} {
		tcp = append(tcp, "tcp 1 "+a+" 9999 typ host tcptype passive")
	}
	if err := try("192.0.2.7", tcp...); err == nil {
		t.Error("there was nobody")
	}
	close(asked)
	var got []string
	for a := range asked {
		got = append(got, a.String())
	}
	if strings.Join(got, " ") != "192.0.2.7:9999 192.0.2.4:9999" {
		t.Errorf("connections were made to %s, want to the signalling host and one other", got)
	}
}

func TestRefusedOffers(t *testing.T) {
	h := newHub(t, rtc.HubConfig{})
	var offer string
	_, err := rtc.Dial(t.Context(), rtc.DialConfig{Socket: udp(t, "127.0.0.1:0"), Audio: true, Videos: 1, Data: true,
		Signal: func(_ context.Context, o string) (string, error) { offer = o; return "", errors.New("enough") }})
	if err == nil || err.Error() != "enough" {
		t.Fatalf("err = %v, want the error of signalling", err)
	}
	for name, bad := range map[string]string{
		"empty":           "",
		"garbage":         "v=0\r\n\x01\x02\x03",
		"truncated":       offer[:len(offer)/2],
		"huge":            offer + strings.Repeat("a=x\r\n", rtc.MaxSDP/5),
		"many media":      offer + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", 20),
		"many candidates": offer + strings.Repeat("a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n", 100),
		"no keys":         strings.ReplaceAll(offer, "a=fingerprint", "a=fingertip"),
		"no password":     strings.ReplaceAll(offer, "a=ice-pwd", "a=ice-pwt"),
		"no video codec":  strings.ReplaceAll(offer, "VP8/90000", "FOO/90000"),
		"html":            "<html><body>404</body></html>",
	} {
		if answer, _, err := h.Answer(t.Context(), bad, echoing()); !errors.Is(err, rtc.ErrSDP) {
			t.Errorf("%s: answer %.40q, err = %v, want one of the description", name, answer, err)
		}
	}
}

func TestBadAnswersAreErrorsOfTheDescription(t *testing.T) {
	for name, bad := range map[string]string{"empty": "", "html": "<html>", "no media": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"} {
		_, err := rtc.Dial(t.Context(), rtc.DialConfig{Socket: udp(t, "127.0.0.1:0"), Audio: true,
			Signal: func(context.Context, string) (string, error) { return bad, nil }})
		if !errors.Is(err, rtc.ErrSDP) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestAHandlerThatPanicsEndsItsSessionAlone(t *testing.T) {
	h := newHub(t, rtc.HubConfig{})
	ended := make(chan struct{})
	bad := rtc.SessionHandler{
		OnPacket: func(*rtc.Session, rtc.Packet) { panic("bad") },
		OnState: func(_ *rtc.Session, s rtc.State) {
			if s == rtc.Closed {
				close(ended)
			}
		},
	}
	in := newInbox()
	good := dial(t, rtc.DialConfig{Audio: true, Signal: answerer(h, echoing()), OnPacket: in.packet})
	c := dial(t, rtc.DialConfig{Audio: true, Signal: answerer(h, bad)})
	if err := c.Send(0, false, 0, payload(1)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the session did not end")
	}
	if err := good.Send(0, false, 0, payload(7)); err != nil {
		t.Fatal(err)
	}
	in.await(t, 0, 1)
}

func FuzzAnswer(f *testing.F) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	h, err := rtc.NewHub(rtc.HubConfig{UDP: c})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	s, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	_, _ = rtc.Dial(f.Context(), rtc.DialConfig{Socket: s, Audio: true, Videos: 1, Data: true,
		Signal: func(_ context.Context, o string) (string, error) { f.Add(o); return "", errors.New("enough") }})
	f.Add("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype passive\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		if _, s, err := h.Answer(t.Context(), offer, rtc.SessionHandler{}); err == nil {
			s.Close()
			select {
			case <-s.Done():
			case <-time.After(patience):
				panic("a session did not end")
			}
		}
	})
}
