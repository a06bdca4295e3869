// Package announce reads what devices tell whoever asks "what are you?" on a local network: UPnP (SSDP and the
// description it leads to), ONVIF (WS-Discovery) and NetBIOS (node status). All three were made for being asked by
// strangers; none knows a password.
//
// They are normally asked by multicast. Here each is one packet to one host, which all of them answer too. This room
// makes the questions and reads the answers, and sends nothing. Answers come from anybody, so all that is read is
// bounded, and what does not look right is no answer.
package announce

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strings"
)

// MaxAnswer bounds an answer, in bytes; a description of a device with many services has some 20 KiB.
const MaxAnswer = 64 << 10

// SSDPQuestion asks a host which UPnP device it is (UPnP Device Architecture 1.1, 1.3.2: a unicast M-SEARCH).
func SSDPQuestion(host string) []byte {
	return []byte("M-SEARCH * HTTP/1.1\r\nHOST: " + host + "\r\nMAN: \"ssdp:discover\"\r\nST: upnp:rootdevice\r\nUSER-AGENT: communewatch-agent UPnP/1.1\r\n\r\n")
}

// ParseSSDP reads the answer: the address of the device's description, and what software answers.
func ParseSSDP(packet []byte) (location, server string, ok bool) {
	line, rest, _ := bytes.Cut(packet, []byte("\n"))
	if len(packet) > MaxAnswer || !bytes.HasPrefix(line, []byte("HTTP/1.")) || !bytes.Contains(line, []byte(" 200 ")) {
		return "", "", false
	}
	for range 50 {
		var l []byte
		l, rest, _ = bytes.Cut(rest, []byte("\n"))
		name, value, found := strings.Cut(strings.TrimSpace(string(l)), ":")
		if !found {
			break
		}
		switch textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)) {
		case "Location":
			location = strings.TrimSpace(value)
		case "Server":
			server = strings.TrimSpace(value)
		}
	}
	return location, server, location != ""
}

// Description is a UPnP device's word about itself. All texts are as it wrote them.
type Description struct {
	Type         string `xml:"deviceType"`
	Name         string `xml:"friendlyName"`
	Manufacturer string `xml:"manufacturer"`
	Model        string `xml:"modelName"`
	Number       string `xml:"modelNumber"`
	Serial       string `xml:"serialNumber"`
}

// Class is the class of equipment that a UPnP device type stands for. It is "" for what may be a program as well:
// players and media servers run on anything, so their maker is not the machine's.
func (d Description) Class() string {
	_, kind, _ := strings.Cut(d.Type, ":device:")
	kind, _, _ = strings.Cut(kind, ":")
	return map[string]string{"InternetGatewayDevice": "router", "WLANAccessPointDevice": "access_point", "Printer": "printer", "Scanner": "scanner",
		"DigitalSecurityCamera": "camera"}[kind]
}

// ParseDescription reads the description's root device (UPnP Device Architecture 2.3).
func ParseDescription(data []byte) (Description, error) {
	if len(data) > MaxAnswer {
		return Description{}, errors.New("the description is too long")
	}
	var doc struct {
		XMLName xml.Name    `xml:"root"`
		Device  Description `xml:"device"`
	}
	if err := lenient(data).Decode(&doc); err != nil {
		return Description{}, err
	}
	return doc.Device, nil
}

// lenient reads XML as devices write it, in whatever character set: texts are looked at byte by byte later.
func lenient(data []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	return d
}

// ONVIFQuestion asks for the ONVIF device at a host (WS-Discovery 2005/04, 5.2). id is a fresh UUID.
func ONVIFQuestion(id string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" ` +
		`xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" ` +
		`xmlns:n="http://www.onvif.org/ver10/network/wsdl"><e:Header><w:MessageID>uuid:` + id + `</w:MessageID>` +
		`<w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To><w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action>` +
		`</e:Header><e:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>`)
}

// Camera is what an ONVIF device says in its scopes (ONVIF Core 7.3.2.2).
type Camera struct {
	Name     string // mostly maker and model
	Hardware string // model
	Type     string // as the device calls its kind: NetworkVideoTransmitter
}

// ParseONVIF reads a ProbeMatches message; ok is false for what is none.
func ParseONVIF(packet []byte) (c Camera, ok bool) {
	if len(packet) > MaxAnswer {
		return c, false
	}
	var doc struct {
		XMLName xml.Name `xml:"Envelope"`
		Types   string   `xml:"Body>ProbeMatches>ProbeMatch>Types"`
		Scopes  string   `xml:"Body>ProbeMatches>ProbeMatch>Scopes"`
	}
	if err := lenient(packet).Decode(&doc); err != nil {
		return c, false
	}
	for word := range strings.FieldsSeq(doc.Types) {
		if _, local, ok := strings.Cut(word, ":"); ok && c.Type == "" {
			c.Type = local
		}
	}
	for scope := range strings.FieldsSeq(doc.Scopes) {
		rest, ok := strings.CutPrefix(scope, "onvif://www.onvif.org/")
		if !ok {
			continue
		}
		key, value, _ := strings.Cut(rest, "/")
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		switch strings.ToLower(key) {
		case "name":
			c.Name = value
		case "hardware":
			c.Hardware = value
		}
	}
	return c, c.Name != "" || c.Hardware != ""
}

// NetBIOSQuestion asks for the names of a host (RFC 1002 4.2.17, NODE STATUS REQUEST for "*").
func NetBIOSQuestion(id uint16) []byte {
	q := binary.BigEndian.AppendUint16(nil, id)
	q = append(q, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 32)
	q = append(q, "CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"...) // "*" and zeros, half a byte per letter
	return append(q, 0, 0, 0x21, 0, 1)
}

// ParseNetBIOS reads the answer (RFC 1002 4.2.18): the host's own name, and its card's address where it gives one.
func ParseNetBIOS(packet []byte, id uint16) (name string, mac net.HardwareAddr, ok bool) {
	const header, question = 12, 34 + 4 + 4 + 2 // name, type and class, time to live, length
	if len(packet) < header+question+1 || binary.BigEndian.Uint16(packet) != id || packet[2]&0x80 == 0 || packet[3]&0x0f != 0 || packet[header] != 32 {
		return "", nil, false
	}
	rest := packet[header+question:]
	count := int(rest[0])
	rest = rest[1:]
	if len(rest) < 18*count {
		return "", nil, false
	}
	for i := range count {
		entry := rest[18*i:]
		group := entry[16]&0x80 != 0
		if entry[15] == 0 && !group && name == "" { // the workstation's name
			name = strings.TrimRight(string(entry[:15]), " \x00")
		}
	}
	if after := rest[18*count:]; len(after) >= 6 && !bytes.Equal(after[:6], make([]byte, 6)) { // Samba gives zeros
		mac = net.HardwareAddr(bytes.Clone(after[:6]))
	}
	return name, mac, name != ""
}
