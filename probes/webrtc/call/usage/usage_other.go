//go:build !unix

package usage

import (
	"time"

	"communewatch/probes/webrtc/report"
)

// Usage is not told on this system.
type Usage struct{}

// Read returns nothing.
func Read() Usage { return Usage{} }

// Until writes nothing down.
func (Usage) Until(*report.Agent, time.Duration) {}
