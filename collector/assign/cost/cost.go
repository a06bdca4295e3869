// Package cost says what checks take of a line before anybody is made to run them: bits per second each way, packets, and
// minutes of media. It is a pure function of a check's kind, options and interval.
//
// Figures are those of IP packets, headers included, as contracts of lines count them; what Ethernet adds is left out. What
// a check sends is known from its options. What comes back is known for pings and calls, where it is as much as was sent;
// of web pages and devices' tables it depends on the far end, and what is typical is taken. So sums are good to some tens
// of percent where such checks prevail, and to one percent where calls do, which is where it matters: a call of 15 s every
// 15 minutes takes as much as 3,000 pings a minute.
//
// Results travel too; Reporting is what they take. Retransmissions, and what goes wrong, are not counted.
package cost

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"communewatch/collector/assign"
	"communewatch/collector/assign/kinds"
	"communewatch/probes"
	"communewatch/probes/webrtc/media"
)

// Sizes of packets in bytes.
const (
	ipHeader   = 20 // RFC 791 without options; of IPv6 it is 40
	udpHeader  = 8  // RFC 768
	icmpHeader = 8  // RFC 792, echo
	tcpHeader  = 32 // RFC 9293, with the timestamps of RFC 7323 that all systems of today send
	tcpOpening = 40 // the same in SYN, with maximum segment size, SACK permitted and window scale
	segment    = 1448

	tcpACK = ipHeader + tcpHeader
	tcpSYN = ipHeader + tcpOpening
)

// What is typical of answers whose size the far end decides, in bytes of payload.
const (
	tlsUp     = 700    // ClientHello of 517 (most pad to that), key exchange or Finished
	tlsDown   = 3700   // ServerHello, a chain of two certificates of 1.3 kB each with a status, Finished
	httpHead  = 250    // of a request, and about as much of an answer
	page      = 60_000 // assumed: a portal's front page, HTML alone and not compressed; options.max_body bounds it
	dnsQuery  = 50     // 12 of header, a name of 25, type and class, EDNS0 of 11
	dnsAnswer = 120    // the same with a few addresses of 16 each
	sipText   = 450    // OPTIONS with its headers; RFC 3261 section 11 has 400 and 600 in its example
	gatekeep  = 80     // an H.225.0 GRQ, and what answers it
	setup     = 10_000 // of a call, each way: offer or answer of some 3 kB over TLS, ICE, DTLS with its certificates

	// rideAlong is what goes with media: messages, RTCP and ICE, in bit/s each way (docs/agent.md, orders.max_kbps).
	rideAlong = 30_000

	// A switch of 24 ports is polled for some 20 values a port and 100 of its own, 20 of them in a packet. A question of 20
	// names has some 90 bytes where they are asked for as the rest of a table, an answer 28 a value.
	devicePorts  = 24
	deviceValues = devicePorts*20 + 100
	valuesEach   = 20
	askBytes     = 90
	valueBytes   = 28

	// A sweep knocks at 4 ports of every address. One in five answers, and is asked for 17 services.
	knocks      = 4
	presentOf   = 5
	servicesOf  = 17
	serviceUp   = 400
	serviceDown = 1500
)

// Cost is what something takes of a line on average, and at its worst moment.
type Cost struct {
	UpBPS, DownBPS         float64 // bit/s, on average
	PeakUpBPS, PeakDownBPS float64 // bit/s, while the check that takes most is under way
	PacketsPerSecond       float64 // both ways, on average
	MediaMinutesPerDay     float64 // of calls
}

// Add returns the cost of both. The one that takes most at once sets the peak: calls, which alone take much, are made one
// at a time.
func (c Cost) Add(o Cost) Cost {
	return Cost{
		UpBPS: c.UpBPS + o.UpBPS, DownBPS: c.DownBPS + o.DownBPS,
		PeakUpBPS: max(c.PeakUpBPS, o.PeakUpBPS), PeakDownBPS: max(c.PeakDownBPS, o.PeakDownBPS),
		PacketsPerSecond: c.PacketsPerSecond + o.PacketsPerSecond, MediaMinutesPerDay: c.MediaMinutesPerDay + o.MediaMinutesPerDay,
	}
}

// run is what one run of a check takes.
type run struct {
	up, down               float64 // bytes
	packets                float64 // both ways
	peakUpBPS, peakDownBPS float64
	media                  time.Duration
}

