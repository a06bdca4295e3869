// Package call makes one call with real media and measures it: signalling, ICE, DTLS, streams paced as encoders pace
// them, and the account of what became of every packet in each direction.
//
// # How the directions are told apart
//
// Each packet carries a stamp: the call, the stream, the number and the time of sending. A reflector notes when it had
// the packet and sends it back with numbers of its own. What is missing in the site's numbers at the reflector was
// lost on the way up; the reflector counts that and says so when the call ends. What is missing in the reflector's
// numbers here was lost on the way down. So neither side guesses.
//
// Other services know nothing of this. Janus EchoTest sends packets back as they are: the ways there and back can't be
// told apart, and are one flow, "round". An endpoint of WHIP takes media and says in RTCP receiver reports how many
// it missed; one of WHEP sends media, whose RTP numbers tell what is missing.
//
// # Clocks
//
// All times are of monotonic clocks, one at each end, so that nobody who sets a clock can disturb a result. Delay of
// one way is told only if both kernels say that something keeps their clocks right and how right.
//
// # What a packet is that the system would not send
//
// It was offered to the line and did not arrive: it counts as sent, and lost. When a line is down sending fails at
// once, and a test that left these packets out would read an outage as a perfect line.
package call

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"communewatch/probes"
	"communewatch/probes/bind"
	"communewatch/probes/connect"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/call/usage"
	"communewatch/probes/webrtc/clock"
	"communewatch/probes/webrtc/limits"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/quality"
	"communewatch/probes/webrtc/report"
	"communewatch/probes/webrtc/rtc"
	"communewatch/probes/webrtc/whip"
)

// Services.
const (
	Auto      = "auto"      // by the URL: janus and whep by its path, else reflector or whip by the answer
	Reflector = "reflector" // ours
	WHIP      = "whip"
	WHEP      = "whep"
	Janus     = "janus" // EchoTest
)

// Spec is one call to make. It can be written as JSON, secrets included: it goes to the process of the call.
type Spec struct {
	Address string `json:"address"` // URL
	Service string `json:"service"`
	Token   string `json:"token,omitempty"`

	Path   probes.Path `json:"path"`
	Device string      `json:"device,omitempty"`
	Source netip.Addr  `json:"source"`
	Guard  *bind.Guard `json:"guard,omitempty"`

	Profile   orders.Profile `json:"profile"` // passed media.Check
	Duration  time.Duration  `json:"duration"`
	Rehearsal bool           `json:"rehearsal,omitempty"`

	Steps     []int         `json:"steps,omitempty"` // of the ramp, bit/s of video, rising; none: no ramp
	StepFor   time.Duration `json:"step_for,omitempty"`
	BudgetBPS float64       `json:"budget_bps,omitempty"` // of the line, headers included; the ramp stays below

	Data                       bool          `json:"data,omitempty"`
	AudioPlayout, VideoPlayout time.Duration // zero: flow's own

	SkipVerify bool          `json:"skip_verify,omitempty"`
	CA         []byte        `json:"ca,omitempty"` // PEM; empty: the system's
	Timeout    time.Duration `json:"timeout"`      // for setting up

	Member *connect.Member `json:"member,omitempty"` // for a service of the agent's own collector, in the place of CA

	Alone bool `json:"alone,omitempty"` // in a process of its own
}

// EndTime is the longest that ending a call takes, from the last packet sent.
const EndTime = settleMost + 2*endTimeout

const (
	settleMost = 2 * time.Second // late packets are waited for
	endTimeout = 5 * time.Second // one try to tell the service
	leaveTime  = 2 * time.Second // the same when there is no time left
)

func (s *Spec) binding() bind.Binding {
	return bind.Binding{Path: s.Path, Device: s.Device, Source: s.Source, Guard: s.Guard}
}

// run is one call under way.
type run struct {
	spec    Spec
	service string
	zero    time.Time // of the clock in stamps
	number  uint64    // of the call
	call    *rtc.Call
	signal  whip.Signalling

	report   report.Call
	streams  []*stream // what is sent, the ramp's included
	recv     *receipts
	data     *chat         // nil without a data channel
	began    time.Duration // when media did, since zero
	sent     time.Duration // how long those of the profile were
	flowed   time.Duration // the same, with the ramp's
	shifted  time.Duration // that streams stood still because this process did not get to run
	lateness []float64     // of frames, s
	usage    usage.Usage
	sockets  sockets
}

