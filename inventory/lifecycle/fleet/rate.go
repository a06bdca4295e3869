package fleet

import "math"

// Interval is a value with the range it lies in, at 95 % confidence.
type Interval struct{ Value, Low, High float64 }

// z95 is the 97.5 % quantile of the standard normal distribution, for intervals that leave 2.5 % on either side.
const z95 = 1.959963984540054

// Proportion returns which share of n items had something, with the score interval of Wilson (Probable inference, the law
// of succession, and statistical inference, JASA 22, 1927). It stays within 0..1 and says something with few items, which
// the usual normal interval does not. With no items it is 0..1.
func Proportion(hits, n int) Interval {
	if n <= 0 {
		return Interval{0, 0, 1}
	}
	hits = min(max(hits, 0), n)
	p, m := float64(hits)/float64(n), float64(n)
	z2 := z95 * z95
	centre := (p + z2/(2*m)) / (1 + z2/m)
	half := z95 / (1 + z2/m) * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	low, high := max(0, centre-half), min(1, centre+half)
	if hits == 0 {
		low = 0
	}
	if hits == n {
		high = 1
	}
	return Interval{p, low, high}
}

// Rate returns failures per item and year, with the exact interval of Garwood (Fiducial limits for the Poisson
// distribution, Biometrika 28, 1936): half the quantiles of the chi-squared distribution with 2k and 2k+2 degrees of
// freedom, here from the Poisson distribution itself. itemYears is for how long items were in service, all together;
// with 0 nothing can be said, and the interval has no upper end.
func Rate(failures int, itemYears float64) Interval {
	if itemYears <= 0 || math.IsNaN(itemYears) {
		return Interval{0, 0, math.Inf(1)}
	}
	failures = max(failures, 0)
	const tail = 0.025
	low := 0.0
	if failures > 0 {
		low = solve(failures, func(mean float64) bool { return 1-poisson(failures-1, mean) < tail })
	}
	high := solve(failures, func(mean float64) bool { return poisson(failures, mean) > tail })
	return Interval{float64(failures) / itemYears, low / itemYears, high / itemYears}
}

// solve finds the mean at which below turns from true to false, by halving.
func solve(k int, below func(mean float64) bool) float64 {
	low, high := 0.0, 2*float64(k)+20
	for below(high) {
		high *= 2
	}
	for range 100 {
		mid := (low + high) / 2
		if below(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// poisson is the probability of at most k events where mean are expected.
func poisson(k int, mean float64) float64 {
	if mean <= 0 {
		return 1
	}
	sum := 0.0
	for i := 0; i <= k; i++ {
		logFactorial, _ := math.Lgamma(float64(i) + 1)
		sum += math.Exp(float64(i)*math.Log(mean) - mean - logFactorial)
	}
	return min(1, sum)
}
