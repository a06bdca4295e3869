package reflector

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/flow"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/whip"

	"communewatch/probes/webrtc/reflector/load"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// stamped is a packet of a stream of audio: packet number seq, which arrived now.
func (l *fakeLeg) stamped(seq uint32) *packet {
	b := make([]byte, 80)
	media.Stamp{Session: l.session.number, Seq: seq, Frame: seq, FramePackets: 1, Last: true, Sent: time.Duration(seq) * 20 * time.Millisecond}.Put(b)
	return &packet{media: probes.MediaAudio, seq: uint16(seq), rtpTime: seq * 960, payload: b, at: l.session.r.monotonic()}
}

// end deletes a call and reads what it was told.
func (s *stand) end(t *testing.T, location, token string, sent *whip.Sent) (e whip.Ending) {
	t.Helper()
	q := request{method: "DELETE", path: location, token: token}
	if sent != nil {
		body, _ := json.Marshal(sent)
		q.body, q.kind = string(body), "application/json"
	}
	resp := s.do(q)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Status, text(resp))
	}
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	return e
}

// Ten packets of which two are lost, one comes twice and two change places: the way up is told by the sender's
// numbers, and the way back has numbers of its own, without a gap.
func TestTheTwoWaysAreToldApart(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	for _, seq := range []uint32{0, 1, 3, 2, 2, 4, 7, 8} {
		l.session.received(l.stamped(seq))
	}
	sent := l.sent()
	if len(sent) != 7 {
		t.Fatalf("%d packets came back, want 7: the copy must not", len(sent))
	}
	for i, p := range sent {
		e, ok := media.ReadEcho(p.payload)
		if !ok || int(e.Seq) != i || int(e.Count) != i+1 || e.Received > e.Resent {
			t.Errorf("packet %d on the way back: %+v, %v", i, e, ok)
		}
		if st, ok := media.Read(p.payload); !ok || st.Session != l.session.number {
			t.Errorf("packet %d lost its stamp", i)
		}
	}
	e := s.end(t, location, shared, &whip.Sent{MediaSeconds: 0.2, Streams: []whip.SentStream{
		{Stream: 0, Media: probes.MediaAudio, Sent: 10, Frames: 10}, {Stream: 1, Media: probes.MediaVideo, Sent: 4, Frames: 2}}})
	if len(e.Flows) != 2 || len(e.Streams) != 2 {
		t.Fatalf("%+v", e)
	}
	if f := e.Flows[0]; f.Direction != probes.DirectionUp || f.Sent != 10 || f.Received != 7 || f.Lost != 3 || f.LossRuns != 2 || f.Duplicates != 1 || f.Reordered != 1 {
		t.Errorf("audio up: %+v", f)
	}
	if st := e.Streams[0]; st.Received != 7 || st.Highest != 8 || !st.Stamped || st.Unsent != 0 {
		t.Errorf("audio: %+v", st)
	}
	if f := e.Flows[1]; f.Media != probes.MediaVideo || f.Sent != 4 || f.Lost != 4 || *f.FramesLost != 2 {
		t.Errorf("a stream of which nothing came: %+v", f)
	}
	if e.Reflector.Sessions != 1 || e.Reflector.Residence == nil || e.Clock.Zero == 0 || e.Ended != endCaller {
		t.Errorf("%+v", e)
	}
	if !l.isClosed() {
		t.Error("the connection was left open")
	}
}

// What was sent after the reflector had ended a call was not lost on the line.
func TestACallEndedEarlyIsCountedToItsLastPacket(t *testing.T) {
	for how, counted := range map[string]int{endRate: 5, endLifetime: 5, endIdle: 5, endClosing: 5, endRevoked: 5, endGone: 100} {
		s := newStand(t, Limits{})
		location, l := s.call(t, shared)
		for _, seq := range []uint32{0, 1, 2, 4} {
			l.session.received(l.stamped(seq))
		}
		l.session.end(how)
		l.session.received(l.stamped(5))
		e := s.end(t, location, shared, &whip.Sent{MediaSeconds: 2, Streams: []whip.SentStream{{Stream: 0, Media: probes.MediaAudio, Sent: 100, Frames: 100}}})
		if len(e.Flows) != 1 {
			t.Fatalf("%s: %d flows", how, len(e.Flows))
		}
		if f := e.Flows[0]; e.Ended != how || f.Sent != counted || f.Lost != counted-4 {
			t.Errorf("%s: ended %s, %+v", how, e.Ended, f)
		}
	}
}

