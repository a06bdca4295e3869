package flow_test

import (
	"fmt"
	"math"
	oldrand "math/rand"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/quick"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/flow"
	"communewatch/probes/webrtc/report"
)

const ms = time.Millisecond

func seeded() *oldrand.Rand { return oldrand.New(oldrand.NewSource(1)) }

// line is a stream on its way: what happens to each packet is for a test to say.
type line struct {
	dir     probes.Direction
	media   probes.Media
	frames  int
	packets int // of a frame
	every   time.Duration
	playout time.Duration

	drop  func(seq int) bool
	delay func(seq int) time.Duration // beyond the line's own
	twice func(seq int) bool
	drift float64 // of the receiver's clock
}

func (l line) sent() int { return l.frames * l.packets }

// arrivals are the packets in the order they arrive. Both clocks start wherever they like.
func (l line) arrivals() []flow.Arrival {
	rate := 48000.0
	if l.media == probes.MediaVideo {
		rate = 90000
	}
	var all []flow.Arrival
	for seq := range l.sent() {
		frame := seq / l.packets
		sent := time.Duration(frame) * l.every
		a := flow.Arrival{Seq: uint32(seq), Sent: 400*time.Hour + sent, RTPTime: uint32(int64(math.Round(sent.Seconds()*rate)) + 0xffff0000),
			Frame: uint32(frame), FramePackets: uint16(l.packets), Bytes: 100}
		at := sent
		if l.delay != nil {
			at += l.delay(seq)
		}
		a.Received = time.Hour + at + time.Duration(l.drift*float64(at))
		if l.drop != nil && l.drop(seq) {
			continue
		}
		all = append(all, a)
		if l.twice != nil && l.twice(seq) {
			a.Received += 3 * ms
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b flow.Arrival) int { return int(a.Received - b.Received) })
	return all
}

func (l line) flow() *flow.Flow {
	f := flow.New(flow.Config{Direction: l.dir, Media: l.media, FrameInterval: l.every, Playout: l.playout})
	for _, a := range l.arrivals() {
		f.Add(a)
	}
	return f
}

func (l line) report() report.Flow {
	return l.flow().Report(l.sent(), l.frames, time.Duration(l.frames)*l.every)
}

func audio(seconds int) line {
	return line{dir: probes.DirectionUp, media: probes.MediaAudio, frames: 50 * seconds, packets: 1, every: 20 * ms}
}

func video(seconds int) line {
	return line{dir: probes.DirectionUp, media: probes.MediaVideo, frames: 25 * seconds, packets: 7, every: 40 * ms}
}

func in(seqs ...int) func(int) bool { return func(seq int) bool { return slices.Contains(seqs, seq) } }

func span(from, to int) func(int) bool { return func(seq int) bool { return seq >= from && seq < to } }

func near(a, b, within float64) bool { return math.Abs(a-b) <= within }

func show(v *float64) string {
	if v == nil {
		return "absent"
	}
	return fmt.Sprint(*v)
}

func TestAPerfectLineReadsZero(t *testing.T) {
	for _, l := range []line{audio(10), video(10)} {
		for _, dir := range []probes.Direction{probes.DirectionUp, probes.DirectionDown, probes.DirectionRound} {
			l.dir = dir
			r := l.report()
			if r.Sent != l.sent() || r.Received != l.sent() || r.Lost+r.LossRuns+r.LongestLossRun+r.Discarded+r.Reordered+r.Duplicates != 0 ||
				r.LossRatio != 0 || r.DiscardRatio != 0 || r.Burstiness != nil {
				t.Errorf("%s %s: %+v", dir, l.media, r)
			}
			for name, v := range map[string]*float64{"mean IPDV": r.IPDVMean, "p95 IPDV": r.IPDVP95, "p95 variation": r.VariationP95, "largest variation": r.VariationMax} {
				if v == nil || *v != 0 {
					t.Errorf("%s %s: %s = %s, want 0", dir, l.media, name, show(v))
				}
			}
			if r.Jitter == nil || *r.Jitter > 1e-9 {
				t.Errorf("%s %s: jitter %s, want 0", dir, l.media, show(r.Jitter))
			}
			if want := 100 * 8 * float64(l.sent()) / 10; !near(r.GoodputBPS, want, 1e-6*want) {
				t.Errorf("%s %s: goodput %v, want %v", dir, l.media, r.GoodputBPS, want)
			}
			if isVideo := l.media == probes.MediaVideo; isVideo != (r.Frames != nil) {
				t.Errorf("%s %s: frames %v", dir, l.media, r.Frames)
			} else if isVideo && (*r.Frames != 250 || *r.FramesLost != 0 || *r.FrameLossRatio != 0 || *r.Freezes != 0 || *r.Frozen != 0) {
				t.Errorf("%s: frames %d, lost %d, freezes %d, frozen %v", dir, *r.Frames, *r.FramesLost, *r.Freezes, *r.Frozen)
			}
		}
	}
}

