package clock

import (
	"testing"
	"time"
)

func TestOnlyABoundThatMeansSomethingIsProof(t *testing.T) {
	for _, c := range []struct {
		name string
		in   kernel
		ok   bool
		max  float64
	}{
		{"chrony over a network", kernel{maxError: 4200, estError: 130}, true, 0.0042},
		{"nothing disciplines the clock", kernel{unsynchronised: true, maxError: 4200, estError: 130}, false, 0},
		{"set without an estimate", kernel{maxError: 500, estError: 0}, false, 0},
		{"the bound has run away", kernel{maxError: 16_000_000, estError: 16_000_000}, false, 0},
		{"no bound", kernel{maxError: 0, estError: 10}, false, 0},
		{"nonsense", kernel{maxError: -5, estError: 10}, false, 0},
	} {
		if ok, max := c.in.proof(); ok != c.ok || max != c.max {
			t.Errorf("%s: %v %v, want %v %v", c.name, ok, max, c.ok, c.max)
		}
	}
}

// What a stamp says, added to Zero, is the time of day.
func TestZeroLeadsToTheTimeOfDay(t *testing.T) {
	zero := time.Now().Add(-time.Hour)
	before := time.Now()
	c := Read(zero)
	stamp := before.Sub(zero)
	if off := time.Unix(0, c.Zero).Add(stamp).Sub(before.Round(0)).Abs(); off > time.Second {
		t.Errorf("off by %v", off)
	}
	if !c.Synchronised && c.MaxError != 0 {
		t.Errorf("a bound without proof: %+v", c)
	}
}
