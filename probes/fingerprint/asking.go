package fingerprint

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"communewatch/probes"
	"communewatch/probes/fingerprint/announce"
)

// announceSilent is how long an answer to a question on the local network is waited for: most hosts don't have the
// service, and many of them drop what they don't know.
const announceSilent = 1500 * time.Millisecond

// question sends one packet and returns the first answer that is of use.
func (l *look) question(ctx context.Context, port uint16, packet []byte, use func(answer []byte) bool) error {
	conn, err := l.open(ctx, "udp", port)
	if err != nil {
		return err
	}
	defer conn.Close()
	if l.Timeout > announceSilent {
		conn.SetReadDeadline(time.Now().Add(announceSilent))
	}
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	buffer := make([]byte, announce.MaxAnswer)
	for range 5 {
		n, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		if use(buffer[:n]) {
			return nil
		}
	}
	return nil
}

// upnp asks for the description of a UPnP device.
func (l *look) upnp(ctx context.Context, port uint16) error {
	var location string
	host := net.JoinHostPort(l.addr.WithZone("").String(), fmt.Sprint(port))
	err := l.question(ctx, port, announce.SSDPQuestion(host), func(answer []byte) (ok bool) {
		location, _, ok = announce.ParseSSDP(answer)
		return ok
	})
	if err != nil || location == "" {
		return err
	}
	l.offers("upnp", fmt.Sprintf("ssdp answer, port %d", port))
	at, err := url.Parse(location)
	if err != nil || !l.same(at) {
		return nil
	}
	p, err := l.fetch(ctx, at)
	if err != nil {
		return nil
	}
	d, err := announce.ParseDescription([]byte(p.body))
	if err != nil || d.Class() == "" && !strings.Contains(d.Type, ":device:Basic:") {
		return nil
	}
	source := "upnp description"
	l.maker(d.Manufacturer, d.Model, source)
	if !probes.Placeholder(d.Serial) {
		l.put(probes.FactSerial, d.Serial, source, 0.5) // some give a universal one
	}
	l.put(probes.FactClass, d.Class(), source, 0.6)
	return nil
}

// maker notes who made what, where the text is known to name a maker: a model says nothing without one.
func (l *look) maker(maker, model, source string) {
	facts := l.Rules.apply(Maker, clean([]byte(maker)), source)
	l.facts = append(l.facts, facts...)
	for _, f := range facts {
		if f.Name != probes.FactVendor || probes.Placeholder(model) {
			continue
		}
		model = clean([]byte(model))
		if len(model) > len(f.Value) && strings.EqualFold(model[:len(f.Value)], f.Value) {
			model = strings.TrimLeft(model[len(f.Value):], " -_")
		}
		l.put(probes.FactModel, model, source, min(f.Confidence, MaxConfidence))
	}
}

// camera asks for an ONVIF device.
func (l *look) camera(ctx context.Context, port uint16) error {
	var id [16]byte
	rand.Read(id[:]) // never fails
	uuid := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	var c announce.Camera
	found := false
	err := l.question(ctx, port, announce.ONVIFQuestion(uuid), func(answer []byte) bool {
		c, found = announce.ParseONVIF(answer)
		return found
	})
	if !found {
		return err
	}
	source := fmt.Sprintf("onvif scopes, port %d", port)
	l.offers("onvif", source)
	l.maker(c.Name, c.Hardware, source)
	if c.Type == "NetworkVideoTransmitter" {
		l.put(probes.FactClass, "camera", source, 0.4) // recorders say so too
	}
	return nil
}

// netbios asks a Windows machine, or what behaves like one, for its name.
func (l *look) netbios(ctx context.Context, port uint16) error {
	var b [2]byte
	rand.Read(b[:]) // never fails
	id := binary.BigEndian.Uint16(b[:])
	var name string
	var mac net.HardwareAddr
	err := l.question(ctx, port, announce.NetBIOSQuestion(id), func(answer []byte) (ok bool) {
		name, mac, ok = announce.ParseNetBIOS(answer, id)
		return ok
	})
	if name == "" {
		return err
	}
	source := fmt.Sprintf("netbios node status, port %d", port)
	l.offers("netbios", source)
	l.put(probes.FactSysName, name, source, 0.8)
	if len(mac) == 6 && mac[0]&3 == 0 {
		l.put(probes.FactMAC, mac.String(), source, 0.7)
	}
	return nil
}