// Run makes a call and returns what was measured, with an error if it did not go as it should: both may be there.
// started, if not nil, is called when media begin to flow. Cancelling ctx ends the call early, in good order.
func Run(ctx context.Context, spec Spec, started func()) (*report.Call, error) {
	r := &run{spec: spec, service: spec.Service, zero: time.Now(), usage: usage.Read()}
	r.report = report.Call{Service: spec.Service, Profile: spec.Profile.Name, Rehearsal: spec.Rehearsal, LimitedBy: "none", Flows: []report.Flow{}}
	err := r.setUp(ctx)
	if r.call != nil {
		defer r.call.Close()
		r.phases()
	}
	r.report.Service = r.service
	if err != nil {
		_, _ = r.leave(ctx, nil)
		return &r.report, err
	}
	if started != nil {
		started()
	}
	err = r.media(ctx)
	return r.finish(ctx, err)
}

// setUp makes the connection.
func (r *run) setUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.spec.Timeout)
	defer cancel()
	b := r.spec.binding()
	if err := b.Check(); err != nil {
		return err
	}
	signal, host, err := r.signalling()
	if err != nil {
		return err
	}
	r.signal = signal
	addr, err := b.Resolve(ctx, "", host, r.spec.Timeout)
	if err != nil {
		return err
	}
	socket, local, err := openSocket(ctx, b, addr)
	if err != nil {
		return err
	}
	r.sockets.add(socket)
	r.recv = newReceipts(r)
	profile := r.spec.Profile
	cfg := rtc.DialConfig{
		Socket: socket, Local: local, Audio: profile.AudioBPS > 0, Data: r.spec.Data && r.service != WHIP && r.service != WHEP, Signalled: addr,
		Allowed: func(a netip.Addr) bool { return b.Guard.Check(a) == nil },
		TCP: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			c, err := b.Dialer("tcp", 5*time.Second).DialContext(ctx, "tcp", to.String())
			if err == nil {
				r.sockets.add(c)
			}
			return c, err
		},
		Signal: r.offer, OnPacket: r.recv.packet,
	}
	if profile.VideoBPS > 0 || len(r.spec.Steps) > 0 {
		cfg.Videos = 1
	}
	switch r.service {
	case WHIP:
		cfg.Mode = rtc.SendOnly
	case WHEP:
		cfg.Mode = rtc.RecvOnly
	}
	if cfg.Data {
		r.data = &chat{run: r}
		cfg.OnMessage = r.data.echoed
	}
	r.call, err = rtc.Dial(ctx, cfg)
	if err != nil {
		if errors.Is(err, rtc.ErrSDP) {
			return probes.Errorf(probes.OutcomeFailed, "%w", err)
		}
		return err
	}
	return nil
}

// offer signals, and learns from the answer what the service is.
func (r *run) offer(ctx context.Context, offer string) (string, error) {
	answer, err := r.signal.Offer(ctx, offer)
	if err != nil {
		return "", err
	}
	number, numbered := r.signal.Session()
	switch {
	case numbered:
		r.number = number
	case r.service == Reflector:
		return "", probes.Errorf(probes.OutcomeFailed, "the service is no reflector of communewatch (no %s in its answer): set service to whip or auto", whip.HeaderSession)
	default:
		r.number = randomNumber()
	}
	if r.service == Auto {
		r.service = WHIP
		if numbered {
			r.service = Reflector
		}
	}
	r.makeStreams()
	return answer, nil
}

// openSocket makes the call's UDP socket, bound as the path wants it, and finds the address that its packets leave
// with on their way to addr.
func openSocket(ctx context.Context, b bind.Binding, addr netip.Addr) (net.PacketConn, netip.Addr, error) {
	network, local := "udp4", b.Source
	if !addr.Is4() {
		network = "udp6"
	}
	if !local.IsValid() {
		// Connecting a UDP socket sends nothing; it makes the kernel choose a source.
		c, err := b.Dialer("udp", time.Second).DialContext(ctx, network, netip.AddrPortFrom(addr, 9).String())
		if err != nil {
			return nil, local, err
		}
		if u, ok := c.LocalAddr().(*net.UDPAddr); ok {
			local = u.AddrPort().Addr().Unmap().WithZone("")
		}
		c.Close()
	}
	at := ":0"
	if b.Source.IsValid() {
		at = netip.AddrPortFrom(b.Source, 0).String()
	}
	lc := net.ListenConfig{Control: b.ControlListen}
	socket, err := lc.ListenPacket(ctx, network, at)
	if err != nil {
		return nil, local, err
	}
	if u, ok := socket.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(1 << 20) // a second of 8 Mbit/s
	}
	return socket, local, nil
}

