package icmp

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// Only silence that nothing but the size explains may be blamed on the path's MTU.
func TestWhatASizeCheckSays(t *testing.T) {
	const wait = time.Second
	begin := time.Now()
	late := begin.Add(time.Hour)
	asked := func(n int) *ledger {
		l := &ledger{}
		for i := range n {
			l.send(begin.Add(time.Duration(i) * dfInterval))
		}
		return l
	}
	answered := func(n, i int) *ledger { l := asked(n); l.answer(i, time.Millisecond, false); return l }
	refused := func(n int, why error) *ledger {
		l := asked(n)
		l.refuse(begin.Add(time.Duration(n)*dfInterval), &net.OpError{Op: "write", Err: os.NewSyscallError("sendto", why)})
		return l
	}
	good := answered(2, 1)
	for _, tc := range []struct {
		name        string
		plain, long *ledger
		err         error
		end         time.Time
		ok, known   bool
	}{
		{"answered", good, answered(1, 0), nil, begin, true, true},
		{"answered at the second try, then out of time", good, answered(2, 1), context.DeadlineExceeded, begin, true, true},
		{"silence", good, asked(dfCount), nil, late, false, true},
		{"too long for the device", good, refused(0, syscall.EMSGSIZE), nil, begin, false, true},
		{"too long after a router said so", good, refused(1, syscall.EMSGSIZE), nil, begin, false, true},
		{"out of time", good, asked(dfCount), context.DeadlineExceeded, late, false, false},
		{"not all sent", good, asked(dfCount - 1), nil, late, false, false},
		{"no time to answer the last", good, asked(dfCount), nil, begin.Add((dfCount-1)*dfInterval + wait - 1), false, false},
		{"line went down", good, refused(dfCount-1, syscall.ENETUNREACH), nil, late, false, false},
		{"no socket", good, asked(0), fmt.Errorf("socket: %w", syscall.EMFILE), late, false, false},
		{"outage began during the plain requests", answered(2, 0), asked(dfCount), nil, late, false, false},
	} {
		b := &burst{count: dfCount, interval: dfInterval, wait: wait, whole: true}
		if ok, known := b.fits(tc.plain, tc.long, tc.err, tc.end); ok != tc.ok || known != tc.known {
			t.Errorf("%s: ok %v, known %v; want %v, %v", tc.name, ok, known, tc.ok, tc.known)
		}
	}
}
