// Package gear is the equipment of the lab's sites: real sockets on loopback that speak the real protocols, with
// faults that can be set while they run.
//
// Site number i owns 127.x.y.0/24 with x = block + i/256 and y = i mod 256. In each of these networks stand
//
//	.1  the site's router: its web page and a name server
//	.2  the anchor that is reachable over broadband only: a portal
//	.3  the anchor that is reachable over the dedicated network only: a portal and a name server
//	.4  the room's conference endpoint: H.323 and SIP signalling ports and a web page
//
// and, if they are added, the devices of package fleet, which answer SNMP on PortSNMP: the router and the endpoint at
// the addresses above, others from .10 on.
//
// If lines for conference calls are laid, each begins at the site's anchor of the dedicated network, .3, and ends at the
// province's reflector: package relay is what carries it.
//
// Every address of 127.0.0.0/8 answers pings by itself: the kernel does. Services listen on ports above 1024, so that
// nobody needs to be root.
package gear

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"communewatch/deploy/lab/relay"
)

// Block is the second byte of the first site's network. Labs with blocks far enough apart run side by side.
type Block byte

// DefaultBlock is the block of a demo.
const DefaultBlock Block = 16

// MaxSites is how many networks fit between the block and 127.255.0.0.
func (b Block) MaxSites() int { return (255 - int(b)) * 256 }

// Addr is the address of a host in the network of site number i.
func (b Block) Addr(i int, host byte) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(int(b) + i/256), byte(i % 256), host})
}

// Ports of the services.
const (
	PortDNS  = 10053
	PortHTTP = 10080
	PortH323 = 11720
	PortSIP  = 15060
)

// Host numbers within a site's network.
const (
	HostRouter    = 1
	HostBroadband = 2
	HostDedicated = 3
	HostEndpoint  = 4
)

type protocol uint8

const (
	protoHTTP protocol = iota
	protoDNS
	protoSignalling
	protoSIP // signalling that answers, over TCP and UDP
)

// services is every service of a site.
var services = []struct {
	name  string
	host  byte
	port  uint16
	proto protocol
}{
	{"router-web", HostRouter, PortHTTP, protoHTTP},
	{"router-dns", HostRouter, PortDNS, protoDNS},
	{"broadband-portal", HostBroadband, PortHTTP, protoHTTP},
	{"dedicated-portal", HostDedicated, PortHTTP, protoHTTP},
	{"dedicated-dns", HostDedicated, PortDNS, protoDNS},
	{"endpoint-h323", HostEndpoint, PortH323, protoSignalling},
	{"endpoint-sip", HostEndpoint, PortSIP, protoSIP},
	{"endpoint-web", HostEndpoint, PortHTTP, protoHTTP},
}

// ServiceNames lists the services that every site has.
func ServiceNames() []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.name
	}
	return names
}

// Mode is how a service behaves.
type Mode string

// The modes. The zero Mode is Up.
const (
	Up    Mode = ""      // as it should
	Down  Mode = "down"  // does not listen: connections are refused
	Hang  Mode = "hang"  // accepts and never answers
	Slow  Mode = "slow"  // answers after Fault.Delay
	Wrong Mode = "wrong" // answers wrongly: HTTP 500, DNS "no such name"; signalling ports close at once
)

// Fault is what is wrong with a service; the zero Fault is nothing.
type Fault struct {
	Mode  Mode
	Delay time.Duration // for Slow
}

// Validate reports a fault that makes no sense.
func (f Fault) Validate() error {
	if !slices.Contains([]Mode{Up, Down, Hang, Slow, Wrong}, f.Mode) {
		return fmt.Errorf("mode %q: use down, hang, slow or wrong", f.Mode)
	}
	if f.Mode == Slow && (f.Delay <= 0 || f.Delay > time.Minute) {
		return fmt.Errorf("slow needs a delay of up to 1m, for example 800ms")
	}
	return nil
}

// Gear is the equipment of a number of sites.
type Gear struct {
	mu       sync.Mutex // guards the fields below
	services map[string]*service
	devices  map[string]*device
	lines    map[int]*relay.Relay // for conference calls, by site
	trunk    *relay.Trunk         // what they end in
	closed   bool
}

func key(site int, name string) string { return fmt.Sprintf("%d/%s", site, name) }

// Start brings up the equipment of sites 0 to n-1. Nothing is left running when it fails.
func Start(block Block, n int) (*Gear, error) {
	if n < 0 || n > block.MaxSites() {
		return nil, fmt.Errorf("%d sites: the lab has room for %d", n, block.MaxSites())
	}
	g := &Gear{services: make(map[string]*service, n*len(services)), devices: map[string]*device{}, lines: map[int]*relay.Relay{}}
	for i := range n {
		for _, spec := range services {
			s := &service{addr: netip.AddrPortFrom(block.Addr(i, spec.host), spec.port), proto: spec.proto, done: make(chan struct{})}
			if err := s.open(); err != nil {
				g.Close()
				return nil, explain(err)
			}
			g.services[key(i, spec.name)] = s
		}
	}
	return g, nil
}

func explain(err error) error {
	if strings.Contains(err.Error(), "too many open files") {
		return fmt.Errorf("%w: raise the limit (ulimit -n 65536) or start fewer sites", err)
	}
	var op *net.OpError
	if errors.As(err, &op) && strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("%w: is another lab running on this machine?", err)
	}
	return err
}

// Set puts a service of a site into a fault, or out of it with the zero Fault. Connections that are open go on.
func (g *Gear) Set(site int, name string, f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	g.mu.Lock()
	s, ok := g.services[key(site, name)]
	g.mu.Unlock()
	if !ok {
		return fmt.Errorf("site number %d has no service %q; services are %s", site, name, strings.Join(ServiceNames(), ", "))
	}
	return s.set(f)
}

// Close stops everything and waits for it.
func (g *Gear) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	var wg sync.WaitGroup
	for _, s := range g.services {
		wg.Go(s.close)
	}
	for _, d := range g.devices {
		d.close()
	}
	g.closeLines()
	wg.Wait()
}