func TestListsOfDropsComeBackExactly(t *testing.T) {
	for _, c := range []struct {
		name          string
		drop          func(int) bool
		lost          int
		runs, longest int
		burstiness    float64
	}{
		{"one", in(100), 1, 1, 1, 1 * 0.998},
		{"the first", in(0), 1, 1, 1, 0.998},
		{"the last ten, which no receiver could guess", span(490, 500), 10, 1, 10, 10 * 0.98},
		{"every tenth", func(s int) bool { return s%10 == 9 }, 50, 50, 1, 0.9},
		{"two bursts and a single", func(s int) bool { return span(10, 15)(s) || span(40, 48)(s) || s == 400 }, 14, 3, 8, 14.0 / 3 * 0.972},
	} {
		l := audio(10)
		l.drop = c.drop
		r := l.report()
		if r.Lost != c.lost || r.Received != 500-c.lost || r.LossRuns != c.runs || r.LongestLossRun != c.longest || r.LossRatio != float64(c.lost)/500 {
			t.Errorf("%s: lost %d in %d runs, longest %d, ratio %v; want %d, %d, %d", c.name, r.Lost, r.LossRuns, r.LongestLossRun, r.LossRatio, c.lost, c.runs, c.longest)
		}
		if r.Burstiness == nil || !near(*r.Burstiness, c.burstiness, 1e-9) {
			t.Errorf("%s: burstiness %s, want %v", c.name, show(r.Burstiness), c.burstiness)
		}
		if *r.VariationMax != 0 || *r.IPDVMean != 0 || r.Discarded != 0 {
			t.Errorf("%s: loss alone moved the delays: %+v", c.name, r)
		}
	}
}

func TestRandomLossIsNotBursty(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, p := range []float64{0.01, 0.1, 0.5} {
		l := audio(1000)
		l.drop = func(int) bool { return rng.Float64() < p }
		if r := l.report(); !near(*r.Burstiness, 1, 0.06) {
			t.Errorf("at %v: burstiness %v, want about 1", p, *r.Burstiness)
		}
	}
}

func TestNothingArrived(t *testing.T) {
	l := video(10)
	l.drop = func(int) bool { return true }
	r := l.report()
	if r.Lost != 1750 || r.LossRatio != 1 || r.LossRuns != 1 || r.LongestLossRun != 1750 || r.Burstiness != nil || r.Jitter != nil || r.IPDVMean != nil || r.VariationP95 != nil {
		t.Errorf("%+v", r)
	}
	if *r.FramesLost != 250 || *r.FrameLossRatio != 1 || *r.Freezes != 0 {
		t.Errorf("frames lost %d, freezes %d; want all of them and no freeze: there was no picture", *r.FramesLost, *r.Freezes)
	}
	if r := flow.New(flow.Config{Media: probes.MediaVideo}).Report(0, 0, 0); r.LossRatio != 0 || *r.FrameLossRatio != 0 || r.GoodputBPS != 0 {
		t.Errorf("nothing sent: %+v", r)
	}
}

