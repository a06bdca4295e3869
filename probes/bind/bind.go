// Package bind makes sockets leave by the line they are meant to test.
//
// A source address alone does not choose a line: the kernel routes by destination, and a packet with the broadband
// address in its header leaves by the dedicated network if the routing table says so. Even a policy rule falls
// through to the main table when its own line is down, so an outage reads as success. Binding to the device
// (SO_BINDTODEVICE) fails closed: when the line is down, sending fails.
//
// Where a machine has one network card for all paths, the destination chooses the line on the site's router. Then
// only a hop on the way can prove which line was used; see Prove.
package bind

import (
	"net"
	"net/netip"
	"syscall"
	"time"

	"communewatch/probes"
)

// Binding is how sockets of a path are tied to it. The zero Binding ties to nothing.
type Binding struct {
	Path   probes.Path
	Device string     // network device to bind to; "" for none. Linux only
	Source netip.Addr // source address; the zero Addr for none
	Guard  *Guard     // which addresses may be spoken to; nil for all
}

// Control is for net.Dialer: it asks the guard, and binds the socket to the device, before it is used. Without either
// it does nothing. address is where the socket is to connect to.
func (b Binding) Control(network, address string, c syscall.RawConn) error {
	if b.Guard != nil {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return probes.Errorf(probes.OutcomeBadConfig, "forbidden: %q is no address that can be checked", address)
		}
		if err := b.Guard.Check(to.Addr()); err != nil {
			return err
		}
	}
	return b.ControlListen(network, address, c)
}

// ControlListen is for net.ListenConfig: it binds the socket to the device before it is used. address is the socket's
// own; who writes to others from such a socket is to ask the guard about each.
func (b Binding) ControlListen(_, _ string, c syscall.RawConn) error {
	if b.Device == "" {
		return nil
	}
	var err error
	if cerr := c.Control(func(fd uintptr) { err = bindToDevice(fd, b.Device) }); cerr != nil {
		return cerr
	}
	return err
}

// Dialer returns a dialer for network ("tcp", "udp") whose connections leave by the path.
func (b Binding) Dialer(network string, timeout time.Duration) *net.Dialer {
	d := &net.Dialer{Timeout: timeout, Control: b.Control}
	if b.Source.IsValid() {
		if network == "udp" || network == "udp4" || network == "udp6" {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(b.Source, 0))
		} else {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(b.Source, 0))
		}
	}
	return d
}
