//go:build unix

package peertest

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
)

// A server whose port was taken from under it gets another one.
func TestServeBeginsAgainWithOtherPorts(t *testing.T) {
	if _, err := exec.LookPath("sleep"); err != nil {
		t.Skip(err)
	}
	var ports []int
	port := Serve(t, func(port int) *exec.Cmd {
		if ports = append(ports, port); len(ports) == 1 {
			return exec.Command("sleep", "0") // ends before it answers
		}
		return exec.Command("sleep", "300")
	}, func(port int) bool { return len(ports) > 1 && port == ports[1] })
	if len(ports) != 2 || port != ports[1] || ports[0] == ports[1] {
		t.Errorf("got port %d of %v, want the second", port, ports)
	}
}

// What somebody has is not given out, and neither is what belongs to the lab.
func TestPortsInUseAreNotFree(t *testing.T) {
	for range 50 {
		if port := freePorts(t); port < 21201 || port+1 >= 32768 {
			t.Fatalf("port %d is the lab's, or may be given to anybody", port)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, a := range []net.Addr{l.Addr(), u.LocalAddr()} {
		var port int
		if _, err := fmt.Sscanf(a.String(), "127.0.0.1:%d", &port); err != nil {
			t.Fatal(err)
		}
		if free(port) {
			t.Errorf("%s port %d is taken", a.Network(), port)
		}
	}
}
