package call

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/flow"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/rtc"
	"communewatch/probes/webrtc/whip"
)

// maxSamples bounds how many round trips are kept: ten minutes of 4 Mbit/s.
const maxSamples = 1 << 18

// receipts is the account of what came back.
type receipts struct {
	run  *run
	more chan struct{} // something came

	mu      sync.Mutex // guards the fields below
	streams map[uint8]*receipt
	plain   map[int]*unstamped // by track: WHEP
	foreign int
	rtts    []float64 // s
	up      []float64 // transit times between two clocks, s
	down    []float64
}

// receipt is one of our streams as it came back.
type receipt struct {
	media probes.Media
	round *flow.Flow // by the numbers it was sent with
	there *flow.Flow // by the same, timed at the reflector: of what came back, the way up
	back  *flow.Flow // by the reflector's numbers
	count uint32     // packets that the reflector had received, as the newest echo says
}

// unstamped is a track of media that somebody else made, in RTP's own numbers.
type unstamped struct {
	media       probes.Media
	flow        *flow.Flow
	began       bool
	seq         int64 // the highest so far, unwrapped
	time        int64
	first       int64
	firstTime   int64
	frame       uint32
	lastArrival time.Duration
	firstCame   time.Duration
}

func newReceipts(r *run) *receipts {
	return &receipts{run: r, more: make(chan struct{}, 1), streams: map[uint8]*receipt{}, plain: map[int]*unstamped{}}
}

// wake tells whoever waits that something came.
func (r *receipts) wake() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func (r *receipts) playout(m probes.Media) time.Duration {
	if m == probes.MediaAudio {
		return r.run.spec.AudioPlayout
	}
	return r.run.spec.VideoPlayout
}

// stream finds or makes the account of a stream that is sent; nil for any other. r.mu is held.
func (r *receipts) stream(number uint8, m probes.Media) *receipt {
	if s := r.streams[number]; s != nil {
		return s
	}
	i := slices.IndexFunc(r.run.streams, func(s *stream) bool { return s.number == number && s.Media == m })
	if i < 0 {
		return nil
	}
	interval := r.run.streams[i].Interval
	make := func(d probes.Direction) *flow.Flow {
		return flow.New(flow.Config{Direction: d, Media: m, FrameInterval: interval, Playout: r.playout(m)})
	}
	s := &receipt{media: m, round: make(probes.DirectionRound), there: make(probes.DirectionUp), back: make(probes.DirectionDown)}
	r.streams[number] = s
	return s
}

// packet takes a packet that arrived.
func (r *receipts) packet(p rtc.Packet) {
	at := p.At.Sub(r.run.zero)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.wake()
	switch r.run.service {
	case WHEP:
		r.takePlain(p, at)
		return
	case WHIP:
		return // nothing was asked for
	}
	stamp, ok := media.Read(p.Payload)
	if !ok || stamp.Session != r.run.number || stamp.Sent > at+time.Second { // not to the hair: kernels time arrivals
		r.foreign++
		return
	}
	s := r.stream(stamp.Stream, p.Media)
	if s == nil {
		r.foreign++
		return
	}
	a := flow.Arrival{Seq: stamp.Seq, Sent: stamp.Sent, Received: at, RTPTime: p.RTPTime, Frame: stamp.Frame, FramePackets: stamp.FramePackets, Bytes: len(p.Payload)}
	if r.run.service == Janus {
		if s.round.Add(a) {
			r.sample(&r.rtts, max(at-stamp.Sent, 0).Seconds())
		}
		return
	}
	echo, ok := media.ReadEcho(p.Payload)
	if !ok {
		r.foreign++
		return
	}
	s.round.Add(a)
	there, back := a, a
	there.Received = echo.Received
	back.Seq, back.Sent = echo.Seq, echo.Resent
	s.there.Add(there)
	if !s.back.Add(back) {
		return
	}
	s.count = max(s.count, echo.Count)
	if rtt := at - stamp.Sent - (echo.Resent - echo.Received); rtt >= 0 {
		r.sample(&r.rtts, rtt.Seconds())
	}
	r.sample(&r.up, (echo.Received - stamp.Sent).Seconds())
	r.sample(&r.down, (at - echo.Resent).Seconds())
}

func (r *receipts) sample(to *[]float64, v float64) {
	if len(*to) < maxSamples {
		*to = append(*to, v)
	}
}

