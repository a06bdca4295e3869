package relay

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	audioType = 111
	videoType = 96
)

var known = map[uint8]probes.Media{audioType: probes.MediaAudio, videoType: probes.MediaVideo}

// rtp is an RTP packet as a line sees it.
func rtp(payloadType uint8, ssrc uint32, seq uint16) []byte {
	b := make([]byte, 100)
	b[0], b[1] = 0x80, payloadType
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], uint32(seq)*960)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

func seqs(list [][]byte) []uint16 {
	var out []uint16
	for _, b := range list {
		if class, h := classify(b); class == RTP {
			out = append(out, h.seq)
		}
	}
	return out
}

var stun = make([]byte, 20)

// hub is a far end that keeps what it gets and can answer.
type hub struct {
	conn *net.UDPConn
	mu   sync.Mutex
	got  [][]byte
	from map[netip.AddrPort]bool
	done chan struct{}
}

func newHub(t *testing.T, echo bool) *hub {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadBuffer(4 << 20)
	h := &hub{conn: conn, from: map[netip.AddrPort]bool{}, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			h.mu.Lock()
			h.got = append(h.got, append([]byte(nil), buf[:n]...))
			h.from[from] = true
			h.mu.Unlock()
			if echo {
				conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-h.done
	})
	return h
}

func (h *hub) addr() netip.AddrPort { return h.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// packets waits until the hub has got n datagrams, and returns them.
func (h *hub) packets(t *testing.T, n int) [][]byte {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		got := slices.Clone(h.got)
		h.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("the hub got %d of %d datagrams", len(got), n)
		}
	}
}

// settle waits until a call's books say that everything that came in has met its fate.
func settle(t *testing.T, c *Call, in int) Books {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		b := c.Books()
		packets, waiting := 0, 0
		for _, s := range b.Streams {
			packets += s.Packets
			waiting += s.Fates[Waiting]
		}
		if packets == in && waiting == 0 {
			return b
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("of %d packets %d came in, %d wait", in, packets, waiting)
		}
	}
}

