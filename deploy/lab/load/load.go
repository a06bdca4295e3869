// Package load makes many conference calls at once, to see what a far end can carry: a reflector of ours, or Janus beside
// it. It measures what the caller sees, the same for both: packets that came back, and how long they took. It is no probe:
// it does not ask the far end what it thinks, and takes no care of a line.
package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/probes/orders"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/rtc"
	"communewatch/probes/webrtc/whip"
)

// Options of a load.
type Options struct {
	Service  string // reflector or janus
	URL      string
	Token    string
	Local    netip.Addr // that calls are made from; zero: 127.0.0.1
	Sessions int
	Profile  orders.Profile
	Warm     time.Duration // of media before it is measured
	Duration time.Duration // of media that are measured
	Hold     time.Duration // of media after that; what was measured still comes back then
}

// Result is what became of a load. Packets are those of the measured time.
type Result struct {
	Sessions int     `json:"sessions"`
	Seconds  float64 `json:"seconds"`
	Sent     int     `json:"sent"`
	Lost     int     `json:"lost"`    // sent and not back by the end of the load
	Refused  int     `json:"refused"` // by the caller's own system

	RTTMedian float64 `json:"rtt_median_seconds"`
	RTTP99    float64 `json:"rtt_p99_seconds"`
	RTTMax    float64 `json:"rtt_max_seconds"`
	PacingP99 float64 `json:"pacing_p99_seconds"` // how late frames were sent: the load's own fault
	Setup     float64 `json:"setup_seconds"`      // until all calls were connected
}

// atOnce is how many calls are set up at the same time.
const atOnce = 8