// phases writes down how far setting up came, and how long it took.
func (r *run) phases() {
	p := r.call.Phases()
	seconds := func(d time.Duration) *float64 {
		if d <= 0 {
			return nil
		}
		v := d.Seconds()
		return &v
	}
	r.report.Phases = report.Phases{Signalling: seconds(p.Signalling), ICE: seconds(p.ICE), DTLS: seconds(p.DTLS), FirstMedia: seconds(p.FirstMedia), Setup: seconds(p.Setup)}
	r.report.Transport = r.call.Transport()
}

// leave ends the call at the service, whatever became of it, and returns what the service says.
func (r *run) leave(ctx context.Context, sent *whip.Sent) (*whip.Ending, error) {
	if r.signal == nil {
		return nil, nil
	}
	timeout := endTimeout
	if sent == nil || ctx.Err() != nil {
		timeout = leaveTime
	}
	// Whether or not the run was cancelled: a call that was cut short has to be ended too, or it keeps its place at the service.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	return r.signal.End(ctx, sent)
}

// finish ends the call and puts the report together.
func (r *run) finish(ctx context.Context, err error) (*report.Call, error) {
	if ctx.Err() == nil && !isOver(r.call) {
		r.settle(ctx, func() bool { return r.recv.complete() && (r.data == nil || r.data.complete()) })
	}
	sent := r.whatWasSent()
	ending, endErr := r.leave(ctx, &sent)
	if endErr != nil && r.service == Reflector && ctx.Err() == nil {
		// Once more: the first may have been lost with its connection. If then the call is not known, it was the answer
		// that got lost, unless nobody took the first.
		again, err := r.leave(ctx, &sent)
		if ending = again; !errors.Is(err, whip.ErrForgotten) || errors.Is(endErr, syscall.ECONNREFUSED) {
			endErr = err
		}
	}
	r.phases()
	r.report.MediaSeconds = r.sent.Seconds()
	r.account(ending)
	if r.data != nil && err == nil && (r.service != Reflector || ending != nil && ending.Ended == whip.EndedCaller) {
		r.report.Data = r.data.result() // else what came too late for the far end would count as lost
	}
	r.usage.Until(&r.report.Agent, r.flowed)
	r.report.Agent.PacingP95 = percentile(r.lateness, 95)
	r.sockets.until(&r.report.Agent)
	overloaded := r.limits()
	broken := r.ended(ending, endErr)
	if broken != nil && r.report.Ramp != nil {
		r.report.Ramp.End = "stopped"
	}
	if r.service != Reflector || ending != nil && broken == nil { // half an account makes a good grade of a line that went away
		r.report.Quality = quality.Of(&r.report, quality.Inputs{Profile: r.spec.Profile})
	}
	return &r.report, r.verdict(ctx, err, ending, endErr, broken, overloaded)
}

// ended says why the reflector did not hear the call out, for reasons that are not the line's; nil if it did.
func (r *run) ended(ending *whip.Ending, endErr error) error {
	var err error
	switch {
	case r.service != Reflector:
		return nil
	case ending == nil && r.spec.Member != nil && probes.OutcomeOf(endErr) == probes.OutcomeBadConfig: // thrown out meanwhile
		return endErr
	case ending == nil && errors.Is(endErr, whip.ErrForgotten):
		err = endErr
	case ending == nil || !whip.Early(ending.Ended):
		return nil
	case ending.Ended == whip.EndedRate:
		return probes.Errorf(probes.OutcomeBadConfig, "the reflector ended the call: it sends more than a call may there. Choose a smaller profile, or raise reflector.session_mbps (--session-mbps) at the hub")
	case ending.Ended == whip.EndedLifetime:
		return probes.Errorf(probes.OutcomeBadConfig, "the reflector ended the call: it is longer than a call may be there. Choose a shorter duration, or raise reflector.max_lifetime (--max-lifetime) at the hub")
	case ending.Ended == whip.EndedIdle:
		return probes.Errorf(probes.OutcomeTimeout, "the reflector ended the call: for a while no media reached it")
	default:
		err = probes.Errorf(probes.OutcomeOverloaded, "the reflector was stopped during the call: the numbers are of what was before")
	}
	r.report.LimitedBy = "reflector"
	r.report.Limits = append(r.report.Limits, err.Error())
	return err
}

