package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"communewatch/agent/spool"
	"communewatch/probes/wire"
)

// Clock is the clock that stamps points. Its number changes when it jumped; see wire.HeaderClock.
type Clock interface {
	Now() (t time.Time, clock int)
	Boot() string
}

// Options says where batches go.
type Options struct {
	Collectors []Collector // in order of preference; at least one
	Org        string
	Bucket     string
	Agent      string // name of this agent

	// BacklogBytesPerSecond bounds what is older than the newest, packed; default 32 KiB (256 kbit/s), negative for
	// no bound.
	BacklogBytesPerSecond int

	Log *slog.Logger // default slog.Default()

	transport func(Collector) http.RoundTripper // for tests without sockets
}

const (
	defaultBacklogRate = 32 << 10

	// share is how often one batch of the backlog is taken from its older end.
	share = 4

	sealEvery   = time.Second     // how precisely the spool's SealAfter is kept
	lastAttempt = 2 * time.Second // for what is left when the agent stops
	readPause   = 5 * time.Second // after the spool could not be read

	backoffMin  = time.Second
	backoffMax  = time.Minute
	deniedPause = 5 * time.Minute  // a token is put right by people
	busyMax     = 10 * time.Minute // no Retry-After binds us for longer; the answer may be a portal's

	doubts = 3 // times that a batch must be refused unread before that is believed

	returnMin = time.Minute      // first try to return to a preferred collector
	returnMax = 30 * time.Minute // and the longest pause between tries
	steady    = 10 * time.Minute // a return that lasted this long was a good one
)

// Stats describes the delivery.
type Stats struct {
	Sent        uint64    // batches taken by a collector
	SentBytes   uint64    // on the wire, headers left out, failed tries included
	Refused     uint64    // batches set aside because a collector refused rows of them
	Failures    uint64    // tries that failed
	LastSuccess time.Time // by the agent's clock; zero before the first
	Current     string    // URL of the collector in use

	ClockOffset      time.Duration // collector's clock minus the agent's, +- half the round trip
	ClockOffsetKnown bool          // false before the first answer that tells
}

// Shipper sends batches; see the package's documentation.
type Shipper struct {
	o       Options
	spool   *spool.Spool
	clock   Clock
	backlog *rate.Limiter // nil for no bound

	// The state of Run's loop.
	peers       []*peer
	current     int           // index of the peer in use
	returnAt    time.Time     // when a preferred one may be tried, while current is not 0
	returnAfter time.Duration // pause before that
	returned    time.Time     // when the preferred one was last returned to
	liveSeq     uint64        // highest number of this boot that was sent; what is above is new
	turn        int           // counts batches of the backlog
	backlogAt   time.Time     // when the next one may be sent
	suspect     spool.ID      // the last batch that was refused unread
	suspected   int           // and how often in a row
	sealTrouble string        // sealLoop's

	mu    sync.Mutex // guards the fields below
	stats Stats
}

// New returns a shipper that does nothing until Run.
func New(o Options, s *spool.Spool, clock Clock) *Shipper {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	sh := &Shipper{o: o, spool: s, clock: clock, returnAfter: returnMin}
	if len(o.Collectors) > 0 {
		sh.stats.Current = o.Collectors[0].URL
	}
	if r := o.BacklogBytesPerSecond; r >= 0 {
		if r == 0 {
			r = defaultBacklogRate
		}
		// The burst is two seconds' worth: what piled up during a hiccup follows at once.
		sh.backlog = rate.NewLimiter(rate.Limit(r), 2*r)
	}
	return sh
}

// Stats describes the delivery at this moment.
func (s *Shipper) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Shipper) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

// Run seals and sends batches until ctx ends, makes one last attempt of at most two seconds to send what is left, and
// returns. An error means that it could not begin.
func (s *Shipper) Run(ctx context.Context) error {
	if len(s.o.Collectors) == 0 {
		return errors.New("ship: no collector is configured")
	}
	s.peers = nil
	for _, c := range s.o.Collectors {
		p, err := newPeer(c, &s.o, s.clock)
		if err != nil {
			return fmt.Errorf("ship: %w", err)
		}
		s.peers = append(s.peers, p)
	}
	// A request under way when ctx ends may finish within the time of the last attempt.
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done, sealed := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(sealed)
		s.sealLoop(ctx)
	})
	wg.Go(func() {
		<-ctx.Done()
		select {
		case <-done:
		case <-time.After(lastAttempt):
			stop()
		}
	})

	for ctx.Err() == nil {
		wait, ready := s.step(sending)
		s.pause(ctx, wait, ready)
	}
	<-sealed
	s.sendRest(sending)
	close(done)
	wg.Wait()
	for _, p := range s.peers {
		p.hangUp()
	}
	return nil
}

// sealLoop runs beside the sending, since a request may take longer than a batch may stay open. When ctx ends it
// seals what there is.
func (s *Shipper) sealLoop(ctx context.Context) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.seal(true)
			return
		case <-tick.C:
			s.seal(false)
		}
	}
}