// Of is what a check costs.
func Of(c *assign.Check) Cost {
	r := runOf(c)
	every := c.Every().Seconds()
	return Cost{
		UpBPS: 8 * r.up / every, DownBPS: 8 * r.down / every, PeakUpBPS: r.peakUpBPS, PeakDownBPS: r.peakDownBPS,
		PacketsPerSecond: r.packets / every, MediaMinutesPerDay: r.media.Minutes() * 86400 / every,
	}
}

// ByPath sums what an agent's checks cost, by the path that they take.
func ByPath(checks []assign.Check) map[probes.Path]Cost {
	out := map[probes.Path]Cost{}
	for i := range checks {
		out[checks[i].Path] = out[checks[i].Path].Add(Of(&checks[i]))
	}
	return out
}

// Reporting is what an agent's results take of whichever path they are sent by. A batch is sent every 10 s: a request of
// some 600 bytes of headers, and rows that compress to some 45 bytes each, two of a run; its answer has some 350.
func Reporting(checks []assign.Check) Cost {
	const seal, head, row, answer = 10.0, 600.0, 45.0, 350.0
	rows := 10.0 / 30 // of the agent itself, ten every 30 s
	for i := range checks {
		n := 2.0
		if checks[i].Kind == probes.KindSNMP {
			n = devicePorts + 3
		}
		rows += n / checks[i].Every().Seconds()
	}
	up := head + row*rows*seal
	return Cost{UpBPS: 8 * (up + 2*tcpACK) / seal, DownBPS: 8 * (answer + 2*tcpACK) / seal, PacketsPerSecond: 4 / seal}
}

func runOf(c *assign.Check) run {
	o := kinds.Chosen(c.Options)
	switch c.Kind {
	case probes.KindICMP:
		return icmp(o)
	case probes.KindTCP:
		return connection()
	case probes.KindDNS:
		var r run
		for range o.List("resolvers") {
			r = r.and(datagrams(dnsQuery, dnsAnswer))
		}
		return r
	case probes.KindHTTP:
		return web(c.Address, o)
	case probes.KindSNMP:
		const pages = (deviceValues + valuesEach - 1) / valuesEach
		var r run
		for range pages {
			r = r.and(datagrams(askBytes, valuesEach*valueBytes))
		}
		return r
	case probes.KindSweep:
		return sweep(c.Address)
	case probes.KindSIP:
		return asked(transport(c.Address, o, "sips:"), sipText, sipText)
	case probes.KindSTUN:
		const header, address = 20, 12 // RFC 8489: the header, and XOR-MAPPED-ADDRESS
		return asked(transport(c.Address, o, "stuns:"), header, header+address)
	case probes.KindH323:
		var r run
		if o.Flag("signalling", true) {
			r = connection()
		}
		if o.Flag("gatekeeper", false) {
			r = r.and(datagrams(gatekeep, gatekeep))
		}
		return r
	case probes.KindWebRTC:
		return call(o)
	}
	return run{} // a machine is looked at from within
}

func (r run) and(o run) run {
	r.up, r.down, r.packets, r.media = r.up+o.up, r.down+o.down, r.packets+o.packets, r.media+o.media
	r.peakUpBPS, r.peakDownBPS = max(r.peakUpBPS, o.peakUpBPS), max(r.peakDownBPS, o.peakDownBPS)
	return r
}

// icmp: every ping is answered by as much.
func icmp(o kinds.Chosen) run {
	count := o.Number("count", 10)
	size := ipHeader + icmpHeader + o.Number("size_bytes", 56)
	r := run{up: count * size, down: count * size, packets: 2 * count}
	gap := o.Duration("interval", 200*time.Millisecond).Seconds()
	if gap > 0 {
		r.peakUpBPS, r.peakDownBPS = 8*size/gap, 8*size/gap
	}
	if df := o.Number("df_size_bytes", 0); df > 0 {
		r = r.and(run{up: df, down: df, packets: 2})
	}
	return r
}

// connection is one over TCP that is opened and closed: SYN, ACK, FIN, ACK up; SYN-ACK, FIN-ACK, ACK down.
func connection() run {
	return run{up: tcpSYN + 3*tcpACK, down: tcpSYN + 2*tcpACK, packets: 7}
}

// datagrams is a question and its answer over UDP.
func datagrams(up, down float64) run {
	const header = ipHeader + udpHeader
	return run{up: header + up, down: header + down, packets: 2}
}