// plainLead is where unwrapped RTP times begin, so that the frame before the first to arrive has a time too.
const plainLead = time.Hour

// takePlain books a packet by RTP's numbers and times.
func (r *receipts) takePlain(p rtc.Packet, at time.Duration) {
	u := r.plain[p.Track]
	if u == nil {
		u = &unstamped{media: p.Media, flow: flow.New(flow.Config{Direction: probes.DirectionDown, Media: p.Media, Playout: r.playout(p.Media)})}
		r.plain[p.Track] = u
	}
	if bytes.HasPrefix(p.Payload, []byte("cwm1")) {
		r.foreign++
		return
	}
	if !u.began {
		u.began = true
		u.seq, u.time = int64(p.Seq), int64(p.RTPTime)
		u.first, u.firstTime, u.firstCame = u.seq, u.time, at
	}
	seq := u.seq + int64(int16(p.Seq-uint16(u.seq)))
	ticks := u.time + int64(int32(p.RTPTime-uint32(u.time)))
	if ticks > u.time {
		u.frame++
	}
	u.seq, u.time = max(u.seq, seq), max(u.time, ticks)
	u.lastArrival = at
	if seq < u.first {
		return
	}
	rate := int64(media.AudioClock)
	if p.Media == probes.MediaVideo {
		rate = media.VideoClock
	}
	sent := plainLead + time.Duration(ticks-u.firstTime)*time.Second/time.Duration(rate)
	u.flow.Add(flow.Arrival{Seq: uint32(seq - u.first), Sent: sent, Received: at, RTPTime: p.RTPTime, Frame: u.frame, FramePackets: 1, Bytes: len(p.Payload)})
}

// complete says whether everything that was sent came back.
func (r *receipts) complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run.service != Reflector && r.run.service != Janus {
		return r.run.service == WHEP
	}
	for _, s := range r.run.streams {
		packets, _ := s.counts()
		got := r.streams[s.number]
		if packets > 0 && (got == nil || got.round.Received() < packets) {
			return false
		}
	}
	return true
}

// oneWay is the median transit time each way, between two clocks whose zeros differ.
func (r *receipts) oneWay() (up, down float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.up) == 0 || len(r.down) == 0 {
		return 0, 0, false
	}
	return percentile(r.up, 50), percentile(r.down, 50), true
}

// account writes into the report what became of the streams. ending is nil if the service did not give one.
func (r *run) account(ending *whip.Ending) {
	r.recv.mu.Lock()
	rep := &r.report
	rep.Foreign = r.recv.foreign
	rep.RTT = spread(r.recv.rtts)
	for _, s := range r.streams {
		refused, wait := s.troubles()
		rep.Agent.SendErrors += refused
		rep.Agent.SendWait = max(rep.Agent.SendWait, wait.Seconds())
	}
	switch r.service {
	case Reflector:
		r.ways(ending)
	case Janus:
		for _, s := range r.profileStreams() {
			packets, frames := s.counts()
			if got := r.recv.stream(s.number, s.Media); got != nil && packets > 0 {
				rep.Flows = append(rep.Flows, got.round.Report(packets, frames, r.sent))
			}
		}
	case WHIP:
		r.byReports()
	case WHEP:
		for _, track := range r.recv.tracks() {
			u := r.recv.plain[track]
			f := u.flow.Report(int(u.seq-u.first)+1, 0, max(u.lastArrival-u.firstCame, 0))
			f.Frames, f.FramesLost, f.FrameLossRatio, f.Freezes, f.Frozen = nil, nil, nil, nil, nil
			rep.Flows = append(rep.Flows, f)
		}
	}
	r.recv.mu.Unlock()
	if ending == nil {
		return
	}
	rep.Reflector = &ending.Reflector
	rep.Reflector.Dropped = nil
	if ending.Drops != nil {
		n := int(min(*ending.Drops, math.MaxInt32))
		rep.Reflector.Dropped = &n
	}
	rep.Foreign += ending.Foreign
	r.delay(ending.Clock)
}

func (r *receipts) tracks() []int {
	var tracks []int
	for t := range r.plain {
		tracks = append(tracks, t)
	}
	slices.Sort(tracks)
	return tracks
}

