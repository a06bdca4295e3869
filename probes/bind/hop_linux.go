package bind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// askHop sends one UDP packet with the given TTL and returns the router that reported its death, or the zero Addr
// when none did within wait. The kernel hands such reports to the very socket whose packet they quote (IP_RECVERR),
// so concurrent probes can't mix up their answers and no raw socket is needed.
func askHop(ctx context.Context, b Binding, to netip.AddrPort, ttl int, wait time.Duration) (netip.Addr, error) {
	network := "udp4"
	if to.Addr().Is6() {
		network = "udp6"
	}
	dialer := b.Dialer(network, wait)
	conn, err := dialer.DialContext(ctx, network, to.String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("prove path: %w", err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("prove path: %w", err)
	}
	if err := control(raw, func(fd int) error { return limitHops(fd, to.Addr().Is6(), ttl) }); err != nil {
		return netip.Addr{}, fmt.Errorf("prove path: set TTL %d: %w", ttl, err)
	}

	deadline := time.Now().Add(wait)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return netip.Addr{}, fmt.Errorf("prove path: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if _, err := conn.Write([]byte("path proof")); err != nil {
		return netip.Addr{}, fmt.Errorf("prove path: %w", err)
	}
	var seen netip.Addr
	var failure error
	err = raw.Read(func(fd uintptr) (done bool) {
		seen, failure = readOffender(int(fd))
		return !errors.Is(failure, unix.EAGAIN)
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return netip.Addr{}, ctx.Err()
	case err != nil:
		return netip.Addr{}, fmt.Errorf("prove path: wait for the hop's answer: %w", err)
	case failure != nil:
		return netip.Addr{}, fmt.Errorf("prove path: %w", failure)
	}
	return seen, nil
}

func limitHops(fd int, v6 bool, ttl int) error {
	if v6 {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl))
	}
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl))
}

func control(c syscall.RawConn, f func(fd int) error) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// readOffender takes the first error of a router or host from the socket's error queue. EAGAIN: there is none yet.
func readOffender(fd int) (netip.Addr, error) {
	var payload [64]byte
	var oob [512]byte // one extended error with its address is below 64 bytes; the rest is for options we don't ask for
	for {
		_, n, _, _, err := unix.Recvmsg(fd, payload[:], oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return netip.Addr{}, err
		}
		messages, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil {
			return netip.Addr{}, err
		}
		for _, m := range messages {
			if seen, ok := offender(m); ok {
				return seen, nil
			}
		}
	}
}

// offender takes the address of who sent an ICMP error out of a control message. The message is a struct
// sock_extended_err followed by a socket address. Errors of the local machine name nobody.
func offender(m unix.SocketControlMessage) (netip.Addr, bool) {
	v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
	v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
	const head = int(unsafe.Sizeof(unix.SockExtendedErr{}))
	if !v4 && !v6 || len(m.Data) < head {
		return netip.Addr{}, false
	}
	const originOffset = int(unsafe.Offsetof(unix.SockExtendedErr{}.Origin))
	origin, addr := m.Data[originOffset], m.Data[head:]
	// In struct sockaddr_in the address is at offset 4, in sockaddr_in6 at offset 8.
	switch {
	case v4 && origin == unix.SO_EE_ORIGIN_ICMP && len(addr) >= 8:
		return netip.AddrFrom4([4]byte(addr[4:8])), true
	case v6 && origin == unix.SO_EE_ORIGIN_ICMP6 && len(addr) >= 24:
		return netip.AddrFrom16([16]byte(addr[8:24])).Unmap(), true
	}
	return netip.Addr{}, false
}