// Run makes the calls, sends, and hangs up. Measured tells when the measured time begins and ends; it may be nil.
func Run(ctx context.Context, o Options, measured func(begin bool)) (Result, error) {
	if !o.Local.IsValid() {
		o.Local = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if err := media.Check(o.Profile); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	calls := make([]*call, o.Sessions)
	defer func() {
		var wg sync.WaitGroup
		for _, c := range calls {
			if c != nil {
				wg.Go(c.end)
			}
		}
		wg.Wait()
	}()
	if err := dial(ctx, o, calls); err != nil {
		return Result{}, err
	}
	r := Result{Sessions: o.Sessions, Setup: time.Since(begin).Seconds(), Seconds: o.Duration.Seconds()}
	from := time.Now().Add(o.Warm)
	to := from.Add(o.Duration)
	var wg sync.WaitGroup
	for i, c := range calls {
		// Real sites don't send their frames in the same instant.
		offset := time.Duration(i) * 33 * time.Millisecond / time.Duration(o.Sessions)
		for k := range media.Streams(o.Profile) {
			wg.Go(func() {
				if err := c.stream(ctx, k, offset, from, to, to.Add(o.Hold)); err != nil {
					cancel(err)
				}
			})
		}
	}
	if measured != nil {
		wg.Go(func() {
			for i, at := range []time.Time{from, to} {
				select {
				case <-time.After(time.Until(at)):
					measured(i == 0)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	return r, gather(&r, calls)
}

// dial sets the calls up.
func dial(ctx context.Context, o Options, calls []*call) error {
	var next atomic.Int64
	errs := make([]error, atOnce)
	var wg sync.WaitGroup
	for w := range atOnce {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(calls) || errs[w] != nil {
					return
				}
				if calls[i], errs[w] = newCall(ctx, o); errs[w] != nil {
					errs[w] = fmt.Errorf("call %d of %d: %w", i+1, len(calls), errs[w])
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// gather puts the calls' results together, which have all come to an end.
func gather(r *Result, calls []*call) error {
	var rtts, late []time.Duration
	for _, c := range calls {
		c.mu.Lock()
		r.Sent += c.sent
		r.Refused += c.refused
		r.Lost += c.sent - c.refused - c.back
		rtts = append(rtts, c.rtts...)
		late = append(late, c.late...)
		c.mu.Unlock()
	}
	if len(rtts) == 0 || len(late) == 0 {
		return errors.New("no packet came back")
	}
	slices.Sort(rtts)
	slices.Sort(late)
	at := func(list []time.Duration, p float64) float64 { return list[int(p*float64(len(list)-1))].Seconds() }
	r.RTTMedian, r.RTTP99, r.RTTMax, r.PacingP99 = at(rtts, 0.5), at(rtts, 0.99), at(rtts, 1), at(late, 0.99)
	return nil
}

// call is one of the calls.
type call struct {
	rtc     *rtc.Call
	signal  whip.Signalling
	streams []media.Stream
	session uint64
	zero    time.Time

	mu       sync.Mutex // guards the fields below
	from, to time.Duration
	sent     int // in the measured time, as what follows
	refused  int
	back     int
	seen     [4]map[uint32]bool
	rtts     []time.Duration
	late     []time.Duration
}

func newCall(ctx context.Context, o Options) (*call, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(o.Local, 0)))
	if err != nil {
		return nil, err
	}
	socket.SetReadBuffer(1 << 20)
	c := &call{streams: media.Streams(o.Profile), zero: time.Now()}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	audio, video := o.Profile.AudioBPS > 0, o.Profile.VideoBPS > 0
	switch o.Service {
	case "janus":
		c.signal = &whip.Janus{URL: u, Token: o.Token, Audio: audio, Video: video, HTTP: client}
	case "reflector":
		c.signal = &whip.Client{URL: u, Token: o.Token, HTTP: client}
	default:
		socket.Close()
		return nil, fmt.Errorf("service %q: reflector or janus", o.Service)
	}
	videos := 0
	if video {
		videos = 1
	}
	c.rtc, err = rtc.Dial(ctx, rtc.DialConfig{Socket: socket, Local: o.Local, Audio: audio, Videos: videos, Signal: c.signal.Offer, OnPacket: c.take})
	if err != nil {
		c.end()
		return nil, err
	}
	n, _ := c.signal.Session()
	c.mu.Lock()
	c.session = n
	c.mu.Unlock()
	return c, nil
}

func (c *call) end() {
	c.rtc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// The far end has been measured; if it doesn't take the goodbye it ends the call by itself.
	c.signal.End(ctx, nil)
}

// stream sends the frames of a stream until the end. Those begun between from and to are measured.
func (c *call) stream(ctx context.Context, k int, offset time.Duration, from, to, end time.Time) error {
	s := c.streams[k]
	payload := make([]byte, s.PacketBytes)
	begin := time.Now().Add(offset)
	c.mu.Lock()
	c.from, c.to = from.Sub(c.zero), to.Sub(c.zero)
	c.seen[k] = map[uint32]bool{}
	c.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	seq := uint32(0)
	for frame := uint32(0); ; frame++ {
		due := begin.Add(time.Duration(frame) * s.Interval)
		if due.After(end) {
			return nil
		}
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		case <-c.rtc.Done():
			return fmt.Errorf("a call was lost: %w", c.rtc.Err())
		}
		now := time.Now()
		packets := s.Packets()
		for i := range packets {
			stamp := media.Stamp{Stream: uint8(k), Last: i == packets-1, FramePackets: uint16(packets), Session: c.session, Seq: seq, Frame: frame, Sent: time.Since(c.zero)}
			stamp.Put(payload)
			seq++
			err := c.rtc.Send(k, i == packets-1, s.RTPTime(frame), payload[:s.Size(i)])
			if stamp.Sent < from.Sub(c.zero) || stamp.Sent > to.Sub(c.zero) {
				continue
			}
			c.mu.Lock()
			c.sent++
			if err != nil {
				c.refused++
			}
			if i == 0 {
				c.late = append(c.late, now.Sub(due))
			}
			c.mu.Unlock()
		}
	}
}

// take notes a packet that came back.
func (c *call) take(p rtc.Packet) {
	s, ok := media.Read(p.Payload)
	if !ok || int(s.Stream) >= len(c.streams) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Session != c.session || s.Sent < c.from || s.Sent > c.to || c.to == 0 || c.seen[s.Stream][s.Seq] {
		return
	}
	c.seen[s.Stream][s.Seq] = true
	c.back++
	c.rtts = append(c.rtts, p.At.Sub(c.zero)-s.Sent)
}

// Named is a profile by its name.
func Named(name string) (orders.Profile, error) {
	p, ok := media.Named(name)
	if !ok {
		var names []string
		for _, p := range media.Profiles() {
			names = append(names, p.Name)
		}
		return p, fmt.Errorf("profile %q: one of %v", name, names)
	}
	return p, nil
}
