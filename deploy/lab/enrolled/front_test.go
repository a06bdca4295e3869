package enrolled

import (
	"net"
	"testing"
	"time"
)

// Whoever comes all at once is seen to: what the test of a province's return measures can be too much.
func TestARushIsSeen(t *testing.T) {
	f, err := openFront()
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	const clients = 2 * 136
	begin := time.Now()
	for range clients {
		c, err := net.Dial("tcp", f.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		all, busiest := f.Rush(begin)
		if all == clients {
			if took := time.Since(begin); took < time.Second && busiest != clients {
				t.Errorf("%d came within %v, and %d of them within a second", clients, took, busiest)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d were seen", all, clients)
		}
	}
	if all, _ := f.Rush(time.Now()); all != 0 {
		t.Errorf("%d came after the last one", all)
	}
}
