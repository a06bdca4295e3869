package call

import (
	"net"
	"testing"

	"communewatch/probes/webrtc/report"
)

// What is not read in time is dropped, and told.
func TestDropsOfTheAgentsOwnSocketAreTold(t *testing.T) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	var s sockets
	s.add(c)
	for range 100 {
		if _, err := c.WriteTo(make([]byte, 1000), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		s.look()
	}
	var a report.Agent
	s.until(&a)
	if a.Dropped == nil || *a.Dropped < 50 || *a.Dropped > 100 || a.Queue == nil {
		t.Errorf("dropped %v, queue %v", a.Dropped, a.Queue)
	}
	a = report.Agent{}
	if (&sockets{}).until(&a); a.Dropped != nil || a.Queue != nil {
		t.Errorf("no socket told %+v", a)
	}
}
