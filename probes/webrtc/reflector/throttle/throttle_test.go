package throttle

import (
	"net/netip"
	"testing"
	"time"
)

func TestABurstAndThenARate(t *testing.T) {
	b := New[string](2, 3, 10)
	now := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	pass := func(k string) (n int) {
		for range 100 {
			if ok, _ := b.Take(k, now); ok {
				n++
			}
		}
		return n
	}
	if n := pass("a"); n != 3 {
		t.Errorf("%d at once, want 3", n)
	}
	if ok, wait := b.Take("a", now); ok || wait != time.Second/2 {
		t.Errorf("%v, wait %v, want half a second", ok, wait)
	}
	if n := pass("b"); n != 3 {
		t.Errorf("another name: %d", n)
	}
	now = now.Add(time.Second)
	if empty, _ := b.Empty("a", now); empty {
		t.Error("still empty after a second")
	}
	if n := pass("a"); n != 2 {
		t.Errorf("%d after a second, want 2", n)
	}
	now = now.Add(-time.Hour) // a clock that jumps back gives nothing and takes nothing
	if n := pass("a"); n != 0 {
		t.Errorf("%d after the clock went back", n)
	}
}

func TestNamesAreForgottenTheOldestFirst(t *testing.T) {
	b := New[int](1, 1, 3)
	now := time.Now()
	for k := range 3 {
		b.Take(k, now)
	}
	b.Take(0, now) // used again
	b.Take(3, now) // for which 1 goes
	if n := b.Len(); n != 3 {
		t.Errorf("%d names", n)
	}
	if empty, _ := b.Empty(0, now); !empty {
		t.Error("0 was forgotten, though it was used last")
	}
	if empty, _ := b.Empty(1, now); empty {
		t.Error("1 was remembered")
	}
}

func TestNetworks(t *testing.T) {
	for remote, want := range map[string]netip.Prefix{
		"192.0.2.7:80":              netip.MustParsePrefix("192.0.2.7/32"),
		"[::ffff:192.0.2.7]:80":     netip.MustParsePrefix("192.0.2.7/32"),
		"[2001:db8:1:2:3:4:5:6]:80": netip.MustParsePrefix("2001:db8:1:2::/64"),
		"[fe80::1%eth0]:80":         netip.MustParsePrefix("fe80::/64"),
		"@":                         {},
	} {
		if got := Network(remote); got != want {
			t.Errorf("%s: %v, want %v", remote, got, want)
		}
	}
}