// seal is called by sealLoop alone.
func (s *Shipper) seal(force bool) {
	err := s.spool.Seal(force)
	if errors.Is(err, spool.ErrClosed) {
		return
	}
	text := ""
	if err != nil {
		text = clean(err.Error())
	}
	switch {
	case text != "" && s.sealTrouble == "":
		s.o.Log.Error("the spool's disk takes no batches; they wait in memory (make room, or look at the disk)", "error", text)
	case text == "" && s.sealTrouble != "":
		s.o.Log.Info("the spool's disk takes batches again")
	}
	s.sealTrouble = text
}

// forever is a wait that only a new batch ends.
const forever = time.Duration(1<<63 - 1)

// pause waits, or less when ready signals a new batch. A nil ready does not.
func (s *Shipper) pause(ctx context.Context, wait time.Duration, ready <-chan struct{}) {
	if wait <= 0 {
		return
	}
	var timer <-chan time.Time
	if wait != forever {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-timer:
	case <-ready:
	}
}

// step sends at most one batch, and says how long to wait before the next step and whether a new batch ends the wait.
func (s *Shipper) step(ctx context.Context) (wait time.Duration, ready <-chan struct{}) {
	now := time.Now()
	i, wait := s.choose(now)
	if wait > 0 {
		return wait, nil
	}
	b, live, ok, err := s.next(now)
	switch {
	case err != nil:
		s.o.Log.Error("the spool can't be read", "error", err)
		return readPause, nil
	case !ok && s.backlogAt.After(now) && s.spool.Stats().Batches > 0:
		return s.backlogAt.Sub(now), s.spool.Ready()
	case !ok:
		return forever, s.spool.Ready()
	}
	sent := s.send(ctx, i, b)
	if !live {
		s.turn++
		if s.backlog != nil && sent > 0 {
			now = time.Now()
			s.backlogAt = now.Add(s.backlog.ReserveN(now, min(sent, s.backlog.Burst())).DelayFrom(now))
		}
	}
	return 0, nil
}

// next picks the batch to send: the newest if it is new, else one of the backlog if its rate allows.
func (s *Shipper) next(now time.Time) (b spool.Batch, live, ok bool, err error) {
	b, ok, err = s.spool.Newest()
	if err != nil || !ok {
		return b, false, false, err
	}
	if b.ID.Boot == s.clock.Boot() && b.ID.Seq > s.liveSeq {
		return b, true, true, nil
	}
	if s.backlogAt.After(now) {
		return b, false, false, nil
	}
	if s.turn%share == share-1 {
		b, ok, err = s.spool.Oldest()
	}
	return b, false, ok, err
}

// sendRest is the last attempt: newest first, by the collector in use or else one of the others, backing off or not,
// until each has failed once or ctx ends.
func (s *Shipper) sendRest(ctx context.Context) {
	order := []int{s.current}
	for i := range s.peers {
		if i != s.current {
			order = append(order, i)
		}
	}
	for len(order) > 0 && ctx.Err() == nil {
		b, ok, err := s.spool.Newest()
		if !ok || err != nil {
			return
		}
		s.send(ctx, order[0], b)
		if s.peers[order[0]].trouble != taken {
			order = order[1:]
		}
	}
}

// send sends a batch to a peer and does what the answer asks for. It returns the bytes sent.
func (s *Shipper) send(ctx context.Context, i int, b spool.Batch) int {
	p := s.peers[i]
	v, a := s.deliver(ctx, p, b)
	now := time.Now()
	s.count(func(st *Stats) { st.SentBytes += uint64(a.sent) })

	store, commit, durable, ok := a.durability()
	v = s.reconsider(p, b.ID, v, a, ok)
	switch v {
	case taken:
		p.took = true
		if ok {
			s.spool.Acknowledged(b.ID, store, commit)
		} else if err := s.spool.Forget(b.ID); err != nil {
			s.o.Log.Warn("spool: forget batch", "error", err)
		}
		at, _ := s.clock.Now()
		s.count(func(st *Stats) { st.Sent++; st.LastSuccess = at })
	case refused:
		why := "refused by the collector: " + a.message
		var err error
		if ok { // its good rows are stored, but maybe not yet on disk there
			err = s.spool.QuarantineCopy(b.ID, why)
			s.spool.Acknowledged(b.ID, store, commit)
		} else {
			err = s.spool.Quarantine(b.ID, why)
		}
		if err != nil {
			s.o.Log.Warn("refused batch could not be set aside", "batch", b.ID.String(), "reason", why, "error", err)
		}
		s.count(func(st *Stats) { st.Refused++ })
	}
	if ok {
		s.spool.Durable(store, durable)
	}
	if v == taken || v == refused {
		if b.ID.Boot == s.clock.Boot() {
			s.liveSeq = max(s.liveSeq, b.ID.Seq)
		}
		s.settle(i, now)
		p.worked(s.o.Log, now)
		return a.sent
	}
	if ctx.Err() != nil {
		return a.sent // the agent is stopping: no fault of the collector's
	}
	s.count(func(st *Stats) { st.Failures++ })
	p.notUntil = now.Add(s.delay(p, v, a, now))
	p.failed(s.o.Log, v, a.message, now)
	if i < s.current { // a try to return
		s.returnAfter = min(2*s.returnAfter, returnMax)
		s.returnAt = now.Add(s.returnAfter)
	}
	return a.sent
}

