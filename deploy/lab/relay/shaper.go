package relay

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"communewatch/probes"
)

// Trunk is the line of a hub, which all sites' calls go through beside their own. Of its ways no script is taken: packets
// of many calls have no common numbers.
type Trunk struct{ up, down shaper }

// NewTrunk makes a line for a hub; seed begins its random numbers.
func NewTrunk(seed uint64) *Trunk {
	t := &Trunk{}
	t.up.seed(seed, 3)
	t.down.seed(seed, 4)
	return t
}

// Set changes what the line does.
func (t *Trunk) Set(l Line) error {
	if err := l.Validate(); err != nil {
		return err
	}
	t.up.set(l.Up)
	t.down.set(l.Down)
	return nil
}

// Line is what the line does now.
func (t *Trunk) Line() Line { return Line{Up: t.up.now(), Down: t.down.now()} }

func (t *Trunk) way(d probes.Direction) *shaper {
	if d == probes.DirectionUp {
		return &t.up
	}
	return &t.down
}

// shaper does what a Way says, scripts excepted, to the packets of all calls of a line in one direction.
type shaper struct {
	mu   sync.Mutex // guards the fields below
	way  Way
	rng  *rand.Rand
	bad  bool      // Gilbert: within a run of losses
	free time.Time // when the last packet let in will be through the limit of rate
}

func (s *shaper) seed(a, b uint64) { s.rng = rand.New(rand.NewPCG(a, b)) }

func (s *shaper) set(w Way) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.way, s.bad, s.free = w, false, time.Time{}
}

func (s *shaper) now() Way {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.way
}

// pass decides what becomes of a datagram of n bytes that arrives at t: passed with the time at which it leaves, or lost.
func (s *shaper) pass(t time.Time, n int) (time.Time, Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.way
	if w.Cut {
		return t, LostCut
	}
	if w.Loss > 0 && s.lose() {
		return t, LostRandom
	}
	if w.BPS > 0 {
		if s.free.Before(t) {
			s.free = t
		}
		bytes := float64(n + overhead)
		if waiting := s.free.Sub(t).Seconds() * w.BPS / 8; waiting+bytes > max(w.queue(), bytes) {
			return t, LostQueue
		}
		s.free = s.free.Add(time.Duration(bytes * 8 / w.BPS * float64(time.Second)))
		t = s.free
	}
	return t.Add(w.Delay + s.jitter()), Passed
}

// lose draws the next packet's luck. With runs it is Gilbert's model: every packet of a run is lost, a run ends with
// probability 1/Burst, and begins as often as makes Loss of it all.
func (s *shaper) lose() bool {
	w := &s.way
	if w.Burst <= 1 || w.Loss >= 1 {
		return s.rng.Float64() < w.Loss
	}
	begin := w.Loss / (w.Burst * (1 - w.Loss))
	if s.bad {
		s.bad = s.rng.Float64() >= 1/w.Burst
	} else {
		s.bad = s.rng.Float64() < begin
	}
	return s.bad
}

// jitter draws what is added to Delay; with Normal it may be below zero, but not by more than Delay.
func (s *shaper) jitter() time.Duration {
	w := &s.way
	if w.Jitter == 0 {
		return 0
	}
	j := float64(w.Jitter)
	switch w.Spread {
	case Exponential:
		j = math.Min(j*s.rng.ExpFloat64(), 10*j)
	case Normal:
		j = math.Max(j*s.rng.NormFloat64(), -float64(w.Delay))
	default:
		j *= s.rng.Float64()
	}
	return time.Duration(j)
}