func TestWhatIsTooLateIsDiscardedNotLost(t *testing.T) {
	l := audio(10)
	l.delay = func(seq int) time.Duration {
		switch seq {
		case 0:
			return 61 * ms // before anybody knew how fast packets can be
		case 100, 101, 102:
			return 80 * ms
		case 200:
			return 60 * ms // just in time
		}
		return 0
	}
	r := l.report()
	if r.Lost != 0 || r.Discarded != 4 || r.DiscardRatio != 4.0/500 || r.Playout != 0.06 {
		t.Errorf("lost %d, discarded %d (%v), playout %v; want 0, 4, 60 ms", r.Lost, r.Discarded, r.DiscardRatio, r.Playout)
	}
	if !near(*r.VariationMax, 0.08, 1e-6) || *r.VariationP95 > 1e-4 {
		t.Errorf("variation max %v p95 %v", *r.VariationMax, *r.VariationP95)
	}
	l.playout = 80 * ms
	if r := l.report(); r.Discarded != 0 {
		t.Errorf("a buffer of 80 ms discards %d", r.Discarded)
	}
}

func TestOrderAndCopies(t *testing.T) {
	l := audio(10)
	l.delay = func(seq int) time.Duration {
		switch seq {
		case 50, 51: // overtaken by 52 and more
			return 50 * ms
		case 70: // overtaken by one
			return 25 * ms
		}
		return 0
	}
	l.twice = in(3, 4, 50)
	r := l.report()
	if r.Reordered != 3 || r.Duplicates != 3 || r.Lost != 0 || r.Received != 500 {
		t.Errorf("reordered %d, duplicates %d, lost %d, received %d; want 3, 3, 0, 500", r.Reordered, r.Duplicates, r.Lost, r.Received)
	}
}

// jitter is RFC 3550, A.8, as it is printed there, in units of the RTP clock.
func jitter(as []flow.Arrival, rate float64) float64 {
	var j, transit float64
	for i, a := range as {
		arrival := a.Received.Seconds() * rate
		now := arrival - float64(a.RTPTime) // the tests that use it do not wrap
		if i > 0 {
			d := now - transit
			if d < 0 {
				d = -d
			}
			j += 1.0 / 16 * (d - j)
		}
		transit = now
	}
	return j / rate
}

func TestJitterIsThatOfTheRFC(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	l := audio(20)
	l.delay = func(int) time.Duration { return time.Duration(rng.Float64() * float64(30*ms)) }
	as := l.arrivals()
	for i := range as {
		as[i].RTPTime -= 0xffff0000
	}
	f := flow.New(flow.Config{Direction: l.dir, Media: l.media})
	for _, a := range as {
		f.Add(a)
	}
	r := f.Report(l.sent(), l.frames, 20*time.Second)
	if want := jitter(as, 48000); !near(*r.Jitter, want, 1e-6) {
		t.Errorf("jitter %v, want %v", *r.Jitter, want)
	}
	// |difference of two uniform| over 30 ms: a third of it on average, 95 % below 30*(1-sqrt(0.05)).
	if !near(*r.IPDVMean, 0.010, 0.001) || !near(*r.IPDVP95, 0.0233, 0.001) || !near(*r.VariationP95, 0.0285, 0.001) {
		t.Errorf("mean IPDV %v, p95 %v, p95 variation %v; want 0.010, 0.0233, 0.0285", *r.IPDVMean, *r.IPDVP95, *r.VariationP95)
	}
}

func TestRTPTimeMayWrap(t *testing.T) {
	l := audio(10) // starts 65536 ticks, 1.4 s, before the wrap
	if r := l.report(); *r.Jitter > 1e-9 {
		t.Errorf("jitter %v over a wrap of RTP time, want 0", *r.Jitter)
	}
}

func TestABurstIsNotJitter(t *testing.T) {
	// A slow line spreads the packets of each frame, the same way each time: 2 ms from packet to packet.
	l := video(10)
	l.delay = func(seq int) time.Duration { return time.Duration(seq%7) * 2 * ms }
	r := l.report()
	if *r.Jitter > 1e-9 {
		t.Errorf("jitter %v, want 0: frames follow each other evenly", *r.Jitter)
	}
	if !near(*r.VariationMax, 0.012, 1e-9) || !near(*r.IPDVP95, 0.012, 1e-9) {
		t.Errorf("largest variation %v, p95 IPDV %v; want the 12 ms from the first packet of a frame to the last", *r.VariationMax, *r.IPDVP95)
	}
}

