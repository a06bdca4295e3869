package gear

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"communewatch/deploy/lab/fleet"
	"communewatch/deploy/lab/gear/snmp"
)

// PortSNMP is where devices answer SNMP.
const PortSNMP = 10161

// The modes of a device beside those of snmp.Lies; DeviceUp takes back whatever was set.
const (
	DeviceUp       = "up"       // as it was made
	DeviceDown     = "down"     // nothing listens
	DeviceSlow     = "slow"     // answers after a delay
	DeviceReboot   = "reboot"   // starts anew, once
	DeviceReplaced = "replaced" // another unit of the same model answers
)

// DeviceModes lists every mode of a device.
func DeviceModes() []string {
	modes := []string{DeviceUp, DeviceDown, DeviceSlow, DeviceReboot, DeviceReplaced}
	for _, l := range snmp.Lies() {
		modes = append(modes, string(l))
	}
	return modes
}

// DeviceFault is what happens to a device.
type DeviceFault struct {
	Mode  string        // one of DeviceModes
	Delay time.Duration // for DeviceSlow
}

// Validate reports a fault that makes no sense.
func (f DeviceFault) Validate() error {
	if !slices.Contains(DeviceModes(), f.Mode) {
		return fmt.Errorf("mode %q: use %s", f.Mode, strings.Join(DeviceModes(), ", "))
	}
	if f.Mode == DeviceSlow && (f.Delay <= 0 || f.Delay > time.Minute) {
		return fmt.Errorf("slow needs a delay of up to 1m, for example 800ms")
	}
	return nil
}

// device is one device that answers SNMP.
type device struct {
	plan fleet.Device
	addr netip.AddrPort
	unit *snmp.Device
	resp *snmp.Responder // nil while nothing listens
	gone int             // units that were replaced
}

func (d *device) open() error {
	if d.resp != nil {
		return nil
	}
	r, err := snmp.Listen(d.addr, d.unit)
	if err == nil {
		d.resp = r
	}
	return err
}

func (d *device) close() {
	if d.resp != nil {
		d.resp.Close()
		d.resp = nil
	}
}

// AddDevices lets devices answer SNMP in their sites' networks. Those that could be started are stopped by Close, also
// when it fails.
func (g *Gear) AddDevices(block Block, devices []fleet.Device) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for _, p := range devices {
		d := &device{plan: p, addr: netip.AddrPortFrom(block.Addr(p.Site, p.Host), PortSNMP), unit: p.Responder(now)}
		if err := d.open(); err != nil {
			return explain(err)
		}
		g.devices[key(p.Site, p.Name)] = d
		g.showFace(p)
	}
	return nil
}

// showFace lets a site's web pages and SIP port say whose they are.
func (g *Gear) showFace(p fleet.Device) {
	f := face{title: p.Table.Web.Title, server: p.Table.Web.Server, sip: p.Table.SIP}
	for _, name := range ServiceNames() {
		if s := g.services[key(p.Site, name)]; s != nil && strings.HasPrefix(name, p.Name+"-") && s.proto != protoDNS {
			s.show(f)
		}
	}
}

// Device returns what answers as a device of a site; nil if the site has none of that name.
func (g *Gear) Device(site int, name string) *snmp.Device {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d := g.devices[key(site, name)]; d != nil {
		return d.unit
	}
	return nil
}

// DeviceNames lists the devices of a site.
func (g *Gear) DeviceNames(site int) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for _, n := range fleet.Names() {
		if g.devices[key(site, n)] != nil {
			names = append(names, n)
		}
	}
	return names
}

// SetDevice lets something happen to a device of a site.
func (g *Gear) SetDevice(site int, name string, f DeviceFault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.devices[key(site, name)]
	if d == nil {
		return fmt.Errorf("site number %d has no device %q", site, name)
	}
	if g.closed {
		return nil
	}
	switch f.Mode {
	case DeviceDown:
		d.close()
		return nil
	case DeviceUp:
		d.unit.Reset()
	case DeviceSlow:
		d.unit.SetQuirk(snmp.Quirk{Delay: f.Delay})
	case DeviceReboot:
		d.unit.Reboot(time.Now())
	case DeviceReplaced:
		d.gone++
		p := d.plan
		p.Own.Number += d.gone * 30_011 // far from the numbers of the lab's other devices
		d.unit = p.Responder(time.Now())
		d.unit.Reboot(time.Now()) // it was just plugged in
		if d.resp != nil {
			d.resp.Place(d.unit)
		}
	default:
		d.unit.SetQuirk(snmp.Quirk{Lie: snmp.Lie(f.Mode)})
	}
	return d.open()
}

// MoveDevice gives a device of a site another address: DHCP does.
func (g *Gear) MoveDevice(site int, name string, block Block, host byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.devices[key(site, name)]
	if d == nil {
		return fmt.Errorf("site number %d has no device %q", site, name)
	}
	d.close()
	d.addr = netip.AddrPortFrom(block.Addr(site, host), PortSNMP)
	return d.open()
}