func open(t *testing.T, cfg Config, l Line, to netip.AddrPort) (*Relay, *Call, *net.UDPConn) {
	t.Helper()
	cfg.Listen, cfg.Hub = netip.MustParseAddrPort("127.0.0.1:0"), "http://127.0.0.1:9"
	r, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := r.Set(l); err != nil {
		t.Fatal(err)
	}
	c, err := r.Open(to, known)
	if err != nil {
		t.Fatal(err)
	}
	site, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(c.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	site.SetReadBuffer(4 << 20)
	t.Cleanup(func() { site.Close() })
	return r, c, site
}

func send(t *testing.T, to io.Writer, packets ...[]byte) {
	t.Helper()
	for _, p := range packets {
		if _, err := to.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

// TestScriptsAreExact sends two streams whose numbers wrap, and loses, doubles and holds back what the script says.
func TestScriptsAreExact(t *testing.T) {
	h := newHub(t, false)
	_, c, site := open(t, Config{Log: 1000}, Line{Up: Way{Script: []Rule{
		{Media: probes.MediaAudio, From: 3, To: 3, Do: Drop},
		{Media: probes.MediaAudio, From: 10, To: 14, Do: Drop},
		{Media: probes.MediaVideo, From: 3, To: 3, Do: Duplicate, Count: 2},
		{Media: probes.MediaVideo, From: 5, To: 5, Do: Late, Count: 3},
	}}}, h.addr())
	send(t, site, stun)
	const n, first = 30, 65530
	for i := range uint16(n) {
		send(t, site, rtp(audioType, 7, first+i), rtp(videoType, 8, 100+i))
	}
	b := settle(t, c, 1+2*n)
	var audio, video []uint16
	for _, p := range h.packets(t, 1+2*n-6+2) {
		switch class, head := classify(p); {
		case class == RTP && head.ssrc == 7:
			audio = append(audio, head.seq-first)
		case class == RTP:
			video = append(video, head.seq-100)
		}
	}
	wantAudio := []uint16{0, 1, 2, 4, 5, 6, 7, 8, 9}
	for i := uint16(15); i < n; i++ {
		wantAudio = append(wantAudio, i)
	}
	wantVideo := []uint16{0, 1, 2, 3, 3, 3, 4, 6, 7, 8, 5}
	for i := uint16(9); i < n; i++ {
		wantVideo = append(wantVideo, i)
	}
	if !slices.Equal(audio, wantAudio) || !slices.Equal(video, wantVideo) {
		t.Errorf("the hub got\n%v\n%v\nwant\n%v\n%v", audio, video, wantAudio, wantVideo)
	}
	if runs := b.Runs(probes.DirectionUp, probes.MediaAudio, 0); !slices.Equal(runs, []int{1, 5}) {
		t.Errorf("runs of losses: %v", runs)
	}
	a, v := b.Of(probes.DirectionUp, probes.MediaAudio, 0), b.Of(probes.DirectionUp, probes.MediaVideo, 0)
	if a.Packets != n || a.Lost() != 6 || a.Fates[LostScript] != 6 || v.Lost() != 0 || v.Copies != 2 || v.Late != 1 {
		t.Errorf("books: %+v, %+v", a, v)
	}
}

// TestAHeldPacketIsNotKeptForEver: the stream ends before enough others have passed.
func TestAHeldPacketIsNotKeptForEver(t *testing.T) {
	h := newHub(t, false)
	_, c, site := open(t, Config{}, Line{Up: Way{Script: []Rule{{From: 1, To: 1, Do: Late, Count: 5}}}}, h.addr())
	send(t, site, stun, rtp(audioType, 1, 0), rtp(audioType, 1, 1), rtp(audioType, 1, 2))
	settle(t, c, 4)
	if got := seqs(h.packets(t, 4)); !slices.Equal(got, []uint16{0, 2, 1}) {
		t.Errorf("the hub got %v", got)
	}
}

// TestDelayIsKeptAndWrittenDown: nothing leaves before it is due, order stays, and the books say by how much the relay
// was late.
func TestDelayIsKeptAndWrittenDown(t *testing.T) {
	h := newHub(t, true)
	_, c, site := open(t, Config{Log: 1000, Seed: 5}, Line{Up: Way{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}, Down: Way{Delay: 5 * time.Millisecond}}, h.addr())
	send(t, site, stun)
	const n = 100
	for i := range uint16(n) {
		send(t, site, rtp(audioType, 7, i))
	}
	b := settle(t, c, 2*(1+n))
	if got := seqs(h.packets(t, 1+n)); !slices.IsSorted(got) || len(got) != n {
		t.Errorf("the hub got %d packets, in the order %v", len(got), got)
	}
	var worst time.Duration
	longer := 0
	for _, p := range b.Packets {
		want := 20 * time.Millisecond
		if p.Direction == probes.DirectionDown {
			want = 5 * time.Millisecond
		}
		if p.Sent < p.Due || p.Due < p.Arrived+want {
			t.Errorf("%+v left too early", p)
		}
		if p.Direction == probes.DirectionUp && p.Due > p.Arrived+want {
			longer++
		}
		worst = max(worst, p.Sent-p.Due)
	}
	if longer < n*9/10 {
		t.Errorf("jitter held up %d of %d packets", longer, n)
	}
	if b.Lateness.Max < worst || b.Lateness.Mean > b.Lateness.Max || len(b.Packets) != 2*n {
		t.Errorf("lateness %+v, by the log of %d packets %v", b.Lateness, len(b.Packets), worst)
	}
	t.Logf("lateness: mean %v, max %v", b.Lateness.Mean, b.Lateness.Max)
}

// TestJitterMayReorder only where it is allowed to.
func TestJitterMayReorder(t *testing.T) {
	h := newHub(t, false)
	_, c, site := open(t, Config{}, Line{Up: Way{Jitter: 50 * time.Millisecond, Unordered: true}}, h.addr())
	send(t, site, stun)
	for i := range uint16(100) {
		send(t, site, rtp(audioType, 7, i))
	}
	settle(t, c, 101)
	got := seqs(h.packets(t, 101))
	if slices.IsSorted(got) {
		t.Error("nothing overtook anything")
	}
	if slices.Sort(got); len(got) != 100 || got[0] != 0 || got[99] != 99 {
		t.Errorf("%d packets came", len(got))
	}
}

// TestRandomLossIsSeeded: the same packets meet the same luck, in both directions apart.
func TestRandomLossIsSeeded(t *testing.T) {
	var first []uint16
	for round := range 2 {
		h := newHub(t, false)
		_, c, site := open(t, Config{Seed: 9}, Line{Up: Way{Loss: 0.3, Burst: 3}, Down: Way{Loss: 1}}, h.addr())
		// What makes the address known is subject to luck as all else.
		send(t, site, stun)
		for i := range uint16(200) {
			send(t, site, rtp(audioType, 7, i))
		}
		b := settle(t, c, 201)
		passed := 0
		for _, s := range b.Streams {
			if s.Direction == probes.DirectionUp {
				passed += s.Fates[Passed]
			}
		}
		got := seqs(h.packets(t, passed))
		if round == 0 {
			first = got
		} else if !slices.Equal(got, first) {
			t.Errorf("got %v after %v", got, first)
		}
		if len(got) < 100 || len(got) > 180 {
			t.Errorf("%d of 200 passed", len(got))
		}
	}
}

// TestACutLineCarriesNothing, neither media nor signalling, and goes on afterwards.
func TestACutLineCarriesNothing(t *testing.T) {
	h := newHub(t, true)
	r, c, site := open(t, Config{}, Line{}, h.addr())
	send(t, site, stun)
	settle(t, c, 2)
	if err := r.Set(Both(Way{Cut: true})); err != nil {
		t.Fatal(err)
	}
	send(t, site, rtp(audioType, 7, 0))
	b := settle(t, c, 3)
	if b.Of(probes.DirectionUp, probes.MediaAudio, 0).Fates[LostCut] != 1 {
		t.Errorf("books: %+v", b.Streams)
	}
	if resp, err := http.Post(r.URL("/whip/echo"), "application/sdp", nil); err == nil {
		resp.Body.Close()
		t.Errorf("signalling got %s", resp.Status)
	}
	if err := r.Set(Line{}); err != nil {
		t.Fatal(err)
	}
	send(t, site, rtp(audioType, 7, 1))
	settle(t, c, 5)
	if got := seqs(h.packets(t, 2)); !slices.Equal(got, []uint16{1}) {
		t.Errorf("the hub got %v", got)
	}
}

// TestSeveralAddressesOfASite: ICE tries from each of a host's addresses, and each must get its own answers.
func TestSeveralAddressesOfASite(t *testing.T) {
	h := newHub(t, true)
	_, c, one := open(t, Config{Source: netip.MustParseAddr("127.99.0.3")}, Line{}, h.addr())
	two, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(c.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	for i, conn := range []*net.UDPConn{one, two} {
		hello := append([]byte{0, 1, 0, byte(i)}, stun...)
		send(t, conn, hello)
		buf := make([]byte, 100)
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != string(hello) {
			t.Fatalf("address %d got %x: %v", i, buf[:n], err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.from) != 2 {
		t.Errorf("the hub saw %d peers", len(h.from))
	}
	for a := range h.from {
		if a.Addr().String() != "127.99.0.3" {
			t.Errorf("the hub saw %v", a)
		}
	}
}

// TestStrangersAreNotCarried: media from an address that never spoke STUN is nobody's.
func TestStrangersAreNotCarried(t *testing.T) {
	h := newHub(t, false)
	_, c, site := open(t, Config{}, Line{}, h.addr())
	stranger, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(c.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	send(t, stranger, rtp(audioType, 66, 0))
	send(t, site, stun, rtp(audioType, 7, 0))
	b := settle(t, c, 2)
	if len(b.Streams) != 2 || b.Of(probes.DirectionUp, probes.MediaAudio, 0).SSRC != 7 {
		t.Errorf("books: %+v", b.Streams)
	}
}

// TestAccountsAreBounded: a flood of streams takes no memory.
func TestAccountsAreBounded(t *testing.T) {
	h := newHub(t, false)
	_, c, site := open(t, Config{Log: 10}, Line{}, h.addr())
	send(t, site, stun)
	for i := range uint32(200) {
		send(t, site, rtp(audioType, i, 0))
	}
	b := settle(t, c, 201)
	if len(b.Streams) > maxStreams+1 || len(b.Packets) != 10 || b.Unlogged == 0 {
		t.Errorf("%d accounts, %d logged, %d not", len(b.Streams), len(b.Packets), b.Unlogged)
	}
}

const hubAnswer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:u\r\n" +
	"a=candidate:1 1 udp 2130706431 %s %d typ host\r\na=candidate:1 2 udp 2130706431 %[1]s %[2]d typ host\r\na=candidate:2 1 tcp 1671430143 127.0.0.1 443 typ host tcptype passive\r\na=end-of-candidates\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"

// TestTheFrontStandsBetween: an offer goes through with its token, the answer comes back with the relay's address, media
// pass, and DELETE ends it all.
func TestTheFrontStandsBetween(t *testing.T) {
	h := newHub(t, true)
	var asked []string
	answer := fmt.Sprintf(hubAnswer, h.addr().Addr(), h.addr().Port())
	signalling := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Authorization"), body))
		switch {
		case r.Header.Get("Authorization") != "Bearer t":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/bad"):
			w.Header().Set("Location", "/whip/session/bad")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, "v=0\r\na=candidate:2 1 tcp 1 127.0.0.1 443 typ host tcptype passive\r\n")
		case r.Method == http.MethodPost:
			w.Header().Set("Location", "http://"+r.Host+"/whip/session/1")
			w.Header().Set("Communewatch-Session", "1f")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, answer)
		default:
			io.WriteString(w, "{}")
		}
	}))
	defer signalling.Close()
	r, err := Listen(Config{Listen: netip.MustParseAddrPort("127.0.0.1:0"), Hub: signalling.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	do := func(method, path, token, body string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, r.URL(path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(text)
	}

	if resp, _ := do(http.MethodPost, "/whip/echo", "Bearer wrong", "offer"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "7" {
		t.Errorf("refused: %v", resp)
	}
	if resp, text := do(http.MethodPost, "/whip/bad", "Bearer t", "offer"); resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, "no UDP candidate") {
		t.Errorf("an answer without an address: %s: %s", resp.Status, text)
	}
	resp, text := do(http.MethodPost, "/whip/echo", "Bearer t", "offer")
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Location") != "/whip/session/1" || resp.Header.Get("Communewatch-Session") != "1f" {
		t.Fatalf("answered: %v", resp)
	}
	a, err := readAnswer([]byte(text))
	if err != nil || a.hub == h.addr() || strings.Count(text, "a=candidate:") != 1 || !strings.Contains(text, "a=end-of-candidates") || a.media[97] != probes.MediaVideo {
		t.Fatalf("the answer is\n%s", text)
	}
	site, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a.hub))
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	send(t, site, stun, rtp(audioType, 7, 1))
	buf := make([]byte, 200)
	site.SetReadDeadline(time.Now().Add(30 * time.Second))
	for range 2 {
		if _, err := site.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	if r.Calls() != 1 {
		t.Errorf("%d calls", r.Calls())
	}
	if resp, text := do(http.MethodDelete, "/whip/session/1", "Bearer t", "sent"); resp.StatusCode != http.StatusOK || text != "{}" {
		t.Errorf("ended: %v %s", resp, text)
	}
	ended := r.Ended()
	if r.Calls() != 0 || len(ended) != 1 || ended[0].Of(probes.DirectionDown, probes.MediaAudio, 0).Fates[Passed] != 1 {
		t.Errorf("after it: %d calls, %+v", r.Calls(), ended)
	}
	want := []string{"POST /whip/echo Bearer wrong offer", "POST /whip/bad Bearer t offer", "DELETE /whip/session/bad Bearer t ", "POST /whip/echo Bearer t offer", "DELETE /whip/session/1 Bearer t sent"}
	if !slices.Equal(asked, want) {
		t.Errorf("the hub was asked\n%s", strings.Join(asked, "\n"))
	}
	if total := r.Total(probes.DirectionUp); total.Packets != 2 || total.Passed != 2 {
		t.Errorf("total %+v", total)
	}
}

// TestCallsAreBounded: a hub that answers for ever does not eat the machine's sockets.
func TestCallsAreBounded(t *testing.T) {
	h := newHub(t, false)
	r, _, _ := open(t, Config{}, Line{}, h.addr())
	for i := 1; i < maxCalls; i++ {
		if _, err := r.Open(h.addr(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Open(h.addr(), nil); err == nil {
		t.Error("one call too many")
	}
	r.Close()
	if _, err := r.Open(h.addr(), nil); err == nil {
		t.Error("a call after the end")
	}
	if n := len(r.Ended()); n != maxCalls {
		t.Errorf("%d calls ended", n)
	}
}

// TestTheTrunkIsShared: what is wrong with the hub's line is wrong at every site.
func TestTheTrunkIsShared(t *testing.T) {
	h := newHub(t, false)
	trunk := NewTrunk(1)
	if err := trunk.Set(Line{Up: Way{Cut: true}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, c, site := open(t, Config{Trunk: trunk}, Line{}, h.addr())
		send(t, site, stun)
		if b := settle(t, c, 1); b.Streams[0].Fates[LostCut] != 1 {
			t.Errorf("books: %+v", b.Streams)
		}
	}
}

// TestSenselessLinesAreRefused with what is wrong.
func TestSenselessLinesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		way  Way
		want string
	}{
		{Way{Loss: 1.5}, "a share from 0 to 1"},
		{Way{Loss: 0.9, Burst: 2}, "in bursts of 2"},
		{Way{BPS: 10}, "rate 10"},
		{Way{Delay: time.Minute}, "delay 1m0s"},
		{Way{Jitter: -1}, "jitter"},
		{Way{Spread: "odd"}, `spread "odd"`},
		{Way{Queue: 1 << 30}, "queue"},
		{Way{Script: []Rule{{From: 2, To: 1, Do: Drop}}}, "packets 2 to 1"},
		{Way{Script: []Rule{{Do: "eat"}}}, `"eat" is not drop`},
	} {
		if err := Both(tc.way).Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc.way, err)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(fmt.Appendf(nil, hubAnswer, "127.0.0.1", 5000))
	f.Add([]byte("a=candidate:1 1 UDP 1 ::1 5 typ host\nm=audio\nm=video 9 x 300 96\n"))
	f.Fuzz(func(t *testing.T, sdp []byte) {
		a, err := readAnswer(sdp)
		if err != nil {
			return
		}
		to := netip.MustParseAddrPort("127.1.2.3:4567")
		again, err := readAnswer(a.at(to))
		if err != nil || again.hub != to {
			t.Fatalf("the changed answer leads to %v: %v\n%s", again, err, a.at(to))
		}
	})
}

func FuzzClassify(f *testing.F) {
	f.Add(rtp(audioType, 1, 2))
	f.Add([]byte{0x80, 200, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		class, h := classify(b)
		l := &ledger{streams: map[streamKey]*track{}}
		tr, _ := l.open(class, h, known)
		if tr.Class != class {
			t.Fatalf("%s is on the account of %s", class, tr.Class)
		}
	})
}
