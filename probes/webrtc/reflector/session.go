package reflector

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/clock"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/reflector/load"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/whip"
)

// How calls end.
const (
	endCaller   = whip.EndedCaller
	endGone     = whip.EndedGone
	endSetup    = whip.EndedSetup
	endConnect  = whip.EndedConnect
	endIdle     = whip.EndedIdle
	endLifetime = whip.EndedLifetime
	endRate     = whip.EndedRate
	endClosing  = whip.EndedClosing
	endRevoked  = whip.EndedRevoked
)

// packet is one RTP packet as the hub hands it over.
type packet struct {
	track   int
	media   probes.Media
	seq     uint16
	rtpTime uint32
	marker  bool
	payload []byte // valid, and ours to change, until the callback returns
	at      time.Duration
}

// leg is the hub's end of a call. Its methods may be called at any time, from any goroutine.
type leg interface {
	echo(p packet) error // by value, so that no packet is garbage
	sendMessage(data []byte) error
	close()
}

// hub is what a reflector needs of the media library. It calls the session's methods received, message,
// connected and gone; received for packets of one track one at a time. Requests for whole pictures it passes on itself.
type hub interface {
	answer(ctx context.Context, offer string, s *session) (answer string, l leg, err error)
	Close() error
}

// session is one call.
type session struct {
	r      *Reflector
	id     string // names it in its URL; can't be guessed
	number uint64 // in stamps
	caller Caller
	born   time.Time

	dropsBefore *uint64 // by the kernel

	// Of the reflector, which guards them: whether it counts as a call, and as one setting up.
	counted, settingUp bool

	lastMedia atomic.Int64 // monotonic, ns
	revoked   atomic.Bool  // its caller may not call any more
	leg       atomic.Pointer[leg]

	mu          sync.Mutex // guards the fields below
	ended       time.Time  // zero: it goes on
	how         string     // it ended
	isConnected bool
	streams     []*stream
	residence   load.Times
	foreign     int
	drops       *uint64 // by the kernel, from birth to end; nil if it does not tell
	calls       int     // at once, the most during this one
	cpu         float64 // the most during this one
	budget      allowance
	chat        allowance
}

func newSession(r *Reflector, caller Caller, now time.Time) *session {
	var random [24]byte
	rand.Read(random[:]) // never fails
	s := &session{
		r: r, id: hex.EncodeToString(random[:16]), number: binary.BigEndian.Uint64(random[16:]), caller: caller, born: now,
		counted: true, settingUp: true,
	}
	if n, ok := r.drops(); ok {
		s.dropsBefore = &n
	}
	s.budget = allowance{rate: float64(r.limits.SessionMBPS) * 1e6 / 8, burst: float64(r.limits.SessionMBPS) * 1e6 / 8 * 2}
	s.chat = allowance{rate: messagesPerSecond, burst: messagesPerSecond}
	return s
}

// Messages on the data channel: a caller measures with ten a second.
const (
	messagesPerSecond = 50
	maxMessage        = 1200 // bytes: one packet
)

// hex is the session's number as callers see it.
func (s *session) hex() string { return fmt.Sprintf("%016x", s.number) }

// answer has the hub answer the offer. From then on the hub calls back.
func (s *session) answer(ctx context.Context, offer string) (string, error) {
	answer, l, err := s.r.hub.answer(ctx, offer, s)
	if err != nil {
		return "", err
	}
	s.leg.Store(&l)
	s.mu.Lock()
	over := !s.ended.IsZero()
	s.mu.Unlock()
	if over { // meanwhile
		l.close()
	}
	return answer, nil
}

// connected is called when media can flow.
func (s *session) connected() {
	s.lastMedia.Store(int64(s.r.monotonic()))
	s.mu.Lock()
	s.isConnected = true
	s.mu.Unlock()
	s.r.changed(s, true, false)
}

// gone is called when the connection was closed or lost.
func (s *session) gone() { s.end(endGone) }

// allowance is a token bucket on the monotonic clock. The zero level at first use is full.
type allowance struct {
	rate, burst float64 // per second, at most
	spent       float64
	at          time.Duration
}

func (a *allowance) take(n float64, now time.Duration) bool {
	if passed := now - a.at; passed > 0 {
		a.spent = max(0, a.spent-passed.Seconds()*a.rate)
		a.at = now
	}
	if a.spent+n > a.burst {
		return false
	}
	a.spent += n
	return true
}

// magic begins every stamp; behind it, what is no stamp is a damaged one.
var magic = []byte("cwm1")