func TestTheWayUpDoesNotShowOnTheWayDown(t *testing.T) {
	// What left the reflector unevenly, because it came there so, and then took the same time for each packet.
	f := flow.New(flow.Config{Direction: probes.DirectionDown, Media: probes.MediaAudio})
	rng := rand.New(rand.NewPCG(5, 6))
	sent := time.Hour
	for i := range uint32(500) {
		sent += time.Duration(rng.IntN(40)) * ms
		f.Add(flow.Arrival{Seq: i, Sent: sent, Received: sent + 7*ms, RTPTime: 960 * i, Frame: i, FramePackets: 1, Bytes: 80})
	}
	if r := f.Report(500, 500, 10*time.Second); *r.Jitter > 1e-9 || *r.IPDVMean != 0 || *r.VariationMax != 0 || r.Discarded != 0 {
		t.Errorf("jitter %v, IPDV %v, variation %v, discarded %d; want 0", *r.Jitter, *r.IPDVMean, *r.VariationMax, r.Discarded)
	}
}

func TestDriftingClocksDiscardNothing(t *testing.T) {
	for _, drift := range []float64{100e-6, -100e-6, 40e-6} {
		l := audio(60)
		l.drift = drift
		rng := rand.New(rand.NewPCG(7, 8))
		l.delay = func(seq int) time.Duration {
			if seq%500 == 499 {
				return 59 * ms // close to the limit, all through the minute
			}
			return time.Duration(rng.ExpFloat64() * float64(ms))
		}
		r := l.report()
		if r.Discarded != 0 {
			t.Errorf("drift %v: %d discarded, want none", drift, r.Discarded)
		}
		if !near(*r.VariationP95, 0.003, 0.0005) || !near(*r.VariationMax, 0.059, 0.0003) {
			t.Errorf("drift %v: variation p95 %v max %v, want 3 ms and 59 ms", drift, *r.VariationP95, *r.VariationMax)
		}
	}
}

func TestAFillingQueueIsNotTakenForDrift(t *testing.T) {
	l := audio(15)
	l.delay = func(seq int) time.Duration { return time.Duration(seq) * ms / 5 } // 150 ms in the end
	r := l.report()
	if !near(*r.VariationMax, 0.1498, 0.0016) {
		t.Errorf("largest variation %v, want 149.8 ms but for the 1.5 ms that could be drift", *r.VariationMax)
	}
	if want := 449; r.Discarded < want-10 || r.Discarded > want+10 {
		t.Errorf("discarded %d, want about %d", r.Discarded, want)
	}
}