// An agent that is thrown out loses its calls, and nobody else does.
func TestCallsOfAnAgentThatIsThrownOutEnd(t *testing.T) {
	s := newStand(t, Limits{})
	_, own := s.call(t, agent)
	_, other := s.call(t, shared)
	s.End("") // nobody's
	s.End("s08707/pc")
	s.tick(s.clock.Now())
	if !own.isClosed() || own.session.how != endRevoked {
		t.Errorf("its call goes on: %q", own.session.how)
	}
	if other.isClosed() {
		t.Error("another's call was ended")
	}
}

// An agent that is thrown out while its offer arrives has no call that End could end.
func TestAnAgentThatIsThrownOutWhileItCallsGetsNoCall(t *testing.T) {
	s := newStand(t, Limits{})
	known := s.o.Authenticate
	asked := 0
	s.o.Authenticate = func(q *http.Request, token string) (Caller, error) {
		if asked++; asked > 1 {
			return known(q, "thrown-out")
		}
		return known(q, token)
	}
	if resp := s.offer(agent); resp.StatusCode != http.StatusUnauthorized || !strings.Contains(text(resp), "it was thrown out") {
		t.Errorf("it is answered %s", resp.Status)
	}
	if st := s.Status(); len(s.all()) > 0 || s.live > 0 || s.setting > 0 {
		t.Errorf("it has a call: %+v", st)
	}
}

// The frame during which a call was ended is none that the line damaged.
func TestAFrameCutByTheEndIsNotLost(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	for seq := range uint32(14) { // of frames of 4
		b := make([]byte, 80)
		media.Stamp{Stream: 1, Session: l.session.number, Seq: seq, Frame: seq / 4, FramePackets: 4, Last: seq%4 == 3, Sent: time.Duration(seq/4) * 33 * time.Millisecond}.Put(b)
		l.session.received(&packet{track: 1, media: probes.MediaVideo, seq: uint16(seq), payload: b, at: l.session.r.monotonic()})
	}
	l.session.end(endRate)
	e := s.end(t, location, shared, &whip.Sent{MediaSeconds: 9, Streams: []whip.SentStream{{Stream: 1, Media: probes.MediaVideo, Sent: 1000, Frames: 250}}})
	if f := e.Flows[0]; f.Sent != 14 || f.Lost != 0 || *f.Frames != 3 || *f.FramesLost != 0 {
		t.Errorf("%+v: %d of %d frames lost", f, *f.FramesLost, *f.Frames)
	}
}

// What could not be sent back takes no number on the way back, so it is not lost there.
func TestWhatCantBeSentBackIsNotLostOnTheWay(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	l.session.received(l.stamped(0))
	l.err = errBroken
	l.session.received(l.stamped(1))
	l.err = nil
	l.session.received(l.stamped(2))
	sent := l.sent()
	if e, _ := media.ReadEcho(sent[1].payload); len(sent) != 2 || e.Seq != 1 || e.Count != 3 {
		t.Errorf("%d came back, the last as %+v", len(sent), e)
	}
	if e := s.end(t, location, shared, nil); e.Streams[0].Unsent != 1 || e.Flows[0].Lost != 0 {
		t.Errorf("%+v", e)
	}
}