// stream is payload over an open TCP connection: segments one way, an ACK for every other one the other way.
func stream(up, down float64) run {
	su, sd := math.Ceil(up/segment), math.Ceil(down/segment)
	return run{up: up + tcpACK*(su+math.Ceil(sd/2)), down: down + tcpACK*(sd+math.Ceil(su/2)), packets: su + sd + math.Ceil(su/2) + math.Ceil(sd/2)}
}

// asked is a question over UDP, TCP or TLS.
func asked(transport string, up, down float64) run {
	switch transport {
	case "tcp":
		return connection().and(stream(up, down))
	case "tls":
		return connection().and(stream(tlsUp, tlsDown)).and(stream(up, down))
	}
	return datagrams(up, down)
}

func transport(address string, o kinds.Chosen, secure string) string {
	if t := o.Text("transport"); t != "" {
		return t
	}
	address = strings.ToLower(address)
	for _, t := range []string{"tcp", "tls"} {
		if strings.Contains(address, "transport="+t) {
			return t
		}
	}
	if strings.HasPrefix(address, secure) {
		return "tls"
	}
	return "udp"
}

func web(address string, o kinds.Chosen) run {
	r := connection()
	if strings.HasPrefix(strings.ToLower(address), "https:") {
		r = r.and(stream(tlsUp, tlsDown))
	}
	body := min(page, o.Number("max_body", 1<<20))
	if strings.EqualFold(o.Text("method"), "HEAD") {
		body = 0
	}
	return r.and(stream(httpHead, httpHead+body))
}

func sweep(address string) run {
	p, err := netip.ParsePrefix(address)
	if err != nil {
		return run{}
	}
	const most = 1024 // addresses that a sweep looks through
	hosts := math.Min(most, math.Exp2(float64(p.Addr().BitLen()-p.Bits())))
	present := hosts / presentOf
	service := connection().and(stream(serviceUp, serviceDown))
	return run{
		up:   (hosts-present)*knocks*tcpSYN + present*servicesOf*service.up,
		down: present * servicesOf * service.down, packets: (hosts-present)*knocks + present*servicesOf*service.packets,
	}
}

// call is a conference call; the reflector, or Janus, sends back what it gets.
func call(o kinds.Chosen) run {
	name := o.Text("profile")
	if name == "" {
		name = "720p"
	}
	p, _ := media.Named(name)
	own := o.In("profiles").In(name)
	p.Name = name
	p.AudioBPS = int(own.Number("audio_kbps", float64(p.AudioBPS)/1000) * 1000)
	p.VideoBPS = int(own.Number("video_kbps", float64(p.VideoBPS)/1000) * 1000)
	if p.FPS = int(own.Number("fps", float64(p.FPS))); p.VideoBPS > 0 && p.FPS <= 0 {
		p.FPS = 30
	}
	if media.Check(p) != nil {
		return run{} // no agent takes it
	}
	length := o.Duration("duration", 15*time.Second)
	bps := media.WireBPS(p) + rideAlong
	r := run{media: length, peakUpBPS: bps, peakDownBPS: bps}
	total := setup + bps/8*length.Seconds()
	for _, s := range media.Streams(p) {
		r.packets += 2 * float64(s.Packets()) * length.Seconds() / s.Interval.Seconds()
	}
	if ramp := o.In("ramp"); ramp.Flag("enabled", false) {
		step, budget := ramp.Duration("step", 2*time.Second), o.Number("share", 0.5)*o.Number("line_kbps", 10_000)*1000
		steps := []any{int64(500), int64(1000), int64(2000), int64(4000)}
		if own := ramp.List("steps_kbps"); own != nil {
			steps = own
		}
		for _, kbps := range steps {
			n, ok := kinds.ToNumber(kbps)
			if !ok || n*1000 < media.MinVideoBPS || n*1000 > media.MaxVideoBPS {
				continue
			}
			s := media.Video(int(n*1000), 30)
			if s.WireBPS() > budget {
				break
			}
			total += s.WireBPS() / 8 * step.Seconds()
			r.packets += 2 * float64(s.Packets()) * step.Seconds() / s.Interval.Seconds()
			r.media += step
			r.peakUpBPS, r.peakDownBPS = max(r.peakUpBPS, s.WireBPS()), max(r.peakDownBPS, s.WireBPS())
		}
	}
	r.up, r.down = total, total
	return r
}
