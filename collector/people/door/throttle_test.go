package door

import (
	"fmt"
	"testing"
	"time"
)

func TestTriesAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tr := newTries(func() time.Time { return now })
	for i := range most {
		tr.failed(fmt.Sprint(i), origin(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)))
	}
	if len(tr.kept) > most+1 {
		t.Error(len(tr.kept))
	}
	if tr.wait("new", origin("172.16.0.1:1"), false) != 0 {
		t.Error("who floods the list of failures locks newcomers out")
	}
	guess := origin("172.16.0.2:1")
	for i := range 2 * most { // one in ten of the flood's is a guess at one account
		now = now.Add(time.Millisecond)
		if tr.failed(fmt.Sprint("flood", i), origin(fmt.Sprintf("11.%d.%d.%d:1", i>>16, i>>8&255, i&255))); i%10 == 0 {
			tr.failed("lan", guess)
		}
	}
	if tr.wait("lan", guess, true) == 0 {
		t.Error("a flood makes guesses at one account forgotten")
	}
	tr.failed("", guess)
	if n := tr.kept[try{from: guess}].n; n > tr.kept[try{"lan", guess}].n+1 {
		t.Errorf("a wrong key counts more than once: %v", n)
	}
	now = now.Add(25 * time.Hour)
	tr.failed("x", origin("172.16.0.1:1"))
	if len(tr.kept) > 10 {
		t.Error("yesterday's failures are remembered:", len(tr.kept))
	}
	if a, b := origin("[2001:db8::1]:1"), origin("[2001:db8::ffff]:2"); a != b {
		t.Error("a host of IPv6 has as many addresses as it wants")
	}
}

// The collector's clock was ahead by years, and is set right: whoever mistyped a password meanwhile is not locked out until
// then.
func TestAClockThatIsSetBackLocksNobodyOut(t *testing.T) {
	now := time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC)
	tr := newTries(func() time.Time { return now })
	desk := origin("10.0.0.9:1")
	for range freeOfPair + 3 {
		tr.failed("lan", desk)
	}
	before := tr.wait("lan", desk, true)
	now = now.AddDate(-9, 0, 0)
	if after := tr.wait("lan", desk, true); before <= 0 || after > before {
		t.Errorf("waits %v, and after the clock was set back %v", before, after)
	}
	now = now.Add(longestPause)
	if wait := tr.wait("lan", desk, true); wait > 0 {
		t.Errorf("a pause that began before the clock was set back never ends: %v", wait)
	}
	tr.failed("an", desk)
	if wait := tr.wait("an", desk, true); wait > longestPause {
		t.Errorf("waits %v", wait)
	}
}
