// Package rate says how sure a count of rare events is. Three failures in a year of forty switches are a rate with a
// wide interval, and a reviewer who compares purchase phases must see it: where intervals overlap, nothing is shown.
package rate

import "math"

// Poisson is the exact two-sided 95 % interval of the mean of a Poisson variable of which n was seen (Garwood 1936):
// the means at which n or more, and n or fewer, have a probability of 2.5 %.
func Poisson(n int) (low, high float64) {
	const tail = 0.025
	if n > 0 {
		low = solve(float64(n), func(mean float64) bool { return 1-below(n-1, mean) >= tail })
	}
	high = solve(float64(n)+1, func(mean float64) bool { return below(n, mean) <= tail })
	return low, high
}

// solve finds where a condition that rises with the mean becomes true.
func solve(near float64, reached func(mean float64) bool) float64 {
	low, high := 0.0, 2*near+10
	for range 60 {
		if middle := (low + high) / 2; reached(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// below is the probability of n or fewer, at a mean.
func below(n int, mean float64) float64 {
	if mean == 0 {
		return 1
	}
	sum := 0.0
	for k := 0; k <= n; k++ {
		l, _ := math.Lgamma(float64(k) + 1)
		sum += math.Exp(float64(k)*math.Log(mean) - mean - l)
	}
	return min(1, sum)
}
