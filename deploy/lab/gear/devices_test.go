package gear

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"communewatch/deploy/lab/fleet"
	"communewatch/inventory"

	"github.com/gosnmp/gosnmp"
	"go.uber.org/goleak"
)

func TestDevicesAnswerAndFail(t *testing.T) {
	defer goleak.VerifyNone(t)
	plan, err := fleet.Plan([]inventory.Site{{ID: "s1", Code: "1", Name: "Tam Sơn", Type: "xã"}, {ID: "s2", Code: "2", Name: "Đạo Đức", Type: "xã"}})
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, 2)
	defer g.Close()
	if err := g.AddDevices(block, plan); err != nil {
		t.Fatal(err)
	}
	ask := func(host byte, oid string) (string, error) {
		c := &gosnmp.GoSNMP{Target: block.Addr(1, host).String(), Port: PortSNMP, Community: "public", Version: gosnmp.Version2c, Timeout: 200 * time.Millisecond, MaxOids: 60}
		if err := c.Connect(); err != nil {
			return "", err
		}
		defer c.Conn.Close()
		p, err := c.Get([]string{oid})
		if err != nil {
			return "", err
		}
		if b, ok := p.Variables[0].Value.([]byte); ok {
			return string(b), nil
		}
		return fmt.Sprint(p.Variables[0].Value), nil
	}
	const name, uptime = "1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.3.0"
	if got, err := ask(HostEndpoint, name); err != nil || got != "ENDPOINT-DAODUC-2" {
		t.Fatalf("%q, %v", got, err)
	}
	table := g.Device(1, "endpoint").Table()
	resp, err := http.Get(fmt.Sprintf("http://%s:%d/", block.Addr(1, HostEndpoint), PortHTTP))
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if !strings.Contains(string(page), "<title>"+table.Web.Title+"</title>") || !strings.Contains(string(page), "communewatch") || resp.Header.Get("Server") != table.Web.Server {
		t.Errorf("the page of a %s is %v %s", table.Name, resp.Header, page)
	}
	sip, err := net.Dial("tcp", netip.AddrPortFrom(block.Addr(1, HostEndpoint), PortSIP).String())
	if err != nil {
		t.Fatal(err)
	}
	defer sip.Close()
	sip.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(sip, "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nCall-ID: 77\r\nCSeq: 1 OPTIONS\r\n\r\n")
	head, err := textproto.NewReader(bufio.NewReader(sip)).ReadLine()
	if err != nil || head != "SIP/2.0 200 OK" {
		t.Errorf("SIP: %q, %v", head, err)
	}
	set := func(f DeviceFault) {
		t.Helper()
		if err := g.SetDevice(1, "endpoint", f); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []DeviceFault{{Mode: DeviceDown}, {Mode: "dead"}, {Mode: DeviceSlow, Delay: time.Second}, {Mode: "garbage"}} {
		set(f)
		if got, err := ask(HostEndpoint, name); err == nil {
			t.Errorf("%s: %q was answered", f.Mode, got)
		}
		set(DeviceFault{Mode: DeviceUp})
		if _, err := ask(HostEndpoint, name); err != nil {
			t.Errorf("up after %s: %v", f.Mode, err)
		}
	}
	set(DeviceFault{Mode: DeviceReboot})
	if ticks, err := ask(HostEndpoint, uptime); err != nil || len(ticks) > 4 {
		t.Errorf("after a reboot it has been up for %s hundredths, %v", ticks, err)
	}
	before := g.Device(1, "endpoint").MAC()
	set(DeviceFault{Mode: DeviceReplaced})
	if after := g.Device(1, "endpoint").MAC(); after == before {
		t.Errorf("the new unit has the old one's address %x", after)
	}
	if err := g.MoveDevice(1, "endpoint", block, 77); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(77, name); err != nil || got != "ENDPOINT-DAODUC-2" {
		t.Errorf("at its new address: %q, %v", got, err)
	}
	if _, err := ask(HostEndpoint, name); err == nil {
		t.Error("it still answers at its old address")
	}
	if len(g.DeviceNames(1)) < 2 {
		t.Errorf("devices %v", g.DeviceNames(1))
	}
	for _, f := range []DeviceFault{{Mode: "sideways"}, {Mode: DeviceSlow}} {
		if g.SetDevice(1, "endpoint", f) == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
	if g.SetDevice(1, "toaster", DeviceFault{Mode: DeviceUp}) == nil || g.SetDevice(9, "router", DeviceFault{Mode: DeviceUp}) == nil {
		t.Error("a device that is not there was set")
	}
}
