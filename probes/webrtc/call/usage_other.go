//go:build !unix

package call

import (
	"time"

	"communewatch/probes/webrtc/report"
)

// usage is not told on this system.
type usage struct{}

func readUsage() usage { return usage{} }

func (usage) until(*report.Agent, time.Duration) {}
