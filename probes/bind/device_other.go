//go:build !linux

package bind

import "communewatch/probes"

func bindToDevice(_ uintptr, device string) error {
	return probes.Errorf(probes.OutcomeUnbound, "binding to network device %q works on Linux only; give the path's source address instead", device)
}
