package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClockKeepsItsTimeUntilTheWallClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var skew time.Duration
		c := New(func() time.Time { return time.Now().Add(skew) })
		begin, n := c.Now()
		if n != 1 {
			t.Fatalf("the first clock has number %d", n)
		}
		step := func(what string, add, wait, wantAhead time.Duration, wantNumber int) {
			t.Helper()
			skew += add
			time.Sleep(wait)
			now, n := c.Now()
			if ahead := now.Sub(begin); ahead != wantAhead || n != wantNumber {
				t.Errorf("%s: %v ahead by clock %d, want %v by clock %d", what, ahead, n, wantAhead, wantNumber)
			}
		}
		step("time passes", 0, time.Minute, time.Minute, 1)
		step("a small adjustment bends nothing", time.Second, time.Minute, 2*time.Minute, 1)
		step("a jump begins a clock", time.Hour, 0, time.Hour+2*time.Minute+time.Second, 2)
		step("and it runs on", 0, time.Second, time.Hour+2*time.Minute+2*time.Second, 2)
		step("so does a jump back", -time.Hour, 0, 2*time.Minute+2*time.Second, 3)
	})
}

func TestBootsDiffer(t *testing.T) {
	a, b := New(time.Now), New(time.Now)
	if a.Boot() == b.Boot() || len(a.Boot()) != 16 {
		t.Errorf("boots %q and %q", a.Boot(), b.Boot())
	}
}
