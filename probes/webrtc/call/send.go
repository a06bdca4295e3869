package call

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"communewatch/probes/webrtc/media"
)

// stream is a stream that is sent.
type stream struct {
	media.Stream
	number uint8 // in stamps
	track  int

	mu        sync.Mutex // guards the fields below
	seq       uint32     // packets sent so far, those included that the system refused
	frame     uint32
	refused   int
	wait      time.Duration // the longest that sending one packet took
	local     int           // of them for want of memory, which is not the line's fault
	refusal   error         // the last of the others
	refusedAt time.Duration // when, since media began
	refusedTo uint32        // the number after that packet's
}

func (s *stream) counts() (packets, frames int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.seq), int(s.frame)
}

// lateSkip is how late a stream may be before it lets the frames go that it should have sent meanwhile. To send them
// all at once would be a burst that no encoder makes.
const lateSkip = 200 * time.Millisecond

// pace sends frames of a stream, shaped as told, at absolute times from start on until ctx ends or length is over.
func (r *run) pace(ctx context.Context, s *stream, shape media.Stream, start time.Time, length time.Duration) (lateness []float64, shifted time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	buffer := make([]byte, shape.PacketBytes)
	frames := int((length + shape.Interval/2) / shape.Interval)
	lateness = make([]float64, 0, frames)
	for n := range frames {
		due := start.Add(time.Duration(n)*shape.Interval + shifted)
		if shifted > 0 && due.Sub(start) >= length {
			break
		}
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return lateness, shifted
		case <-r.call.Done():
			return lateness, shifted
		}
		late := max(time.Since(due), 0)
		lateness = append(lateness, late.Seconds())
		if late > lateSkip {
			shifted += late
		}
		r.sendFrame(s, shape, buffer)
	}
	return lateness, shifted
}

func (r *run) sendFrame(s *stream, shape media.Stream, buffer []byte) {
	packets := shape.Packets()
	s.mu.Lock()
	frame := s.frame
	s.mu.Unlock()
	// RTP's time is when the frame is sent, not when it should have been: how late this machine is must not read as
	// jitter of the line (RFC 3550 A.8 takes it for the time of sending).
	rtpTime := uint32(uint64(time.Since(r.zero)) * uint64(shape.ClockRate) / uint64(time.Second))
	for i := range packets {
		payload := buffer[:shape.Size(i)]
		s.mu.Lock()
		seq := s.seq
		s.seq++
		now := time.Since(r.zero)
		s.mu.Unlock()
		media.Stamp{Stream: s.number, Last: i == packets-1, FramePackets: uint16(packets), Session: r.number, Seq: seq, Frame: frame, Sent: now}.Put(payload)
		err := r.call.Send(s.track, i == packets-1, rtpTime, payload)
		after := time.Since(r.zero)
		if err != nil {
			s.refuse(err, seq, after-r.began)
		}
		s.mu.Lock()
		s.wait = max(s.wait, after-now)
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.frame++
	s.mu.Unlock()
	r.sockets.look()
}

func (s *stream) refuse(err error, seq uint32, at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	if errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EAGAIN) {
		s.local++
		return
	}
	s.refusal, s.refusedAt, s.refusedTo = err, at, seq+1
}

// refusals is why packets could not be sent over the line, and when that last was.
func (r *run) refusals() (err error, at time.Duration) {
	for _, s := range r.streams {
		s.mu.Lock()
		if s.refusal != nil && s.refusedAt >= at {
			err, at = s.refusal, s.refusedAt
		}
		s.mu.Unlock()
	}
	return err, at
}

func (r *run) localRefusals() (n int) {
	for _, s := range r.streams {
		s.mu.Lock()
		n += s.local
		s.mu.Unlock()
	}
	return n
}

// media sends all streams for the call's duration, and then the ramp's.
func (r *run) media(ctx context.Context) error {
	start := time.Now()
	r.began = start.Sub(r.zero)
	background, stop := context.WithCancel(ctx)
	var side sync.WaitGroup
	side.Go(func() { r.keepAlive(background) })
	if r.data != nil {
		side.Go(func() { r.data.talk(background) })
	}
	defer func() { stop(); side.Wait() }()

	var wg sync.WaitGroup
	var mu sync.Mutex // guards what the streams write down
	for _, s := range r.profileStreams() {
		wg.Go(func() {
			lateness, shifted := r.pace(ctx, s, s.Stream, start, r.spec.Duration)
			mu.Lock()
			defer mu.Unlock()
			r.lateness = append(r.lateness, lateness...)
			r.shifted = max(r.shifted, shifted)
		})
	}
	if len(r.streams) == 0 {
		wg.Go(func() { r.wait(ctx, r.spec.Duration) })
	}
	wg.Wait()
	r.sent = time.Since(start)
	defer func() { r.flowed = time.Since(start) }()
	if ctx.Err() == nil && !isOver(r.call) && r.ramps() {
		r.ramp(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if isOver(r.call) {
		return r.call.Err()
	}
	return nil
}

// wait waits, or until the call is over.
func (r *run) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-r.call.Done():
	}
}

func (r *run) keepAlive(ctx context.Context) {
	tick := time.NewTicker(20 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = r.signal.KeepAlive(ctx) // if the service has forgotten the call, the media will tell
		case <-ctx.Done():
			return
		case <-r.call.Done():
			return
		}
	}
}

// settle waits for what is still on its way: until all came, or until nothing can be.
func (r *run) settle(ctx context.Context, complete func() bool) {
	until := time.NewTimer(settleMost)
	defer until.Stop()
	for {
		if complete() {
			return
		}
		select {
		case <-r.recv.more:
		case <-until.C:
			return
		case <-ctx.Done():
			return
		case <-r.call.Done():
			return
		}
	}
}
