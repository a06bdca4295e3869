package load

import (
	"net"
	"runtime"
	"testing"
	"time"
)

func TestQuantilesAreCloseFromAbove(t *testing.T) {
	var h Times
	if h.Spread() != nil {
		t.Error("a spread of nothing")
	}
	for i := range 10_000 {
		h.Add(time.Duration(i+1) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond, 1: 10 * time.Millisecond} {
		if got := h.Quantile(q); got < want || got > want+want/10 {
			t.Errorf("quantile %v is %v, want %v to 10 %% more", q, got, want)
		}
	}
	for d := time.Duration(0); d < 20*time.Second; d = d*5/4 + 1 { // every time is below the upper end of its bucket
		if u := upper(bucketOf(d)); d < 15*time.Second && (d >= u || d >= 1<<finest && u-d > d/8) {
			t.Errorf("%v is in the bucket up to %v", d, u)
		}
	}
}

func TestTheWindowForgets(t *testing.T) {
	var r Recent
	r.Add(time.Second)
	for range WindowSeconds - 1 {
		r.Turn()
	}
	r.Add(time.Millisecond)
	if s := r.Sum(); s.N() != 2 || s.Spread().Max != 1 {
		t.Errorf("%d, %+v", s.N(), s.Spread())
	}
	r.Turn()
	if s := r.Sum(); s.N() != 1 || s.Spread().Max != 0.001 {
		t.Errorf("%d, %+v", s.N(), s.Spread())
	}
}

// What is sent to a socket that nobody reads is dropped, and counted.
func TestDropsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Logf("%s: %v", address, err) // no IPv6 here
			continue
		}
		defer c.Close()
		udp := c.(*net.UDPConn)
		drops := DropsOf(udp)
		if n, ok := drops(); !ok || n != 0 {
			t.Fatalf("%s: %d, %v", address, n, ok)
		}
		if err := udp.SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			if _, err := udp.WriteTo(make([]byte, 1000), udp.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		if n, ok := drops(); !ok || n < 100 || n > 200 {
			t.Errorf("%s: %d dropped, %v", address, n, ok)
		}
	}
}
