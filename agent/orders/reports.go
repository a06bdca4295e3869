package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"communewatch/agent/schedule"
	"communewatch/probes/orders"
	"communewatch/probes/wire"
)

const (
	// reportFor is for how long after an order was received it is reported on; what was measured goes to the collector
	// with all other results too, however late.
	reportFor = 5 * time.Minute
	// remembered is how many orders are known by their ids, so that none is carried out twice.
	remembered = 256
	postTime   = 10 * time.Second
	maxAnswer  = 4 << 10 // answers are empty or a short error
)

// entry is what is known of one order.
type entry struct {
	id       string
	from     int // the address that told it
	received time.Time
	report   orders.Report // the last; its phase is "" before the first
	pending  bool          // it is to be sent
	times    int           // that something was said
}

// ledger remembers orders, and what is to be said of them.
type ledger struct {
	wake chan struct{} // there is something to say

	mu   sync.Mutex // guards the fields below, and the entries
	list []*entry   // by age
	byID map[string]*entry
}

func newLedger() ledger { return ledger{wake: make(chan struct{}, 1), byID: map[string]*entry{}} }

// enter notes an order that address i has told. known says that it was there, in which case what was said of it is
// said again.
func (l *ledger) enter(id string, i int) (e *entry, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byID[id]; e != nil {
		e.from, e.pending = i, e.report.Phase != ""
		l.signal()
		return e, true
	}
	if len(l.list) >= remembered {
		l.forget()
	}
	e = &entry{id: id, from: i, received: time.Now()}
	l.list = append(l.list, e)
	l.byID[id] = e
	return e, false
}

// forget drops the oldest order that nothing is done about any more, of those refused if there is one. The caller holds
// l.mu.
func (l *ledger) forget() {
	i := slices.IndexFunc(l.list, func(e *entry) bool { return e.report.Phase == orders.PhaseRefused })
	if i < 0 {
		i = slices.IndexFunc(l.list, func(e *entry) bool { return e.report.Phase.Final() })
	}
	if i >= 0 {
		delete(l.byID, l.list[i].id)
		l.list = slices.Delete(l.list, i, i+1)
	}
}

// say sets the report of an order, in the place of what was not sent yet: the last phase counts.
func (l *ledger) say(e *entry, r orders.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Order, r.Reason = e.id, schedule.CleanError(r.Reason)
	if err := r.Validate(); err != nil && r.Result != nil { // better without numbers than not at all
		r.Result, r.Reason = nil, schedule.CleanError("the result can't be reported: "+err.Error())
	}
	e.report, e.pending = r, true
	e.times++
	l.signal()
}

func (l *ledger) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// next returns what is to be said first: what became of calls, then what was refused, the older first.
func (l *ledger) next() (e *entry, r orders.Report, from, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.list {
		if time.Since(c.received) > reportFor {
			c.pending, c.report.Result = false, nil // the rows have it
		}
		if c.pending && (e == nil || e.report.Phase == orders.PhaseRefused && c.report.Phase != orders.PhaseRefused) {
			e = c
		}
	}
	if e == nil {
		return nil, r, 0, 0
	}
	return e, e.report, e.from, e.times
}

// said notes that what was said up to then was sent, or never will be.
func (l *ledger) said(e *entry, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.times == times {
		e.pending = false
	}
}

// deliver sends reports until ctx ends.
func (c *Client) deliver(ctx context.Context) {
	fails := 0
	for ctx.Err() == nil {
		e, r, from, times := c.ledger.next()
		if e == nil {
			select {
			case <-ctx.Done():
			case <-c.ledger.wake:
			}
			continue
		}
		if c.send(ctx, &r, from) {
			c.ledger.said(e, times)
			fails = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if fails++; fails == 1 {
			c.o.Log.Info("can't report on an order; trying on", "order", r.Order, "phase", string(r.Phase))
		}
		wait(ctx, backoff(fails))
	}
}

// send sends a report to the address that told the order, or else to one of the others. It reports whether there is
// nothing more to do.
func (c *Client) send(ctx context.Context, r *orders.Report, from int) (over bool) {
	body, err := encode(r)
	if err != nil {
		c.o.Log.Error("a report can't be written", "order", r.Order, "error", err)
		return true
	}
	for n := range c.peers {
		i := (from + n) % len(c.peers)
		switch taken, err := c.post(ctx, i, body); {
		case err != nil:
		case taken:
			return true
		case n == 0:
			// Who told the order refuses to hear of it: it was started anew, or found a mistake. Saying it again won't help.
			c.o.Log.Info("the collector does not take a report on its order", "order", r.Order, "phase", string(r.Phase))
			return true
		}
	}
	return false
}

// encode writes a report, without its result if that is too large.
func encode(r *orders.Report) ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil || len(body) <= orders.MaxReport {
		return body, err
	}
	short := *r
	short.Result = nil
	return json.Marshal(short)
}

// post sends a report to one address. taken is false if the collector refuses it for good; an error says that it may
// be sent again.
func (c *Client) post(ctx context.Context, i int, body []byte) (taken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := c.request(ctx, i, http.MethodPost, orders.ReportPath, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header["Idempotency-Key"] = nil // not sent; it lets the transport repeat a request that met a connection just closed
	resp, err := c.peers[i].http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	genuine := resp.Header.Get(wire.HeaderReceivedAt) != "" // a portal answers for a collector, but not with this
	switch s := resp.StatusCode; {
	case genuine && s >= 200 && s < 300:
		return true, nil
	case genuine && (s == http.StatusBadRequest || s == http.StatusNotFound || s == http.StatusRequestEntityTooLarge):
		return false, nil
	}
	return false, fmt.Errorf("answered %s", resp.Status)
}
