package lines_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"communewatch/deploy/lab/lines"
	"communewatch/probes"
	"communewatch/probes/bind"
)

const farAddress = "10.9.9.9" // reachable over both lines

// twoLines is a site with two lines to the same far host, which counts per line what arrives.
type twoLines struct{ site, far *lines.Space }

func newTwoLines(t *testing.T) twoLines {
	t.Helper()
	n := twoLines{lines.New(t), lines.New(t)}
	for i, line := range []string{"one", "two"} {
		n.site.Cable(t, line, fmt.Sprintf("10.%d.0.2/24", i+1), n.far, line, fmt.Sprintf("10.%d.0.1/24", i+1))
		n.route(t, line)
	}
	n.far.Address(t, "lo", farAddress+"/32")
	n.far.Sysctl(t, "net/ipv4/conf/all/arp_ignore", "1") // without a route the site looks for the address on the line itself
	n.far.Filter(t, `table ip truth {
		counter pings_one {}; counter pings_two {}; counter syns_one {}; counter syns_two {};
		chain in { type filter hook input priority 0;
			iifname one icmp type echo-request counter name pings_one
			iifname two icmp type echo-request counter name pings_two
			iifname one tcp flags & (syn | ack) == syn counter name syns_one
			iifname two tcp flags & (syn | ack) == syn counter name syns_two
		}; }`)
	return n
}

// route lets the site reach the far host by a line; line one is preferred by whatever is not bound.
func (n twoLines) route(t testing.TB, line string) {
	t.Helper()
	if line == "one" {
		n.site.Route(t, "0.0.0.0/0", "10.1.0.1", "one", 10)
	} else {
		n.site.Route(t, "0.0.0.0/0", "10.2.0.1", "two", 20)
	}
}

// await waits until a counter of the far host has reached n.
func (n twoLines) await(t testing.TB, counter string, least int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); n.far.Counters(t)[counter] < least; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counter %s has not reached %d: %v", counter, least, n.far.Counters(t))
		}
	}
}

var lineTwo = bind.Binding{Path: probes.PathDedicated, Device: "two", Source: netip.MustParseAddr("10.2.0.2")}

// TestOutageIsSeen takes line two away in several ways and at several times while it is measured, with line one,
// which leads to the same address, in perfect order beside it. Not one packet may leave by line one, and what is
// missing must be missing from the result.
func TestOutageIsSeen(t *testing.T) {
	lines.Need(t)
	const pings = 100
	switchOff := func(t testing.TB, n twoLines) { n.site.Down(t, "two") }
	switchOn := func(t testing.TB, n twoLines) { n.site.Up(t, "two"); n.route(t, "two") }
	for _, tt := range []struct {
		name    string
		before  func(t testing.TB, n twoLines)
		during  func(t testing.TB, n twoLines) // from when 30 pings have arrived, or at once if before is set
		outcome string
		refused bool // the system refuses to send during the outage
		least   int  // lost
		most    int
		noAsk   bool // not one ping may arrive
	}{
		{name: "in order", outcome: "ok"},
		{name: "switched off", during: switchOff, outcome: "ok", refused: true, least: 20, most: 70},
		{name: "cable pulled at the far end", during: func(t testing.TB, n twoLines) { n.far.Down(t, "two") }, outcome: "ok", least: 20, most: 70},
		{name: "off and on", during: func(t testing.TB, n twoLines) {
			switchOff(t, n)
			time.Sleep(300 * time.Millisecond)
			switchOn(t, n)
		}, outcome: "ok", refused: true, least: 10, most: 69},
		{name: "off at the start, then on", before: switchOff, during: func(t testing.TB, n twoLines) {
			time.Sleep(500 * time.Millisecond)
			switchOn(t, n)
		}, outcome: "ok", refused: true, least: 1, most: 99},
		{name: "off all the time", before: switchOff, outcome: "unreachable", refused: true, least: pings, most: pings, noAsk: true},
		{name: "route gone", during: func(t testing.TB, n twoLines) {
			n.site.Command(t, "ip", "route", "del", "default", "dev", "two")
		}, outcome: "ok", least: 20, most: 70},
		{name: "address gone", during: func(t testing.TB, n twoLines) {
			n.site.Command(t, "ip", "address", "del", "10.2.0.2/24", "dev", "two")
		}, outcome: "ok", refused: true, least: 20, most: 70},
		{name: "device gone", during: func(t testing.TB, n twoLines) {
			n.site.Command(t, "ip", "link", "del", "two")
		}, outcome: "ok", refused: true, least: 20, most: 70},
	} {
		for mode, open := range modes {
			t.Run(tt.name+", "+mode, func(t *testing.T) {
				t.Parallel()
				onCalmMachine(t, func(v *verdict) {
					n := newTwoLines(t)
					n.site.AllowPing(t, open)
					if tt.before != nil {
						tt.before(t, n)
					}
					other := n.site.Sent(t, "one")
					o := options(pings)
					o.Interval, o.Wait = 20*time.Millisecond, 2*time.Second
					done := make(chan result, 1)
					go func() {
						var r result
						if err := n.site.Do(func() error { r = probe(farAddress, lineTwo, o); return nil }); err != nil {
							r.Error = err.Error()
						}
						done <- r
					}()
					if tt.during != nil {
						if tt.before == nil {
							n.await(t, "pings_two", 30)
						}
						tt.during(t, n)
					}
					r := <-done
					truth := n.far.Counters(t)
					if got := n.site.Sent(t, "one") - other; got != 0 || truth["pings_one"] != 0 {
						v.Errorf("%d packets left by the other line, %d pings arrived there", got, truth["pings_one"])
					}
					// A ping that arrives in the instant of the cut may find no way back.
					arrived := truth["pings_two"]
					if got := r.count("received"); got > arrived || got < arrived-1 {
						v.Errorf("%d pings arrived, %d are said to be answered", arrived, got)
					}
					if tt.noAsk && arrived != 0 {
						v.Errorf("%d pings arrived over a line that is off", arrived)
					}
					lost := r.count("lost")
					if r.Outcome != tt.outcome || r.count("sent") != pings || lost != pings-r.count("received") || lost < tt.least || lost > tt.most {
						v.Errorf("got %v; want %s and %d to %d lost", r, tt.outcome, tt.least, tt.most)
					}
					if got := r.count("send_errors"); (got > 0) != tt.refused {
						v.Errorf("%d attempts refused; want some: %v", got, tt.refused)
					}
					if lost > 0 && lost < pings && r.count("longest_loss_run") < lost-1 {
						v.Errorf("one outage, but %v", r)
					}
					if pace := time.Duration(pings-1) * o.Interval; r.took < pace || r.took > pace+o.Wait+2*time.Second {
						v.Errorf("took %v for %v of pings", r.took, pace)
					}
				})
			})
		}
	}
}

