package relay

import (
	"math"
	"testing"
	"time"
)

func play(w Way, n, size int, every time.Duration) (left []time.Duration, fates map[Fate]int, runs []int) {
	var s shaper
	s.seed(1, 2)
	s.set(w)
	begin := time.Unix(1000, 0)
	fates = map[Fate]int{}
	run := 0
	for i := range n {
		at := begin.Add(time.Duration(i) * every)
		due, fate := s.pass(at, size)
		fates[fate]++
		if fate != Passed {
			run++
			continue
		}
		if run > 0 {
			runs = append(runs, run)
			run = 0
		}
		left = append(left, due.Sub(at))
	}
	return left, fates, runs
}

func mean(list []time.Duration) (m, deviation float64) {
	for _, d := range list {
		m += d.Seconds()
	}
	m /= float64(len(list))
	for _, d := range list {
		deviation += (d.Seconds() - m) * (d.Seconds() - m)
	}
	return m, math.Sqrt(deviation / float64(len(list)))
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s: %v, want %v within %v", what, got, want, within)
	}
}

// TestLossIsAsMuchAsWasAsked, alone and in runs. All of it is seeded, so it is the same at every run.
func TestLossIsAsMuchAsWasAsked(t *testing.T) {
	for _, burst := range []float64{0, 1, 3, 8} {
		_, fates, runs := play(Way{Loss: 0.08, Burst: burst}, 100_000, 100, time.Millisecond)
		near(t, "share", float64(fates[LostRandom])/100_000, 0.08, 0.008)
		sum := 0
		for _, r := range runs {
			sum += r
		}
		want := burst
		if burst <= 1 {
			want = 1 / (1 - 0.08) // as chance has it
		}
		near(t, "mean run", float64(sum)/float64(len(runs)), want, want*0.05)
	}
}

func TestJitterHasItsSpread(t *testing.T) {
	const j = 20 * time.Millisecond
	for spread, want := range map[Spread][2]float64{
		Uniform: {0.060, 0.020 / math.Sqrt(12)}, Exponential: {0.070, 0.020}, Normal: {0.050, 0.020},
	} {
		left, _, _ := play(Way{Delay: 50 * time.Millisecond, Jitter: j, Spread: spread}, 50_000, 100, time.Millisecond)
		m, d := mean(left)
		near(t, string(spread)+" mean", m, want[0], 0.001)
		near(t, string(spread)+" deviation", d, want[1], 0.001)
	}
}

// TestRateAndQueue: below the limit nothing waits; above it as much passes as the limit says, after as long a queue as
// was asked for.
func TestRateAndQueue(t *testing.T) {
	const size = 1000 - overhead
	w := Way{BPS: 1e6, Queue: 25_000}                          // 200 ms
	left, fates, _ := play(w, 1000, size, 10*time.Millisecond) // 800 kbit/s
	if fates[LostQueue] > 0 || left[999] != 8*time.Millisecond {
		t.Errorf("below the limit: %v, last after %v", fates, left[999])
	}
	left, fates, _ = play(w, 1000, size, 4*time.Millisecond) // 2 Mbit/s, for 4 s
	near(t, "passed", float64(fates[Passed]), 500+25, 3)
	if last := left[len(left)-1]; last < 190*time.Millisecond || last > 200*time.Millisecond {
		t.Errorf("the queue is %v long", last)
	}
	// A packet larger than the queue still passes when nothing waits.
	if _, fates, _ := play(Way{BPS: 1000, Queue: 1}, 1, 1200, time.Second); fates[Passed] != 1 {
		t.Error("a large packet never passes")
	}
}
