package stun

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"time"

	"communewatch/probes"
	"communewatch/probes/connect"
)

// Retransmission over UDP (RFC 8489 6.2.1): rto doubles after each request; requests are sent rc times, and the last
// is waited for rm times the first rto.
const (
	rto = 500 * time.Millisecond
	rc  = 7
	rm  = 16

	maxMessages = 1000 // received in one run
)

// question is one binding request and what became of it.
type question struct {
	id      transaction
	sent    int // requests, the first included
	foreign bool
	took    time.Duration // 0 without an answer
	answer  answer
}

func newQuestion() *question {
	q := &question{}
	rand.Read(q.id[:]) // never fails
	return q
}

// datagrams asks over UDP.
func (q *question) datagrams(ctx context.Context, conn net.Conn) error {
	start := time.Now()
	wait, next := rto, start
	buf := make([]byte, maxMessageBytes)
	for range maxMessages {
		if now := time.Now(); !now.Before(next) {
			if q.sent == rc {
				return probes.Errorf(probes.OutcomeTimeout, "no answer to %d requests", rc)
			}
			if _, err := conn.Write(request(q.id)); err != nil {
				return q.silence(ctx, err)
			}
			q.sent++
			if next = now.Add(wait); q.sent == rc {
				next = now.Add(rm * rto)
			}
			wait *= 2
		}
		conn.SetReadDeadline(next)
		if ctx.Err() != nil { // from here on its end sets the deadline
			return q.silence(ctx, ctx.Err())
		}
		n, err := conn.Read(buf)
		if err != nil && ctx.Err() == nil && probes.OutcomeOf(err) == probes.OutcomeTimeout {
			continue
		}
		if err != nil {
			return q.silence(ctx, err)
		}
		a, err := parse(buf[:n], q.id)
		if err == nil {
			q.answer, q.took = a, max(time.Since(start), 1)
			return nil
		}
		q.foreign = true
	}
	return probes.Errorf(probes.OutcomeFailed, "none of %d datagrams answers the request", maxMessages)
}

// silence says in words why there is no answer.
func (q *question) silence(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() == nil:
		return connect.Reason(err)
	case q.foreign:
		return probes.Errorf(probes.OutcomeTimeout, "no answer; what came instead answers something else or is not STUN")
	}
	return probes.Errorf(probes.OutcomeTimeout, "no answer")
}

// stream asks over TCP or TLS, where nothing is sent again.
func (q *question) stream(ctx context.Context, conn net.Conn) error {
	start := time.Now()
	q.sent = 1
	if _, err := conn.Write(request(q.id)); err != nil {
		return q.broken(ctx, err)
	}
	buf := make([]byte, maxMessageBytes)
	for range maxMessages {
		if _, err := io.ReadFull(conn, buf[:headSize]); err != nil {
			return q.broken(ctx, err)
		}
		n, err := size(buf)
		if err != nil || n > len(buf) {
			return q.broken(ctx, errNotSTUN)
		}
		if _, err := io.ReadFull(conn, buf[headSize:n]); err != nil {
			return q.broken(ctx, err)
		}
		a, err := parse(buf[:n], q.id)
		switch {
		case err == nil:
			q.answer, q.took = a, max(time.Since(start), 1)
			return nil
		case !errors.Is(err, errForeign):
			return q.broken(ctx, err)
		}
	}
	return probes.Errorf(probes.OutcomeFailed, "none of %d messages answers the request", maxMessages)
}

// broken says in words what a port that took the connection did instead of answering.
func (q *question) broken(ctx context.Context, err error) error {
	if errors.Is(err, errNotSTUN) && ctx.Err() == nil {
		return connect.Mute(probes.OutcomeFailed, "STUN", "its answer is something else")
	}
	return connect.Broken(ctx, err, "STUN", "answer")
}
