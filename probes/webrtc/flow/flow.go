// Package flow measures one stream of media one way, at the end that receives it.
//
// Two numberings meet here. The sender numbers its packets from 0 and says at the end how many there were, so loss is
// counted and never guessed: a run of packets lost at the very end is loss like any other. And each end has a clock of
// its own: the difference of the two readings is a packet's transit time but for a constant that nobody knows, so
// delays are told only above the smallest one seen (RFC 5481, PDV).
//
// # Clocks that drift
//
// Two clocks run apart by up to 100 parts per million, which in a minute adds 6 ms to every transit time, or takes
// them away. The drift is found as the slope of the line that lies below all transit times and as close to them as can
// be (Moon, Skelly, Towsley 1999: the edge of the lower convex hull at the mean sending time), taken for no more than
// 100 ppm, and taken off. A queue that fills slowly looks the same; what of it is mistaken for drift is those 100 ppm
// at most, 1.5 ms in a call of 15 s.
//
// # The de-jitter buffer
//
// A receiver has to play a packet at a fixed time after it was sent, and what comes later is as good as lost. The
// buffer here is the plainest there is: a fixed length beyond the smallest transit time, known only when the call is
// over, which is when packets are judged. Real ones adapt: they discard less on a line that is always bad, and more when
// a good line turns bad of a sudden.
package flow

import (
	"cmp"
	"slices"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/report"
)

// Default lengths of the de-jitter buffer. Speech bears little: what is kept waiting is heard as a pause before each
// answer. Video comes in bursts that take a while by themselves, and the eye is patient.
const (
	AudioPlayout = 60 * time.Millisecond
	VideoPlayout = 120 * time.Millisecond
)

// MaxPackets is how many packets of a stream are measured: ten minutes of video of 4 Mbit/s. Packets numbered from it on
// count nowhere, neither as sent nor as lost, so a report of a longer stream is a report of its beginning. Memory is
// 24 bytes for each, taken by the page of 64 where numbers were seen, and for what was received: see Add.
const MaxPackets = 1 << 18

const (
	maxDrift = 100e-6
	maxTime  = time.Duration(1) << 60 // 36 years; with it, no difference of differences overflows
)

// Config says what is measured.
type Config struct {
	Direction     probes.Direction
	Media         probes.Media
	ClockRate     uint32        // of RTP timestamps, Hz; zero: 48000 for audio, 90000 for video
	FrameInterval time.Duration // zero: 20 ms for audio, 1/30 s for video
	Playout       time.Duration // length of the de-jitter buffer; zero: AudioPlayout or VideoPlayout
}

// Arrival is one packet as it was received.
type Arrival struct {
	Seq          uint32        // the sender's number, from 0 without gaps
	Sent         time.Duration // on the clock of whoever sent it last: the far end, or a reflector on the way back
	Received     time.Duration // on the receiver's
	RTPTime      uint32
	Frame        uint32 // the sender's number, from 0 without gaps
	FramePackets uint16 // how many packets the frame has
	Bytes        int    // of payload
}

// Flow is the measurement of one stream. It is not safe for concurrent use.
type Flow struct {
	cfg Config

	pages    []*page // by number; nil where nothing arrived
	taken    int     // of them
	received int
	any      bool
	highest  uint32

	duplicates, reordered, rejected int

	// Jitter of RFC 3550, in seconds.
	jitter      float64
	jitterOf    Arrival // the packet it was last taken of
	jitterPairs int
}

// A page is 1.5 kB. A stream may take sparePages of them whatever its numbers are, 16,384 packets or a minute of 720p, and
// one more for each sparsest packets received: so a peer that sends one packet of each page is given memory no faster
// than one that sends media, and a line that loses nine packets of ten for a minute is still counted to the last.
const (
	pageSize   = 64
	sparePages = 256
	sparsest   = 8
)

type page [pageSize]record

// record is one packet; packets of zero means that it did not arrive.
type record struct {
	sent    time.Duration
	transit time.Duration
	frame   uint32
	packets uint16
	bytes   uint16
}

