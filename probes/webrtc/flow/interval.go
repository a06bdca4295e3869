package flow

import "time"

// SetFrameInterval puts another time from frame to frame in the place of the config's, for a receiver that learns it
// from the stream itself. Reports that follow use it; what is not positive changes nothing.
func (f *Flow) SetFrameInterval(d time.Duration) {
	if d > 0 {
		f.cfg.FrameInterval = d
	}
}