// reconsider looks at a verdict in the light of what went before; numbered says that the answer numbers the batch, so
// the collector has been through its rows.
func (s *Shipper) reconsider(p *peer, id spool.ID, v verdict, a *answer, numbered bool) verdict {
	switch {
	case v == denied && numbered && p.took:
		// It takes other batches of ours, so the token is good and these rows belong to somebody else: left from the
		// time before the agent was given to another site.
		return refused
	case v == denied:
		p.took = false
	case v == refused && !numbered && a.header.Get(wire.HeaderReceivedAt) != "":
		// A communewatch collector did not get as far as the rows. The request may have been damaged on its way.
		if s.suspect != id {
			s.suspect, s.suspected = id, 0
		}
		if s.suspected++; s.suspected < doubts {
			return broken
		}
	}
	return v
}

// deliver posts a batch, in pieces where the whole is too large, and returns what became of all of it.
func (s *Shipper) deliver(ctx context.Context, p *peer, b spool.Batch) (verdict, *answer) {
	pieces := [][]byte{b.Body}
	whole := &answer{}
	result := taken
	for len(pieces) > 0 {
		piece := pieces[len(pieces)-1]
		pieces = pieces[:len(pieces)-1]
		x := p.post(ctx, b.ID, piece)
		if x.timed {
			s.count(func(st *Stats) { st.ClockOffset, st.ClockOffsetKnown = x.offset, true })
		}
		a := &x.answer
		a.sent += whole.sent
		v := judge(a)
		if v == tooLarge {
			if first, second, ok := halve(piece); ok {
				pieces = append(pieces, second, first)
				whole.sent = a.sent
				continue
			}
			v = foreign // something that takes not even one line
			if a.genuine {
				v = refused
			}
		}
		if v != taken && v != refused {
			return v, a
		}
		store, _, _, numbered := a.durability()
		if before, _, _, ok := whole.durability(); ok && numbered && before != store {
			a.message = "the collector's store was opened anew between the halves of a batch"
			return broken, a
		}
		if v == refused && result != refused {
			result, whole.message = refused, a.message
		}
		if numbered || whole.header == nil {
			whole.header = a.header // numbers rise, so the last one stands for all
		}
		whole.status, whole.sent = a.status, a.sent
	}
	return result, whole
}

// halve cuts lines at the line end nearest to the middle; ok is false when there is only one line.
func halve(lines []byte) (first, second []byte, ok bool) {
	mid := len(lines) / 2
	if i := bytes.IndexByte(lines[mid:], '\n'); i >= 0 && mid+i+1 < len(lines) {
		return lines[:mid+i+1], lines[mid+i+1:], true
	}
	if i := bytes.LastIndexByte(lines[:mid], '\n'); i >= 0 {
		return lines[:i+1], lines[i+1:], true
	}
	return nil, nil, false
}

// delay is how long a peer is left alone after a failure.
func (s *Shipper) delay(p *peer, v verdict, a *answer, now time.Time) time.Duration {
	switch v {
	case denied:
		return deniedPause + time.Duration(rand.Int64N(int64(deniedPause/10)))
	case busy:
		if d := a.retryAfter(now); d > 0 {
			d = min(max(d, backoffMin), busyMax)
			return d + time.Duration(rand.Int64N(int64(d/10)+1)) // everybody was told the same
		}
	}
	ceiling := 2 * backoffMin
	if p.trouble != taken {
		ceiling = min(max(ceiling, now.Sub(p.since)), backoffMax)
	}
	return backoffMin + time.Duration(rand.Int64N(int64(ceiling-backoffMin)+1))
}

// choose returns the peer to send to, or how long all of them are to be left alone.
func (s *Shipper) choose(now time.Time) (int, time.Duration) {
	free := func(i int) bool { return !s.peers[i].notUntil.After(now) }
	if s.current > 0 && !now.Before(s.returnAt) {
		for i := range s.current {
			if free(i) {
				return i, 0
			}
		}
	}
	if free(s.current) {
		return s.current, 0
	}
	wait := forever
	for i, p := range s.peers {
		if free(i) {
			return i, 0
		}
		wait = min(wait, p.notUntil.Sub(now))
	}
	return 0, wait
}

// settle makes the peer that just worked the current one.
func (s *Shipper) settle(i int, now time.Time) {
	if i == s.current {
		return
	}
	s.o.Log.Info("changed collector", "from", s.peers[s.current].URL, "to", s.peers[i].URL)
	if i > s.current { // away from a preferred one
		if now.Sub(s.returned) > steady {
			s.returnAfter = returnMin
		} else {
			s.returnAfter = min(2*s.returnAfter, returnMax)
		}
	} else {
		s.returned = now
	}
	s.returnAt = now.Add(s.returnAfter)
	s.current = i
	s.count(func(st *Stats) { st.Current = s.peers[i].URL })
}