// received takes a packet of media and sends it back if it should.
func (s *session) received(p *packet) {
	r := s.r
	size := len(p.payload)
	r.total.upBytes.Add(uint64(size))
	s.lastMedia.Store(int64(r.monotonic()))

	stamp, stamped := media.Read(p.payload)
	s.mu.Lock()
	if !s.ended.IsZero() {
		s.mu.Unlock()
		return
	}
	const headers = media.Overhead
	if !s.budget.take(float64(size+headers), p.at) {
		s.mu.Unlock()
		s.end(endRate) // to drop some would look like a bad line
		return
	}
	if stamped && stamp.Session != s.number || !stamped && bytes.HasPrefix(p.payload, magic) {
		s.foreign++
		s.mu.Unlock()
		r.total.foreign.Add(1)
		return
	}
	var st *stream
	what := stale
	if stamped {
		if st = s.stream(stamp.Stream, p.media, true); st != nil {
			what = st.take(&stamp, p.rtpTime, size, p.at)
		}
	} else if st = s.stream(uint8(p.track), p.media, false); st != nil {
		what = st.takeRTP(p.seq, p.rtpTime, size, p.at)
	}
	if what != fresh {
		s.mu.Unlock()
		if what == duplicate {
			r.total.duplicates.Add(1)
		} else {
			r.total.stale.Add(1)
		}
		return
	}
	echo := media.Echo{Received: max(p.at, 0), Count: st.count, Seq: st.next}
	s.mu.Unlock()

	if stamped {
		echo.Resent = max(r.monotonic(), echo.Received)
		media.PutEcho(p.payload, echo)
	}
	l := s.leg.Load()
	sent := l != nil && (*l).echo(*p) == nil
	stay := r.monotonic() - p.at
	s.mu.Lock()
	// What came before somebody read its track waited for keys and for the track to be made. That is setting up, not the
	// reflector's noise: with many calls beginning at once it would look overloaded with time to spare.
	settled := p.at >= st.read
	if sent {
		st.next++ // not before: a number that was never sent would be lost on the way back
		if settled {
			s.residence.Add(stay)
		}
	} else {
		st.unsent++
	}
	s.mu.Unlock()
	if !sent {
		r.total.unsent.Add(1)
		return
	}
	if settled {
		r.residence.Add(stay)
	}
	r.total.echoed.Add(1)
	r.total.downBytes.Add(uint64(size))
}

// stream finds a stream, or makes it; nil if there are too many. s.mu is held.
func (s *session) stream(number uint8, m probes.Media, stamped bool) *stream {
	for _, st := range s.streams {
		if st.number == number && st.stamped == stamped && st.media == m {
			return st
		}
	}
	if len(s.streams) >= maxStreams {
		return nil
	}
	st := newStream(number, m, stamped)
	st.read = s.r.monotonic()
	s.streams = append(s.streams, st)
	return st
}

// message takes a message of the data channel and sends it back.
func (s *session) message(data []byte) {
	s.mu.Lock()
	ok := len(data) <= maxMessage && s.ended.IsZero() && s.chat.take(1, s.r.monotonic())
	s.mu.Unlock()
	l := s.leg.Load()
	if !ok || l == nil || (*l).sendMessage(data) != nil {
		s.r.total.messagesDropped.Add(1)
		return
	}
	s.r.total.messages.Add(1)
}

// due says why the call is to be ended now, "" if it is not. Called every second, it also notes the reflector's load.
func (s *session) due(now time.Time) string {
	l := &s.r.limits
	s.r.mu.Lock()
	live := s.r.live
	s.r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended.IsZero() {
		return ""
	}
	s.noteLoad(live)
	age := now.Sub(s.born)
	switch {
	case s.revoked.Load():
		return endRevoked
	case !s.isConnected && age >= l.Connect:
		return endConnect
	case age >= l.Lifetime:
		return endLifetime
	case s.isConnected && s.r.monotonic()-time.Duration(s.lastMedia.Load()) >= l.Idle:
		return endIdle
	}
	return ""
}

// noteLoad is called with s.mu held.
func (s *session) noteLoad(live int) {
	s.calls = max(s.calls, live)
	s.cpu = max(s.cpu, s.r.cpuRatio())
}

// end ends the call, once. What was measured is kept for a while.
func (s *session) end(how string) {
	s.r.mu.Lock()
	live := s.r.live
	s.r.mu.Unlock()
	s.mu.Lock()
	over := !s.ended.IsZero()
	if !over {
		s.noteLoad(live)
		if n, ok := s.r.drops(); ok && s.dropsBefore != nil && n >= *s.dropsBefore {
			n -= *s.dropsBefore
			s.drops = &n
		}
		s.ended, s.how = s.r.now(), how
	}
	s.mu.Unlock()
	if over {
		return
	}
	s.r.changed(s, false, true)
	s.r.metrics.ended.WithLabelValues(how).Inc()
	s.r.log.Debug("call ended", "session", s.hex(), "how", how)
	if l := s.leg.Load(); l != nil {
		(*l).close()
	}
}

// forgotten says whether nobody will ask for the call any more.
func (s *session) forgotten(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended.IsZero() && now.Sub(s.ended) >= linger
}

// ending is what the caller is told at the end. sent may be nil.
func (s *session) ending(sent *whip.Sent) whip.Ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	if whip.Early(s.how) {
		sent = nil // most of it was not for this call any more
	}
	e := whip.Ending{
		Reflector: report.Reflector{Residence: s.residence.Spread(), Sessions: s.calls, CPURatio: s.cpu},
		Clock:     clock.Read(s.r.zero),
		Foreign:   s.foreign,
		Ended:     s.how,
		Drops:     s.drops,
		Flows:     []report.Flow{},
		Streams:   []whip.Stream{},
	}
	var length time.Duration
	if sent != nil {
		length = time.Duration(sent.MediaSeconds * float64(time.Second))
		for i := range sent.Streams { // of which nothing came
			st := &sent.Streams[i]
			if st.Media == probes.MediaAudio || st.Media == probes.MediaVideo {
				s.stream(st.Stream, st.Media, true)
			}
		}
	}
	for _, st := range s.streams {
		var said *whip.SentStream
		if sent != nil && st.stamped {
			for i := range sent.Streams {
				if sent.Streams[i].Stream == st.number && sent.Streams[i].Media == st.media {
					said = &sent.Streams[i]
				}
			}
		}
		f, end := st.report(said, length)
		e.Flows = append(e.Flows, f)
		e.Streams = append(e.Streams, end)
	}
	return e
}