func isOver(c *rtc.Call) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// verdict says how the call went as a whole.
func (r *run) verdict(ctx context.Context, err error, ending *whip.Ending, endErr, broken error, overloaded string) error {
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return fmt.Errorf("the call was cut short: %w", context.Cause(ctx))
	case broken != nil: // the end of the connection follows from it
		return broken
	case err != nil:
		return err
	}
	refusal, at := r.refusals()
	switch {
	case r.service == Reflector && ending == nil && refusal != nil && r.sent-at < time.Second:
		return fmt.Errorf("the path was lost during the call: %w", refusal)
	case r.service == Reflector && ending == nil:
		outcome := probes.OutcomeOf(endErr)
		if outcome == probes.OutcomeFailed || outcome.Own() {
			outcome = probes.OutcomeFailed
		}
		return probes.Errorf(outcome, "the reflector did not say what it received, so the way up is counted as far as its echoes told: %w", endErr)
	case len(r.report.Flows) == 0:
		return probes.Errorf(probes.OutcomeFailed, "the service took the call, but sent nothing that tells what became of the media")
	case r.nothingCame():
		return probes.Errorf(probes.OutcomeTimeout, "the call was connected, but no media came through")
	case overloaded != "":
		return probes.Errorf(probes.OutcomeOverloaded, "%s: the numbers are not the line's alone", overloaded)
	}
	return nil
}

func (r *run) nothingCame() bool {
	for _, f := range r.report.Flows {
		if f.Received > 0 {
			return false
		}
	}
	return true
}

// whatWasSent is what a reflector is told.
func (r *run) whatWasSent() whip.Sent {
	s := whip.Sent{MediaSeconds: r.sent.Seconds()}
	for _, st := range r.streams {
		if packets, frames := st.counts(); packets > 0 {
			said := whip.SentStream{Stream: st.number, Media: st.Media, Sent: packets}
			if st.Media == probes.MediaVideo {
				said.Frames = frames
			}
			s.Streams = append(s.Streams, said)
		}
	}
	return s
}

// limits says what kept the numbers from being the line's alone; overloaded is not empty if they are not to be held
// against it.
func (r *run) limits() (overloaded string) {
	in := limits.Inputs{Shifted: r.shifted, Unsent: r.localRefusals(), Alone: r.spec.Alone}
	for _, f := range r.report.Flows {
		if p := time.Duration(f.Playout * float64(time.Second)); p > 0 && (in.Playout == 0 || p < in.Playout) {
			in.Playout = p
		}
	}
	v := limits.Of(&r.report, in)
	r.report.LimitedBy, r.report.Limits = v.By, v.Texts
	return v.Overloaded
}

// delay tells one-way delay, if both clocks are proven to be right.
func (r *run) delay(far clock.Clock) {
	near := clock.Read(r.zero)
	up, down, ok := r.recv.oneWay()
	if !ok || !near.Synchronised || !far.Synchronised {
		return
	}
	apart := time.Duration(far.Zero - near.Zero).Seconds()
	d := report.Delay{Up: up + apart, Down: down - apart, Error: near.MaxError + far.MaxError}
	if d.Up < -d.Error || d.Down < -d.Error || d.Up > 60 || d.Down > 60 {
		return // whatever the kernels say, these clocks are not right
	}
	d.Up, d.Down = max(d.Up, 0), max(d.Down, 0)
	r.report.Delay = &d
}

// makeStreams makes the profile's streams, and one for the ramp.
func (r *run) makeStreams() {
	if r.service == WHEP {
		return // it sends, we don't
	}
	for i, s := range media.Streams(r.spec.Profile) {
		r.streams = append(r.streams, &stream{Stream: s, number: uint8(i), track: i})
	}
	if r.ramps() {
		track := 0
		if r.spec.Profile.AudioBPS > 0 {
			track = 1
		}
		r.streams = append(r.streams, &stream{Stream: media.Video(r.spec.Steps[0], rampFPS), number: rampNumber, track: track})
	}
}