func TestFrames(t *testing.T) {
	frame := func(n int) int { return 7 * n }
	for _, c := range []struct {
		name          string
		drop          func(int) bool
		delay         func(int) time.Duration
		lost, freezes int
		frozen        float64
	}{
		{"one packet of one frame", in(frame(10) + 3), nil, 1, 0, 0},
		{"all packets of one frame", span(frame(10), frame(11)), nil, 1, 0, 0},
		{"a packet of each of two", in(frame(10)+6, frame(11)), nil, 2, 0, 0},
		{"three in a row: 160 ms are no freeze at 25 frames per second", span(frame(10), frame(13)), nil, 3, 0, 0},
		{"four in a row: 200 ms are", span(frame(10), frame(14)), nil, 4, 1, 0.2},
		{"a second in the middle, half a second at the end", func(s int) bool { return span(frame(100), frame(125))(s) || s >= frame(238) }, nil, 37, 2, 26*0.04 + 13*0.04},
		{"two seconds at the start: no picture yet", span(0, frame(50)), nil, 50, 0, 0},
		{"one packet too late", nil, func(s int) time.Duration { return map[int]time.Duration{frame(10) + 2: 121 * ms}[s] }, 1, 0, 0},
		{"all of it late, but not too late", nil, func(s int) time.Duration {
			return map[bool]time.Duration{true: 119 * ms}[s >= frame(20) && s < frame(40)]
		}, 0, 0, 0},
	} {
		for _, dir := range []probes.Direction{probes.DirectionUp, probes.DirectionDown} {
			l := video(10)
			l.dir, l.drop, l.delay = dir, c.drop, c.delay
			r := l.report()
			if *r.FramesLost != c.lost || *r.Freezes != c.freezes || !near(*r.Frozen, c.frozen, 1e-6) || *r.FrameLossRatio != float64(c.lost)/250 {
				t.Errorf("%s, %s: frames lost %d, freezes %d of %v s; want %d, %d of %v", c.name, dir, *r.FramesLost, *r.Freezes, *r.Frozen, c.lost, c.freezes, c.frozen)
			}
		}
	}
	l := line{dir: probes.DirectionUp, media: probes.MediaVideo, frames: 100, packets: 2, every: 100 * ms, drop: in(20, 22)}
	if r := l.report(); *r.Freezes != 1 || !near(*r.Frozen, 0.3, 1e-6) {
		t.Errorf("at 10 frames per second two lost frames are a freeze of 300 ms: %d of %v s", *r.Freezes, *r.Frozen)
	}
}

func TestFramesLostOnTheWayUpAreNotLostOnTheWayDown(t *testing.T) {
	up := func(seq int) bool { return seq%50 == 3 || span(700, 770)(seq) } // what the reflector never had
	f := flow.New(flow.Config{Direction: probes.DirectionDown, Media: probes.MediaVideo, FrameInterval: 40 * ms})
	want := map[int]bool{}
	var seq uint32
	for i := range 1750 {
		if up(i) {
			continue
		}
		if down := seq%400 == 200 || seq >= 1200 && seq < 1203; !down {
			f.Add(flow.Arrival{Seq: seq, Sent: time.Duration(i) * 5 * ms, Received: time.Duration(i)*5*ms + ms, Frame: uint32(i / 7), FramePackets: 7, Bytes: 100})
		} else {
			want[i/7] = true
		}
		seq++
	}
	r := f.Report(int(seq), 240, 10*time.Second)
	if *r.FramesLost != len(want) {
		t.Errorf("frames lost on the way down: %d, want %d", *r.FramesLost, len(want))
	}
	if *r.Freezes != 0 {
		t.Errorf("%d freezes on the way down: the ten frames missing in a row were lost on the way up", *r.Freezes)
	}
}

func TestWindowsTellStepsApart(t *testing.T) {
	l := audio(9)
	l.drop = in(200, 210, 211)
	l.delay = func(seq int) time.Duration {
		if seq >= 300 {
			return 40 * ms // a queue that stands
		}
		return 0
	}
	f := l.flow()
	for i, want := range []flow.Window{
		{Sent: 150, Received: 150, Bytes: 15000},
		{Sent: 150, Received: 147, Lost: 3, LossRatio: 0.02, Bytes: 14700},
		{Sent: 150, Received: 150, Bytes: 15000},
	} {
		got := f.Window(uint32(150*i), uint32(150*i+150))
		variation := map[bool]float64{true: 0.04}[i == 2]
		if got.VariationP95 == nil || !near(*got.VariationP95, variation, 0.001) || !near(*got.VariationMax, variation, 0.001) {
			t.Errorf("step %d: variation %s, want %v", i, show(got.VariationP95), variation)
		}
		got.VariationP95, got.VariationMax = nil, nil
		if got != want {
			t.Errorf("step %d: %+v, want %+v", i, got, want)
		}
	}
	if got := f.Window(500, 400); got != (flow.Window{}) {
		t.Errorf("a window from behind: %+v", got)
	}
	if got := f.Window(0, math.MaxUint32); got.Sent != flow.MaxPackets {
		t.Errorf("a window beyond what is measured has %d packets", got.Sent)
	}
}

