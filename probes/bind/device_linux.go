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
	return nil
}

func deviceUnsupported(string) error { return nil }
