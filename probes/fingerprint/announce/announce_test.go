package announce

import (
	"bytes"
	"strings"
	"testing"
)

const description = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major></specVersion><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>Router</friendlyName><manufacturer>TP-LINK</manufacturer>
<modelName>TL-WR841N</modelName><modelNumber>8.0</modelNumber><serialNumber>12345</serialNumber>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><manufacturer>Other</manufacturer></device></deviceList></device></root>`

const match = `<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">
<SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2032-I onvif://www.onvif.org/name/HIKVISION%20DS-2CD2032-I other://x</d:Scopes>
</d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>`

func nodeStatus(id byte, mac []byte) []byte {
	b := []byte{0, id, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 32}
	b = append(b, "CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"...)
	b = append(b, 0, 0, 0x21, 0, 1, 0, 0, 0, 0, 0, 83, 3)
	entry := func(name string, kind byte, flags byte) {
		b = append(append(b, (name+strings.Repeat(" ", 15-len(name)))...), kind, flags, 0)
	}
	entry("WORKGROUP", 0, 0x84)
	entry("PC-07", 0, 0x04)
	entry("PC-07", 0x20, 0x04)
	return append(b, mac...)
}

func TestSSDP(t *testing.T) {
	location, server, ok := ParseSSDP([]byte("HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1:1900/igd.xml\r\nserver : ipos/7.0 UPnP/1.0\r\nEXT:\r\n\r\n"))
	if !ok || location != "http://192.168.1.1:1900/igd.xml" || server != "ipos/7.0 UPnP/1.0" {
		t.Errorf("got %q, %q, %v", location, server, ok)
	}
	for _, bad := range []string{"", "HTTP/1.1 404 No\r\nLocation: x\r\n\r\n", "NOTIFY * HTTP/1.1\r\nLocation: x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"} {
		if _, _, ok := ParseSSDP([]byte(bad)); ok {
			t.Errorf("%q was taken for an answer", bad)
		}
	}
}

func TestDescription(t *testing.T) {
	d, err := ParseDescription([]byte(description))
	if err != nil || d.Manufacturer != "TP-LINK" || d.Model != "TL-WR841N" || d.Serial != "12345" || d.Class() != "router" {
		t.Errorf("got %+v, %v", d, err)
	}
	if d.Type = "urn:schemas-upnp-org:device:MediaServer:1"; d.Class() != "" {
		t.Error("a media server is a program")
	}
	for _, bad := range []string{"", "<html><title>x</title></html>", strings.Repeat(" ", MaxAnswer) + description} {
		if _, err := ParseDescription([]byte(bad)); err == nil {
			t.Errorf("%.20q was taken for a description", bad)
		}
	}
}

func TestONVIF(t *testing.T) {
	c, ok := ParseONVIF([]byte(match))
	if !ok || c.Name != "HIKVISION DS-2CD2032-I" || c.Hardware != "DS-2CD2032-I" || c.Type != "NetworkVideoTransmitter" {
		t.Errorf("got %+v, %v", c, ok)
	}
	if _, ok := ParseONVIF(ONVIFQuestion("0")); ok {
		t.Error("the question was taken for an answer")
	}
}

func TestNetBIOS(t *testing.T) {
	name, mac, ok := ParseNetBIOS(nodeStatus(7, []byte{0x44, 0x8a, 0x5b, 1, 2, 3}), 7)
	if !ok || name != "PC-07" || mac.String() != "44:8a:5b:01:02:03" {
		t.Errorf("got %q, %s, %v", name, mac, ok)
	}
	if name, mac, ok := ParseNetBIOS(nodeStatus(7, make([]byte, 6)), 7); !ok || name != "PC-07" || mac != nil {
		t.Errorf("got %q, %s, %v", name, mac, ok)
	}
	if _, _, ok := ParseNetBIOS(nodeStatus(8, nil), 7); ok {
		t.Error("the answer to another question was taken")
	}
	if _, _, ok := ParseNetBIOS(NetBIOSQuestion(7), 7); ok {
		t.Error("the question was taken for an answer")
	}
	if q := NetBIOSQuestion(7); len(q) != 50 || !bytes.Equal(q[12:13], []byte{32}) {
		t.Errorf("question %x", q)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(description))
	f.Add([]byte(match))
	f.Add(nodeStatus(7, []byte{1, 2, 3, 4, 5, 6}))
	f.Add([]byte("HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1:1900/igd.xml\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if location, _, ok := ParseSSDP(b); ok && location == "" {
			t.Error("an answer that leads nowhere")
		}
		if d, err := ParseDescription(b); err == nil && len(d.Model) > len(b) {
			t.Error("more was read than there was")
		}
		ParseONVIF(b)
		if name, mac, ok := ParseNetBIOS(b, 7); ok && (name == "" || len(name) > 15 || mac != nil && len(mac) != 6) {
			t.Errorf("name %q, card %s", name, mac)
		}
	})
}