func TestForeignPacketsAreCountedAndNotSentBack(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	_, other := s.call(t, shared)
	p := other.stamped(0)
	l.session.received(p)
	damaged := l.stamped(0)
	damaged.payload[20] ^= 1
	l.session.received(damaged)
	beyond := l.stamped(flow.MaxPackets) // a number that no call comes to
	l.session.received(beyond)
	l.session.received(l.stamped(0))
	if n := len(l.sent()); n != 1 {
		t.Errorf("%d packets came back, want 1", n)
	}
	if e := s.end(t, location, shared, nil); e.Foreign != 2 || e.Streams[0].Received != 1 {
		t.Errorf("%+v", e)
	}
	if got := s.Status().Packets; got["foreign"] != 2 || got["stale"] != 1 || got["echoed"] != 1 {
		t.Errorf("%v", got)
	}
}

// A browser's media go back as they came, and are measured by RTP's numbers, also when these wrap.
func TestMediaWithoutStampsGoBackUntouched(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	start := uint32(math.MaxUint16 - 20)
	clock := uint32(math.MaxUint32 - 30_000)
	for i := range uint32(60) {
		if i == 30 || i == 31 {
			continue // lost
		}
		p := &packet{track: 1, media: probes.MediaVideo, seq: uint16(start + i), rtpTime: clock + i/2*3000, marker: i%2 == 1,
			payload: []byte(fmt.Sprintf("picture %d, longer than what a stamp of ours would take of it, and then some more", i)),
			at:      time.Second + time.Duration(i/2)*time.Second/30}
		l.session.received(p)
		if i == 10 {
			l.session.received(p)
		}
	}
	sent := l.sent()
	if len(sent) != 58 {
		t.Fatalf("%d packets came back, want 58", len(sent))
	}
	if p := sent[1]; !p.marker || p.track != 1 || p.rtpTime != clock || !strings.HasPrefix(string(p.payload), "picture 1,") {
		t.Errorf("changed on the way: %+v", p)
	}
	e := s.end(t, location, shared, nil)
	f := e.Flows[0]
	if f.Sent != 60 || f.Lost != 2 || f.LossRuns != 1 || f.Duplicates != 1 || f.Frames != nil || e.Streams[0].Stamped {
		t.Errorf("%+v %+v", f, e.Streams[0])
	}
	if f.Jitter == nil || *f.Jitter > 0.001 || *f.VariationMax > 0.001 {
		t.Errorf("an even stream, but jitter %v, variation %v", *f.Jitter, *f.VariationMax)
	}
}

func TestFreezesAreToldByTheStreamsOwnPace(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	// 5 frames per second: two lost frames are 600 ms; at 30 per second they would be no freeze.
	for i := range uint32(20) {
		if i == 8 || i == 9 {
			continue
		}
		b := make([]byte, 100)
		media.Stamp{Stream: 1, Session: l.session.number, Seq: i, Frame: i, FramePackets: 1, Last: true, Sent: time.Duration(i) * 200 * time.Millisecond}.Put(b)
		l.session.received(&packet{media: probes.MediaVideo, rtpTime: i * 18000, payload: b, at: time.Duration(i) * 200 * time.Millisecond})
	}
	if f := s.end(t, location, shared, nil).Flows[0]; *f.Freezes != 1 || math.Abs(*f.Frozen-0.6) > 0.001 {
		t.Errorf("%d freezes of %v s together, want 1 of 0.6 s", *f.Freezes, *f.Frozen)
	}
}

func TestCallsThatAreOfNoUseAreEnded(t *testing.T) {
	s := newStand(t, Limits{Lifetime: time.Minute, Idle: time.Hour})
	if got := s.flood(t, shared, 3); got[201] != 3 {
		t.Fatalf("%v", got)
	}
	s.hub.legs[0].session.connected()
	s.tick(s.clock.move(14 * time.Second))
	if s.hub.open() != 3 {
		t.Error("a call was ended before it had its time to connect")
	}
	s.tick(s.clock.move(time.Second))
	if st := s.Status(); s.hub.open() != 1 || st.Sessions != 1 || st.SettingUp != 0 {
		t.Errorf("calls that never connect: %d are left, %+v", s.hub.open(), st)
	}
	s.tick(s.clock.move(45 * time.Second))
	if s.hub.open() != 0 {
		t.Error("a call outlived its lifetime")
	}
	if n := len(s.sessions); n != 1 {
		t.Errorf("%d calls are remembered, want that of a moment ago alone", n)
	}
	s.tick(s.clock.move(linger))
	if n := len(s.sessions); n != 0 {
		t.Errorf("%d calls are remembered for ever", n)
	}

	idle := newStand(t, Limits{Idle: time.Nanosecond})
	_, l := idle.call(t, shared)
	idle.tick(idle.clock.Now())
	if !l.isClosed() {
		t.Error("a call without media was kept")
	}
}

