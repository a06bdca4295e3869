package machine

import (
	"context"
	"os"

	"communewatch/probes"
)

// Facts describes this machine.
func Facts(ctx context.Context) ([]probes.Fact, error) { return linuxFacts(ctx, os.DirFS("/")) }
