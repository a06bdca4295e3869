//go:build !linux && !windows

package machine

import (
	"context"
	"os"

	"communewatch/probes"
)

// Facts describes this machine. Of systems other than Linux and Windows only the host name is known.
func Facts(ctx context.Context) ([]probes.Fact, error) {
	s := &sheet{}
	if host, err := os.Hostname(); err == nil {
		s.put(probes.FactSysName, host, "host name", 0.9)
	}
	return s.sorted(), ctx.Err()
}