// Whose connection breaks off may still ask what had arrived.
func TestWhatArrivedIsToldAfterTheConnectionHasGone(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	l.session.received(l.stamped(0))
	l.session.gone()
	l.session.received(l.stamped(1)) // from a queue
	s.tick(s.clock.move(linger - time.Second))
	if st := s.Status(); st.Sessions != 0 {
		t.Errorf("it still counts: %+v", st)
	}
	if e := s.end(t, location, shared, nil); e.Ended != endGone || e.Streams[0].Received != 1 {
		t.Errorf("%+v", e)
	}
}

// A call that sends more than it may is ended: if some of it were dropped, it would look like a bad line.
func TestTooMuchMediaEndTheCall(t *testing.T) {
	s := newStand(t, Limits{SessionMBPS: 1})
	_, l := s.call(t, shared)
	for i := 0; i < 100_000 && !l.isClosed(); i++ {
		p := l.stamped(uint32(i))
		p.at = time.Second + time.Duration(i)*10*time.Microsecond
		l.session.received(p)
	}
	if !l.isClosed() {
		t.Error("100,000 packets in a second went through")
	}
	// 2 Mbit at once, of packets of 136 bytes on the wire.
	if n := len(l.sent()); n < 1800 || n > 2200 {
		t.Errorf("ended after %d packets", n)
	}
}

func TestStreamsOfACallAreFew(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	for i := range 200 {
		b := make([]byte, 80)
		media.Stamp{Stream: uint8(i), Session: l.session.number, FramePackets: 1}.Put(b)
		l.session.received(&packet{media: probes.MediaVideo, payload: b, at: time.Second})
	}
	if e := s.end(t, location, shared, nil); len(e.Streams) != maxStreams || len(l.sent()) != maxStreams {
		t.Errorf("%d streams, %d packets came back", len(e.Streams), len(l.sent()))
	}
}

func TestMessagesComeBackInBounds(t *testing.T) {
	s := newStand(t, Limits{})
	_, l := s.call(t, shared)
	start := time.Now()
	l.session.message([]byte("ping"))
	l.session.message(make([]byte, maxMessage+1))
	for range 10 * messagesPerSecond {
		l.session.message([]byte("again"))
	}
	most := messagesPerSecond * (1 + time.Since(start).Seconds()) // a burst, and what the rate let pass since
	if l.messages[0] != "ping" || len(l.messages) < messagesPerSecond || float64(len(l.messages)) > most {
		t.Errorf("%d messages came back, the first is %q", len(l.messages), l.messages[0])
	}
}

func TestClosingEndsCallsOnce(t *testing.T) {
	s := newStand(t, Limits{})
	location, l := s.call(t, shared)
	var wg sync.WaitGroup
	wg.Go(func() { s.tick(s.clock.Now()) })
	for range 4 {
		wg.Go(func() { s.Close() })
		wg.Go(func() { l.session.received(l.stamped(0)) })
	}
	wg.Wait()
	if !l.isClosed() {
		t.Error("left open")
	}
	if st := s.Status(); st.Sessions != 0 || st.SettingUp != 0 {
		t.Errorf("%+v", st)
	}
	if e := s.end(t, location, shared, nil); e.Ended != endClosing {
		t.Errorf("%+v", e)
	}
}

