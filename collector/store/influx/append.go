package influx

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"unsafe"

	"communewatch/collector/store"
	"communewatch/collector/store/influx/client"
	"communewatch/collector/store/influx/lines"
	"communewatch/probes/wire"
)

const (
	// maxFlights is how many requests with rows are under way at once. The server stores them side by side; more than
	// its processors gain nothing, and each holds the memory of its rows.
	maxFlights = 3

	// enoughRows is how many rows must wait before a further request starts while others are under way. A request of
	// few rows costs the server nearly what one of many does: it writes its log to disk for each.
	enoughRows = 2000

	// maxBody bounds the lines of one request, in bytes before they are packed.
	maxBody = 8 << 20
)

// call is lines of one Append on their way, in one request, alone or with those of others.
type call struct {
	body  []byte
	rows  int
	trial bool
	done  chan error
}

// queue gathers what concurrent Appends have.
type queue struct {
	mu      sync.Mutex
	waiting []*call
	rows    int // of waiting
	flights int
}

// Append stores rows; see store.Store. Rows of Appends that run at once are sent together, and each waits for its own.
func (s *Store) Append(ctx context.Context, rows []wire.Row) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	if len(rows) == 0 {
		return nil
	}
	trial, err := s.mayWrite()
	if err != nil {
		return err
	}
	b := s.batches.Get().(*lines.Batch)
	rules := s.rules()
	if err := s.encoder.Encode(ctx, b, rows, &rules); err != nil {
		if trial {
			s.endTrial()
		}
		return fmt.Errorf("influx: %w", err)
	}
	rejected, err := s.store(ctx, b, trial)
	if err != nil {
		return fmt.Errorf("influx: %w", err) // b may be on its way still, and goes with it
	}
	values := b.Values
	for _, r := range rejected {
		values -= len(rows[r.Index].Fields)
	}
	rejected = append(rejected, b.Rejected...)
	b.Reset()
	s.batches.Put(b)
	s.appended.Add(uint64(values))
	s.size.grow(rows, &rules)
	if len(rejected) > 0 {
		s.rejected.Add(uint64(len(rejected)))
		slices.SortFunc(rejected, func(a, b store.Rejected) int { return cmp.Compare(a.Index, b.Index) })
		return &store.PartialError{Rejected: rejected}
	}
	return nil
}

// rules are those for rows that come now.
func (s *Store) rules() lines.Rules {
	now := s.o.Now().UnixMilli()
	return lines.Rules{
		Oldest: now - s.within.Milliseconds(), Newest: min(now, math.MaxInt64/2) + maxAhead.Milliseconds(),
		TooOld: s.tooOld, Ahead: reasonFuture, Apart: s.server().Generation == 3,
	}
}

// store sends the lines of b and waits for what becomes of them. It returns the rows that the server refuses.
func (s *Store) store(ctx context.Context, b *lines.Batch, trial bool) ([]store.Rejected, error) {
	if len(b.Ends) == 0 {
		if trial {
			s.endTrial()
		}
		return nil, nil
	}
	type piece struct {
		from, to int
		*call
	}
	var pieces []piece
	for from := 0; from < len(b.Ends); {
		to := from + 1
		for to < len(b.Ends) && to-from < s.o.BatchRows && len(b.Line(from, to+1)) <= maxBody {
			to++
		}
		c := &call{body: b.Line(from, to), rows: to - from, trial: trial, done: make(chan error, 1)}
		pieces = append(pieces, piece{from, to, c})
		from = to
	}
	s.queue.mu.Lock()
	for _, p := range pieces {
		s.queue.waiting = append(s.queue.waiting, p.call)
		s.queue.rows += p.rows
	}
	s.start()
	s.queue.mu.Unlock()

	var rejected []store.Rejected
	for _, p := range pieces {
		var err error
		select {
		case err = <-p.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if kind, ok := client.KindOf(err); ok && ofRows(kind) {
			err = s.sift(ctx, b, p.from, p.to, &rejected)
		}
		if err != nil {
			return nil, err
		}
	}
	return rejected, nil
}

// start begins requests for what waits, as long as that is of use. The queue's mu is held.
func (s *Store) start() {
	q := &s.queue
	for len(q.waiting) > 0 && (q.flights == 0 || q.flights < maxFlights && (q.rows >= enoughRows || q.waiting[0].trial)) {
		n, rows, bytes := 0, 0, 0
		for n < len(q.waiting) {
			c := q.waiting[n]
			if n > 0 && (rows+c.rows > s.o.BatchRows || bytes+len(c.body) > maxBody || c.trial) {
				break
			}
			n, rows, bytes = n+1, rows+c.rows, bytes+len(c.body)
			if c.trial {
				break // alone: what the others have might spoil it
			}
		}
		calls := slices.Clone(q.waiting[:n])
		q.waiting = slices.Delete(q.waiting, 0, n)
		q.rows -= rows
		q.flights++
		s.work.Go(func() { s.fly(calls, rows, bytes) })
	}
}

// fly sends the rows of some calls and tells each what became of them.
func (s *Store) fly(calls []*call, rows, size int) {
	body := calls[0].body
	if len(calls) > 1 {
		all := s.bodies.Get().(*[]byte)
		defer s.bodies.Put(all)
		*all = slices.Grow((*all)[:0], size)
		for _, c := range calls {
			*all = append(*all, c.body...)
		}
		body = *all
	}
	trial := calls[0].trial
	// The client has packed the text when it returns, or given it up, and nobody looks at it any more.
	err := s.write(s.base, s.o.Database, unsafe.String(unsafe.SliceData(body), len(body)), rows, trial)
	for _, c := range calls {
		c.done <- err
	}
	q := &s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flights--
	if away := s.presence.awayError(); away != nil {
		// Those that wait would find the same, each after its time. A trial is for finding out.
		q.waiting = slices.DeleteFunc(q.waiting, func(c *call) bool {
			if !c.trial {
				q.rows -= c.rows
				c.done <- away
			}
			return !c.trial
		})
	}
	s.start()
}

// ofRows reports whether an answer is about the rows that were sent and not about the database. It may be about those of
// others in the same request.
func ofRows(kind client.Kind) bool {
	return kind == client.Refused || kind == client.Limited || kind == client.TooLarge
}

// write sends lines and notes what the answer says of the database.
func (s *Store) write(ctx context.Context, database, body string, rows int, trial bool) error {
	err := s.client.Write(ctx, database, body)
	kind, _ := client.KindOf(err)
	switch {
	case err == nil:
		s.metrics.rows.Add(float64(rows))
	case kind == client.Limited:
		s.limited(err)
	case ofRows(kind):
	case kind == client.Canceled:
		if trial {
			s.endTrial()
		}
		return err
	default:
		s.lost(err, true)
		return err
	}
	if trial {
		s.found()
	}
	return err
}
