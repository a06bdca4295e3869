package arrival

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// A packet that lay in the socket's queue has the time at which it came, whenever it is read.
func TestTheTimeIsThatOfArrival(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Logf("%s: %v", address, err) // no IPv6 here
			continue
		}
		defer c.Close()
		r := NewReader(c)
		before := time.Now()
		if _, err := c.WriteTo([]byte("packet"), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		after := time.Now()
		for time.Since(after) < 50*time.Millisecond { // it waits
			runtime.Gosched()
		}
		b := make([]byte, 100)
		n, from, at, err := r.Read(b)
		if err != nil || string(b[:n]) != "packet" || from.String() != c.LocalAddr().String() {
			t.Fatalf("%q from %v, %v", b[:n], from, err)
		}
		if r.udp == nil {
			t.Skip("this system does not tell")
		}
		// Time of day and monotonic clock are read one after the other, and the former may be slewed.
		const slack = 10 * time.Millisecond
		if at.Before(before.Add(-slack)) || at.After(after.Add(slack)) {
			t.Errorf("%s: arrived %v after it was sent, though it was sent within %v", address, at.Sub(before), after.Sub(before))
		}
	}
}

// wrapped is a socket that is not the system's own.
type wrapped struct{ net.PacketConn }

func TestOtherSocketsAreReadToo(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(wrapped{c})
	before := time.Now()
	if _, err := c.WriteTo([]byte("x"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if n, _, at, err := r.Read(make([]byte, 10)); n != 1 || at.Before(before) || err != nil {
		t.Errorf("%d, %v, %v", n, at, err)
	}
	for _, r := range []*Reader{r, NewReader(c)} {
		if err := c.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, from, _, err := r.Read(make([]byte, 10)); !os.IsTimeout(err) || from != nil {
			t.Errorf("%v from %v, want a timeout", err, from)
		}
	}
	c.Close()
	if _, _, _, err := r.Read(make([]byte, 10)); err == nil {
		t.Error("read from a closed socket")
	}
}

func TestClocksThatWereSetAreNotBelieved(t *testing.T) {
	now := time.Now()
	for age, want := range map[time.Duration]time.Duration{
		0: 0, 3 * time.Millisecond: 3 * time.Millisecond, longest: longest,
		-time.Millisecond: 0, longest + time.Second: 0, 100 * 24 * time.Hour: 0, -time.Hour: 0,
	} {
		at := instant(now.Round(0).Add(-age), now)
		if got := now.Sub(at); got != want {
			t.Errorf("%v old by the clock: taken for %v, want %v", age, got, want)
		}
	}
}