func TestMetricsAreThoseOfTheStatus(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	r, err := prepare(Options{Tokens: []string{shared}, Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHub{}
	r.hub = h
	defer r.Close()
	s := &stand{Reflector: r, hub: h, clock: newHand(), door: r.Handler()}
	_, l := s.call(t, shared)
	l.session.received(l.stamped(0))
	l.session.received(l.stamped(0))
	s.offer("wrong")
	want := `
# HELP communewatch_reflector_packets_total Media packets received, by what became of them.
# TYPE communewatch_reflector_packets_total counter
communewatch_reflector_packets_total{became="duplicate"} 1
communewatch_reflector_packets_total{became="echoed"} 1
communewatch_reflector_packets_total{became="foreign"} 0
communewatch_reflector_packets_total{became="not_sent"} 0
communewatch_reflector_packets_total{became="stale"} 0
# HELP communewatch_reflector_refused_total Requests refused, by reason.
# TYPE communewatch_reflector_refused_total counter
communewatch_reflector_refused_total{reason="token"} 1
# HELP communewatch_reflector_sessions Calls by state.
# TYPE communewatch_reflector_sessions gauge
communewatch_reflector_sessions{state="connected"} 1
communewatch_reflector_sessions{state="setting_up"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "communewatch_reflector_packets_total", "communewatch_reflector_refused_total", "communewatch_reflector_sessions"); err != nil {
		t.Error(err)
	}
}

func TestTheMeterReadsProcessorsAndRates(t *testing.T) {
	s := newStand(t, Limits{})
	start := time.Now()
	s.meter.read(s.Reflector, start)
	s.total.downBytes.Add(1_000_000)
	for deadline := time.Now().Add(time.Minute); ; { // busy on one processor
		if used, ok := load.ProcessorTime(); !ok || used-s.meter.used > 50*time.Millisecond || time.Now().After(deadline) {
			break
		}
	}
	passed := time.Since(start)
	s.meter.read(s.Reflector, start.Add(max(passed, shortest)))
	if cpu := s.cpuRatio(); cpu <= 0 || cpu > 1 {
		t.Errorf("processor use of a busy process is %v (%d processors, %v)", cpu, runtime.GOMAXPROCS(0), passed)
	}
	if bps := float64(s.downBPS.Load()); bps <= 0 || bps > 8e6/shortest.Seconds() {
		t.Errorf("%v bit/s are sent", bps)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Media: "127.0.0.1:0"}, "no token"},
		{Options{Media: "127.0.0.1:0", Tokens: []string{"short"}}, "token 1: a token of 5 bytes"},
		{Options{Media: "localhost", Tokens: []string{shared}}, `"localhost": want address:port`},
		{Options{Media: "192.0.2.1:1", Tokens: []string{shared}}, "media: listen udp"},
	} {
		r, err := Open(c.o)
		if err == nil {
			r.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// nowhere is a leg that sends nothing.
type nowhere struct{}

func (nowhere) echo(packet) error        { return nil }
func (nowhere) sendMessage([]byte) error { return nil }
func (nowhere) close()                   {}

// A reflector that makes garbage of every packet would stop the clocks of all calls when it is collected.
func TestPacketsMakeNoGarbage(t *testing.T) {
	s := newStand(t, Limits{})
	_, l := s.call(t, shared)
	var leg leg = nowhere{}
	l.session.leg.Store(&leg)
	p := l.stamped(0)
	var seq uint32
	per := testing.AllocsPerRun(20_000, func() {
		media.Stamp{Session: l.session.number, Seq: seq, Frame: seq, FramePackets: 1, Sent: time.Duration(seq) * 20 * time.Millisecond}.Put(p.payload)
		p.at = time.Duration(seq) * 20 * time.Millisecond
		l.session.received(p)
		seq++
	})
	if per > 0 { // AllocsPerRun rounds down: what is remembered of packets is taken by the page
		t.Errorf("%v allocations for each packet", per)
	}
	if n := s.total.echoed.Load(); n < 20_000 {
		t.Errorf("only %d packets were sent back", n)
	}
}
