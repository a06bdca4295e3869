package bind

import (
	"communewatch/probes"

	"golang.org/x/sys/unix"
)

const canBindDevice = true

// bindToDevice needs no capability since Linux 5.7.
func bindToDevice(fd uintptr, device string) error {
	if err := unix.BindToDevice(int(fd), device); err != nil {
		return probes.Errorf(probes.OutcomeUnbound, "bind to network device %q: %w (does it exist? see `ip link`)", device, err)
	}
	// A device that is down takes its addresses out of use. Binding to one would fail with "cannot assign requested
	// address", which sounds like a mistake in the config; but it is the line's outage.
	req, err := unix.NewIfreq(device)
	if err == nil {
		err = unix.IoctlIfreq(int(fd), unix.SIOCGIFFLAGS, req)
	}
	if err != nil {
		return probes.Errorf(probes.OutcomeUnbound, "look at network device %q: %w", device, err)
	}
	if req.Uint16()&unix.IFF_UP == 0 {
		return probes.Errorf(probes.OutcomeUnreachable, "network device %q is down: %w", device, unix.ENETDOWN)
	}
	return nil
}

func deviceUnsupported(string) error { return nil }
