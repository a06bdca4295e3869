package reflector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"communewatch/probes/webrtc/reflector/load"
	"communewatch/probes/webrtc/reflector/throttle"
)

// Caller is who asks.
type Caller struct {
	Name     string // for logs, and to count by
	Agent    string // for End; "" for who can't be thrown out
	Sessions int    // how many calls it may have at once; 0: as many as there may be
}

// Options of a reflector.
type Options struct {
	Media     string       // address:port of the media, UDP and TCP alike; port 0 takes a free one
	Addresses []netip.Addr // how callers reach this machine, where a NAT stands before it; empty: as it calls itself

	// Authenticate says who sends a request, by its connection or by the bearer token in it, which may be "". It is asked
	// for every request, so it must be cheap, and its tokens must be too long to be guessed. ErrUnknown: nobody that it
	// knows; ErrRefused: somebody who may not call, whatever the token; any other error: it can't tell now. nil: there are
	// Tokens only.
	Authenticate func(q *http.Request, token string) (Caller, error)
	// Tokens may be used by whoever has them. Guessing at them is slowed down.
	Tokens []string

	Limits  Limits
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // nil: time.Now
}

// Errors of Authenticate; compare with errors.Is. The text of a refusal is for the caller.
var (
	ErrUnknown = errors.New("nobody we know")
	ErrRefused = errors.New("may not call")
)

// Limits of a reflector. What is zero is as in DefaultLimits.
type Limits struct {
	Sessions    int           // calls at once
	Handshakes  int           // of them, how many may still be setting up
	MBPS        int           // Mbit/s of media sent back, above which no further call is taken
	SessionMBPS int           // Mbit/s of media received, above which a call is ended
	Lifetime    time.Duration // of a call
	Idle        time.Duration // a call without media for so long is ended
	Connect     time.Duration // a call that is not connected by then is ended
	CPU         float64       // use of the processors, 0..1, above which no further call is taken
	Residence   time.Duration // 99th percentile of how long packets stay, above which no further call is taken
}

// DefaultLimits fit a machine with two processors at a hub: 136 calls of 2.5 Mbit/s are 340 Mbit/s.
func DefaultLimits() Limits {
	return Limits{
		Sessions: 200, Handshakes: 100, MBPS: 400, SessionMBPS: 12,
		Lifetime: 10 * time.Minute, Idle: 15 * time.Second, Connect: 15 * time.Second,
		CPU: 0.85, Residence: 100 * time.Millisecond,
	}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, n := range []struct{ v, d *int }{{&l.Sessions, &d.Sessions}, {&l.Handshakes, &d.Handshakes}, {&l.MBPS, &d.MBPS}, {&l.SessionMBPS, &d.SessionMBPS}} {
		if *n.v == 0 {
			*n.v = *n.d
		}
	}
	for _, n := range []struct{ v, d *time.Duration }{{&l.Lifetime, &d.Lifetime}, {&l.Idle, &d.Idle}, {&l.Connect, &d.Connect}, {&l.Residence, &d.Residence}} {
		if *n.v == 0 {
			*n.v = *n.d
		}
	}
	if l.CPU == 0 {
		l.CPU = d.CPU
	}
	return l
}

// Rates of requests. A rehearsal's step is a burst of offers; nobody needs more in a row.
const (
	offersPerSecond, offersBurst = 50, 200 // of all callers
	callerPerSecond, callerBurst = 1, 10   // of a caller that may not have all calls
	guessesPerSecond, guesses    = 1, 20   // wrong tokens of an address
	mostAddresses                = 4096    // remembered
	answersAtOnce                = 16      // offers being worked on, for each processor
)

// linger is how long after its end a call is remembered, so that its caller still gets the numbers.
const linger = 20 * time.Second

// Reflector takes test calls. Make one with Open, then let Run run beside its Handler.
type Reflector struct {
	o      Options
	limits Limits
	log    *slog.Logger
	now    func() time.Time
	zero   time.Time // of the clock in echoes

	hub   hub
	addr  netip.AddrPort        // of the media
	drops func() (uint64, bool) // packets that the kernel dropped

	offers  *throttle.Buckets[struct{}]
	callers *throttle.Buckets[string]
	wrong   *throttle.Buckets[netip.Prefix]
	answers chan struct{} // held by offers being worked on

	mu       sync.Mutex // guards the fields below
	closed   bool
	sessions map[string]*session // live and lingering, by id
	live     int
	setting  int // of live: not yet connected

	cpu       atomic.Uint64 // ratio, as math.Float64bits
	downBPS   atomic.Uint64
	upBPS     atomic.Uint64
	residence load.Recent
	total     totals
	metrics   *metrics
	meter     meter // Run's alone
}

// totals count since the start.
type totals struct {
	echoed, foreign, duplicates, stale, unsent atomic.Uint64 // packets
	messages, messagesDropped                  atomic.Uint64
	upBytes, downBytes                         atomic.Uint64
}

// Open binds the media's port. Close the reflector also if Run was never called.
func Open(o Options) (*Reflector, error) {
	r, err := prepare(o)
	if err != nil {
		return nil, err
	}
	udp, tcp, err := listen(o.Media)
	if err != nil {
		return nil, fmt.Errorf("media: %w (`ss -lntup` says who has the port)", err)
	}
	r.addr, r.drops = udp.LocalAddr().(*net.UDPAddr).AddrPort(), load.DropsOf(udp)
	if r.hub, err = newHub(o, r.zero, udp, tcp); err != nil {
		return nil, errors.Join(fmt.Errorf("media: %w", err), udp.Close(), tcp.Close())
	}
	return r, nil
}