// TestSourceAloneIsNotEnough shows that the tests above can fail: without the device, the source address of line two
// leaves by line one, and an outage of line two goes unnoticed. Such a binding proves nothing and says so.
func TestSourceAloneIsNotEnough(t *testing.T) {
	lines.Need(t)
	t.Parallel()
	n := newTwoLines(t)
	b := bind.Binding{Path: probes.PathDedicated, Source: lineTwo.Source}
	r := ping(t, n.site, farAddress, b, options(10))
	if truth := n.far.Counters(t); truth["pings_one"] != 10 || truth["pings_two"] != 0 {
		t.Errorf("arrived %v, got %v", truth, r)
	}
	if b.Proof() != probes.ProofUnproven || lineTwo.Proof() != probes.ProofBound {
		t.Errorf("proofs %s and %s", b.Proof(), lineTwo.Proof())
	}
}

// TestTCPStaysOnItsLine connects over line two while it is up, off, and on again.
func TestTCPStaysOnItsLine(t *testing.T) {
	lines.Need(t)
	t.Parallel()
	n := newTwoLines(t)
	var listener net.Listener
	if err := n.far.Do(func() (err error) { listener, err = net.Listen("tcp4", farAddress+":80"); return err }); err != nil {
		t.Fatal(err)
	}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-accepting })
	other := n.site.Sent(t, "one")
	connect := func() error {
		return n.site.Do(func() error {
			c, err := lineTwo.Dialer("tcp4", 2*time.Second).DialContext(t.Context(), "tcp4", farAddress+":80")
			if err != nil {
				return err
			}
			return c.Close()
		})
	}

	if err := connect(); err != nil {
		t.Errorf("line up: %v", err)
	}
	n.site.Down(t, "two")
	if err := connect(); probes.OutcomeOf(err) != probes.OutcomeUnreachable {
		t.Errorf("line off: got %v, want outcome unreachable", err)
	}
	if err := n.site.Do(lineTwo.Check); err != nil {
		t.Errorf("line off: the device is still there, but %v", err)
	}
	n.site.Up(t, "two")
	n.route(t, "two")
	if err := connect(); err != nil {
		t.Errorf("line up again: %v", err)
	}
	truth := n.far.Counters(t)
	if truth["syns_one"] != 0 || truth["syns_two"] < 2 || n.site.Sent(t, "one") != other {
		t.Errorf("connections opened: %v; %d packets left by the other line", truth, n.site.Sent(t, "one")-other)
	}
}
