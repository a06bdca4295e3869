package usage

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// What the far end does not read waits here.
func TestWhatWaitsToBeSentIsCounted(t *testing.T) {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := Queued(udp); !ok || n != 0 {
		t.Errorf("%d bytes of a socket that sent nothing, %v", n, ok)
	}
	udp.Close()
	if _, ok := Queued(udp); ok {
		t.Error("a closed socket tells")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	// Until the system takes no more.
	if err := raw.Write(func(fd uintptr) bool {
		for {
			if _, err := unix.Write(int(fd), b); err != nil {
				return true
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if n, ok := Queued(c.(*net.TCPConn)); !ok || n == 0 {
		t.Errorf("%d bytes wait, %v", n, ok)
	}
}
