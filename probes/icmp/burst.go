package icmp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"

	"communewatch/probes/bind"

	probing "github.com/prometheus-community/pro-bing"
)

// socketMode is a kind of ICMP socket.
type socketMode bool

const (
	modePing socketMode = false
	modeRaw  socketMode = true
)

// burst is one series of echo requests, at one pace, to one address.
type burst struct {
	to       netip.Addr
	via      bind.Binding
	count    int
	interval time.Duration
	wait     time.Duration
	size     int  // payload bytes
	whole    bool // forbid fragments, and be content with one answer
}

// send sends the burst and returns its ledger, which is valid with an error too.
//
// A pinger gives up when its first request can't be sent. A line that is down now may be back in a second, and then
// the rest of the burst has to show it; so send goes on with fresh pingers, at the same pace, until every request
// was attempted.
func (b *burst) send(ctx context.Context, mode socketMode) (*ledger, error) {
	l := &ledger{attempts: make([]attempt, 0, b.count)}
	next := time.Now()
	for len(l.attempts) < b.count {
		if err := sleepUntil(ctx, next); err != nil {
			return l, err
		}
		before := len(l.attempts)
		err := b.ping(ctx, mode, l)
		switch {
		case ctx.Err() != nil:
			return l, ctx.Err()
		case b.done(l, err):
			return l, nil
		case len(l.attempts) > before:
		case err == nil:
			return l, errors.New("the pinger stopped without sending anything")
		case notAllowed(err):
			return l, err
		case lineDown(err), b.via.Check() != nil:
			// No socket could be opened. Device and source address were there when the run began, so that they are
			// not usable now is the line's outage.
			l.refuse(time.Now(), err)
		default:
			return l, err
		}
		next = l.attempts[len(l.attempts)-1].at.Add(b.interval)
	}
	return l, nil
}

// done reports whether a don't-fragment check has its result before all requests are sent.
func (b *burst) done(l *ledger, err error) bool {
	return b.whole && (l.received() > 0 || errors.Is(err, syscall.EMSGSIZE))
}

// ping runs one pinger until every request of the burst was attempted and had its time to be answered, or until it
// gives up. All callbacks come from one goroutine, which has ended when Run returns.
func (b *burst) ping(ctx context.Context, mode socketMode, l *ledger) error {
	p := probing.New("")
	p.SetIPAddr(&net.IPAddr{IP: b.to.AsSlice(), Zone: b.to.Zone()})
	p.SetPrivileged(mode == modeRaw)
	p.SetDoNotFragment(b.whole)
	p.Count = b.count - len(l.attempts)
	p.Interval = b.interval
	p.Size = b.size
	p.InterfaceName = b.via.Device
	p.RecordRtts, p.RecordTTLs = false, false
	if b.via.Source.IsValid() {
		p.Source = b.via.Source.WithZone("").String()
	}
	if mode == modeRaw {
		id, release := holdID(p.ID())
		defer release()
		p.SetID(id)
	}

	// The pinger's own timeout is one for the whole run, so that on a slow machine the last requests would get less
	// time than the first. Instead each request gets b.wait, and the last one ends the run.
	var last *time.Timer
	defer func() {
		if last != nil {
			last.Stop()
		}
	}()
	attempted := func() {
		if len(l.attempts) >= b.count && last == nil {
			last = time.AfterFunc(b.wait, p.Stop)
		}
	}

	var numbers []int // the ledger's number of each sequence number; refused attempts use none up
	p.OnSend = func(*probing.Packet) {
		numbers = append(numbers, l.send(time.Now()))
		attempted()
	}
	p.OnSendError = func(_ *probing.Packet, err error) {
		l.refuse(time.Now(), err)
		// The pinger would make up for this attempt by another one; unless it was the first, when it gives up.
		if p.PacketsSent > 0 {
			p.Count--
		}
		attempted()
	}
	answered := func(pkt *probing.Packet) {
		now := time.Now()
		if pkt.Seq >= len(numbers) || !b.fromTarget(pkt) {
			return
		}
		i := numbers[pkt.Seq]
		sent := l.attempts[i].at
		rtt, stepped := guardRTT(pkt.Rtt, now.Round(0).Sub(sent.Round(0)), now.Sub(sent))
		if rtt > b.wait {
			return
		}
		l.answer(i, rtt, stepped)
		if b.whole {
			p.Stop()
		}
	}
	p.OnRecv, p.OnDuplicateRecv = answered, answered
	p.SetLogger(forbidden{refuse: func() {
		l.refuse(time.Now(), fmt.Errorf("send to %s: %w", b.to, syscall.EACCES))
	}})
	return p.RunWithContext(ctx)
}

// fromTarget reports whether an answer has the address that was asked, as RFC 1122, 3.2.2.6 demands.
func (b *burst) fromTarget(pkt *probing.Packet) bool {
	from, ok := netip.AddrFromSlice(pkt.IPAddr.IP)
	return ok && from.Unmap() == b.to.WithZone("")
}

// forbidden is a pinger's logger that ends a loop without end. When sending fails with EACCES the pinger takes the
// address for a broadcast one, says so, and tries again at once, for ever; but a "prohibit" route gives the same
// error. This message is the one place to get out: ending the goroutine runs the pinger's deferred cleanup, and
// Run returns.
type forbidden struct {
	probing.NoopLogger
	refuse func()
}

func (f forbidden) Infof(string, ...any) {
	f.refuse()
	runtime.Goexit()
}

// holdID returns an ICMP identifier that no other raw burst of this machine has until it is released. Identifiers
// belong to the machine, not to a process, so they are taken from the one allocator that all processes share: the
// kernel's, for UDP ports. If there is none to be had fallback serves: answers are also told apart by their
// payload, and a shared identifier only makes sockets read each other's packets.
func holdID(fallback int) (id int, release func()) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return fallback, func() {}
	}
	return c.LocalAddr().(*net.UDPAddr).Port, func() { _ = c.Close() }
}

// lineDown reports whether an error of sending says that there is no way out at the moment.
func lineDown(err error) bool { return isAny(err, lineErrors) }

// notAllowed reports whether opening a socket failed because this kind of socket is not for this program.
func notAllowed(err error) bool {
	return errors.Is(err, fs.ErrPermission) || isAny(err, permissionErrors)
}

func isAny(err error, list []syscall.Errno) bool {
	var number syscall.Errno
	return errors.As(err, &number) && slices.Contains(list, number)
}

func sleepUntil(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