// ways accounts for both ways to a reflector and back. recv.mu is held.
func (r *run) ways(ending *whip.Ending) {
	rep := &r.report
	var down []report.Flow
	for _, s := range r.profileStreams() {
		packets, frames := s.counts()
		if packets == 0 {
			continue
		}
		got := r.recv.stream(s.number, s.Media)
		up, returned := r.partialUp(s, got)
		said, back := endingOf(ending, s)
		if said != nil {
			up, returned = said, back
		}
		if up == nil || up.Sent == 0 {
			continue
		}
		length := r.sent
		if said == nil || whip.Early(ending.Ended) { // the stream as far as it is known
			length = min(length, s.lasting(up.Sent))
			frames = min(frames, (returned+s.Packets()-1)/s.Packets())
		}
		rep.Flows = append(rep.Flows, *up)
		if returned > 0 {
			down = append(down, got.back.Report(returned, frames, length))
		}
	}
	rep.Flows = append(rep.Flows, down...)
}

// lasting is how long so many packets of the stream take to be sent.
func (s *stream) lasting(packets int) time.Duration {
	return time.Duration((packets+s.Packets()-1)/s.Packets()) * s.Interval
}

// endingOf is what the reflector says of a stream: its flow, and how many packets it sent back.
func endingOf(e *whip.Ending, s *stream) (up *report.Flow, returned int) {
	if e == nil || len(e.Flows) != len(e.Streams) {
		return nil, 0
	}
	for i, st := range e.Streams {
		if st.Stamped && st.Stream == s.number && st.Media == s.Media {
			return &e.Flows[i], max(int(st.Received)-int(st.Unsent), 0)
		}
	}
	return nil, 0
}

// partialUp is the way up as far as it is known when the reflector can't be asked any more: counts are of the packets up
// to the last that came back, or that the system would not send, and times of those that came back.
func (r *run) partialUp(s *stream, got *receipt) (up *report.Flow, returned int) {
	highest, any := got.there.Highest()
	if !any {
		return nil, 0
	}
	s.mu.Lock()
	packets, frames := int(max(highest+1, s.refusedTo)), 0
	s.mu.Unlock()
	if s.Media == probes.MediaVideo {
		frames = packets / s.Packets()
	}
	f := got.there.Report(packets, frames, s.lasting(packets))
	f.Received = min(int(got.count), packets)
	f.Lost = packets - f.Received
	f.LossRatio = float64(f.Lost) / float64(packets)
	// Which packets they were is not known, only how many.
	f.LossRuns, f.LongestLossRun, f.Burstiness = 0, 0, nil
	f.Frames, f.FramesLost, f.FrameLossRatio, f.Freezes, f.Frozen = nil, nil, nil, nil, nil
	if back, any := got.back.Highest(); any {
		returned = int(back) + 1
	}
	return &f, returned
}

// byReports accounts for the way up to a service that says nothing but RTCP receiver reports.
func (r *run) byReports() {
	var rtt []float64
	for _, s := range r.profileStreams() {
		said := r.call.Remote(s.track)
		if said.Reports == 0 || said.Covered <= 0 {
			continue
		}
		sent := said.Covered
		if packets, _ := s.counts(); sent > packets {
			continue // it can't have received what was not sent
		}
		lost := min(max(said.Lost, 0), sent)
		jitter := said.Jitter.Seconds()
		r.report.Flows = append(r.report.Flows, report.Flow{
			Direction: probes.DirectionUp, Media: s.Media, Sent: sent, Received: sent - lost, Lost: lost, LossRatio: float64(lost) / float64(sent),
			Jitter: &jitter, GoodputBPS: float64(s.BPS) * float64(sent-lost) / float64(sent),
		})
		if said.RTT > 0 {
			rtt = append(rtt, said.RTT.Seconds())
		}
	}
	r.report.RTT = spread(rtt)
}

// profileStreams are the streams without the ramp's.
func (r *run) profileStreams() []*stream {
	return slices.DeleteFunc(slices.Clone(r.streams), func(s *stream) bool { return s.number == rampNumber })
}

// troubles is how many packets were refused, and the longest that sending one took.
func (s *stream) troubles() (refused int, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused, s.wait
}

// spread is the distribution of times; nil of none.
func spread(values []float64) *report.Spread {
	if len(values) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := func(percent int) float64 { return sorted[max((len(sorted)*percent+99)/100, 1)-1] }
	return &report.Spread{Median: rank(50), P95: rank(95), P99: rank(99), Max: sorted[len(sorted)-1]}
}

// percentile is by nearest rank; 0 of none.
func percentile(values []float64, percent int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max((len(sorted)*percent+99)/100, 1)-1]
}