// New returns a measurement that has seen nothing yet.
func New(cfg Config) *Flow {
	video := cfg.Media == probes.MediaVideo
	pick := func(zero, audio, ofVideo time.Duration) time.Duration {
		switch {
		case zero > 0:
			return zero
		case video:
			return ofVideo
		}
		return audio
	}
	cfg.Playout = pick(cfg.Playout, AudioPlayout, VideoPlayout)
	cfg.FrameInterval = pick(cfg.FrameInterval, 20*time.Millisecond, time.Second/30)
	if cfg.ClockRate == 0 {
		cfg.ClockRate = 48000
		if video {
			cfg.ClockRate = 90000
		}
	}
	return &Flow{cfg: cfg}
}

// Add takes a packet, in order of arrival. It returns false for one that counts as no packet of the stream: a copy of
// one that came before, or one that can't be: a number from MaxPackets on, a time that is negative or beyond 36 years,
// and, once numbers were all over the place, one far from all others.
func (f *Flow) Add(a Arrival) bool {
	if a.Seq >= MaxPackets || a.Sent < 0 || a.Sent > maxTime || a.Received < 0 || a.Received > maxTime {
		f.rejected++
		return false
	}
	for int(a.Seq/pageSize) >= len(f.pages) {
		f.pages = append(f.pages, nil)
	}
	p := &f.pages[a.Seq/pageSize]
	if *p == nil {
		if f.taken >= sparePages+f.received/sparsest {
			f.rejected++
			return false
		}
		*p = new(page)
		f.taken++
	}
	r := &(*p)[a.Seq%pageSize]
	if r.packets != 0 {
		f.duplicates++
		return false
	}
	a.FramePackets = max(a.FramePackets, 1)
	*r = record{sent: a.Sent, transit: a.Received - a.Sent, frame: a.Frame, packets: a.FramePackets,
		bytes: uint16(min(max(a.Bytes, 0), 1<<16-1))}
	f.takeJitter(a)
	switch {
	case !f.any || a.Seq > f.highest:
		f.any, f.highest = true, a.Seq
	default:
		f.reordered++
	}
	f.received++
	return true
}

// takeJitter is the estimator of RFC 3550, A.8. Packets of one frame share an RTP timestamp and are sent one after the
// other, which the formula takes for jitter of the line (section 6.4.4 warns of it); so of a frame of several packets
// only the first to arrive counts, and only if no newer frame began before, as browsers do it.
//
// On the way back from a reflector RTP timestamps still tell the first sender's time, and would show the way there a
// second time. There the time of sending stands in for them.
func (f *Flow) takeJitter(a Arrival) {
	last, first := f.jitterOf, f.jitterPairs == 0 && !f.any
	byRTP := f.cfg.Direction != probes.DirectionDown
	if byRTP && !first && a.FramePackets > 1 && int32(a.Frame-last.Frame) <= 0 {
		return
	}
	f.jitterOf = a
	if first {
		return
	}
	apart := (a.Sent - last.Sent).Seconds()
	if byRTP {
		apart = float64(int32(a.RTPTime-last.RTPTime)) / float64(f.cfg.ClockRate)
	}
	d := (a.Received - last.Received).Seconds() - apart
	f.jitter += (max(d, -d) - f.jitter) / 16
	f.jitterPairs++
}

// Received is how many different packets arrived so far.
func (f *Flow) Received() int { return f.received }

// Highest is the largest number that arrived so far; false if none did.
func (f *Flow) Highest() (uint32, bool) { return f.highest, f.any }

// Rejected is how many packets Add could not believe.
func (f *Flow) Rejected() int { return f.rejected }

func (f *Flow) at(seq int) *record {
	if p := seq / pageSize; p < len(f.pages) && f.pages[p] != nil {
		if r := &f.pages[p][seq%pageSize]; r.packets != 0 {
			return r
		}
	}
	return nil
}

