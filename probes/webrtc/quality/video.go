package quality

import "math"

// Coefficients v1 to v12 of ITU-T G.1070 (06/2018) for H.264 Baseline, VGA, on a display of 6 inches (table B.4, first
// column), after two independent public implementations that agree and cite the table. None is published for the sizes
// that meetings use now, so what Video says of them is a comparison between lines, not an opinion on a picture.
const (
	v1, v2, v3, v4, v5, v6    = 6.743, 0.009998, 3.051, 168.1, 1.766, 1.130
	v7, v8, v9, v10, v11, v12 = 0.001834, 1.232, 53.25, 3.353, 6.025, 80.752
)

// Video is the video quality Vq of ITU-T G.1070, 1 to 5, of a rate in kbit/s, frames per second and packets missing in
// per cent. It is meant for planning, and for up to 3 per cent.
func Video(kbps, fps, lost float64) float64 {
	if !(kbps > 0 && fps > 0) {
		return 1
	}
	kbps, fps, lost = within(kbps, 1, 1e6), within(fps, 1, 120), within(lost, 0, 100)
	best := within(v1+v2*kbps, 1, 30) // the frame rate at which this bitrate looks best
	peak := within(v3*(1-1/(1+math.Pow(kbps/v4, v5))), 0, 4)
	width := v6 + v7*kbps
	off := math.Log(fps) - math.Log(best)
	coding := peak * math.Exp(-off*off/(2*width*width))
	robust := v10 + v11*math.Exp(-fps/v8) + v12*math.Exp(-kbps/v9)
	return within(1+coding*math.Exp(-lost/robust), 1, 5)
}
