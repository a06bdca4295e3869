package probes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Outcome says how a run ended. The zero value is OutcomeOK.
//
// Outcomes fall in two classes. Those of the target or the path are evidence about the site's health. Those for
// which Own is true are trouble of the agent itself, or of whoever answers its tests: they must never paint a target
// red.
type Outcome uint8

// The outcomes of a run.
const (
	OutcomeOK          Outcome = iota
	OutcomeFailed              // an answer came, but not the right one: wrong status, wrong record, expired certificate
	OutcomeTimeout             // no answer in time
	OutcomeRefused             // actively refused: a TCP reset or an ICMP port unreachable
	OutcomeUnreachable         // no route, link down, host or network unreachable
	OutcomeUnresolved          // the target's name could not be resolved, so the target itself was never asked

	OutcomeNoPermission // the agent may not do this: closed ping sockets, missing capability
	OutcomeBadConfig    // the check can't be run as configured
	OutcomeUnbound      // the path's device or source address is not there, so nothing was sent
	OutcomeWrongPath    // the run left by another path than its own, so it says nothing about this one
	OutcomeOverrun      // not run: the run before it was still going, or the machine was too slow
	OutcomePanic        // the probe crashed; it was fenced off
	OutcomeCanceled     // the agent was stopping
	OutcomeHeld         // not run: a meeting is on, or the test would take more of the line than it may
	OutcomeBusy         // not run: the far end takes no more tests for now, because of its own load
	OutcomeOverloaded   // run, but the agent's machine or the far end was too busy for the numbers to be the line's
	outcomeEnd
)

var outcomeNames = [...]string{"ok", "failed", "timeout", "refused", "unreachable", "unresolved", "no_permission",
	"bad_config", "unbound", "wrong_path", "overrun", "panic", "canceled", "held", "busy", "overloaded"}

// String returns the outcome's name on the wire.
func (o Outcome) String() string {
	if o < outcomeEnd {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// OutcomeNames lists the names of all outcomes, in order of their values.
func OutcomeNames() []string { return outcomeNames[:] }

// ParseOutcome is the inverse of String.
func ParseOutcome(s string) (Outcome, bool) {
	for i, n := range outcomeNames {
		if n == s {
			return Outcome(i), true
		}
	}
	return 0, false
}

// Own reports whether the outcome is the agent's own trouble rather than evidence about the target.
func (o Outcome) Own() bool { return o >= OutcomeNoPermission }

// Waived reports whether the run was left out for a good reason. That is no trouble either: what was known before
// still stands, and the agent is not silent.
func (o Outcome) Waived() bool { return o == OutcomeHeld || o == OutcomeBusy }

// Measured reports whether what a run returned beside this outcome is worth keeping. A run under overload measured
// something, even if nobody may be judged by it; of other trouble of the agent's own only the outcome is told.
func (o Outcome) Measured() bool { return !o.Own() || o == OutcomeOverloaded }

// Error is an error with a known outcome. Probes return it where they know better than OutcomeOf can guess.
type Error struct {
	Outcome Outcome
	Err     error // with the fix in its message where there is one
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error; the format works as in fmt.Errorf, %w included.
func Errorf(o Outcome, format string, args ...any) error {
	return &Error{Outcome: o, Err: fmt.Errorf(format, args...)}
}

// OutcomeOf maps the error of a run to its outcome: nil is OK, an Error anywhere in the chain decides, then the
// system's error numbers, then timeouts. An error it knows nothing about is OutcomeFailed.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OutcomeOK
	}
	var own *Error
	if errors.As(err, &own) {
		return own.Outcome
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return OutcomeCanceled
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return OutcomeRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EHOSTDOWN):
		return OutcomeUnreachable
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EACCES):
		return OutcomeNoPermission
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.EADDRNOTAVAIL):
		return OutcomeUnbound
	case errors.As(err, &dns):
		return OutcomeUnresolved
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return OutcomeTimeout
	}
	return OutcomeFailed
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
