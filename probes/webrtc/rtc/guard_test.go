package rtc

import (
	"net"
	"net/netip"
	"testing"

	"communewatch/probes/webrtc/rtc/socket"
)

// Neither an address that an answer names, nor one that packets of the call come from, is spoken to if it is not allowed.
func TestOnlyAllowedAddressesAreSpokenTo(t *testing.T) {
	allowed := func(a netip.Addr) bool { return a == netip.MustParseAddr("10.1.2.3") }
	c := &Call{cfg: DialConfig{Signalled: netip.MustParseAddr("10.1.2.3"), Allowed: allowed}}
	if !c.mayTry(netip.MustParseAddr("10.1.2.3")) || c.mayTry(netip.MustParseAddr("10.1.2.4")) {
		t.Error("an address of an answer is taken by another rule than the call's")
	}
	own, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s := socket.New(own, netip.Addr{})
	defer s.Close()
	s.Allowed = allowed
	if n, err := s.WriteTo([]byte("x"), other.LocalAddr()); err == nil {
		t.Errorf("%d bytes went to a forbidden address", n)
	}
	s.Allowed = nil
	if _, err := s.WriteTo([]byte("x"), other.LocalAddr()); err != nil {
		t.Error(err)
	}
}
