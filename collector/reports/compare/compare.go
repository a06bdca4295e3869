// Package compare says which of a site's two lines was worse, and by what. A difference below what a month's figures can
// tell apart is none: the lines are said to be alike.
package compare

import "communewatch/collector/reports"

// Side is which line was worse.
type Side string

// The sides. Unknown is of lines of which one was not measured.
const (
	Broadband Side = "broadband"
	Dedicated Side = "dedicated"
	Alike     Side = "alike"
	Unknown   Side = "unknown"
)

// Differences that count, as ratios: half a thousandth of availability is twenty minutes of a month; a thousandth of
// packets is what windows of some ten thousand pings can tell.
const (
	AvailabilityGap = 0.0005
	LossGap         = 0.001
)

// By is what decided.
type By string

// What decides: availability first, loss where that is alike.
const (
	ByAvailability By = "availability"
	ByLoss         By = "loss"
	ByNothing      By = ""
)

// Worse says which of two lines was worse, and by what.
func Worse(broadband, dedicated *reports.Figures) (Side, By) {
	a, b := broadband.Availability, dedicated.Availability
	if a == nil || b == nil {
		return Unknown, ByNothing
	}
	switch gap := *a - *b; {
	case gap <= -AvailabilityGap:
		return Broadband, ByAvailability
	case gap >= AvailabilityGap:
		return Dedicated, ByAvailability
	}
	if a, b = broadband.Loss, dedicated.Loss; a != nil && b != nil {
		switch gap := *a - *b; {
		case gap >= LossGap:
			return Broadband, ByLoss
		case gap <= -LossGap:
			return Dedicated, ByLoss
		}
	}
	return Alike, ByNothing
}