// prepare makes a reflector without a hub.
func prepare(o Options) (*Reflector, error) {
	for i, t := range o.Tokens {
		if err := CheckToken(t); err != nil {
			return nil, fmt.Errorf("token %d: %w", i+1, err)
		}
	}
	if o.Authenticate == nil && len(o.Tokens) == 0 {
		return nil, errors.New("no token: nobody could call")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reflector{
		o: o, limits: o.Limits.orDefault(), log: o.Log, now: o.Now, zero: time.Now(),
		drops:    func() (uint64, bool) { return 0, false },
		offers:   throttle.New[struct{}](offersPerSecond, offersBurst, 1),
		callers:  throttle.New[string](callerPerSecond, callerBurst, mostAddresses),
		wrong:    throttle.New[netip.Prefix](guessesPerSecond, guesses, mostAddresses),
		answers:  make(chan struct{}, answersAtOnce*runtime.GOMAXPROCS(0)),
		sessions: map[string]*session{},
	}
	r.metrics = newMetrics(o.Metrics, r)
	return r, nil
}

// listen opens UDP and TCP of one number.
func listen(address string) (*net.UDPConn, net.Listener, error) {
	if err := CheckMedia(address); err != nil {
		return nil, nil, err
	}
	ap := netip.MustParseAddrPort(address)
	var err error
	const tries = 20 // a free port of UDP may be taken of TCP
	for range tries {
		var udp *net.UDPConn
		if udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(ap)); err != nil {
			return nil, nil, err
		}
		port := uint16(udp.LocalAddr().(*net.UDPAddr).Port)
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", netip.AddrPortFrom(ap.Addr(), port).String()); err == nil {
			return udp, tcp, nil
		}
		udp.Close()
		if ap.Port() != 0 {
			break
		}
	}
	return nil, nil, err
}

// MediaAddr is where the media are taken.
func (r *Reflector) MediaAddr() netip.AddrPort { return r.addr }

// Run looks after the calls until ctx ends, and then ends them all.
func (r *Reflector) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.Close()
		case <-tick.C:
			r.tick(r.now())
		}
	}
}

// tick measures the reflector itself and ends the calls whose time is up. It wants to be called every second.
func (r *Reflector) tick(now time.Time) {
	r.meter.read(r, now)
	r.residence.Turn()
	for _, s := range r.all() {
		if why := s.due(now); why != "" {
			s.end(why)
		}
	}
	r.mu.Lock()
	for id, s := range r.sessions {
		if s.forgotten(now) {
			delete(r.sessions, id)
		}
	}
	r.mu.Unlock()
}

// End ends the calls of an agent that may not call any more. It does not wait: they end within a second.
func (r *Reflector) End(agent string) {
	for _, s := range r.all() {
		if agent != "" && s.caller.Agent == agent {
			s.revoked.Store(true)
		}
	}
}

func (r *Reflector) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		out = append(out, s)
	}
	return out
}

// Close ends all calls and gives the port back. Close again does nothing.
func (r *Reflector) Close() error {
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if closed {
		return nil
	}
	for _, s := range r.all() {
		s.end(endClosing)
	}
	return r.hub.Close()
}

// refusal is why a call is turned away.
type refusal struct {
	status int
	reason string // for metrics
	text   string
	retry  time.Duration
}

// overloaded says why no further call is taken now, nil if one is. r.mu is held.
func (r *Reflector) overloaded() *refusal {
	busy := func(reason string, retry time.Duration, format string, args ...any) *refusal {
		return &refusal{503, reason, "busy: " + fmt.Sprintf(format, args...), retry}
	}
	l := &r.limits
	switch {
	case r.closed:
		return busy("closing", 10*time.Second, "the reflector is stopping")
	case r.live >= l.Sessions:
		return busy("sessions", 15*time.Second, "%d calls at once are the most", l.Sessions)
	case r.setting >= l.Handshakes:
		return busy("handshakes", time.Second, "%d calls are setting up", r.setting)
	}
	if cpu := r.cpuRatio(); cpu > l.CPU {
		return busy("cpu", 5*time.Second, "%.0f %% of the processors are in use", 100*cpu)
	}
	if mbps := float64(r.downBPS.Load()) / 1e6; mbps > float64(l.MBPS) {
		return busy("mbps", 10*time.Second, "%.0f Mbit/s are sent", mbps)
	}
	const few = 100 // packets in the window say nothing
	if sum := r.residence.Sum(); sum.N() > few {
		if p99 := sum.Quantile(0.99); p99 > l.Residence {
			return busy("residence", 5*time.Second, "packets stay %v", p99.Round(time.Millisecond))
		}
	}
	return nil
}

// admit gives a caller a place for a call.
func (r *Reflector) admit(caller Caller, now time.Time) (*session, *refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if no := r.overloaded(); no != nil {
		return nil, no
	}
	if caller.Sessions > 0 {
		own := 0
		for _, s := range r.sessions {
			if s.caller.Name == caller.Name && s.counted {
				own++
			}
		}
		if own >= caller.Sessions {
			return nil, &refusal{429, "caller", fmt.Sprintf("this token has %d calls at once already, the most it may have", own), 5 * time.Second}
		}
	}
	s := newSession(r, caller, now)
	r.sessions[s.id] = s
	r.live++
	r.setting++
	return s, nil
}

// changed books that a session was connected, or has ended.
func (r *Reflector) changed(s *session, connected, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if (connected || ended) && s.settingUp {
		s.settingUp = false
		r.setting--
	}
	if ended && s.counted {
		s.counted = false
		r.live--
	}
}

// forget drops a session at once.
func (r *Reflector) forget(s *session) {
	r.mu.Lock()
	delete(r.sessions, s.id)
	r.mu.Unlock()
}

// monotonic is the clock in echoes.
func (r *Reflector) monotonic() time.Duration { return time.Since(r.zero) }
