package reflector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/rtc"
	"communewatch/probes/webrtc/whip"
)

const patience = 40 * time.Second

// house is a whole reflector, with its door.
type house struct {
	*Reflector
	url  string
	stop context.CancelFunc // and wait
}

func newHouse(t *testing.T, limits Limits) *house {
	t.Helper()
	limits.CPU, limits.Residence = 100, time.Hour // however busy the machine is
	if limits.Connect == 0 {
		limits.Connect = patience
	}
	r, err := Open(Options{Media: "127.0.0.1:0", Tokens: []string{shared}, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	h := &house{r, server.URL, sync.OnceFunc(func() { cancel(); <-done })}
	t.Cleanup(func() { h.stop(); server.Close(); http.DefaultClient.CloseIdleConnections() })
	return h
}

// guest is one call of a site.
type guest struct {
	*rtc.Call
	t        *testing.T
	house    *house
	number   uint64
	location string

	mu       sync.Mutex                // guards the fields below
	back     map[probes.Media][]uint32 // numbers of the echoes, in order of arrival
	plain    int                       // packets without a stamp
	messages []string
	more     chan struct{}
}

func (h *house) ask(method, path, kind string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, h.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+shared)
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

func (h *house) dial(t *testing.T, socket net.PacketConn, cfg rtc.DialConfig) *guest {
	t.Helper()
	g := &guest{t: t, house: h, back: map[probes.Media][]uint32{}, more: make(chan struct{}, 1)}
	if socket == nil {
		socket = udp(t)
	}
	cfg.Socket, cfg.Audio, cfg.Videos, cfg.Data = socket, true, 1, true
	cfg.OnPacket = func(p rtc.Packet) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if e, ok := media.ReadEcho(p.Payload); ok {
			g.back[p.Media] = append(g.back[p.Media], e.Seq)
		} else {
			g.plain++
		}
		g.wake()
	}
	cfg.OnMessage = func(data []byte, _ time.Time) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.messages = append(g.messages, string(data))
		g.wake()
	}
	cfg.Signal = func(_ context.Context, offer string) (string, error) {
		resp, answer, err := h.ask("POST", EchoPath, whip.MediaTypeSDP, []byte(offer))
		if err != nil {
			return "", err
		}
		if resp.StatusCode != http.StatusCreated {
			return "", fmt.Errorf("%s %s", resp.Status, answer)
		}
		g.location = resp.Header.Get("Location")
		_, err = fmt.Sscanf(resp.Header.Get(whip.HeaderSession), "%x", &g.number)
		return string(answer), err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	if g.Call, err = rtc.Dial(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func udp(t *testing.T) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (g *guest) wake() {
	select {
	case g.more <- struct{}{}:
	default:
	}
}

// until waits for what is told under the guest's lock.
func (g *guest) until(what string, ok func() bool) {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		g.mu.Lock()
		now := ok()
		g.mu.Unlock()
		if now {
			return
		}
		select {
		case <-g.more:
		case <-deadline:
			g.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// send sends n packets of each kind, from number from on. They are few at a time, so that no socket's queue overflows.
func (g *guest) send(from, n uint32) {
	g.t.Helper()
	for i := from; i < from+n; i++ {
		for track, size := range []int{80, 1100} {
			b := make([]byte, size)
			media.Stamp{Stream: uint8(track), Session: g.number, Seq: i, Frame: i, FramePackets: 1, Last: true, Sent: time.Duration(i) * 20 * time.Millisecond}.Put(b)
			if err := g.Send(track, true, i*960, b); err != nil {
				g.t.Fatal(err)
			}
		}
		if i%16 == 15 {
			g.until("echoes", func() bool { return len(g.back[probes.MediaVideo]) > int(i-from)-8 })
		}
	}
}

func (g *guest) end(sent *whip.Sent) (e whip.Ending) {
	g.t.Helper()
	body, err := json.Marshal(sent)
	if err != nil {
		g.t.Fatal(err)
	}
	resp, answer, err := g.house.ask("DELETE", g.location, "application/json", body)
	if err != nil || resp.StatusCode != http.StatusOK {
		g.t.Fatalf("%v %s %v", resp, answer, err)
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		g.t.Fatal(err)
	}
	return e
}

func sentOf(n int) *whip.Sent {
	return &whip.Sent{MediaSeconds: float64(n) / 50, Streams: []whip.SentStream{
		{Stream: 0, Media: probes.MediaAudio, Sent: n, Frames: n}, {Stream: 1, Media: probes.MediaVideo, Sent: n, Frames: n}}}
}

func TestACallFromEndToEnd(t *testing.T) {
	h := newHouse(t, Limits{})
	g := h.dial(t, nil, rtc.DialConfig{})
	select {
	case <-g.Opened():
	case <-time.After(patience):
		t.Fatal("no data channel")
	}
	if err := g.SendMessage([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	g.send(0, 100)
	for _, m := range []probes.Media{probes.MediaAudio, probes.MediaVideo} {
		var back []uint32
		g.until("all of "+string(m), func() bool { back = g.back[m]; return len(back) == 100 })
		for i, seq := range back {
			if int(seq) != i {
				t.Fatalf("%s: echo %d is number %d", m, i, seq)
			}
		}
	}
	g.until("the message", func() bool { return len(g.messages) == 1 && g.messages[0] == "ping" })
	if st := h.Status(); st.Sessions != 1 || st.SettingUp != 0 || st.Residence == nil {
		t.Errorf("%+v", st)
	}
	if err := g.Send(0, true, 0, []byte("speech without a stamp")); err != nil {
		t.Fatal(err)
	}
	g.until("what has no stamp", func() bool { return g.plain == 1 })
	e := g.end(sentOf(100))
	for i, f := range e.Flows[:2] {
		if f.Sent != 100 || f.Received != 100 || f.Duplicates != 0 {
			t.Errorf("flow %d: %+v", i, f)
		}
	}
	if e.Foreign != 0 || e.Reflector.Residence == nil || e.Reflector.Residence.Median <= 0 || (e.Drops == nil) != (runtime.GOOS != "linux") {
		t.Errorf("%+v", e)
	}
}

// copier is a socket on a line that brings every packet of media twice, and old ones again.
type copier struct {
	net.PacketConn
	mu     sync.Mutex // guards the field below
	copies int
}

func (c *copier) WriteTo(b []byte, to net.Addr) (int, error) {
	n, err := c.PacketConn.WriteTo(b, to)
	if len(b) > 12 && b[0]>>6 == 2 && b[1]&0x7f != 72 && b[1]&0x7f != 73 {
		c.PacketConn.WriteTo(b, to)
		c.mu.Lock()
		c.copies++
		c.mu.Unlock()
	}
	return n, err
}

// Copies and rubbish on the media's port change no number of a call that is under way.
func TestForeignAndReplayedPacketsOnThePort(t *testing.T) {
	h := newHouse(t, Limits{})
	line := &copier{PacketConn: udp(t)}
	g := h.dial(t, line, rtc.DialConfig{})
	rubbish := udp(t)
	defer rubbish.Close()
	to := net.UDPAddrFromAddrPort(h.MediaAddr())
	random := rand.New(rand.NewPCG(1, 2))
	throw := func() {
		for _, first := range []byte{0, 1, 20, 22, 25, 64, 128, 144, 200, 255} { // STUN, DTLS, TURN, RTP, RTCP, nothing
			b := make([]byte, random.IntN(1400)+1)
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			b[0] = first
			if _, err := rubbish.WriteTo(b, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range uint32(10) {
		throw()
		for track, size := range []int{80, 1100} {
			b := make([]byte, size)
			media.Stamp{Stream: uint8(track), Session: g.number, Seq: i, Frame: i, FramePackets: 1, Last: true, Sent: time.Duration(i) * 20 * time.Millisecond}.Put(b)
			if err := g.Send(track, true, i*960, b); err != nil {
				t.Fatal(err)
			}
		}
		g.until("its echo", func() bool {
			return len(g.back[probes.MediaVideo]) == int(i)+1 && len(g.back[probes.MediaAudio]) == int(i)+1
		})
	}
	conn, err := net.Dial("tcp", h.MediaAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	awaitStatus(t, h, "all copies", func(st Status) bool { return st.Packets["duplicate"] == 20 })
	e := g.end(sentOf(10))
	for i, f := range e.Flows {
		if f.Sent != 10 || f.Received != 10 || f.Duplicates != 10 {
			t.Errorf("flow %d: %+v, want 10 packets and their 10 copies", i, f)
		}
	}
	if e.Foreign != 0 {
		t.Errorf("%d foreign packets", e.Foreign)
	}
}

func TestMediaGoByTCPWhereUDPDoesNot(t *testing.T) {
	h := newHouse(t, Limits{})
	g := h.dial(t, &mute{udp(t)}, rtc.DialConfig{TCPAfter: time.Millisecond, TCP: func(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at.String())
	}})
	if got := g.Transport(); got != "tcp" {
		t.Fatalf("by %q", got)
	}
	g.send(0, 20)
	g.until("all", func() bool { return len(g.back[probes.MediaAudio]) == 20 && len(g.back[probes.MediaVideo]) == 20 })
	if f := g.end(sentOf(20)).Flows; f[0].Received != 20 || f[1].Received != 20 {
		t.Errorf("%+v", f)
	}
}

// mute is a socket whose packets a firewall drops.
type mute struct{ net.PacketConn }

func (*mute) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

// A reflector that stops hangs up on its calls, and leaves nothing running.
func TestTheReflectorStopsInTheMiddleOfCalls(t *testing.T) {
	h := newHouse(t, Limits{})
	guests := []*guest{h.dial(t, nil, rtc.DialConfig{}), h.dial(t, nil, rtc.DialConfig{})}
	for _, g := range guests {
		g.send(0, 16)
	}
	h.stop()
	for _, g := range guests {
		select {
		case <-g.Done():
		case <-time.After(patience):
			t.Fatal("a call was left open")
		}
	}
	if resp, body, err := h.ask("POST", EchoPath, whip.MediaTypeSDP, []byte(goodOffer)); err != nil || resp.StatusCode != 503 {
		t.Errorf("after the end: %v %s %v, want 503", resp, body, err)
	}
}

// Callers that get an answer and never connect hold nothing for long.
func TestOffersThatAreNeverTakenUp(t *testing.T) {
	h := newHouse(t, Limits{Connect: time.Nanosecond}) // the next tick
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	hung := make(chan struct{})
	_, err := rtc.Dial(ctx, rtc.DialConfig{Socket: &mute{udp(t)}, Audio: true, Signal: func(ctx context.Context, offer string) (string, error) {
		for range 10 {
			if resp, body, err := h.ask("POST", EchoPath, whip.MediaTypeSDP, []byte(offer)); err != nil || resp.StatusCode != 201 {
				t.Errorf("%v %s %v", resp, body, err)
			}
		}
		close(hung)
		return "", context.Canceled
	}})
	if err == nil {
		t.Fatal("a call came about")
	}
	<-hung
	awaitStatus(t, h, "an end of all calls", func(st Status) bool { return st.Sessions == 0 && st.SettingUp == 0 })
}

// awaitStatus polls until the reflector's status is as wanted.
func awaitStatus(t *testing.T, h *house, what string, ok func(Status) bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st := h.Status()
		if ok(st) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s: %+v", what, st)
		}
	}
}

// Behind a NAT the answer names the address outside it, and no other.
func TestAnswersNameTheAddressOutsideANAT(t *testing.T) {
	r, err := Open(Options{Media: "127.0.0.1:0", Tokens: []string{shared}, Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.7")}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	server := httptest.NewServer(r.Handler())
	defer server.Close()
	h := &house{Reflector: r, url: server.URL}
	var answer []byte
	_, err = rtc.Dial(t.Context(), rtc.DialConfig{Socket: udp(t), Audio: true, Signal: func(_ context.Context, offer string) (string, error) {
		_, answer, _ = h.ask("POST", EchoPath, whip.MediaTypeSDP, []byte(offer))
		return "", context.Canceled
	}})
	if err == nil {
		t.Fatal("a call came about")
	}
	lines := regexp.MustCompile(`(?m)^a=candidate:.*$`).FindAllString(string(answer), -1)
	if len(lines) == 0 {
		t.Fatalf("no address in\n%s", answer)
	}
	port := fmt.Sprintf(" 198.51.100.7 %d typ host", r.MediaAddr().Port())
	for _, l := range lines {
		if !strings.Contains(l, port) {
			t.Errorf("%q, want%s", l, port)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
