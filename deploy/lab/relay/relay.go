package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"communewatch/probes"
)

// Config of a relay.
type Config struct {
	Listen netip.AddrPort // the site's side; port 0: any. Media are taken at the same address, on ports of their own
	Hub    string         // URL of the hub's signalling, without a path: http://127.0.0.1:8787
	Source netip.Addr     // where the hub sees the site's packets come from; zero: the system's choice
	Trunk  *Trunk         // the hub's own line, which its sites share; nil: a perfect one
	Seed   uint64         // of all that is random
	Log    int            // RTP packets that are logged one by one, per call and direction; 0: none
	Out    *slog.Logger   // nil: nothing is said
}

// Bounds of a relay.
const (
	maxCalls  = 8  // at once
	keepBooks = 16 // of calls that have ended
	maxPeers  = 8  // addresses of the site in one call: what ICE tries
	// idleAfter ends a call of which no packet was seen for so long: its ends forgot to say goodbye.
	idleAfter = 30 * time.Second
	longest   = time.Hour // of a call
	maxQueued = 16_384    // packets on their way, per call
)

// Relay is the line of one site. Make it with Listen, end it with Close.
type Relay struct {
	cfg      Config
	hub      *url.URL
	listener net.Listener
	server   *http.Server
	client   *http.Client
	up, down shaper
	wg       sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	line   Line
	calls  map[*Call]bool
	at     map[string]*Call // by the path of their sessions at the hub
	ended  []Books
	closed bool

	total [2]totals // up, down
}

// totals counts what became of the packets of all calls, in one direction.
type totals struct{ packets, bytes, passed atomic.Int64 }

// Total is what a relay carried in one direction since it began, of all classes.
type Total struct{ Packets, Bytes, Passed int64 }

// Listen opens a relay.
func Listen(cfg Config) (*Relay, error) {
	hub, err := url.Parse(cfg.Hub)
	if err != nil || hub.Host == "" || (hub.Scheme != "http" && hub.Scheme != "https") {
		return nil, fmt.Errorf("hub %q: want http://HOST:PORT", cfg.Hub)
	}
	if cfg.Out == nil {
		cfg.Out = slog.New(slog.DiscardHandler)
	}
	r := &Relay{cfg: cfg, hub: hub, calls: map[*Call]bool{}, at: map[string]*Call{}}
	r.up.seed(cfg.Seed, 1)
	r.down.seed(cfg.Seed, 2)
	if r.listener, err = net.Listen("tcp", cfg.Listen.String()); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if cfg.Source.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: cfg.Source.AsSlice()}
	}
	// Connections are not kept: a call makes two requests, and most of the time there is none.
	r.client = &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, ResponseHeaderTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r.server = &http.Server{
		Handler: http.HandlerFunc(r.front), ReadTimeout: 20 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 20 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	r.wg.Go(func() { r.server.Serve(r.listener) })
	return r, nil
}

// Addr is where the relay's front listens.
func (r *Relay) Addr() netip.AddrPort {
	return r.listener.Addr().(*net.TCPAddr).AddrPort()
}

// URL is what a site's check calls: the path of the hub's WHIP endpoint at the relay's address.
func (r *Relay) URL(path string) string { return "http://" + r.Addr().String() + path }

// Set changes what the line does, for calls that are on as well. Packets under way go on as they were.
func (r *Relay) Set(l Line) error {
	if err := l.Validate(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line = l
	r.up.set(l.Up)
	r.down.set(l.Down)
	for c := range r.calls {
		c.rescript(l)
	}
	return nil
}

// Line is what the line does now.
func (r *Relay) Line() Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.line
}

// Calls is how many calls are on.
func (r *Relay) Calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls)
}

// Ended returns the books of the last calls that have ended, oldest first.
func (r *Relay) Ended() []Books {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Books(nil), r.ended...)
}

// Total is what was carried in one direction.
func (r *Relay) Total(d probes.Direction) Total {
	t := &r.total[side(d)]
	return Total{Packets: t.packets.Load(), Bytes: t.bytes.Load(), Passed: t.passed.Load()}
}

func side(d probes.Direction) int {
	if d == probes.DirectionUp {
		return 0
	}
	return 1
}

// Close ends all calls and waits until nothing is left.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	calls := make([]*Call, 0, len(r.calls))
	for c := range r.calls {
		calls = append(calls, c)
	}
	r.mu.Unlock()
	for _, c := range calls {
		c.End()
	}
	r.server.Close()
	r.client.CloseIdleConnections()
	r.wg.Wait()
}

var errFull = errors.New("too many calls at once")

// Open makes a way for one call to the hub's media address, without signalling. media says which payload types are
// what; it may be nil.
func (r *Relay) Open(hub netip.AddrPort, media map[uint8]probes.Media) (*Call, error) {
	site, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.Addr().Addr(), 0)))
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	// A busy machine may leave the relay without a processor for some tens of milliseconds; what it loses would be
	// taken for the line's loss.
	site.SetReadBuffer(1 << 20)
	alarm, err := newAlarm()
	if err != nil {
		site.Close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	c := &Call{
		relay: r, site: site, hub: hub, media: media, begun: time.Now(), alarm: alarm, done: make(chan struct{}),
		peers: map[netip.AddrPort]*peer{},
	}
	c.seen.Store(int64(time.Since(c.begun)))
	for i, d := range []probes.Direction{probes.DirectionUp, probes.DirectionDown} {
		c.lanes[i] = &lane{ledger: ledger{direction: d, streams: map[streamKey]*track{}, room: r.cfg.Log}, total: &r.total[i]}
	}
	c.lanes[0].shapers, c.lanes[1].shapers = []*shaper{&r.up}, []*shaper{&r.down}
	if t := r.cfg.Trunk; t != nil {
		c.lanes[0].shapers = append(c.lanes[0].shapers, t.way(probes.DirectionUp))
		c.lanes[1].shapers = []*shaper{t.way(probes.DirectionDown), &r.down}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.calls) >= maxCalls {
		site.Close()
		alarm.close()
		return nil, errFull
	}
	r.calls[c] = true
	c.rescript(r.line)
	c.wg.Go(c.takeUp)
	c.wg.Go(c.depart)
	c.watch = time.AfterFunc(idleAfter, c.look)
	return c, nil
}
