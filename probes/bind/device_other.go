//go:build !linux

package bind

import (
	"context"
	"net/netip"
	"time"

	"communewatch/probes"
)

const canBindDevice = false

func bindToDevice(_ uintptr, device string) error { return deviceUnsupported(device) }

func deviceUnsupported(device string) error {
	return probes.Errorf(probes.OutcomeUnbound, "binding to network device %q works on Linux only; give the path's source address instead", device)
}

// askHop would need a raw socket outside Linux, so there nobody is asked.
func askHop(context.Context, Binding, netip.AddrPort, int, time.Duration) (netip.Addr, error) {
	return netip.Addr{}, nil
}
