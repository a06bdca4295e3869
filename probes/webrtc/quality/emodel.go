package quality

import "math"

// Maxima of the transmission rating R.
const (
	MaxNarrowband = 93.2 // ITU-T G.107 (06/2015): Ro - Is with all parameters at their defaults
	MaxFullband   = 148  // ITU-T G.107.2 (03/2023): Ro
)

// What the E-model takes for a connection on which nothing is understood: the constants of Ie,eff.
const (
	worstNarrowband = 95
	worstFullband   = 132
)

// Delay beyond which people notice, in ms, and how they mind it: mT and sT of G.107, at their defaults.
const (
	noticed   = 100
	sensitive = 1
)

// Idd is what mouth-to-ear delay of ta milliseconds takes from R on the scale of G.107 (equations 7-27 and 7-28 of its
// section 7.4). On the fullband scale it weighs 1.48 times as much.
func Idd(ta float64) float64 {
	ta = within(ta, 0, 1e6)
	if ta <= noticed {
		return 0
	}
	x := math.Log2(ta / noticed)
	term := func(x float64) float64 { return math.Pow(1+math.Pow(x, 6*sensitive), 1/(6.0*sensitive)) }
	return max(0, 25*(term(x)-3*term(x/3)+2))
}

// Ie is what a codec and the packets that it did not get take from R (Ie,eff, G.107 equation 7-29): ie is the codec's
// own part, worst the constant of the scale, lost the packets missing in per cent, bpl how well the codec bears their
// loss, and burst how much longer than chance would have them are runs of lost packets (BurstR, taken for 1 to 8).
func Ie(ie, worst, lost, burst, bpl float64) float64 {
	lost, burst = within(lost, 0, 100), within(burst, 1, 8)
	// Where most packets are lost in long runs the formula leaves its own scale; nothing is worse than the worst.
	return ie + (worst-ie)*min(1, lost/(lost/burst+bpl))
}

// MOS turns R of G.107's scale, 0 to 100, into a mean opinion score (annex B): 1 from 0 down, 4.5 from 100 up. R of the
// fullband scale is to be divided by 1.48 before.
func MOS(r float64) float64 {
	switch {
	case !(r > 0):
		return 1
	case r >= 100:
		return 4.5
	}
	// Between 0 and 6.5 the cubic is below 1.
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}

// opus is Ie and Bpl of a rate of Opus, in kbit/s.
type opus struct{ rate, ie, bpl float64 }

// opusTable is for super-wideband Opus with variable bitrate, its default, and single packets lost by chance:
// M. Alahmadi, "Opus Codec Quality Evaluation" (2021), data at github.com/mohaoahmadi/Opus_Codec_Quality_Evaluation,
// rounded. ITU-T G.113 has no values for Opus. The source has a further column of Bpl for loss in bursts, which is not
// used: BurstR is in the formula already.
var opusTable = []opus{
	{14, 38.06, 16.51}, {15, 34.12, 15.00}, {16, 30.16, 11.83}, {19, 23.81, 10.67}, {22, 20.22, 10.47}, {25, 20.21, 11.28},
	{28, 18.48, 10.63}, {31, 16.83, 10.44}, {34, 14.76, 10.12}, {37, 12.08, 10.38}, {40, 10.67, 9.79},
}

// Opus returns Ie and Bpl of Opus at a rate in bit/s, on the line between the two rates next to it that were measured;
// beyond 14 and 40 kbit/s those of the nearest, and measured is false.
func Opus(bps float64) (ie, bpl float64, measured bool) {
	rate := within(bps/1000, 0, 1e6)
	last := opusTable[len(opusTable)-1]
	switch {
	case rate < opusTable[0].rate:
		return opusTable[0].ie, opusTable[0].bpl, false
	case rate >= last.rate:
		return last.ie, last.bpl, rate == last.rate
	}
	i := 1
	for rate > opusTable[i].rate {
		i++
	}
	a, b := opusTable[i-1], opusTable[i]
	part := (rate - a.rate) / (b.rate - a.rate)
	return a.ie + part*(b.ie-a.ie), a.bpl + part*(b.bpl-a.bpl), true
}

// G.711 with concealment of lost packets (ITU-T G.113 appendix I).
const (
	g711Ie  = 0
	g711Bpl = 25.1
)

// within keeps v between two limits; what is no number counts as the upper.
func within(v, low, high float64) float64 {
	if math.IsNaN(v) {
		return high
	}
	return min(max(v, low), high)
}