// Report says what became of the stream. The sender sent that many packets, of that many frames, in that much time;
// what arrived with numbers beyond sent is left out. It may be called more than once.
func (f *Flow) Report(sent, frames int, media time.Duration) report.Flow {
	sent = min(max(sent, 0), MaxPackets)
	frames = min(max(frames, 0), MaxPackets)
	w, runs, longest := f.window(0, sent)
	r := report.Flow{
		Direction:      f.cfg.Direction,
		Media:          f.cfg.Media,
		Sent:           sent,
		Received:       w.Received,
		Lost:           w.Lost,
		LossRatio:      w.LossRatio,
		LossRuns:       runs,
		LongestLossRun: longest,
		Discarded:      w.Discarded,
		DiscardRatio:   w.DiscardRatio,
		Playout:        f.cfg.Playout.Seconds(),
		Reordered:      f.reordered,
		Duplicates:     f.duplicates,
		VariationP95:   w.VariationP95,
		VariationMax:   w.VariationMax,
	}
	if w.Lost > 0 && w.Received > 0 {
		// A run would be 1/(1-p) long on average if each packet were lost by chance p, whatever became of the others.
		r.Burstiness = ptr(float64(w.Lost) / float64(runs) * (1 - w.LossRatio))
	}
	if f.jitterPairs > 0 {
		r.Jitter = ptr(f.jitter)
	}
	r.IPDVMean, r.IPDVP95 = f.ipdv(sent)
	if f.cfg.Media == probes.MediaVideo {
		lost, freezes, frozen := f.pictures(sent, frames)
		r.Frames, r.FramesLost, r.Freezes, r.Frozen = &frames, &lost, &freezes, ptr(frozen.Seconds())
		r.FrameLossRatio = ptr(ratio(lost, frames))
	}
	if media > 0 {
		r.GoodputBPS = 8 * float64(w.Bytes) / media.Seconds()
	}
	return r
}

// Window is a part of a stream, such as one step of a ramp.
type Window struct {
	Sent, Received, Lost, Discarded int
	LossRatio, DiscardRatio         float64 // of sent
	Bytes                           int     // received
	// Variation of delay above the smallest one of the whole stream until now, not of the window: a queue that stands
	// all through a step is what the step is meant to find. Nil if nothing arrived.
	VariationP95, VariationMax *float64
}

// Window tells of the packets numbered from (included) to to (not included), of what arrived until now.
func (f *Flow) Window(from, to uint32) Window {
	w, _, _ := f.window(int(min(from, MaxPackets)), int(min(to, MaxPackets)))
	return w
}

func (f *Flow) window(from, to int) (w Window, runs, longest int) {
	w.Sent = max(to-from, 0)
	base := f.base()
	var above []time.Duration
	run := 0
	for seq := from; seq < to; seq++ {
		r := f.at(seq)
		if r == nil {
			if run == 0 {
				runs++
			}
			run++
			longest = max(longest, run)
			continue
		}
		run = 0
		w.Received++
		w.Bytes += int(r.bytes)
		v := base.above(r)
		above = append(above, v)
		if v > f.cfg.Playout {
			w.Discarded++
		}
	}
	w.Lost = w.Sent - w.Received
	w.LossRatio, w.DiscardRatio = ratio(w.Lost, w.Sent), ratio(w.Discarded, w.Sent)
	if len(above) > 0 {
		slices.Sort(above)
		w.VariationP95 = ptr(rank(above, 95).Seconds())
		w.VariationMax = ptr(above[len(above)-1].Seconds())
	}
	return w, runs, longest
}

// ipdv is mean and 95th percentile of |D(i)| over packets with consecutive numbers that both arrived (RFC 3393).
func (f *Flow) ipdv(sent int) (mean, p95 *float64) {
	var ds []time.Duration
	var sum float64
	var before *record
	for seq := range sent {
		r := f.at(seq)
		if r != nil && before != nil {
			d := (r.transit - before.transit).Abs()
			ds = append(ds, d)
			sum += d.Seconds()
		}
		before = r
	}
	if len(ds) == 0 {
		return nil, nil
	}
	slices.Sort(ds)
	return ptr(sum / float64(len(ds))), ptr(rank(ds, 95).Seconds())
}

// rank is the percentile of sorted values by nearest rank.
func rank[T cmp.Ordered](sorted []T, percent int) T {
	return sorted[max((len(sorted)*percent+99)/100, 1)-1]
}

func ratio(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func ptr(v float64) *float64 { return &v }
