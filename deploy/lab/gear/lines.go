package gear

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"communewatch/deploy/lab/relay"
	"communewatch/probes"
)

// PortCall is where the conference's line begins, at a site's anchor of the dedicated network: WHIP signalling, which
// leads to the province's reflector.
const PortCall = 10088

// AddLines lays a line for conference calls from each of sites 0 to n-1 to the hub whose signalling is at a URL. All of
// them end in the hub's own line.
func (g *Gear) AddLines(block Block, n int, hub string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trunk = relay.NewTrunk(1)
	for i := range n {
		at := block.Addr(i, HostDedicated)
		r, err := relay.Listen(relay.Config{Listen: netip.AddrPortFrom(at, PortCall), Hub: hub, Source: at, Trunk: g.trunk, Seed: uint64(i) + 1})
		if err != nil {
			return explain(err)
		}
		g.lines[i] = r
	}
	return nil
}

// SetLine lets conference calls of a site travel as a Way says, in one direction, or in both if that is "".
func (g *Gear) SetLine(site int, d probes.Direction, w relay.Way) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.lines[site]
	if r == nil {
		return fmt.Errorf("site number %d has no line for conference calls", site)
	}
	return r.Set(changed(r.Line(), d, w))
}

// SetHubLine does the same to the hub's own line, which all sites' calls go through.
func (g *Gear) SetHubLine(d probes.Direction, w relay.Way) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.trunk == nil {
		return errors.New("there are no lines for conference calls")
	}
	return g.trunk.Set(changed(g.trunk.Line(), d, w))
}

func changed(l relay.Line, d probes.Direction, w relay.Way) relay.Line {
	if d != probes.DirectionDown {
		l.Up = w
	}
	if d != probes.DirectionUp {
		l.Down = w
	}
	return l
}

// Line is the line of a site, nil if it has none.
func (g *Gear) Line(site int) *relay.Relay {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lines[site]
}

func (g *Gear) closeLines() {
	var wg sync.WaitGroup
	for _, r := range g.lines {
		wg.Go(r.Close)
	}
	wg.Wait()
}

// options answers SIP's OPTIONS in a datagram (RFC 3261 11.2); nil if it is something else.
func options(msg []byte, server string) []byte {
	head, _, ok := strings.Cut(string(msg), "\r\n\r\n")
	if !ok || !strings.HasPrefix(head, "OPTIONS ") {
		return nil
	}
	lines := strings.Split(head, "\r\n")[1:]
	return response(func(name string) (values []string) {
		for _, l := range lines {
			if n, v, ok := strings.Cut(l, ":"); ok && slices.Contains([]string{name, short[name]}, strings.ToLower(strings.TrimSpace(n))) {
				values = append(values, strings.TrimSpace(v))
			}
		}
		return values
	}, server)
}

// short are the compact names of the headers that a response repeats (RFC 3261 7.3.3).
var short = map[string]string{"via": "v", "from": "f", "to": "t", "call-id": "i"}

// response is a 200 to a SIP request whose headers are read by lower-case name.
func response(header func(name string) []string, server string) []byte {
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		for _, v := range header(strings.ToLower(name)) {
			if name == "To" && !strings.Contains(v, "tag=") {
				v += ";tag=lab" // a response has one (RFC 3261 8.2.6.2)
			}
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	fmt.Fprintf(&b, "Server: %s\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\nContent-Length: 0\r\n\r\n", server)
	return []byte(b.String())
}
