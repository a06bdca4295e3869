package bind

import (
	"net"
	"net/netip"

	"communewatch/probes"
)

// Check reports whether the binding's device and source address are there. If not, nothing that is sent could be
// this path's, and the error says what is missing with the outcome "unbound".
//
// A device that is there but down passes: that is the line's outage, and the probes are to see it as one.
func (b Binding) Check() error {
	if b.Device == "" && !b.Source.IsValid() {
		return nil
	}
	if b.Device != "" && !canBindDevice {
		return deviceUnsupported(b.Device)
	}
	var devices []net.Interface
	if b.Device != "" {
		dev, err := net.InterfaceByName(b.Device)
		if err != nil {
			return probes.Errorf(probes.OutcomeUnbound, "network device %q of path %s is not there: %w (see `ip link`, and correct the path's device)", b.Device, b.Path, err)
		}
		devices = []net.Interface{*dev}
	} else {
		var err error
		if devices, err = net.Interfaces(); err != nil {
			return probes.Errorf(probes.OutcomeUnbound, "list network devices: %w", err)
		}
	}
	if !b.Source.IsValid() {
		return nil
	}
	for _, dev := range devices {
		addrs, err := dev.Addrs()
		if err != nil {
			return probes.Errorf(probes.OutcomeUnbound, "list addresses of network device %q: %w", dev.Name, err)
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && holds(n, b.Source, dev.Flags&net.FlagLoopback != 0) {
				return nil
			}
		}
	}
	on := "any network device"
	if b.Device != "" {
		on = "network device " + b.Device
	}
	return probes.Errorf(probes.OutcomeUnbound, "source address %s of path %s is not on %s (see `ip address`, and correct the path's source)", b.Source, b.Path, on)
}

// holds reports whether a device with address n may send from a. On loopback the whole prefix is local: 127.1.2.3
// is usable though only 127.0.0.1/8 is listed.
func holds(n *net.IPNet, a netip.Addr, loopback bool) bool {
	ip := net.IP(a.Unmap().WithZone("").AsSlice())
	return n.IP.Equal(ip) || loopback && a.Unmap().Is4() && n.Contains(ip)
}

// Proof is what the binding alone proves: a bound device is a proof, a source address is not.
func (b Binding) Proof() probes.Proof {
	if b.Device != "" && canBindDevice {
		return probes.ProofBound
	}
	return probes.ProofUnproven
}
