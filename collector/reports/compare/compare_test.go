package compare

import (
	"testing"

	"communewatch/collector/reports"
)

func TestWorse(t *testing.T) {
	line := func(availability, loss float64) *reports.Figures {
		return &reports.Figures{Availability: &availability, Loss: &loss}
	}
	for name, tc := range map[string]struct {
		broadband, dedicated *reports.Figures
		side                 Side
		by                   By
	}{
		"less available":            {line(0.98, 0), line(0.99, 0.5), Broadband, ByAvailability},
		"less available, otherwise": {line(0.9999, 0.2), line(0.99, 0), Dedicated, ByAvailability},
		"alike but for loss":        {line(0.9990, 0.02), line(0.9992, 0.001), Broadband, ByLoss},
		"loss the other way":        {line(1, 0), line(1, 0.001), Dedicated, ByLoss},
		"alike":                     {line(0.9990, 0.0004), line(0.9993, 0.0001), Alike, ByNothing},
		"never measured":            {line(1, 0), &reports.Figures{}, Unknown, ByNothing},
		"no pings":                  {&reports.Figures{Availability: new(float64)}, &reports.Figures{Availability: new(float64)}, Alike, ByNothing},
	} {
		if side, by := Worse(tc.broadband, tc.dedicated); side != tc.side || by != tc.by {
			t.Errorf("%s: %s by %q, want %s by %q", name, side, by, tc.side, tc.by)
		}
	}
}