func TestWhatTheSenderCountedIsTheMeasure(t *testing.T) {
	f := audio(10).flow()
	if r := f.Report(400, 400, 8*time.Second); r.Sent != 400 || r.Received != 400 || r.Lost != 0 || r.GoodputBPS != 400*100 {
		t.Errorf("a sender that counted 400: %+v", r)
	}
	if r := f.Report(600, 600, 12*time.Second); r.Lost != 100 || r.LongestLossRun != 100 {
		t.Errorf("a sender that counted 600: %+v", r)
	}
	if n, ok := f.Highest(); n != 499 || !ok || f.Received() != 500 {
		t.Errorf("highest %d %v, received %d", n, ok, f.Received())
	}
}

func TestHostileNumbers(t *testing.T) {
	f := flow.New(flow.Config{Direction: probes.DirectionUp, Media: probes.MediaVideo})
	good := flow.Arrival{Seq: 0, Sent: 1, Received: 1, FramePackets: 1, Bytes: 10}
	for _, a := range []flow.Arrival{
		{Seq: 1 << 31}, {Seq: math.MaxUint32}, {Seq: flow.MaxPackets}, {Sent: -1}, {Received: -1}, {Sent: math.MaxInt64}, {Received: math.MaxInt64},
		{Sent: math.MinInt64, Received: math.MaxInt64},
	} {
		if f.Add(a) {
			t.Errorf("taken: %+v", a)
		}
	}
	if !f.Add(good) || f.Add(good) || f.Rejected() != 8 {
		t.Errorf("rejected %d, want 8", f.Rejected())
	}
	if !f.Add(flow.Arrival{Seq: flow.MaxPackets - 1, Frame: math.MaxUint32, FramePackets: math.MaxUint16, Bytes: math.MinInt}) {
		t.Error("the last number that is measured was not taken")
	}
	r := f.Report(math.MaxInt, math.MaxInt, math.MaxInt64)
	if r.Sent != flow.MaxPackets || r.Received != 2 || *r.Frames != flow.MaxPackets || *r.FramesLost != flow.MaxPackets-1 {
		t.Errorf("%+v: frames %d, lost %d", r, *r.Frames, *r.FramesLost)
	}
	if r := f.Report(math.MinInt, math.MinInt, math.MinInt64); r.Sent != 0 || r.Lost != 0 || *r.FramesLost != 0 || r.GoodputBPS != 0 {
		t.Errorf("%+v", r)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := flow.New(flow.Config{Media: probes.MediaVideo})
	for i := range uint32(1 << 20) {
		f.Add(flow.Arrival{Seq: i * 37, Sent: time.Duration(i), Received: time.Duration(i), Frame: i, FramePackets: 1})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 12<<20 {
		t.Errorf("%d bytes after a million of packets, want below 12 MB", grown)
	}
	runtime.KeepAlive(f)
}

// TestWhateverHappensTheNumbersAddUp holds what is true of any stream, whatever a far end makes up.
func TestWhateverHappensTheNumbersAddUp(t *testing.T) {
	check := func(seed uint64) bool {
		rng := rand.New(rand.NewPCG(seed, 0))
		wild := func() uint32 {
			return [...]uint32{rng.Uint32N(50), rng.Uint32N(3000), rng.Uint32(), math.MaxUint32}[rng.IntN(4)]
		}
		dirs := []probes.Direction{probes.DirectionUp, probes.DirectionDown, probes.DirectionRound}
		f := flow.New(flow.Config{Direction: dirs[rng.IntN(3)], Media: []probes.Media{probes.MediaAudio, probes.MediaVideo}[rng.IntN(2)],
			ClockRate: []uint32{0, 8000, 1}[rng.IntN(3)], Playout: time.Duration(rng.IntN(100)) * ms})
		added := 0
		for range rng.IntN(300) {
			if f.Add(flow.Arrival{Seq: wild(), Sent: time.Duration(rng.Uint64() >> rng.IntN(63)), Received: time.Duration(rng.Uint64() >> rng.IntN(63)),
				RTPTime: wild(), Frame: wild(), FramePackets: uint16(wild()), Bytes: int(wild())}) {
				added++
			}
		}
		sent, frames := int(wild()), int(wild())
		r := f.Report(sent, frames, time.Duration(wild()))
		ok := f.Received() == added && r.Received <= added && r.Received+r.Lost == r.Sent && r.Sent <= sent && r.Lost >= 0 && r.Discarded <= r.Received &&
			r.LossRuns <= r.Lost && r.LongestLossRun <= r.Lost && (r.LossRuns > 0) == (r.Lost > 0) && r.LossRatio >= 0 && r.LossRatio <= 1 &&
			r.LossRatio+r.DiscardRatio <= 1+1e-9 && r.Reordered <= added && r.GoodputBPS >= 0
		for _, v := range []*float64{r.Burstiness, r.Jitter, r.IPDVMean, r.IPDVP95, r.VariationP95, r.VariationMax, r.FrameLossRatio, r.Frozen, &r.GoodputBPS} {
			ok = ok && (v == nil || *v >= 0 && !math.IsInf(*v, 0))
		}
		if r.Frames != nil {
			ok = ok && *r.FramesLost >= 0 && *r.FramesLost <= *r.Frames && *r.FrameLossRatio <= 1 && *r.Freezes >= 0
		}
		if !ok {
			t.Logf("seed %d: sent %d frames %d: %+v", seed, sent, frames, r)
		}
		return ok
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 200, Rand: seeded()}); err != nil {
		t.Error(err)
	}
}

// TestAnyListOfDropsComesBack drops at random and counts along.
func TestAnyListOfDropsComesBack(t *testing.T) {
	check := func(seed uint64, percent uint8) bool {
		rng := rand.New(rand.NewPCG(seed, 0))
		l := video(4)
		lost, runs, longest, run := 0, 0, 0, 0
		dropped := make([]bool, l.sent())
		frames := map[int]bool{}
		for i := range dropped {
			if dropped[i] = rng.IntN(100) < int(percent%60); !dropped[i] {
				run = 0
				continue
			}
			if run == 0 {
				runs++
			}
			lost++
			run++
			longest = max(longest, run)
			frames[i/l.packets] = true
		}
		l.drop = func(seq int) bool { return dropped[seq] }
		l.delay = func(int) time.Duration { return time.Duration(rng.IntN(30)) * ms }
		r := l.report()
		return r.Lost == lost && r.LossRuns == runs && r.LongestLossRun == longest && *r.FramesLost == len(frames) && r.Discarded == 0
	}
	if err := quick.Check(check, &quick.Config{Rand: seeded()}); err != nil {
		t.Error(err)
	}
}

// Numbers all over the place don't buy memory, and a line that loses nearly everything is still counted.
func TestMemoryIsForWhatWasReceived(t *testing.T) {
	f := flow.New(flow.Config{Direction: probes.DirectionUp, Media: probes.MediaVideo})
	taken := 0
	for page := range uint32(flow.MaxPackets / 64) {
		if f.Add(flow.Arrival{Seq: page * 64, Bytes: 100}) {
			taken++
		}
	}
	if taken > 300 {
		t.Errorf("%d pages were taken for as many packets", taken)
	}
	if f.Rejected() != flow.MaxPackets/64-taken {
		t.Errorf("%d of the others were rejected", f.Rejected())
	}
	f = flow.New(flow.Config{Direction: probes.DirectionUp, Media: probes.MediaVideo})
	const sent = 16_000 // a minute of 720p
	for seq := range uint32(sent / 50) {
		if !f.Add(flow.Arrival{Seq: seq * 50, Bytes: 100}) {
			t.Fatalf("packet %d, one of fifty, was not taken", seq*50)
		}
	}
	f = flow.New(flow.Config{Direction: probes.DirectionUp, Media: probes.MediaVideo})
	for seq := range uint32(flow.MaxPackets / 8) { // however long, if one of eight arrives
		if !f.Add(flow.Arrival{Seq: seq * 8, Bytes: 100}) {
			t.Fatalf("packet %d, one of eight, was not taken", seq*8)
		}
	}
}
