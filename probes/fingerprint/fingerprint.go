// Package fingerprint looks once at one host from outside and notes what it says of itself to anybody: the title and
// Server header of its first page, the TLS versions it accepts, its SSH, FTP or Telnet greeting, who answers SIP
// OPTIONS, its UPnP or ONVIF description, whose network card it has. It is for equipment that does not speak SNMP.
//
// It is polite. Nothing is ever logged in to, no name and no password is sent, nothing is asked twice that was
// answered, at most one connection is open at a time, each is bounded in time and in bytes, and every packet goes
// through the Dial that the caller gives, who may refuse an address.
//
// What such texts mean is knowledge, and stands as data in rules.yaml: patterns over a text, and the maker, model and
// class they stand for. A greeting can be forged and one web server is built into the gear of many makers, so nothing
// learnt this way has a confidence above 0.7, and what could mean several makers means none.
package fingerprint

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"communewatch/probes"
)

// MaxConfidence is the most that a text a host says to anybody is worth.
const MaxConfidence = 0.7

// Service is a kind of conversation to try on a port.
type Service string

// The services that can be tried.
const (
	HTTP   Service = "http"
	HTTPS  Service = "https" // HTTP over TLS, and which TLS versions
	SSH    Service = "ssh"
	Telnet Service = "telnet"
	FTP    Service = "ftp"
	RTSP   Service = "rtsp"
	H323   Service = "h323"    // only whether it is open: a call would ring
	SIP    Service = "sip"     // OPTIONS over UDP
	SIPTCP Service = "sip_tcp" // OPTIONS over TCP
	SIPS   Service = "sips"    // OPTIONS over TLS, and which TLS versions

	// Asked over UDP as on a local network, but of the one host only; see package announce.
	UPnP    Service = "upnp"
	ONVIF   Service = "onvif"
	NetBIOS Service = "netbios"
)

// Services lists every service in the order in which they are tried.
func Services() []Service {
	return []Service{HTTP, HTTPS, SSH, Telnet, FTP, RTSP, SIP, SIPTCP, SIPS, H323, UPnP, ONVIF, NetBIOS}
}

// DefaultPorts returns the ports on which services are tried where nothing else is said.
func DefaultPorts() map[Service][]uint16 {
	return map[Service][]uint16{HTTP: {80, 8080}, HTTPS: {443, 8443}, SSH: {22}, Telnet: {23}, FTP: {21}, RTSP: {554}, SIP: {5060},
		SIPTCP: {5060}, SIPS: {5061}, H323: {1720}, UPnP: {1900}, ONVIF: {3702}, NetBIOS: {137}}
}

// Options of a look at a host.
type Options struct {
	// Dial opens a connection, for network "tcp" or "udp". All packets go through it.
	Dial    func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
	Ports   map[Service][]uint16 // nil: DefaultPorts
	Timeout time.Duration        // for one conversation; 0: 3s
	Rules   *Rules               // nil: none, so that only what was heard is told
	MAC     net.HardwareAddr     // of the host, where the caller knows it
}

// look is a look at one host.
type look struct {
	Options
	addr      netip.Addr
	facts     []probes.Fact
	protocols map[string]string // token of FactProtocols -> where it was seen
}

// Host looks at a host and returns what it learnt, best known first by name. A host that says nothing gives no facts
// and no error; the error is about ctx, or about packets that could not be sent at all.
func Host(ctx context.Context, addr netip.Addr, o Options) ([]probes.Fact, error) {
	if o.Ports == nil {
		o.Ports = DefaultPorts()
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	l := &look{Options: o, addr: addr.Unmap(), protocols: map[string]string{}}
	var own error
	for _, service := range Services() {
		for _, port := range o.Ports[service] {
			if err := ctx.Err(); err != nil {
				return l.result(), err
			}
			err := l.try(ctx, service, port)
			if probes.OutcomeOf(err).Own() && ctx.Err() == nil {
				own = err
			}
		}
	}
	l.hardware()
	facts := l.result()
	if err := ctx.Err(); err != nil {
		return facts, err
	}
	if len(facts) == 0 {
		return nil, own
	}
	return facts, nil
}

// try has one conversation. The error says why there was none.
func (l *look) try(ctx context.Context, service Service, port uint16) error {
	switch service {
	case HTTP:
		return l.web(ctx, port, false)
	case HTTPS:
		return l.secure(ctx, port, func() error { return l.web(ctx, port, true) })
	case SSH:
		return l.ssh(ctx, port)
	case Telnet:
		return l.telnet(ctx, port)
	case FTP:
		return l.ftp(ctx, port)
	case RTSP:
		return l.rtsp(ctx, port)
	case H323:
		conn, err := l.open(ctx, "tcp", port)
		if err != nil {
			return err
		}
		l.offers("h323", fmt.Sprintf("tcp port %d", port))
		return conn.Close()
	case SIP:
		return l.sip(ctx, "udp", port)
	case SIPTCP:
		return l.sip(ctx, "tcp", port)
	case UPnP:
		return l.upnp(ctx, port)
	case ONVIF:
		return l.camera(ctx, port)
	case NetBIOS:
		return l.netbios(ctx, port)
	case SIPS:
		return l.secure(ctx, port, func() error { return l.sip(ctx, "tls", port) })
	}
	return nil
}

// open opens a connection that ends by itself when a conversation's time is over or ctx ends.
func (l *look) open(ctx context.Context, network string, port uint16) (net.Conn, error) {
	return l.dial(ctx, network, netip.AddrPortFrom(l.addr, port))
}

func (l *look) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	deadline := time.Now().Add(l.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	dialing, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := l.Dial(dialing, network, to)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return &watched{Conn: conn, stop: stop}, nil
}

// watched is a connection that lets go of its context when it is closed.
type watched struct {
	net.Conn
	stop func() bool
}

func (w *watched) Close() error {
	w.stop()
	return w.Conn.Close()
}

// put notes a fact, unless there is nothing to it or a better one of the same value is there.
func (l *look) put(name probes.FactName, value, source string, confidence float64) {
	if value = clean([]byte(value)); value == "" {
		return
	}
	l.facts = append(l.facts, probes.Fact{Name: name, Value: value, Source: source, Confidence: confidence})
}

// offers notes that the host speaks a protocol.
func (l *look) offers(protocol, source string) {
	if l.protocols[protocol] == "" {
		l.protocols[protocol] = source
	}
}

// heard applies the rules to a text that the host said.
func (l *look) heard(in Subject, text, source string) {
	if text == "" {
		return
	}
	l.facts = append(l.facts, l.Rules.apply(in, text, source)...)
}

// hardware says whose network card the host has. A card's maker need not be the device's, so this is the weakest
// evidence there is.
func (l *look) hardware() {
	if len(l.MAC) != 6 {
		return
	}
	mac := l.MAC.String()
	l.put(probes.FactMAC, mac, "arp", 0.9)
	if vendor := l.Rules.cardMaker(l.MAC); vendor != "" {
		l.put(probes.FactVendor, vendor, "mac "+mac[:8], 0.3)
	}
}

func (l *look) result() []probes.Fact {
	facts := slices.Clone(l.facts)
	if len(l.protocols) > 0 {
		var tokens, sources []string
		for token, source := range l.protocols {
			tokens = append(tokens, token)
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		}
		slices.Sort(tokens)
		slices.Sort(sources)
		facts = append(facts, probes.Fact{Name: probes.FactProtocols, Value: strings.Join(tokens, " "), Source: cut(strings.Join(sources, "; ")), Confidence: 0.95})
	}
	return Merge(facts)
}
